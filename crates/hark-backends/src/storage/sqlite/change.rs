//! A commit as rows, made where the commit is, and carried out by whoever leads its group.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hark_engine::limits::APART_BYTES_MIN;
use hark_engine::{
    Commit, Due, FutureId, Key, LogEntry, Outcome, Record, Renewal, SessionId, SessionState, Stamp, StorageError,
    ThreadId, Timestamp, Waiter, codec,
};
use hark_machine::{Apart, Pickle, Program};
use rusqlite::types::{FromSql, ToSql, ToSqlOutput};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::chunks::{self, Content};
use super::database::{DUE_AT_TAKEOVER, PLACE_BITS, SESSIONS_MAX, places, session_number};
use super::kept::ThreadSize;
use super::row::thread_number;
use super::seal;

/// How much output is in one row of the log at most, unless it is one text.
const LOG_ROW_BYTES: usize = 1 << 20;

/// The number of a session's row, once it is known to be written; 0 before.
pub(super) type RowNumber = Arc<AtomicI64>;

/// A statement about the row of a record: this, and where the row is.
macro_rules! at {
    ($verb:literal, $key:expr) => {
        match $key {
            Key::Session => concat!($verb, "session WHERE number = ?1"),
            Key::Live(_) => concat!($verb, "thread WHERE session = ?1 AND number = ?2"),
            Key::Ready(_) => concat!($verb, "ready WHERE session = ?1 AND thread = ?2"),
            Key::Cancel(_) => concat!($verb, "cancel WHERE session = ?1 AND thread = ?2"),
            Key::Cascade(_) => concat!($verb, "cascade WHERE session = ?1 AND thread = ?2"),
            Key::Future(FutureId::Thread(_)) => concat!($verb, "future WHERE place = (?1 << 33) + ?2"),
            Key::Future(FutureId::Promise(_)) => concat!($verb, "promise WHERE session = ?1 AND name = ?2"),
            Key::Wait { .. } => concat!($verb, "wait WHERE session = ?1 AND future = ?2 AND thread = ?3"),
            Key::Todo(_) => concat!($verb, "todo WHERE session = ?1 AND future = ?2"),
            Key::Unawaited(_) => concat!($verb, "unawaited WHERE session = ?1 AND thread = ?2"),
            Key::Broken(_) => concat!($verb, "broken WHERE session = ?1 AND thread = ?2"),
        }
    };
}
pub(super) use at;

const _: () = assert!(PLACE_BITS == 33, "`at!` has the number in its text");

/// The rows that a commit expects, writes and deletes.
pub(super) struct Change {
    session: SessionId,
    row: RowNumber,
    /// Whose session it is. None where threads are leased.
    owner: Owner,
    /// Nobody else may have the session.
    by_server: bool,
    stamp: Stamp,
    expect: Vec<(Key, Option<Stamp>)>,
    put: Vec<Row>,
    delete: Vec<Key>,
    /// A thread that gets the stamp and stays as it is.
    renew: Option<Renewal>,
    /// JSON arrays, each a row.
    log: Vec<String>,
    /// The program, if the session begins with this.
    program: Option<Arc<Program>>,
}

/// A row that is written.
enum Row {
    Session { state: &'static str, ended: Option<i64>, summary: String },
    Thread { number: ThreadId, due: DueColumns, summary: String, content: Content },
    Ready(ThreadId, DueColumns),
    Cancel(ThreadId),
    Cascade { thread: ThreadId, due: DueColumns, started: String },
    Future { name: FutureId, content: Content },
    Wait { future: FutureId, waiter: Waiter },
    Todo(FutureId, DueColumns),
    Unawaited { thread: ThreadId, content: Content },
    Broken { thread: ThreadId, summary: String, content: Content },
}

/// A Future's name as SQLite keeps it.
pub(super) struct Name<'a>(pub &'a FutureId);

impl ToSql for Name<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.0 {
            FutureId::Thread(thread) => Ok(ToSqlOutput::from(thread_number(*thread))),
            FutureId::Promise(id) => Ok(ToSqlOutput::from(&**id)),
        }
    }
}

/// A stamp as SQLite keeps it.
pub(super) fn stamp_number(stamp: Stamp) -> i64 {
    stamp.0.get() as i64
}

/// When someone must look at a row, as SQLite keeps it.
#[derive(Clone, Copy, Default)]
struct DueColumns {
    due: Option<i64>,
    leased: Option<bool>,
}

