//! The byte port: the interface of a durable storage, in terms of keys, bytes and versions only.
//!
//! The engine encodes records, splits large contents into parts, seals each row with a checksum, and caches what it has
//! just written ([`Encoded`](crate::Encoded)); a backend compares versions and stores bytes. So a backend cannot
//! violate a rule that is not about storing.

mod bytes;
mod due;
mod key;
mod range;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hark_machine::{Pickle, PickleHash, Program};

use crate::commit::Outcome;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::Leases;
use crate::limits::COMMIT_RECORDS_MAX;
use crate::place::{Place, Pools};
use crate::record::{Key, SessionState};
use crate::servers::Servers;
use crate::space::Space;
use crate::storage::{Filter, StorageError};
use crate::surroundings::Timestamp;
pub use bytes::RowError;
pub use due::DueNumber;
pub use key::KeyError;
pub use range::RowRange;

/// A row: the value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The version: the stamp of the commit that wrote or renewed it.
    pub stamp: Stamp,
    /// When it must be looked at, if ever. Rows without it are not in the index of due rows.
    pub due: Option<DueNumber>,
    /// The priority of its thread: of the rows that are due, those with a higher one are taken first. Only set for
    /// [`Key::Live`] and [`Key::Ready`].
    pub priority: i32,
    /// Where its thread runs: only processes that serve its pool take it when it is due. Only set for [`Key::Live`] and
    /// [`Key::Ready`].
    pub place: Place,
    /// The checksum over key, summary and content, which the engine computes and checks. It does not cover `stamp`,
    /// `due`, `priority` and `place`.
    pub seal: u32,
    /// The fields by which sessions are listed; only set for [`Key::Session`].
    pub listing: Option<Listing>,
    /// A short text, included in scans.
    pub summary: String,
    /// At most some 17 KB; for a larger content, the names of its parts, which are 16 bytes per 40 KB. Not included in
    /// scans.
    pub content: Vec<u8>,
}

/// The fields by which sessions are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The name of its state.
    pub state: Cow<'static, str>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// The name of a part: a hash of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PartName {
    /// A piece of a large content.
    Piece([u8; 16]),
    /// The pickle of an object.
    Pickle(PickleHash),
}

/// Bytes that the contents of several rows of a session may reference. They never change.
#[derive(Debug, Clone)]
pub enum Part {
    /// A piece of a large content, of at most 128 KB.
    Piece(Vec<u8>),
    /// The pickle of an object, of any size. A large one may already be a file, which a storage with files can link.
    Pickle(Arc<Pickle>),
}

/// A change of a part's reference count.
#[derive(Debug, Clone)]
pub struct PartChange {
    /// The name of the part.
    pub name: PartName,
    /// The difference.
    pub uses: i64,
    /// The part itself, if the difference is positive.
    pub part: Option<Part>,
}

/// A row to read.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Its key.
    pub key: &'a Key,
    /// The version that the reader already has. If the row still has it, only the version is needed.
    pub known: Option<Stamp>,
}

/// An atomic change of a session's rows.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The version of all written rows.
    pub stamp: Stamp,
    /// Only where sessions have servers: fails with [`StorageError::TakenOver`] if another server has the session.
    pub by_server: bool,
    /// The expected versions. None means that the row must not exist.
    pub expect: Vec<(Key, Option<Stamp>)>,
    /// Any number of new rows, to which nothing refers before the change. A storage that cannot write so many
    /// atomically may write them before the others, if they remain invisible when the change is not made.
    pub fresh: Vec<(Key, Row)>,
    /// Rows to write, replacing existing ones.
    pub put: Vec<(Key, Row)>,
    /// Rows to delete, if they exist.
    pub delete: Vec<Key>,
    /// An expected row that gets the change's stamp but remains unchanged, except for its summary.
    pub renew: Option<RowRenewal>,
    /// The changes of reference counts, each name once. A part is stored from its first reference until the last one is
    /// removed.
    ///
    /// **A count is never too low.** A storage that cannot update so many counts atomically increments before the
    /// change, and decrements after it; counts that a crash leaves too high are deleted with the session.
    pub parts: Vec<PartChange>,
    /// Pages of the history, to append in this order.
    pub history: Vec<String>,
    /// The program of a session that begins with this change, which then expects that [`Key::Session`] does not exist.
    /// The program must be stored afterwards.
    pub program: Option<KeptProgram>,
}

