//! Records read from their rows.

use hark_bytecode::wire::WireError;
use hark_engine::limits::THREADS_MAX;
use hark_engine::storage::Range;
use hark_engine::{Everything, FutureId, Key, Live, LogEntry, Record, Stamp, ThreadId, Versioned, codec};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteSession;
use crate::storage::sqlite::change::{Name, at, stamp_number, stamp_of};
use crate::storage::sqlite::chunks::whole;
use crate::storage::sqlite::database::{PLACE_BITS, places};
use crate::storage::sqlite::row::{
    Fault, SessionRow, check, future_from, row_parts, thread_from, thread_number, waiter_from,
};
use crate::storage::sqlite::seal;

impl SqliteSession {
    pub(super) fn read_one(
        &self,
        connection: &Connection,
        session: i64,
        key: &Key,
    ) -> Result<Option<Versioned>, Fault> {
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
                let sql = at!("SELECT stamp, checksum, content FROM ", key);
                let Some((stamp, checksum, mut parts)) = stamp_and(sql, &Name(name), 1)? else { return Ok(None) };
                check(checksum, seal::of_future(session, name, &parts[0]))?;
                let content = whole(connection, session, parts.swap_remove(0))?;
                (
                    stamp,
                    Record::Future(name.clone(), codec::future(&content, program, &self.pickles(connection, session))?),
                )
            }
            Key::Unawaited(thread) => {
                let sql = at!("SELECT stamp, checksum, content FROM ", key);
                let number = thread_number(*thread);
                let Some((stamp, checksum, mut parts)) = stamp_and(sql, &number, 1)? else { return Ok(None) };
                check(checksum, seal::of_unawaited(session, number, &parts[0]))?;
                let content = whole(connection, session, parts.swap_remove(0))?;
                let failure = codec::failure(&content, program, &self.pickles(connection, session))?;
                (stamp, Record::Unawaited(*thread, Box::new(failure)))
            }
            Key::Broken(thread) => {
                let sql = at!("SELECT stamp, checksum, summary, content FROM ", key);
                let number = thread_number(*thread);
                let Some((stamp, checksum, mut parts)) = stamp_and(sql, &number, 2)? else { return Ok(None) };
                let content = whole(connection, session, parts.swap_remove(1))?;
                let summary = String::from_utf8_lossy(&parts[0]);
                check(checksum, seal::of_broken(session, number, &summary))?;
                (
                    stamp,
                    Record::Broken(
                        *thread,
                        codec::live(&summary, &content, program, &self.pickles(connection, session))?,
                    ),
                )
            }
            Key::Wait { future, waiter } => {
                let sql = at!("SELECT stamp, thread, interest FROM ", key);
                let mut statement = connection.prepare_cached(sql)?;
                let values = params![session, Name(future), thread_number(*waiter)];
                let found = statement.query_row(values, |row| Ok((row.get(0)?, waiter_from(row, 1)?)));
                let Some((stamp, waiter)) = found.optional()? else { return Ok(None) };
                (stamp, Record::Wait { future: future.clone(), waiter })
            }
            Key::Cascade(thread) => {
                let sql = at!("SELECT stamp, checksum, started FROM ", key);
                let number = thread_number(*thread);
                let Some((stamp, checksum, parts)) = stamp_and(sql, &number, 1)? else { return Ok(None) };
                let started = String::from_utf8_lossy(&parts[0]);
                check(checksum, seal::of_cascade(session, number, &started))?;
                (stamp, Record::Cascade(*thread, codec::started_from_text(&started)?))
            }
            Key::Ready(_) | Key::Cancel(_) | Key::Todo(_) => {
                let Some(stamp) = stamp_of(connection, session, key)? else { return Ok(None) };
                let record = match key.clone() {
                    Key::Ready(thread) => Record::Ready(thread),
                    Key::Cancel(thread) => Record::Cancel(thread),
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
        if let Some((kept, live)) = self.kept.take(thread) {
            match stamp_of(connection, session, &Key::Live(thread))? {
                Some(stamp) if stamp == stamp_number(kept) => return Ok(Some((stamp, live))),
                None => return Ok(None),
                Some(_) => {}
            }
        }
        let sql = "SELECT stamp, checksum, summary, content, due FROM thread WHERE session = ?1 AND number = ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let number = thread_number(thread);
        let read = |row: &Row<'_>| Ok((row_parts(row, 2)?, row.get(4)?));
        let found = statement.query_row(params![session, number], read).optional()?;
        let Some(((stamp, checksum, mut parts), due)) = found else { return Ok(None) };
        let content = whole(connection, session, parts.swap_remove(1))?;
        let summary = String::from_utf8_lossy(&parts[0]);
        check(checksum, seal::of_thread(session, number, due, &summary))?;
        Ok(Some((stamp, codec::live(&summary, &content, &self.program, &self.pickles(connection, session))?)))
    }

    pub(super) fn scan_range(
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
                let mut rows = statement.query(params![session, from.0.min(THREADS_MAX) as i64, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, summary) = (thread_from(row, 0)?, row.get_ref(1)?.as_str().unwrap_or_default());
                    let live = check(row.get(2)?, seal::of_thread(session, row.get(0)?, row.get(3)?, summary))
                        .and_then(|()| codec::live_from_summary(summary));
                    found.push(Record::Live(thread, live.map_err(|error| Fault::At(Key::Live(thread), error))?));
                }
            }
            Range::Waiters(future) => {
                let sql =
                    "SELECT thread, interest FROM wait WHERE session = ?1 AND future = ?2 ORDER BY thread LIMIT ?3";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, Name(future), limit])?;
                while let Some(row) = rows.next()? {
                    found.push(Record::Wait { future: future.clone(), waiter: waiter_from(row, 0)? });
                }
            }
            Range::Crowds => {
                // The waiters between are skipped: there may be very many.
                let sql = "WITH RECURSIVE crowd (future) AS (
                        SELECT min(future) FROM wait WHERE session = ?1
                        UNION ALL
                        SELECT (SELECT min(future) FROM wait WHERE session = ?1 AND future > crowd.future)
                        FROM crowd WHERE crowd.future IS NOT NULL)
                    SELECT wait.future, wait.thread, wait.interest FROM crowd JOIN wait
                        ON wait.session = ?1 AND wait.future = crowd.future AND wait.thread =
                            (SELECT min(thread) FROM wait WHERE session = ?1 AND wait.future = crowd.future)
                    WHERE crowd.future IS NOT NULL LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    found.push(Record::Wait { future: future_from(row, 0)?, waiter: waiter_from(row, 1)? });
                }
            }
            Range::Todos => {
                let sql = "SELECT future FROM todo WHERE session = ?1 ORDER BY future LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    found.push(Record::Todo(future_from(row, 0)?));
                }
            }
            Range::Cascades => {
                let sql = "SELECT thread, started, checksum FROM cascade WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, text) = (thread_from(row, 0)?, row.get_ref(1)?.as_str().unwrap_or_default());
                    let started = check(row.get(2)?, seal::of_cascade(session, row.get(0)?, text))
                        .and_then(|()| codec::started_from_text(text))
                        .map_err(|error| Fault::At(Key::Cascade(thread), error))?;
                    found.push(Record::Cascade(thread, started));
                }
            }
            Range::Unawaited => {
                let sql = "SELECT thread, content, checksum FROM unawaited WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, content) = (thread_from(row, 0)?, row.get_ref(1)?.as_blob().unwrap_or_default());
                    check(row.get(2)?, seal::of_unawaited(session, row.get(0)?, content))
                        .map_err(|error| Fault::At(Key::Unawaited(thread), error))?;
                    let content = whole(connection, session, content.to_vec())?;
                    let failure = codec::failure(&content, &self.program, &self.pickles(connection, session))
                        .map_err(|error| Fault::At(Key::Unawaited(thread), error))?;
                    found.push(Record::Unawaited(thread, Box::new(failure)));
                }
            }
            Range::Broken => {
                let sql = "SELECT thread, summary, checksum FROM broken WHERE session = ?1 ORDER BY thread LIMIT ?2";
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query(params![session, limit])?;
                while let Some(row) = rows.next()? {
                    let (thread, summary) = (thread_from(row, 0)?, row.get_ref(1)?.as_str().unwrap_or_default());
                    let live = check(row.get(2)?, seal::of_broken(session, row.get(0)?, summary))
                        .and_then(|()| codec::live_from_summary(summary));
                    found.push(Record::Broken(thread, live.map_err(|error| Fault::At(Key::Broken(thread), error))?));
                }
            }
        }
        Ok(found)
    }

    /// All that there is of the session.
    pub(super) fn read_all(&self, connection: &Connection, session: i64) -> Result<Option<Everything>, Fault> {
        let Some(Versioned { record: Record::Session(summary), .. }) =
            self.read_one(connection, session, &Key::Session)?
        else {
            return Ok(None);
        };
        let mut keys = Vec::new();
        let mut add = |sql: &str, key: &dyn Fn(&Row<'_>) -> rusqlite::Result<Key>| -> Result<(), Fault> {
            let mut statement = connection.prepare(sql)?;
            let mut rows = statement.query([session])?;
            while let Some(row) = rows.next()? {
                keys.push(key(row)?);
            }
            Ok(())
        };
        let future = |row: &Row<'_>| future_from(row, 0);
        add("SELECT number FROM thread WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Live))?;
        add("SELECT thread FROM ready WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Ready))?;
        add("SELECT thread FROM cancel WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Cancel))?;
        add("SELECT thread FROM cascade WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Cascade))?;
        let next = 1_i64 << PLACE_BITS;
        let sql = format!("SELECT place % {next} FROM future WHERE place >= ?1 * {next} AND place < (?1 + 1) * {next}");
        add(&sql, &|row| future(row).map(Key::Future))?;
        add("SELECT name FROM promise WHERE session = ?1", &|row| future(row).map(Key::Future))?;
        add("SELECT future, thread FROM wait WHERE session = ?1", &|row| {
            Ok(Key::Wait { future: future(row)?, waiter: thread_from(row, 1)? })
        })?;
        add("SELECT future FROM todo WHERE session = ?1", &|row| future(row).map(Key::Todo))?;
        add("SELECT thread FROM unawaited WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Unawaited))?;
        add("SELECT thread FROM broken WHERE session = ?1", &|row| thread_from(row, 0).map(Key::Broken))?;
        let read = |key: &Key| match self.read_one(connection, session, key)? {
            Some(found) => Ok(found.record),
            None => Err(Fault::At(key.clone(), WireError::Checksum.into())),
        };
        let records = keys.iter().map(read).collect::<Result<_, _>>()?;
        let history = read_history(connection, session, 0, i64::MAX)?.into_iter().map(|(_, entry)| entry).collect();
        Ok(Some(Everything { session: *summary, records, history }))
    }
}

/// What happened after this position, in so many commits at most.
pub(super) fn read_history(
    connection: &Connection,
    session: i64,
    after: u64,
    limit: i64,
) -> Result<Vec<(u64, LogEntry)>, Fault> {
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
}
