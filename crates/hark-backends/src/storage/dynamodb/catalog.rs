//! The catalog of a table: everything beyond the rows of single sessions.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hark_engine::rows::{DueNumber, Row, RowOfSession, RowRange, RowStorage, RowTenure, SessionEntry, SessionRows};
use hark_engine::{Due, Filter, Key, SessionId, SessionState, Space, Stamp, StorageError, Surroundings, ThreadId};

use super::api::Api;
use super::commit::{Action, Deed, Expected};
use super::item::{Item, bytes_of, damaged, number, number_of, row_of, stamp_of, text, text_of};
use super::layout::{
    ItemKey, LISTING_INDEX, LISTING_SHARDS, REMOVING, SORT, bucket, buckets_before, counter_key, listing_shard,
    partitions, removing_key, row_key,
};
use super::requests::{self, Expression, Transacted, Within};
use super::session::DynamoSession;
use super::{Shared, objects};
use crate::surroundings::{System, random};

/// The table as a storage of rows.
pub(super) struct DynamoRows(pub Arc<Shared>);

/// All sort keys of a partition.
pub(super) fn whole(partition: String, attributes: Option<&'static str>) -> Within {
    Within { partition, from: vec![0], to: vec![u8::MAX; 64], attributes, limit: usize::MAX }
}

impl RowStorage for DynamoRows {
    fn name(&self) -> String {
        format!("the table `{}`", self.0.api.table())
    }

    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError> {
        Ok(Arc::new(DynamoSession::new(self.0.clone(), id.clone())))
    }

    fn space(&self) -> &dyn Space {
        &*self.0
    }

    fn tenure(&self) -> RowTenure<'_> {
        RowTenure::Due(self)
    }

    fn scratch_folder(&self) -> Option<&Path> {
        None
    }

    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError> {
        self.0.api.wait(self.0.keep_program(hash, || program.to_vec()))
    }

    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.api.wait(self.0.program(hash))
    }

    /// Also completes interrupted removals of sessions, and removes objects of expired sessions.
    fn remove_programs(&self) -> Result<(), StorageError> {
        self.0.api.wait(async {
            for left in self.0.api.query(whole(REMOVING.to_owned(), None)).await? {
                let id = bytes_of(&left, SORT).and_then(|id| std::str::from_utf8(id).ok()).and_then(SessionId::parse);
                self.0.finish_removal(&id.ok_or_else(|| damaged(&left))?).await?;
            }
            objects::remove_abandoned(&self.0.api).await?;
            self.0.remove_unused_programs().await
        })
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError> {
        self.0.api.wait(async { self.0.own_row(id).await?.as_ref().map(row_of).transpose() })
    }

    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        self.0.api.wait(self.0.sessions(filter))
    }

    fn in_state(&self, state: SessionState) -> Result<Vec<RowOfSession>, StorageError> {
        let filter = Filter { state: Some(state), ..Filter::default() };
        let items = self.0.api.wait(self.0.listed(&filter))?;
        items.iter().map(|item| Ok((id_of(item)?, row_of(item)))).collect()
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.0.api.wait(self.0.remove(id, expected))
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.0.api.wait(async {
            let own = self.0.own_row(id).await?;
            if own.as_ref().and_then(|own| stamp_of(own, "v")) != Some(expected) {
                return Ok(false);
            }
            self.0.remove_all(id).await?;
            Ok(true)
        })
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        self.0.bell.wait(at_most);
        // Other processes cannot ring here. Their changes are polled once a second.
        false
    }

    fn ring(&self) {
        self.0.bell.ring();
    }

    fn announce(&self) {}
}

impl Shared {
    async fn own_row(&self, id: &SessionId) -> Result<Option<Item>, StorageError> {
        self.api.get(&row_key(id, &Key::Session)).await
    }

