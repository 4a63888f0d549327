//! A cache of the next thread numbers of sessions.
//!
//! They determine a session's partitions, and so where to look for its due threads, which happens after most steps. If
//! a number is a little too low, threads that another process has just started in a new partition are only found later.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::SessionId;

/// How long a number is used.
const FRESH: Duration = Duration::from_millis(100);
const KNOWN_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct NextNumbers(Mutex<HashMap<SessionId, (u64, Instant)>>);

impl NextNumbers {
    pub fn note(&self, id: &SessionId, next: u64) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(id.clone(), (next, Instant::now()));
    }

    pub fn get(&self, id: &SessionId) -> Option<u64> {
        self.lock().get(id).filter(|(_, noted)| noted.elapsed() < FRESH).map(|(next, _)| *next)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, (u64, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
