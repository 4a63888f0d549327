//! A change of a session's rows, carried out by the leader of its group.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use hark_engine::rows::{DueNumber, KeptProgram, Listing, Part, PartName, Row, RowChange};
use hark_engine::{FutureId, Key, Outcome, SessionId, SessionState, Stamp, StorageError};
use rusqlite::types::{FromSql, ToSql, ToSqlOutput};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::database::{PLACE_BITS, SESSIONS_MAX, places, session_number};
use super::pickles;
use super::row::thread_number;

/// The number of a session's row once it is known, 0 before.
pub(super) type RowNumber = Arc<AtomicI64>;

/// A statement about the row of a record: a verb, followed by the table and the condition.
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
const _: () = assert!(PLACE_BITS == 33, "`at!` has the number in its text");

/// A change that is about to be written.
pub(super) struct Change {
    session: SessionId,
    row: RowNumber,
    owner: Owner,
    rows: RowChange,
}

/// A Future's name, as stored in SQLite.
pub(super) struct Name<'a>(pub &'a FutureId);

impl ToSql for Name<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self.0 {
            FutureId::Thread(thread) => Ok(ToSqlOutput::from(thread_number(*thread))),
            FutureId::Promise(id) => Ok(ToSqlOutput::from(&**id)),
        }
    }
}

/// A stamp, as stored in SQLite.
pub(super) fn stamp_number(stamp: Stamp) -> i64 {
    stamp.0.get() as i64
}

/// A due time, as stored in SQLite.
pub(super) fn due_number(due: impl Into<DueNumber>) -> i64 {
    // A due number has 63 bits.
    due.into().get() as i64
}

/// A seal, as stored in SQLite: a signed 32-bit number takes at most four bytes in the file.
fn seal_number(seal: u32) -> i64 {
    i64::from(seal as i32)
}

/// On whose behalf a process writes to sessions.
#[derive(Debug, Clone, Copy)]
pub(super) enum Owner {
    /// A server: this process or its supervisor.
    Server(i64),
    /// All servers of the file, because threads are leased. A session then has a server only while it is exported or
    /// imported. The number is that of this process, if it is a server.
    OfAll(Option<i64>),
}

impl Owner {
    /// Whether it may write to a session with this server.
    fn may_write(self, server: Option<i64>) -> bool {
        match self {
            Owner::Server(me) => server == Some(me),
            Owner::OfAll(me) => server.is_none() || server == me,
        }
    }

    /// The server of a new session in this state.
    fn of_new_session(self, state: &str) -> Option<i64> {
        match self {
            Owner::Server(me) => Some(me),
            Owner::OfAll(me) => me.filter(|_| state == SessionState::Importing.name()),
        }
    }
}

impl Change {
    pub fn new(session: &SessionId, row: &RowNumber, owner: Owner, rows: RowChange) -> Change {
        Change { session: session.clone(), row: row.clone(), owner, rows }
    }

    /// Makes the change within a transaction, if its expectations hold.
    ///
    /// # Errors
    /// If the database fails. The inner result concerns only this change.
    pub fn make(&self, connection: &Connection) -> rusqlite::Result<Result<Outcome, StorageError>> {
        if self.rows.by_server
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
        if self.rows.expect.is_empty() && self.writes() && !self.is_there(connection)? {
            return Ok(Err(StorageError::Gone));
        }
        self.make_expected(connection).map(Ok)
    }

    fn writes(&self) -> bool {
        self.rows.written().next().is_some()
    }

