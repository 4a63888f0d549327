//! All that there is in a simulation beside the engines: the disk, the clock, who is alive, and what is still to happen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chance::Chance;
use super::disk::Disk;
use super::late::OnItsWay;
use super::pairs::Script;
use crate::foreign::{Answer, CallId, CallSink};
use crate::id::{SessionId, ThreadId};
use crate::invoker::Runner;
use crate::leases::HeldThread;
use crate::report::Report;
use crate::surroundings::Timestamp;

/// The number of a server, or of a process that only does something from outside.
pub(super) type Number = u64;

pub(super) struct World {
    pub chance: Chance,
    pub disturbances: Disturbances,
    pub now: Timestamp,
    pub disk: Disk,
    pub processes: BTreeMap<Number, Process>,
    pub calls: Vec<Made>,
    /// The sessions for which the functions that did not work have been repaired.
    pub repaired: BTreeSet<SessionId>,
    pub count: Count,
    /// How many requests are paused within each other.
    pub depth: usize,
    pub is_told: bool,
    /// Calls of `solo` under way.
    pub solos: Vec<Solo>,
    /// What went wrong on the way.
    pub faults: Vec<String>,
    /// A command that interrupts another one.
    pub script: Option<Script>,
    /// What that one answered.
    pub interjected: Option<String>,
    /// Files that can be imported.
    pub files: Vec<Vec<u8>>,
    /// Those of them that were written since it was last asked.
    pub exported: Vec<Vec<u8>>,
    /// The threads that were given back because their calls had not begun.
    pub withdrawn: Vec<HeldThread>,
    /// Commits that are still on their way, though nobody hears of them any more.
    pub late: Vec<OnItsWay>,
    /// What those who waited for a session's end were told.
    pub reports: Vec<Report>,
}

/// A process: what it has in memory is lost with it.
#[derive(Default)]
pub(super) struct Process {
    pub health: Health,
    pub hints: Vec<Hint>,
    pub under_way: Vec<UnderWay>,
    /// Requests that are paused while the engine may hold a lock. Nothing else of this process can go on then.
    pub held: u32,
    /// Its agenda is being looked at.
    pub attends: bool,
    /// It is a server.
    pub serves: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Alive,
    /// Others take it for dead, and take its sessions.
    Suspected,
    Dead,
}

pub(super) struct Hint {
    pub runner: Arc<dyn Runner>,
    pub thread: ThreadId,
}

/// A foreign call that will be answered.
pub(super) struct UnderWay {
    pub id: CallId,
    pub attempt: u32,
    pub events: CallSink,
    pub answer: Answer,
    /// It is this try of a call of `solo`.
    pub solo: Option<(CallId, u32)>,
    pub outcome: super::foreign::Result,
}

/// One try of a call of `solo`.
pub(super) struct Solo {
    pub by: Number,
    pub id: CallId,
    pub attempt: u32,
}

/// A foreign call that was made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub id: CallId,
    pub attempt: u32,
    /// What is called, with what.
    pub what: String,
}

/// How much has happened.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    /// Requests to the storage.
    pub requests: u64,
    /// Processes that died.
    pub deaths: u64,
    /// Servers that were suspected.
    pub suspicions: u64,
    /// Commits whose answer was lost.
    pub unknown: u64,
    /// Of these, commits that were carried out later.
    pub late: u64,
    /// Requests that were refused, and could be made again.
    pub transient: u64,
    /// Commits that were in conflict.
    pub conflicts: u64,
    /// Requests that were paused.
    pub pauses: u64,
    /// Scans that showed a part of a commit.
    pub weak_scans: u64,
    /// Threads whose leases had run out.
    pub lapses: u64,
    /// Hints for nothing.
    pub extra_hints: u64,
    /// Calls that were left to others before they began.
    pub withdrawn_calls: u64,
    /// Calls that were made again.
    pub repeated_calls: u64,
}

/// What may happen, in cases of 1,000. A seed has its own mix, and many have little of most: what one kind of
/// disturbance hides another mix shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disturbances {
    pub death: u64,
    pub suspicion: u64,
    pub unknown: u64,
    pub transient: u64,
    pub pause: u64,
    /// How many things happen in a pause at most.
    pub pause_length: u64,
    pub weak_scan: u64,
    pub extra_hint: u64,
    pub clock_jump: u64,
    pub servers: u64,
    pub sessions: u64,
    /// After so many requests nothing of this happens any more.
    pub until: u64,
    /// Servers are known to be dead only by what they do not do (*leases*), so that one who lives may be suspected; and
    /// thread numbers are reserved in the storage. Else a server's death is known (*locks*), and numbers are reserved in
    /// its memory, as on one machine.
    pub has_leases: bool,
    /// Sessions have no servers: each thread is leased, and any process may run it.
    pub is_by_thread: bool,
    /// The time passes for longer than a lease.
    pub lapse: u64,
    /// After so many requests at most a commit whose answer was lost may still be carried out.
    pub late: u64,
}

