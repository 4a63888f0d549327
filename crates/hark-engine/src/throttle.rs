//! Limits and rates: the queues for places, and the places held, across all sessions of a storage.
//!
//! A *gate* is a limit or a rate with a name. All of its records in the [space](crate::space) are changed together with
//! its head, and each change expects the version of the head that it has read. So of two concurrent changes, one starts
//! over, and no other synchronization is needed.
//!
//! - **A thread is first recorded as queued in its session, then entered into the queue.** If its process dies in
//!   between, the process that resumes the session looks at the thread and enters it then. Entering it twice has no
//!   effect.
//! - **A place is released after the step that no longer needs it.** Entries that their threads no longer need are
//!   removed when their session is resumed, and before it ends.
//! - **Places and queue entries count only while their session is being served.** A process that finds a gate full
//!   removes the holds of sessions that are not being served, and takes their entries out of the queue. A process that
//!   resumes such a session enters its threads again at their old positions; a thread that has lost its place is queued
//!   for it in front of all others when it is looked at. The process first claims each entry, so that a removal decided
//!   earlier conflicts.

mod change;
mod disagreement;
mod head;
mod key;
mod look;
mod places;

use std::sync::Arc;

use hark_machine::Take;
use serde::{Deserialize, Serialize};

use crate::id::{SessionId, ThreadId};
use crate::surroundings::Timestamp;
pub(crate) use change::{Change, Operation, Priority, Turnstile};
pub(crate) use disagreement::place_of;
pub use disagreement::{Disagreement, disagreements};
pub(crate) use look::{
    Look, entries_of, entry_of, forget, gates, has_regained, holders, is_full_of, is_held_elsewhere, is_queued,
    sessions, tend,
};
pub use places::Places;

/// The kind of bound of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// Bounds the number of concurrent holders.
    Limit,
    /// Bounds the number of starts within a period.
    Rate,
}

/// A limit or a rate, identified by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gate {
    /// Its kind.
    pub kind: GateKind,
    /// Its name.
    pub name: Arc<str>,
}

/// The bound of a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The number of holders or starts, at least 1.
    pub count: u64,
    /// For a rate: the period in microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A thread's request, for which it is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The gate.
    pub gate: Gate,
    /// The bound declared by the thread's program.
    pub bound: Bound,
    /// Requests with higher priority go first.
    pub priority: i32,
    /// The number of this request among those of the thread.
    pub number: u64,
    /// The number of activation records of the requesting thread.
    pub depth: u64,
    /// If set, the thread was granted a start at this time, and only waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The time after which the thread does without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// A place of a limit that is held by a thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPlace {
    /// The limit's name.
    pub name: Arc<str>,
    /// The number of places declared by the thread's program.
    pub count: u64,
    /// The number of the holder's request by which it got the place.
    pub number: u64,
    /// The number of activation records of the thread at that time. If an error unwinds the last of these, the place is
    /// released.
    pub depth: u64,
    /// If the thread is a try of a call that another thread makes: the thread that holds the place, which also counts
    /// for the tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lender: Option<ThreadId>,
}

/// A thread of any session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Holder {
    pub session: SessionId,
    pub thread: ThreadId,
}

/// The entry of a thread at a gate, in the space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The number of the thread's request.
    pub number: u64,
    /// The process that has the session in memory, and has claimed the entry.
    pub owner: u64,
    /// Whether the thread had a place by this request before, and has lost it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_again: bool,
    #[serde(flatten)]
    pub state: EntryState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum EntryState {
    /// In the queue; or taken out of it (`away`), because the session is not being served.
    Queued { rank: u64, ticket: u64, away: bool },
    /// The thread holds a place, or may start at this time.
    Held {
        from: Timestamp,
        /// Whether the thread had lost its place, and has not looked since it regained it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        regained: bool,
    },
}

/// Identifies a thread's request, by which it has or waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The gate.
    pub gate: Gate,
    /// The number of the request.
    pub number: u64,
}

impl Gate {
    /// The gate that a thread asks for, and its bound.
    pub(crate) fn of(take: Take) -> (Gate, Bound) {
        let Take { name, count, per, .. } = take;
        let kind = if per.is_some() { GateKind::Rate } else { GateKind::Limit };
        let per = per.map_or(0, |seconds| (seconds * 1e6).clamp(1.0, 1e18) as u64);
        (Gate { kind, name }, Bound { count, per })
    }

    /// The limit with this name.
    pub fn limit(name: Arc<str>) -> Gate {
        Gate { kind: GateKind::Limit, name }
    }
}

impl Request {
    /// The token of the request.
    pub fn token(&self) -> Token {
        Token { gate: self.gate.clone(), number: self.number }
    }
}

impl HeldPlace {
    /// The token of the request by which it is held.
    pub fn token(&self) -> Token {
        Token { gate: Gate::limit(self.name.clone()), number: self.number }
    }

    /// The same place, for a try of a call made by this thread.
    pub(crate) fn lent_by(&self, thread: ThreadId) -> HeldPlace {
        HeldPlace { lender: self.lender.or(Some(thread)), ..self.clone() }
    }

    /// The request of a holder that has lost the place.
    pub(crate) fn request(&self) -> Request {
        let (gate, bound) = (Gate::limit(self.name.clone()), Bound { count: self.count, per: 0 });
        Request { gate, bound, priority: 0, number: self.number, depth: self.depth, until: None, deadline: None }
    }
}

impl std::fmt::Display for Bound {
    /// "10", "100 per 60 s".
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.per {
            0 => write!(formatter, "{}", self.count),
            per => write!(formatter, "{} per {} s", self.count, per as f64 / 1e6),
        }
    }
}

impl std::fmt::Display for Gate {
    /// "a place of `stripe`", "a start of `stripe`".
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            GateKind::Limit => write!(formatter, "a place of `{}`", self.name),
            GateKind::Rate => write!(formatter, "a start of `{}`", self.name),
        }
    }
}
