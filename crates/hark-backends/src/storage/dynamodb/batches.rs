//! Commits that are too large for one transaction.
//!
//! Their new rows, to which nothing refers yet, are written first and name their *batch*. The transaction that follows
//! commits the batch; until then readers ignore the rows. A process that finds rows of a batch that was not committed
//! in time first aborts the batch, so that a slow writer's transaction fails, and then deletes the rows.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use hark_engine::{SessionId, Stamp, StorageError};
use tracing::debug;

use super::api::Api;
use super::item::{Item, number, number_of, stamp, stamp_of};
use super::layout::{ItemKey, batch_key};
use super::requests::{Expression, Written};

/// The batch's attribute with its fate: committed or aborted.
const FATE: &str = "n";
const ABORTED: u64 = 0;
const COMMITTED: u64 = 1;

/// The known fates of batches.
#[derive(Default)]
pub(super) struct Batches(Mutex<HashMap<ItemKey, bool>>);

/// The item that a transaction puts to commit a batch, on the condition that the batch has no fate yet.
pub(super) fn committed(id: &SessionId, batch: Stamp) -> Item {
    fate(id, batch, COMMITTED)
}

fn fate(id: &SessionId, batch: Stamp, fate: u64) -> Item {
    let mut item = batch_key(id, batch).item();
    item.insert(FATE.to_owned(), number(fate));
    item
}

/// Removes the rows of an aborted batch. A row that cannot be removed stays, because readers ignore it.
pub(super) async fn remove(api: &Api, keys: &[ItemKey], batch: Stamp) {
    let remove = |key: &ItemKey| {
        let (api, key) = (api.clone(), key.clone());
        let condition = Expression::new("b = :b", [(":b", stamp(batch))]);
        async move { api.delete(&key, Some(condition)).await.map(drop) }
    };
    if let Err(error) = Api::all(keys.iter().map(remove)).await {
        debug!(%error, "rows of a commit that did not happen are left");
    }
}

impl Batches {
    /// Removes the items whose batches are not committed.
    pub async fn existing(&self, api: &Api, id: &SessionId, mut items: Vec<Item>) -> Result<Vec<Item>, StorageError> {
        let batch = |item: &Item| stamp_of(item, "b").map(|batch| batch_key(id, batch));
        let batches: HashSet<ItemKey> = items.iter().filter_map(batch).collect();
        if batches.is_empty() {
            return Ok(items);
        }
        let mut fates = HashMap::new();
        for key in &batches {
            fates.extend(self.known(key).map(|is_committed| (key.clone(), is_committed)));
        }
        let unknown: Vec<ItemKey> = batches.into_iter().filter(|key| !fates.contains_key(key)).collect();
        for (key, item) in api.get_all(&unknown).await? {
            let is_committed = number_of(&item, FATE) == Some(COMMITTED);
            self.note(key.clone(), is_committed);
            fates.insert(key, is_committed);
        }
        items.retain(|item| batch(item).is_none_or(|key| fates.get(&key) == Some(&true)));
        Ok(items)
    }

    /// Aborts a batch. Returns false if it is already committed.
    pub async fn abort(&self, api: &Api, id: &SessionId, batch: Stamp) -> Result<bool, StorageError> {
        let condition = Expression::new("attribute_not_exists(p)", []);
        match api.put(fate(id, batch, ABORTED), Some(condition)).await? {
            Written::Done(_) => Ok(true),
            Written::Refused { found, .. } => Ok(found.is_some_and(|found| number_of(&found, FATE) == Some(ABORTED))),
            Written::Unknown => Ok(false),
        }
    }

    fn known(&self, key: &ItemKey) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn note(&self, key: ItemKey, is_committed: bool) {
        const KNOWN_MAX: usize = 10_000;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, is_committed);
    }
}
