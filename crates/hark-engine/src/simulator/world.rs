//! The state of a simulation besides the engines: the disk, the clock, the processes, and pending events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chance::Chance;
use super::disk::Disk;
use super::late::OnItsWay;
use super::pairs::Script;
use crate::foreign::{Answer, CallId, CallSink};
use crate::id::{SessionId, ThreadId};
use crate::invoker::Runner;
use crate::place::Pools;
use crate::report::Report;
use crate::surroundings::Timestamp;

/// The number of a server, or of an outside process.
pub(super) type Number = u64;

pub(super) struct World {
    pub chance: Chance,
    pub disturbances: Disturbances,
    pub now: Timestamp,
    pub disk: Disk,
    pub processes: BTreeMap<Number, Process>,
    pub calls: Vec<Made>,
    /// The sessions for which `unready` has been repaired.
    pub repaired: BTreeSet<SessionId>,
    pub count: Count,
    /// The number of nested paused requests.
    pub depth: usize,
    pub is_told: bool,
    /// Calls of `solo` in flight.
    pub solos: Vec<Solo>,
    /// Faults found during the run.
    pub faults: Vec<String>,
    /// A command that interrupts another one.
    pub script: Option<Script>,
    /// The result of that command.
    pub interjected: Option<String>,
    /// Files that can be imported.
    pub files: Vec<Vec<u8>>,
    /// The files exported since this was last read.
    pub exported: Vec<Vec<u8>>,
    /// Commits that may still happen, although their answers are lost.
    pub late: Vec<OnItsWay>,
    /// The reports of ended sessions.
    pub reports: Vec<Report>,
}

/// A process. Its memory is lost when it dies.
#[derive(Default)]
pub(super) struct Process {
    pub health: Health,
    pub hints: Vec<Hint>,
    pub under_way: Vec<UnderWay>,
    /// The number of paused requests during which the engine may hold a lock. Nothing else can happen in this process
    /// meanwhile.
    pub held: u32,
    /// Whether its agenda is being swept.
    pub attends: bool,
    /// Whether it is a server.
    pub serves: bool,
    /// The pools that it serves.
    pub pools: Pools,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    #[default]
    Alive,
    /// Other processes consider it dead, and take its sessions.
    Suspected,
    Dead,
}

pub(super) struct Hint {
    pub runner: Arc<dyn Runner>,
    pub thread: ThreadId,
}

/// A foreign call in flight.
pub(super) struct UnderWay {
    pub id: CallId,
    pub attempt: u32,
    pub events: CallSink,
    pub answer: Answer,
    /// The call and its attempt, if it is a call of `solo`.
    pub solo: Option<(CallId, u32)>,
    pub outcome: super::foreign::Result,
}

/// An attempt of a call of `solo`.
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
    /// The function and its argument.
    pub what: String,
}

/// Statistics of a run.
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
    /// Of these, commits that happened later.
    pub late: u64,
    /// Refused requests.
    pub transient: u64,
    /// Conflicting commits.
    pub conflicts: u64,
    /// Paused requests.
    pub pauses: u64,
    /// Scans that showed a part of a commit.
    pub weak_scans: u64,
    /// Threads whose leases had expired.
    pub lapses: u64,
    /// Extra hints.
    pub extra_hints: u64,
    /// Calls that were withdrawn before they began.
    pub withdrawn_calls: u64,
    /// Repeated calls.
    pub repeated_calls: u64,
}

/// The probabilities of disturbances, in thousandths. Each seed has its own mix, and many have low values for most: one
/// kind of disturbance may hide a fault that another mix reveals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Disturbances {
    pub death: u64,
    pub suspicion: u64,
    pub unknown: u64,
    pub transient: u64,
    pub pause: u64,
    /// The maximum number of actions in a pause.
    pub pause_length: u64,
    pub weak_scan: u64,
    pub extra_hint: u64,
    pub clock_jump: u64,
    pub servers: u64,
    pub sessions: u64,
    /// The number of requests after which all disturbances end.
    pub until: u64,
    /// If true, servers are considered dead when they are unresponsive (*leases*), so a live one may be suspected, and
    /// thread numbers are reserved in the storage. Otherwise a server's death is detected reliably (*locks*), and
    /// numbers are reserved in its memory, as on one machine.
    pub has_leases: bool,
    /// Sessions have no servers: each thread is leased, and any process may run it.
    pub is_by_thread: bool,
    /// Time advances by more than a lease.
    pub lapse: u64,
    /// The maximum number of requests after which a commit whose answer was lost may still happen.
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
        // A separate sequence, so that another kind of disturbance does not change all runs.
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
            late: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Whether disturbances have ended.
    pub fn is_calm(&self) -> bool {
        self.count.requests >= self.disturbances.until
    }

    /// Whether a disturbance with this probability, in thousandths, happens now.
    pub fn happens(&mut self, cases: u64) -> bool {
        !self.is_calm() && self.chance.per_mille(cases)
    }

    pub fn health(&self, number: Number) -> Health {
        self.processes.get(&number).map_or(Health::Dead, |process| process.health)
    }

    /// Kills a process. Returns its memory, because dropping it may access the world.
    pub fn kill(&mut self, number: Number) -> Option<Process> {
        if self.health(number) == Health::Dead {
            return None;
        }
        self.count.deaths += 1;
        self.tell(|| format!("{number} dies"));
        // The process that takes over comes later than these commits.
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

    /// All sessions.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.disk.sessions.keys().cloned().collect()
    }
}
