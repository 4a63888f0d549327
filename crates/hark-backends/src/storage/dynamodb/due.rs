//! Due rows: an index that contains only these, spread over shards. The index may lag behind, which only causes delays.
//!
//! The index is ordered by time. So priorities order only the rows that one look finds, which are the first few of each
//! shard: a row that is due later than these is not among them, whatever its priority. DynamoDB filters out the threads
//! of pools that the process does not serve.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use hark_engine::rows::{DueKind, DueNumber, DueRow, DueRows, SetDue, StartRows, Taking};
use hark_engine::{Key, Pools, SessionId, Stamp, StorageError, Surroundings, ThreadId};
use tracing::debug;

use super::api::{Api, PATIENCE};
use super::catalog::DynamoRows;
use super::item::{Item, START, damaged, key_of, number, number_of, row_of, stamp, stamp_of, text, text_of};
use super::layout::{
    DUE_INDEX, DUE_SHARDS, ItemKey, PARTITION, counter_key, due_partition, due_shard, due_shards_of, row_key,
    session_of,
};
use super::requests::{Expression, Filter, Written};
use super::{Shared, batches};
use crate::surroundings::System;

/// If the batch of a row was not committed for this long, its writer was lost.
const ORPHAN_AGE: Duration = Duration::from_secs(60);

impl DueRows for DynamoRows {
    fn lease(&self) -> Duration {
        self.0.api.settings().lease
    }

    fn due(
        &self,
        kind: DueKind<'_>,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError> {
        let mut found = self.found(kind, only, after, until, limit)?;
        found.sort_by_key(|found| (Reverse(found.row.priority), found.row.due));
        found.truncate(limit);
        Ok(found)
    }

    fn next_due(&self, pools: &Pools, after: DueNumber, before: DueNumber) -> Result<Option<DueNumber>, StorageError> {
        let found = self.found(DueKind::Threads(pools), None, after, before, 1)?;
        Ok(found.into_iter().filter_map(|found| found.row.due).filter(|due| *due < before).min())
    }

    fn set_due(&self, changes: &[SetDue]) -> Result<Vec<bool>, StorageError> {
        let set = |change: &SetDue| {
            let (api, change) = (self.0.api.clone(), change.clone());
            async move { set_due(&api, &change).await }
        };
        self.0.api.wait(Api::all(changes.iter().map(set)))
    }

    fn take(&self, changes: &[SetDue]) -> Result<Vec<Taking>, StorageError> {
        let take = |change: &SetDue| {
            let (shared, change) = (self.0.clone(), change.clone());
            async move { shared.take(&change).await }
        };
        self.0.api.wait(Api::all(changes.iter().map(take)))
    }
}

impl DynamoRows {
    /// The first due rows of each shard.
    fn found(
        &self,
        kind: DueKind<'_>,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError> {
        if after >= until || limit == 0 {
            return Ok(Vec::new());
        }
        let shard = |shard: String| {
            let keys = Expression::new(
                "k = :k AND d BETWEEN :a AND :b",
                [(":k", text(shard)), (":a", number(after.get() + 1)), (":b", number(until.get()))],
            );
            let filter = filter_of(kind, only);
            let api = self.0.api.clone();
            async move { api.query_index(DUE_INDEX, keys, filter, true, limit).await }
        };
        self.0.api.wait(async {
            let shards = match only {
                Some(only) => due_shards_of(kind, only, self.0.next_number(only).await?),
                None => (0..DUE_SHARDS).map(|number| due_shard(kind, number)).collect(),
            };
            let items = Api::all(shards.into_iter().map(shard)).await?;
            self.0.due_rows(items.into_iter().flatten().collect()).await
        })
    }
}

impl Shared {
    async fn take(&self, change: &SetDue) -> Result<Taking, StorageError> {
        if change.key != Key::Live(ThreadId(0)) {
            return Ok(if set_due(&self.api, change).await? { Taking::Done(None) } else { Taking::Refused });
        }
        let (update, key) = (update_of(change), row_key(&change.session, &change.key));
        Ok(match self.api.update_whole(&key, update, IS_EXPECTED).await? {
            Written::Done(item) => Taking::Done(match item {
                Some(item) => self.start_rows(&change.session, &item)?.map(Box::new),
                None => None,
            }),
            Written::Refused { found, in_doubt } if in_doubt && is_of(found.as_ref(), change.stamp) => {
                Taking::Done(None)
            }
            // What may have been leased is found again when that has run out.
            Written::Refused { .. } | Written::Unknown => Taking::Refused,
        })
    }

    /// The rows in the item of a first thread that was not written since its session's start.
    fn start_rows(&self, id: &SessionId, thread: &Item) -> Result<Option<StartRows>, StorageError> {
        let Some(own) = thread.get(START).and_then(|own| own.as_m().ok()) else { return Ok(None) };
        if let Some(position) = number_of(thread, "t") {
            self.clock.note(position);
        }
        self.expiries.note(id, number_of(thread, "x"));
        Ok(Some(StartRows { session: row_of(own)?, thread: row_of(thread)? }))
    }

