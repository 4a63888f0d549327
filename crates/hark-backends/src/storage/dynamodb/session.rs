//! One session's rows.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::rows::{AllRows, Lookup, PartName, Row, RowChange, RowRange, SessionRows};
use hark_engine::{FutureId, Key, Outcome, SessionId, SessionState, StorageError, Surroundings, ThreadId, Timestamp};

use super::api::{Api, PATIENCE};
use super::batches::Batches;
use super::item::{Item, damaged, key_of, number, number_of, row_of, text_of};
use super::layout::{ItemKey, bucket, buckets_before, counter_key, row_key};
use super::parts::KnownParts;
use super::requests::{Expression, Within, Written};
use super::{Shared, clock, commit, history, parts};
use crate::surroundings::System;

/// The attributes that a scan reads: all but the content.
const SCANNED: &str = "p, r, v, t, q, s, d, u, g, m, b, x";

#[derive(Clone)]
pub(super) struct DynamoSession(pub Arc<Session>);

/// A session of the table.
pub(super) struct Session {
    pub shared: Arc<Shared>,
    pub id: SessionId,
    /// The next thread number is this one, or greater; 0 if none is known to be reserved.
    next: AtomicU64,
    /// This process is about to start it with the first thread, so there is no counter yet.
    begins: AtomicBool,
    pub known_parts: KnownParts,
    /// See [`expires`](Session::expires), once that is known.
    expires: OnceLock<Option<u64>>,
    foreseen: Mutex<Option<Foreseen>>,
}

/// Data that was read together with the first thread, because the thread's step needs it next: the session's own row,
/// and its next thread number. Both may be outdated, so the step expects the versions of thread and session.
struct Foreseen {
    at: Instant,
    own: Option<Item>,
    next: Option<u64>,
}

/// The counter of a session is one item, so numbers are reserved for many threads at a time.
const NUMBERS_RESERVED_MAX: u64 = 32;

/// With more rows in a request little is saved, and more is read in vain if the program stops awaiting. A program that
/// reads faster than threads finish also waits more often, and each wake is another write of the same item.
const VALUES_READ_TOGETHER_MAX: usize = 8;

/// How long such data is used.
const FORESEEN_TIME_MAX: Duration = Duration::from_millis(500);

fn within(partition: String, bounds: Range<Vec<u8>>, limit: usize) -> Within {
    Within { partition, from: bounds.start, to: bounds.end, attributes: Some(SCANNED), limit }
}

impl DynamoSession {
    pub fn new(shared: Arc<Shared>, id: SessionId) -> DynamoSession {
        let expires = shared.expiries.take(&id).map_or_else(OnceLock::new, OnceLock::from);
        DynamoSession(Arc::new(Session {
            shared,
            id,
            next: AtomicU64::new(0),
            begins: AtomicBool::new(false),
            known_parts: KnownParts::default(),
            expires,
            foreseen: Mutex::default(),
        }))
    }
}

impl Session {
    pub fn api(&self) -> &Api {
        &self.shared.api
    }

    fn batches(&self) -> &Batches {
        &self.shared.batches
    }

    /// The row of an item. Also advances the clock to its writer's.
    fn row(&self, item: &Item) -> Result<Row, StorageError> {
        if let Some(position) = number_of(item, "t") {
            self.shared.clock.note(position);
        }
        self.expires.get_or_init(|| number_of(item, "x"));
        row_of(item)
    }

    /// When the session and all its data expire, if they do, in seconds since 1970. The process that creates or imports
    /// the session decides this by its settings. All others read it from the session's rows, whatever their own
    /// settings are.
    pub async fn expires(&self) -> Result<Option<u64>, StorageError> {
        if let Some(known) = self.expires.get() {
            return Ok(*known);
        }
        let own = match self.begins.load(Ordering::Acquire) {
            true => None,
            false => self.api().get(&row_key(&self.id, &Key::Session)).await?,
        };
        // A session that was moved away may now come back.
        let expires = match own.filter(|own| text_of(own, "a") != Some(SessionState::Moved.name())) {
            Some(own) => number_of(&own, "x"),
            None => self.api().settings().ttl.map(|ttl| System.now().after(ttl).since(Timestamp(0)).as_secs()),
        };
        Ok(*self.expires.get_or_init(|| expires))
    }

