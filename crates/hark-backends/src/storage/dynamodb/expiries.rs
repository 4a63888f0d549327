//! When sessions expire of which a thread was just taken. A process that opens such a session need not read it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hark_engine::SessionId;

/// More are forgotten: they were taken and then not opened.
const KNOWN_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Expiries(Mutex<HashMap<SessionId, Option<u64>>>);

impl Expiries {
    /// A session expires at this time, in seconds since 1970, or never.
    pub fn note(&self, id: &SessionId, expires: Option<u64>) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(id.clone(), expires);
    }

    /// When a session expires, if that is known. It is not needed twice.
    pub fn take(&self, id: &SessionId) -> Option<Option<u64>> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Option<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