impl From<Option<Due>> for DueColumns {
    fn from(due: Option<Due>) -> DueColumns {
        match due {
            Some(Due::At(time)) => DueColumns { due: Some(due_number(time)), leased: None },
            Some(Due::AtTakeover) => DueColumns { due: Some(DUE_AT_TAKEOVER), leased: None },
            Some(Due::Leased(until)) => DueColumns { due: Some(due_number(until)), leased: Some(true) },
            None => DueColumns::default(),
        }
    }
}

/// A time at which a row is due. What is due at a takeover comes before all times.
pub(super) fn due_number(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX).max(1)
}

/// For whom a process writes to sessions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// For this server, which is the process itself or its supervisor.
    Server(i64),
    /// For whoever serves the file, as threads are leased. A session has a server only while it is exported or imported: the
    /// number of this process, if it does that.
    OfAll(Option<i64>),
}

impl Owner {
    /// Whether it may go on with a session that has this server.
    fn may_write(self, server: Option<i64>) -> bool {
        match self {
            Owner::Server(me) => server == Some(me),
            Owner::OfAll(me) => server.is_none() || server == me,
        }
    }

    /// The server of a session that begins with this state.
    fn of_new_session(self, state: &str) -> Option<i64> {
        match self {
            Owner::Server(me) => Some(me),
            Owner::OfAll(me) => me.filter(|_| state == SessionState::Importing.name()),
        }
    }
}

impl Change {
    pub fn new(session: &SessionId, row: &RowNumber, owner: Owner, commit: &Commit, program: &Arc<Program>) -> Change {
        let due = |record: &Record| match record {
            _ if matches!(owner, Owner::OfAll(_)) => commit.due(record),
            Record::Live(_, live) => live.due(),
            _ => None,
        };
        let rows = commit.fresh.iter().chain(&commit.put).map(|record| row_of(record, due(record).into(), program));
        let log = parts_of(&commit.log).map(codec::log_text).collect();
        let begins = commit.expect.iter().any(|(key, stamp)| *key == Key::Session && stamp.is_none());
        Change {
            session: session.clone(),
            row: row.clone(),
            owner,
            by_server: commit.by_server,
            stamp: commit.stamp,
            expect: commit.expect.clone(),
            put: rows.collect(),
            delete: commit.delete.clone(),
            renew: commit.renew.clone(),
            log,
            program: begins.then(|| program.clone()),
        }
    }

    /// How long the threads are that it writes, in their order.
    pub fn thread_sizes(&self) -> Vec<ThreadSize> {
        let sizes = self.put.iter().filter_map(|row| match row {
            Row::Thread { content, .. } => {
                let pickles = content.pickles().iter().map(|pickle| pickle.length()).sum();
                Some(ThreadSize { bytes: content.length(), pickles })
            }
            _ => None,
        });
        sizes.collect()
    }

    /// The pickles that its rows name.
    pub fn pickles(&self) -> impl Iterator<Item = &Arc<Pickle>> {
        self.put.iter().flat_map(|row| match row {
            Row::Thread { content, .. }
            | Row::Future { content, .. }
            | Row::Unawaited { content, .. }
            | Row::Broken { content, .. } => content.pickles(),
            _ => &[],
        })
    }

    /// Makes the change within a transaction, if all is as it expects.
    ///
    /// # Errors
    /// If the database fails. Within it is what becomes of this change alone.
    pub fn make(&self, connection: &Connection) -> rusqlite::Result<Result<Outcome, StorageError>> {
        if self.by_server
            && let Some(row) = self.known_row(connection)?
        {
            let sql = "SELECT server FROM session WHERE number = ?1";
            let server: Option<Option<i64>> =
                connection.prepare_cached(sql)?.query_row([row], |row| row.get(0)).optional()?;
            match server {
                Some(server) if self.owner.may_write(server) => {}
                Some(_) => return Ok(Err(StorageError::TakenOver)),
                None => return Ok(Err(StorageError::Gone)),
            }
        }
        if self.expect.is_empty() && !self.put.is_empty() && !self.is_there(connection)? {
            return Ok(Err(StorageError::Gone));
        }
        self.make_expected(connection).map(Ok)
    }

