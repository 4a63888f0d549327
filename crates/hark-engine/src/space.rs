//! Records shared by all sessions of a storage.
//!
//! A space is an ordered map from byte strings to versioned byte strings. Each use of it has its own key prefix, for
//! example [limits](crate::throttle).

use std::ops::Range;

use crate::commit::Outcome;
use crate::id::Stamp;
use crate::storage::StorageError;

/// The key of a record. Keys are ordered by their bytes.
pub type SpaceKey = Vec<u8>;

/// A record and its version: the stamp of the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRecord {
    /// The version.
    pub stamp: Stamp,
    /// The content.
    pub content: Vec<u8>,
}

/// An atomic change of a space.
#[derive(Debug, Clone)]
pub struct SpaceCommit {
    /// The version of all written records.
    pub stamp: Stamp,
    /// The expected versions. None means that the record must not exist.
    pub expect: Vec<(SpaceKey, Option<Stamp>)>,
    /// Records to write, replacing existing ones.
    pub put: Vec<(SpaceKey, Vec<u8>)>,
    /// Records to delete, if they exist. None of them is also written.
    pub delete: Vec<SpaceKey>,
}

/// Stores records that do not belong to a session.
pub trait Space: Send + Sync {
    /// Reads these keys, each independently. Returns an entry for each, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError>;

    /// The first records of a range in key order, at most `limit`. It includes every commit that returned before the
    /// scan began, and may include a part of one that is in progress.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError>;

    /// Makes the change atomically.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError>;
}

impl SpaceCommit {
    /// A commit without changes.
    pub fn new(stamp: Stamp) -> SpaceCommit {
        SpaceCommit { stamp, expect: Vec::new(), put: Vec::new(), delete: Vec::new() }
    }
}
