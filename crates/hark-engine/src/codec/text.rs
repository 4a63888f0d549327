//! Human-readable data as JSON: the summaries of sessions and threads, and the history.
//!
//! The last entry of each text is its checksum.

use hark_bytecode::wire::WireError;
use hark_machine::Awaited;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{CodecError, bounded};
use crate::commit::Renewal;
use crate::demand::Demand;
use crate::history::{Event, LogEntry, Needed};
use crate::id::{FutureId, ThreadId};
use crate::limits::{
    COUNT_MAX, PROGRESS_BYTES_MAX, SHOWN_FUTURES_MAX, STARTED_RANGES_MAX, TRIES_MAX, TRIES_NESTED_MAX,
};
use crate::place::Place;
use crate::record::{Awaiting, Live, SessionRecord, Started, Status};
use crate::surroundings::Timestamp;
use crate::throttle::{HeldPlace, Places, Request};

/// A thread's status, in JSON.
#[derive(Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum StatusText {
    Runnable,
    Waiting {
        future: FutureId,
    },
    Awaiting(AwaitingText),
    Following {
        future: FutureId,
    },
    Sleeping {
        until: Timestamp,
    },
    Calling {
        call: u64,
        /// Whether it waits for a process of its pool.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        waits: bool,
    },
    Queued {
        request: Request,
    },
}

/// A wait for several Futures, in JSON.
#[derive(Serialize, Deserialize)]
struct AwaitingText {
    until: Needed,
    futures: Vec<FutureId>,
    count: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    entered: bool,
}

/// A thread's summary, in JSON.
#[derive(Serialize, Deserialize)]
struct LiveText {
    #[serde(flatten)]
    status: StatusText,
    #[serde(default, skip_serializing_if = "is_default_priority")]
    priority: i32,
    #[serde(default, skip_serializing_if = "Place::is_default")]
    place: Place,
    #[serde(default, skip_serializing_if = "Place::is_default")]
    home: Place,
    #[serde(default, skip_serializing_if = "is_zero")]
    calls: u64,
    #[serde(default, skip_serializing_if = "is_zero_32")]
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    progress: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "is_zero_32")]
    losses: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    saved: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_first")]
    parent: ThreadId,
    #[serde(default, skip_serializing_if = "Started::is_empty")]
    started: Started,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stops: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_zero")]
    takes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    places: Vec<HeldPlace>,
    #[serde(default, skip_serializing_if = "is_zero_32")]
    nested: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_default_priority(priority: &i32) -> bool {
    *priority == 0
}

