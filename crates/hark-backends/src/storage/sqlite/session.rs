//! One session's records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use hark_bytecode::wire::WireError;
use hark_engine::storage::Range;
use hark_engine::{
    Commit, FutureId, Key, Live, LogEntry, Outcome, Record, SessionId, SessionRecord, SessionStorage, Stamp,
    StorageError, ThreadId, Versioned, codec,
};
use hark_machine::Program;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::{Change, Name, RowNumber, find_row, stamp_number, stamp_of};
use super::chunks::whole;
use super::database::{PLACE_BITS, next_thread, places, where_future_is};
use super::seal;

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
            Fault::Record(error) => self.damaged("a record", &error),
            Fault::History(error) => self.damaged("the history", &error),
            Fault::At(key, error) => self.damaged(&name_of(&key), &error),
        }
    }

    fn damaged(&self, what: &str, error: &codec::CodecError) -> StorageError {
        let path = self.shared.database.path().display();
        StorageError::Permanent(format!("`{path}`: {what} of session {}: {error}", self.id))
    }

    fn read_one(&self, connection: &Connection, session: i64, key: &Key) -> Result<Option<Versioned>, Fault> {
        self.read_rows_of(connection, session, key).map_err(|fault| fault.at(key))
    }

    fn read_rows_of(&self, connection: &Connection, session: i64, key: &Key) -> Result<Option<Versioned>, Fault> {
        let program = &*self.program;
        let stamp_and = |sql: &str, number: &dyn rusqlite::ToSql, columns: usize| {
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params![session, number], |row| row_parts(row, columns)).optional()
        };
        let found = match key {
            Key::Session => {
                let sql = "SELECT stamp, id, state, ended, checksum, summary FROM session WHERE number = ?1";
                let mut statement = connection.prepare_cached(sql)?;
                let found = statement.query_row([session], |row| Ok((row.get(0)?, SessionRow::read(row, 1)?)));
                let Some((stamp, row)) = found.optional()? else { return Ok(None) };
                (stamp, Record::Session(Box::new(row.record()?)))
            }
            Key::Live(thread) => {
                let Some((stamp, live)) = self.read_live(connection, session, *thread)? else { return Ok(None) };
                (stamp, Record::Live(*thread, live))
            }
            Key::Future(name) => {
                let sql = format!("SELECT stamp, checksum, content FROM {}", where_future_is(name));
                let Some((stamp, checksum, mut parts)) = stamp_and(&sql, &Name(name), 1)? else { return Ok(None) };
                check(checksum, seal::of_future(session, name, &parts[0]))?;
                let content = whole(connection, session, parts.swap_remove(0))?;
                (stamp, Record::Future(name.clone(), codec::future(&content, program)?))
            }
            Key::Unawaited(thread) => {
                let sql = "SELECT stamp, checksum, content FROM unawaited WHERE session = ?1 AND thread = ?2";
                let number = thread.0 as i64;
                let Some((stamp, checksum, parts)) = stamp_and(sql, &number, 1)? else { return Ok(None) };
                check(checksum, seal::of_unawaited(session, number, &parts[0]))?;
                (stamp, Record::Unawaited(*thread, Box::new(codec::failure(&parts[0], program)?)))
            }
            Key::Broken(thread) => {
                let sql = "SELECT stamp, checksum, summary, content FROM broken WHERE session = ?1 AND thread = ?2";
                let number = thread.0 as i64;
                let Some((stamp, checksum, mut parts)) = stamp_and(sql, &number, 2)? else { return Ok(None) };
                let content = whole(connection, session, parts.swap_remove(1))?;
                let summary = String::from_utf8_lossy(&parts[0]);
                check(checksum, seal::of_broken(session, number, &summary))?;
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
        let stamp = std::num::NonZeroU64::new(stamp as u64).map(Stamp).ok_or(WireError::Checksum);
        Ok(Some(Versioned { stamp: stamp.map_err(codec::CodecError::from)?, record }))
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
        let sql = "SELECT stamp, checksum, summary, content, due FROM thread WHERE session = ?1 AND number = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let number = thread.0 as i64;
        let read = |row: &Row<'_>| Ok((row_parts(row, 2)?, row.get(4)?));
        let found = statement.query_row(params![session, number], read).optional()?;
        let Some(((stamp, checksum, mut parts), due)) = found else { return Ok(None) };
        let content = whole(connection, session, parts.swap_remove(1))?;
        let summary = String::from_utf8_lossy(&parts[0]);
        check(checksum, seal::of_thread(session, number, due, &summary))?;
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
                let sql = "SELECT number, summary, checksum, due FROM thread WHERE session = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, from.0 as i64, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, summary) = (thread_from(row)?, row.get_ref(1)?.as_str().unwrap_or_default());
                    let live = check(row.get(2)?, seal::of_thread(session, row.get(0)?, row.get(3)?, summary))
                        .and_then(|()| codec::live_from_summary(summary));
                    found.push(Record::Live(thread, live.map_err(|error| Fault::At(Key::Live(thread), error))?));
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
                let sql = "SELECT thread, content, checksum FROM unawaited WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, content) = (thread_from(row)?, row.get_ref(1)?.as_blob().unwrap_or_default());
                    let failure = check(row.get(2)?, seal::of_unawaited(session, row.get(0)?, content))
                        .and_then(|()| codec::failure(content, &self.program))
                        .map_err(|error| Fault::At(Key::Unawaited(thread), error))?;
                    found.push(Record::Unawaited(thread, Box::new(failure)));
                }
            }
            Range::Broken => {
                let sql = "SELECT thread, summary, checksum FROM broken WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, summary) = (thread_from(row)?, row.get_ref(1)?.as_str().unwrap_or_default());
                    let live = check(row.get(2)?, seal::of_broken(session, row.get(0)?, summary))
                        .and_then(|()| codec::live_from_summary(summary));
                    found.push(Record::Broken(thread, live.map_err(|error| Fault::At(Key::Broken(thread), error))?));
                }
            }
        }
        Ok(found)
    }

    /// One past the greatest number that any record names.
    fn count_threads(&self) -> Result<u64, StorageError> {
        self.query(|connection, session| {
            let sql = format!("SELECT {}", next_thread("?1"));
            let next: i64 = connection.prepare_cached(&sql)?.query_row([session], |row| row.get(0))?;
            Ok(next as u64)
        })
    }

    /// Reserves numbers where several processes start threads of the session.
    fn reserve_together(&self, numbers: &Mutex<Connection>, count: u64) -> Result<ThreadId, StorageError> {
        let next = next_thread("session.number");
        let sql =
            format!("UPDATE session SET reserved = ?2 + max(reserved, {next}) WHERE id = ?1 RETURNING reserved - ?2");
        let connection = lock(numbers);
        let reserve = || -> rusqlite::Result<i64> {
            connection.prepare_cached(&sql)?.query_row(params![self.id.as_str(), count as i64], |row| row.get(0))
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
            let next = 1_i64 << PLACE_BITS;
            let sql =
                format!("SELECT place % {next} FROM future WHERE place >= ?1 * {next} AND place < (?1 + 1) * {next}");
            add(&sql, &|row| future(row).map(Key::Future))?;
            add("SELECT name FROM promise WHERE session = ?1", &|row| future(row).map(Key::Future))?;
            add("SELECT future, thread FROM wait WHERE session = ?1", &|row| {
                Ok(Key::Wait { future: future(row)?, waiter: second(row)? })
            })?;
            add("SELECT future FROM todo WHERE session = ?1", &|row| future(row).map(Key::Todo))?;
            add("SELECT thread FROM unawaited WHERE session = ?1", &|row| thread_from(row).map(Key::Unawaited))?;
            add("SELECT thread FROM broken WHERE session = ?1", &|row| thread_from(row).map(Key::Broken))?;
            let read = |key: &Key| match self.read_one(connection, session, key)? {
                Some(found) => Ok(found.record),
                None => Err(Fault::At(key.clone(), WireError::Checksum.into())),
            };
            keys.iter().map(read).collect()
        })
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|connection, session| {
            let sql = "SELECT place, entries FROM log WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            let places = places(session);
            let first = places.start.saturating_add_unsigned(after).min(places.end);
            let mut rows = statement.query(params![first, places.end, limit])?;
            let mut found = Vec::new();
            let (mut last, mut count) = (after, 0);
            while let Some(row) = rows.next()? {
                let position = (row.get::<_, i64>(0)? - places.start) as u64;
                let text = row.get_ref(1)?.as_str().unwrap_or_default();
                let entries = check(position as i64, last as i64 + 1).and_then(|()| codec::log_from_text(text));
                found.extend(entries.map_err(Fault::History)?.into_iter().map(|entry| (position, entry)));
                (last, count) = (position, count + 1);
            }
            // None is ever removed. A scan ends before a row whose key is damaged; this comes from the other end.
            if count < limit {
                let sql = "SELECT max(place) FROM log WHERE place > ?1 AND place < ?2";
                let greatest: Option<i64> =
                    connection.prepare_cached(sql)?.query_row([places.start, places.end], |row| row.get(0))?;
                let greatest = greatest.map_or(0, |place| place - places.start);
                check(greatest.max(last as i64), last as i64).map_err(Fault::History)?;
            }
            Ok(found)
        })
    }
}

