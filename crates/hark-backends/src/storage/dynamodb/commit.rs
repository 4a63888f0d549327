//! Makes a change by calls: one conditional write, or one transaction.
//!
//! Data that does not fit into a transaction is written before it: new rows, which name their batch (see [`batches`]),
//! and pieces of pages. Reference counts of parts are incremented before it and decremented after it.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use hark_engine::rows::{Row, RowChange, RowRenewal};
use hark_engine::{Key, Outcome, SessionId, Stamp, StorageError, ThreadId};

use super::api::{Api, PATIENCE};
use super::clock::POSITION_TIME_MAX;
use super::history::Pages;
use super::item::{Item, START, number, row_item, size_of, stamp, stamp_of, start_of, text};
use super::layout::{ItemKey, batch_key, row_key};
use super::parts;
use super::requests::{Expression, Transacted, Written, mistake};
use super::session::Session;
use super::{Shared, batches};
use crate::surroundings::random;

/// The maximum number of items of a transaction.
const ITEMS_MAX: usize = 100;
/// The maximum number of bytes put into one. DynamoDB allows 4 MB.
const BYTES_MAX: usize = 3 << 20;

/// How many times rows are staged if an earlier try has left others in their places.
const STAGE_TRIES: usize = 3;

/// A change of an item.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Put(Item),
    Update(Expression),
    Delete,
    Check,
}

/// A condition on an item.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expected {
    Version(Stamp),
    Absent,
    /// The session's own row must exist.
    There,
}

#[derive(Debug, Clone)]
pub(super) struct Action {
    pub key: ItemKey,
    pub deed: Deed,
    pub expected: Option<Expected>,
}

impl Action {
    fn condition(&self) -> Option<Expression> {
        Some(match self.expected? {
            Expected::Version(version) => Expression::new("v = :e", [(":e", stamp(version))]),
            Expected::Absent => Expression::new("attribute_not_exists(p)", []),
            Expected::There => Expression::new("attribute_exists(p)", []),
        })
    }

    /// Whether it can be a single write, which cannot happen twice, however late it is.
    pub fn is_write_under_condition(&self) -> bool {
        self.expected.is_some() && !matches!(self.deed, Deed::Check)
    }

    fn size(&self) -> usize {
        match &self.deed {
            Deed::Put(item) => size_of(item),
            _ => 200,
        }
    }

    /// Makes a change of one item.
    pub async fn write(&self, api: &Api, writer: Stamp) -> Result<Outcome, StorageError> {
        let written = match &self.deed {
            Deed::Put(item) => api.put(item.clone(), self.condition()).await?,
            Deed::Delete => api.delete(&self.key, self.condition()).await?,
            Deed::Update(update) => {
                let (mut update, condition) = (update.clone(), self.condition());
                let condition = condition.map(|Expression { text, values }| {
                    update.values.extend(values);
                    text
                });
                api.update(&self.key, update, condition.as_deref(), PATIENCE).await?
            }
            Deed::Check => return Err(StorageError::Permanent("a check alone is no write".into())),
        };
        Ok(match written {
            Written::Done(_) => Outcome::Done,
            // An earlier try of this call has succeeded, and its answer was lost or late.
            Written::Refused { in_doubt: false, .. } => Outcome::Conflict,
            Written::Refused { found: Some(found), .. } if stamp_of(&found, "v") == Some(writer) => Outcome::Done,
            Written::Refused { .. } | Written::Unknown => Outcome::Unknown,
        })
    }

    pub fn transacted(&self, table: &str) -> Result<TransactWriteItem, StorageError> {
        let (condition, values) = match self.condition() {
            Some(Expression { text, values }) => (Some(text), Some(values).filter(|values| !values.is_empty())),
            None => (None, None),
        };
        let key = Some(self.key.item());
        let item = TransactWriteItem::builder();
        Ok(match &self.deed {
            Deed::Put(put) => {
                let put = Put::builder().table_name(table).set_item(Some(put.clone()));
                let put = put.set_condition_expression(condition).set_expression_attribute_values(values);
                item.put(put.build().map_err(mistake)?)
            }
            Deed::Update(update) => {
                let mut all = update.values.clone();
                all.extend(values.into_iter().flatten());
                let update = Update::builder().table_name(table).set_key(key).update_expression(&update.text);
                let update = update.set_condition_expression(condition).set_expression_attribute_values(Some(all));
                item.update(update.build().map_err(mistake)?)
            }
            Deed::Delete => {
                let delete = Delete::builder().table_name(table).set_key(key).set_condition_expression(condition);
                item.delete(delete.set_expression_attribute_values(values).build().map_err(mistake)?)
            }
            Deed::Check => {
                let check = ConditionCheck::builder().table_name(table).set_key(key);
                let check = check.set_condition_expression(condition).set_expression_attribute_values(values);
                item.condition_check(check.build().map_err(mistake)?)
            }
        }
        .build())
    }
}

