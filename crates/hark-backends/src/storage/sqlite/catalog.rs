//! What the file knows beyond single sessions.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::time::Duration;

use hark_bytecode::Executable;
use hark_engine::{
    Catalog, DamagedSession, Filter, Listed, SessionId, SessionRecord, SessionState, Stamp, StorageError, Summary,
    Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::stamp_number;
use super::database::{PLACED, TABLES, next_thread, places, session_number};
use super::row::SessionRow;
use super::{pickles, server};

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
                    None => is_anyone_there && record.state == SessionState::Running,
                };
            let threads = record.threads.unwrap_or(u64::try_from(found.threads).unwrap_or_default());
            Ok(Summary { id, record, stamp, is_served, threads })
        });
        Ok(summaries.collect())
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
