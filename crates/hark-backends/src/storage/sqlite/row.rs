//! Reading rows, and detecting damaged ones.

use std::num::NonZeroU64;

use hark_engine::limits::THREADS_MAX;
use hark_engine::rows::{self, DueNumber, Listing};
use hark_engine::{FutureId, NoThreadId, Place, SessionId, Stamp, ThreadId, Timestamp};
use rusqlite::Row;
use rusqlite::types::{Type, ValueRef};

/// A row from the columns `stamp, due, priority, pool, memory, checksum, summary, content`, starting at `first`.
pub(super) fn row_from(row: &Row<'_>, first: usize) -> rusqlite::Result<rows::Row> {
    let due: Option<i64> = row.get(first + 1)?;
    Ok(rows::Row {
        stamp: stamp_from(row, first)?,
        due: due.map(|due| DueNumber::new(due as u64)),
        priority: row.get(first + 2)?,
        place: place_from(row, first + 3)?,
        seal: seal_from(row, first + 5)?,
        listing: None,
        summary: text_from(row, first + 6)?,
        content: match row.get_ref(first + 7)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        },
    })
}

/// A session's own row from the columns `stamp, state, ended, checksum, summary`, starting at `first`. Only its version
/// must be valid: if another column is not, the row has no listing, so its record counts as damaged.
pub(super) fn session_row_from(row: &Row<'_>, first: usize) -> rusqlite::Result<rows::Row> {
    let ended: rusqlite::Result<Option<i64>> = row.get(first + 2);
    let seal = seal_from(row, first + 3);
    let listing = match (&ended, &seal) {
        (Ok(ended), Ok(_)) => {
            let ended = ended.map(|ended| Timestamp(ended as u64));
            Some(Listing { state: text_from(row, first + 1)?.into(), ended })
        }
        _ => None,
    };
    Ok(rows::Row {
        stamp: stamp_from(row, first)?,
        due: None,
        priority: 0,
        place: Place::default(),
        seal: seal.unwrap_or_default(),
        listing,
        summary: text_from(row, first + 4)?,
        content: Vec::new(),
    })
}

/// A place from the columns `pool, memory`, starting at `first`.
pub(super) fn place_from(row: &Row<'_>, first: usize) -> rusqlite::Result<Place> {
    let pool = match row.get_ref(first)? {
        ValueRef::Null => None,
        pool => Some(pool.as_str()?),
    };
    let memory: Option<u32> = row.get(first + 1)?;
    Place::from_parts(pool, memory)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(first, Type::Text, Box::new(error)))
}

fn stamp_from(row: &Row<'_>, column: usize) -> rusqlite::Result<Stamp> {
    let number: i64 = row.get(column)?;
    NonZeroU64::new(number as u64).map(Stamp).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn seal_from(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    let number: i64 = row.get(column)?;
    let seal = i32::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))?;
    Ok(seal as u32)
}

/// A text, even if it is not valid.
pub(super) fn text_from(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A session's id, even if it is not valid: damage to one session must not affect others.
pub(super) fn session_from(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    text_from(row, column).map(|id| SessionId::from_text(&id))
}

/// A thread's number, as stored in SQLite.
pub(super) fn thread_number(thread: ThreadId) -> i64 {
    // The place of a Future with a greater number would belong to another session.
    assert!(thread.0 < THREADS_MAX, "{}", NoThreadId(thread.0));
    thread.0 as i64
}

/// The thread with this number, if it is valid.
pub(super) fn thread_of(number: i64) -> Option<ThreadId> {
    u64::try_from(number).ok().and_then(|number| ThreadId::try_from(number).ok())
}

/// A thread's number from this column.
pub(super) fn thread_from(row: &Row<'_>, column: usize) -> rusqlite::Result<ThreadId> {
    let number = row.get(column)?;
    thread_of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A Future's name from this column.
pub(super) fn future_from(row: &Row<'_>, column: usize) -> rusqlite::Result<FutureId> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(_) => FutureId::Thread(thread_from(row, column)?),
        other => FutureId::Promise(other.as_str()?.into()),
    })
}

/// Whether the error is caused by the contents of a row.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}
