//! Threads that are leased: any process that serves the file runs threads of any session.
//!
//! No session has a server then. One that has another process's number in its row is being exported or imported, or was
//! served before threads were leased; it is adopted when that process is dead. Whoever holds a lock on a server's file serves
//! all sessions, so that one lives as long as any of these processes does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use hark_engine::{Held, Leases, Left, Servers, SessionId, Stamp, StorageError, Taken, Terms, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::{due_number, stamp_number};
use super::numbers::Numbers;
use super::row::{session_from, thread_number, thread_of};
use super::{seal, server};

/// What a process has that leases threads.
pub(super) struct Leasing {
    pub lease: Duration,
    folder: PathBuf,
    numbers: OnceLock<Numbers>,
}

impl Leasing {
    pub fn new(folder: &Path, lease: Duration) -> Leasing {
        Leasing { lease, folder: folder.to_path_buf(), numbers: OnceLock::new() }
    }

    /// The numbers of threads, as all processes reserve them.
    pub fn numbers(&self) -> Result<&Numbers, StorageError> {
        if let Some(numbers) = self.numbers.get() {
            return Ok(numbers);
        }
        let numbers = server::shared_numbers(&self.folder)?;
        Ok(self.numbers.get_or_init(|| numbers))
    }
}

/// A thread that is due.
struct Found {
    due: i64,
    /// The version of its record, if that is due.
    stamp: Option<Stamp>,
    left: Left,
}

/// `leased` of a thread whose call was withdrawn.
const WITHDRAWN: i64 = 2;

/// Sessions whose threads may be taken.
const RUNS: &str = "session.server IS NULL AND session.state = 'running' AND (?2 IS NULL OR session.id = ?2)";

impl Leases for Shared {
    fn lease(&self) -> Duration {
        self.leases.as_ref().map_or(super::LEASE, |leasing| leasing.lease)
    }

    fn take(
        &self,
        only: Option<&SessionId>,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError> {
        // From here on this process is among those who serve the file.
        self.server()?;
        let only = only.map(SessionId::as_str);
        // Most looks find nothing, and need not write for that.
        if self.read(|connection| find_due(connection, only, terms, 1))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|connection| {
            let mut taken = Vec::new();
            for ((session, thread), (id, found)) in find_due(connection, only, terms, most)? {
                // A row with a number that no thread has is found by who runs its session to the end.
                let Some(number) = thread_of(thread) else { continue };
                let sql = "UPDATE ready SET due = ?3, leased = 1 WHERE session = ?1 AND thread = ?2";
                connection.prepare_cached(sql)?.execute(params![session, thread, due_number(terms.until)])?;
                if found.stamp.is_some() {
                    set_due(connection, session, thread, None, Some(stamp), due_number(terms.until), Left::Lost)?;
                }
                taken.push(Taken { session: id, thread: number, held: found.stamp, left: found.left });
            }
            taken.sort_by(|one: &Taken, other| (&one.session, one.thread).cmp(&(&other.session, other.thread)));
            Ok(taken)
        })
    }

    fn next_due(&self, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.read(|connection| {
            let first = |table: &str| -> rusqlite::Result<Option<i64>> {
                let sql = format!("SELECT min(due) FROM {table} WHERE due > 0 AND due > ?1 AND due < ?2");
                let times = params![due_number(now), due_number(horizon)];
                connection.prepare_cached(&sql)?.query_row(times, |row| row.get(0))
            };
            let next = first("thread")?.into_iter().chain(first("ready")?).min();
            Ok(next.map(|due| Timestamp(due.unsigned_abs())))
        })
    }

    fn renew(&self, held: &[Held], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.set_all_due(held, due_number(until), Left::Lost)
    }

    fn give_back(&self, held: &[Held], left: Left, now: Timestamp) -> Result<(), StorageError> {
        self.set_all_due(held, due_number(now), left).map(drop)
    }

    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError> {
        self.adopt()?;
        self.read(|connection| {
            // What the summary says is not asked for more often than once in a lease.
            let sql = "SELECT id FROM session
                WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NULL AND (
                    state != 'running'
                    OR summary LIKE '%\"retrying\":true%' OR summary LIKE '%\"cancelling\":\"begun\"%'
                    OR EXISTS (SELECT 1 FROM todo WHERE session = session.number AND due <= ?1)
                    OR EXISTS (SELECT 1 FROM cascade WHERE session = session.number AND due <= ?1)
                    OR NOT EXISTS (SELECT 1 FROM thread WHERE session = session.number))";
            connection.prepare_cached(sql)?.query_map([due_number(now)], |row| session_from(row, 0))?.collect()
        })
    }

    fn hold(&self, id: &SessionId) -> Result<bool, StorageError> {
        Servers::hold(self, id)
    }

    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        Servers::release(self, only)
    }

    fn is_served_elsewhere(&self, id: &SessionId) -> Result<bool, StorageError> {
        Servers::is_served_elsewhere(self, id)
    }
}

impl Shared {
    /// Whether another process lives that serves the file.
    pub(super) fn has_others(&self) -> bool {
        server::any_other_lives(&self.folder, self.server.get().map(server::Server::number))
    }

