//! The byte port: what a storage that lasts has to do. It says no more than "these keys, these bytes, these versions".
//!
//! The engine encodes records, cuts large contents into parts, seals each row with a checksum, and keeps what it has just
//! written ([`Encoded`](crate::Encoded)); a backend compares versions and stores bytes. So no backend can get a rule wrong that is not
//! about storing.

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
use crate::id::{SessionId, Stamp};
use crate::leases::Leases;
use crate::limits::COMMIT_RECORDS_MAX;
use crate::record::Key;
use crate::servers::Servers;
use crate::space::Space;
use crate::storage::{Filter, StorageError};
use crate::surroundings::Timestamp;
pub use bytes::RowError;
pub use due::DueNumber;
pub use key::KeyError;
pub use range::RowRange;

/// What is kept under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its version: the commit that wrote or renewed it.
    pub stamp: Stamp,
    /// When someone must look at it, if ever. Rows without are in no index of due rows.
    pub due: Option<DueNumber>,
    /// The checksum over key, summary and content, which the engine makes and checks. It does not cover `stamp` and `due`, so that
    /// these can be changed alone.
    pub seal: u32,
    /// What sessions are listed by; only [`Key::Session`] has it.
    pub listing: Option<Listing>,
    /// A short text. Scans show it.
    pub summary: String,
    /// At most some 17 KB, or the names of the parts of a content that is larger: 16 bytes for each 40 KB of it. Scans leave it
    /// out.
    pub content: Vec<u8>,
}

/// What sessions are listed by.
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

/// Bytes that the contents of several rows of one session may name. They never change.
#[derive(Debug, Clone)]
pub enum Part {
    /// A piece of a large content: 128 KB at most.
    Piece(Vec<u8>),
    /// The pickle of an object, of any size. A large one may be a file already, of which a storage that keeps files takes a link.
    Pickle(Arc<Pickle>),
}

/// How many more, or fewer, contents name a part after a change.
#[derive(Debug, Clone)]
pub struct PartChange {
    /// Which one.
    pub name: PartName,
    /// So many more.
    pub uses: i64,
    /// The part itself, wherever there are more.
    pub part: Option<Part>,
}

/// A row to be read.
#[derive(Debug, Clone, Copy)]
pub struct Lookup<'a> {
    /// Its key.
    pub key: &'a Key,
    /// The version that the reader has already. Of a row that still has it nothing but the version is needed.
    pub known: Option<Stamp>,
}

/// One change of a session's rows, all of it or nothing.
#[derive(Debug, Clone)]
pub struct RowChange {
    /// The version of all that it writes.
    pub stamp: Stamp,
    /// Only where sessions have servers: it is answered with [`StorageError::TakenOver`] if another one has the session.
    pub by_server: bool,
    /// The versions that must still be there; `None` is for a row that must not exist.
    pub expect: Vec<(Key, Option<Stamp>)>,
    /// New rows, to which nothing refers before the change: any number. A storage that cannot write so many at a time may write
    /// them before the others, if nobody sees them when the change does not happen.
    pub fresh: Vec<(Key, Row)>,
    /// Rows to write, over what there is.
    pub put: Vec<(Key, Row)>,
    /// Rows to remove, if they exist.
    pub delete: Vec<Key>,
    /// A row, which is expected, that gets the change's stamp and stays as it is, but for its summary.
    pub renew: Option<RowRenewal>,
    /// How the use of parts changes, each name once. A part is kept from the first use on and until the last one has gone.
    ///
    /// **A count is never too low.** A storage that cannot count so many in the same moment counts up before the change, and down
    /// after it is done; what a crash leaves then is too high, and goes with the session.
    pub parts: Vec<PartChange>,
    /// Pages of the history, to be appended in this order.
    pub history: Vec<String>,
    /// The program of a session that begins with this change, which expects that there is no [`Key::Session`]. It must be there
    /// afterwards.
    pub program: Option<KeptProgram>,
}

