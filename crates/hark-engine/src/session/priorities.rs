//! The priorities of a session's threads (`#[priority]`).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::Commit;
use crate::id::ThreadId;
use crate::leases::Taken;
use crate::record::{Key, Record};

/// The priorities other than 0 of threads that this process has written, woken or taken, because invokers only know the
/// numbers of threads.
#[derive(Default)]
pub(crate) struct Priorities(Mutex<HashMap<ThreadId, i32>>);

impl Priorities {
    /// Takes note of the threads that this commit will write, wake and remove.
    pub fn note(&self, commit: &Commit) {
        let mut all = self.lock();
        for key in &commit.delete {
            if let Key::Live(thread) = key {
                all.remove(thread);
            }
        }
        for record in commit.fresh.iter().chain(&commit.put) {
            match record {
                Record::Live(thread, live) if live.priority == 0 => drop(all.remove(thread)),
                Record::Live(thread, live) => drop(all.insert(*thread, live.priority)),
                // Whoever wakes a thread may not know its priority.
                Record::Ready(thread, priority) if *priority != 0 => drop(all.insert(*thread, *priority)),
                _ => {}
            }
        }
    }

    /// Takes note of threads that this process has taken.
    pub fn note_taken(&self, taken: &[Taken]) {
        let some = taken.iter().filter(|taken| taken.priority != 0).map(|taken| (taken.thread, taken.priority));
        self.lock().extend(some);
    }

    /// The priority of a thread, 0 if none is known.
    pub fn of(&self, thread: ThreadId) -> i32 {
        self.lock().get(&thread).copied().unwrap_or(0)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, i32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
