//! Limits and rates: who waits for a place, who has one, and who is next, over all sessions of a storage.
//!
//! A *gate* is a limit or a rate of some name. All of its records in the [space](crate::space) change together with its
//! head, which every change expects as it was read: so of two at the same time one begins anew, and no rule needs more.
//!
//! - **A thread says first in its session that it queues, then it enters the queue.** If its process dies in between,
//!   whoever takes the session up looks at the thread, and it enters then. To enter twice changes nothing.
//! - **A place is given back after the step that does without it.** Entries whose threads do not want them any more are
//!   removed when their session is taken up, and before it ends.
//! - **A place, and one in the queue, counts only while its session is served.** Who finds a gate full removes the holds of
//!   sessions that nobody serves, and takes their entries out of the queue. Whoever takes such a session up enters its
//!   threads again where they were, and one that has lost its place queues for it, before all others, when it is looked at.
//!   It makes each entry its own first, so that a removal that was decided before is in conflict.

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

/// What a gate bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateKind {
    /// How many are within.
    Limit,
    /// How many start within a time.
    Rate,
}

/// A limit or a rate, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Gate {
    /// What it bounds.
    pub kind: GateKind,
    /// Its name.
    pub name: Arc<str>,
}

/// How many a gate lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// So many, 1 at least.
    pub count: u64,
    /// Of a rate: within so many microseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub per: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a thread queues for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The gate.
    pub gate: Gate,
    /// What the thread's program says of it.
    pub bound: Bound,
    /// Higher ones go first.
    pub priority: i32,
    /// Which of the thread's requests it is.
    pub number: u64,
    /// How many activation records the thread has that asks for it.
    pub depth: u64,
    /// The thread may start then, and waits for that only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// From this time on the thread does without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
}

/// A limit's place that a thread has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldPlace {
    /// The limit's name.
    pub name: Arc<str>,
    /// How many places there are, as the thread's program says.
    pub count: u64,
    /// By which of its holder's requests it got it.
    pub number: u64,
    /// How many activation records the thread had then. If an error leaves the last of these, the place is given back.
    pub depth: u64,
    /// Whose place it is, if the thread is one try of a call that another one makes, and which counts for its tries, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lender: Option<ThreadId>,
}

/// A thread of any session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Holder {
    pub session: SessionId,
    pub thread: ThreadId,
}

/// What the space has of a thread at a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// By which of its requests.
    pub number: u64,
    /// Who has the session in memory, and has made the entry its own.
    pub owner: u64,
    /// It had a place by this request before, and has lost it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_again: bool,
    #[serde(flatten)]
    pub state: EntryState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum EntryState {
    /// It is in the queue, or was taken out of it as nobody serves its session.
    Queued { rank: u64, ticket: u64, away: bool },
    /// It has a place, or may start at this time.
    Held {
        from: Timestamp,
        /// It had lost its place, and has not looked since it got it again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        regained: bool,
    },
}

/// One request of a thread, by which it has a place or queues for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// At which gate.
    pub gate: Gate,
    /// Which.
    pub number: u64,
}

impl Gate {
    /// What a thread asks for, and how many there are of it.
    pub(crate) fn of(take: Take) -> (Gate, Bound) {
        let Take { name, count, per, .. } = take;
        let kind = if per.is_some() { GateKind::Rate } else { GateKind::Limit };
        let per = per.map_or(0, |seconds| (seconds * 1e6).clamp(1.0, 1e18) as u64);
        (Gate { kind, name }, Bound { count, per })
    }

    /// The limit of this name.
    pub fn limit(name: Arc<str>) -> Gate {
        Gate { kind: GateKind::Limit, name }
    }
}

impl Request {
    /// The request by which it queues.
    pub fn token(&self) -> Token {
        Token { gate: self.gate.clone(), number: self.number }
    }
}

impl HeldPlace {
    /// The request by which its holder has it.
    pub fn token(&self) -> Token {
        Token { gate: Gate::limit(self.name.clone()), number: self.number }
    }

    /// The same place, for a try of a call that this thread makes.
    pub(crate) fn lent_by(&self, thread: ThreadId) -> HeldPlace {
        HeldPlace { lender: self.lender.or(Some(thread)), ..self.clone() }
    }

    /// What its holder asks for that has lost it.
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
