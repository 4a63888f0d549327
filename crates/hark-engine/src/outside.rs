//! Commands on sessions from outside their threads, by a person or another program.
//!
//! Each command consists of one or more commits, between which its process may die. So a change is either a single
//! commit that expects the session's record as it was read, or begins with one that marks the change in that record
//! (*retrying*, *cancelling*, *moving*, *importing*). The next process to find such a mark without its process
//! completes the change or undoes it (`Outside::recover`).

mod cancel;
mod moving;
mod prune;
mod retry;
mod settle;

use std::sync::Arc;

use hark_machine::Program;

use crate::commit::{Commit, Outcome};
use crate::dispatch::Hint;
use crate::id::{SessionId, Stamp, Stamps};
use crate::record::{Cancelling, FutureRecord, Key, Record, SessionRecord, SessionState, Versioned};
use crate::report::{Report, Status};
use crate::step;
use crate::storage::{self, Catalog, SessionStorage, Storage, StorageError};
use crate::surroundings::Surroundings;
use crate::throttle::{self, Turnstile};

pub(crate) use cancel::drop_threads;
pub use moving::{ExportError, MoveUnderWay};
pub use prune::prune;
pub(crate) use prune::remove;
pub(crate) use retry::awaited_by;

/// A stored session, seen from outside.
pub struct Outside<'a> {
    storage: &'a dyn Storage,
    surroundings: &'a dyn Surroundings,
    id: SessionId,
    record: SessionRecord,
    program: Arc<Program>,
    records: Arc<dyn SessionStorage>,
}

/// The reason why a command on a session is not possible.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The storage does not contain the session.
    #[error("there is no session `{0}`")]
    NoSession(SessionId),
    /// The session is in the wrong state.
    #[error("the session {}", .0.predicate())]
    WrongState(SessionState),
    /// Another process runs the session.
    #[error("the session is running")]
    Served,
    /// The Future already has this value or error.
    #[error("the future is already resolved")]
    AlreadyDone(FutureRecord),
    /// The storage does not work.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Removes the entries of a session, which may be gone, at the gates of limits and rates.
pub(crate) fn leave_gates(
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
    id: &SessionId,
) -> Result<(), StorageError> {
    let (space, stamps) = (storage.space(), Stamps::unique(surroundings));
    let (now, is_served) = (|| surroundings.steady_now(), |_: &SessionId| Ok(false));
    throttle::forget(&mut Turnstile::new(space, stamps, &now, &is_served), id, false)
}

