//! What rows say, and what can be wrong with them.

use hark_bytecode::wire::WireError;
use hark_engine::limits::THREADS_MAX;
use hark_engine::{FutureId, Key, NoThreadId, SessionId, SessionRecord, ThreadId, Waiter, codec};
use rusqlite::Row;
use rusqlite::types::ValueRef;

use super::seal;

/// What goes wrong with a record.
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Record(codec::CodecError),
    /// The same, of what happened.
    History(codec::CodecError),
    /// The same, of this record.
    At(Key, codec::CodecError),
}

impl Fault {
    /// The same, of this record.
    pub fn at(self, key: &Key) -> Fault {
        match self {
            Fault::Record(error) => Fault::At(key.clone(), error),
            other => other,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Fault {
        Fault::Sqlite(error)
    }
}

impl From<codec::CodecError> for Fault {
    fn from(error: codec::CodecError) -> Fault {
        Fault::Record(error)
    }
}

/// What a message calls it.
pub(super) fn name_of(key: &Key) -> String {
    match key {
        Key::Session => "the summary".to_owned(),
        Key::Live(thread) | Key::Ready(thread) | Key::Cancel(thread) | Key::Cascade(thread) => {
            format!("thread {thread}")
        }
        Key::Future(future) | Key::Wait { future, .. } | Key::Todo(future) => match future {
            FutureId::Thread(thread) => format!("the Future of thread {thread}"),
            FutureId::Promise(_) => future.to_string(),
        },
        Key::Unawaited(thread) | Key::Broken(thread) => format!("the failure of thread {thread}"),
    }
}

/// Holds a checksum against what it should be.
pub(super) fn check(found: i64, expected: i64) -> Result<(), codec::CodecError> {
    if found == expected { Ok(()) } else { Err(WireError::Checksum.into()) }
}

/// What is kept of a session in its own row.
pub(super) struct SessionRow {
    pub id: SessionId,
    state: String,
    /// When it ended, and the checksum. None if these are not the numbers that they should be.
    numbers: Option<(Option<i64>, i64)>,
    summary: String,
}

impl SessionRow {
    /// Reads the columns `id, state, ended, checksum, summary`, which begin with this one.
    pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<SessionRow> {
        let ended = row.get(first + 2).ok();
        Ok(SessionRow {
            id: session_from(row, first)?,
            state: text(row, first + 1)?,
            numbers: ended.zip(row.get(first + 3).ok()),
            summary: text(row, first + 4)?,
        })
    }

    /// What they say.
    pub fn record(&self) -> Result<SessionRecord, codec::CodecError> {
        let Some((ended, checksum)) = self.numbers else { return Err(WireError::Checksum.into()) };
        check(checksum, seal::of_session(self.id.as_str(), &self.state, ended, &self.summary))?;
        codec::session_from_summary(&self.summary)
    }
}

/// A stamp, a checksum, and so many texts or blobs after them.
pub(super) fn row_parts(row: &Row<'_>, columns: usize) -> rusqlite::Result<(i64, i64, Vec<Vec<u8>>)> {
    let parts = (2..2 + columns).map(|column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        })
    });
    Ok((row.get(0)?, row.get(1)?, parts.collect::<rusqlite::Result<_>>()?))
}

/// A text, whatever is wrong with it.
fn text(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A session's id, whatever is wrong with it: what hinders this session only must not hinder others.
pub(super) fn session_from(row: &Row<'_>, column: usize) -> rusqlite::Result<SessionId> {
    text(row, column).map(|id| SessionId::from_text(&id))
}

/// A thread's number as SQLite keeps it.
pub(super) fn thread_number(thread: ThreadId) -> i64 {
    // The place of a Future with a greater number would be that of another session's.
    assert!(thread.0 < THREADS_MAX, "{}", NoThreadId(thread.0));
    thread.0 as i64
}

/// The thread with this number, if there can be one.
pub(super) fn thread_of(number: i64) -> Option<ThreadId> {
    u64::try_from(number).ok().and_then(|number| ThreadId::try_from(number).ok())
}

/// A thread's number in this column.
pub(super) fn thread_from(row: &Row<'_>, column: usize) -> rusqlite::Result<ThreadId> {
    let number = row.get(column)?;
    thread_of(number).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A waiter: its thread's number in this column, and what it waits for in the next one.
pub(super) fn waiter_from(row: &Row<'_>, column: usize) -> rusqlite::Result<Waiter> {
    let interest: i64 = row.get(column + 1)?;
    let known = u8::try_from(interest).ok().and_then(codec::interest_of);
    let interest = known.ok_or(rusqlite::Error::IntegralValueOutOfRange(column + 1, interest))?;
    Ok(Waiter { thread: thread_from(row, column)?, interest })
}

/// A Future's name in this column.
pub(super) fn future_from(row: &Row<'_>, column: usize) -> rusqlite::Result<FutureId> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(_) => FutureId::Thread(thread_from(row, column)?),
        other => FutureId::Promise(other.as_str()?.into()),
    })
}

/// Whether what is wrong is what a row says.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(error, FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..))
}
