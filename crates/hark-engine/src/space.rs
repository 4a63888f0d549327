//! Records that belong to no session: what all sessions of a storage share.
//!
//! A space is an ordered map from byte strings to byte strings, each with a version. Whoever keeps records in it begins
//! their keys with a byte of its own: [limits](crate::throttle) do.

use std::ops::Range;

use crate::commit::Outcome;
use crate::id::Stamp;
use crate::storage::StorageError;

/// The name of a record. Keys are ordered by their bytes.
pub type SpaceKey = Vec<u8>;

/// A record and its version: the commit that wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceRecord {
    /// The version.
    pub stamp: Stamp,
    /// The content.
    pub content: Vec<u8>,
}

/// One change of a space, all of it or nothing.
#[derive(Debug, Clone)]
pub struct SpaceCommit {
    /// The version of all that this writes.
    pub stamp: Stamp,
    /// The versions that must still be there; `None` is for a record that must not exist.
    pub expect: Vec<(SpaceKey, Option<Stamp>)>,
    /// Records to write, over what there is.
    pub put: Vec<(SpaceKey, Vec<u8>)>,
    /// Records to remove, if they exist. None of them is put.
    pub delete: Vec<SpaceKey>,
}

/// Keeps records that belong to no session.
pub trait Space: Send + Sync {
    /// Reads these keys, each by itself; answers an entry for each, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError>;

    /// The first records of a range, in key order, `limit` at most. It sees every commit that had returned before the scan
    /// began, and may see a part of one that is under way.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError>;

    /// Makes the change, all of it or nothing.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError>;
}

impl SpaceCommit {
    /// A commit that changes nothing yet.
    pub fn new(stamp: Stamp) -> SpaceCommit {
        SpaceCommit { stamp, expect: Vec::new(), put: Vec::new(), delete: Vec::new() }
    }
}
