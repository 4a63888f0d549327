//! Reading rows from the tables.

use std::fmt;
use std::sync::atomic::Ordering;

use hark_engine::limits::THREADS_MAX;
use hark_engine::rows::{AllRows, Lookup, PartName, Row, RowRange};
use hark_engine::{FutureId, Key};
use rusqlite::{Connection, OptionalExtension, ToSql, params};

use crate::storage::sqlite::Shared;
use crate::storage::sqlite::change::{Name, bound, stamp_number, stamp_of};
use crate::storage::sqlite::database::{PLACE_BITS, places};
use crate::storage::sqlite::pickles;
use crate::storage::sqlite::row::{future_from, row_from, session_row_from, text_from, thread_from};

/// The query for `row_from` on the table of this key.
fn select(key: &Key) -> &'static str {
    match key {
        Key::Session => "SELECT stamp, state, ended, checksum, summary FROM session WHERE number = ?1",
        Key::Live(_) => {
            "SELECT stamp, due, priority, pool, memory, checksum, summary, content FROM thread WHERE session = ?1 AND number = ?2"
        }
        Key::Ready(_) => {
            "SELECT stamp, due, priority, pool, memory, 0, '', x'' FROM ready WHERE session = ?1 AND thread = ?2"
        }
        Key::Cancel(_) => {
            "SELECT stamp, NULL, 0, NULL, NULL, 0, '', x'' FROM cancel WHERE session = ?1 AND thread = ?2"
        }
        Key::Cascade(_) => {
            "SELECT stamp, due, 0, NULL, NULL, checksum, started, x'' FROM cascade WHERE session = ?1 AND thread = ?2"
        }
        Key::Future(FutureId::Thread(_)) => {
            "SELECT stamp, NULL, 0, NULL, NULL, checksum, '', content FROM future WHERE place = (?1 << 33) + ?2"
        }
        Key::Future(FutureId::Promise(_)) => {
            "SELECT stamp, NULL, 0, NULL, NULL, checksum, '', content FROM promise WHERE session = ?1 AND name = ?2"
        }
        Key::Wait { .. } => {
            "SELECT stamp, NULL, 0, NULL, NULL, 0, summary, x'' FROM wait WHERE session = ?1 AND future = ?2 AND thread = ?3"
        }
        Key::Todo(_) => "SELECT stamp, due, 0, NULL, NULL, 0, '', x'' FROM todo WHERE session = ?1 AND future = ?2",
        Key::Unawaited(_) => {
            "SELECT stamp, NULL, 0, NULL, NULL, checksum, '', content FROM unawaited WHERE session = ?1 AND thread = ?2"
        }
        Key::Broken(_) => {
            "SELECT stamp, NULL, 0, NULL, NULL, checksum, summary, content FROM broken WHERE session = ?1 AND thread = ?2"
        }
    }
}

/// A row, if it exists. If the caller knows its current version, only that version.
pub(super) fn read_one(
    connection: &Connection,
    session: i64,
    Lookup { key, known }: &Lookup<'_>,
) -> rusqlite::Result<Option<Row>> {
    if let Some(known) = known {
        match stamp_of(connection, session, key)? {
            None => return Ok(None),
            Some(stamp) if stamp == stamp_number(*known) => return Ok(Some(Row::of_version(*known))),
            Some(_) => {}
        }
    }
    let mut statement = bound(connection, select(key), session, key)?;
    let mut rows = statement.raw_query();
    let Some(row) = rows.next()? else { return Ok(None) };
    if **key == Key::Session { session_row_from(row, 0).map(Some) } else { row_from(row, 0).map(Some) }
}

/// The rows of a query. `key` makes their keys from the first `columns` columns.
fn rows(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
    columns: usize,
    key: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Key>,
) -> rusqlite::Result<Vec<(Key, Row)>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(values, |row| Ok((key(row)?, row_from(row, columns)?)))?.collect()
}

fn wait_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Key> {
    Ok(Key::Wait { future: future_from(row, 0)?, waiter: thread_from(row, 1)? })
}

