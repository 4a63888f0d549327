//! What the file knows beyond single sessions.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU64;
use std::time::Duration;

use hark_bytecode::Executable;
use hark_engine::{
    Agenda, Catalog, Claimed, DamagedSession, Filter, Listed, SessionId, SessionRecord, Stamp, StorageError, Summary,
    ThreadId, Timestamp, Unattended, Woken,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::stamp_number;
use super::database::{DUE_AT_TAKEOVER, PLACED, TABLES, next_thread, places, session_number};
use super::row::{SessionRow, session_from, thread_from, thread_of};
use super::{pickles, server};

/// So many sessions are looked at all together.
const MANY: usize = 32;

/// The servers that sessions under way have, without a look at each of these.
const SERVERS: &str = "
    WITH RECURSIVE known (server) AS (
        SELECT min(server) FROM session WHERE (state = 'running' OR state = 'moving' OR state = 'importing')
        UNION ALL
        SELECT (SELECT min(server) FROM session
            WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server > known.server)
        FROM known WHERE known.server IS NOT NULL)
    SELECT server FROM known WHERE server IS NOT NULL AND server != ?1
    UNION ALL
    SELECT NULL WHERE ?2 IS NULL AND EXISTS (
        SELECT 1 FROM session WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NULL)";

/// A time as `due` has it. What is due at a takeover comes before all times.
fn time_number(time: Timestamp) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

impl Catalog for Shared {
    fn put_program(&self, hash: &str, executable: &Executable) -> Result<(), StorageError> {
        let content = executable.encode();
        // What is there under the hash of this program is this program, or damage.
        if self.read(|connection| program_content(connection, hash))?.as_ref() != Some(&content) {
            self.write(|connection| {
                connection.execute("REPLACE INTO program VALUES (?1, ?2)", params![hash, content])
            })?;
        }
        Ok(())
    }

    fn program(&self, hash: &str) -> Result<Executable, StorageError> {
        let content = self.read(|connection| program_content(connection, hash))?;
        let damaged = |why: &str| StorageError::Permanent(format!("the program {hash} {why}"));
        let content = content.ok_or_else(|| damaged("is missing"))?;
        let executable = Executable::decode(&content).map_err(|error| damaged(&format!("cannot be read: {error}")))?;
        if executable.hash().to_string() != hash {
            return Err(damaged("is another one by its content"));
        }
        Ok(executable)
    }

    fn record(&self, id: &SessionId) -> Result<Option<(Stamp, SessionRecord)>, StorageError> {
        let found = self.read(|connection| {
            let sql = "SELECT id, state, ended, checksum, summary, stamp FROM session WHERE id = ?1";
            let found = |row: &Row<'_>| Ok((row.get(5)?, SessionRow::read(row, 0)?));
            connection.prepare_cached(sql)?.query_row([id.as_str()], found).optional()
        })?;
        if found.is_none() {
            self.check_absence(id.as_str())?;
        }
        found.map(|(stamp, row)| Ok((self.stamp_of(stamp)?, self.record_of(&row)?))).transpose()
    }

    fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StorageError> {
        struct Found {
            row: SessionRow,
            server: Option<i64>,
            stamp: i64,
            threads: i64,
        }
        let found: Vec<Found> = self.read(|connection| {
            let sql = format!(
                "SELECT id, state, ended, checksum, summary, server, stamp, {}
                FROM session
                WHERE id >= ?1 AND id < ?1 || 'g' AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR ended <= ?3 OR ended > ?5)
                ORDER BY id DESC LIMIT ?4",
                next_thread("session.number")
            );
            let prefix = filter.prefix.as_deref().unwrap_or("");
            let state = filter.state.map(|state| state.name());
            let ended = |time: Timestamp| i64::try_from(time.0).unwrap_or(i64::MAX);
            let (before, after) = filter.ended_outside.map(|(before, after)| (ended(before), ended(after))).unzip();
            let limit = filter.limit.map_or(-1, |limit| limit as i64);
            let found = |row: &Row<'_>| {
                let number = |column| row.get(column).unwrap_or_default();
                let (server, stamp, threads) = (row.get(5).unwrap_or_default(), number(6), number(7));
                Ok(Found { row: SessionRow::read(row, 0)?, server, stamp, threads })
            };
            connection.prepare_cached(&sql)?.query_map(params![prefix, state, before, limit, after], found)?.collect()
        })?;
        if let Some(prefix) = filter.prefix.as_deref().filter(|_| found.is_empty() && filter.limit != Some(0)) {
            self.check_absence(prefix)?;
        }
        let mut alive: HashMap<i64, bool> = HashMap::new();
        let is_anyone_there = self.leases.is_some() && (self.server.get().is_some() || self.has_others());
        let summaries = found.into_iter().map(|found| {
            let id = found.row.id.clone();
            let record = self.record_of(&found.row).and_then(|record| Ok((record, self.stamp_of(found.stamp)?)));
            let (record, stamp) = match record {
                Ok(record) => record,
                Err(error) => return Err(DamagedSession { id, error }),
            };
            let is_served = !record.state.is_over()
                && match found.server {
                    Some(server) => *alive.entry(server).or_insert_with(|| self.is_alive(server)),
                    None => is_anyone_there,
                };
            let threads = record.threads.unwrap_or(u64::try_from(found.threads).unwrap_or_default());
            Ok(Summary { id, record, stamp, is_served, threads })
        });
        Ok(summaries.collect())
    }

    fn claim(&self, only: Option<&SessionId>) -> Result<Vec<Claimed>, StorageError> {
        if self.leases.is_some() {
            return self.claim_all(only);
        }
        let me = self.server()?.number();
        let only = only.map(SessionId::as_str);
        let servers: Vec<Option<i64>> = self.read(|connection| {
            let mut statement = connection.prepare_cached(match only {
                Some(_) => {
                    "SELECT server FROM session
                    WHERE (state = 'running' OR state = 'moving' OR state = 'importing')
                    AND server IS NOT ?1 AND id = ?2"
                }
                None => SERVERS,
            })?;
            let servers = statement.query_map(params![me, only], |row| Ok(row.get(0).unwrap_or_default()))?;
            servers.collect()
        })?;
        let free: Vec<Option<i64>> =
            servers.into_iter().filter(|server| server.is_none_or(|server| !self.is_alive(server))).collect();
        if free.is_empty() {
            return Ok(Vec::new());
        }
        // All of them or none: who is told of none of them does not serve those that it has.
        let mut claimed = self.write(|connection| {
            let mut claimed = Vec::new();
            for server in &free {
                // Whoever was quicker has put its own number there.
                let sql = "UPDATE session SET server = ?1
                    WHERE (state = 'running' OR state = 'moving' OR state = 'importing')
                    AND server IS ?3 AND (?2 IS NULL OR id = ?2)
                    RETURNING id";
                let mut statement = connection.prepare_cached(sql)?;
                for session in statement.query_map(params![me, only, server], |row| session_from(row, 0))? {
                    claimed.push(Claimed { session: session?, was_lost: server.is_some() });
                }
            }
            Ok(claimed)
        })?;
        claimed.sort_unstable_by(|one: &Claimed, other| one.session.cmp(&other.session));
        Ok(claimed)
    }

    fn active(&self, claimed: &[Claimed], now: Timestamp) -> Result<Vec<Claimed>, StorageError> {
        let Some(me) = self.server.get().map(server::Server::number) else { return Ok(claimed.to_vec()) };
        if claimed.len() < MANY {
            return Ok(claimed.to_vec());
        }
        let active: HashSet<SessionId> = self.read(|connection| {
            // One without threads has still to be ended, and a move or import that was cut off to be settled.
            let sql = "SELECT id FROM session WHERE (state = 'running' OR state = 'moving' OR state = 'importing')
                    AND server = ?1 AND (
                    state != 'running'
                    OR EXISTS (SELECT 1 FROM ready WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM todo WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM wait WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM thread WHERE session = session.number AND due <= ?2)
                    OR NOT EXISTS (SELECT 1 FROM thread WHERE session = session.number))";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(params![me, time_number(now)], |row| session_from(row, 0))?.collect()
        })?;
        Ok(claimed.iter().filter(|claimed| active.contains(&claimed.session)).cloned().collect())
    }

    fn left_after_lapse(&self) -> Result<Option<HashSet<SessionId>>, StorageError> {
        self.check_in_place()?;
        let Some(me) = self.server.get().filter(|server| server.has_lapsed()) else { return Ok(None) };
        let left = self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT id FROM session WHERE state = 'running' AND server = ?1")?;
            statement.query_map([me.number()], |row| session_from(row, 0))?.collect()
        })?;
        Ok(Some(left))
    }

    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        let Some(me) = self.server.get().map(server::Server::number) else { return Ok(()) };
        let only = only.map(SessionId::as_str);
        self.write(|connection| {
            // Of all, those that are over keep theirs: it hears first when one of them is retried.
            let sql = match only {
                Some(_) => "UPDATE session SET server = NULL WHERE server = ?1 AND id = ?2",
                None => {
                    "UPDATE session SET server = NULL
                    WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server = ?1 AND ?2 IS NULL"
                }
            };
            connection.execute(sql, params![me, only])
        })?;
        if only.is_none() {
            // Worker processes may have left some, too.
            self.remove_pickle_files(0);
        }
        Ok(())
    }

    fn hold(&self, id: &SessionId) -> Result<bool, StorageError> {
        let me = self.server()?.number();
        loop {
            let found: Option<(Option<i64>, bool)> = self.read(|connection| {
                let sql = "SELECT server, (state = 'running' OR state = 'moving' OR state = 'importing')
                    FROM session WHERE id = ?1";
                let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
                connection.prepare_cached(sql)?.query_row([id.as_str()], found).optional()
            })?;
            let Some((server, is_unfinished)) = found else { return Ok(false) };
            let is_anothers = match server {
                Some(server) => server != me && self.is_alive(server),
                None => self.leases.is_some() && self.has_others(),
            };
            if is_unfinished && is_anothers {
                return Ok(false);
            }
            let held = self.write(|connection| {
                let sql = "UPDATE session SET server = ?2 WHERE id = ?1 AND server IS ?3
                    AND (state = 'running' OR state = 'moving' OR state = 'importing') = ?4";
                connection.execute(sql, params![id.as_str(), me, server, is_unfinished])
            })?;
            if held > 0 {
                return Ok(true);
            }
        }
    }

    fn is_served_elsewhere(&self, id: &SessionId) -> Result<bool, StorageError> {
        let is_me = |server| self.server.get().is_some_and(|me| me.number() == server);
        Ok(match self.server_of(id)? {
            Some(Some(server)) => !is_me(server) && self.is_alive(server),
            Some(None) => self.leases.is_some() && self.has_others(),
            None => false,
        })
    }

    fn was_taken_over(&self, id: &SessionId) -> Result<bool, StorageError> {
        let Some(me) = self.owner()? else { return Ok(false) };
        let last: Option<Option<i64>> = self.read(|connection| {
            let sql = "SELECT server FROM session WHERE id = ?1";
            connection.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()
        })?;
        Ok(last.flatten().is_some_and(|server| server != me))
    }

    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError> {
        Ok(match self.server_of(id)? {
            Some(Some(server)) => self.is_alive(server),
            Some(None) => self.leases.is_some() && (self.server.get().is_some() || self.has_others()),
            None => false,
        })
    }

    fn forget_dead_server(&self, id: &SessionId) -> Result<(), StorageError> {
        let server: Option<Option<i64>> = self.read(|connection| {
            let sql = "SELECT server FROM session WHERE id = ?1 AND state != 'running'";
            connection.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()
        })?;
        let Some(server) = server.flatten().filter(|server| !self.is_alive(*server)) else { return Ok(()) };
        self.write(|connection| {
            let sql = "UPDATE session SET server = NULL WHERE id = ?1 AND server = ?2 AND state != 'running'";
            connection.execute(sql, params![id.as_str(), server])
        })
        .map(drop)
    }

    fn unattended(&self, session: &SessionId, now: Timestamp) -> Result<Unattended, StorageError> {
        let threads: Vec<(ThreadId, bool)> = self.read(|connection| {
            let sql = "SELECT thread.number, due > ?3 FROM thread JOIN session ON thread.session = session.number
                    WHERE session.id = ?1 AND due <= ?2
                UNION SELECT ready.thread, 0 FROM ready JOIN session ON ready.session = session.number WHERE session.id = ?1
                ORDER BY 1";
            let mut statement = connection.prepare_cached(sql)?;
            let parameters = params![session.as_str(), time_number(now), DUE_AT_TAKEOVER];
            statement.query_map(parameters, |row| Ok((thread_from(row, 0)?, row.get(1)?)))?.collect()
        })?;
        let mut unattended = Unattended::default();
        for (thread, is_due) in threads {
            let list = if is_due { &mut unattended.due } else { &mut unattended.interrupted };
            list.push(thread);
        }
        Ok(unattended)
    }

    fn due(&self, after: Timestamp, now: Timestamp, horizon: Timestamp) -> Result<Agenda, StorageError> {
        let Some(me) = self.server.get().map(server::Server::number) else { return Ok(Agenda::default()) };
        let mut agenda = Agenda::default();
        self.read(|connection| {
            // `CROSS JOIN` has SQLite go through what is due, in its order, and not through all sessions.
            let sql =
                "SELECT session.id, thread.number, due FROM thread CROSS JOIN session ON thread.session = session.number
                    WHERE due > 0 AND due > ?2 AND due <= ?3 AND session.server = ?1 AND session.state = 'running'
                ORDER BY due";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![me, time_number(after), time_number(horizon)])?;
            while let Some(row) = rows.next()? {
                let due = Timestamp(row.get::<_, i64>(2)? as u64);
                if due > now {
                    agenda.next = Some(due);
                    break;
                }
                // A row with a number that no thread has is found by who runs its session to the end.
                if let Some(thread) = thread_of(row.get(1)?) {
                    agenda.now.push((session_from(row, 0)?, thread));
                }
            }
            Ok(())
        })?;
        agenda.now.sort_unstable();
        Ok(agenda)
    }

    fn woken(&self) -> Result<Vec<Woken>, StorageError> {
        let Some(me) = self.server.get().map(server::Server::number) else { return Ok(Vec::new()) };
        self.read(|connection| {
            let sql = "SELECT session.id, ready.thread, ready.stamp
                FROM ready CROSS JOIN session ON ready.session = session.number WHERE session.server = ?1
                ORDER BY ready.session, ready.thread";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query([me])?;
            let mut woken = Vec::new();
            while let Some(row) = rows.next()? {
                let stamp = NonZeroU64::new(row.get::<_, i64>(2)? as u64);
                if let (Some(thread), Some(stamp)) = (thread_of(row.get(1)?), stamp) {
                    woken.push(Woken { session: session_from(row, 0)?, thread, stamp: Stamp(stamp) });
                }
            }
            Ok(woken)
        })
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        match self.server() {
            Ok(server) => server.wait(at_most),
            Err(_) => {
                std::thread::sleep(at_most);
                true
            }
        }
    }

    fn ring(&self) {
        if let Some(server) = self.server.get() {
            server.ring();
        }
    }

    fn announce(&self) {
        server::announce(&self.folder);
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.write(|connection| {
            let Some(number) = row_as_judged(connection, id, expected)? else { return Ok(false) };
            remove_records(connection, number)?;
            connection.prepare_cached("DELETE FROM session WHERE number = ?1")?.execute([number])?;
            Ok(true)
        })
        .inspect(|_| self.remove_pickle_files(0))
    }

    fn remove_programs(&self) -> Result<(), StorageError> {
        // A session that is being started has its program put beside it if that is gone. With a summary that cannot be
        // read the list has a NULL, with which no program is outside of it.
        self.write(|connection| {
            let sql = "DELETE FROM program WHERE hash NOT IN (
                SELECT CASE WHEN json_valid(summary) THEN json_extract(summary, '$.program') END FROM session)";
            connection.execute(sql, [])?;
            pickles::remove_strays(connection)
        })
        .map(drop)
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.write(|connection| {
            let Some(number) = row_as_judged(connection, id, expected)? else { return Ok(false) };
            remove_records(connection, number)?;
            Ok(true)
        })
        .inspect(|_| self.remove_pickle_files(0))
    }
}

