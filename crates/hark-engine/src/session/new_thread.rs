//! The first thread of a session that another process has started. The request that took it also returned everything
//! that its first step reads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::id::Stamp;
use crate::record::Live;
use crate::storage::VersionedRecord;

#[derive(Debug, Default)]
pub(crate) struct NewThread(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The version with which the thread was taken. While its record has this version it has not begun, so no other thread exists.
    version: Option<Stamp>,
    /// The thread, and the session's record as its start wrote it, until the first step takes them.
    unread: Option<(Box<Live>, VersionedRecord)>,
}

impl NewThread {
    /// Notes that the thread was taken, and has this version now.
    pub fn set(&self, version: Stamp, live: Box<Live>, record: VersionedRecord) {
        *self.lock() = State { version: Some(version), unread: Some((live, record)) };
    }

    /// The thread for its first step, with its version and the session's record.
    pub fn take(&self) -> Option<(Stamp, Box<Live>, VersionedRecord)> {
        let mut state = self.lock();
        let (live, record) = state.unread.take()?;
        Some((state.version?, live, record))
    }

    /// Whether a thread with this version has not begun.
    pub fn is_of(&self, version: Stamp) -> bool {
        self.lock().version == Some(version)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