    fn make_expected(&self, connection: &Connection) -> rusqlite::Result<Outcome> {
        let is_new = self.rows.program.is_some();
        if is_new {
            // A new session has no other records, so its own row is all that has to be checked.
            if self.find_row(connection)?.is_some() {
                return Ok(Outcome::Conflict);
            }
        } else {
            let row = self.known_row(connection)?;
            for (key, stamp) in &self.rows.expect {
                let found = row.map(|row| stamp_of(connection, row, key)).transpose()?.flatten();
                if found != stamp.map(stamp_number) {
                    return Ok(Outcome::Conflict);
                }
            }
        }
        let session = self.rows.written().find(|(key, _)| *key == Key::Session);
        let mut row = if is_new { None } else { self.known_row(connection)? };
        if let Some((_, session)) = session {
            row = Some(self.write_session(connection, row, session)?);
        }
        let Some(row) = row else {
            // Only a change that writes nothing may refer to a session that does not exist.
            return Ok(if self.writes() { Outcome::Conflict } else { Outcome::Done });
        };
        for (key, each) in self.rows.written() {
            self.write(connection, row, key, each)?;
        }
        if !is_new {
            for key in &self.rows.delete {
                delete(connection, row, key)?;
            }
        }
        self.renew(connection, row)?;
        for change in &self.rows.parts {
            match (&change.name, &change.part) {
                (PartName::Piece(hash), Some(Part::Piece(piece))) => {
                    let sql = "INSERT INTO piece VALUES (?1, ?2, ?3, ?4)
                        ON CONFLICT DO UPDATE SET uses = uses + excluded.uses";
                    connection.prepare_cached(sql)?.execute(params![row, hash, change.uses, piece])?;
                }
                (PartName::Piece(hash), _) => {
                    let sql = "UPDATE piece SET uses = uses + ?3 WHERE session = ?1 AND hash = ?2";
                    connection.prepare_cached(sql)?.execute(params![row, hash, change.uses])?;
                    let sql = "DELETE FROM piece WHERE session = ?1 AND hash = ?2 AND uses <= 0";
                    connection.prepare_cached(sql)?.execute(params![row, hash])?;
                }
                (PartName::Pickle(_), Some(Part::Pickle(pickle))) => {
                    pickles::count_in(connection, row, pickle, change.uses)?;
                }
                (PartName::Pickle(hash), _) => pickles::count_out(connection, row, *hash, change.uses)?,
            }
        }
        for page in &self.rows.history {
            // Written as a SELECT, this would use a temporary table, because it reads the table that it writes.
            let next = "INSERT INTO log VALUES (
                (SELECT coalesce(max(place), ?1) + 1 FROM log WHERE place > ?1 AND place < ?2), ?3)";
            let places = places(row);
            connection.prepare_cached(next)?.execute(params![places.start, places.end, page])?;
        }
        Ok(Outcome::Done)
    }

    fn renew(&self, connection: &Connection, session: i64) -> rusqlite::Result<()> {
        let Some(renewal) = &self.rows.renew else { return Ok(()) };
        let Key::Live(thread) = renewal.key else { return Ok(()) };
        let (number, stamp) = (thread_number(thread), stamp_number(self.rows.stamp));
        let changed = match &renewal.summary {
            Some((summary, seal)) => {
                let sql =
                    "UPDATE thread SET stamp = ?3, checksum = ?4, summary = ?5 WHERE session = ?1 AND number = ?2";
                connection.prepare_cached(sql)?.execute(params![session, number, stamp, seal_number(*seal), summary])
            }
            None => {
                let sql = "UPDATE thread SET stamp = ?3 WHERE session = ?1 AND number = ?2";
                connection.prepare_cached(sql)?.execute(params![session, number, stamp])
            }
        };
        changed.map(drop)
    }

    /// Whether the session exists, or is written by this change and never was before. For changes without expectations.
    fn is_there(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let Some(row) = self.known_row(connection)? else {
            return Ok(self.rows.written().any(|(key, _)| *key == Key::Session));
        };
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

    fn write_session(&self, connection: &Connection, number: Option<i64>, row: &Row) -> rusqlite::Result<i64> {
        let (id, stamp, checksum) = (self.session.as_str(), stamp_number(row.stamp), seal_number(row.seal));
        let (state, ended) = match &row.listing {
            Some(Listing { state, ended }) => (&**state, ended.map(|time| time.0 as i64)),
            None => ("", None),
        };
        let Some(number) = number else {
            let insert = "INSERT INTO session (id, stamp, state, ended, server, checksum, summary)
                SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?8 IS NULL OR EXISTS (SELECT 1 FROM program WHERE hash = ?8)";
            let hash = self.rows.program.as_ref().map(KeptProgram::hash);
            let server = self.owner.of_new_session(state);
            let values = params![id, stamp, state, ended, server, checksum, row.summary, hash];
            if connection.prepare_cached(insert)?.execute(values)? == 0 {
                // The program existed when the session was prepared, and was removed because no other session uses it.
                self.put_program(connection)?;
                connection.prepare_cached(insert)?.execute(values)?;
            }
            let number = connection.last_insert_rowid();
            return if number < SESSIONS_MAX { Ok(number) } else { move_to_gap(connection, number) };
        };
        let update = "UPDATE session SET stamp = ?2, state = ?3, ended = ?4, checksum = ?5, summary = ?6
            WHERE number = ?1";
        connection.prepare_cached(update)?.execute(params![number, stamp, state, ended, checksum, row.summary])?;
        Ok(number)
    }

    fn put_program(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Some(program) = &self.rows.program else { return Ok(()) };
        let insert = "INSERT INTO program VALUES (?1, ?2)";
        connection.prepare_cached(insert)?.execute(params![program.hash(), program.bytes()]).map(drop)
    }

    fn write(&self, connection: &Connection, session: i64, key: &Key, row: &Row) -> rusqlite::Result<()> {
        let Row { summary, content, .. } = row;
        let (stamp, due, seal) = (stamp_number(row.stamp), row.due.map(due_number), seal_number(row.seal));
        let prepare = |sql: &str| -> rusqlite::Result<CachedStatement<'_>> { connection.prepare_cached(sql) };
        match key {
            Key::Session => 0,
            Key::Live(thread) => prepare(
                "INSERT INTO thread VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO UPDATE SET
                    stamp = excluded.stamp, due = excluded.due, priority = excluded.priority, pool = excluded.pool,
                    memory = excluded.memory, checksum = excluded.checksum, summary = excluded.summary, content = excluded.content",
            )?
            .execute(params![
                session,
                thread_number(*thread),
                stamp,
                due,
                row.priority,
                row.place.pool_name(),
                row.place.memory(),
                seal,
                summary,
                content
            ])?,
            Key::Ready(thread) => prepare("REPLACE INTO ready VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?.execute(params![
                session,
                thread_number(*thread),
                stamp,
                due,
                row.priority,
                row.place.pool_name(),
                row.place.memory()
            ])?,
            Key::Cancel(thread) => prepare("REPLACE INTO cancel VALUES (?1, ?2, ?3)")?.execute(params![
                session,
                thread_number(*thread),
                stamp
            ])?,
            Key::Cascade(thread) => prepare("REPLACE INTO cascade VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![session, thread_number(*thread), stamp, seal, summary, due])?,
            Key::Future(name) => {
                let sql = match name {
                    FutureId::Thread(_) => "REPLACE INTO future VALUES ((?1 << 33) + ?2, ?3, ?4, ?5)",
                    FutureId::Promise(_) => "REPLACE INTO promise VALUES (?1, ?2, ?3, ?4, ?5)",
                };
                prepare(sql)?.execute(params![session, Name(name), stamp, seal, content])?
            }
            Key::Wait { future, waiter } => prepare("REPLACE INTO wait VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![session, Name(future), thread_number(*waiter), stamp, summary])?,
            Key::Todo(future) => prepare("REPLACE INTO todo VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                session,
                Name(future),
                stamp,
                due
            ])?,
            Key::Unawaited(thread) => prepare("REPLACE INTO unawaited VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![session, thread_number(*thread), stamp, seal, content])?,
            Key::Broken(thread) => prepare("REPLACE INTO broken VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?.execute(params![
                session,
                thread_number(*thread),
                stamp,
                seal,
                summary,
                content
            ])?,
        };
        Ok(())
    }
}

/// The number of a session's row.
pub(super) fn find_row(connection: &Connection, session: &SessionId) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT number FROM session WHERE id = ?1")?
        .query_row([session.as_str()], |row| session_number(row.get(0)?))
        .optional()
}

/// Moves a session into a gap left by removed sessions, because the numbers have run out.
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

fn delete(connection: &Connection, session: i64, key: &Key) -> rusqlite::Result<()> {
    bound(connection, at!("DELETE FROM ", key), session, key)?.raw_execute().map(drop)
}

/// Prepares a statement about a record's row, as generated by `at!`, and binds the key.
pub(super) fn bound<'a>(
    connection: &'a Connection,
    sql: &str,
    session: i64,
    key: &Key,
) -> rusqlite::Result<CachedStatement<'a>> {
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
