//! Handing threads over to another process, where threads are leased.
//!
//! The process that has taken a thread, or has started or woken it and kept it, need not run it: the lease belongs to
//! the thread, and its holder is any process that knows the version of the thread's record. An assignment contains
//! everything that the next process needs. It is a short text, so that it fits into a command line argument, an event
//! or a message. A lost assignment costs only time, until its lease expires. A duplicate or late one does no harm,
//! because the version fences it off.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::Left;
use crate::surroundings::Timestamp;

/// A thread that another process is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The thread's session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The version with which it is held. None for a waiting thread that was woken, which no process holds.
    pub held: Option<Stamp>,
    /// What happened to the process that held it before the one that hands it over.
    pub left: Left,
}

/// The report of a process that has run assigned threads to the process that assigned them, which then need not poll
/// for the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignmentEnd {
    /// The earliest time at which a thread that was left to others is due, if any was left.
    pub due: Option<Timestamp>,
    /// The process has changed a session's state, so the session may be over.
    pub has_changed_session: bool,
}

/// The error for a text that is not an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not an assignment of a thread")]
pub struct NoAssignment;

const LEFT: [(Left, &str); 3] = [(Left::Free, "free"), (Left::Withdrawn, "withdrawn"), (Left::Lost, "lost")];

impl fmt::Display for Assignment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Assignment { session, thread, held, left } = self;
        let held = held.map_or(0, |stamp| stamp.0.get());
        let left = LEFT.iter().find(|(known, _)| known == left).map_or("free", |(_, name)| name);
        write!(formatter, "{session}/{thread}/{held}/{left}")
    }
}

impl FromStr for Assignment {
    type Err = NoAssignment;

    fn from_str(text: &str) -> Result<Assignment, NoAssignment> {
        let parts: Vec<&str> = text.split('/').collect();
        let [session, thread, held, left] = parts[..] else { return Err(NoAssignment) };
        let thread: u64 = thread.parse().map_err(|_| NoAssignment)?;
        let held: u64 = held.parse().map_err(|_| NoAssignment)?;
        Ok(Assignment {
            session: SessionId::parse(session).ok_or(NoAssignment)?,
            thread: ThreadId::try_from(thread).map_err(|_| NoAssignment)?,
            held: NonZeroU64::new(held).map(Stamp),
            left: LEFT.iter().find(|(_, name)| *name == left).ok_or(NoAssignment)?.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_a_text() {
        let session = SessionId::new(Timestamp(1_000_000), 7);
        for (held, left) in
            [(NonZeroU64::new(u64::MAX), Left::Lost), (None, Left::Free), (NonZeroU64::new(1), Left::Withdrawn)]
        {
            let assignment = Assignment { session: session.clone(), thread: ThreadId(12), held: held.map(Stamp), left };
            assert_eq!(assignment.to_string().parse(), Ok(assignment));
        }
        let text = format!("{session}/12/0/free");
        assert!(text.parse::<Assignment>().is_ok());
        for bad in
            ["", "/12/0/free", &text[1..], &text[..text.len() - 1], &format!("{text}/1"), &text.replace("12", "-1")]
        {
            assert_eq!(bad.parse::<Assignment>(), Err(NoAssignment), "{bad}");
        }
    }
}
