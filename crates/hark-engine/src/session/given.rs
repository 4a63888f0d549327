//! The hints that a supervisor has given for threads and that are not carried out yet.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::ThreadId;

#[derive(Default)]
pub(crate) struct Given(Mutex<HashMap<ThreadId, u64>>);

impl Given {
    /// So many hints came.
    pub fn add(&self, threads: &[ThreadId]) {
        let mut given = self.lock();
        threads.iter().for_each(|thread| *given.entry(*thread).or_default() += 1);
    }

    /// How many hints a turn carries out that begins now: those that came before it.
    pub fn before(&self, thread: ThreadId) -> u64 {
        self.lock().get(&thread).copied().unwrap_or(0)
    }

    /// So many hints are carried out.
    pub fn settle(&self, thread: ThreadId, count: u64) {
        let mut given = self.lock();
        if let Some(left) = given.get_mut(&thread) {
            *left -= count.min(*left);
            if *left == 0 {
                given.remove(&thread);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
