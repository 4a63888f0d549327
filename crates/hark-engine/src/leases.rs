//! The port to a storage whose threads are leased, so that one session runs in many processes at once.
//!
//! There is no server of a session. A thread that can run is *held* by one process at a time: the one that has taken it, or
//! has started or woken it and kept it. Its record says until when ([`Due::Leased`](crate::Due)); the process renews that
//! while the thread waits for its turn there or calls a function. What is due is the queue: threads to run, timers, and what
//! lost processes held.
//!
//! **Invariant: a lease decides only how long others wait.** The version of a thread's record fences: taking a thread gives it
//! another one, so that a process that was still for longer than its lease finds its commits in conflict.

use std::time::Duration;

use crate::id::{SessionId, Stamp, ThreadId};
use crate::record::Due;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// On what terms a process keeps threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Now: what others are to take is due from now on.
    pub now: Timestamp,
    /// Until then it holds what it keeps.
    pub until: Timestamp,
}

impl Terms {
    /// Everything is due before all times.
    pub(crate) const AT_ONCE: Terms = Terms { now: Timestamp(1), until: Timestamp(1) };
}

/// A thread that a process holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldThread {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record that the process has taken or written.
    pub stamp: Stamp,
}

/// A thread that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The version that its record had, if it was due: this process holds the thread, with the version of the taking. Else
    /// only its mailbox was due.
    pub held: Option<Stamp>,
    /// What the process that held it before has left.
    pub left: Left,
}

/// What becomes of a thread that a process holds no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was free, or was given back in the middle of what it is about.
    Free,
    /// The function that it calls has not begun: the call was taken back before, so that it is the same try that is still to be
    /// made.
    Withdrawn,
    /// Its process was lost: it was not renewed.
    Lost,
}

impl Left {
    /// As the record of a thread says it that is due.
    pub fn of(due: Due) -> Left {
        match due {
            Due::At(_) | Due::AtTakeover => Left::Free,
            Due::Withdrawn(_) => Left::Withdrawn,
            Due::Leased(_) => Left::Lost,
        }
    }

    /// When such a thread is due that is left to others at this time.
    pub fn due(self, time: Timestamp) -> Due {
        match self {
            Left::Free => Due::At(time),
            Left::Withdrawn => Due::Withdrawn(time),
            Left::Lost => Due::Leased(time),
        }
    }
}

/// What a storage knows of threads that are leased. No session of it has a server.
pub trait Leases: Send + Sync {
    /// How long a process may be still before others take the threads that it holds.
    fn lease(&self) -> Duration;

    /// Takes threads that are due: those whose records are, and those whose mailboxes are, the earliest first, `most` at most,
    /// of sessions that run, or of this one only. In one atomic change the records get this version, and they and the
    /// mailboxes, whose versions stay, are leased until then.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing was taken, or it will be due again.
    fn take(
        &self,
        only: Option<&SessionId>,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError>;

    /// When the next thread is due, if that is after `now` and before `horizon`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn next_due(&self, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError>;

    /// Leases threads until then whose records still have these versions, which stay. Answers of each whether it has.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn renew(&self, held: &[HeldThread], until: Timestamp) -> Result<Vec<bool>, StorageError>;

    /// Leaves threads, whose records still have these versions, to others from this time on: as free ones, or with their calls
    /// withdrawn. Who takes them next learns which.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn give_back(&self, held: &[HeldThread], left: Left, now: Timestamp) -> Result<(), StorageError>;

    /// Sessions that are not over and in which something is to be done that no thread does: to wake or cancel others, as is
    /// written down and due, to end a session without threads, or to go on with what a command has begun and perhaps left half-way
    /// ([`SessionRecord::is_half_way`](crate::SessionRecord::is_half_way)).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError>;

    /// See [`Tenure::hold`](crate::Tenure::hold).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn hold(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError>;

    /// See [`Tenure::release`](crate::Tenure::release).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError>;

    /// See [`Tenure::is_served_elsewhere`](crate::Tenure::is_served_elsewhere).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served_elsewhere(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError>;
}
