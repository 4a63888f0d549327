//! The port to a storage that leases threads, so that one session can run in many processes at once.
//!
//! Sessions have no servers. A runnable thread is *held* by one process at a time: the one that has taken it, or has
//! started or woken it and kept it. The thread's record contains the end of the lease ([`Due::Leased`](crate::Due));
//! the process renews it while the thread waits for its turn there or calls a function. The due records are the queue:
//! runnable threads, timers, and threads of lost processes, of which those with a higher priority are taken first.
//!
//! **Invariant: a lease decides only how long others wait.** The version of a thread's record fences: taking a thread
//! changes its version, so the commits of a process that was unresponsive for longer than its lease conflict.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::place::{Place, Pools};
use crate::record::Due;
use crate::rows::Row;
use crate::storage::{StorageError, VersionedRecord};
use crate::surroundings::Timestamp;

/// The terms on which a process keeps threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The current time, from which all that is left to others is due.
    pub now: Timestamp,
    /// The end of its lease on what it keeps.
    pub until: Timestamp,
}

impl Terms {
    /// Everything is due immediately.
    pub(crate) const AT_ONCE: Terms = Terms { now: Timestamp(1), until: Timestamp(1) };
}

/// A thread held by a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldThread {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record, taken or written by the process.
    pub stamp: Stamp,
}

/// A taken thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The demand in its record or mailbox.
    pub demand: Demand,
    /// The previous version of its record, if that was due: this process now holds the thread, with the version of the
    /// taking. None if only its mailbox was due.
    pub held: Option<Stamp>,
    /// What happened to the process that held it before.
    pub left: Left,
    /// What was read of its session.
    pub known: KnownSession,
}

/// What was read of a session when a thread of it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownSession {
    /// Nothing.
    Nothing,
    /// Its record, read after the thread was taken.
    Read(VersionedRecord),
    /// The thread is the session's first one, and has never been taken before. The record is a copy from the session's
    /// start and may be outdated, so the thread's first step must expect its version.
    New {
        /// The session's record.
        record: VersionedRecord,
        /// The thread's row, with the version of the taking.
        thread: Row,
    },
}

impl KnownSession {
    /// The session's record, if it was read.
    pub(crate) fn record(&self) -> Option<&VersionedRecord> {
        match self {
            KnownSession::Nothing => None,
            KnownSession::Read(record) | KnownSession::New { record, .. } => Some(record),
        }
    }
}

/// A thread that is due later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upcoming {
    /// Its session.
    pub session: SessionId,
    /// The thread.
    pub thread: ThreadId,
    /// The time at which it is due.
    pub due: Timestamp,
    /// Where it runs.
    pub place: Place,
}

/// Why a thread is no longer held by a process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// It was free, or was given back.
    #[default]
    Free,
    /// The call of its function had not begun and was withdrawn, so the same attempt is still to be made.
    Withdrawn,
    /// Its process was lost: the lease was not renewed.
    Lost,
}

impl Left {
    pub(crate) fn is_free(&self) -> bool {
        *self == Left::Free
    }

    /// As encoded in the record of a due thread.
    pub fn of(due: Due) -> Left {
        match due {
            Due::At(_) | Due::AtTakeover => Left::Free,
            Due::Withdrawn(_) => Left::Withdrawn,
            Due::Leased(_) => Left::Lost,
        }
    }

    /// The due entry of a thread that is left to others at this time.
    pub fn due(self, time: Timestamp) -> Due {
        match self {
            Left::Free => Due::At(time),
            Left::Withdrawn => Due::Withdrawn(time),
            Left::Lost => Due::Leased(time),
        }
    }
}

/// The sessions whose threads a process takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All sessions, including those that others start later.
    All,
    /// Only these, in the order of their ids: those that the process has started or was told to resume.
    Only(Vec<SessionId>),
}

/// A process's announcement to others of the threads that it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// The sessions. A session is not moved away from a process that covers it, whatever the pools.
    pub coverage: Coverage,
    /// The pools.
    pub pools: Pools,
}

impl Announcement {
    /// Whether the process takes threads of this session that run in this place.
    pub fn serves(&self, id: &SessionId, place: &Place) -> bool {
        self.coverage.has(id) && self.pools.serve(place)
    }
}

impl Coverage {
    /// Whether this session is covered.
    pub fn has(&self, id: &SessionId) -> bool {
        match self {
            Coverage::All => true,
            Coverage::Only(sessions) => sessions.binary_search(id).is_ok(),
        }
    }
}

