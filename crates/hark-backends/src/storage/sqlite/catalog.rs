//! The catalog: queries and changes that concern more than the rows of a single session.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hark_engine::rows::{Row, RowStorage, RowTenure, SessionEntry, SessionRows};
use hark_engine::{Filter, SessionId, SessionState, Space, Stamp, StorageError, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::change::stamp_number;
use super::database::{PLACED, TABLES, next_thread, places, session_number};
use super::row::{session_from, session_row_from};
use super::session::SqliteSession;
use super::{Shared, pickles, server};

/// The file as a storage of rows.
pub(super) struct SqliteRows(pub Arc<Shared>);

fn is_running(row: &rusqlite::Result<Row>) -> bool {
    let listing = row.as_ref().ok().and_then(|row| row.listing.as_ref());
    listing.is_some_and(|listing| listing.state == SessionState::Running.name())
}

impl RowStorage for SqliteRows {
    fn name(&self) -> String {
        format!("`{}`", self.0.database.path().display())
    }

    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError> {
        Ok(Arc::new(SqliteSession::new(self.0.clone(), id.clone())))
    }

    fn space(&self) -> &dyn Space {
        &*self.0
    }

    fn tenure(&self) -> RowTenure<'_> {
        if self.0.leases.is_some() { RowTenure::Leases(&*self.0) } else { RowTenure::Servers(&*self.0) }
    }

    /// False for a supervisor's workers and for processes that lease threads: another process may run the thread.
    fn is_alone(&self) -> bool {
        self.0.serves.is_none() && self.0.leases.is_none()
    }

    fn scratch_folder(&self) -> Option<&Path> {
        Some(&self.0.folder)
    }

    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError> {
        // If something else is stored under this hash, it is damaged.
        if self.program(hash)?.as_deref() != Some(program) {
            self.0.write(|connection| {
                connection.execute("REPLACE INTO program VALUES (?1, ?2)", params![hash, program])
            })?;
        }
        Ok(())
    }

    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.0.read(|connection| {
            let mut statement = connection.prepare_cached("SELECT content FROM program WHERE hash = ?1")?;
            statement.query_row([hash], |row| row.get(0)).optional()
        })
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError> {
        // A damaged index may find another session's row by this id.
        let found = self.0.read(|connection| {
            let sql = "SELECT id, stamp, state, ended, checksum, summary FROM session WHERE id = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row([id.as_str()], |row| Ok((session_from(row, 0)?, session_row_from(row, 1)?))).optional()
        })?;
        match found {
            Some((found, row)) if found == *id => Ok(Some(row)),
            Some(_) => Err(self.0.database.damaged()),
            None => self.0.check_absence(id.as_str()).map(|()| None),
        }
    }

    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        struct Found {
            id: SessionId,
            row: rusqlite::Result<Row>,
            server: Option<i64>,
            threads: i64,
        }
        let found: Vec<Found> = self.0.read(|connection| {
            let sql = format!(
                "SELECT id, stamp, state, ended, checksum, summary, server, {}
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
            let found = |row: &rusqlite::Row<'_>| {
                Ok(Found {
                    id: session_from(row, 0)?,
                    row: session_row_from(row, 1),
                    server: row.get(6).unwrap_or_default(),
                    threads: row.get(7).unwrap_or_default(),
                })
            };
            connection.prepare_cached(&sql)?.query_map(params![prefix, state, before, limit, after], found)?.collect()
        })?;
        if let Some(prefix) = filter.prefix.as_deref().filter(|_| found.is_empty() && filter.limit != Some(0)) {
            self.0.check_absence(prefix)?;
        }
        let shared = &self.0;
        let mut alive: HashMap<i64, bool> = HashMap::new();
        let attended = shared.leases.as_ref().map(|_| shared.attended());
        let entries = found.into_iter().map(|Found { id, row, server, threads }| {
            let is_served = match server {
                Some(server) => *alive.entry(server).or_insert_with(|| shared.is_alive(server)),
                None => attended.as_ref().is_some_and(|attended| attended.has(&id)) && is_running(&row),
            };
            let row = row.map_err(|_| shared.database.damaged());
            SessionEntry { id, row, threads: u64::try_from(threads).unwrap_or_default(), is_served }
        });
        Ok(entries.collect())
    }

    fn wait_for_news(&self, at_most: Duration) -> bool {
        match self.0.server() {
            Ok(server) => server.wait(at_most),
            Err(_) => {
                std::thread::sleep(at_most);
                true
            }
        }
    }

    fn ring(&self) {
        if let Some(server) = self.0.server.get() {
            server.ring();
        }
    }

    fn announce(&self) {
        server::announce(&self.0.folder);
    }

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.0
            .write(|connection| {
                let Some(number) = row_as_judged(connection, id, expected)? else { return Ok(false) };
                remove_records(connection, number)?;
                connection.prepare_cached("DELETE FROM session WHERE number = ?1")?.execute([number])?;
                Ok(true)
            })
            .inspect(|_| self.0.remove_pickle_files(0))
    }

    fn remove_programs(&self) -> Result<(), StorageError> {
        // A session that is being started adds its program again if it was removed. If a summary cannot be read, the
        // subquery contains NULL, so no program counts as outside of it and none is removed.
        self.0
            .write(|connection| {
                let sql = "DELETE FROM program WHERE hash NOT IN (
                SELECT CASE WHEN json_valid(summary) THEN json_extract(summary, '$.program') END FROM session)";
                connection.execute(sql, [])?;
                pickles::remove_strays(connection)
            })
            .map(drop)
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.0
            .write(|connection| {
                let Some(number) = row_as_judged(connection, id, expected)? else { return Ok(false) };
                remove_records(connection, number)?;
                Ok(true)
            })
            .inspect(|_| self.0.remove_pickle_files(0))
    }
}

/// The row number of a session, if its summary has this version.
fn row_as_judged(connection: &Connection, id: &SessionId, expected: Stamp) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT number FROM session WHERE id = ?1 AND stamp = ?2";
    let judged = params![id.as_str(), stamp_number(expected)];
    connection.query_row(sql, judged, |row| session_number(row.get(0)?)).optional()
}

/// Removes all records of a session except its summary.
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

impl Shared {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        self.database.read(|connection| read(connection).map_err(|error| self.database.error(&error)))
    }

    pub(super) fn write<T>(&self, write: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        let write = |connection: &Connection| write(connection).map_err(|error| self.database.error(&error));
        self.group.alone(&self.database, write)
    }

    /// Reports damage if the index of ids does not find a session whose row has a matching id.
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

    pub(super) fn is_alive(&self, server: i64) -> bool {
        self.server.get().is_some_and(|me| me.number() == server) || server::is_alive(&self.folder, server)
    }
}
