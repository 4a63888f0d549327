//! Records written down, for storages that keep bytes.
//!
//! What people may want to look at is JSON: a session's summary, what a thread is about, what happened. The rest is
//! compact: snapshots and values as the machine writes them. Each has its checksum, the JSON as its last entry: SQLite
//! notices no wrong bit in a text, and a session that goes on with another thread's number is worse than none.

use std::sync::Arc;

use hark_bytecode::wire::{Reader, WireError, Writer};
use hark_bytecode::{ForeignIndex, Span};
use hark_machine::{Awaited, Error, Program, SnapshotError, Thread, TraceFrame, read_values, write_values};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::history::LogEntry;
use crate::id::{FutureId, ThreadId};
use crate::record::{FutureRecord, Live, PendingCall, SessionRecord, State, Status, Waiters};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

const FUTURE_MAGIC: [u8; 4] = *b"HkFu";
const FAILURE_MAGIC: [u8; 4] = *b"HkEr";
const LIVE_MAGIC: [u8; 4] = *b"HkLi";
const VERSION: u8 = 1;

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
}

impl From<CodecError> for StorageError {
    fn from(error: CodecError) -> StorageError {
        StorageError::Permanent(format!("{error}; the storage is damaged, or a later version of Hark wrote it"))
    }
}

/// What a thread is about, in JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum StatusText {
    Runnable,
    Waiting { future: FutureId },
    Following { future: FutureId },
    Sleeping { until: Timestamp },
    Calling { call: u64 },
}

