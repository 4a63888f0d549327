//! The port to a storage whose sessions have servers, each one at most.
//!
//! A *server* is one opened storage: it serves the sessions that it has claimed or started, until it is closed or its
//! process ends. It keeps in memory what it knows of them, so that a storage is only asked what others have done.

use std::collections::HashSet;

use crate::id::{SessionId, Stamp, ThreadId};
use crate::storage::{Storage, StorageError, Tenure};
use crate::surroundings::Timestamp;

/// Who serves which session, and what is to be done in those that this process serves.
pub trait Servers: Send + Sync {
    /// Takes sessions that run, or are in transit, and that nobody serves, or only this one; answers those that were taken,
    /// the oldest first.
    /// A storage that can only suspect that a server is dead answers a session that was taken from one a second time, when
    /// that one can write no more: nobody else knows what it did last.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn claim(&self, only: Option<&SessionId>) -> Result<Vec<Claimed>, StorageError>;

    /// Of sessions that were just claimed, at least those in which something is to be done before something outside
    /// happens or a time comes that is later than this. A storage that can tell leaves the others out: there may be very
    /// many of them.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn active(&self, claimed: &[Claimed], now: Timestamp) -> Result<Vec<Claimed>, StorageError> {
        let _ = now;
        Ok(claimed.to_vec())
    }

    /// Makes this server the session's, whatever state that is in, unless another one that lives runs or moves it. Answers
    /// whether it did. For who moves a session: when this process dies, others see that nobody serves it.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn hold(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether a server that lives, and is not this one, has this session, which is not over.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served_elsewhere(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether another server was the last that had this session, which may be over. Never where threads are leased.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn was_taken_over(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether a server that lives, perhaps this one, has this session, which is not over.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// If this server was still for longer than its lease since this was asked last, so that others may have taken over
    /// sessions: those that it still has.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn left_after_lapse(&self) -> Result<Option<HashSet<SessionId>>, StorageError> {
        Ok(None)
    }

    /// Gives up this session, or all that this server has.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError>;

    /// Nobody serves a session that has ended, unless its last server still lives: whoever goes on with it must not think
    /// that its worker was lost.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn forget_dead_server(&self, id: &SessionId) -> Result<(), StorageError> {
        let _ = id;
        Ok(())
    }

    /// Which threads of this session someone must look at when it is taken up.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn unattended(&self, session: &SessionId, now: Timestamp) -> Result<Unattended, StorageError>;

    /// Which threads of this server's sessions have a time after the one and not after the other, in the order of the
    /// sessions, and when the next one's time comes, if that is before `horizon`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn due(&self, after: Timestamp, now: Timestamp, horizon: Timestamp) -> Result<Agenda, StorageError>;

    /// Which threads of this server's sessions have something in their mailboxes, in the order of the sessions. Most of
    /// them are known to this server, which has woken them itself.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn woken(&self) -> Result<Vec<Woken>, StorageError>;
}

/// The servers of a storage whose sessions have some.
pub(crate) fn servers_of(storage: &dyn Storage) -> Result<&dyn Servers, StorageError> {
    match storage.tenure() {
        Tenure::Servers(servers) => Ok(servers),
        Tenure::Process | Tenure::Leases(_) => Err(StorageError::Permanent("its sessions have no servers".into())),
    }
}

/// What is to be done in a session that is taken up: threads in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unattended {
    /// Those that a lost worker may have had: what is due at a takeover, and what was woken.
    pub interrupted: Vec<ThreadId>,
    /// Those whose time has come by now.
    pub due: Vec<ThreadId>,
}

/// A thread with something in its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Woken {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The version of its mailbox.
    pub stamp: Stamp,
}

/// What is to be looked at.
#[derive(Debug, Default)]
pub struct Agenda {
    /// Now.
    pub now: Vec<(SessionId, ThreadId)>,
    /// When there will be more.
    pub next: Option<Timestamp>,
}

/// A session that a server has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The session.
    pub session: SessionId,
    /// Its last server did not give it up, but was lost.
    pub was_lost: bool,
}
