//! How callers of [`Invoker::serve`](hark_engine::Invoker::serve) wait where the work is done by other processes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

/// The waiting callers.
#[derive(Default)]
pub(super) struct Callers {
    lock: Mutex<()>,
    nudged: Condvar,
}

impl Callers {
    /// Waits until `done` is true.
    pub fn wait(&self, done: &AtomicBool) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !done.load(Ordering::Acquire) {
            guard = self.nudged.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Has all of them look at their `done` again.
    pub fn nudge(&self) {
        // With the lock, so that no caller is between checking `done` and waiting.
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.nudged.notify_all();
        drop(guard);
    }
}