    async fn read(&self, keys: &[(Key, ItemKey)]) -> Result<Vec<Option<Row>>, StorageError> {
        if let [(Key::Session, _)] = keys
            && let Some(Foreseen { at, own: Some(own), next }) = self.take_foreseen()
        {
            *self.foreseen() = Some(Foreseen { at, own: None, next });
            return Ok(vec![Some(self.row(&own)?)]);
        }
        let wanted: Vec<ItemKey> = keys.iter().map(|(_, key)| key.clone()).collect();
        let first = keys.iter().find(|(key, _)| *key == Key::Live(ThreadId(0))).map(|(_, key)| key);
        let foresees = first.is_some() && keys.len() > 1 && !keys.iter().any(|(key, _)| *key == Key::Session);
        let (own, counter) = (row_key(&self.id, &Key::Session), counter_key(&self.id));
        let mut all = wanted.clone();
        if foresees {
            all.extend([own.clone(), counter.clone()]);
        }
        let mut found = self.api().get_all(&all).await?;
        if foresees {
            let (own, counter) = (found.remove(&own), found.remove(&counter));
            let is_there = first.is_some_and(|first| found.contains_key(first));
            let next = match &counter {
                Some(counter) => number_of(counter, "n"),
                // It is the only one.
                None => is_there.then_some(1),
            };
            *self.foreseen() = Some(Foreseen { at: Instant::now(), own, next });
        }
        if found.values().any(|item| item.contains_key("b")) {
            let items = self.batches().existing(self.api(), &self.id, found.into_values().collect()).await?;
            found = items.into_iter().filter_map(|item| Some((ItemKey::of(&item)?, item))).collect();
        }
        wanted.iter().map(|key| found.get(key).map(|item| self.row(item)).transpose()).collect()
    }

    fn foreseen(&self) -> MutexGuard<'_, Option<Foreseen>> {
        self.foreseen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is foreseen, once.
    fn take_foreseen(&self) -> Option<Foreseen> {
        self.foreseen().take().filter(|foreseen| foreseen.at.elapsed() < FORESEEN_TIME_MAX)
    }

