//! One session's records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hark_engine::storage::Range;
use hark_engine::{
    Commit, FutureId, Key, Live, LogEntry, Outcome, Record, SessionId, SessionStorage, Stamp, StorageError, ThreadId,
    Versioned, codec,
};
use hark_machine::Program;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::{Change, Name, RowNumber, find_row, stamp_number, stamp_of};
use super::chunks::whole;

/// The most threads of a session that are kept as they are in memory beside what is written of them.
const KEPT_MAX: usize = 10_000;

pub(super) struct SqliteSession {
    shared: Arc<Shared>,
    id: SessionId,
    program: Arc<Program>,
    row: RowNumber,
    /// Threads as they were written last, so that whoever has written one need not decode it. A version that is not the
    /// file's is never used.
    kept: Mutex<HashMap<ThreadId, (Stamp, Box<Live>)>>,
    next_thread: OnceLock<AtomicU64>,
}

impl SqliteSession {
    pub fn new(shared: Arc<Shared>, id: SessionId, program: Arc<Program>) -> SqliteSession {
        let (row, kept, next_thread) = (RowNumber::default(), Mutex::default(), OnceLock::new());
        SqliteSession { shared, id, program, row, kept, next_thread }
    }

    /// Reads something of this session, if it exists.
    fn query<T: Default>(&self, query: impl FnOnce(&Connection, i64) -> Result<T, Fault>) -> Result<T, StorageError> {
        self.shared.database.read(|connection| {
            let found = self.row(connection).map_err(Fault::from).and_then(|row| match row {
                Some(row) => query(connection, row),
                None => Ok(T::default()),
            });
            found.map_err(|fault| self.error(fault))
        })
    }

    fn row(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        let known = self.row.load(Ordering::Acquire);
        if known != 0 {
            return Ok(Some(known));
        }
        let found = find_row(connection, &self.id)?;
        self.row.store(found.unwrap_or(0), Ordering::Release);
        Ok(found)
    }

    fn error(&self, fault: Fault) -> StorageError {
        match fault {
            Fault::Sqlite(error) => self.shared.database.error(&error),
            Fault::Record(error) => error.into(),
        }
    }