    /// Takes over what dead processes have served alone. What they had at hand is due at once.
    fn adopt(&self) -> Result<(), StorageError> {
        let servers: Vec<i64> = self.read(|connection| {
            let sql = "SELECT DISTINCT server FROM session
                WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NOT NULL";
            connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
        })?;
        let dead: Vec<i64> = servers.into_iter().filter(|server| !self.is_alive(*server)).collect();
        if dead.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            for server in &dead {
                let sql =
                    "SELECT thread.session, thread.number FROM thread JOIN session ON thread.session = session.number
                    WHERE session.server = ?1 AND thread.due = 0";
                let mut statement = connection.prepare_cached(sql)?;
                let found = statement.query_map([server], |row| Ok((row.get(0)?, row.get(1)?)))?;
                let threads: Vec<(i64, i64)> = found.collect::<rusqlite::Result<_>>()?;
                for (session, thread) in threads {
                    set_due(connection, session, thread, None, None, 1, Left::Lost)?;
                }
                let sql = "UPDATE ready SET due = 1 WHERE session IN (SELECT number FROM session WHERE server = ?1)";
                connection.execute(sql, [server])?;
                for table in ["todo", "cascade"] {
                    let sql = format!(
                        "UPDATE {table} SET due = 1 WHERE session IN (SELECT number FROM session WHERE server = ?1)"
                    );
                    connection.execute(&sql, [server])?;
                }
                let sql = "UPDATE session SET server = NULL
                    WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server = ?1";
                connection.execute(sql, [server])?;
            }
            Ok(())
        })
    }

    fn set_all_due(&self, held: &[Held], due: i64, left: Left) -> Result<Vec<bool>, StorageError> {
        self.write(|connection| {
            let mut rows: BTreeMap<&SessionId, Option<i64>> = BTreeMap::new();
            let mut set = Vec::with_capacity(held.len());
            for Held { session, thread, stamp } in held {
                let row = match rows.get(session) {
                    Some(row) => *row,
                    None => {
                        let sql = "SELECT number FROM session WHERE id = ?1";
                        let mut statement = connection.prepare_cached(sql)?;
                        let row = statement.query_row([session.as_str()], |row| row.get(0)).optional()?;
                        rows.insert(session, row);
                        row
                    }
                };
                set.push(match row {
                    Some(row) => set_due(connection, row, thread_number(*thread), Some(*stamp), None, due, left)?,
                    None => false,
                });
            }
            Ok(set)
        })
    }
}

/// The first threads that are due: of each its session's row and number, the session's id, and what is due of it.
#[allow(clippy::type_complexity, reason = "a row of a query")]
fn find_due(
    connection: &Connection,
    only: Option<&str>,
    terms: Terms,
    most: usize,
) -> rusqlite::Result<BTreeMap<(i64, i64), (SessionId, Found)>> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>, is_record: bool| -> rusqlite::Result<((i64, i64), (SessionId, Found))> {
        let stamp: Option<i64> = if is_record { row.get(5)? } else { None };
        let stamp = stamp.and_then(|stamp| std::num::NonZeroU64::new(stamp as u64)).map(Stamp);
        let left = left_of(row.get(4)?);
        Ok(((row.get(0)?, row.get(2)?), (session_from(row, 1)?, Found { due: row.get(3)?, stamp, left })))
    };
    let mut all: Vec<((i64, i64), (SessionId, Found))> = Vec::new();
    for (table, number) in [("thread", "number"), ("ready", "thread")] {
        // `CROSS JOIN` has SQLite go through what is due, in its order, and not through all sessions.
        let sql = format!(
            "SELECT {table}.session, session.id, {table}.{number}, {table}.due, {table}.leased, {table}.stamp
            FROM {table} CROSS JOIN session ON {table}.session = session.number
            WHERE due > 0 AND due <= ?1 AND {RUNS} ORDER BY due LIMIT ?3"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let values = params![due_number(terms.now), only, limit];
        for found in statement.query_map(values, |row| read(row, table == "thread"))? {
            all.push(found?);
        }
    }
    all.sort_by_key(|(_, (_, found))| found.due);
    let mut due: BTreeMap<(i64, i64), (SessionId, Found)> = BTreeMap::new();
    for (place, (id, found)) in all {
        if let Some((_, known)) = due.get_mut(&place) {
            known.stamp = known.stamp.or(found.stamp);
            if known.left == Left::Free || found.left == Left::Lost {
                known.left = found.left;
            }
        } else if due.len() < most {
            due.insert(place, (id, found));
        }
    }
    Ok(due)
}

/// What `leased` says of a thread from when it is due on.
fn left_of(leased: Option<i64>) -> Left {
    match leased {
        None | Some(0) => Left::Free,
        Some(WITHDRAWN) => Left::Withdrawn,
        Some(_) => Left::Lost,
    }
}

/// The other way round.
fn leased_number(left: Left) -> Option<i64> {
    match left {
        Left::Free => None,
        Left::Withdrawn => Some(WITHDRAWN),
        Left::Lost => Some(1),
    }
}

/// Changes when a thread is due, and its version if it is to have another one, if its record has this version. Answers
/// whether it has. What is damaged stays so, for who reads it.
fn set_due(
    connection: &Connection,
    session: i64,
    thread: i64,
    expected: Option<Stamp>,
    stamp: Option<Stamp>,
    due: i64,
    left: Left,
) -> rusqlite::Result<bool> {
    let sql = "SELECT due, checksum, summary FROM thread
        WHERE session = ?1 AND number = ?2 AND (?3 IS NULL OR stamp = ?3)";
    let values = params![session, thread, expected.map(stamp_number)];
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let found: Option<(Option<i64>, i64, String)> =
        connection.prepare_cached(sql)?.query_row(values, read).optional()?;
    let Some((old, checksum, summary)) = found else { return Ok(false) };
    let checksum = if checksum == seal::of_thread(session, thread, old, &summary) {
        seal::of_thread(session, thread, Some(due), &summary)
    } else {
        !seal::of_thread(session, thread, Some(due), &summary)
    };
    let sql = "UPDATE thread SET due = ?3, leased = ?4, checksum = ?5, stamp = coalesce(?6, stamp)
        WHERE session = ?1 AND number = ?2";
    let values = params![session, thread, due, leased_number(left), checksum, stamp.map(stamp_number)];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(true)
}
