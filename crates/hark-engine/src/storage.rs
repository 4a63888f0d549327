//! The port to the storage of sessions.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hark_bytecode::Executable;
use hark_machine::Program;
use serde::{Deserialize, Serialize};

use crate::commit::{Commit, Outcome};
use crate::dispatch::Dispatcher;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::leases::{Leases, serve_all};
use crate::limits::{COMMIT_RECORDS_MAX, IMPORT_TIME_MAX, THREADS_MAX};
use crate::place::Pools;
use crate::record::{FutureRecord, Key, Live, Record, SessionRecord, SessionState, Versioned, Waiter};
use crate::rows::Row;
use crate::servers::Servers;
use crate::space::Space;
use crate::surroundings::Timestamp;

/// Stores sessions.
pub trait Storage: Send + Sync {
    /// The records of a session of this program, which may be new.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError>;

    /// The records that belong to no session. They last as long as the sessions.
    fn space(&self) -> &dyn Space;

    /// Operations beyond single sessions. None if sessions do not outlive their process.
    fn catalog(&self) -> Option<&dyn Catalog> {
        None
    }

    /// How the processes of this storage divide up the threads.
    fn tenure(&self) -> Tenure<'_> {
        Tenure::Process
    }

    /// The preferred folder for the files of large pickles, so that the storage can adopt them without copying.
    fn scratch_folder(&self) -> Option<&Path> {
        None
    }
}

/// How the processes of a storage divide up the threads of its sessions.
pub enum Tenure<'a> {
    /// A session lives and dies with the process that started it.
    Process,
    /// A session is served by one process at a time. Others detect its death at once, or by its silence.
    Servers(&'a dyn Servers),
    /// Each thread is held by one process at a time, for the time of its lease. A session can run in many processes at
    /// once.
    Leases(&'a dyn Leases),
}

impl<'a> Tenure<'a> {
    /// Reserves the session for this process, in any state, unless other processes may be running it. Returns whether
    /// it succeeded. Used to move sessions: when this process dies, others see that no process has the session.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn hold(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        match self {
            Tenure::Process => Ok(false),
            Tenure::Servers(servers) => servers.hold(id),
            Tenure::Leases(leases) => leases.hold(id, now),
        }
    }

    /// The time until which this process has a session that it imports, where others cannot see whether the process is
    /// alive.
    pub(crate) fn import_until(&self, now: Timestamp) -> Option<Timestamp> {
        matches!(self, Tenure::Leases(_)).then(|| now.after(IMPORT_TIME_MAX))
    }

    /// How long it has a session that it exports, unless it renews that.
    pub(crate) fn move_lease(&self) -> Option<(&'a dyn Leases, Duration)> {
        match *self {
            Tenure::Leases(leases) => leases.move_lease().map(|lease| (leases, lease)),
            Tenure::Process | Tenure::Servers(_) => None,
        }
    }

    /// Releases this session, or all sessions of this process, for others to take.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        match self {
            Tenure::Process => Ok(()),
            Tenure::Servers(servers) => servers.release(only),
            Tenure::Leases(leases) => leases.release(only),
        }
    }

    /// Whether another process has taken a thread of this session between `hold` and the mark that it is moving.
    pub(crate) fn has_held_threads(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        match self {
            Tenure::Process | Tenure::Servers(_) => Ok(false),
            Tenure::Leases(leases) => leases.has_held_threads(id, now),
        }
    }

    /// Whether another live process may be running or moving this unfinished session.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn is_served_elsewhere(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        match self {
            Tenure::Process => Ok(false),
            Tenure::Servers(servers) => servers.is_served_elsewhere(id),
            Tenure::Leases(leases) => leases.is_served_elsewhere(id, now),
        }
    }

    /// Whether other live processes run the threads of all these pools of this unfinished session. Where the storage does
    /// not know which pools they serve, these count as served.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    pub fn is_run_elsewhere(&self, id: &SessionId, pools: &Pools, now: Timestamp) -> Result<bool, StorageError> {
        if !self.is_served_elsewhere(id, now)? {
            return Ok(false);
        }
        let Tenure::Leases(leases) = self else { return Ok(true) };
        Ok(leases.announced_by_others()?.is_none_or(|others| serve_all(&others, id, pools)))
    }
}

/// The record of a session, and its version.
pub type VersionedRecord = (Stamp, SessionRecord);

