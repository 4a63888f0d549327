//! The history of a session: its output and the events of its threads, in the order of the commits.

mod reader;

use std::fmt;

use hark_machine::Until;
use serde::{Deserialize, Serialize};

use crate::id::{FutureId, ThreadId};
use crate::output::OutputItem;
use crate::surroundings::Timestamp;
use crate::throttle::Gate;
use crate::worker_kind::WorkerKind;
pub(crate) use reader::HistoryPosition;
pub use reader::HistoryReader;
#[cfg(feature = "simulator")]
pub(crate) use reader::LostOutput;

/// An entry of a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The time.
    pub time: Timestamp,
    /// The thread.
    pub thread: ThreadId,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// An event of a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// It printed this text, including the line end.
    Printed {
        /// The text.
        text: String,
        /// The attempt, if a call printed this and was still in flight when it was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// It was started, either as the session's first thread or by another thread.
    Started {
        /// The called function.
        function: String,
        /// The thread that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ThreadId>,
        /// The function's arguments as text, shortened. Those of the first thread are in the session's summary.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        arguments: String,
    },
    /// It called a Python function.
    Called {
        /// The name in the program.
        function: String,
        /// The number of the attempt.
        attempt: u32,
        /// The arguments as text, shortened.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        arguments: String,
    },
    /// The Python function returned a value.
    Returned {
        /// The value as text, shortened.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        value: String,
        /// The attempt, if it was not the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// The call ended with an error, for example an exception of the Python function.
    Raised {
        /// The error's kind.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        kind: String,
        /// The error's message, shortened.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        message: String,
        /// The attempt, if it was not the last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// A call has failed, and will be retried.
    #[serde(rename = "tries again")]
    TriesAgain {
        /// The name in the program.
        function: String,
        /// The number of the next attempt, from 2.
        attempt: u32,
        /// The maximum number of attempts.
        attempts: u32,
        /// The delay in milliseconds.
        delay: u64,
        /// The message of the error.
        message: String,
    },
    /// It waits for a Future.
    Waited {
        /// The Future.
        future: FutureId,
    },
    /// It waits for several Futures, or with a deadline.
    Awaited {
        /// How many of them it needs.
        until: Needed,
        /// The first of them.
        futures: Vec<FutureId>,
        /// The number of Futures.
        count: u64,
        /// The deadline.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// It ended with a Future, whose value becomes its own.
    Followed {
        /// The Future.
        future: FutureId,
    },
    /// It sleeps.
    Slept {
        /// The wake-up time.
        until: Timestamp,
    },
    /// It waits at a limit or a rate.
    Queued {
        /// The limit or rate.
        gate: Gate,
        /// When it may start, if it is the next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It is about to call a Python function, and waits for a process that serves the place of the call.
    #[serde(rename = "queued in pool")]
    QueuedInPool {
        /// The kind of process.
        #[serde(flatten)]
        worker: WorkerKind,
        /// The name in the program.
        function: String,
        /// The number of the attempt.
        attempt: u32,
        /// The arguments as text, shortened.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        arguments: String,
    },
    /// It continues after waiting or sleeping.
    Resumed,
    /// The worker that ran it was lost, and another one continues it from where it was saved.
    #[serde(rename = "taken over")]
    TakenOver {
        /// When the lost worker last saved it, unless the last thing saved is an event of the thread.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        saved: Option<Timestamp>,
    },
    /// It finished.
    Finished,
    /// It failed.
    Broke {
        /// The error's kind.
        kind: String,
        /// The error's message.
        message: String,
    },
    /// It continues from where it failed.
    Retried,
    /// A promise of its session was resolved from outside. For this and the following events, the thread is the first
    /// one.
    Resolved {
        /// The promise.
        future: FutureId,
    },
    /// A promise of its session was failed from outside.
    #[serde(rename = "failed")]
    FailedOutside {
        /// The promise.
        future: FutureId,
        /// The message of the error.
        message: String,
    },
    /// Its session was ended from outside.
    Cancelled,
    /// It was cancelled, and an error is raised in it.
    Interrupted,
    /// It was cancelled and exceeded its grace period, so it is stopped.
    Stopped,
    /// It was stopped because its session was ended from outside.
    #[serde(rename = "stopped with session")]
    StoppedWithSession,
}

/// How many of several Futures a thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Needed {
    /// All of them.
    All,
    /// One of them.
    Any,
}

impl From<Until> for Needed {
    fn from(until: Until) -> Needed {
        match until {
            Until::All => Needed::All,
            Until::Any | Until::One => Needed::Any,
        }
    }
}

impl From<Needed> for Until {
    fn from(needed: Needed) -> Until {
        match needed {
            Needed::All => Until::All,
            Needed::Any => Until::Any,
        }
    }
}

/// The text "thread 3", or "any of 5 futures (thread 1, thread 2, future `a` and 2 more)".
pub(crate) fn shown_wait(until: Needed, futures: &[FutureId], count: u64) -> String {
    let names: Vec<String> = futures.iter().map(FutureId::to_string).collect();
    let names = names.join(", ");
    if count == 1 {
        return names;
    }
    let which = match until {
        Needed::All => "all",
        Needed::Any => "any",
    };
    match count.saturating_sub(futures.len() as u64) {
        0 => format!("{which} of {count} futures ({names})"),
        more => format!("{which} of {count} futures ({names} and {more} more)"),
    }
}

/// The arguments of a call in parentheses; empty if there are none, or they are unknown.
fn in_parentheses(arguments: &str) -> String {
    if arguments.is_empty() { String::new() } else { format!("({arguments})") }
}

impl LogEntry {
    /// The entry for an item of output.
    pub fn of_output(item: OutputItem) -> LogEntry {
        LogEntry { time: item.time, thread: item.thread, event: Event::Printed { text: item.text, attempt: None } }
    }

    /// Whether the entry is output.
    pub fn is_printed(&self) -> bool {
        matches!(self.event, Event::Printed { .. })
    }

    /// The entry for output of this attempt of a call that is in flight.
    pub(crate) fn of_piece(item: OutputItem, attempt: u32) -> LogEntry {
        let event = Event::Printed { text: item.text, attempt: Some(attempt) };
        LogEntry { time: item.time, thread: item.thread, event }
    }

    /// The attempt of the call that printed this, if it was written while the call was in flight.
    pub(crate) fn piece_of(&self) -> Option<u32> {
        match self.event {
            Event::Printed { attempt, .. } => attempt,
            _ => None,
        }
    }

    /// The length of the printed text.
    pub fn printed_bytes(&self) -> usize {
        match &self.event {
            Event::Printed { text, .. } => text.len(),
            _ => 0,
        }
    }

    /// The output, if the entry is output.
    pub fn printed(&self) -> Option<OutputItem> {
        self.is_printed().then(|| self.clone()).and_then(LogEntry::into_printed)
    }

    /// The output, if the entry is output.
    pub fn into_printed(self) -> Option<OutputItem> {
        match self.event {
            Event::Printed { text, .. } => Some(OutputItem { time: self.time, thread: self.thread, text }),
            _ => None,
        }
    }
}

impl Event {
    /// The name of the event.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Printed { .. } => "printed",
            Event::Started { .. } => "started",
            Event::Called { .. } => "called",
            Event::Returned { .. } => "returned",
            Event::Raised { .. } => "raised",
            Event::TriesAgain { .. } => "tries again",
            Event::Waited { .. } | Event::Awaited { .. } => "waited",
            Event::Followed { .. } => "followed",
            Event::Slept { .. } => "slept",
            Event::Queued { .. } | Event::QueuedInPool { .. } => "queued",
            Event::Resumed => "resumed",
            Event::TakenOver { .. } => "taken over",
            Event::Finished => "finished",
            Event::Broke { .. } => "broke",
            Event::Retried => "retried",
            Event::Resolved { .. } => "resolved",
            Event::FailedOutside { .. } => "failed",
            Event::Cancelled | Event::Interrupted => "cancelled",
            Event::Stopped | Event::StoppedWithSession => "stopped",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Printed { text, .. } => formatter.write_str(text.strip_suffix('\n').unwrap_or(text)),
            Event::Started { function, parent: None, arguments } => {
                write!(formatter, "started: {function}{}", in_parentheses(arguments))
            }
            Event::Started { function, parent: Some(parent), arguments } => {
                write!(formatter, "started by thread {parent}: {function}{}", in_parentheses(arguments))
            }
            Event::Called { function, attempt: 1, arguments } => {
                write!(formatter, "called {function}{}", in_parentheses(arguments))
            }
            Event::Called { function, attempt, arguments } => {
                write!(formatter, "called {function}{} (try {attempt})", in_parentheses(arguments))
            }
            Event::Returned { value, attempt } => {
                formatter.write_str("the call returned")?;
                if !value.is_empty() {
                    write!(formatter, " {value}")?;
                }
                attempt.map_or(Ok(()), |attempt| write!(formatter, " (try {attempt})"))
            }
            Event::Raised { kind, message, attempt } => {
                formatter.write_str("the call raised an error")?;
                match (kind.is_empty(), attempt) {
                    (true, None) => Ok(()),
                    (true, Some(attempt)) => write!(formatter, " (try {attempt})"),
                    (false, None) => write!(formatter, " ({kind}): {message}"),
                    (false, Some(attempt)) => write!(formatter, " ({kind}, try {attempt}): {message}"),
                }
            }
            Event::TriesAgain { function, attempt, attempts, delay, message } => {
                let seconds = *delay as f64 / 1000.0;
                write!(formatter, "tries {function} again ({attempt} of {attempts}) in {seconds} s: {message}")
            }
            Event::Waited { future } => write!(formatter, "waits for {future}"),
            Event::Awaited { until, futures, count, deadline } => {
                let waiting = shown_wait(*until, futures, *count);
                match deadline {
                    Some(deadline) => write!(formatter, "waits for {waiting}, until {deadline}"),
                    None => write!(formatter, "waits for {waiting}"),
                }
            }
            Event::Followed { future } => write!(formatter, "ended with {future}"),
            Event::Slept { until } => write!(formatter, "sleeps until {until}"),
            Event::Queued { gate, until: None } => write!(formatter, "waits for {gate}"),
            Event::Queued { gate, until: Some(until) } => write!(formatter, "waits for {gate}, until {until}"),
            Event::QueuedInPool { worker, function, attempt, arguments } => {
                let arguments = in_parentheses(arguments);
                write!(formatter, "waits for {worker} to call {function}{arguments}")?;
                if *attempt == 1 { Ok(()) } else { write!(formatter, " (try {attempt})") }
            }
            Event::Resumed => formatter.write_str("resumed"),
            Event::TakenOver { saved: None } => formatter.write_str("taken over: its worker was lost"),
            Event::TakenOver { saved: Some(saved) } => {
                write!(formatter, "taken over, as saved at {saved}: its worker was lost")
            }
            Event::Finished => formatter.write_str("finished"),
            Event::Broke { kind, message } => write!(formatter, "broke ({kind}): {message}"),
            Event::Retried => formatter.write_str("retried"),
            Event::Resolved { future } => write!(formatter, "{future} was resolved from outside"),
            Event::FailedOutside { future, message } => {
                write!(formatter, "{future} was failed from outside: {message}")
            }
            Event::Cancelled => formatter.write_str("the session was cancelled"),
            Event::Interrupted => formatter.write_str("was cancelled"),
            Event::Stopped => formatter.write_str("was stopped, because it did not end in time after it was cancelled"),
            Event::StoppedWithSession => formatter.write_str("was stopped with its session"),
        }
    }
}
