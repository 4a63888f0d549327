//! Leased threads: any process that serves the file may run threads of any session.
//!
//! A session then has no server, unless it is being exported or imported, or was served before threads were leased;
//! such a session is adopted when its server is dead. Each process announces the sessions whose threads it takes
//! (`coverage`). As long as it is alive, these sessions count as served, whatever its pools, and cannot be moved.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use hark_engine::rows::DueNumber;
use hark_engine::{
    Announcement, Coverage, Demand, Due, HeldThread, KnownSession, Leases, Left, Pools, Servers, SessionId, Stamp,
    StorageError, Taken, Terms, Timestamp,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::{due_number, stamp_number};
use super::clock::SharedClock;
use super::numbers::Numbers;
use super::row::{place_from, session_from, thread_number, thread_of};
use super::server;

/// The state of a process that leases threads.
pub(super) struct Leasing {
    pub lease: Duration,
    folder: PathBuf,
    numbers: OnceLock<Numbers>,
    /// The time that this process shares with others. `None` if it could not be shared.
    _clock: Option<SharedClock>,
}

impl Leasing {
    pub fn new(folder: &Path, lease: Duration) -> Leasing {
        Leasing {
            lease,
            folder: folder.to_path_buf(),
            numbers: OnceLock::new(),
            // If this fails, leases are only as exact as the clocks were when the processes started.
            _clock: SharedClock::join(folder).ok(),
        }
    }

    /// The source of thread numbers, shared by all processes.
    pub fn numbers(&self) -> Result<&Numbers, StorageError> {
        if let Some(numbers) = self.numbers.get() {
            return Ok(numbers);
        }
        let numbers = server::shared_numbers(&self.folder)?;
        Ok(self.numbers.get_or_init(|| numbers))
    }
}

/// Sessions whose threads are taken by some live process.
#[derive(Default)]
pub(super) struct Attended {
    all: bool,
    sessions: HashSet<SessionId>,
}

impl Attended {
    /// Whether this session is one of them.
    pub fn has(&self, id: &SessionId) -> bool {
        self.all || self.sessions.contains(id)
    }
}

/// A thread that is due.
struct Found {
    due: DueNumber,
    demand: Demand,
    /// The version of its record, if the record is due.
    stamp: Option<Stamp>,
    left: Left,
}

/// The condition for sessions whose threads may be taken.
const IS_FREE: &str = "session.server IS NULL AND (?2 IS NULL OR session.id = ?2)";

/// The conditions for threads that may be taken, and for mailboxes: cancelling a session from outside wakes its first
/// thread, so that the process that runs it notices the end.
const RUNS: &str = "session.state = 'running'";
const RUNS_OR_WAS_CANCELLED: &str = "(session.state = 'running' OR session.state = 'cancelled' AND ready.thread = 0)";

impl Leases for Shared {
    fn lease(&self) -> Duration {
        self.leases.as_ref().map_or(super::LEASE, |leasing| leasing.lease)
    }

    fn take(
        &self,
        only: Option<&SessionId>,
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError> {
        let only = only.map(SessionId::as_str);
        // Most attempts find nothing, and should not need a write transaction.
        if self.read(|connection| find_due(connection, only, pools, terms, 1))?.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|connection| {
            let mut taken = Vec::new();
            for ((session, thread), (id, found)) in find_due(connection, only, pools, terms, most)? {
                // A row with an invalid thread number is found by the process that runs its session to the end.
                let Some(number) = thread_of(thread) else { continue };
                let sql = "UPDATE ready SET due = ?3 WHERE session = ?1 AND thread = ?2";
                let until = due_number(Due::Leased(terms.until));
                connection.prepare_cached(sql)?.execute(params![session, thread, until])?;
                if found.stamp.is_some() {
                    set_due(connection, session, thread, None, Some(stamp), until)?;
                }
                let Found { stamp: held, left, demand, .. } = found;
                let known = KnownSession::Nothing;
                taken.push(Taken { session: id, thread: number, demand, held, left, known });
            }
            taken.sort_by(|one: &Taken, other| (&one.session, one.thread).cmp(&(&other.session, other.thread)));
            Ok(taken)
        })
    }

    fn announce(&self, announcement: &Announcement) -> Result<(), StorageError> {
        let announced = self.server()?.announce(announcement);
        // The folder may have been removed.
        announced.map_err(|error| self.check_in_place().err().unwrap_or(error))
    }

    fn announced_by_others(&self) -> Result<Option<Vec<Announcement>>, StorageError> {
        Ok(Some(self.others().filter_map(|number| server::announced(&self.folder, number)).collect()))
    }

    fn next_due(&self, pools: &Pools, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.check_in_place()?;
        self.read(|connection| {
            let mut next: Option<i64> = None;
            for (table, Served { condition, names }) in
                ["thread", "ready"].into_iter().flat_map(|table| served(pools).map(move |served| (table, served)))
            {
                let sql =
                    format!("SELECT min(due) FROM {table} WHERE due > 0 AND due > ?1 AND due < ?2 AND {condition}");
                let times = params![due_number(DueNumber::last_at(now)), due_number(Due::At(horizon)), names];
                let first: Option<i64> = connection.prepare_cached(&sql)?.query_row(times, |row| row.get(0))?;
                next = next.into_iter().chain(first).min();
            }
            Ok(next.map(|due| DueNumber::new(due.unsigned_abs()).time()))
        })
    }

    fn renew(&self, held: &[HeldThread], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.set_all_due(held, Due::Leased(until))
    }

    fn give_back(&self, held: &[HeldThread], left: Left, now: Timestamp) -> Result<(), StorageError> {
        self.set_all_due(held, left.due(now)).map(drop)
    }

    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError> {
        self.adopt()?;
        self.read(|connection| {
            // This runs at most once per lease, so it may search the text of the summaries.
            let sql = "SELECT id FROM session
                WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NULL AND (
                    state != 'running'
                    OR summary LIKE '%\"retrying\":true%' OR summary LIKE '%\"cancelling\":\"begun\"%'
                    OR EXISTS (SELECT 1 FROM todo WHERE session = session.number AND due <= ?1)
                    OR EXISTS (SELECT 1 FROM cascade WHERE session = session.number AND due <= ?1)
                    OR NOT EXISTS (SELECT 1 FROM thread WHERE session = session.number))";
            connection
                .prepare_cached(sql)?
                .query_map([due_number(DueNumber::last_at(now))], |row| session_from(row, 0))?
                .collect()
        })
    }

    fn hold(&self, id: &SessionId, _: Timestamp) -> Result<bool, StorageError> {
        Servers::hold(self, id)
    }

    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        Servers::release(self, only)
    }

    fn is_served_elsewhere(&self, id: &SessionId, _: Timestamp) -> Result<bool, StorageError> {
        Servers::is_served_elsewhere(self, id)
    }
}

