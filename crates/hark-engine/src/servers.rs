//! The port to a storage whose sessions are each served by at most one server.
//!
//! A *server* is an open storage: it serves the sessions that it has claimed or started, until it is closed or its
//! process ends. It keeps their state in memory, so it reads the storage only for the changes of others.

use std::collections::HashSet;

use crate::id::{SessionId, Stamp, ThreadId};
use crate::storage::{Storage, StorageError, Tenure};
use crate::surroundings::Timestamp;

/// The servers of sessions, and the work in the sessions served by this process.
pub trait Servers: Send + Sync {
    /// Claims sessions that are running or in transit and not being served, or only this one. Returns the claimed ones,
    /// oldest first. A storage that can only suspect that a server is dead returns a session claimed from it a second
    /// time, once that server can no longer write, because its last writes were unknown before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn claim(&self, only: Option<&SessionId>) -> Result<Vec<Claimed>, StorageError>;

    /// Of newly claimed sessions, at least those that have work to do before an event from outside or a time after
    /// `now`. A storage that can tell omits the others, which may be very many.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn active(&self, claimed: &[Claimed], now: Timestamp) -> Result<Vec<Claimed>, StorageError> {
        let _ = now;
        Ok(claimed.to_vec())
    }

    /// Makes this the session's server, in any state of the session, unless another live server runs or moves it.
    /// Returns whether it did. Used for moving a session: if this process dies, others see that it is not being served.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn hold(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether another live server has this session, which is not over.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served_elsewhere(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether another server was the last to have this session, which may be over. Always false where threads are
    /// leased.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn was_taken_over(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// Whether a live server, possibly this one, has this session, which is not over.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError>;

    /// If this server was unresponsive for longer than its lease since the last call, so that others may have taken
    /// over sessions: the sessions that it still has.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn left_after_lapse(&self) -> Result<Option<HashSet<SessionId>>, StorageError> {
        Ok(None)
    }

    /// Releases this session, or all sessions of this server.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError>;

    /// Removes the server of an ended session, unless it is still alive, so that the next server does not assume that
    /// its worker was lost.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn forget_dead_server(&self, id: &SessionId) -> Result<(), StorageError> {
        let _ = id;
        Ok(())
    }

    /// The threads of this session that must be looked at when it is taken over.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn unattended(&self, session: &SessionId, now: Timestamp) -> Result<Unattended, StorageError>;

    /// The threads of this server's sessions that are due after `after` and not after `now`, ordered by session, and
    /// the next due time, if it is before `horizon`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn due(&self, after: Timestamp, now: Timestamp, horizon: Timestamp) -> Result<Agenda, StorageError>;

    /// The threads of this server's sessions with something in their mailboxes, ordered by session. Most of them are
    /// known to this server, which has woken them itself.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn woken(&self) -> Result<Vec<Woken>, StorageError>;
}

/// The servers of the storage, if its sessions have servers.
pub(crate) fn servers_of(storage: &dyn Storage) -> Result<&dyn Servers, StorageError> {
    match storage.tenure() {
        Tenure::Servers(servers) => Ok(servers),
        Tenure::Process | Tenure::Leases(_) => Err(StorageError::Permanent("its sessions have no servers".into())),
    }
}

/// The threads to look at when a session is taken over, in the order of their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unattended {
    /// Threads that a lost worker may have had: those due at a takeover, and woken ones.
    pub interrupted: Vec<ThreadId>,
    /// Threads that are due by now.
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

/// The threads to look at.
#[derive(Debug, Default)]
pub struct Agenda {
    /// Threads that are due.
    pub now: Vec<(SessionId, ThreadId)>,
    /// When the next ones are due.
    pub next: Option<Timestamp>,
}

/// A claimed session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The session.
    pub session: SessionId,
    /// Its last server did not release it, but was lost.
    pub was_lost: bool,
}
