//! One session's records.

mod read;

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hark_engine::limits::LOCAL_COMMIT_RECORDS_MAX;
use hark_engine::storage::{Range, reserved};
use hark_engine::{
    Commit, Everything, Key, LogEntry, Outcome, Record, SessionId, SessionState, SessionStorage, StorageError,
    ThreadId, Versioned,
};
use hark_machine::Program;
use rusqlite::Connection;

use super::Shared;
use super::change::{Change, RowNumber, find_row};
use super::database::next_thread;
use super::kept::{KeptThreads, ThreadSize};
use super::numbers::Numbers;
use super::pickles::StoredPickles;
use super::row::{Fault, is_damage, name_of};
use read::read_history;

pub(super) struct SqliteSession {
    shared: Arc<Shared>,
    id: SessionId,
    program: Arc<Program>,
    row: RowNumber,
    kept: KeptThreads,
    next_thread: OnceLock<AtomicU64>,
    /// Where threads are leased: the shared numbers are known to be beyond those in the database.
    is_counted: AtomicBool,
}

impl SqliteSession {
    pub fn new(shared: Arc<Shared>, id: SessionId, program: Arc<Program>) -> SqliteSession {
        let (row, kept, next_thread) = (RowNumber::default(), KeptThreads::new(shared.kept.clone()), OnceLock::new());
        SqliteSession { shared, id, program, row, kept, next_thread, is_counted: AtomicBool::new(false) }
    }

    /// Reads something of this session, if it exists.
    fn query<T: Default>(&self, query: impl FnOnce(&Connection, i64) -> Result<T, Fault>) -> Result<T, StorageError> {
        self.shared.database.read(|connection| {
            let found = self.row(connection).map_err(Fault::from).and_then(|row| match row {
                Some(row) => query(connection, row),
                None => Ok(T::default()),
            });
            found.map_err(|fault| self.error(fault))
        })
    }

    fn row(&self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        let known = self.row.load(Ordering::Acquire);
        if known != 0 {
            return Ok(Some(known));
        }
        let found = find_row(connection, &self.id)?;
        self.row.store(found.unwrap_or(0), Ordering::Release);
        Ok(found)
    }

    fn error(&self, fault: Fault) -> StorageError {
        match fault {
            Fault::Sqlite(error) if is_damage(&error) => self.damaged("a record", &error),
            Fault::Sqlite(error) => self.shared.database.error(&error),
            Fault::Record(error) => self.damaged("a record", &error),
            Fault::History(error) => self.damaged("the history", &error),
            Fault::At(key, error) => self.damaged(&name_of(&key), &error),
        }
    }

    fn damaged(&self, what: &str, error: &dyn Error) -> StorageError {
        let path = self.shared.database.path().display();
        StorageError::Permanent(format!("`{path}`: {what} of session {}: {error}", self.id))
    }

    /// The session's pickles, for who decodes what names them.
    fn pickles<'a>(&'a self, connection: &'a Connection, session: i64) -> StoredPickles<'a> {
        StoredPickles { connection, session, held: &self.shared.pickles }
    }

    /// What this process has just written need not be read.
    fn hold_pickles(&self, change: &Change) {
        change.pickles().for_each(|pickle| self.shared.pickles.add(pickle));
    }

    /// One past the greatest number that any record names.
    fn count_threads(&self) -> Result<u64, StorageError> {
        self.query(|connection, session| {
            let sql = format!("SELECT {}", next_thread("?1"));
            let next: i64 = connection.prepare_cached(&sql)?.query_row([session], |row| row.get(0))?;
            Ok(next as u64)
        })
    }

    /// The number of the session's row, if it is written.
    fn known_row(&self) -> Result<Option<i64>, StorageError> {
        match self.row.load(Ordering::Acquire) {
            0 => self.query(|_, row| Ok(Some(row))),
            known => Ok(Some(known)),
        }
    }

    /// Reserves numbers where any process may start threads of the session. What the file says may be older than the database,
    /// after a power cut.
    fn reserve_of_all(&self, numbers: &Numbers, row: i64, count: u64) -> Result<ThreadId, StorageError> {
        if count > 0 && !self.is_counted.swap(true, Ordering::AcqRel) {
            numbers.reserve(row, 0, || self.count_threads())?;
        }
        reserved(numbers.reserve(row, count, || self.count_threads())?, count)
    }