    fn make_expected(&self, connection: &Connection) -> rusqlite::Result<Outcome> {
        let is_new = self.program.is_some();
        if is_new {
            // Nothing else can be there of a session that is not.
            if self.find_row(connection)?.is_some() {
                return Ok(Outcome::Conflict);
            }
        } else {
            let row = self.known_row(connection)?;
            for (key, stamp) in &self.expect {
                let found = row.map(|row| stamp_of(connection, row, key)).transpose()?.flatten();
                if found != stamp.map(stamp_number) {
                    return Ok(Outcome::Conflict);
                }
            }
        }
        let session = self.put.iter().find(|row| matches!(row, Row::Session { .. }));
        let mut row = if is_new { None } else { self.known_row(connection)? };
        if let Some(Row::Session { state, ended, summary }) = session {
            row = Some(self.write_session(connection, row, state, *ended, summary)?);
        }
        let Some(row) = row else {
            // Only what writes nothing can speak of a session that is not there.
            return Ok(if self.put.is_empty() { Outcome::Done } else { Outcome::Conflict });
        };
        for each in &self.put {
            self.write(connection, row, each)?;
        }
        if !is_new {
            for key in &self.delete {
                delete(connection, row, key)?;
            }
        }
        if let Some(renewal) = &self.renew {
            let number = thread_number(renewal.thread);
            let sql = "UPDATE thread SET stamp = ?3 WHERE session = ?1 AND number = ?2";
            connection.prepare_cached(sql)?.execute(params![row, number, stamp_number(self.stamp)])?;
            if renewal.progress.is_some() {
                put_progress(connection, row, number, renewal)?;
            }
        }
        for entries in &self.log {
            // As a SELECT it would go through a temporary table, as it reads the table that it writes.
            let next = "INSERT INTO log VALUES (
                (SELECT coalesce(max(place), ?1) + 1 FROM log WHERE place > ?1 AND place < ?2), ?3)";
            let places = places(row);
            connection.prepare_cached(next)?.execute(params![places.start, places.end, entries])?;
        }
        Ok(Outcome::Done)
    }

    /// Whether the session, if it was written once, still is, for changes that expect nothing of it.
    fn is_there(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Some(row) = self.known_row(connection)? else { return Ok(true) };
        connection.prepare_cached("SELECT 1 FROM session WHERE number = ?1")?.exists([row])
    }

    fn known_row(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        match self.row.load(Ordering::Acquire) {
            0 => self.find_row(connection),
            row => Ok(Some(row)),
        }
    }

    fn find_row(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        find_row(connection, &self.session)
    }

    fn write_session(
        &self,
        connection: &Connection,
        row: Option<i64>,
        state: &str,
        ended: Option<i64>,
        summary: &str,
    ) -> rusqlite::Result<i64> {
        let stamp = stamp_number(self.stamp);
        let id = self.session.as_str();
        let checksum = seal::of_session(id, state, ended, summary);
        let Some(row) = row else {
            let insert = "INSERT INTO session (id, stamp, state, ended, server, checksum, summary)
                SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?8 IS NULL OR EXISTS (SELECT 1 FROM program WHERE hash = ?8)";
            let hash = self.program.as_ref().map(|program| program.hash().to_string());
            let server = self.owner.of_new_session(state);
            let values = params![id, stamp, state, ended, server, checksum, summary, hash];
            if connection.prepare_cached(insert)?.execute(values)? == 0 {
                // It was there when the session was prepared, and nobody had another one of it.
                self.put_program(connection)?;
                connection.prepare_cached(insert)?.execute(values)?;
            }
            let row = connection.last_insert_rowid();
            return if row < SESSIONS_MAX { Ok(row) } else { move_to_gap(connection, row) };
        };
        let update = "UPDATE session SET stamp = ?2, state = ?3, ended = ?4, checksum = ?5, summary = ?6
            WHERE number = ?1";
        connection.prepare_cached(update)?.execute(params![row, stamp, state, ended, checksum, summary])?;
        Ok(row)
    }

    fn put_program(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(program) = &self.program else { return Ok(()) };
        let content = program.executable().encode();
        let insert = "INSERT INTO program VALUES (?1, ?2)";
        connection.prepare_cached(insert)?.execute(params![program.hash().to_string(), content]).map(drop)
    }

    fn write(&self, connection: &Connection, session: i64, row: &Row) -> rusqlite::Result<()> {
        let stamp = stamp_number(self.stamp);
        let prepare = |sql: &str| -> rusqlite::Result<CachedStatement<'_>> { connection.prepare_cached(sql) };
        match row {
            Row::Session { .. } => 0,
            Row::Thread { number, due, summary, content } => {
                content.replace(connection, session, kept(connection, session, &Key::Live(*number))?)?;
                let number = thread_number(*number);
                prepare("INSERT INTO thread VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
                    stamp = excluded.stamp, due = excluded.due, checksum = excluded.checksum, summary = excluded.summary,
                    content = excluded.content, leased = excluded.leased")?.execute(params![
                    session,
                    number,
                    stamp,
                    due.due,
                    seal::of_thread(session, number, due.due, summary),
                    summary,
                    content.row(),
                    due.leased
                ])?
            }
            Row::Ready(thread, DueColumns { due, leased }) => {
                prepare("REPLACE INTO ready VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    session,
                    thread_number(*thread),
                    stamp,
                    due,
                    leased
                ])?
            }
            Row::Cancel(thread) => prepare("REPLACE INTO cancel VALUES (?1, ?2, ?3)")?.execute(params![
                session,
                thread_number(*thread),
                stamp
            ])?,
            Row::Cascade { thread, due, started } => {
                let thread = thread_number(*thread);
                let checksum = seal::of_cascade(session, thread, started);
                prepare("REPLACE INTO cascade VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![session, thread, stamp, checksum, started, due.due])?
            }
            Row::Future { name, content } => {
                content.replace(connection, session, kept(connection, session, &Key::Future(name.clone()))?)?;
                let sql = match name {
                    FutureId::Thread(_) => "REPLACE INTO future VALUES ((?1 << 33) + ?2, ?3, ?4, ?5)",
                    FutureId::Promise(_) => "REPLACE INTO promise VALUES (?1, ?2, ?3, ?4, ?5)",
                };
                prepare(sql)?.execute(params![
                    session,
                    Name(name),
                    stamp,
                    seal::of_future(session, name, content.row()),
                    content.row()
                ])?
            }
            Row::Wait { future, waiter } => {
                prepare("REPLACE INTO wait VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    session,
                    Name(future),
                    thread_number(waiter.thread),
                    stamp,
                    codec::interest_byte(waiter.interest)
                ])?
            }
            Row::Todo(future, due) => prepare("REPLACE INTO todo VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                session,
                Name(future),
                stamp,
                due.due
            ])?,
            Row::Unawaited { thread, content } => {
                content.replace(connection, session, kept(connection, session, &Key::Unawaited(*thread))?)?;
                let thread = thread_number(*thread);
                let checksum = seal::of_unawaited(session, thread, content.row());
                prepare("REPLACE INTO unawaited VALUES (?1, ?2, ?3, ?4, ?5)")?.execute(params![
                    session,
                    thread,
                    stamp,
                    checksum,
                    content.row()
                ])?
            }
            Row::Broken { thread, summary, content } => {
                content.replace(connection, session, kept(connection, session, &Key::Broken(*thread))?)?;
                let thread = thread_number(*thread);
                prepare("REPLACE INTO broken VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
                    session,
                    thread,
                    stamp,
                    seal::of_broken(session, thread, summary),
                    summary,
                    content.row()
                ])?
            }
        };
        Ok(())
    }
}