    /// The next thread number of a session: its value a moment ago, or a greater one.
    async fn next_number(&self, id: &SessionId) -> Result<u64, StorageError> {
        if let Some(known) = self.next_numbers.get(id) {
            return Ok(known);
        }
        let counter = self.api.get(&counter_key(id)).await?;
        let next = counter.as_ref().and_then(|counter| number_of(counter, "n")).unwrap_or(1);
        self.next_numbers.note(id, next);
        Ok(next)
    }

    /// The rows of the index whose batches are committed.
    async fn due_rows(&self, items: Vec<Item>) -> Result<Vec<DueRow>, StorageError> {
        let mut sessions: BTreeMap<SessionId, Vec<Item>> = BTreeMap::new();
        for item in items {
            let session = text_of(&item, PARTITION).and_then(session_of).ok_or_else(|| damaged(&item))?;
            sessions.entry(session).or_default().push(item);
        }
        let mut found = Vec::new();
        for (session, items) in sessions {
            let (staged, mut rows): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.contains_key("b"));
            if !staged.is_empty() {
                let existing = self.batches.existing(&self.api, &session, staged.clone()).await?;
                if existing.len() < staged.len() {
                    self.remove_orphans(&session, &staged, &existing).await?;
                }
                rows.extend(existing);
            }
            for item in rows {
                found.push(DueRow { session: session.clone(), key: key_of(&item)?, row: row_of(&item)? });
            }
        }
        Ok(found)
    }

    /// Removes the rows that a lost writer has left, after their batch was aborted.
    async fn remove_orphans(
        &self,
        session: &SessionId,
        staged: &[Item],
        existing: &[Item],
    ) -> Result<(), StorageError> {
        let exist: Vec<Option<ItemKey>> = existing.iter().map(ItemKey::of).collect();
        let mut left: BTreeMap<Stamp, Vec<ItemKey>> = BTreeMap::new();
        for item in staged.iter().filter(|item| !exist.contains(&ItemKey::of(item))) {
            let (Some(batch), Some(key)) = (stamp_of(item, "b"), ItemKey::of(item)) else { continue };
            if row_of(item)?.due.is_some_and(|due| System.now() > due.time().after(ORPHAN_AGE)) {
                left.entry(batch).or_default().push(key);
            }
        }
        for (batch, keys) in left {
            if self.batches.abort(&self.api, session, batch).await? {
                debug!(%session, rows = keys.len(), "rows that a lost process has left are removed");
                batches::remove(&self.api, &keys, batch).await;
            }
        }
        Ok(())
    }
}

/// The filter for rows of these pools and this session. A query reads further pages until it has found enough rows, so
/// rows of other pools cost read units, but hide nothing.
fn filter_of(kind: DueKind<'_>, only: Option<&SessionId>) -> Option<Filter> {
    let mut parts = Vec::new();
    let mut values = HashMap::new();
    if let Some(only) = only {
        parts.push(format!("begins_with({PARTITION}, :s)"));
        values.insert(":s".to_owned(), text(format!("{only}#")));
    }
    if let DueKind::Threads(pools) = kind
        && let Some(names) = pools.names()
    {
        let named: Vec<String> = (0..names.len()).map(|number| format!(":g{number}")).collect();
        let is_named = format!("g IN ({})", named.join(", "));
        values.extend(named.into_iter().zip(names.into_iter().map(text)));
        parts.push(if pools.have_default() { format!("(attribute_not_exists(g) OR {is_named})") } else { is_named });
    }
    let expression = Expression { text: parts.join(" AND "), values };
    (!parts.is_empty()).then_some(Filter { expression, is_sparse: only.is_some() })
}

/// The condition of an [update](update_of).
const IS_EXPECTED: &str = "v = :e";

async fn set_due(api: &Api, change: &SetDue) -> Result<bool, StorageError> {
    let key = row_key(&change.session, &change.key);
    Ok(match api.update(&key, update_of(change), Some(IS_EXPECTED), PATIENCE).await? {
        Written::Done(_) => true,
        Written::Refused { found, in_doubt } => in_doubt && is_of(found.as_ref(), change.stamp),
        // What may have been leased is found again when that has run out.
        Written::Unknown => false,
    })
}

fn update_of(SetDue { session, key, expected, stamp: new, due }: &SetDue) -> Expression {
    let mut update = match due {
        Some(due) => {
            let mut update = Expression::new("SET d = :d", [(":d", number(due.get()))]);
            if let Some(partition) = due_partition(session, key) {
                update.text.push_str(", k = :k");
                update.values.insert(":k".to_owned(), text(partition));
            }
            update
        }
        None => Expression::new("REMOVE d, k", []),
    };
    if let Some(new) = new {
        update.text = match due {
            Some(_) => format!("{}, v = :v", update.text),
            None => format!("SET v = :v {}", update.text),
        };
        update.values.insert(":v".to_owned(), stamp(*new));
    }
    update.values.insert(":e".to_owned(), stamp(*expected));
    update
}

/// Whether an earlier try was the one that changed the item.
fn is_of(found: Option<&Item>, new: Option<Stamp>) -> bool {
    new.is_some() && found.and_then(|found| stamp_of(found, "v")) == new
}
