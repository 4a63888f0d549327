//! The threads of a session that this process holds, where threads are leased.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{Stamp, ThreadId};

/// Of each thread that is held, what this process knows.
#[derive(Default)]
pub(crate) struct Holds(Mutex<HashMap<ThreadId, Hold>>);

/// A thread that is held.
#[derive(Clone, Copy)]
pub(crate) struct Hold {
    /// The version of its record that this process has taken or written. Another version says that another process has taken it.
    pub stamp: Stamp,
    /// Its call was withdrawn by the process that held it before, so that the same try of it is still to be made.
    pub is_withdrawn: bool,
}

impl Holds {
    /// These threads are held from now on.
    pub fn add(&self, threads: impl IntoIterator<Item = ThreadId>, stamp: Stamp) {
        self.lock().extend(threads.into_iter().map(|thread| (thread, Hold { stamp, is_withdrawn: false })));
    }

    /// The call of a thread that is held with this version was withdrawn.
    pub fn note_withdrawn(&self, thread: ThreadId, stamp: Stamp) {
        if let Some(hold) = self.lock().get_mut(&thread).filter(|hold| hold.stamp == stamp) {
            hold.is_withdrawn = true;
        }
    }

    /// Whether the call was withdrawn of a thread whose record has this version.
    pub fn is_withdrawn(&self, thread: ThreadId, stamp: Option<Stamp>) -> bool {
        self.lock().get(&thread).is_some_and(|hold| hold.is_withdrawn && Some(hold.stamp) == stamp)
    }

    /// Whether a thread whose record has this version is held.
    pub fn has(&self, thread: ThreadId, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.lock().get(&thread).map(|hold| hold.stamp) == stamp
    }

    /// Whether a thread is held with any version.
    pub fn has_any(&self, thread: ThreadId) -> bool {
        self.lock().contains_key(&thread)
    }

    /// A thread is held no longer here: it is handed over to another process.
    pub fn take(&self, thread: ThreadId) -> Option<Hold> {
        self.lock().remove(&thread)
    }

    /// A thread is held no longer: it waits, it has stopped, or another process has it.
    pub fn remove(&self, thread: ThreadId) {
        self.lock().remove(&thread);
    }

    /// The same, if it is not held with another version by now.
    pub fn remove_version(&self, thread: ThreadId, stamp: Stamp) {
        let mut holds = self.lock();
        if holds.get(&thread).is_some_and(|hold| hold.stamp == stamp) {
            holds.remove(&thread);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<(ThreadId, Stamp)> {
        self.lock().iter().map(|(thread, hold)| (*thread, hold.stamp)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