/// Stores the records of a session.
pub trait SessionStorage: Send + Sync {
    /// Reads each of these keys independently, and adds an entry for each to `found`, in order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError>;

    /// The record of a thread in its row, which was read when the thread was taken. None if the row must be read again.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn decode_thread(&self, thread: ThreadId, row: &Row) -> Result<Option<Box<Live>>, StorageError> {
        let _ = (thread, row);
        Ok(None)
    }

    /// The first records of a range, in key order, at most `limit`. Threads come without their state. The scan sees
    /// every commit that returned before the scan began. It may see a part of a concurrent commit, but writes before
    /// deletions, and never less than an earlier scan.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError>;

    /// Makes the change atomically. If it is done, its records have been moved out; log entries may remain in it.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; in that case nothing has happened.
    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError>;

    /// Makes several independent changes: a conflict in one does not affect the others. A storage for which that is
    /// cheaper makes them together.
    fn commit_all(&self, commits: &mut [&mut Commit]) -> Vec<Result<Outcome, StorageError>> {
        commits.iter_mut().map(|commit| self.commit(commit)).collect()
    }

    /// The maximum number of records per commit that other processes may know, at least 32. A storage that can handle
    /// more returns a greater number, so that work that is split into many commits needs fewer.
    fn commit_records_max(&self) -> usize {
        COMMIT_RECORDS_MAX
    }

    /// A sweep has shown that another process wrote to the mailboxes of these threads: cached state of the threads is
    /// out of date in this respect.
    fn note_woken(&self, threads: &[ThreadId]) {
        let _ = threads;
    }

    /// Reserves a number of thread numbers and returns the first. They are greater than all that were reserved before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or the session would exceed its maximum number of threads (see
    /// [`reserved`]).
    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError>;

    /// Reserves the first number for a session that this process is about to begin: see
    /// [`SessionRows::reserve_first`](crate::rows::SessionRows::reserve_first).
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn reserve_first(&self) -> Result<ThreadId, StorageError> {
        self.reserve(1)
    }

    /// See [`SessionRows::numbers_reserved_max`](crate::rows::SessionRows::numbers_reserved_max).
    fn numbers_reserved_max(&self) -> u64 {
        1
    }

    /// A consistent snapshot of everything in the session.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or does not outlive the session.
    fn all(&self) -> Result<Everything, StorageError> {
        Err(StorageError::Permanent("it does not store sessions".into()))
    }

    /// The history of the session after this position, at most `limit` commits, in the order of their positions. Each
    /// entry comes with the position of its commit, which is greater than 0, and greater than those of the commits that
    /// it follows from. Empty for storages that do not outlive the session.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// A position up to which no further commits can appear in the history: see
    /// [`SessionRows::history_settled`](crate::rows::SessionRows::history_settled).
    fn history_settled(&self) -> u64 {
        u64::MAX
    }
}

/// The operations of a durable storage beyond single sessions: listing them, their programs, and news. Hints reach the
/// processes that serve the storage.
pub trait Catalog: Dispatcher {
    /// Stores a program under its hash.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn put_program(&self, hash: &str, executable: &Executable) -> Result<(), StorageError>;

    /// The program with this hash.
    ///
    /// # Errors
    /// If there is no such program, or the storage cannot be reached or is damaged.
    fn program(&self, hash: &str) -> Result<Executable, StorageError>;

    /// A session's summary with its version, if the session exists.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn record(&self, id: &SessionId) -> Result<Option<(Stamp, SessionRecord)>, StorageError>;

    /// The sessions that match, newest first. A damaged one does not hide others.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StorageError>;

    /// Waits for news from another process, for [`ring`](Catalog::ring), or until a timeout. Returns whether another
    /// process may have news.
    fn wait_for_news(&self, at_most: Duration) -> bool;

    /// Ends the wait for news of this server.
    fn ring(&self);

    /// Deletes everything of a session, if its summary still has this version: a finished session may have been retried
    /// or imported since. Returns whether it was deleted.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Deletes the programs that no session uses. A session that is being started keeps its program, because both are
    /// written in the same commit.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove_programs(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Deletes everything of a session except its summary, under the same condition.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;
}

/// The catalog of a storage that stores sessions.
pub(crate) fn catalog_of(storage: &dyn Storage) -> Result<&dyn Catalog, StorageError> {
    storage.catalog().ok_or_else(|| StorageError::Permanent("it does not store sessions".into()))
}

