//! What this process knows of each thread of a session beside its record: one entry per thread, behind one lock.
//!
//! An entry exists while any of its parts is in use. The parts are independent of each other:
//!
//! - **The turn.** One worker at a time runs a thread, because reading a durable record copies it: two workers with two
//!   copies would both run the thread until one of them lost its commit. A step may take several turns.
//!
//!   ```text
//!            begin_turn              pause
//!   idle ───────────────→ running ──────────→ paused
//!     ↑                    │   ↑                 │
//!     └──── end_turn ──────┘   └── begin_turn ───┘
//!   ```
//!
//!   A hint that arrives while the thread is running or paused leads to another turn after `end_turn`.
//! - **The call** ([`calls`]): none → in flight → answered → none. It is *superseded* if another process has made it since.
//! - **The hold** ([`holds`]), where threads are leased: the version of the thread's record that this process wrote or took.
//! - **Hints** of a supervisor that the worker process has not reported as settled.
//! - **A loss**: the worker that had the thread before is gone, and may have been killed by what the thread does.
//!
//! Sessions in memory use only the calls: they move their records out of the storage while a worker runs them.

pub(super) mod calls;
mod holds;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::history::LogEntry;
use crate::id::ThreadId;
use crate::limits::NEWS_LOOK_PAUSE;
use crate::record::{Live, Record};
use crate::step::Loaded;
use crate::surroundings::Timestamp;
use calls::CallInFlight;
use holds::Hold;

/// The threads of a session of which this process knows something beside their records.
#[derive(Default)]
pub(crate) struct ThreadsInHand {
    threads: Mutex<HashMap<ThreadId, InHand>>,
    /// Whether any worker was ever lost. If not, which is the rule, no entry need be checked.
    has_lost_workers: AtomicBool,
}

/// The entry of a thread.
#[derive(Default)]
struct InHand {
    /// None while the thread is idle.
    turn: Option<Turn>,
    call: Option<Box<CallInFlight>>,
    hold: Option<Hold>,
    /// Hints of the supervisor that are not settled.
    hints: u64,
    /// Its last worker was lost, and the loss is not yet counted.
    is_orphaned: bool,
}

/// A turn, or the pause between two turns of one step.
#[derive(Default)]
struct Turn {
    /// None while a worker runs the thread.
    paused: Option<Box<Paused>>,
    /// A hint has arrived in the meantime.
    is_hinted: bool,
    /// When the thread's mailbox was last checked.
    looked: Timestamp,
}

/// A thread between two turns of one step.
pub(crate) struct Paused {
    pub loaded: Box<Loaded>,
    pub live: Box<Live>,
    pub fresh: Vec<Record>,
    pub log: Vec<LogEntry>,
    /// The number of log entries already shown.
    pub shown: usize,
    /// When the step began.
    pub since: Timestamp,
}

/// The answer to a worker that wants to give a thread a turn.
pub(crate) enum TurnStart {
    /// The thread must be loaded.
    Load,
    /// The thread is in the middle of a step.
    Resume(Box<Paused>),
    /// Another worker has the thread, and will give it another turn for this hint.
    Deferred,
    /// Nothing to do: an earlier hint is certain to lead to another turn.
    Covered,
}

/// The state of a thread after its turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TurnEnd {
    /// A hint has arrived in the meantime: the thread needs another turn.
    Again,
    /// The thread is idle, and the supervisor can be told that the hints of this turn are settled.
    Settled,
    /// The thread is idle; its hints stay open because its call is in flight, or there are none.
    Idle,
}

impl InHand {
    fn is_empty(&self) -> bool {
        self.turn.is_none() && self.call.is_none() && self.hold.is_none() && self.hints == 0 && !self.is_orphaned
    }
}

impl ThreadsInHand {
    /// Begins a turn of a thread.
    pub fn begin_turn(&self, thread: ThreadId) -> TurnStart {
        self.begin(self.lock().entry(thread).or_default())
    }