    /// The first rows of a range, in the order of their keys, at most `limit`.
    async fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        if let RowRange::Waiters(future) = range {
            // All of them are in one bucket.
            let key = row_key(&self.id, &Key::Wait { future: future.clone(), waiter: ThreadId(0) });
            return self.rows(self.api().query(within(key.partition, range.bounds(), limit)).await?).await;
        }
        let (mut rows, buckets) = self.scan_buckets(range.bounds(), limit).await?;
        // Within a bucket, keys are read in order, and a child's number is greater than its parent's.
        if let (RowRange::Live(from), true, true) = (range, rows.is_empty(), buckets > 1) {
            rows = self.threads_if_any(*from).await?;
        }
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows.truncate(limit);
        Ok(rows)
    }

    /// The live threads from this one on, or none if at some moment there was none.
    ///
    /// Buckets are not read at the same moment, so a thread may start another one in a bucket that was already read,
    /// and stop before its own bucket is read. Then it leaves its Future. Two scans that find no thread, and equally
    /// many Futures, prove that there was no live thread between them, because such a thread would have left its Future
    /// between the two readings of its bucket.
    async fn threads_if_any(&self, from: ThreadId) -> Result<Vec<(Key, Row)>, StorageError> {
        let last = Key::Future(ThreadId(u64::MAX).into());
        let mut futures_before = None;
        loop {
            let bounds = Key::Live(from).encode()..last.encode();
            let (mut rows, _) = self.scan_buckets(bounds, usize::MAX).await?;
            let futures = rows.iter().filter(|(key, _)| matches!(key, Key::Future(_))).count();
            rows.retain(|(key, _)| matches!(key, Key::Live(_)));
            if !rows.is_empty() || futures_before == Some(futures) {
                return Ok(rows);
            }
            futures_before = Some(futures);
        }
    }

    /// The first rows between these keys in each bucket, at most `limit` of each, and the number of buckets.
    async fn scan_buckets(&self, bounds: Range<Vec<u8>>, limit: usize) -> Result<(Vec<(Key, Row)>, u64), StorageError> {
        let mut next = self.next.load(Ordering::Acquire);
        if next == 0 {
            next = self.next_number().await?;
        }
        let (mut items, mut read) = (Vec::new(), 0);
        // The counter is read last: threads that were started meanwhile may be in further buckets.
        while read < buckets_before(next) {
            let query = |number| {
                let (api, within) = (self.api().clone(), within(bucket(&self.id, number), bounds.clone(), limit));
                async move { api.query(within).await }
            };
            let buckets = buckets_before(next);
            items.extend(Api::all((read..buckets).map(query)).await?.into_iter().flatten());
            read = buckets;
            next = self.next_number().await?;
        }
        Ok((self.rows(items).await?, read))
    }

    async fn rows(&self, items: Vec<Item>) -> Result<Vec<(Key, Row)>, StorageError> {
        let items = self.batches().existing(self.api(), &self.id, items).await?;
        items.iter().map(|item| Ok((key_of(item)?, self.row(item)?))).collect()
    }

    /// The next thread number. Without a counter no thread but the first one has rows.
    pub async fn next_number(&self) -> Result<u64, StorageError> {
        let first = ThreadId(0);
        let rows = [Key::Live(first), Key::Future(FutureId::Thread(first)), Key::Broken(first)];
        let counter = counter_key(&self.id);
        let mut keys = vec![counter.clone()];
        let begins = self.begins.load(Ordering::Acquire);
        if self.next.load(Ordering::Acquire) == 0 && !begins {
            keys.extend(rows.iter().map(|key| row_key(&self.id, key)));
        }
        let found = self.api().get_all(&keys).await?;
        let next = match found.get(&counter) {
            Some(item) => number_of(item, "n").ok_or_else(|| damaged(item))?,
            None => u64::from(begins || !found.is_empty()),
        };
        if found.contains_key(&counter) {
            self.next.fetch_max(next, Ordering::AcqRel);
        }
        Ok(next)
    }

    async fn reserve(&self, count: u64) -> Result<u64, StorageError> {
        let foreseen = self.take_foreseen().and_then(|foreseen| foreseen.next);
        if count == 0 {
            return match foreseen {
                Some(next) => Ok(next),
                None => self.next_number().await,
            };
        }
        let key = counter_key(&self.id);
        let mut add = Expression::new("SET n = n + :c", [(":c", number(count))]);
        let mut condition = Some("attribute_exists(n)");
        // The first thread may have no row yet: then the session is not written either, and other processes do not know
        // it.
        if self.next.load(Ordering::Acquire) == 0 {
            let base = if self.begins.load(Ordering::Acquire) { 1 } else { self.next_number().await? };
            add = self.counter_from(base, count).await?;
            condition = None;
        }
        loop {
            match self.api().update(&key, add, condition, PATIENCE).await? {
                Written::Done(after) => {
                    let next = after.as_ref().and_then(|after| number_of(after, "n"));
                    let next = next.ok_or_else(|| StorageError::Permanent("UpdateItem answers no number".into()))?;
                    self.next.fetch_max(next, Ordering::AcqRel);
                    self.shared.next_numbers.note(&self.id, next);
                    return Ok(next.saturating_sub(count));
                }
                Written::Refused { .. } => {
                    // The session was removed.
                    self.next.store(0, Ordering::Release);
                    self.begins.store(false, Ordering::Release);
                    add = self.counter_from(self.next_number().await?, count).await?;
                    condition = None;
                }
                Written::Unknown => {
                    let text = format!("UpdateItem on table `{}` was not answered", self.api().table());
                    return Err(StorageError::Transient(text));
                }
            }
        }
    }

    async fn counter_from(&self, base: u64, count: u64) -> Result<Expression, StorageError> {
        let mut add =
            Expression::new("SET n = if_not_exists(n, :base) + :c", [(":base", number(base)), (":c", number(count))]);
        if let Some(expires) = self.expires().await? {
            add.text.push_str(", x = :x");
            add.values.insert(":x".to_owned(), number(expires));
        }
        Ok(add)
    }

    /// Reserves the numbers of new rows, because an import writes rows whose numbers were not reserved in this table.
    pub async fn cover(&self, change: &RowChange) -> Result<(), StorageError> {
        let exists = |number: &u64| {
            change.expect.iter().any(|(key, version)| version.is_some() && *key == Key::Live(ThreadId(*number)))
        };
        let numbers = change.written().filter_map(|(key, _)| number_of_key(key));
        let Some(greatest) = numbers.filter(|number| !exists(number)).max() else { return Ok(()) };
        let is_covered = || greatest == 0 || greatest < self.next.load(Ordering::Acquire);
        // Most numbers that are unknown here were reserved by another process, and need no change of the counter.
        if is_covered() || !change.begins() && greatest < self.next_number().await? {
            return Ok(());
        }
        let mut update = Expression::new("SET n = :n", [(":n", number(greatest + 1))]);
        if let Some(expires) = self.expires().await? {
            update.text.push_str(", x = :x");
            update.values.insert(":x".to_owned(), number(expires));
        }
        let condition = Some("attribute_not_exists(n) OR n < :n");
        match self.api().update(&counter_key(&self.id), update, condition, PATIENCE).await? {
            Written::Done(_) => drop(self.next.fetch_max(greatest + 1, Ordering::AcqRel)),
            Written::Refused { found, .. } => {
                let next = found.as_ref().and_then(|found| number_of(found, "n")).unwrap_or(greatest + 1);
                self.next.fetch_max(next, Ordering::AcqRel);
            }
            Written::Unknown => {
                let text = format!("UpdateItem on table `{}` was not answered", self.api().table());
                return Err(StorageError::Transient(text));
            }
        }
        Ok(())
    }

    async fn all(&self) -> Result<AllRows, StorageError> {
        let next = self.next_number().await?;
        let query = |number| {
            let within = Within {
                partition: bucket(&self.id, number),
                from: vec![0],
                to: vec![u8::MAX],
                attributes: None,
                limit: usize::MAX,
            };
            let api = self.api().clone();
            async move { api.query(within).await }
        };
        let items = Api::all((0..buckets_before(next)).map(query)).await?;
        // Beside rows there are the counter and the batches.
        let is_row = |item: &Item| item.contains_key("q");
        let rows = self.rows(items.into_iter().flatten().filter(is_row).collect()).await?;
        if rows.is_empty() {
            return Ok(AllRows::default());
        }
        let history = history::read(self.api(), &self.id, 0, usize::MAX).await?;
        Ok(AllRows { rows, history: history.into_iter().map(|(_, page)| page).collect() })
    }
}