pub(super) fn scan(
    connection: &Connection,
    session: i64,
    range: &RowRange,
    limit: usize,
) -> rusqlite::Result<Vec<(Key, Row)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let thread = |row: &rusqlite::Row<'_>| thread_from(row, 0);
    match range {
        RowRange::Live(from) => {
            let from = from.0.min(THREADS_MAX) as i64;
            let sql = "SELECT number, stamp, due, priority, pool, memory, checksum, summary, x'' FROM thread
                WHERE session = ?1 AND number >= ?2 ORDER BY number LIMIT ?3";
            rows(connection, sql, params![session, from, limit], 1, |row| thread(row).map(Key::Live))
        }
        RowRange::Waiters(future) => {
            let sql = "SELECT future, thread, stamp, NULL, 0, NULL, NULL, 0, summary, x'' FROM wait
                WHERE session = ?1 AND future = ?2 ORDER BY thread LIMIT ?3";
            rows(connection, sql, params![session, Name(future), limit], 2, wait_from)
        }
        RowRange::AllWaiters => {
            let sql = "SELECT future, thread, stamp, NULL, 0, NULL, NULL, 0, summary, x'' FROM wait
                WHERE session = ?1 ORDER BY future, thread LIMIT ?2";
            rows(connection, sql, params![session, limit], 2, wait_from)
        }
        RowRange::WaitersAfter(future) => {
            let sql = "SELECT future, thread, stamp, NULL, 0, NULL, NULL, 0, summary, x'' FROM wait
                WHERE session = ?1 AND future > ?2 ORDER BY future, thread LIMIT ?3";
            rows(connection, sql, params![session, Name(future), limit], 2, wait_from)
        }
        RowRange::Todos => {
            let sql = "SELECT future, stamp, due, 0, NULL, NULL, 0, '', x'' FROM todo WHERE session = ?1 ORDER BY future LIMIT ?2";
            rows(connection, sql, params![session, limit], 1, |row| future_from(row, 0).map(Key::Todo))
        }
        RowRange::Cascades => {
            let sql = "SELECT thread, stamp, due, 0, NULL, NULL, checksum, started, x'' FROM cascade
                WHERE session = ?1 ORDER BY thread LIMIT ?2";
            rows(connection, sql, params![session, limit], 1, |row| thread(row).map(Key::Cascade))
        }
        RowRange::Unawaited => {
            let sql = "SELECT thread, stamp, NULL, 0, NULL, NULL, checksum, '', x'' FROM unawaited
                WHERE session = ?1 ORDER BY thread LIMIT ?2";
            rows(connection, sql, params![session, limit], 1, |row| thread(row).map(Key::Unawaited))
        }
        RowRange::Broken => {
            let sql = "SELECT thread, stamp, NULL, 0, NULL, NULL, checksum, summary, x'' FROM broken
                WHERE session = ?1 ORDER BY thread LIMIT ?2";
            rows(connection, sql, params![session, limit], 1, |row| thread(row).map(Key::Broken))
        }
    }
}

/// The first waiter of each Future that has any. The other waiters are skipped, because there may be very many.
pub(super) fn crowds(connection: &Connection, session: i64, limit: usize) -> rusqlite::Result<Vec<(Key, Row)>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let sql = "WITH RECURSIVE crowd (future) AS (
            SELECT min(future) FROM wait WHERE session = ?1
            UNION ALL
            SELECT (SELECT min(future) FROM wait WHERE session = ?1 AND future > crowd.future)
            FROM crowd WHERE crowd.future IS NOT NULL)
        SELECT wait.future, wait.thread, wait.stamp, NULL, 0, NULL, NULL, 0, wait.summary, x'' FROM crowd JOIN wait
            ON wait.session = ?1 AND wait.future = crowd.future AND wait.thread =
                (SELECT min(thread) FROM wait WHERE session = ?1 AND wait.future = crowd.future)
        WHERE crowd.future IS NOT NULL LIMIT ?2";
    rows(connection, sql, params![session, limit], 2, wait_from)
}

/// The bytes of a part, if it exists.
pub(super) fn part(
    shared: &Shared,
    connection: &Connection,
    session: i64,
    name: &PartName,
) -> rusqlite::Result<Option<Vec<u8>>> {
    match name {
        PartName::Piece(hash) => {
            let sql = "SELECT content FROM piece WHERE session = ?1 AND hash = ?2";
            connection.prepare_cached(sql)?.query_row(params![session, hash], |row| row.get(0)).optional()
        }
        PartName::Pickle(hash) => {
            let Some((bytes, is_file)) = pickles::read(connection, session, *hash)? else { return Ok(None) };
            if is_file {
                shared.has_pickle_files.store(true, Ordering::Relaxed);
            }
            Ok(bytes)
        }
    }
}

/// The history has an entry at this position that a scan does not find.
#[derive(Debug)]
pub(super) struct CutOff(u64);

impl CutOff {
    pub fn at(position: u64) -> CutOff {
        CutOff(position)
    }
}