    /// Begins a turn for a hint of the supervisor; also returns how many hints the turn settles, namely those that
    /// arrived before it. If an earlier turn has settled them all, there is nothing to do: the supervisor may have
    /// parked the session since, and would not take note of the results of another turn.
    pub fn begin_supervised_turn(&self, thread: ThreadId) -> (TurnStart, u64) {
        match self.lock().get_mut(&thread) {
            Some(entry) if entry.turn.is_some() || entry.hints > 0 => (self.begin(entry), entry.hints),
            _ => (TurnStart::Covered, 0),
        }
    }

    fn begin(&self, entry: &mut InHand) -> TurnStart {
        let Some(turn) = &mut entry.turn else {
            entry.turn = Some(Turn::default());
            return TurnStart::Load;
        };
        match turn.paused.take() {
            Some(paused) => TurnStart::Resume(paused),
            None if turn.is_hinted => TurnStart::Covered,
            None => {
                turn.is_hinted = true;
                TurnStart::Deferred
            }
        }
    }

    /// Keeps a thread until the next turn of its step.
    pub fn pause(&self, thread: ThreadId, paused: Box<Paused>) {
        self.lock().entry(thread).or_default().turn.get_or_insert_default().paused = Some(paused);
    }

    /// Whether it is time to check the mailbox of a thread whose step continues. If so, this counts as the check.
    pub fn is_time_to_look(&self, thread: ThreadId, now: Timestamp) -> bool {
        let mut threads = self.lock();
        let turn = threads.entry(thread).or_default().turn.get_or_insert_default();
        let is_time = now.since(turn.looked) >= NEWS_LOOK_PAUSE;
        if is_time {
            turn.looked = now;
        }
        is_time
    }

    /// Ends a turn that settles this many hints of the supervisor.
    pub fn end_turn(&self, thread: ThreadId, hints: u64) -> TurnEnd {
        self.change(thread, |entry| {
            if entry.turn.take().is_some_and(|turn| turn.is_hinted) {
                TurnEnd::Again
            } else if hints > 0 && entry.call.is_none() {
                entry.hints = entry.hints.saturating_sub(hints);
                TurnEnd::Settled
            } else {
                TurnEnd::Idle
            }
        })
        .unwrap_or(TurnEnd::Idle)
    }

    /// The supervisor has sent a hint for each of these threads.
    pub fn add_hints(&self, threads: &[ThreadId]) {
        let mut all = self.lock();
        threads.iter().for_each(|thread| all.entry(*thread).or_default().hints += 1);
    }

    /// The worker that had these threads was lost.
    pub fn note_lost(&self, threads: &[ThreadId]) {
        if !threads.is_empty() {
            self.has_lost_workers.store(true, Ordering::Release);
            let mut all = self.lock();
            threads.iter().for_each(|thread| all.entry(*thread).or_default().is_orphaned = true);
        }
    }

    /// Whether the last worker of a thread was lost, and the loss is not counted yet.
    pub fn has_loss(&self, thread: ThreadId) -> bool {
        self.has_lost_workers.load(Ordering::Acquire) && self.lock().get(&thread).is_some_and(|entry| entry.is_orphaned)
    }

    /// Whether the last worker of a thread was lost. Returns true once for each loss.
    pub fn take_loss(&self, thread: ThreadId) -> bool {
        self.has_lost_workers.load(Ordering::Acquire)
            && self.change(thread, |entry| std::mem::take(&mut entry.is_orphaned)) == Some(true)
    }

    /// Changes the entry of a thread, if there is one, and removes it if none of its parts is in use any more.
    fn change<T>(&self, thread: ThreadId, change: impl FnOnce(&mut InHand) -> T) -> Option<T> {
        let mut threads = self.lock();
        let entry = threads.get_mut(&thread)?;
        let answer = change(entry);
        if entry.is_empty() {
            threads.remove(&thread);
        }
        Some(answer)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, InHand>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