impl Shared {
    /// The sessions whose threads are taken by other live processes.
    pub(super) fn attended_by_others(&self) -> Attended {
        self.attended_by(self.others())
    }

    /// The other live processes.
    fn others(&self) -> impl Iterator<Item = i64> {
        let me = self.server.get().map(server::Server::number);
        server::all_alive(&self.folder).into_iter().filter(move |number| Some(*number) != me)
    }

    /// The sessions whose threads are taken by live processes, including this one.
    pub(super) fn attended(&self) -> Attended {
        self.attended_by(server::all_alive(&self.folder).into_iter())
    }

    fn attended_by(&self, servers: impl Iterator<Item = i64>) -> Attended {
        let mut attended = Attended::default();
        for announced in servers.filter_map(|number| server::announced(&self.folder, number)) {
            match announced.coverage {
                Coverage::All => attended.all = true,
                Coverage::Only(sessions) => attended.sessions.extend(sessions),
            }
        }
        attended
    }

    /// Takes over the sessions of dead servers, and those released by a server that did not lease threads.
    fn adopt(&self) -> Result<(), StorageError> {
        let servers: Vec<i64> = self.read(|connection| {
            let sql = "SELECT DISTINCT server FROM session
                WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NOT NULL";
            connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
        })?;
        let dead: Vec<i64> = servers.into_iter().filter(|server| !self.is_alive(*server)).collect();
        let released: Vec<i64> = self.read(|connection| {
            let sql = "SELECT number FROM session
                WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server IS NULL AND (
                    EXISTS (SELECT 1 FROM thread WHERE session = session.number AND due = 0)
                    OR EXISTS (SELECT 1 FROM ready WHERE session = session.number AND due IS NULL)
                    OR EXISTS (SELECT 1 FROM todo WHERE session = session.number AND due IS NULL)
                    OR EXISTS (SELECT 1 FROM cascade WHERE session = session.number AND due IS NULL))";
            connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect()
        })?;
        if dead.is_empty() && released.is_empty() {
            return Ok(());
        }
        self.write(|connection| {
            // The threads that a dead server was running were lost with it.
            for server in &dead {
                set_rest_due(connection, "server", *server, Due::Leased(Timestamp(1)))?;
                let sql = "UPDATE session SET server = NULL
                    WHERE (state = 'running' OR state = 'moving' OR state = 'importing') AND server = ?1";
                connection.execute(sql, [server])?;
            }
            for session in &released {
                set_rest_due(connection, "number", *session, Due::At(Timestamp(1)))?;
            }
            Ok(())
        })
    }