/// The thread number that a row uses.
fn number_of_key(key: &Key) -> Option<u64> {
    match key {
        Key::Live(thread) | Key::Broken(thread) | Key::Future(FutureId::Thread(thread)) => Some(thread.0),
        _ => None,
    }
}

impl SessionRows for DynamoSession {
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError> {
        let session = &self.0;
        let wanted: Vec<(Key, ItemKey)> =
            keys.iter().map(|lookup| (lookup.key.clone(), row_key(&session.id, lookup.key))).collect();
        session.api().wait(session.read(&wanted))
    }

    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        self.0.api().wait(self.0.scan(range, limit))
    }

    fn commit(&self, change: RowChange) -> Result<Outcome, StorageError> {
        self.0.take_foreseen();
        self.0.api().wait(commit::commit(&self.0, change))
    }

    /// Independent changes are made concurrently. A change that touches what an earlier one writes waits for it.
    fn commit_all(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        self.0.take_foreseen();
        let mut outcomes = Vec::with_capacity(changes.len());
        for changes in commit::independent_runs(changes) {
            let count = changes.len();
            let change = |change| {
                let session = self.0.clone();
                async move { Ok(commit::commit(&session, change).await) }
            };
            match self.0.api().wait(Api::all(changes.into_iter().map(change))) {
                Ok(made) => outcomes.extend(made),
                Err(error) => outcomes.extend((0..count).map(|_| Err(error.clone()))),
            }
        }
        outcomes
    }

    fn reserve(&self, count: u64) -> Result<u64, StorageError> {
        self.0.api().wait(self.0.reserve(count))
    }

    fn reserve_first(&self) -> Result<u64, StorageError> {
        self.0.begins.store(true, Ordering::Release);
        Ok(0)
    }

    fn numbers_reserved_max(&self) -> u64 {
        NUMBERS_RESERVED_MAX
    }

    fn rows_read_together(&self) -> usize {
        VALUES_READ_TOGETHER_MAX
    }

    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        self.0.api().wait(parts::read(self.0.api(), &self.0.id, names))
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError> {
        self.0.api().wait(history::read(self.0.api(), &self.0.id, after, limit))
    }

    fn history_settled(&self) -> u64 {
        clock::settled()
    }

    fn all(&self) -> Result<AllRows, StorageError> {
        self.0.api().wait(self.0.all())
    }
}
