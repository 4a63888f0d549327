//! Records written down, for storages that keep bytes.
//!
//! What people may want to look at is JSON: a session's summary, what a thread is about, what happened. The rest is
//! compact: snapshots and values as the machine writes them. Each has its checksum: SQLite notices no wrong bit in what
//! it keeps, and a session that goes on with another thread's number is worse than none.

mod content;
pub(crate) mod parts;
pub(crate) mod row;
#[cfg(test)]
mod tests;
mod text;

use hark_bytecode::wire::{Reader, WireError};
use hark_machine::SnapshotError;

pub use content::{
    failure, failure_content, future, future_content, interest_byte, interest_of, live, live_content, read_waiter,
};
pub(crate) use text::live_summary_with;
pub use text::{
    live_from_summary, live_summary, log_from_text, log_text, session_from_summary, session_summary, started_from_text,
    started_text, summary_with_progress,
};

use crate::id::ThreadId;
use crate::storage::StorageError;

/// Why kept bytes are no record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are damaged.
    #[error("a record cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The machine cannot read its part.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The text is no JSON, or other JSON.
    #[error("a summary cannot be read: {0}")]
    Summary(#[from] serde_json::Error),
    /// A number in it is larger than any that is ever written.
    #[error("a record cannot be read: {0} out of range")]
    OutOfRange(&'static str),
    /// It is compressed or encrypted in a way that this release does not know.
    #[error("a record is written in codec {codec} with key {key}; use the release that wrote it, or a later one")]
    UnknownCodec {
        /// The codec's number.
        codec: u8,
        /// Its key's.
        key: u32,
    },
    /// A mailbox has signals, which this release does not know.
    #[error("a mailbox has signals, which this release does not know; use the release that wrote it, or a later one")]
    UnknownMailbox,
}

/// A thread's number.
pub(crate) fn read_thread(reader: &mut Reader<'_>) -> Result<ThreadId, WireError> {
    ThreadId::try_from(reader.unsigned()?).map_err(|_| reader.invalid("a thread's number"))
}

/// A number up to this one.
fn bounded<T: PartialOrd>(number: T, most: T, what: &'static str) -> Result<T, CodecError> {
    if number <= most { Ok(number) } else { Err(CodecError::OutOfRange(what)) }
}

impl From<CodecError> for StorageError {
    fn from(error: CodecError) -> StorageError {
        StorageError::Permanent(format!("{error}; the storage is damaged, or a later version of Hark wrote it"))
    }
}
