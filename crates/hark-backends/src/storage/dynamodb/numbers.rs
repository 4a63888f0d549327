//! The next thread numbers of sessions, as they were a moment ago.
//!
//! They tell which partitions a session has, and so where to look for its due threads. Such a look happens after most steps, and
//! only finds later what another process has just started in a new partition if the number is a little too low.

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