/// A thread's summary in JSON.
#[derive(Serialize, Deserialize)]
struct LiveText {
    #[serde(flatten)]
    status: StatusText,
    #[serde(default, skip_serializing_if = "is_zero")]
    calls: u64,
    #[serde(default, skip_serializing_if = "is_zero_32")]
    losses: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero_32(number: &u32) -> bool {
    *number == 0
}

/// What a thread is about, as JSON.
pub fn live_summary(live: &Live) -> String {
    let status = match &live.status {
        Status::Runnable => StatusText::Runnable,
        Status::Waiting(awaited) => StatusText::Waiting { future: awaited.into() },
        Status::Following(awaited) => StatusText::Following { future: awaited.into() },
        Status::Sleeping(until) => StatusText::Sleeping { until: *until },
        Status::Calling(call) => StatusText::Calling { call: *call },
    };
    let text = LiveText { status, calls: live.calls, losses: live.losses };
    sealed(&text)
}

/// A session's summary, as JSON.
pub fn session_summary(session: &SessionRecord) -> String {
    sealed(session)
}

/// A session's summary from its JSON.
///
/// # Errors
/// If the text is damaged.
pub fn session_from_summary(summary: &str) -> Result<SessionRecord, CodecError> {
    unsealed(summary)
}

/// What happened, as JSON.
pub fn log_text(log: &[LogEntry]) -> String {
    sealed(log)
}

/// What happened, from its JSON.
///
/// # Errors
/// If the text is damaged.
pub fn log_from_text(text: &str) -> Result<Vec<LogEntry>, CodecError> {
    unsealed(text)
}

/// An object or list as JSON, with its checksum as its last entry.
fn sealed<T: Serialize + ?Sized>(content: &T) -> String {
    // Nothing that is written here can fail to be JSON.
    let mut text = serde_json::to_string(content).unwrap_or_default();
    let checksum = format!("{:08x}", crc32fast::hash(text.as_bytes()));
    match text.pop() {
        Some(']') => text.push_str(&format!(",\"{checksum}\"]")),
        _ => text.push_str(&format!(",\"checksum\":\"{checksum}\"}}")),
    }
    text
}

fn unsealed<T: DeserializeOwned>(text: &str) -> Result<T, CodecError> {
    let parts = match text.rsplit_once(",\"") {
        Some((content, end)) => match (end.strip_suffix("\"]"), end.strip_prefix("checksum\":\"")) {
            (Some(checksum), _) => Some((format!("{content}]"), checksum)),
            (None, Some(end)) => end.strip_suffix("\"}").map(|checksum| (format!("{content}}}"), checksum)),
            (None, None) => None,
        },
        None => None,
    };
    let Some((content, checksum)) = parts else { return Err(WireError::Checksum.into()) };
    if format!("{:08x}", crc32fast::hash(content.as_bytes())) != checksum {
        return Err(WireError::Checksum.into());
    }
    Ok(serde_json::from_str(&content)?)
}

/// A thread without its state, from its summary.
///
/// # Errors
/// If the text is damaged.
pub fn live_from_summary(summary: &str) -> Result<Box<Live>, CodecError> {
    let text: LiveText = unsealed(summary)?;
    let status = match text.status {
        StatusText::Runnable => Status::Runnable,
        StatusText::Waiting { future } => Status::Waiting(awaited(future)),
        StatusText::Following { future } => Status::Following(awaited(future)),
        StatusText::Sleeping { until } => Status::Sleeping(until),
        StatusText::Calling { call } => Status::Calling(call),
    };
    let mut live = Live::without_state(status);
    live.calls = text.calls;
    live.losses = text.losses;
    Ok(live)
}

fn awaited(future: FutureId) -> Awaited {
    match future {
        FutureId::Thread(thread) => Awaited::Thread(thread.0),
        FutureId::Promise(id) => Awaited::Promise(id.to_string()),
    }
}

/// A thread's state, and its call under way.
pub fn live_content(live: &Live, program: &Program) -> Vec<u8> {
    let mut writer = Writer::new();
    match &live.state {
        State::Present(thread) => {
            writer.byte(1);
            writer.bytes(&thread.snapshot(program));
        }
        State::Absent => writer.byte(0),
    }
    match &live.call {
        Some(call) => {
            writer.byte(1);
            writer.unsigned(call.foreign.0.into());
            writer.unsigned(call.attempt.into());
            writer.bytes(&write_values(&call.arguments));
        }
        None => writer.byte(0),
    }
    writer.seal(LIVE_MAGIC, VERSION)
}

/// A thread from its summary and content.
///
/// # Errors
/// If they are damaged, or not of this program.
pub fn live(summary: &str, content: &[u8], program: &Program) -> Result<Box<Live>, CodecError> {
    let mut live = live_from_summary(summary)?;
    let (mut reader, _) = Reader::open(content, "thread", LIVE_MAGIC, VERSION)?;
    if reader.byte()? == 1 {
        live.state = State::Present(Thread::restore(reader.bytes()?, program)?);
    }
    if reader.byte()? == 1 {
        let foreign = ForeignIndex(reader.unsigned32()?);
        let attempt = reader.unsigned32()?;
        let arguments = read_values(reader.bytes()?, program)?;
        live.call = Some(Box::new(PendingCall { foreign, arguments, attempt }));
    }
    reader.finish()?;
    Ok(live)
}

/// A Future.
pub fn future_content(future: &FutureRecord) -> Vec<u8> {
    let mut writer = Writer::new();
    match future {
        FutureRecord::Resolved(value) => {
            writer.byte(0);
            writer.bytes(&write_values([value]));
        }
        FutureRecord::Failed(failure) => {
            writer.byte(1);
            write_failure(&mut writer, failure);
        }
        FutureRecord::AwaitedBy(waiter) => {
            writer.byte(2);
            writer.unsigned(waiter.0);
        }
        FutureRecord::AwaitedByMany(waiters) => {
            writer.byte(3);
            writer.byte(u8::from(waiters.crowded));
            writer.unsigned(waiters.inline.len() as u64);
            waiters.inline.iter().for_each(|waiter| writer.unsigned(waiter.0));
        }
    }
    writer.seal(FUTURE_MAGIC, VERSION)
}

/// A Future from its content.
///
/// # Errors
/// If it is damaged, or not of this program.
pub fn future(content: &[u8], program: &Program) -> Result<FutureRecord, CodecError> {
    let (mut reader, _) = Reader::open(content, "Future", FUTURE_MAGIC, VERSION)?;
    let future = match reader.byte()? {
        0 => match read_values(reader.bytes()?, program)?.pop() {
            Some(value) => FutureRecord::Resolved(value),
            None => return Err(reader.invalid("a value").into()),
        },
        1 => FutureRecord::Failed(Arc::new(read_failure(&mut reader, program)?)),
        2 => FutureRecord::AwaitedBy(ThreadId(reader.unsigned()?)),
        3 => {
            let crowded = reader.byte()? == 1;
            let inline = (0..reader.count()?).map(|_| reader.unsigned().map(ThreadId)).collect::<Result<_, _>>()?;
            FutureRecord::AwaitedByMany(Arc::new(Waiters { inline, crowded }))
        }
        _ => return Err(reader.invalid("a Future").into()),
    };
    reader.finish()?;
    Ok(future)
}

/// A failure.
pub fn failure_content(failure: &Failure) -> Vec<u8> {
    let mut writer = Writer::new();
    write_failure(&mut writer, failure);
    writer.seal(FAILURE_MAGIC, VERSION)
}

/// A failure from its content.
///
/// # Errors
/// If it is damaged, or not of this program.
pub fn failure(content: &[u8], program: &Program) -> Result<Failure, CodecError> {
    let (mut reader, _) = Reader::open(content, "failure", FAILURE_MAGIC, VERSION)?;
    let failure = read_failure(&mut reader, program)?;
    reader.finish()?;
    Ok(failure)
}

fn write_failure(writer: &mut Writer, failure: &Failure) {
    let error = &failure.error;
    writer.unsigned(failure.root.0);
    writer.string(&error.kind);
    writer.string(&error.message);
    writer.bytes(&write_values([&error.data]));
    writer.unsigned(error.omitted);
    writer.unsigned(error.trace.len() as u64);
    for frame in &error.trace {
        writer.unsigned(frame.thread);
        writer.string(&frame.function);
        writer.unsigned(frame.span.start.into());
        writer.unsigned(frame.span.end.into());
    }
}

fn read_failure(reader: &mut Reader<'_>, program: &Program) -> Result<Failure, CodecError> {
    let root = ThreadId(reader.unsigned()?);
    let kind = reader.string()?;
    let mut error = Error::new(kind, reader.string()?);
    error.data = read_values(reader.bytes()?, program)?.pop().unwrap_or_default();
    error.omitted = reader.unsigned()?;
    error.trace = (0..reader.count()?)
        .map(|_| {
            let thread = reader.unsigned()?;
            let function = reader.string()?.into();
            let span = Span { start: reader.unsigned32()?, end: reader.unsigned32()? };
            Ok(TraceFrame { thread, function, span })
        })
        .collect::<Result<_, WireError>>()?;
    Ok(Failure { error, root })
}