/// What goes wrong with a record.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Record(codec::CodecError),
    /// The same, of what happened.
    History(codec::CodecError),
    /// The same, of this record.
    At(Key, codec::CodecError),
}

impl Fault {
    fn at(self, key: &Key) -> Fault {
        match self {
            Fault::Record(error) => Fault::At(key.clone(), error),
            other => other,
        }
    }
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

/// What a message calls it.
fn name_of(key: &Key) -> String {
    match key {
        Key::Session => "the summary".to_owned(),
        Key::Live(thread) | Key::Ready(thread) => format!("thread {thread}"),
        Key::Future(future) | Key::Wait { future, .. } | Key::Todo(future) => match future {
            FutureId::Thread(thread) => format!("the Future of thread {thread}"),
            FutureId::Promise(_) => future.to_string(),
        },
        Key::Unawaited(thread) | Key::Broken(thread) => format!("the failure of thread {thread}"),
    }
}

fn check(found: i64, expected: i64) -> Result<(), codec::CodecError> {
    if found == expected { Ok(()) } else { Err(WireError::Checksum.into()) }
}

/// What is kept of a session in its own row.
pub(super) struct SessionRow {
    pub id: String,
    state: String,
    ended: Option<i64>,
    checksum: i64,
    summary: String,
}

impl SessionRow {
    /// Reads the columns `id, state, ended, checksum, summary`, which begin with this one.
    pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<SessionRow> {
        let text = |column| -> rusqlite::Result<String> {
            let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
            Ok(String::from_utf8_lossy(bytes).into_owned())
        };
        Ok(SessionRow {
            id: text(first)?,
            state: text(first + 1)?,
            ended: row.get(first + 2)?,
            checksum: row.get(first + 3)?,
            summary: text(first + 4)?,
        })
    }

    /// What they say.
    pub fn record(&self) -> Result<SessionRecord, codec::CodecError> {
        check(self.checksum, seal::of_session(&self.id, &self.state, self.ended, &self.summary))?;
        codec::session_from_summary(&self.summary)
    }
}

/// A stamp, a checksum, and so many texts or blobs after them.
fn row_parts(row: &Row<'_>, columns: usize) -> rusqlite::Result<(i64, i64, Vec<Vec<u8>>)> {
    let parts = (2..2 + columns).map(|column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    });
    Ok((row.get(0)?, row.get(1)?, parts.collect::<rusqlite::Result<_>>()?))
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