    async fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        let mut items = match filter.prefix.as_deref().and_then(SessionId::parse) {
            Some(id) => self.own_row(&id).await?.into_iter().filter(|item| fits(item, filter)).collect(),
            None => self.listed(filter).await?,
        };
        items.truncate(filter.limit.unwrap_or(usize::MAX));
        let ids: Vec<SessionId> = items.iter().map(id_of).collect::<Result<_, _>>()?;
        let counters: Vec<ItemKey> = ids.iter().map(counter_key).collect();
        let counted = self.api.get_all(&counters).await?;
        let next = |counter| counted.get(counter).and_then(|item| number_of(item, "n")).unwrap_or(1);
        let threads: Vec<u64> = counters.iter().map(next).collect();
        let held = ids.iter().zip(&items).zip(&threads).map(|((id, item), threads)| {
            let (api, id, item, threads) = (self.api.clone(), id.clone(), item.clone(), *threads);
            async move { is_held(&api, &id, &item, threads).await }
        });
        let held = Api::all(held).await?;
        let entries = ids.into_iter().zip(items).zip(threads.into_iter().zip(held));
        Ok(entries
            .map(|((id, item), (threads, is_served))| SessionEntry { id, row: row_of(&item), threads, is_served })
            .collect())
    }

    /// The matching sessions, as they are in the index, the newest first.
    pub async fn listed(&self, filter: &Filter) -> Result<Vec<Item>, StorageError> {
        let limit = filter.limit.unwrap_or(usize::MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut conditions = Expression::default();
        if let Some(state) = filter.state {
            conditions.text.push_str("a = :state");
            conditions.values.insert(":state".to_owned(), text(state.name()));
        }
        if let Some((before, after)) = filter.ended_outside {
            let and = if conditions.text.is_empty() { "" } else { " AND " };
            conditions.text.push_str(&format!("{and}(e <= :before OR e > :after)"));
            conditions.values.insert(":before".to_owned(), number(before.0));
            conditions.values.insert(":after".to_owned(), number(after.0));
        }
        let conditions =
            (!conditions.text.is_empty()).then_some(requests::Filter { expression: conditions, is_sparse: true });
        let query = |shard: String| {
            let mut keys = Expression::new("l = :l", [(":l", text(shard))]);
            if let Some(prefix) = filter.prefix.as_ref().filter(|prefix| !prefix.is_empty()) {
                keys.text.push_str(" AND begins_with(i, :i)");
                keys.values.insert(":i".to_owned(), text(prefix));
            }
            let (api, conditions) = (self.api.clone(), conditions.clone());
            async move { api.query_index(LISTING_INDEX, keys, conditions, false, limit).await }
        };
        let mut items: Vec<Item> = Vec::new();
        // In this order, so that a session that ends meanwhile is found twice; otherwise it might not be found at all.
        for is_over in [false, true] {
            if filter.state.is_none_or(|state| state.is_over() == is_over) {
                let shards = (0..LISTING_SHARDS).map(|shard| listing_shard(is_over, shard));
                let found = Api::all(shards.map(query)).await?;
                items.splice(0..0, found.into_iter().flatten());
            }
        }
        items.sort_by(|one, other| text_of(other, "i").cmp(&text_of(one, "i")));
        items.dedup_by(|one, other| text_of(one, "i") == text_of(other, "i"));
        Ok(items)
    }

    async fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        let key = row_key(id, &Key::Session);
        let own = Action { key, deed: Deed::Delete, expected: Some(Expected::Version(expected)) };
        let removing = removing_key(id);
        let mark = Action { deed: Deed::Put(removing.item()), key: removing, expected: None };
        let items = [&own, &mark].map(|action| action.transacted(self.api.table()));
        let items = items.into_iter().collect::<Result<Vec<_>, _>>()?;
        let token = format!("{:016x}{:016x}", random(), random());
        match self.api.transact(items, token, super::api::PATIENCE).await? {
            Transacted::Done => {}
            Transacted::Refused { in_doubt: false, .. } => return Ok(false),
            Transacted::Refused { .. } | Transacted::Unknown => {
                let text = format!("TransactWriteItems on table `{}` was not answered", self.api.table());
                return Err(StorageError::Transient(text));
            }
        }
        self.finish_removal(id).await?;
        Ok(true)
    }

    /// Removes the rest of a session whose own row is gone.
    async fn finish_removal(&self, id: &SessionId) -> Result<(), StorageError> {
        if self.own_row(id).await?.is_none() {
            self.remove_all(id).await?;
        }
        self.api.delete(&removing_key(id), None).await.map(drop)
    }

    /// Removes everything of a session except its own row.
    async fn remove_all(&self, id: &SessionId) -> Result<(), StorageError> {
        let counter = self.api.get(&counter_key(id)).await?;
        let next = counter.as_ref().and_then(|counter| number_of(counter, "n")).unwrap_or(1);
        let own = row_key(id, &Key::Session);
        let query = |partition| {
            let api = self.api.clone();
            async move { api.query(whole(partition, Some("p, r, o"))).await }
        };
        let items = Api::all(partitions(id, next).into_iter().map(query)).await?;
        let items: Vec<Item> = items.into_iter().flatten().collect();
        // Objects go before the items that name their buckets.
        objects::remove_all(&self.api, id, &items).await?;
        let keys = items.iter().filter_map(ItemKey::of);
        // The counter goes last, because it says which partitions there are.
        let counter = counter_key(id);
        self.api.delete_all(keys.filter(|key| *key != own && *key != counter).collect()).await?;
        self.api.delete_all(vec![counter]).await
    }
}

/// The session that has this row as its own.
fn id_of(item: &Item) -> Result<SessionId, StorageError> {
    text_of(item, "i").and_then(SessionId::parse).ok_or_else(|| damaged(item))
}

/// Whether a session's own row matches the filter.
fn fits(item: &Item, filter: &Filter) -> bool {
    let ended = number_of(item, "e");
    filter.state.is_none_or(|state| text_of(item, "a") == Some(state.name()))
        && filter.ended_outside.is_none_or(|(before, after)| ended.is_some_and(|at| at <= before.0 || at > after.0))
}

/// Whether a process holds an unexpired lease of a thread of this session, or of the session itself.
async fn is_held(api: &Api, id: &SessionId, own: &Item, threads: u64) -> Result<bool, StorageError> {
    let now = System.now();
    let is_leased = |item: &Item| {
        let due = number_of(item, "d").map(|due| DueNumber::new(due).due());
        matches!(due, Some(Ok(Due::Leased(until))) if until > now)
    };
    let state = text_of(own, "a").unwrap_or_default();
    if SessionState::ALL.into_iter().find(|known| known.name() == state).is_none_or(SessionState::is_over) {
        return Ok(false);
    }
    if state != SessionState::Running.name() {
        return Ok(is_leased(own));
    }
    let bounds = RowRange::Live(ThreadId(0)).bounds();
    for number in 0..buckets_before(threads) {
        let (from, to) = (bounds.start.clone(), bounds.end.clone());
        let within = Within { partition: bucket(id, number), from, to, attributes: Some("d"), limit: usize::MAX };
        if api.query(within).await?.iter().any(is_leased) {
            return Ok(true);
        }
    }
    Ok(false)
}
