//! The rows of a single session.

mod read;

use std::error::Error;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hark_engine::limits::LOCAL_COMMIT_RECORDS_MAX;
use hark_engine::rows::{AllRows, Lookup, PartName, Row, RowChange, RowRange, SessionRows};
use hark_engine::{Key, Outcome, SessionId, SessionState, StorageError};
use rusqlite::Connection;

use super::Shared;
use super::change::{Change, Owner, RowNumber, find_row};
use super::database::next_thread;
use super::numbers::Numbers;
use super::row::is_damage;

pub(super) struct SqliteSession {
    shared: Arc<Shared>,
    id: SessionId,
    row: RowNumber,
    next_thread: OnceLock<AtomicU64>,
    /// With leased threads: whether the shared numbers are known to be above those in the database.
    is_counted: AtomicBool,
}

impl SqliteSession {
    pub fn new(shared: Arc<Shared>, id: SessionId) -> SqliteSession {
        let (row, next_thread) = (RowNumber::default(), OnceLock::new());
        SqliteSession { shared, id, row, next_thread, is_counted: AtomicBool::new(false) }
    }

    /// Runs a query about this session. Returns the default value if the session does not exist.
    fn query<T: Default>(
        &self,
        query: impl FnOnce(&Connection, i64) -> rusqlite::Result<T>,
    ) -> Result<T, StorageError> {
        self.shared.database.read(|connection| {
            let found = self.row(connection).and_then(|row| match row {
                Some(row) => query(connection, row),
                None => Ok(T::default()),
            });
            found.map_err(|error| self.error(&error))
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

    fn error(&self, error: &rusqlite::Error) -> StorageError {
        if is_damage(error) { self.damaged("a record", error) } else { self.shared.database.error(error) }
    }

    fn damaged(&self, what: &str, error: &dyn Error) -> StorageError {
        let path = self.shared.database.path().display();
        StorageError::Permanent(format!("`{path}`: {what} of session {}: {error}", self.id))
    }

    fn owner(&self, changes: &[RowChange]) -> Result<Owner, StorageError> {
        if self.shared.leases.is_some() && changes.iter().any(imports) {
            // So that others see that this process is importing it.
            self.shared.server()?;
        }
        self.shared.owner()
    }

    /// Makes changes, together with those of other committers.
    fn make(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        let owner = match self.owner(&changes) {
            Ok(owner) => owner,
            Err(error) => return changes.iter().map(|_| Err(error.clone())).collect(),
        };
        changes.iter().for_each(|change| self.shared.note_pickle_files(change));
        let change = |rows| Change::new(&self.id, &self.row, owner, rows);
        let outcomes = self.shared.group.commit_all(&self.shared.database, changes.into_iter().map(change).collect());
        if outcomes.contains(&Ok(Outcome::Done)) {
            self.shared.remove_unneeded_files();
        }
        outcomes
    }

    /// One more than the greatest thread number in any record.
    fn count_threads(&self) -> Result<u64, StorageError> {
        self.query(|connection, session| {
            let sql = format!("SELECT {}", next_thread("?1"));
            let next: i64 = connection.prepare_cached(&sql)?.query_row([session], |row| row.get(0))?;
            Ok(next as u64)
        })
    }

    /// The number of the session's row, if it has been written.
    fn known_row(&self) -> Result<Option<i64>, StorageError> {
        match self.row.load(Ordering::Acquire) {
            0 => self.query(|_, row| Ok(Some(row))),
            known => Ok(Some(known)),
        }
    }

    /// Reserves numbers for a session in which any process may start threads. After a power cut, the file may be older
    /// than the database.
    fn reserve_of_all(&self, numbers: &Numbers, row: i64, count: u64) -> Result<u64, StorageError> {
        if count > 0 && !self.is_counted.swap(true, Ordering::AcqRel) {
            numbers.reserve(row, 0, || self.count_threads())?;
        }
        numbers.reserve(row, count, || self.count_threads())
    }

    /// Reserves numbers for a session in which several processes start threads.
    fn reserve_together(&self, numbers: &Numbers, count: u64) -> Result<u64, StorageError> {
        let row = self.known_row()?.ok_or(StorageError::Gone)?;
        numbers.reserve(row, count, || self.count_threads())
    }
}

impl SessionRows for SqliteSession {
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError> {
        let mut found: Vec<Option<Row>> = self.query(|connection, session| {
            keys.iter().map(|lookup| read::read_one(connection, session, lookup)).collect()
        })?;
        found.resize_with(keys.len(), || None);
        Ok(found)
    }

    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        self.query(|connection, session| read::scan(connection, session, range, limit))
    }

    fn crowds(&self, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        self.query(|connection, session| read::crowds(connection, session, limit))
    }

    fn commit(&self, change: RowChange) -> Result<Outcome, StorageError> {
        self.make(vec![change]).pop().expect("there is an outcome for each change")
    }

    fn commit_all(&self, changes: Vec<RowChange>) -> Vec<Result<Outcome, StorageError>> {
        self.make(changes)
    }

    fn commit_records_max(&self) -> usize {
        LOCAL_COMMIT_RECORDS_MAX
    }

    fn reserve(&self, count: u64) -> Result<u64, StorageError> {
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
            // Other processes may have started some.
            next.fetch_max(self.count_threads()?, Ordering::Relaxed);
        }
        Ok(next.fetch_add(count, Ordering::Relaxed))
    }

    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        let mut found: Vec<Option<Vec<u8>>> = self.query(|connection, session| {
            names.iter().map(|name| read::part(&self.shared, connection, session, name)).collect()
        })?;
        found.resize_with(names.len(), || None);
        Ok(found)
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError> {
        let found = self.query(|connection, session| read::history(connection, session, after, limit))?;
        match found.1 {
            // A scan stops at a row with a damaged key; `last` was found from the other end.
            Some(last) => Err(self.damaged("the history", &read::CutOff::at(last))),
            // Entries are never removed, so positions have no gaps.
            None => match (after + 1..).zip(&found.0).find(|(expected, (position, _))| expected != position) {
                Some((expected, _)) => Err(self.damaged("the history", &read::CutOff::at(expected))),
                None => Ok(found.0),
            },
        }
    }

    fn all(&self) -> Result<AllRows, StorageError> {
        self.query(read::all)
    }
}

/// Whether a change belongs to an import.
fn imports(change: &RowChange) -> bool {
    let listings = change.written().filter_map(|(_, row)| row.listing.as_ref());
    listings.into_iter().any(|listing| listing.state == SessionState::Importing.name())
}