/// The renewal of a row.
#[derive(Debug, Clone)]
pub struct RowRenewal {
    /// The key.
    pub key: Key,
    /// The new summary and seal, if they change.
    pub summary: Option<(String, u32)>,
}

/// A program to store.
#[derive(Debug, Clone)]
pub struct KeptProgram(pub(crate) Arc<Program>);

impl KeptProgram {
    /// The name under which it is stored.
    pub fn hash(&self) -> String {
        self.0.hash().to_string()
    }

    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.executable().encode()
    }
}

/// All rows of a session, and its complete history.
#[derive(Debug, Clone, Default)]
pub struct AllRows {
    /// The rows, with their contents.
    pub rows: Vec<(Key, Row)>,
    /// The pages, from the first.
    pub history: Vec<String>,
}

/// Stores the rows of a session.
pub trait SessionRows: Send + Sync {
    /// Reads rows, each independently. Returns an entry for each, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError>;

    /// The first rows of a range in key order, at most `limit`, without their contents. It includes every change that
    /// returned before the scan began, and may include a part of one that is in progress: writes before deletes, and no
    /// less than an earlier scan.
    ///
    /// A scan that finds no live thread must prove that there was a moment without any. A storage that reads the range in
    /// several places, at different moments, can rely on two things: a child's number is greater than its parent's, and the
    /// change that removes a thread which has stopped also writes its Future.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError>;

    /// For each Future with waiter rows, the first of them; in order, at most `limit`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn crowds(&self, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        let mut found: Vec<(Key, Row)> = Vec::new();
        while found.len() < limit {
            // Skip the other waiters, which may be very many.
            let range = match found.last() {
                Some((Key::Wait { future, .. }, _)) => RowRange::WaitersAfter(future.clone()),
                _ => RowRange::AllWaiters,
            };
            let Some(next) = self.scan(&range, 1)?.pop() else { break };
            found.push(next);
        }
        Ok(found)
    }

    /// Makes the change atomically.
    ///
    /// A change of a session that does not exist, and does not begin with it, fails with [`StorageError::Gone`] if it
    /// expects nothing, and conflicts otherwise; one that writes nothing succeeds.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, change: RowChange) -> Result<Outcome, StorageError>;

    /// Makes several changes, each independently.
    fn commit_all(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        changes.into_iter().map(|change| self.commit(change)).collect()
    }

    /// The maximum number of shared rows in a change: at least 32.
    fn commit_records_max(&self) -> usize {
        COMMIT_RECORDS_MAX
    }

    /// Reserves this many thread numbers and returns the first. They are greater than all numbers reserved before, and
    /// than those of all existing rows of threads and Futures.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn reserve(&self, count: u64) -> Result<u64, StorageError>;

    /// Reserves the first thread number, 0, for a session that this process is about to begin, with an id that was never used.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn reserve_first(&self) -> Result<u64, StorageError> {
        self.reserve(1)
    }

    /// The maximum number of thread numbers that a process reserves in advance: more than one if a reservation is a
    /// request over a network. Numbers may then have gaps.
    fn numbers_reserved_max(&self) -> u64 {
        1
    }

    /// How many rows one request reads in about the time that a single row takes. If more than one, values that a
    /// program will probably await next are read ahead.
    fn rows_read_together(&self) -> usize {
        1
    }

    /// The bytes of these parts, if they exist.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError>;

    /// The pages of the history after this position, in order, `limit` of them unless there are fewer, with their positions. The storage
    /// determines the positions: they are greater than 0 and unique, and a change that follows from another one has a
    /// greater position.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError>;

    /// A position up to which no further page can appear. A storage written by many machines assigns a page's position
    /// some time before it becomes readable.
    fn history_settled(&self) -> u64 {
        u64::MAX
    }

    /// The complete session as of one moment. Only called for sessions that are not running; empty if the session does
    /// not exist.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn all(&self) -> Result<AllRows, StorageError>;
}

