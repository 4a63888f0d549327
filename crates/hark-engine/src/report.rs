//! What a session came to.

use std::fmt;

use hark_machine::{Error, Value};

use crate::failure::Failure;
use crate::id::{SessionId, ThreadId};
use crate::output::OutputItem;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Every thread came to its end, or what it failed with was dealt with.
    Finished,
    /// Some thread failed and nothing dealt with it.
    Broken,
    /// It was ended from outside.
    Cancelled,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Status::Finished => "finished",
            Status::Broken => "broken",
            Status::Cancelled => "cancelled",
        })
    }
}

/// One root cause of a broken session.
#[derive(Debug, Clone)]
pub struct SessionError {
    /// The thread that raised it.
    pub thread: ThreadId,
    /// The error, with the longest way that it took through those who awaited it, the outermost frame first.
    pub error: Error,
}

/// What a session came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The session.
    pub session: SessionId,
    /// How it ended.
    pub status: Status,
    /// The value of its first thread, if it finished.
    pub result: Option<Value>,
    /// What it printed, if that was to be kept.
    pub output: Vec<OutputItem>,
    /// Why it is broken: one entry for each root cause, in the order of their threads.
    pub errors: Vec<SessionError>,
    /// How many threads it started, the first included.
    pub threads: u64,
}

/// One error for each root: of the failures that nobody awaited, the one with the longest trace.
pub(crate) fn root_causes(unawaited: impl IntoIterator<Item = Failure>) -> Vec<SessionError> {
    let mut longest: std::collections::BTreeMap<ThreadId, Failure> = std::collections::BTreeMap::new();
    for failure in unawaited {
        match longest.get(&failure.root) {
            Some(known) if known.depth() >= failure.depth() => {}
            _ => drop(longest.insert(failure.root, failure)),
        }
    }
    longest.into_iter().map(|(thread, failure)| SessionError { thread, error: failure.error }).collect()
}
