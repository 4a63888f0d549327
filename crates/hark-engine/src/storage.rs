//! The port to what keeps a session's records.

use std::sync::Arc;

use crate::commit::{Commit, Outcome};
use crate::id::{SessionId, ThreadId};
use crate::record::{Key, Record, Versioned};

/// Keeps sessions.
pub trait Storage: Send + Sync {
    /// The records of one session, new or known.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionStorage>, StorageError>;
}

/// Keeps the records of one session.
pub trait SessionStorage: Send + Sync {
    /// Reads these keys, each by itself; adds an entry for each to `found`, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError>;

    /// The first records of a range, in key order, `limit` at most. Threads come without their state. It sees every
    /// commit that had returned before the scan began, and may see a part of one that is under way.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError>;

    /// Makes the change, all of it or nothing. If it is done, its records have been moved out.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError>;

    /// Reserves so many thread numbers and gives the first. They are greater than all that were reserved before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError>;
}

/// A range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// The threads that have not stopped, from this one on.
    Live(ThreadId),
    /// The waiters of this Future that have records of their own.
    Waiters(ThreadId),
    /// The failures that nobody has awaited.
    Unawaited,
}

/// Why a storage could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// It may work if it is tried again.
    #[error("the storage does not answer: {0}")]
    Transient(String),
    /// It will not.
    #[error("the storage failed: {0}")]
    Permanent(String),
}