/// An entry in a list of sessions.
#[derive(Debug)]
pub struct SessionEntry {
    /// Its id, which may be damaged.
    pub id: SessionId,
    /// Its own row, or the error of reading it.
    pub row: Result<Row, StorageError>,
    /// The number of threads it has started.
    pub threads: u64,
    /// Whether it is being served, if it is not over.
    pub is_served: bool,
}

/// A session, and its own row or the error of reading it.
pub type RowOfSession = (SessionId, Result<Row, StorageError>);

/// How threads are assigned to the processes that run them.
pub enum RowTenure<'a> {
    /// A session is served by one process at a time.
    Servers(&'a dyn Servers),
    /// Threads are leased, with the leases implemented by the engine.
    Due(&'a dyn DueRows),
    /// Threads are leased, with the leases implemented by the storage.
    Leases(&'a dyn Leases),
}

/// A kind of due rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueKind<'a> {
    /// Threads of these pools, and their mailboxes.
    Threads(&'a Pools),
    /// Unfinished work for any process: [`Key::Todo`] and [`Key::Cascade`].
    Leftovers,
}

/// A due row, without its content.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// Its session.
    pub session: SessionId,
    /// Its key.
    pub key: Key,
    /// The row.
    pub row: Row,
}

/// A change of when a row is due.
#[derive(Debug, Clone)]
pub struct SetDue {
    /// Its session.
    pub session: SessionId,
    /// Its key.
    pub key: Key,
    /// The expected version.
    pub expected: Stamp,
    /// The new version, if it changes.
    pub stamp: Option<Stamp>,
    /// The new time, if any.
    pub due: Option<DueNumber>,
}

/// The outcome of taking a row.
#[derive(Debug, Clone)]
pub enum Taking {
    /// It has another version.
    Refused,
    /// It is taken. The rows are those of the session's start, if the storage knows them.
    Done(Option<Box<StartRows>>),
}

/// The rows of a session whose first thread has not been written since [the session's start](RowChange::is_start).
#[derive(Debug, Clone)]
pub struct StartRows {
    /// The session's own row, as the start wrote it. It may have changed since.
    pub session: Row,
    /// The thread's row as it is now, with the version of the taking.
    pub thread: Row,
}

/// A storage that leases threads: its due rows are the queue. Two operations are sufficient.
pub trait DueRows: Send + Sync {
    /// How long a process may be unresponsive before others take its threads.
    fn lease(&self) -> Duration;

    /// The rows of this kind, in all sessions or only this one, that are due after `after` and not after `until`, by
    /// priority, highest first, and then earliest first, at most `limit`. A storage whose index is not ordered by
    /// priority orders those that it has found. The result may be outdated: the version of each row is compared when it
    /// is changed.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn due(
        &self,
        kind: DueKind<'_>,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError>;

    /// The first time when a thread of these pools or its mailbox is due after `after` and before `before`.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn next_due(&self, pools: &Pools, after: DueNumber, before: DueNumber) -> Result<Option<DueNumber>, StorageError> {
        let due = self.due(DueKind::Threads(pools), None, after, before, usize::MAX)?;
        Ok(due.into_iter().filter_map(|row| row.row.due).filter(|due| *due < before).min())
    }

    /// Changes when rows are due, each independently and only if it has the expected version. Returns for each whether
    /// it was changed.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged. Some may have been changed.
    fn set_due(&self, changes: &[SetDue]) -> Result<Vec<bool>, StorageError>;

    /// The same for threads that are taken. A storage in which each read is a request over a network can also return
    /// the rows with which the first step of a session begins.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged. Some may have been changed.
    fn take(&self, changes: &[SetDue]) -> Result<Vec<Taking>, StorageError> {
        let done = self.set_due(changes)?;
        Ok(done.into_iter().map(|is_done| if is_done { Taking::Done(None) } else { Taking::Refused }).collect())
    }
}