/// What is renewed of a row.
#[derive(Debug, Clone)]
pub struct RowRenewal {
    /// Which one.
    pub key: Key,
    /// Its summary and its seal, if they become others.
    pub summary: Option<(String, u32)>,
}

/// A program that is to be kept.
#[derive(Debug, Clone)]
pub struct KeptProgram(pub(crate) Arc<Program>);

impl KeptProgram {
    /// The name that it is kept under.
    pub fn hash(&self) -> String {
        self.0.hash().to_string()
    }

    /// What is kept of it.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.executable().encode()
    }
}

/// All rows of a session, and all of its history.
#[derive(Debug, Clone, Default)]
pub struct AllRows {
    /// The rows, with their contents.
    pub rows: Vec<(Key, Row)>,
    /// The pages, from the first.
    pub history: Vec<String>,
}

/// Keeps the rows of one session.
pub trait SessionRows: Send + Sync {
    /// Reads rows, each by itself; answers an entry for each, in their order.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError>;

    /// The first rows of a range, in the order of their keys, `limit` at most, without their contents. It sees every change that had
    /// returned before the scan began, and may see a part of one that is under way: what that writes before what it removes, and
    /// no less than a scan before.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError>;

    /// Of each Future that has rows of waiters, the first of these, in their order, `limit` at most.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn crowds(&self, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        let mut found: Vec<(Key, Row)> = Vec::new();
        while found.len() < limit {
            // The waiters between are skipped: there may be very many.
            let range = match found.last() {
                Some((Key::Wait { future, .. }, _)) => RowRange::WaitersAfter(future.clone()),
                _ => RowRange::AllWaiters,
            };
            let Some(next) = self.scan(&range, 1)?.pop() else { break };
            found.push(next);
        }
        Ok(found)
    }

    /// Makes the change, all of it or nothing.
    ///
    /// A change of a session that is not there, and does not begin with it, is [`StorageError::Gone`] if it expects nothing, else
    /// in conflict; one that writes nothing is done.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged; then nothing has happened.
    fn commit(&self, change: RowChange) -> Result<Outcome, StorageError>;

    /// Makes several changes, each as if it were alone.
    fn commit_all(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        changes.into_iter().map(|change| self.commit(change)).collect()
    }

    /// How many rows that others may know a change may touch: 32 at least.
    fn commit_records_max(&self) -> usize {
        COMMIT_RECORDS_MAX
    }

    /// Reserves so many thread numbers and gives the first. They are greater than all that were reserved before, and than those
    /// of all threads and Futures that have rows.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn reserve(&self, count: u64) -> Result<u64, StorageError>;

    /// The bytes of these parts, where they are there.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError>;

    /// The pages of the history after this position, in order, `limit` at most, each with its own position. The storage decides
    /// on positions: greater than 0, each of its own, and of what follows from another change greater than that one's.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError>;

    /// A position up to which no page can appear from now on. A storage that many machines write to decides on a page's position
    /// some time before it can be read.
    fn history_settled(&self) -> u64 {
        u64::MAX
    }

    /// All that there is of the session, as it is in one moment. It is asked of sessions that nobody runs; of one that is not there,
    /// there is nothing.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn all(&self) -> Result<AllRows, StorageError>;
}

/// A session of a list.
#[derive(Debug)]
pub struct SessionEntry {
    /// Its id, as far as that can be trusted.
    pub id: SessionId,
    /// Its own row, or why that cannot be read.
    pub row: Result<Row, StorageError>,
    /// How many threads it has started.
    pub threads: u64,
    /// Whether someone serves it now, if it is not over.
    pub is_served: bool,
}