impl Disturbances {
    pub fn none() -> Disturbances {
        Disturbances {
            death: 0,
            suspicion: 0,
            unknown: 0,
            transient: 0,
            pause: 0,
            pause_length: 1,
            weak_scan: 0,
            extra_hint: 0,
            clock_jump: 0,
            servers: 1,
            sessions: 1,
            until: 0,
            has_leases: false,
            is_by_thread: false,
            lapse: 0,
            late: 0,
        }
    }

    pub fn of_seed(seed: u64) -> Disturbances {
        // Apart from what happens later, so that one more kind of disturbance does not change all runs.
        let mut chance = Chance::new(seed ^ 0x5eed);
        let mut some = |values: &[u64]| values[chance.index(values.len())];
        let tenure = some(&[0, 1, 2]);
        let (has_leases, is_by_thread) = (tenure == 1, tenure == 2);
        Disturbances {
            death: some(&[0, 2, 5, 20, 60]),
            suspicion: if has_leases { some(&[0, 3, 10, 30]) } else { 0 },
            unknown: some(&[0, 0, 20, 150]),
            pause: some(&[0, 50, 150, 300]),
            pause_length: some(&[2, 6, 30]),
            weak_scan: some(&[0, 300, 800]),
            extra_hint: some(&[0, 0, 100, 400]),
            clock_jump: some(&[0, 0, 20, 100]),
            servers: if is_by_thread { some(&[1, 2, 3]) } else { some(&[1, 1, 2, 3]) },
            sessions: some(&[1, 1, 1, 2]),
            until: some(&[100, 300, 300, 1_000, 1_000, 1_000, 1_000, 4_000]),
            has_leases,
            is_by_thread,
            lapse: if is_by_thread { some(&[0, 0, 20, 100]) } else { 0 },
            transient: some(&[0, 0, 20, 150]),
            late: if is_by_thread { some(&[0, 3, 20, 100]) } else { 0 },
        }
    }
}

impl World {
    pub fn new(seed: u64, disturbances: Disturbances, is_told: bool) -> World {
        World {
            chance: Chance::new(seed),
            disturbances,
            now: Timestamp(1_700_000_000_000_000),
            disk: Disk { is_leased: disturbances.is_by_thread, ..Disk::default() },
            processes: BTreeMap::new(),
            calls: Vec::new(),
            repaired: BTreeSet::new(),
            count: Count::default(),
            depth: 0,
            is_told,
            solos: Vec::new(),
            faults: Vec::new(),
            script: None,
            interjected: None,
            files: Vec::new(),
            exported: Vec::new(),
            withdrawn: Vec::new(),
            late: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Whether nothing is disturbed any more.
    pub fn is_calm(&self) -> bool {
        self.count.requests >= self.disturbances.until
    }

    /// Whether a disturbance happens now that does in so many of 1,000 cases.
    pub fn happens(&mut self, cases: u64) -> bool {
        !self.is_calm() && self.chance.per_mille(cases)
    }

    pub fn health(&self, number: Number) -> Health {
        self.processes.get(&number).map_or(Health::Dead, |process| process.health)
    }

    /// Ends a process; what it had in memory is handed back, as dropping it may look at the world.
    pub fn kill(&mut self, number: Number) -> Option<Process> {
        if self.health(number) == Health::Dead {
            return None;
        }
        self.count.deaths += 1;
        self.tell(|| format!("{number} dies"));
        // Whoever takes over comes later than that.
        self.disk.in_flight.retain(|commit| commit.by != number);
        let process = self.processes.get_mut(&number)?;
        let lost = std::mem::take(process);
        let (held, attends, serves) = (lost.held, lost.attends, lost.serves);
        *process = Process { health: Health::Dead, held, attends, serves, ..Process::default() };
        Some(lost)
    }

    pub fn tell(&self, text: impl FnOnce() -> String) {
        if self.is_told {
            eprintln!("{:>6} {:width$}{}", self.count.requests, "", text(), width = self.depth * 2);
        }
    }

    /// Whether others may take the sessions of this server.
    pub fn is_lost(&self, server: Option<Number>) -> bool {
        server.is_none_or(|server| self.health(server) != Health::Alive)
    }

    /// A session that exists.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.disk.sessions.keys().cloned().collect()
    }
}
