//! The space in memory: a map with a single lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::Outcome;
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::StorageError;

/// A space that lasts as long as its storage.
#[derive(Debug, Default)]
pub(crate) struct MemorySpace(Mutex<BTreeMap<SpaceKey, SpaceRecord>>);

impl MemorySpace {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<SpaceKey, SpaceRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Space for MemorySpace {
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError> {
        let records = self.lock();
        Ok(keys.iter().map(|key| records.get(key).cloned()).collect())
    }

    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let records = self.lock();
        Ok(records.range(range).take(limit).map(|(key, record)| (key.clone(), record.clone())).collect())
    }

    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError> {
        let mut records = self.lock();
        let stamp_of = |key: &SpaceKey| records.get(key).map(|record| record.stamp);
        if !commit.expect.iter().all(|(key, stamp)| stamp_of(key) == *stamp) {
            return Ok(Outcome::Conflict);
        }
        for (key, content) in &commit.put {
            records.insert(key.clone(), SpaceRecord { stamp: commit.stamp, content: content.clone() });
        }
        for key in &commit.delete {
            records.remove(key);
        }
        Ok(Outcome::Done)
    }
}
