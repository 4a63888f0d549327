//! What rows say, and what can be wrong with them.

use hark_bytecode::wire::WireError;
use hark_engine::{FutureId, Key, SessionRecord, ThreadId, codec};
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
        Key::Live(thread) | Key::Ready(thread) => format!("thread {thread}"),
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
    pub id: String,
    state: String,
    ended: Option<i64>,
    checksum: i64,
    summary: String,
}

impl SessionRow {
    /// Reads the columns `id, state, ended, checksum, summary`, which begin with this one.
    pub fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<SessionRow> {
        let text = |column| -> rusqlite::Result<String> {
            let bytes = row.get_ref(column)?.as_bytes().unwrap_or_default();
            Ok(String::from_utf8_lossy(bytes).into_owned())
        };
        Ok(SessionRow {
            id: text(first)?,
            state: text(first + 1)?,
            ended: row.get(first + 2)?,
            checksum: row.get(first + 3)?,
            summary: text(first + 4)?,
        })
    }

    /// What they say.
    pub fn record(&self) -> Result<SessionRecord, codec::CodecError> {
        check(self.checksum, seal::of_session(&self.id, &self.state, self.ended, &self.summary))?;
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

/// A thread's number in the first column.
pub(super) fn thread_from(row: &Row<'_>) -> rusqlite::Result<ThreadId> {
    Ok(ThreadId(row.get::<_, i64>(0)? as u64))
}

/// A Future's name.
pub(super) fn future_from(value: ValueRef<'_>) -> FutureId {
    match value {
        ValueRef::Integer(thread) => FutureId::Thread(ThreadId(thread as u64)),
        other => FutureId::Promise(other.as_str().unwrap_or_default().into()),
    }
}
