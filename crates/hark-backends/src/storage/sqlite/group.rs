//! Group commit: changes that are ready at the same time share one transaction, and so one fsync.
//!
//! The first committer becomes the leader: it carries out all waiting changes including its own, while others queue up
//! behind it; then one of those becomes the leader. There is no dedicated thread, so a single commit costs no context
//! switch.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};

use hark_engine::{Outcome, StorageError};
use rusqlite::Connection;
use tracing::trace;

use super::change::Change;
use super::database::Database;

/// The maximum number of changes in a transaction.
const GROUP_MAX: usize = 512;

pub(super) struct Group {
    writer: Mutex<Connection>,
    queue: Mutex<Queue>,
    changes: AtomicU64,
    transactions: AtomicU64,
    /// The number of log pages per checkpoint that SQLite was last configured with.
    checkpoint_pages: AtomicI32,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Arc<Request>>,
    has_leader: bool,
}

/// The changes of a waiting committer.
struct Request {
    changes: Mutex<Vec<Change>>,
    answers: Mutex<Option<Vec<Answer>>>,
    /// Whether this request's thread must become the leader.
    leads: AtomicBool,
    thread: Thread,
}

/// The result of a change.
type Answer = Result<Outcome, StorageError>;

/// The amount of work so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// The number of changes.
    pub commits: u64,
    /// The number of transactions, each with one fsync.
    pub fsyncs: u64,
}

impl Group {
    pub fn new(writer: Connection) -> Group {
        Group {
            writer: Mutex::new(writer),
            queue: Mutex::default(),
            changes: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            checkpoint_pages: AtomicI32::new(0),
        }
    }

    /// Makes changes, together with those of others. There is one answer per change.
    pub fn commit_all(&self, database: &Database, changes: Vec<Change>) -> Vec<Answer> {
        let request = Arc::new(Request {
            changes: Mutex::new(changes),
            answers: Mutex::default(),
            leads: AtomicBool::new(false),
            thread: thread::current(),
        });
        let mut queue = lock(&self.queue);
        queue.waiting.push(request.clone());
        if !mem::replace(&mut queue.has_leader, true) {
            request.leads.store(true, Ordering::Release);
        }
        drop(queue);
        loop {
            if request.leads.swap(false, Ordering::AcqRel) {
                self.lead(database);
            }
            if let Some(answers) = lock(&request.answers).take() {
                return answers;
            }
            if !request.leads.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }

    /// Runs a transaction that is not shared with others.
    pub fn alone<T>(
        &self,
        database: &Database,
        write: impl FnOnce(&Connection) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let writer = lock(&self.writer);
        begin(&writer).map_err(|error| database.error(&error))?;
        let result = write(&writer).and_then(|value| match end(&writer) {
            Ok(()) => database.check_in_place().map(|()| value),
            Err(error) => Err(database.error(&error)),
        });
        match &result {
            Ok(_) => drop(self.transactions.fetch_add(1, Ordering::Relaxed)),
            Err(_) => roll_back(&writer),
        }
        result
    }

    /// Runs something outside of any transaction.
    pub fn between(&self, tidy: impl FnOnce(&Connection)) {
        tidy(&lock(&self.writer));
    }

    pub fn work(&self) -> Work {
        Work { commits: self.changes.load(Ordering::Relaxed), fsyncs: self.transactions.load(Ordering::Relaxed) }
    }

    /// Makes the waiting changes, and then makes the next committer the leader.
    fn lead(&self, database: &Database) {
        let writer = lock(&self.writer);
        let mut queue = lock(&self.queue);
        let mut changes = Vec::new();
        let mut counts = Vec::new();
        for request in &queue.waiting {
            let mut more = lock(&request.changes);
            if !changes.is_empty() && changes.len() + more.len() > GROUP_MAX {
                break;
            }
            counts.push(more.len());
            changes.append(&mut more);
        }
        let requests: Vec<Arc<Request>> = queue.waiting.drain(..counts.len()).collect();
        drop(queue);
        let mut answers = self.make(&writer, database, &changes).into_iter();
        self.adapt_checkpoints(&writer, database);
        self.changes.fetch_add(changes.len() as u64, Ordering::Relaxed);
        drop(writer);
        let mut queue = lock(&self.queue);
        match queue.waiting.first() {
            Some(next) => {
                next.leads.store(true, Ordering::Release);
                next.thread.unpark();
            }
            None => queue.has_leader = false,
        }
        drop(queue);
        for (request, count) in requests.iter().zip(counts) {
            *lock(&request.answers) = Some(answers.by_ref().take(count).collect());
            request.thread.unpark();
        }
    }

    /// Adapts the checkpoint interval to the size of the file.
    fn adapt_checkpoints(&self, writer: &Connection, database: &Database) {
        let pages = database.checkpoint_pages();
        if self.checkpoint_pages.swap(pages, Ordering::Relaxed) != pages {
            // If this fails, checkpoints only come a little earlier or later.
            let _ = writer.pragma_update(None, "wal_autocheckpoint", pages);
        }
    }

    /// Makes these changes. If a transaction fails permanently, makes each of them alone, so that one does not fail
    /// because of another.
    fn make(&self, writer: &Connection, database: &Database, changes: &[Change]) -> Vec<Answer> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        trace!(changes = changes.len(), "a transaction");
        match (make_together(writer, changes).map_err(|error| database.error(&error)), changes) {
            (Ok(answers), _) => match database.check_in_place() {
                Ok(()) => answers,
                Err(error) => changes.iter().map(|_| Err(error.clone())).collect(),
            },
            (Err(StorageError::Permanent(_)), [_, _, ..]) => {
                let alone = |change: &Change| self.make(writer, database, std::slice::from_ref(change));
                changes.iter().flat_map(alone).collect()
            }
            (Err(error), _) => changes.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// Makes these changes in one transaction.
fn make_together(writer: &Connection, changes: &[Change]) -> rusqlite::Result<Vec<Answer>> {
    begin(writer)?;
    let answers: rusqlite::Result<Vec<_>> = changes.iter().map(|change| change.make(writer)).collect();
    let answers = answers.and_then(|answers| end(writer).map(|()| answers));
    if answers.is_err() {
        roll_back(writer);
    }
    answers
}

fn begin(writer: &Connection) -> rusqlite::Result<()> {
    writer.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
}

fn end(writer: &Connection) -> rusqlite::Result<()> {
    writer.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// Rolls back. After some errors, SQLite has already done so.
fn roll_back(writer: &Connection) {
    let _ = writer.execute_batch("ROLLBACK");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
