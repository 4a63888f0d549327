//! The log of a process that serves sessions: when each of them begins, resumes and ends.

use crate::id::SessionId;
use crate::record::About;
use crate::report::Report;

/// An event to log.
#[derive(Debug)]
pub enum Milestone<'a> {
    /// The session's first thread runs for the first time.
    Started,
    /// The session was left by another process, possibly a lost one, and continues in this one.
    Resumed,
    /// The session broke in this process, was retried, and continues.
    Retried,
    /// The session is over: it was ended by this process, or from outside while this process served it.
    Ended(&'a Report),
}

/// Receives the milestones of all sessions served by an engine. It is called by workers, and must not block.
pub trait Journal: Send + Sync {
    /// A session has passed a milestone.
    fn note(&self, session: &SessionId, about: &About, milestone: &Milestone<'_>);
}