/// Stores the rows of many sessions.
pub trait RowStorage: Send + Sync {
    /// Its name in messages.
    fn name(&self) -> String;

    /// The rows of one session, new or known.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError>;

    /// The rows that do not belong to a session.
    fn space(&self) -> &dyn Space;

    /// How threads are assigned to the processes that run them.
    fn tenure(&self) -> RowTenure<'_>;

    /// Whether only this process runs threads of the sessions that it serves. Then the engine need not check whether
    /// others have written to the threads it has just started.
    fn is_alone(&self) -> bool {
        false
    }

    /// The best folder for the files of large pickles, so that they can be linked into the storage.
    fn scratch_folder(&self) -> Option<&Path> {
        None
    }

    /// Stores a program under its hash.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError>;

    /// The program with this hash, if it exists.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// Deletes the programs that no session uses, except those of sessions that are just being started.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove_programs(&self) -> Result<(), StorageError> {
        Ok(())
    }

    /// A session's own row, if the session exists.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError>;

    /// The matching sessions, by the listings of their own rows, newest first.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError>;

    /// The sessions in this state, with their own rows. A storage may find these with fewer requests than everything
    /// that [`sessions`](RowStorage::sessions) returns.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn in_state(&self, state: SessionState) -> Result<Vec<RowOfSession>, StorageError> {
        let found = self.sessions(&Filter { state: Some(state), ..Filter::default() })?;
        Ok(found.into_iter().map(|entry| (entry.id, entry.row)).collect())
    }

    /// Deletes all rows of a session, if its own row has this version. Returns whether it had.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Deletes all rows of a session except its own, on the same condition.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Waits for news from another process or from [`ring`](RowStorage::ring), at most this long. Returns whether
    /// another process may have news.
    fn wait_for_news(&self, at_most: Duration) -> bool;

    /// Ends a wait for news in this process.
    fn ring(&self);

    /// Notifies all processes that serve this storage of news. Otherwise they check once a second.
    fn announce(&self);
}

impl Row {
    /// The reply for a row that still has the version known to the reader.
    pub fn of_version(stamp: Stamp) -> Row {
        Row {
            stamp,
            due: None,
            priority: 0,
            place: Place::default(),
            seal: 0,
            listing: None,
            summary: String::new(),
            content: Vec::new(),
        }
    }
}

impl PartName {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            PartName::Piece(hash) => hash,
            PartName::Pickle(hash) => &hash.0,
        }
    }
}

impl Part {
    /// Its bytes.
    ///
    /// # Errors
    /// If they are in a file that cannot be read.
    pub fn bytes(&self) -> std::io::Result<Cow<'_, [u8]>> {
        match self {
            Part::Piece(bytes) => Ok(Cow::Borrowed(bytes)),
            Part::Pickle(pickle) => pickle.bytes(),
        }
    }
}

impl RowChange {
    /// Whether the change begins a session.
    pub fn begins(&self) -> bool {
        self.expect.iter().any(|(key, stamp)| *key == Key::Session && stamp.is_none())
    }

    /// Whether the change starts a session: its first thread has not begun, so it has no other threads.
    pub fn is_start(&self) -> bool {
        self.begins() && self.fresh.iter().any(|(key, _)| *key == Key::Live(ThreadId(0)))
    }

    /// All written rows.
    pub fn written(&self) -> impl Iterator<Item = &(Key, Row)> {
        self.fresh.iter().chain(&self.put)
    }
}