    fn read_one(&self, connection: &Connection, session: i64, key: &Key) -> Result<Option<Versioned>, Fault> {
        let program = &*self.program;
        let stamp_and = |sql: &str, number: &dyn rusqlite::ToSql, columns: usize| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params![session, number], |row| row_parts(row, columns)).optional()
        };
        let found = match key {
            Key::Session => {
                let sql = "SELECT stamp, summary FROM session WHERE number = ?1 AND ?2";
                let Some((stamp, parts)) = stamp_and(sql, &1, 1)? else { return Ok(None) };
                let summary = codec::session_from_summary(&String::from_utf8_lossy(&parts[0]))?;
                (stamp, Record::Session(Box::new(summary)))
            }
            Key::Live(thread) => {
                let Some((stamp, live)) = self.read_live(connection, session, *thread)? else { return Ok(None) };
                (stamp, Record::Live(*thread, live))
            }
            Key::Future(name) => {
                let sql = "SELECT stamp, content FROM future WHERE session = ?1 AND name = ?2";
                let Some((stamp, mut parts)) = stamp_and(sql, &Name(name), 1)? else { return Ok(None) };
                let content = whole(connection, session, parts.swap_remove(0))?;
                (stamp, Record::Future(name.clone(), codec::future(&content, program)?))
            }
            Key::Unawaited(thread) => {
                let sql = "SELECT stamp, content FROM unawaited WHERE session = ?1 AND thread = ?2";
                let Some((stamp, parts)) = stamp_and(sql, &(thread.0 as i64), 1)? else { return Ok(None) };
                (stamp, Record::Unawaited(*thread, Box::new(codec::failure(&parts[0], program)?)))
            }
            Key::Broken(thread) => {
                let sql = "SELECT stamp, summary, content FROM broken WHERE session = ?1 AND thread = ?2";
                let Some((stamp, mut parts)) = stamp_and(sql, &(thread.0 as i64), 2)? else { return Ok(None) };
                let content = whole(connection, session, parts.swap_remove(1))?;
                let summary = String::from_utf8_lossy(&parts[0]);
                (stamp, Record::Broken(*thread, codec::live(&summary, &content, program)?))
            }
            Key::Ready(_) | Key::Wait { .. } | Key::Todo(_) => {
                let Some(stamp) = stamp_of(connection, session, key)? else { return Ok(None) };
                let record = match key.clone() {
                    Key::Ready(thread) => Record::Ready(thread),
                    Key::Wait { future, waiter } => Record::Wait { future, waiter },
                    Key::Todo(future) => Record::Todo(future),
                    _ => return Ok(None),
                };
                (stamp, record)
            }
        };
        let (stamp, record) = found;
        Ok(stamp_from(stamp).map(|stamp| Versioned { stamp, record }))
    }

    /// A thread: as it was kept in memory, if that is what the file has.
    fn read_live(
        &self,
        connection: &Connection,
        session: i64,
        thread: ThreadId,
    ) -> Result<Option<(i64, Box<Live>)>, Fault> {
        let kept = lock(&self.kept).remove(&thread);
        if let Some((kept, live)) = kept {
            match stamp_of(connection, session, &Key::Live(thread))? {
                Some(stamp) if stamp == stamp_number(kept) => return Ok(Some((stamp, live))),
                None => return Ok(None),
                Some(_) => {}
            }
        }
        let sql = "SELECT stamp, summary, content FROM thread WHERE session = ?1 AND number = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let found = statement.query_row(params![session, thread.0 as i64], |row| row_parts(row, 2)).optional()?;
        let Some((stamp, mut parts)) = found else { return Ok(None) };
        let content = whole(connection, session, parts.swap_remove(1))?;
        let summary = String::from_utf8_lossy(&parts[0]);
        Ok(Some((stamp, codec::live(&summary, &content, &self.program)?)))
    }

    fn scan_range(
        &self,
        connection: &Connection,
        session: i64,
        range: &Range,
        limit: i64,
    ) -> Result<Vec<Record>, Fault> {
        let mut found = Vec::new();
        match range {
            Range::Live(from) => {
                let sql =
                    "SELECT number, summary FROM thread WHERE session = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, from.0 as i64, limit])?;
                while let Some(row) = rows.next()? {
                    let live = codec::live_from_summary(row.get_ref(1)?.as_str().unwrap_or_default())?;
                    found.push(Record::Live(thread_from(row)?, live));
                }
            }
            Range::Waiters(future) => {
                let sql = "SELECT thread FROM wait WHERE session = ?1 AND future = ?2 ORDER BY thread LIMIT ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, Name(future), limit])?;
                while let Some(row) = rows.next()? {
                    found.push(Record::Wait { future: future.clone(), waiter: thread_from(row)? });
                }
            }
            Range::Todos => {
                let sql = "SELECT future FROM todo WHERE session = ?1 ORDER BY future LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    found.push(Record::Todo(future_from(row.get_ref(0)?)));
                }
            }
            Range::Unawaited => {
                let sql = "SELECT thread, content FROM unawaited WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let failure = codec::failure(row.get_ref(1)?.as_blob().unwrap_or_default(), &self.program)?;
                    found.push(Record::Unawaited(thread_from(row)?, Box::new(failure)));
                }
            }
            Range::Broken => {
                let sql = "SELECT thread, summary FROM broken WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let live = codec::live_from_summary(row.get_ref(1)?.as_str().unwrap_or_default())?;
                    found.push(Record::Broken(thread_from(row)?, live));
                }
            }
        }
        Ok(found)
    }

    /// One past the greatest number that any record names.
    fn count_threads(&self) -> Result<u64, StorageError> {
        self.query(|connection, session| {
            let sql = "SELECT max(coalesce((SELECT max(number) FROM thread WHERE session = ?1), -1),
                coalesce((SELECT max(name) FROM future WHERE session = ?1 AND name < ''), -1)) + 1";
            let next: i64 = connection.prepare_cached(sql)?.query_row([session], |row| row.get(0))?;
            Ok(next as u64)
        })
    }

    /// Reserves numbers where several processes start threads of the session.
    fn reserve_together(&self, numbers: &Mutex<Connection>, count: u64) -> Result<ThreadId, StorageError> {
        let sql = "UPDATE session SET reserved = ?2 + max(reserved,
                coalesce((SELECT max(thread.number) FROM thread WHERE session = session.number), -1) + 1,
                coalesce((SELECT max(name) FROM future WHERE session = session.number AND name < ''), -1) + 1)
            WHERE id = ?1 RETURNING reserved - ?2";
        let connection = lock(numbers);
        let reserve = || -> rusqlite::Result<i64> {
            connection.prepare_cached(sql)?.query_row(params![self.id.as_str(), count as i64], |row| row.get(0))
        };
        reserve().map(|first| ThreadId(first as u64)).map_err(|error| self.shared.database.error(&error))
    }

    fn keep(&self, commit: &mut Commit) {
        let stamp = commit.stamp;
        let mut kept = lock(&self.kept);
        for record in commit.fresh.drain(..).chain(commit.put.drain(..)) {
            if let Record::Live(thread, live) = record
                && kept.len() < KEPT_MAX
            {
                kept.insert(thread, (stamp, live));
            }
        }
        for key in commit.delete.drain(..) {
            if let Key::Live(thread) = key {
                kept.remove(&thread);
            }
        }
        commit.expect.clear();
    }
}