/// Writes into a thread's summary how far its call says that it is. A damaged one stays as it is, for who reads it.
fn put_progress(connection: &Connection, session: i64, number: i64, renewal: &Renewal) -> rusqlite::Result<()> {
    let sql = "SELECT due, checksum, summary FROM thread WHERE session = ?1 AND number = ?2";
    let (due, checksum, summary): (Option<i64>, i64, String) = connection
        .prepare_cached(sql)?
        .query_row(params![session, number], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    if checksum != seal::of_thread(session, number, due, &summary) {
        return Ok(());
    }
    let Ok(summary) = codec::summary_with_progress(&summary, renewal) else { return Ok(()) };
    let sql = "UPDATE thread SET checksum = ?3, summary = ?4 WHERE session = ?1 AND number = ?2";
    let checksum = seal::of_thread(session, number, due, &summary);
    connection.prepare_cached(sql)?.execute(params![session, number, checksum, summary]).map(drop)
}

/// The entries of a log in parts that are read at a time, none of them much longer than this.
fn parts_of(log: &[LogEntry]) -> impl Iterator<Item = &[LogEntry]> {
    let mut left = log;
    iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |entry: &&LogEntry| {
            bytes += entry.printed_bytes();
            bytes <= LOG_ROW_BYTES
        };
        let count = left.iter().take_while(fits).count().max(1).min(left.len());
        let part;
        (part, left) = left.split_at(count);
        (!part.is_empty()).then_some(part)
    })
}