impl fmt::Display for CutOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "damaged before entry {}", self.0)
    }
}

impl std::error::Error for CutOff {}

/// Up to `limit` pages after this position. If the scan ended before the last existing position, also that position.
#[allow(clippy::type_complexity, reason = "pages, and what is wrong with them")]
pub(super) fn history(
    connection: &Connection,
    session: i64,
    after: u64,
    limit: usize,
) -> rusqlite::Result<(Vec<(u64, String)>, Option<u64>)> {
    let sql = "SELECT place, entries FROM log WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let places = places(session);
    let first = places.start.saturating_add_unsigned(after).min(places.end);
    let read = |row: &rusqlite::Row<'_>| {
        let position = (row.get::<_, i64>(0)? - places.start) as u64;
        Ok((position, text_from(row, 1)?))
    };
    let values = params![first, places.end, i64::try_from(limit).unwrap_or(i64::MAX)];
    let found = statement.query_map(values, read)?.collect::<rusqlite::Result<Vec<_>>>()?;
    if found.len() == limit {
        return Ok((found, None));
    }
    let sql = "SELECT max(place) FROM log WHERE place > ?1 AND place < ?2";
    let greatest: Option<i64> =
        connection.prepare_cached(sql)?.query_row([places.start, places.end], |row| row.get(0))?;
    let greatest = greatest.map_or(0, |place| (place - places.start) as u64);
    let last = found.last().map_or(after, |(position, _)| *position);
    Ok((found, (greatest > last).then_some(greatest)))
}

/// All rows of the session, and its whole history.
pub(super) fn all(connection: &Connection, session: i64) -> rusqlite::Result<AllRows> {
    let Some(own) = read_one(connection, session, &Lookup { key: &Key::Session, known: None })? else {
        return Ok(AllRows::default());
    };
    let mut all = vec![(Key::Session, own)];
    let mut add = |sql: &str, columns: usize, key: &dyn Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Key>| {
        rows(connection, sql, params![session], columns, key).map(|rows| all.extend(rows))
    };
    let future = |row: &rusqlite::Row<'_>| future_from(row, 0);
    let thread = |row: &rusqlite::Row<'_>| thread_from(row, 0);
    add(
        "SELECT number, stamp, due, priority, pool, memory, checksum, summary, content FROM thread WHERE session = ?1",
        1,
        &|row| thread(row).map(Key::Live),
    )?;
    add("SELECT thread, stamp, due, priority, pool, memory, 0, '', x'' FROM ready WHERE session = ?1", 1, &|row| {
        thread(row).map(Key::Ready)
    })?;
    add("SELECT thread, stamp, NULL, 0, NULL, NULL, 0, '', x'' FROM cancel WHERE session = ?1", 1, &|row| {
        thread(row).map(Key::Cancel)
    })?;
    add(
        "SELECT thread, stamp, due, 0, NULL, NULL, checksum, started, x'' FROM cascade WHERE session = ?1",
        1,
        &|row| thread(row).map(Key::Cascade),
    )?;
    let next = 1_i64 << PLACE_BITS;
    let sql = format!(
        "SELECT place % {next}, stamp, NULL, 0, NULL, NULL, checksum, '', content FROM future
        WHERE place >= ?1 * {next} AND place < (?1 + 1) * {next}"
    );
    add(&sql, 1, &|row| future(row).map(Key::Future))?;
    add("SELECT name, stamp, NULL, 0, NULL, NULL, checksum, '', content FROM promise WHERE session = ?1", 1, &|row| {
        future(row).map(Key::Future)
    })?;
    add(
        "SELECT future, thread, stamp, NULL, 0, NULL, NULL, 0, summary, x'' FROM wait WHERE session = ?1",
        2,
        &wait_from,
    )?;
    add("SELECT future, stamp, due, 0, NULL, NULL, 0, '', x'' FROM todo WHERE session = ?1", 1, &|row| {
        future(row).map(Key::Todo)
    })?;
    add(
        "SELECT thread, stamp, NULL, 0, NULL, NULL, checksum, '', content FROM unawaited WHERE session = ?1",
        1,
        &|row| thread(row).map(Key::Unawaited),
    )?;
    add(
        "SELECT thread, stamp, NULL, 0, NULL, NULL, checksum, summary, content FROM broken WHERE session = ?1",
        1,
        &|row| thread(row).map(Key::Broken),
    )?;
    let (history, _) = history(connection, session, 0, usize::MAX)?;
    Ok(AllRows { rows: all, history: history.into_iter().map(|(_, page)| page).collect() })
}
