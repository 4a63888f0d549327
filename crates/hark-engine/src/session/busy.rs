//! Which threads of a durable session some worker has in its hands.
//!
//! Reading a durable record copies it, so that two hints for one thread would make two workers run it, until one of them
//! loses its commit. And a thread that computes for long is not written down at the end of every turn.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::history::LogEntry;
use crate::id::ThreadId;
use crate::limits::NEWS_LOOK_PAUSE;
use crate::record::{Live, Record};
use crate::step::Loaded;
use crate::surroundings::Timestamp;

#[derive(Default)]
pub(crate) struct Busy(Mutex<HashMap<ThreadId, Held>>);

#[derive(Default)]
struct Held {
    /// A hint came meanwhile.
    hinted: bool,
    paused: Option<Box<Paused>>,
    /// When it was looked last whether something has come for it.
    looked: Timestamp,
}

/// A thread between two turns of one step.
pub(crate) struct Paused {
    pub loaded: Box<Loaded>,
    pub live: Box<Live>,
    pub fresh: Vec<Record>,
    pub log: Vec<LogEntry>,
    /// How many of the log's entries have been shown.
    pub shown: usize,
    /// When the step began.
    pub since: Timestamp,
}

/// How a worker comes by a thread.
pub(crate) enum Taken {
    /// It is to be loaded.
    New,
    /// It is in the middle of a step.
    Paused(Box<Paused>),
    /// Another worker has it, who will give it another turn for this hint.
    Elsewhere,
    /// The same, and it will get that turn for another hint already.
    Hinted,
}

impl Busy {
    /// Takes a thread for a turn.
    pub fn take(&self, thread: ThreadId) -> Taken {
        match self.lock().entry(thread) {
            Entry::Vacant(entry) => {
                entry.insert(Held::default());
                Taken::New
            }
            Entry::Occupied(mut held) => match held.get_mut().paused.take() {
                Some(paused) => Taken::Paused(paused),
                None if held.get().hinted => Taken::Hinted,
                None => {
                    held.get_mut().hinted = true;
                    Taken::Elsewhere
                }
            },
        }
    }

    /// Keeps a thread until its next turn.
    pub fn pause(&self, thread: ThreadId, paused: Box<Paused>) {
        self.lock().entry(thread).or_default().paused = Some(paused);
    }

    /// Whether it is time to look for what has come for a thread that goes on: then this is when that is done.
    pub fn is_time_to_look(&self, thread: ThreadId, now: Timestamp) -> bool {
        let mut all = self.lock();
        let held = all.entry(thread).or_default();
        let is_time = now.since(held.looked) >= NEWS_LOOK_PAUSE;
        if is_time {
            held.looked = now;
        }
        is_time
    }

    /// Gives a thread away after its step. Answers whether there was a hint for it meanwhile.
    pub fn leave(&self, thread: ThreadId) -> bool {
        self.lock().remove(&thread).is_some_and(|held| held.hinted)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
