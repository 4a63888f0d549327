//! What is done to a session from outside of its threads: by a person, or by another program.
//!
//! Each command is one or more commits, between any two of which its process may die. So a change is either one commit
//! that expects the session's record as it was read, or begins with one that says in that record what is under way
//! (*retrying*, *cancelling*, *moving*, *importing*). Whoever finds such a record, and its process gone, completes the change or
//! takes it back (`Outside::recover`).

mod cancel;
mod moving;
mod prune;
mod retry;
mod settle;

use std::sync::Arc;

use hark_machine::Program;

use crate::commit::{Commit, Outcome};
use crate::dispatch::Hint;
use crate::id::{SessionId, Stamp, Stamps, ThreadId};
use crate::record::{Cancelling, FutureRecord, Key, Record, SessionRecord, SessionState, Versioned};
use crate::report::{Report, Status};
use crate::step;
use crate::storage::{self, Catalog, SessionStorage, Storage, StorageError};
use crate::surroundings::Surroundings;
use crate::throttle::{self, Turnstile};

pub(crate) use cancel::drop_threads;
pub use moving::ExportError;
pub use prune::prune;
pub(crate) use prune::remove;
pub(crate) use retry::awaited_by;

/// A session that is kept, seen from outside.
pub struct Outside<'a> {
    storage: &'a dyn Storage,
    surroundings: &'a dyn Surroundings,
    id: SessionId,
    record: SessionRecord,
    program: Arc<Program>,
    records: Arc<dyn SessionStorage>,
}

/// Why something cannot be done to a session.
#[derive(Debug, thiserror::Error)]
pub enum OutsideError {
    /// The storage keeps no such session.
    #[error("there is no session `{0}`")]
    NoSession(SessionId),
    /// The session is not in a state for it.
    #[error("the session {}", .0.predicate())]
    WrongState(SessionState),
    /// Another process runs the session.
    #[error("the session is running")]
    Served,
    /// The Future has its value or error already: this one.
    #[error("the future is resolved already")]
    AlreadyDone(FutureRecord),
    /// The storage does not work.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Removes what a session has at the gates of limits and rates, which may be gone.
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
    /// If there is none, or the storage fails.
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

    /// The same where all of that is known.
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

    /// Its summary, as it was when it was opened.
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

    /// The records alone, which may outlive this.
    pub fn into_records(self) -> Arc<dyn SessionStorage> {
        self.records
    }

    /// All that it came to so far. One that is not over is *cancelling* if it is to end, else *running* if someone serves it,
    /// else *suspended*; one whose move was cut off is what it was before.
    ///
    /// # Errors
    /// If there is no such session any more, or its summary cannot be read. What else cannot be read is an error in the
    /// report.
    pub fn report(&self, is_served: bool) -> Result<Report, OutsideError> {
        let mut known = self.read_session()?;
        loop {
            let report = self.report_of(&known.1, is_served);
            // What was read after the summary may be of a session that is something else by now.
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

    /// Settles what a process has left half-way that is gone: an export is taken back, an import removed, a retry or a
    /// cancellation completed. Answers whether anything was; if not, the process lives, or there is nothing.
    pub(crate) fn recover(&self, stamp: Stamp, session: &SessionRecord) -> Result<bool, StorageError> {
        match session.state {
            SessionState::Running if session.retrying => {
                self.finish_retry()?;
                Ok(true)
            }
            SessionState::Running if session.cancelling == Some(Cancelling::Begun) => {
                self.finish_cancel()?;
                Ok(true)
            }
            SessionState::Moving if !self.is_served_elsewhere()? => {
                let mut commit = Commit::new(self.stamps().next());
                step::undo_move(stamp, session, &mut commit);
                // If it was not done, someone else has, or the next look will.
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

    /// Changes the session's record: `decide` says how, in sight of what it is, and is asked again if that has changed
    /// meanwhile. Answers the version that was written.
    fn change(
        &self,
        decide: impl FnMut(Stamp, &SessionRecord, &mut Commit) -> Result<(), OutsideError>,
    ) -> Result<Stamp, OutsideError> {
        self.change_as_read(|| self.read_settled(), decide)
    }

    /// The same of a record that is read like this.
    fn change_as_read(
        &self,
        read: impl Fn() -> Result<(Stamp, SessionRecord), OutsideError>,
        mut decide: impl FnMut(Stamp, &SessionRecord, &mut Commit) -> Result<(), OutsideError>,
    ) -> Result<Stamp, OutsideError> {
        let mut stamps = self.stamps();
        // Each may be carried out later than the next one is tried.
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

    /// The session's record, with nothing that was left half-way by a process that is gone.
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

    /// Removes what the session has at the gates of limits and rates. Those who serve others let the next ones in.
    fn leave_gates(&self) -> Result<(), StorageError> {
        leave_gates(self.storage, self.surroundings, &self.id)
    }

    fn is_served_elsewhere(&self) -> Result<bool, StorageError> {
        self.storage.tenure().is_served_elsewhere(&self.id, self.surroundings.steady_now())
    }

    /// See [`Dispatcher`](crate::Dispatcher).
    fn dispatch(&self, threads: &[ThreadId]) -> Result<(), StorageError> {
        let hints: Vec<Hint> = threads.iter().copied().map(Hint::now).collect();
        self.catalog()?.dispatch(&self.id, &hints);
        Ok(())
    }
}