impl<'a> Outside<'a> {
    /// Opens a session.
    ///
    /// # Errors
    /// If it does not exist, or the storage fails.
    pub fn open(
        storage: &'a dyn Storage,
        surroundings: &'a dyn Surroundings,
        id: &SessionId,
    ) -> Result<Outside<'a>, OutsideError> {
        let catalog = storage::catalog_of(storage)?;
        let Some((_, record)) = catalog.record(id)? else { return Err(OutsideError::NoSession(id.clone())) };
        let executable = catalog.program(&record.about.program)?;
        let program = Program::new(executable).map_err(|error| StorageError::Permanent(error.to_string()))?;
        let program = Arc::new(program);
        let records = storage.session(id, &program)?;
        Ok(Outside::with_records(storage, surroundings, id, record, program, records))
    }

    /// Like `open`, with everything already known.
    pub(crate) fn with_records(
        storage: &'a dyn Storage,
        surroundings: &'a dyn Surroundings,
        id: &SessionId,
        record: SessionRecord,
        program: Arc<Program>,
        records: Arc<dyn SessionStorage>,
    ) -> Outside<'a> {
        Outside { storage, surroundings, id: id.clone(), record, program, records }
    }

    /// Its id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Its summary when it was opened.
    pub fn record(&self) -> &SessionRecord {
        &self.record
    }

    /// Its program.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Its records.
    pub fn records(&self) -> &dyn SessionStorage {
        &*self.records
    }

    /// Only the records, which may outlive this value.
    pub fn into_records(self) -> Arc<dyn SessionStorage> {
        self.records
    }

    /// A report of the session so far. An unfinished session is *cancelling* if it was cancelled, else *running* if it
    /// is being served, else *suspended*; a session whose move was interrupted has its state from before.
    ///
    /// # Errors
    /// If the session no longer exists, or its summary cannot be read. Other unreadable data is an error in the report.
    pub fn report(&self, is_served: bool) -> Result<Report, OutsideError> {
        let mut known = self.read_session()?;
        loop {
            let report = self.report_of(&known.1, is_served);
            // The session may have changed while it was read; then read it again.
            let now = self.read_session()?;
            if now.0 == known.0 {
                return Ok(report);
            }
            known = now;
        }
    }

    fn report_of(&self, record: &SessionRecord, is_served: bool) -> Report {
        let record = match record.state {
            SessionState::Moving if !is_served => record.as_before_move(),
            _ => record.clone(),
        };
        let status = match record.state {
            SessionState::Running if record.cancelling.is_some() => Some(Status::Cancelling),
            SessionState::Running if is_served => Some(Status::Running),
            SessionState::Running => Some(Status::Suspended),
            SessionState::Cancelled => Some(Status::Cancelled),
            SessionState::Moving => Some(Status::Moving),
            SessionState::Moved => Some(Status::Moved),
            SessionState::Importing => Some(Status::Importing),
            SessionState::Finished | SessionState::Broken => None,
        };
        let mut report = Report::of_records(&self.id, self.records(), status);
        if let Err(error) = report.read_output(self.records()) {
            report.add_storage_error(&error);
        }
        report.threads = record.threads.unwrap_or(report.threads);
        report
    }

    /// Completes or undoes what an ended process has left midway: undoes an export, removes an import, completes a
    /// retry or a cancellation. Returns whether there was anything; if not, the process is alive, or there is nothing.
    pub(crate) fn recover(&self, stamp: Stamp, session: &SessionRecord) -> Result<bool, StorageError> {
        match session.state {
            SessionState::Running if session.retrying => {
                self.finish_retry().map(drop)?;
                Ok(true)
            }
            SessionState::Running if session.cancelling == Some(Cancelling::Begun) => {
                self.finish_cancel()?;
                Ok(true)
            }
            SessionState::Moving if !self.is_served_elsewhere()? => {
                let mut commit = Commit::new(self.stamps().next());
                step::undo_move(stamp, session, &mut commit);
                // If it was not done, another process did it, or the next attempt will.
                let _ = self.records.commit(&mut commit)?;
                Ok(true)
            }
            SessionState::Importing if !self.is_served_elsewhere()? => {
                remove(self.storage, self.surroundings, &self.id, &session.about, stamp)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Changes the session's record. `decide` gets the current record, and is called again if it has changed meanwhile.
    /// Returns the written version.
    fn change(
        &self,
        decide: impl FnMut(Stamp, &SessionRecord, &mut Commit) -> Result<(), OutsideError>,
    ) -> Result<Stamp, OutsideError> {
        self.change_as_read(|| self.read_settled(), decide)
    }

    /// The same, with a custom function to read the record.
    fn change_as_read(
        &self,
        read: impl Fn() -> Result<(Stamp, SessionRecord), OutsideError>,
        mut decide: impl FnMut(Stamp, &SessionRecord, &mut Commit) -> Result<(), OutsideError>,
    ) -> Result<Stamp, OutsideError> {
        let mut stamps = self.stamps();
        // A commit without an answer may be carried out after the next one was tried.
        let mut unanswered = Vec::new();
        loop {
            let (stamp, session) = read()?;
            if unanswered.contains(&stamp) {
                return Ok(stamp);
            }
            let mut commit = Commit::new(stamps.next());
            decide(stamp, &session, &mut commit)?;
            let written = commit.stamp;
            match self.records.commit(&mut commit)? {
                Outcome::Done => return Ok(written),
                Outcome::Conflict => {}
                Outcome::Unknown => unanswered.push(written),
            }
        }
    }

    /// The session's record, after completing what an ended process has left midway.
    fn read_settled(&self) -> Result<(Stamp, SessionRecord), OutsideError> {
        loop {
            let (stamp, session) = self.read_session()?;
            if !session.state.is_in_transit() || !self.recover(stamp, &session)? {
                return Ok((stamp, session));
            }
        }
    }

    fn read_session(&self) -> Result<(Stamp, SessionRecord), OutsideError> {
        match self.read(Key::Session)? {
            Some(Versioned { stamp, record: Record::Session(session) }) => Ok((stamp, *session)),
            _ => Err(OutsideError::NoSession(self.id.clone())),
        }
    }

    fn read(&self, key: Key) -> Result<Option<Versioned>, StorageError> {
        let mut found = Vec::new();
        self.records.read(&[key], &mut found)?;
        Ok(found.pop().flatten())
    }

    fn stamps(&self) -> Stamps<'_> {
        Stamps::unique(self.surroundings)
    }

    fn catalog(&self) -> Result<&dyn Catalog, StorageError> {
        storage::catalog_of(self.storage)
    }

    /// Removes the session's entries at the gates of limits and rates. The servers of other sessions then let the next
    /// ones in.
    fn leave_gates(&self) -> Result<(), StorageError> {
        leave_gates(self.storage, self.surroundings, &self.id)
    }

    fn is_served_elsewhere(&self) -> Result<bool, StorageError> {
        self.storage.tenure().is_served_elsewhere(&self.id, self.surroundings.steady_now())
    }

    /// See [`Dispatcher`](crate::Dispatcher).
    fn dispatch(&self, hints: &[Hint]) -> Result<(), StorageError> {
        self.catalog()?.dispatch(&self.id, hints);
        Ok(())
    }
}
