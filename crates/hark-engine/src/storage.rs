//! The port to what keeps sessions.

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
use crate::leases::Leases;
use crate::limits::{COMMIT_RECORDS_MAX, MOVE_TIME_MAX, THREADS_MAX};
use crate::record::{FutureRecord, Key, Record, SessionRecord, SessionState, Versioned, Waiter};
use crate::servers::Servers;
use crate::space::Space;
use crate::surroundings::Timestamp;

/// Keeps sessions.
pub trait Storage: Send + Sync {
    /// The records of one session of this program, new or known.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError>;

    /// The records that belong to no session. They last as long as the sessions do.
    fn space(&self) -> &dyn Space;

    /// What there is beyond single sessions, if sessions outlive those who run them.
    fn catalog(&self) -> Option<&dyn Catalog> {
        None
    }

    /// How threads come by the process that runs them.
    fn tenure(&self) -> Tenure<'_> {
        Tenure::Process
    }

    /// The folder in which the files of large pickles are best made, so that it can keep them as they are.
    fn scratch_folder(&self) -> Option<&Path> {
        None
    }
}

/// How the threads of a storage's sessions come by the process that runs them.
pub enum Tenure<'a> {
    /// A session lives and dies with the process that has begun it.
    Process,
    /// A session is served by one process at a time; others learn of its death at once, or by its silence.
    Servers(&'a dyn Servers),
    /// Each thread is held by one process at a time, for as long as its lease: one session runs in many processes at once.
    Leases(&'a dyn Leases),
}

impl Tenure<'_> {
    /// Reserves the session for this process, whatever state it is in, unless others may be running it. Answers whether it
    /// did. For who moves a session: when this process dies, others see that nobody has it.
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

    /// Until when a session that is moved from now on is this process's, where others cannot see whether it lives.
    pub(crate) fn move_until(&self, now: Timestamp) -> Option<Timestamp> {
        matches!(self, Tenure::Leases(_)).then(|| now.after(MOVE_TIME_MAX))
    }

    /// Gives up this session, or all that this process has, for others to take.
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

    /// Whether a process that lives, and is not this one, may run or move this session, which is not over.
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
}

/// Keeps the records of one session.
pub trait SessionStorage: Send + Sync {
    /// Reads these keys, each by itself; adds an entry for each to `found`, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError>;

    /// The first records of a range, in key order, `limit` at most. Threads come without their state. It sees every
    /// commit that had returned before the scan began, and may see a part of one that is under way: what that writes
    /// before what it removes, and no less than a scan before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError>;

    /// Makes the change, all of it or nothing. If it is done, its records have been moved out; what it logged may be
    /// left in it.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError>;

    /// Makes several changes, each as if it were alone: one that is not as expected is not the others' fault. A storage
    /// for which that is cheaper than one after the other makes them together.
    fn commit_all(&self, commits: &mut [&mut Commit]) -> Vec<Result<Outcome, StorageError>> {
        commits.iter_mut().map(|commit| self.commit(commit)).collect()
    }

    /// How many records that others may know a commit may touch: 32 at least. A storage for which more are no burden says
    /// how many it takes, so that work that goes on over many commits takes few.
    fn commit_records_max(&self) -> usize {
        COMMIT_RECORDS_MAX
    }

    /// Another process has put something into the mailboxes of these threads, as a look at the agenda has shown: what the
    /// storage holds of them in memory tells nothing of that.
    fn note_woken(&self, threads: &[ThreadId]) {
        let _ = threads;
    }

    /// Reserves so many thread numbers and gives the first. They are greater than all that were reserved before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or the session would have more threads than it may (see
    /// [`reserved`]).
    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError>;

    /// All that there is of the session, as it is in one moment.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged, or does not outlive the session.
    fn all(&self) -> Result<Everything, StorageError> {
        Err(StorageError::Permanent("it keeps no sessions".into()))
    }

    /// What happened in the session after this position, `limit` commits at most, in the order of their positions,
    /// with the position of each entry's commit: greater than 0, and greater than those of the commits that it follows from. Storages that do not outlive the session keep nothing of it.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let _ = (after, limit);
        Ok(Vec::new())
    }

    /// A position up to which no commit can appear in the history from now on: see
    /// [`SessionRows::history_settled`](crate::rows::SessionRows::history_settled).
    fn history_settled(&self) -> u64 {
        u64::MAX
    }
}

/// What a durable storage knows beyond single sessions: which there are, their programs, and whether there is news. Hints
/// reach the processes that serve the storage.
pub trait Catalog: Dispatcher {
    /// Keeps a program under its hash.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn put_program(&self, hash: &str, executable: &Executable) -> Result<(), StorageError>;

    /// The program with this hash.
    ///
    /// # Errors
    /// If there is none, or the storage cannot be reached or is damaged.
    fn program(&self, hash: &str) -> Result<Executable, StorageError>;

