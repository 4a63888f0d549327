//! What happened in a session: what it printed, and what its threads did, in the order of the commits.

mod reader;

use std::fmt;

use hark_machine::Until;
use serde::{Deserialize, Serialize};

use crate::id::{FutureId, ThreadId};
use crate::output::OutputItem;
use crate::surroundings::Timestamp;
use crate::throttle::Gate;
pub(crate) use reader::HistoryPosition;
pub use reader::HistoryReader;
#[cfg(feature = "simulator")]
pub(crate) use reader::LostOutput;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// When.
    pub time: Timestamp,
    /// To which thread.
    pub thread: ThreadId,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What may happen to a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// It printed this, line end included.
    Printed {
        /// The text.
        text: String,
        /// A call has printed it, in this try, and was under way when it was written down.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// It was started, by itself as the session's first thread or by another one.
    Started {
        /// Which function it calls.
        function: String,
        /// Who started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        parent: Option<ThreadId>,
        /// The function's arguments as text, shortened. Those of the first thread are in the session's summary.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        arguments: String,
    },
    /// It called a Python function.
    Called {
        /// What the program calls it.
        function: String,
        /// Which try.
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
        /// Which try, if not the last one that was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// The call ended with an error: the Python function raised an exception, for one.
    Raised {
        /// Which try, if not the last one that was made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attempt: Option<u32>,
    },
    /// A call of it has failed, and is tried again.
    #[serde(rename = "tries again")]
    TriesAgain {
        /// What the program calls it.
        function: String,
        /// Which try comes next, from 2.
        attempt: u32,
        /// How many there are at most.
        attempts: u32,
        /// In how many milliseconds.
        delay: u64,
        /// What the error says.
        message: String,
    },
    /// It waits for a Future.
    Waited {
        /// Which.
        future: FutureId,
    },
    /// It waits for several Futures, or until a time.
    Awaited {
        /// How many of them it needs.
        until: Needed,
        /// The first of them.
        futures: Vec<FutureId>,
        /// How many there are.
        count: u64,
        /// Until then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Timestamp>,
    },
    /// It came to its end with a Future, whose value will be its own.
    Followed {
        /// Which.
        future: FutureId,
    },
    /// It sleeps.
    Slept {
        /// Until then.
        until: Timestamp,
    },
    /// It waits for a place of a limit, or a start of a rate.
    Queued {
        /// Which.
        gate: Gate,
        /// Until then, if it is the next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// It goes on after it waited or slept.
    Resumed,
    /// It came to its end.
    Finished,
    /// It failed.
    Broke {
        /// The error's kind.
        kind: String,
        /// The error's message.
        message: String,
    },
    /// It goes on from where it had failed.
    Retried,
    /// Someone outside gave a promise of its session its value. Of this and what follows, the thread is the first one.
    Resolved {
        /// Which.
        future: FutureId,
    },
    /// Someone outside failed a promise of its session.
    #[serde(rename = "failed")]
    FailedOutside {
        /// Which.
        future: FutureId,
        /// With this.
        message: String,
    },
    /// Someone outside ended its session.
    Cancelled,
    /// It was cancelled, and an error is raised in it.
    Interrupted,
    /// It was cancelled, and has gone on for longer than it may: it is stopped.
    Stopped,
}

/// How many of some Futures a thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Needed {
    /// All of them.
    All,
    /// One.
    Any,
}

impl From<Until> for Needed {
    fn from(until: Until) -> Needed {
        match until {
            Until::All => Needed::All,
            Until::Any => Needed::Any,
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

/// "thread 3", "any of 5 futures (thread 1, thread 2, future `a` and 2 more)".
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

/// The arguments of a call, behind its function; nothing if there are none, or they are not known.
fn in_parentheses(arguments: &str) -> String {
    if arguments.is_empty() { String::new() } else { format!("({arguments})") }
}

impl LogEntry {
    /// An item of output, as it stands in the history.
    pub fn of_output(item: OutputItem) -> LogEntry {
        LogEntry { time: item.time, thread: item.thread, event: Event::Printed { text: item.text, attempt: None } }
    }

    /// Whether something was printed.
    pub fn is_printed(&self) -> bool {
        matches!(self.event, Event::Printed { .. })
    }

    /// A part of what this try of a call prints.
    pub(crate) fn of_piece(item: OutputItem, attempt: u32) -> LogEntry {
        let event = Event::Printed { text: item.text, attempt: Some(attempt) };
        LogEntry { time: item.time, thread: item.thread, event }
    }

    /// Of which try of a call this is output, if it was written down while that was under way.
    pub(crate) fn piece_of(&self) -> Option<u32> {
        match self.event {
            Event::Printed { attempt, .. } => attempt,
            _ => None,
        }
    }

    /// How long the text is that was printed.
    pub fn printed_bytes(&self) -> usize {
        match &self.event {
            Event::Printed { text, .. } => text.len(),
            _ => 0,
        }
    }

    /// What was printed, if that is what happened.
    pub fn printed(&self) -> Option<OutputItem> {
        self.is_printed().then(|| self.clone()).and_then(LogEntry::into_printed)
    }

    /// What was printed, if that is what happened.
    pub fn into_printed(self) -> Option<OutputItem> {
        match self.event {
            Event::Printed { text, .. } => Some(OutputItem { time: self.time, thread: self.thread, text }),
            _ => None,
        }
    }
}

impl Event {
    /// Its name.
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
            Event::Queued { .. } => "queued",
            Event::Resumed => "resumed",
            Event::Finished => "finished",
            Event::Broke { .. } => "broke",
            Event::Retried => "retried",
            Event::Resolved { .. } => "resolved",
            Event::FailedOutside { .. } => "failed",
            Event::Cancelled | Event::Interrupted => "cancelled",
            Event::Stopped => "stopped",
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
            Event::Raised { attempt: None } => formatter.write_str("the call raised an error"),
            Event::Raised { attempt: Some(attempt) } => write!(formatter, "the call raised an error (try {attempt})"),
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
            Event::Resumed => formatter.write_str("resumed"),
            Event::Finished => formatter.write_str("finished"),
            Event::Broke { kind, message } => write!(formatter, "broke ({kind}): {message}"),
            Event::Retried => formatter.write_str("retried"),
            Event::Resolved { future } => write!(formatter, "{future} was resolved from outside"),
            Event::FailedOutside { future, message } => {
                write!(formatter, "{future} was failed from outside: {message}")
            }
            Event::Cancelled => formatter.write_str("the session was cancelled"),
            Event::Interrupted => formatter.write_str("was cancelled"),
            Event::Stopped => formatter.write_str("was stopped, as it went on for too long after it was cancelled"),
        }
    }
}
