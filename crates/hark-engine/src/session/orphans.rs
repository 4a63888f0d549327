//! Threads whose worker was lost: what they were at may be what it was lost by.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::id::ThreadId;

#[derive(Default)]
pub(crate) struct Orphans {
    threads: Mutex<HashSet<ThreadId>>,
    /// Nearly always there were none, ever.
    any: AtomicBool,
}

impl Orphans {
    /// The worker that had these was lost.
    pub fn add(&self, threads: &[ThreadId]) {
        if !threads.is_empty() {
            self.any.store(true, Ordering::Release);
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(threads);
        }
    }

    /// Whether this one's worker was lost; it is asked once for each loss.
    pub fn take(&self, thread: ThreadId) -> bool {
        self.any.load(Ordering::Acquire) && self.threads.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread)
    }
}