/// How the threads of a storage's sessions come by the process that runs them.
pub enum RowTenure<'a> {
    /// A session is served by one process at a time.
    Servers(&'a dyn Servers),
    /// Threads are leased, and the engine does all that there is to that.
    Due(&'a dyn DueRows),
    /// Threads are leased, in a way of the storage's own.
    Leases(&'a dyn Leases),
}

/// Which rows are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DueKind {
    /// Threads and their mailboxes.
    Threads,
    /// What others go on with if it is left: [`Key::Todo`] and [`Key::Cascade`].
    Leftovers,
}

/// A row that is due, without its content.
#[derive(Debug, Clone)]
pub struct DueRow {
    /// Its session.
    pub session: SessionId,
    /// Its key.
    pub key: Key,
    /// The row.
    pub row: Row,
}

/// When a row is due from now on.
#[derive(Debug, Clone)]
pub struct SetDue {
    /// Its session.
    pub session: SessionId,
    /// Its key.
    pub key: Key,
    /// The version that it must still have.
    pub expected: Stamp,
    /// The version that it gets, if that is another one.
    pub stamp: Option<Stamp>,
    /// When it is due, if ever.
    pub due: Option<DueNumber>,
}

/// A storage whose threads are leased: what is due is the queue. Two verbs are all that it takes.
pub trait DueRows: Send + Sync {
    /// How long a process may be still before others take the threads that it holds.
    fn lease(&self) -> Duration;

    /// The rows of this kind, of all sessions or only of this one, that are due after the one number and not after the other, the
    /// earliest first, `limit` at most. The answer may lag behind what has been written: each row's version is compared when something
    /// is made of it.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn due(
        &self,
        kind: DueKind,
        only: Option<&SessionId>,
        after: DueNumber,
        until: DueNumber,
        limit: usize,
    ) -> Result<Vec<DueRow>, StorageError>;

    /// Changes when rows are due, each by itself and only if it has the version that is expected. Answers of each whether it had.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged. Some may have been changed.
    fn set_due(&self, changes: &[SetDue]) -> Result<Vec<bool>, StorageError>;
}

/// Keeps the rows of many sessions.
pub trait RowStorage: Send + Sync {
    /// What messages call it.
    fn name(&self) -> String;

    /// The rows of one session, new or known.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError>;

    /// The rows that belong to no session.
    fn space(&self) -> &dyn Space;

    /// How threads come by the process that runs them.
    fn tenure(&self) -> RowTenure<'_>;

    /// Whether nobody but this process runs threads of the sessions that it serves. Then the engine need not ask of threads that it
    /// has just started whether others have written anything about them.
    fn is_alone(&self) -> bool {
        false
    }

    /// The folder in which the files of large pickles are best made, so that links of them can be kept.
    fn scratch_folder(&self) -> Option<&Path> {
        None
    }

    /// Keeps a program under its hash.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError>;

    /// The program with this hash, if it is there.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError>;

    /// Removes the programs that no session has, but for those of sessions that begin in this moment.
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

    /// The sessions that fit, by their own rows' listings, the newest first.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError>;

    /// Removes all that is kept of a session, if its own row has this version. Answers whether it had.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Removes all that is kept of a session but its own row, under the same condition.
    ///
    /// # Errors
    /// If the storage cannot be reached or is damaged.
    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError>;

    /// Waits for news from another process or from [`ring`](RowStorage::ring), so long at most. Answers whether another process may
    /// have some.
    fn wait_for_news(&self, at_most: Duration) -> bool;

    /// Ends this process's own wait for news.
    fn ring(&self);

    /// Tells all processes that serve this storage that there is news. Without, they look once a second.
    fn announce(&self);
}

impl Row {
    /// What is answered of a row that still has the version that its reader knows.
    pub fn of_version(stamp: Stamp) -> Row {
        Row { stamp, due: None, seal: 0, listing: None, summary: String::new(), content: Vec::new() }
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
    /// Whether a session begins with it.
    pub fn begins(&self) -> bool {
        self.expect.iter().any(|(key, stamp)| *key == Key::Session && stamp.is_none())
    }

    /// All rows that it writes.
    pub fn written(&self) -> impl Iterator<Item = &(Key, Row)> {
        self.fresh.iter().chain(&self.put)
    }
}
