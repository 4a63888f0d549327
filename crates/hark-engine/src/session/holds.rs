//! The threads of a session that this process holds, where threads are leased.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::{Stamp, ThreadId};

/// Of each thread that is held the version of its record that this process has taken or written. Another version says that
/// another process has taken it.
#[derive(Default)]
pub(crate) struct Holds(Mutex<HashMap<ThreadId, Stamp>>);

impl Holds {
    /// These threads are held from now on.
    pub fn add(&self, threads: impl IntoIterator<Item = ThreadId>, stamp: Stamp) {
        self.lock().extend(threads.into_iter().map(|thread| (thread, stamp)));
    }

    /// Whether a thread whose record has this version is held.
    pub fn has(&self, thread: ThreadId, stamp: Option<Stamp>) -> bool {
        stamp.is_some() && self.lock().get(&thread).copied() == stamp
    }

    /// Whether a thread is held with any version.
    pub fn has_any(&self, thread: ThreadId) -> bool {
        self.lock().contains_key(&thread)
    }

    /// A thread is held no longer: it waits, it has stopped, or another process has it.
    pub fn remove(&self, thread: ThreadId) {
        self.lock().remove(&thread);
    }

    /// The same, if it is not held with another version by now.
    pub fn remove_version(&self, thread: ThreadId, stamp: Stamp) {
        let mut holds = self.lock();
        if holds.get(&thread) == Some(&stamp) {
            holds.remove(&thread);
        }
    }

    /// All of them.
    pub fn all(&self) -> Vec<(ThreadId, Stamp)> {
        self.lock().iter().map(|(thread, stamp)| (*thread, *stamp)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Stamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