fn row_of(record: &Record, due: DueColumns, program: &Program) -> Row {
    match record {
        Record::Session(session) => Row::Session {
            state: session.state.name(),
            ended: session.ended.map(|time| time.0 as i64),
            summary: codec::session_summary(session),
        },
        Record::Live(number, live) => Row::Thread {
            number: *number,
            due,
            summary: codec::live_summary(live),
            content: content_of(|apart| codec::live_content(live, program, apart)),
        },
        Record::Ready(thread) => Row::Ready(*thread, due),
        Record::Cancel(thread) => Row::Cancel(*thread),
        Record::Cascade(thread, started) => {
            Row::Cascade { thread: *thread, due, started: codec::started_text(started) }
        }
        Record::Future(name, future) => {
            let content = content_of(|apart| codec::future_content(future, apart));
            Row::Future { name: name.clone(), content }
        }
        Record::Wait { future, waiter } => Row::Wait { future: future.clone(), waiter: *waiter },
        Record::Todo(future) => Row::Todo(future.clone(), due),
        Record::Unawaited(thread, failure) => {
            Row::Unawaited { thread: *thread, content: content_of(|apart| codec::failure_content(failure, apart)) }
        }
        Record::Broken(thread, live) => Row::Broken {
            thread: *thread,
            summary: codec::live_summary(live),
            content: content_of(|apart| codec::live_content(live, program, apart)),
        },
    }
}

/// A content whose larger pickles are kept by themselves.
fn content_of(write: impl FnOnce(&mut Apart) -> Vec<u8>) -> Content {
    let mut apart = Apart::from_bytes(APART_BYTES_MIN);
    let bytes = write(&mut apart);
    Content::new(bytes, apart.into_found())
}

/// The row of a session.
pub(super) fn find_row(connection: &Connection, session: &SessionId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM session WHERE id = ?1")?
        .query_row([session.as_str()], |row| session_number(row.get(0)?))
        .optional()
}

/// So many sessions were made that their numbers have run out. There are some of sessions that were removed.
fn move_to_gap(connection: &Connection, row: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT min(number) + 1 FROM session AS before
        WHERE NOT EXISTS (SELECT 1 FROM session WHERE number = before.number + 1)";
    let gap: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    let gap = if connection.query_row("SELECT min(number) > 1 FROM session", [], |row| row.get(0))? { 1 } else { gap };
    if gap >= SESSIONS_MAX {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, gap));
    }
    connection.execute("UPDATE session SET number = ?2 WHERE number = ?1", [row, gap])?;
    Ok(gap)
}

/// The version of a record, if it exists.
pub(super) fn stamp_of(connection: &Connection, session: i64, key: &Key) -> rusqlite::Result<Option<i64>> {
    first_of(&mut bound(connection, at!("SELECT stamp FROM ", key), session, key)?)
}

/// The content of a row that may be in pieces, if it exists.
fn kept(connection: &Connection, session: i64, key: &Key) -> rusqlite::Result<Option<Vec<u8>>> {
    match key {
        Key::Live(_) | Key::Future(_) | Key::Unawaited(_) | Key::Broken(_) => {
            first_of(&mut bound(connection, at!("SELECT content FROM ", key), session, key)?)
        }
        _ => Ok(None),
    }
}

fn delete(connection: &Connection, session: i64, key: &Key) -> rusqlite::Result<()> {
    chunks::remove(connection, session, kept(connection, session, key)?)?;
    bound(connection, at!("DELETE FROM ", key), session, key)?.raw_execute().map(drop)
}

/// A statement about a record's row, as `at!` gives it, with what it is to be bound to.
fn bound<'a>(connection: &'a Connection, sql: &str, session: i64, key: &Key) -> rusqlite::Result<CachedStatement<'a>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.raw_bind_parameter(1, session)?;
    match key {
        Key::Session => {}
        Key::Live(thread)
        | Key::Ready(thread)
        | Key::Cancel(thread)
        | Key::Cascade(thread)
        | Key::Unawaited(thread)
        | Key::Broken(thread) => {
            statement.raw_bind_parameter(2, thread_number(*thread))?;
        }
        Key::Future(future) | Key::Todo(future) => statement.raw_bind_parameter(2, Name(future))?,
        Key::Wait { future, waiter } => {
            statement.raw_bind_parameter(2, Name(future))?;
            statement.raw_bind_parameter(3, thread_number(*waiter))?;
        }
    }
    Ok(statement)
}

/// The first column of the first row, if there is one.
fn first_of<T: FromSql>(statement: &mut CachedStatement<'_>) -> rusqlite::Result<Option<T>> {
    statement.raw_query().next()?.map(|row| row.get(0)).transpose()
}
