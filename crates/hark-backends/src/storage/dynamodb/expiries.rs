//! The expiry times of sessions of which a thread was just taken, so that opening such a session need not read them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hark_engine::SessionId;

/// The maximum number of entries. Sessions that were taken and then not opened would fill the memory.
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

    /// Removes and returns the expiry of a session, if it is known. It is needed only once.
    pub fn take(&self, id: &SessionId) -> Option<Option<u64>> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Option<u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