/// The number of threads that one commit wakes or removes: each takes two records, and a few records are needed for
/// other purposes.
pub(crate) fn wakes_per_commit(records: &dyn SessionStorage) -> usize {
    (records.commit_records_max() - 8) / 2
}

/// The version of a completed Future, and whether it has failed. A Future that is pending because its thread is being
/// retried may still fail.
pub(crate) fn outcome_of(
    records: &dyn SessionStorage,
    future: &FutureId,
) -> Result<(Option<Stamp>, bool), StorageError> {
    let mut found = Vec::with_capacity(1);
    records.read(&[Key::Future(future.clone())], &mut found)?;
    let found = found.pop().flatten();
    let is_resolved = |found: &Versioned| matches!(found.record, Record::Future(_, FutureRecord::Resolved(_)));
    Ok((found.as_ref().map(|found| found.stamp), !found.as_ref().is_some_and(is_resolved)))
}

/// The waiters of a Future that have waiter records, as many as one commit wakes.
pub(crate) fn some_waiters(records: &dyn SessionStorage, future: &FutureId) -> Result<Vec<Waiter>, StorageError> {
    let waits = records.scan(Range::Waiters(future.clone()), wakes_per_commit(records))?;
    let waiter = |record| match record {
        Record::Wait { waiter, .. } => Some(waiter),
        _ => None,
    };
    Ok(waits.into_iter().filter_map(waiter).collect())
}

/// The result of [`SessionStorage::reserve`] for a storage whose first free number is known.
///
/// # Errors
/// If there are not enough numbers.
pub fn reserved(first: u64, count: u64) -> Result<ThreadId, StorageError> {
    match first.checked_add(count) {
        Some(end) if end <= THREADS_MAX => Ok(ThreadId(first)),
        _ => Err(StorageError::Permanent(format!("this session exceeds the maximum of {THREADS_MAX} threads"))),
    }
}

/// Everything in a session.
#[derive(Debug)]
pub struct Everything {
    /// Its summary.
    pub session: SessionRecord,
    /// Its other records.
    pub records: Vec<Record>,
    /// The history.
    pub history: Vec<LogEntry>,
}

/// The criteria for listing sessions.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those whose id has this prefix.
    pub prefix: Option<String>,
    /// Only those in this state.
    pub state: Option<SessionState>,
    /// Only those that ended at or before the first time, or after the second.
    pub ended_outside: Option<(Timestamp, Timestamp)>,
    /// The maximum number of sessions.
    pub limit: Option<usize>,
}

/// A listed session, or why it cannot be shown.
pub type Listed = Result<Summary, DamagedSession>;

/// A session whose summary cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSession {
    /// Its id, as far as it can be trusted.
    pub id: SessionId,
    /// The error.
    pub error: StorageError,
}

/// A listed session.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id.
    pub id: SessionId,
    /// Its summary record.
    pub record: SessionRecord,
    /// The version of that record.
    pub stamp: Stamp,
    /// Whether it is being served.
    pub is_served: bool,
    /// The number of threads that it has started.
    pub threads: u64,
}

/// A range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// The threads that have not stopped, starting with this one.
    Live(ThreadId),
    /// The waiters of this Future that have waiter records.
    Waiters(FutureId),
    /// The first such waiter of each Future.
    Crowds,
    /// The Futures whose waiters must still be woken.
    Todos,
    /// The threads whose started threads must still be cancelled.
    Cascades,
    /// The failures that have not been awaited.
    Unawaited,
    /// The threads that failed and can be retried.
    Broken,
}

/// The reason why a storage operation failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageError {
    /// The operation may succeed if it is retried.
    Transient(String),
    /// A retry will not help.
    Permanent(String),
    /// Another server has taken the session over, because the lease of this one had expired.
    TakenOver,
    /// The session no longer exists.
    Gone,
    /// Not an error of the storage: the computer has exhausted a resource that the session needs, as the text says.
    Exhausted(String),
}

impl fmt::Display for StorageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Transient(why) => write!(formatter, "the storage does not answer: {why}"),
            StorageError::Permanent(why) => write!(formatter, "the storage failed: {why}"),
            StorageError::Exhausted(why) => formatter.write_str(why),
            StorageError::TakenOver => formatter.write_str(
                "another process has taken over the session, because this one was inactive until its lease expired",
            ),
            StorageError::Gone => {
                formatter.write_str("the session is no longer in its storage, because it was removed")
            }
        }
    }
}

impl std::error::Error for StorageError {}