/// The row of a session, if its summary has this version.
fn row_as_judged(connection: &Connection, id: &SessionId, expected: Stamp) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT number FROM session WHERE id = ?1 AND stamp = ?2";
    let judged = params![id.as_str(), stamp_number(expected)];
    connection.query_row(sql, judged, |row| session_number(row.get(0)?)).optional()
}

/// Removes all records of a session but its summary.
fn remove_records(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE session = ?1");
        connection.prepare_cached(&sql)?.execute([number])?;
    }
    let places = places(number);
    for table in PLACED {
        let sql = format!("DELETE FROM {table} WHERE place >= ?1 AND place < ?2");
        connection.prepare_cached(&sql)?.execute([places.start, places.end])?;
    }
    Ok(())
}

/// What is kept of a program.
fn program_content(connection: &Connection, hash: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("SELECT content FROM program WHERE hash = ?1")?;
    statement.query_row([hash], |row| row.get(0)).optional()
}

impl Shared {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        self.database.read(|connection| read(connection).map_err(|error| self.database.error(&error)))
    }

    pub(super) fn write<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        let write = |connection: &Connection| write(connection).map_err(|error| self.database.error(&error));
        self.group.alone(&self.database, write)
    }

    /// The server of a session that is not over, if it has one.
    fn server_of(&self, id: &SessionId) -> Result<Option<Option<i64>>, StorageError> {
        self.read(|connection| {
            let sql = "SELECT server FROM session
                    WHERE id = ?1 AND (state = 'running' OR state = 'moving' OR state = 'importing')";
            connection.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()
        })
    }

    /// A session that is not found by its id may have another one in the index of ids than in its row.
    fn check_absence(&self, prefix: &str) -> Result<(), StorageError> {
        let differ = self.read(|connection| {
            let sql = "SELECT 1 FROM session NOT INDEXED WHERE substr(id, 1, length(?1)) = ?1
                AND NOT EXISTS (SELECT 1 FROM session AS found WHERE found.id = session.id)";
            connection.prepare_cached(sql)?.query_row([prefix], |_| Ok(())).optional()
        })?;
        match differ {
            Some(()) => Err(self.database.damaged()),
            None => Ok(()),
        }
    }

    fn record_of(&self, row: &SessionRow) -> Result<SessionRecord, StorageError> {
        row.record().map_err(|error| {
            let path = self.database.path().display();
            StorageError::Permanent(format!("`{path}`: the summary of session {}: {error}", row.id))
        })
    }

    fn stamp_of(&self, number: i64) -> Result<Stamp, StorageError> {
        NonZeroU64::new(number as u64).map(Stamp).ok_or_else(|| self.database.damaged())
    }

    pub(super) fn is_alive(&self, server: i64) -> bool {
        self.server.get().is_some_and(|me| me.number() == server) || server::is_alive(&self.folder, server)
    }
}