impl SessionStorage for SqliteSession {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        let read = self.query(|connection, session| {
            keys.iter().map(|key| self.read_one(connection, session, key)).collect::<Result<Vec<_>, _>>()
        })?;
        let missing = keys.len() - read.len();
        found.extend(read);
        found.extend((0..missing).map(|_| None));
        Ok(())
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|connection, session| self.scan_range(connection, session, &range, limit))
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        let server = self.shared.server_number()?;
        let change = Change::new(&self.id, &self.row, server, commit, &self.program);
        let outcome = self.shared.group.commit(&self.shared.database, change)?;
        if outcome == Outcome::Done {
            self.keep(commit);
        }
        Ok(outcome)
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        if let Some(supervision) = &self.shared.serves {
            return self.reserve_together(&supervision.numbers, count);
        }
        let next = match self.next_thread.get() {
            Some(next) => next,
            None => {
                let first = self.count_threads()?;
                self.next_thread.get_or_init(|| AtomicU64::new(first))
            }
        };
        if count == 0 {
            // Others may have started some.
            next.fetch_max(self.count_threads()?, Ordering::Relaxed);
        }
        Ok(ThreadId(next.fetch_add(count, Ordering::Relaxed)))
    }

    fn all(&self) -> Result<Vec<Record>, StorageError> {
        self.query(|connection, session| {
            let mut keys = Vec::new();
            let mut add = |sql: &str, key: &dyn Fn(&Row<'_>) -> rusqlite::Result<Key>| -> Result<(), Fault> {
                let mut statement = connection.prepare(sql)?;
                let mut rows = statement.query([session])?;
                while let Some(row) = rows.next()? {
                    keys.push(key(row)?);
                }
                Ok(())
            };
            let future = |row: &Row<'_>| row.get_ref(0).map(future_from);
            let second = |row: &Row<'_>| row.get::<_, i64>(1).map(|thread| ThreadId(thread as u64));
            add("SELECT number FROM thread WHERE session = ?1", &|row| thread_from(row).map(Key::Live))?;
            add("SELECT thread FROM ready WHERE session = ?1", &|row| thread_from(row).map(Key::Ready))?;
            add("SELECT name FROM future WHERE session = ?1", &|row| future(row).map(Key::Future))?;
            add("SELECT future, thread FROM wait WHERE session = ?1", &|row| {
                Ok(Key::Wait { future: future(row)?, waiter: second(row)? })
            })?;
            add("SELECT future FROM todo WHERE session = ?1", &|row| future(row).map(Key::Todo))?;
            add("SELECT thread FROM unawaited WHERE session = ?1", &|row| thread_from(row).map(Key::Unawaited))?;
            add("SELECT thread FROM broken WHERE session = ?1", &|row| thread_from(row).map(Key::Broken))?;
            let read = |key: &Key| self.read_one(connection, session, key).transpose();
            keys.iter().filter_map(read).map(|found| found.map(|found| found.record)).collect()
        })
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|connection, session| {
            let sql =
                "SELECT position, entries FROM log WHERE session = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![session, after as i64, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let position = row.get::<_, i64>(0)? as u64;
                let text = row.get_ref(1)?.as_str().unwrap_or_default();
                let entries = codec::log_from_text(text)?;
                found.extend(entries.into_iter().map(|entry| (position, entry)));
            }
            Ok(found)
        })
    }
}

/// What goes wrong with a record.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Record(codec::CodecError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<codec::CodecError> for Fault {
    fn from(error: codec::CodecError) -> Fault {
        Fault::Record(error)
    }
}

/// A stamp, and so many texts or blobs after it.
fn row_parts(row: &Row<'_>, columns: usize) -> rusqlite::Result<(i64, Vec<Vec<u8>>)> {
    let parts = (1..=columns).map(|column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    });
    Ok((row.get(0)?, parts.collect::<rusqlite::Result<_>>()?))
}

fn stamp_from(number: i64) -> Option<Stamp> {
    std::num::NonZeroU64::new(number as u64).map(Stamp)
}

fn thread_from(row: &Row<'_>) -> rusqlite::Result<ThreadId> {
    Ok(ThreadId(row.get::<_, i64>(0)? as u64))
}

fn future_from(value: ValueRef<'_>) -> FutureId {
    match value {
        ValueRef::Integer(thread) => FutureId::Thread(ThreadId(thread as u64)),
        other => FutureId::Promise(other.as_str().unwrap_or_default().into()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