/// Whether these processes together take the threads of all these pools of a session.
pub(crate) fn serve_all(processes: &[Announcement], id: &SessionId, pools: &Pools) -> bool {
    let mut covering = processes.iter().filter(|process| process.coverage.has(id));
    match pools {
        Pools::All => covering.any(|process| process.pools == Pools::All),
        Pools::Only(pools) => pools.iter().all(|pool| {
            let place = Place::new(pool.clone(), None);
            processes.iter().any(|process| process.serves(id, &place))
        }),
    }
}

/// The leases of a storage. None of its sessions has a server.
pub trait Leases: Send + Sync {
    /// How long a process may be unresponsive before others take its threads.
    fn lease(&self) -> Duration;

    /// Takes due threads of these pools, of running sessions or only of this one: those with due records and those with
    /// due mailboxes, by priority, highest first, and then earliest first, at most `most`. A storage whose index is not
    /// ordered by priority sorts only the threads that it has found. In an atomic change their records get this
    /// version, and the records and mailboxes (whose versions do not change) are leased until `terms.until`. Of a
    /// session that is over only the mailbox of its first thread is taken, once, so that a process notices the end.
    /// With a mailbox that any process may take ([`Place::anywhere`](crate::Place::anywhere)) the thread's record is
    /// taken as well if it is due, whatever its pool.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing was taken, or it will become due again.
    fn take(
        &self,
        only: Option<&SessionId>,
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError>;

    /// Takes the due ones among these threads of a session, like `take`. A storage that cannot look up single threads
    /// takes any due threads of the session.
    ///
    /// # Errors
    /// Like `take`.
    fn take_hinted(
        &self,
        id: &SessionId,
        threads: &[ThreadId],
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
    ) -> Result<Vec<Taken>, StorageError> {
        self.take(Some(id), pools, terms, stamp, threads.len())
    }

    /// The threads of these pools that are due after `now` and before `horizon`, earliest first, at most `most`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or cannot list them.
    fn upcoming(
        &self,
        pools: &Pools,
        now: Timestamp,
        horizon: Timestamp,
        most: usize,
    ) -> Result<Vec<Upcoming>, StorageError> {
        let _ = (pools, now, horizon, most);
        Err(StorageError::Permanent("it does not list what is due later".into()))
    }

    /// When the next thread of these pools is due, if that is after `now` and before `horizon`. Each sweep of each process asks this.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or was removed while it was in use.
    fn next_due(&self, pools: &Pools, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError>;

    /// Renews the leases of threads whose records still have these versions, which do not change. Returns for each
    /// whether it was renewed.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn renew(&self, held: &[HeldThread], until: Timestamp) -> Result<Vec<bool>, StorageError>;

    /// Gives back threads whose records still have these versions, either as free or with withdrawn calls. The next
    /// process to take them is told which.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn give_back(&self, held: &[HeldThread], left: Left, now: Timestamp) -> Result<(), StorageError>;

    /// Unfinished sessions with work that belongs to no thread: waking or cancelling others, as recorded and due;
    /// ending a session without threads; or completing an interrupted command
    /// ([`SessionRecord::is_half_way`](crate::SessionRecord::is_half_way)).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError>;

    /// Tells other processes which threads this process takes from now on. A storage that keeps no list of its processes
    /// has nothing to do.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn announce(&self, announcement: &Announcement) -> Result<(), StorageError> {
        let _ = announcement;
        Ok(())
    }

    /// The announcements of the other live processes. None if the storage keeps no list of its processes.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn announced_by_others(&self) -> Result<Option<Vec<Announcement>>, StorageError> {
        Ok(None)
    }

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

    /// How long a process has a session that it marks as moving, unless it [renews](Leases::renew_move) that. None from a
    /// storage whose other processes notice when this one dies.
    fn move_lease(&self) -> Option<Duration> {
        None
    }

    /// This process is still moving a session. Returns whether the session's record still has the version of the mark.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn renew_move(&self, id: &SessionId, marked: Stamp, until: Timestamp) -> Result<bool, StorageError> {
        let _ = (id, marked, until);
        Ok(true)
    }

    /// Until when a process has a session that it moves, if it does not renew that, where this is known.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn moves_until(&self, id: &SessionId) -> Result<Option<Timestamp>, StorageError> {
        let _ = id;
        Ok(None)
    }

    /// Whether a process holds a thread of this session, which this process has held and marked as moving: another one
    /// may have taken the thread in between. Always false for a storage where nobody can.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn has_held_threads(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        let _ = (id, now);
        Ok(false)
    }

    /// See [`Tenure::is_served_elsewhere`](crate::Tenure::is_served_elsewhere).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn is_served_elsewhere(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError>;
}