fn is_first(thread: &ThreadId) -> bool {
    *thread == ThreadId(0)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero_32(number: &u32) -> bool {
    *number == 0
}

/// A thread's summary, as JSON.
pub fn live_summary(live: &Live) -> String {
    live_summary_with(live, live.progress.as_deref())
}

/// Like `live_summary`, with this progress.
pub(crate) fn live_summary_with(live: &Live, progress: Option<&str>) -> String {
    let status = match &live.status {
        Status::Runnable => StatusText::Runnable,
        Status::Waiting(awaited) => StatusText::Waiting { future: awaited.into() },
        Status::Awaiting(awaiting) => StatusText::Awaiting(AwaitingText {
            until: awaiting.until.into(),
            futures: awaiting.futures.iter().map(FutureId::from).collect(),
            count: awaiting.count,
            deadline: awaiting.deadline,
            entered: awaiting.is_entered,
        }),
        Status::Following(awaited) => StatusText::Following { future: awaited.into() },
        Status::Sleeping(until) => StatusText::Sleeping { until: *until },
        Status::Calling(call) => StatusText::Calling { call: *call, waits: live.waits_for_pool },
        Status::Queued(request) => StatusText::Queued { request: Request::clone(request) },
    };
    let text = LiveText {
        status,
        priority: live.demand.priority,
        place: live.demand.place.clone(),
        home: live.home.clone(),
        calls: live.calls,
        attempts: live.attempts,
        progress: progress.map(Into::into),
        losses: live.losses,
        saved: live.saved,
        parent: live.parent,
        started: live.started.clone(),
        stops: live.stops,
        takes: live.places.requests(),
        places: live.places.to_vec(),
        nested: live.places.nested(),
    };
    sealed(&text)
}

/// The summary of a thread with the progress of its call.
///
/// # Errors
/// If the text is damaged.
pub fn summary_with_progress(summary: &str, renewal: &Renewal) -> Result<String, CodecError> {
    let mut text: LiveText = unsealed(summary)?;
    text.progress.clone_from(&renewal.progress);
    Ok(sealed(&text))
}

/// Threads to cancel, as JSON.
pub fn started_text(started: &Started) -> String {
    sealed(started)
}

/// Threads to cancel, from their JSON.
///
/// # Errors
/// If the text is damaged.
pub fn started_from_text(text: &str) -> Result<Started, CodecError> {
    let started: Started = unsealed(text)?;
    bounded(started.ranges(), STARTED_RANGES_MAX, "started threads")?;
    Ok(started)
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

/// An entry: the microseconds since a start, the thread, and the event.
type Happened<E> = (i64, ThreadId, E);

/// History entries as JSON: the time of the first, then all of them.
pub fn log_text(log: &[LogEntry]) -> String {
    let start = log.first().map_or(Timestamp(0), |entry| entry.time);
    let since = |time: Timestamp| time.0.wrapping_sub(start.0) as i64;
    let happened: Vec<Happened<&Event>> =
        log.iter().map(|entry| (since(entry.time), entry.thread, &entry.event)).collect();
    sealed(&(start, happened))
}

/// History entries, from their JSON.
///
/// # Errors
/// If the text is damaged.
pub fn log_from_text(text: &str) -> Result<Vec<LogEntry>, CodecError> {
    let (start, happened): (Timestamp, Vec<Happened<Event>>) = unsealed(text)?;
    let entry = |(since, thread, event)| {
        let time = start.0.checked_add_signed(since).and_then(|time| Timestamp::try_from(time).ok());
        Ok(LogEntry { time: time.ok_or(CodecError::OutOfRange("times"))?, thread, event })
    };
    happened.into_iter().map(entry).collect()
}

/// An object or list as JSON, with its checksum as the last entry.
pub(super) fn sealed<T: Serialize + ?Sized>(content: &T) -> String {
    // All types used here can be serialized.
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
    let waits_for_pool = matches!(text.status, StatusText::Calling { waits: true, .. });
    let status = match text.status {
        StatusText::Runnable => Status::Runnable,
        StatusText::Waiting { future } => Status::Waiting(awaited(future)),
        StatusText::Awaiting(AwaitingText { until, futures, count, deadline, entered }) => {
            let futures: Vec<Awaited> = bounded(futures.len(), SHOWN_FUTURES_MAX, "Futures")
                .map(|_| futures.into_iter().map(awaited).collect())?;
            let (until, count) = (until.into(), bounded(count, COUNT_MAX, "Futures")?);
            Status::Awaiting(Box::new(Awaiting { futures, count, until, deadline, is_entered: entered }))
        }
        StatusText::Following { future } => Status::Following(awaited(future)),
        StatusText::Sleeping { until } => Status::Sleeping(until),
        StatusText::Calling { call, .. } => Status::Calling(bounded(call, COUNT_MAX, "calls")?),
        StatusText::Queued { request } => Status::Queued(Box::new(request)),
    };
    let mut live = Live::without_state(status);
    live.attempts = bounded(text.attempts, TRIES_MAX, "tries")?;
    live.calls = bounded(text.calls, COUNT_MAX, "calls")?;
    live.demand = Demand { priority: text.priority, place: text.place };
    (live.home, live.waits_for_pool) = (text.home, waits_for_pool);
    let progress_bytes = text.progress.as_ref().map_or(0, |json| json.len());
    bounded(progress_bytes, PROGRESS_BYTES_MAX, "bytes of progress")?;
    live.progress = text.progress;
    live.losses = bounded(text.losses, TRIES_MAX, "losses")?;
    live.saved = text.saved;
    bounded(text.started.ranges(), STARTED_RANGES_MAX, "started threads")?;
    (live.parent, live.started, live.stops) = (text.parent, text.started, text.stops);
    let nested = bounded(text.nested, TRIES_NESTED_MAX, "tries within tries")?;
    live.places = Places::new(bounded(text.takes, COUNT_MAX, "requests")?, nested, text.places);
    Ok(live)
}

fn awaited(future: FutureId) -> Awaited {
    match future {
        FutureId::Thread(thread) => Awaited::Thread(thread.0),
        FutureId::Promise(id) => Awaited::Promise(id.to_string()),
    }
}