    fn set_all_due(&self, held: &[HeldThread], due: Due) -> Result<Vec<bool>, StorageError> {
        self.write(|connection| {
            let mut rows: BTreeMap<&SessionId, Option<i64>> = BTreeMap::new();
            let mut set = Vec::with_capacity(held.len());
            for HeldThread { session, thread, stamp } in held {
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
                    Some(row) => set_due(connection, row, thread_number(*thread), Some(*stamp), None, due_number(due))?,
                    None => false,
                });
            }
            Ok(set)
        })
    }
}

/// The due threads with the highest priorities, earliest first within a priority. Keyed by the session's row number and the
/// thread's number, with the session's id.
#[allow(clippy::type_complexity, reason = "a row of a query")]
fn find_due(
    connection: &Connection,
    only: Option<&str>,
    pools: &Pools,
    terms: Terms,
    most: usize,
) -> rusqlite::Result<BTreeMap<(i64, i64), (SessionId, Found)>> {
    let limit = i64::try_from(most).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>, is_record: bool| -> rusqlite::Result<((i64, i64), (SessionId, Found))> {
        let stamp: Option<i64> = if is_record { row.get(7)? } else { None };
        let stamp = stamp.and_then(|stamp| std::num::NonZeroU64::new(stamp as u64)).map(Stamp);
        let due = DueNumber::new(row.get::<_, i64>(3)? as u64);
        let left = due.due().map_or(Left::Free, Left::of);
        // A damaged place is reported by the process that runs the thread.
        let demand = Demand { priority: row.get(4)?, place: place_from(row, 5).unwrap_or_default() };
        Ok(((row.get(0)?, row.get(2)?), (session_from(row, 1)?, Found { due, demand, stamp, left })))
    };
    let mut all: Vec<((i64, i64), (SessionId, Found))> = Vec::new();
    for (table, number, is_due) in [("thread", "number", RUNS), ("ready", "thread", RUNS_OR_WAS_CANCELLED)] {
        for (priority, Served { condition, names }) in priorities(connection, table)?
            .into_iter()
            .flat_map(|priority| served(pools).map(move |served| (priority, served)))
        {
            // `CROSS JOIN` makes SQLite iterate over due rows in order instead of over all sessions.
            let sql = format!(
                "SELECT {table}.session, session.id, {table}.{number}, {table}.due, {table}.priority, pool, memory,
                    {table}.stamp
                FROM {table} CROSS JOIN session ON {table}.session = session.number
                WHERE due > 0 AND due <= ?1 AND {condition} AND {IS_FREE} AND {is_due} AND {} ORDER BY due LIMIT ?4",
                if priority == 0 { "priority = 0 AND ?5 = 0" } else { "priority != 0 AND priority = ?5" }
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let values = params![due_number(DueNumber::last_at(terms.now)), only, names, limit, priority];
            for found in statement.query_map(values, |row| read(row, table == "thread"))? {
                all.push(found?);
            }
        }
    }
    all.sort_by_key(|(_, (_, found))| (Reverse(found.demand.priority), found.due));
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
    for ((session, thread), (_, found)) in &mut due {
        if found.stamp.is_none() && found.demand.place.is_anywhere() {
            found.add_record(connection, *session, *thread, terms.now)?;
        }
    }
    Ok(due)
}

/// An SQL condition for threads of some pools, and the value of its parameter 3.
struct Served {
    condition: &'static str,
    names: String,
}

/// The conditions for threads of these pools, each for a query of its own. If the default pool is among them, one query
/// scans the index of due times; `+` keeps SQLite from using the index of pools instead, and sorting its result. If it is
/// not, each pool is looked up in the index of pools.
fn served(pools: &Pools) -> impl Iterator<Item = Served> {
    let names = pools.names();
    let all = match &names {
        None => vec![Served { condition: "?3 = ''", names: String::new() }],
        Some(names) if pools.have_default() => {
            let condition = "(+pool IS NULL OR instr(?3, ' ' || pool || ' ') > 0)";
            vec![Served { condition, names: format!(" {} ", names.join(" ")) }]
        }
        Some(names) => names.iter().map(|name| Served { condition: "pool = ?3", names: (*name).to_owned() }).collect(),
    };
    all.into_iter()
}

impl Found {
    /// Adds the record of a cancelled thread, if it is due: its pool may not be served by any process.
    fn add_record(
        &mut self,
        connection: &Connection,
        session: i64,
        thread: i64,
        now: Timestamp,
    ) -> rusqlite::Result<()> {
        let sql = "SELECT stamp, due, priority, pool, memory FROM thread
            WHERE session = ?1 AND number = ?2 AND due > 0 AND due <= ?3";
        let values = params![session, thread, due_number(DueNumber::last_at(now))];
        let read = |row: &Row<'_>| {
            self.stamp = std::num::NonZeroU64::new(row.get::<_, i64>(0)? as u64).map(Stamp);
            self.left = DueNumber::new(row.get::<_, i64>(1)? as u64).due().map_or(Left::Free, Left::of);
            self.demand = Demand { priority: row.get(2)?, place: place_from(row, 3).unwrap_or_default() };
            Ok(())
        };
        connection.prepare_cached(sql)?.query_row(values, read).optional().map(|found| found.unwrap_or_default())
    }
}

