//! What a process that serves sessions can log of each of them: when it begins, goes on and ends.

use crate::id::SessionId;
use crate::record::About;
use crate::report::Report;

/// Something that a log has a line for.
#[derive(Debug)]
pub enum Milestone<'a> {
    /// The session's first thread runs for the first time.
    Started,
    /// The session was left by another process, or by one that was lost, and goes on in this one.
    Resumed,
    /// The session is over, and it was this process that ended it.
    Ended(&'a Report),
}

/// Learns of the milestones of all sessions that an engine serves, from the worker that passes them: it must not wait.
pub trait Journal: Send + Sync {
    /// A session has passed a milestone.
    fn note(&self, session: &SessionId, about: &About, milestone: &Milestone<'_>);
}