/// A change that is being carried out.
struct Plan {
    stamp: Stamp,
    actions: Vec<Action>,
    /// New rows that are written beforehand, because there are too many for the transaction.
    staged: Vec<Item>,
    /// When the batch of these rows expires.
    expires: Option<u64>,
    pages: Pages,
    /// The change expects nothing of the session, so if the session does not exist, it was removed.
    expects_nothing: bool,
}

/// Divides changes into runs, in order, so that no change touches an item that another change of its run writes.
pub(super) fn independent_runs(changes: Vec<RowChange>) -> Vec<Vec<RowChange>> {
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    let (mut written, mut touched): (HashSet<Key>, HashSet<Key>) = (HashSet::new(), HashSet::new());
    for change in changes {
        let writes: Vec<Key> = written_keys(&change).cloned().collect();
        let expects = change.expect.iter().map(|(key, _)| key);
        let depends =
            expects.clone().any(|key| written.contains(key)) || writes.iter().any(|key| touched.contains(key));
        if depends {
            runs.push(std::mem::take(&mut run));
            written.clear();
            touched.clear();
        }
        touched.extend(expects.chain(&writes).cloned());
        written.extend(writes);
        run.push(change);
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

fn written_keys(change: &RowChange) -> impl Iterator<Item = &Key> {
    let renewed = change.renew.iter().map(|renewal| &renewal.key);
    change.written().map(|(key, _)| key).chain(&change.delete).chain(renewed)
}

/// Makes a change.
pub(super) async fn commit(session: &Arc<Session>, change: RowChange) -> Result<Outcome, StorageError> {
    let shared = &session.shared;
    if let Some(program) = &change.program {
        shared.keep_program(&program.hash(), || program.bytes()).await?;
    }
    let expires = session.expires().await?;
    session.cover(&change).await?;
    let (ups, downs): (Vec<_>, Vec<_>) = change.parts.iter().cloned().partition(|part| part.uses > 0);
    let up = |part| {
        let session = session.clone();
        async move { parts::count_up(session.api(), &session.id, &session.known_parts, &part, expires).await }
    };
    Api::all(ups.iter().cloned().map(up)).await?;
    let outcome = plan(session, change, expires).carry_out(session).await;
    let unused: Vec<_> = match outcome {
        Ok(Outcome::Done) => downs.into_iter().map(|part| (part.name, part.uses)).collect(),
        // It may have happened, so the parts that it names must stay.
        Ok(Outcome::Unknown) => Vec::new(),
        Ok(Outcome::Conflict) | Err(_) => ups.into_iter().map(|part| (part.name, -part.uses)).collect(),
    };
    let down = |(name, uses)| {
        let session = session.clone();
        async move {
            parts::count_down(session.api(), &session.id, &session.known_parts, &name, uses).await;
            Ok(())
        }
    };
    Api::all(unused.into_iter().map(down)).await?;
    outcome
}

fn plan(session: &Session, change: RowChange, expires: Option<u64>) -> Plan {
    let id = &session.id;
    let position = session.shared.clock.last();
    let item_of = |key: &Key, row: &Row| {
        let mut item = row_item(id, key, row);
        item.insert("t".to_owned(), number(position));
        item.extend(expires.map(|expires| ("x".to_owned(), number(expires))));
        item.extend(row_key(id, key).item());
        item
    };
    let mut expected: HashMap<Key, Expected> = HashMap::with_capacity(change.expect.len());
    for (key, version) in &change.expect {
        expected.insert(key.clone(), version.map_or(Expected::Absent, Expected::Version));
    }
    let writes_session = change.written().any(|(key, _)| *key == Key::Session);
    let writes = change.written().next().is_some() || !change.history.is_empty();
    let expects_there = change.expect.iter().any(|(_, version)| version.is_some());
    let mut actions = Vec::new();
    let mut act = |key: &Key, deed| {
        let expected = expected.remove(key);
        actions.push(Action { key: row_key(id, key), deed, expected });
    };
    change.put.iter().for_each(|(key, row)| act(key, Deed::Put(item_of(key, row))));
    change.delete.iter().for_each(|key| act(key, Deed::Delete));
    if let Some(RowRenewal { key, summary }) = &change.renew {
        let mut update = Expression::new("SET v = :v, t = :t", [(":v", stamp(change.stamp)), (":t", number(position))]);
        if let Some((summary, seal)) = summary {
            update.text.push_str(", s = :s, q = :q");
            update.values.insert(":s".to_owned(), text(summary));
            update.values.insert(":q".to_owned(), number((*seal).into()));
        }
        act(key, Deed::Update(update));
    }
    for (key, expected) in expected {
        actions.push(Action { key: row_key(id, &key), deed: Deed::Check, expected: Some(expected) });
    }
    if writes && !writes_session && !expects_there {
        let key = row_key(id, &Key::Session);
        match actions.iter_mut().find(|action| action.key == key) {
            // It deletes the session's row, or expects that there is none.
            Some(action) => action.expected = action.expected.or(Some(Expected::There)),
            None => actions.push(Action { key, deed: Deed::Check, expected: Some(Expected::There) }),
        }
    }
    let pages = Pages::new(id, change.stamp, &change.history, expires);
    let mut fresh: Vec<(ItemKey, Item)> =
        change.fresh.iter().map(|(key, row)| (row_key(id, key), item_of(key, row))).collect();
    if change.is_start() {
        let first = row_key(id, &Key::Live(ThreadId(0)));
        let own = change.written().find(|(key, _)| *key == Key::Session).and_then(|(_, own)| start_of(id, own));
        if let (Some((_, thread)), Some(own)) = (fresh.iter_mut().find(|(key, _)| *key == first), own) {
            thread.insert(START.to_owned(), own);
        }
    }
    let size: usize = actions.iter().map(Action::size).chain(fresh.iter().map(|(_, item)| size_of(item))).sum();
    let mut staged = Vec::new();
    if actions.len() + fresh.len() + pages.len() <= ITEMS_MAX && size <= BYTES_MAX - (1 << 20) {
        let put = |(key, item)| Action { key, deed: Deed::Put(item), expected: None };
        actions.extend(fresh.into_iter().map(put));
    } else {
        staged.extend(fresh.into_iter().map(|(_, item)| item));
    }
    Plan { stamp: change.stamp, actions, staged, expires, pages, expects_nothing: change.expect.is_empty() }
}

/// Writes rows that become valid when their batch is committed. Returns false if there are others in their places.
///
/// They are written in transactions, whose tokens prevent a row that may have been deleted since from being written
/// again.
async fn stage(session: &Session, batch: Stamp, mut rows: Vec<Item>) -> Result<bool, StorageError> {
    rows.iter_mut().for_each(|row| drop(row.insert("b".to_owned(), stamp(batch))));
    let (mut chunks, mut chunk, mut bytes) = (Vec::new(), Vec::new(), 0);
    for row in rows {
        let size = size_of(&row);
        if chunk.len() == ITEMS_MAX || bytes + size > BYTES_MAX && !chunk.is_empty() {
            chunks.push(std::mem::take(&mut chunk));
            bytes = 0;
        }
        bytes += size;
        chunk.push(row);
    }
    chunks.push(chunk);
    let write = |chunk: Vec<Item>| {
        let (shared, id) = (session.shared.clone(), session.id.clone());
        async move { stage_some(&shared, &id, chunk).await }
    };
    Ok(Api::all(chunks.into_iter().map(write)).await?.into_iter().all(|is_done| is_done))
}

async fn stage_some(shared: &Shared, id: &SessionId, rows: Vec<Item>) -> Result<bool, StorageError> {
    let api = &shared.api;
    let mut actions = Vec::with_capacity(rows.len());
    for row in rows {
        let key = ItemKey::of(&row).ok_or_else(|| mistake("a row has no key"))?;
        actions.push(Action { key, deed: Deed::Put(row), expected: Some(Expected::Absent) });
    }
    let items = actions.iter().map(|action| action.transacted(api.table())).collect::<Result<Vec<_>, _>>()?;
    for _ in 0..STAGE_TRIES {
        let token = format!("{:016x}{:016x}", random(), random());
        match api.transact(items.clone(), token, PATIENCE).await? {
            Transacted::Done => return Ok(true),
            Transacted::Unknown | Transacted::Refused { in_doubt: true, .. } => {
                let text = format!("TransactWriteItems on table `{}` was not answered", api.table());
                return Err(StorageError::Transient(text));
            }
            Transacted::Refused { failed, .. } => {
                // Removes rows that an earlier try has left, to make room for these.
                let places: Vec<ItemKey> =
                    failed.iter().filter_map(|index| actions.get(*index)).map(|action| action.key.clone()).collect();
                for (key, found) in api.get_all(&places).await? {
                    let Some(left) = stamp_of(&found, "b") else { return Ok(false) };
                    if !shared.batches.abort(api, id, left).await? {
                        return Ok(false);
                    }
                    batches::remove(api, &[key], left).await;
                }
            }
        }
    }
    Ok(false)
}

impl Plan {
    async fn carry_out(mut self, session: &Session) -> Result<Outcome, StorageError> {
        if self.actions.len() + self.pages.len() + usize::from(!self.staged.is_empty()) > ITEMS_MAX {
            let text = format!("a commit changes {} items, of which {ITEMS_MAX} are possible", self.actions.len());
            return Err(StorageError::Permanent(text));
        }
        let pieces = std::mem::take(&mut self.pages.pieces);
        if !pieces.is_empty() {
            session.api().put_all(pieces).await?;
        }
        let staged = std::mem::take(&mut self.staged);
        if staged.is_empty() {
            return self.finish(session).await;
        }
        // Each try has its own batch, so that a late write of an earlier try belongs to an aborted one.
        let batch = Stamp(NonZeroU64::MIN | random());
        let mut item = batches::committed(&session.id, batch);
        item.extend(self.expires.map(|expires| ("x".to_owned(), number(expires))));
        let key = batch_key(&session.id, batch);
        self.actions.push(Action { key, deed: Deed::Put(item), expected: Some(Expected::Absent) });
        let keys: Vec<ItemKey> = staged.iter().filter_map(ItemKey::of).collect();
        let outcome = match stage(session, batch, staged).await {
            Ok(true) => self.finish(session).await,
            Ok(false) => Ok(Outcome::Conflict),
            Err(error) => Err(error),
        };
        if matches!(outcome, Ok(Outcome::Conflict) | Err(_)) {
            // A late transaction of an earlier try must not commit them any more.
            let (api, batches) = (session.api(), &session.shared.batches);
            if batches.abort(api, &session.id, batch).await.unwrap_or(false) {
                batches::remove(api, &keys, batch).await;
            }
        }
        outcome
    }

    async fn finish(&self, session: &Session) -> Result<Outcome, StorageError> {
        match (&self.actions[..], self.pages.is_empty()) {
            ([], true) => Ok(Outcome::Done),
            ([action], true) if action.is_write_under_condition() => action.write(session.api(), self.stamp).await,
            _ => self.transact(session).await,
        }
    }

    async fn transact(&self, session: &Session) -> Result<Outcome, StorageError> {
        let (api, begun) = (session.api(), Instant::now());
        let fixed = self.actions.iter().map(|action| action.transacted(api.table()));
        let fixed = fixed.collect::<Result<Vec<_>, _>>()?;
        loop {
            let mut items = fixed.clone();
            for item in self.pages.at(&session.id, self.stamp, || session.shared.clock.next()) {
                let key = ItemKey::of(&item).ok_or_else(|| mistake("a page has no key"))?;
                let page = Action { key, deed: Deed::Put(item), expected: Some(Expected::Absent) };
                items.push(page.transacted(api.table())?);
            }
            let token = format!("{:016x}{:016x}", self.stamp.0, random());
            let patience = if self.pages.is_empty() { PATIENCE } else { POSITION_TIME_MAX };
            match api.transact(items, token, patience).await {
                Ok(Transacted::Done) => return Ok(Outcome::Done),
                Ok(Transacted::Unknown) => return Ok(Outcome::Unknown),
                Ok(Transacted::Refused { in_doubt: true, .. }) => return Ok(Outcome::Unknown),
                Ok(Transacted::Refused { failed, .. }) => {
                    let failed: Vec<&Action> = failed.iter().filter_map(|index| self.actions.get(*index)).collect();
                    if failed.is_empty() {
                        // Other pages have these positions.
                        continue;
                    }
                    let is_gone = |action: &&Action| matches!(action.expected, Some(Expected::There));
                    if self.expects_nothing && failed.iter().any(is_gone) {
                        return Err(StorageError::Gone);
                    }
                    return Ok(Outcome::Conflict);
                }
                // It did not happen, and gets other positions.
                Err(StorageError::Transient(_)) if begun.elapsed() < PATIENCE && !self.pages.is_empty() => {}
                Err(error) => return Err(error),
            }
        }
    }
}
