//! The encoding of records, for storages that store bytes.
//!
//! Data that people may want to read is JSON: the summaries of sessions and threads, and the history. The rest is
//! compact: snapshots and values in the machine's encoding. Everything has a checksum: SQLite does not detect flipped
//! bits, and a session that continues with the wrong thread number is worse than a lost one.

mod content;
pub(crate) mod parts;
pub(crate) mod row;
#[cfg(test)]
mod tests;
mod text;

use hark_bytecode::wire::{Reader, WireError};
use hark_machine::SnapshotError;

pub use content::{
    failure, failure_content, future, future_content, interest_of, live, live_content, read_place, read_waiter,
    write_waiter,
};
pub(crate) use text::live_summary_with;
pub use text::{
    live_from_summary, live_summary, log_from_text, log_text, session_from_summary, session_summary, started_from_text,
    started_text, summary_with_progress,
};

use crate::id::ThreadId;
use crate::storage::StorageError;

/// The error of stored bytes that are not a record.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are damaged.
    #[error("a record cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The machine cannot decode its part.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The text is not JSON, or not the expected JSON.
    #[error("a summary cannot be read: {0}")]
    Summary(#[from] serde_json::Error),
    /// A number exceeds the maximum that is ever written.
    #[error("a record cannot be read: {0} out of range")]
    OutOfRange(&'static str),
    /// It is compressed or encrypted with a codec that this release does not know.
    #[error("a record is written in codec {codec} with key {key}; use the release that wrote it, or a later one")]
    UnknownCodec {
        /// The number of the codec.
        codec: u8,
        /// The number of its key.
        key: u32,
    },
    /// A mailbox contains signals, which this release does not know.
    #[error("a mailbox has signals, which this release does not know; use the release that wrote it, or a later one")]
    UnknownMailbox,
}

/// Reads a thread's number.
pub(crate) fn read_thread(reader: &mut Reader<'_>) -> Result<ThreadId, WireError> {
    ThreadId::try_from(reader.unsigned()?).map_err(|_| reader.invalid("a thread's number"))
}

/// Checks that a number is within a limit.
fn bounded<T: PartialOrd>(number: T, most: T, what: &'static str) -> Result<T, CodecError> {
    if number <= most { Ok(number) } else { Err(CodecError::OutOfRange(what)) }
}

impl From<CodecError> for StorageError {
    fn from(error: CodecError) -> StorageError {
        StorageError::Permanent(format!("{error}; the storage is damaged, or a later version of Hark wrote it"))
    }
}