    /// Reserves numbers where several processes start threads of the session.
    fn reserve_together(&self, numbers: &Numbers, count: u64) -> Result<ThreadId, StorageError> {
        let row = self.known_row()?.ok_or(StorageError::Gone)?;
        reserved(numbers.reserve(row, count, || self.count_threads())?, count)
    }
}

impl SessionStorage for SqliteSession {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        // Of a supervisor's workers, or where threads are leased, another one may have run the thread since.
        let is_alone = self.shared.serves.is_none() && self.shared.leases.is_none();
        if let Some(fresh) = is_alone.then(|| self.kept.take_fresh(keys)).flatten() {
            found.push(Some(fresh));
            found.extend(keys[1..].iter().map(|_| None));
            return Ok(());
        }
        let read = self.query(|connection, session| {
            keys.iter().map(|key| self.read_one(connection, session, key)).collect::<Result<Vec<_>, _>>()
        })?;
        let missing = keys.len() - read.len();
        found.extend(read);
        found.extend((0..missing).map(|_| None));
        Ok(())
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|connection, session| self.scan_range(connection, session, &range, limit))
    }

    fn all(&self) -> Result<Everything, StorageError> {
        self.query(|connection, session| self.read_all(connection, session))?.ok_or(StorageError::Gone)
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query(|connection, session| read_history(connection, session, after, limit))
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        if self.shared.leases.is_some() && imports(commit) {
            // So that others see that this process is at it.
            self.shared.server()?;
        }
        let owner = self.shared.owner()?;
        let change = Change::new(&self.id, &self.row, owner, commit, &self.program);
        let sizes = change.thread_sizes();
        self.hold_pickles(&change);
        let outcome = self.shared.group.commit(&self.shared.database, change)?;
        if outcome == Outcome::Done {
            self.shared.remove_unneeded_files();
            self.kept.keep(commit, &sizes);
        }
        Ok(outcome)
    }

    fn commit_all(&self, commits: &mut [&mut Commit]) -> Vec<Result<Outcome, StorageError>> {
        let owner = match self.shared.owner() {
            Ok(owner) => owner,
            Err(error) => return commits.iter().map(|_| Err(error.clone())).collect(),
        };
        let change = |commit: &&mut Commit| Change::new(&self.id, &self.row, owner, commit, &self.program);
        let changes: Vec<Change> = commits.iter().map(change).collect();
        changes.iter().for_each(|change| self.hold_pickles(change));
        let sizes: Vec<Vec<ThreadSize>> = changes.iter().map(Change::thread_sizes).collect();
        let outcomes = self.shared.group.commit_all(&self.shared.database, changes);
        for ((commit, sizes), outcome) in commits.iter_mut().zip(&sizes).zip(&outcomes) {
            if *outcome == Ok(Outcome::Done) {
                self.kept.keep(commit, sizes);
            }
        }
        self.shared.remove_unneeded_files();
        outcomes
    }

    fn commit_records_max(&self) -> usize {
        LOCAL_COMMIT_RECORDS_MAX
    }

    fn note_woken(&self, threads: &[ThreadId]) {
        self.kept.note_woken(threads);
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        if let Some(supervision) = &self.shared.serves {
            return self.reserve_together(&supervision.numbers, count);
        }
        if let Some(leasing) = &self.shared.leases
            && let Some(row) = self.known_row()?
        {
            return self.reserve_of_all(leasing.numbers()?, row, count);
        }
        let next = match self.next_thread.get() {
            Some(next) => next,
            None => {
                let first = self.count_threads()?;
                self.next_thread.get_or_init(|| AtomicU64::new(first))
            }
        };
        if count == 0 {
            // Others may have started some.
            next.fetch_max(self.count_threads()?, Ordering::Relaxed);
        }
        reserved(next.fetch_add(count, Ordering::Relaxed), count)
    }
}

/// Whether a commit is one of an import.
fn imports(commit: &Commit) -> bool {
    let is_import =
        |record: &Record| matches!(record, Record::Session(session) if session.state == SessionState::Importing);
    commit.put.iter().any(is_import)
}
