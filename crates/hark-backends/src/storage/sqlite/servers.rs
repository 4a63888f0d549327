//! Which process serves which session, and the work that is due in the sessions of this process.

use std::collections::HashSet;
use std::num::NonZeroU64;

use hark_engine::rows::DueNumber;
use hark_engine::{Agenda, Claimed, Servers, SessionId, Stamp, StorageError, ThreadId, Timestamp, Unattended, Woken};
use rusqlite::{OptionalExtension, Row, params};

use super::change::{Owner, due_number};
use super::row::{session_from, thread_from, thread_of};
use super::{Shared, server};

/// From this number of claims on, a single query replaces looking at each session.
const BATCH_CLAIMS_MIN: usize = 32;

/// The distinct servers of unfinished sessions, found without visiting each session.
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

/// The greatest `due` number at this time.
fn last_at(time: Timestamp) -> i64 {
    due_number(DueNumber::last_at(time))
}

impl Servers for Shared {
    fn claim(&self, only: Option<&SessionId>) -> Result<Vec<Claimed>, StorageError> {
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
        // All or none: after an error the caller serves none of them.
        let mut claimed = self.write(|connection| {
            let mut claimed = Vec::new();
            for server in &free {
                // A faster process has already put its own number there.
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
        if claimed.len() < BATCH_CLAIMS_MIN {
            return Ok(claimed.to_vec());
        }
        let active: HashSet<SessionId> = self.read(|connection| {
            // A session without threads must still be ended; an interrupted move or import must be completed.
            let sql = "SELECT id FROM session WHERE (state = 'running' OR state = 'moving' OR state = 'importing')
                    AND server = ?1 AND (
                    state != 'running'
                    OR EXISTS (SELECT 1 FROM ready WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM todo WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM wait WHERE session = session.number)
                    OR EXISTS (SELECT 1 FROM thread WHERE session = session.number AND due <= ?2)
                    OR NOT EXISTS (SELECT 1 FROM thread WHERE session = session.number))";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(params![me, last_at(now)], |row| session_from(row, 0))?.collect()
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
            // If all are released, finished sessions keep their server, which then learns first if one of them is
            // retried.
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
            // Worker processes may have left some as well.
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
                None => self.leases.is_some() && self.attended_by_others().has(id),
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
            Some((Some(server), _)) => !is_me(server) && self.is_alive(server),
            Some((None, runs)) => runs && self.leases.is_some() && self.attended_by_others().has(id),
            None => false,
        })
    }

    fn was_taken_over(&self, id: &SessionId) -> Result<bool, StorageError> {
        let Owner::Server(me) = self.owner()? else { return Ok(false) };
        let last: Option<Option<i64>> = self.read(|connection| {
            let sql = "SELECT server FROM session WHERE id = ?1";
            connection.prepare_cached(sql)?.query_row([id.as_str()], |row| row.get(0)).optional()
        })?;
        Ok(last.flatten().is_some_and(|server| server != me))
    }

    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError> {
        Ok(match self.server_of(id)? {
            Some((Some(server), _)) => self.is_alive(server),
            Some((None, runs)) => runs && self.leases.is_some() && self.attended().has(id),
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
            let parameters = params![session.as_str(), last_at(now), due_number(DueNumber::AT_TAKEOVER)];
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
            // `CROSS JOIN` makes SQLite iterate over due rows in order instead of over all sessions.
            let sql =
                "SELECT session.id, thread.number, due FROM thread CROSS JOIN session ON thread.session = session.number
                    WHERE due > 0 AND due > ?2 AND due <= ?3 AND session.server = ?1 AND session.state = 'running'
                ORDER BY due";
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params![me, last_at(after), last_at(horizon)])?;
            while let Some(row) = rows.next()? {
                let due = DueNumber::new(row.get::<_, i64>(2)? as u64);
                if due > DueNumber::last_at(now) {
                    agenda.next = Some(due.time());
                    break;
                }
                // A row with an invalid thread number is found by the process that runs its session to the end.
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
}

impl Shared {
    /// The server of an unfinished session, if it has one, and whether the session is running.
    fn server_of(&self, id: &SessionId) -> Result<Option<(Option<i64>, bool)>, StorageError> {
        self.read(|connection| {
            let sql = "SELECT server, state = 'running' FROM session
                    WHERE id = ?1 AND (state = 'running' OR state = 'moving' OR state = 'importing')";
            let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(sql)?.query_row([id.as_str()], found).optional()
        })
    }
}