/// The priorities of a table's rows that have a due time, highest first. There are few priorities, but there may be many
/// rows of each, so each next priority is looked up in the index.
fn priorities(connection: &Connection, table: &str) -> rusqlite::Result<Vec<i64>> {
    let sql = format!("SELECT max(priority) FROM {table} WHERE due > 0 AND priority != 0 AND priority < ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut found = vec![0];
    let mut below = i64::MAX;
    while let Some(next) = statement.query_row([below], |row| row.get::<_, Option<i64>>(0))? {
        found.push(next);
        below = next;
    }
    found.sort_unstable_by_key(|priority| Reverse(*priority));
    Ok(found)
}

/// Makes rows without a due time due at once, in the sessions where this column has this value: runnable threads with the due
/// time `threads`, and everything else that must be checked.
fn set_rest_due(connection: &Connection, column: &str, value: i64, threads: Due) -> rusqlite::Result<()> {
    let at_once = due_number(Due::At(Timestamp(1)));
    for (table, due, which) in [
        ("thread", due_number(threads), "due = 0 AND"),
        ("ready", at_once, ""),
        ("todo", at_once, ""),
        ("cascade", at_once, ""),
    ] {
        let sql = format!(
            "UPDATE {table} SET due = ?2 WHERE {which} session IN (SELECT number FROM session WHERE {column} = ?1)"
        );
        connection.execute(&sql, params![value, due])?;
    }
    Ok(())
}

/// Changes the due time of a thread, and its version if a new one is given, provided that its record has the expected
/// version. Returns whether it has.
fn set_due(
    connection: &Connection,
    session: i64,
    thread: i64,
    expected: Option<Stamp>,
    stamp: Option<Stamp>,
    due: i64,
) -> rusqlite::Result<bool> {
    let sql = "UPDATE thread SET due = ?3, stamp = coalesce(?5, stamp)
        WHERE session = ?1 AND number = ?2 AND (?4 IS NULL OR stamp = ?4)";
    let values = params![session, thread, due, expected.map(stamp_number), stamp.map(stamp_number)];
    Ok(connection.prepare_cached(sql)?.execute(values)? > 0)
}