    /// A session's summary and its version, if the session exists.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn record(&self, id: &SessionId) -> Result<Option<(Stamp, SessionRecord)>, StorageError>;

    /// The sessions that fit, the newest first. One that is damaged hides no other.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn list(&self, filter: &Filter) -> Result<Vec<Listed>, StorageError>;

    /// Waits for news from another process or from [`ring`](Catalog::ring), so long at most. Answers whether another
    /// process may have some.
    fn wait_for_news(&self, at_most: Duration) -> bool;

    /// Ends this server's own wait for news.
    fn ring(&self);

    /// Removes all that is kept of a session, if its summary still has this version: a session that was over may have been
    /// retried or imported since. Answers whether it was removed.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Removes the programs that no session has. One that is being started at this moment keeps its program: a session and
    /// its program come into the storage together.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove_programs(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// Removes all that is kept of a session but its summary, under the same condition.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;
}

/// The catalog of a storage that keeps sessions.
pub(crate) fn catalog_of(storage: &dyn Storage) -> Result<&dyn Catalog, StorageError> {
    storage.catalog().ok_or_else(|| StorageError::Permanent("it keeps no sessions".into()))
}

/// How many threads one commit wakes or drops: two records each, and a few more.
pub(crate) fn wakes_per_commit(records: &dyn SessionStorage) -> usize {
    (records.commit_records_max() - 8) / 2
}

/// The version of a Future that is done, and whether it has failed. One that is not done, as its thread is retried, may fail
/// yet.
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

/// Those who wait for a Future with records of their own, as many as one commit wakes.
pub(crate) fn some_waiters(records: &dyn SessionStorage, future: &FutureId) -> Result<Vec<Waiter>, StorageError> {
    let waits = records.scan(Range::Waiters(future.clone()), wakes_per_commit(records))?;
    let waiter = |record| match record {
        Record::Wait { waiter, .. } => Some(waiter),
        _ => None,
    };
    Ok(waits.into_iter().filter_map(waiter).collect())
}

/// The answer of [`SessionStorage::reserve`] where so many numbers from this one on are free.
///
/// # Errors
/// If there are fewer.
pub fn reserved(first: u64, count: u64) -> Result<ThreadId, StorageError> {
    match first.checked_add(count) {
        Some(end) if end <= THREADS_MAX => Ok(ThreadId(first)),
        _ => Err(StorageError::Permanent(format!("a session may have {THREADS_MAX} threads, and this one wants more"))),
    }
}

/// All that there is of a session.
#[derive(Debug)]
pub struct Everything {
    /// Its summary.
    pub session: SessionRecord,
    /// Its other records.
    pub records: Vec<Record>,
    /// What happened.
    pub history: Vec<LogEntry>,
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those whose id begins so.
    pub prefix: Option<String>,
    /// Those in this state.
    pub state: Option<SessionState>,
    /// Those that ended at the first of these times or before, or after the second.
    pub ended_outside: Option<(Timestamp, Timestamp)>,
    /// So many at most.
    pub limit: Option<usize>,
}

/// A session of a list, or why it cannot be shown.
pub type Listed = Result<Summary, DamagedSession>;

/// A session whose summary cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedSession {
    /// Its id, if that can be trusted.
    pub id: SessionId,
    /// What is wrong with it.
    pub error: StorageError,
}

/// A session as a list shows it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its id.
    pub id: SessionId,
    /// What is kept of it.
    pub record: SessionRecord,
    /// That record's version.
    pub stamp: Stamp,
    /// Whether someone serves it now.
    pub is_served: bool,
    /// How many threads it has started.
    pub threads: u64,
}

/// A range of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// The threads that have not stopped, from this one on.
    Live(ThreadId),
    /// The waiters of this Future that have records of their own.
    Waiters(FutureId),
    /// Of each Future that has such waiters, the first.
    Crowds,
    /// The Futures whose waiters are still to be woken.
    Todos,
    /// The threads whose own are still to be cancelled.
    Cascades,
    /// The failures that nobody has awaited.
    Unawaited,
    /// The threads that failed and can be retried.
    Broken,
}

/// Why a storage could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageError {
    /// It may work if it is tried again.
    Transient(String),
    /// It will not.
    Permanent(String),
    /// Another server has taken the session over, as this one's lease had run out.
    TakenOver,
    /// The session is no longer there.
    Gone,
    /// It is not the storage: the computer has run out of something that the session needs to go on, as this says.
    Exhausted(String),
}

impl fmt::Display for StorageError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StorageError::Transient(why) => write!(formatter, "the storage does not answer: {why}"),
            StorageError::Permanent(why) => write!(formatter, "the storage failed: {why}"),
            StorageError::Exhausted(why) => formatter.write_str(why),
            StorageError::TakenOver => formatter.write_str(
                "another process has taken the session over, as this one did nothing until its lease ran out",
            ),
            StorageError::Gone => {
                formatter.write_str("the session is no longer in its storage: someone has removed it")
            }
        }
    }
}

impl std::error::Error for StorageError {}
