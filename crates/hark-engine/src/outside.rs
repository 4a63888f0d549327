//! What is done to a session from outside of its threads: by a person, or by another program.

use std::sync::Arc;

use hark_machine::{Error, Program, Value};

use crate::commit::{Commit, Outcome};
use crate::export;
use crate::failure::Failure;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamp, Stamps};
use crate::limits::WAKES_PER_COMMIT_MAX;
use crate::record::{BeforeMove, FutureRecord, Key, Record, SessionRecord, SessionState, Versioned};
use crate::report::{Report, Status};
use crate::step::{self, Known, Plan};
use crate::storage::{self, Range, SessionStorage, Storage, StorageError};
use crate::surroundings::Surroundings;

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
    #[error("the session is {}", if *.0 == SessionState::Running { "not over" } else { .0.name() })]
    WrongState(SessionState),
    /// The Future has its value or error already: this one.
    #[error("the future is resolved already")]
    AlreadyDone(FutureRecord),
    /// The storage does not work.
    #[error(transparent)]
    Storage(#[from] StorageError),
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
        let Some(record) = catalog.record(id)? else { return Err(OutsideError::NoSession(id.clone())) };
        let executable = catalog.program(&record.about.program)?;
        let program = Program::new(executable).map_err(|error| StorageError::Permanent(error.to_string()))?;
        let program = Arc::new(program);
        let records = storage.session(id, &program)?;
        Ok(Outside { storage, surroundings, id: id.clone(), record, program, records })
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

    /// All that it came to so far. One that is not over is *running* if someone serves it, else *suspended*.
    pub fn report(&self, is_served: bool) -> Report {
        let status = match self.record.state {
            SessionState::Running if is_served => Some(Status::Running),
            SessionState::Running => Some(Status::Suspended),
            SessionState::Cancelled => Some(Status::Cancelled),
            SessionState::Moved => Some(Status::Moved),
            SessionState::Finished | SessionState::Broken => None,
        };
        let mut report = Report::of_records(&self.id, self.records(), status);
        if let Err(error) = report.read_output(self.records()) {
            report.add_storage_error(&error);
        }
        report.threads = self.record.threads.unwrap_or(report.threads);
        report
    }

    /// Gives a promise its value, once and for all.
    ///
    /// # Errors
    /// If it has one, the session is over, or the storage fails.
    pub fn resolve(&self, promise: &str, value: Value) -> Result<(), OutsideError> {
        self.settle(promise, FutureRecord::Resolved(value))
    }

    /// Fails a promise, once and for all.
    ///
    /// # Errors
    /// If it is done already, the session is over, or the storage fails.
    pub fn fail(&self, promise: &str, message: &str) -> Result<(), OutsideError> {
        let failure = Failure::at_root(Error::new("error", message), step::FIRST);
        self.settle(promise, FutureRecord::Failed(Arc::new(failure)))
    }

    fn settle(&self, promise: &str, done: FutureRecord) -> Result<(), OutsideError> {
        let future = FutureId::Promise(promise.into());
        let mut stamps = self.stamps();
        let mut plan = Plan::default();
        let mut unanswered = None;
        loop {
            let known = match self.read(Key::Future(future.clone()))? {
                // The answer was lost, but not what it was about.
                Some(Versioned { stamp, .. }) if Some(stamp) == unanswered => break,
                Some(Versioned { record: Record::Future(_, record), .. }) if !record.is_pending() => {
                    return Err(OutsideError::AlreadyDone(record));
                }
                Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
                _ => None,
            };
            let (session_stamp, session) = self.read_session()?;
            if session.state.is_over() {
                return Err(OutsideError::WrongState(session.state));
            }
            let mut commit = Commit::new(stamps.next());
            // Not to be done to a session that ends, or is moved, in this moment: nobody would ever see it.
            commit.expect.push((Key::Session, Some(session_stamp)));
            let now = self.surroundings.now();
            step::resolve(&future, known.as_ref(), done.clone(), now, &mut commit, &mut plan);
            match self.records.commit(&mut commit)? {
                Outcome::Done => break,
                Outcome::Conflict => {}
                Outcome::Unknown => unanswered = Some(commit.stamp),
            }
        }
        // Whoever serves the session can begin before the last of many is woken.
        self.announce()?;
        if plan.wake_rest {
            self.wake_rest(&future, &mut stamps)?;
            self.announce()?;
        }
        Ok(())
    }

    fn wake_rest(&self, future: &FutureId, stamps: &mut Stamps<'_>) -> Result<(), StorageError> {
        let mut plan = Plan::default();
        loop {
            let waiters = storage::some_waiters(&*self.records, future)?;
            let mut commit = Commit::new(stamps.next());
            step::wake_batch(future, &waiters, &mut commit, &mut plan);
            let outcome = self.records.commit(&mut commit)?;
            if waiters.is_empty() && outcome == Outcome::Done {
                return Ok(());
            }
        }
    }

    /// Ends the session: none of its threads goes on.
    ///
    /// # Errors
    /// If it is over already, or the storage fails.
    pub fn cancel(&self) -> Result<(), OutsideError> {
        let mut stamps = self.stamps();
        let set = self.set_cancelled(&mut stamps);
        // Whoever cancelled it before may have been lost.
        if matches!(set, Ok(()) | Err(OutsideError::WrongState(SessionState::Cancelled))) {
            drop_threads(&*self.records, &mut stamps)?;
        }
        self.announce()?;
        set
    }

    fn set_cancelled(&self, stamps: &mut Stamps<'_>) -> Result<(), OutsideError> {
        let mut unanswered = None;
        loop {
            let (stamp, session) = self.read_session()?;
            if Some(stamp) == unanswered {
                return Ok(());
            }
            if session.state.is_over() {
                return Err(OutsideError::WrongState(session.state));
            }
            let mut commit = Commit::new(stamps.next());
            let threads = self.records.reserve(0)?.0;
            step::cancel(stamp, &session, threads, self.surroundings.now(), &mut commit);
            match self.records.commit(&mut commit)? {
                Outcome::Done => return Ok(()),
                Outcome::Conflict => {}
                Outcome::Unknown => unanswered = Some(commit.stamp),
            }
        }
    }

    /// Has a broken session go on from where its broken threads failed; answers how many they are. Somebody has to take
    /// it up then.
    ///
    /// # Errors
    /// If it is not broken, or the storage fails.
    pub fn retry(&self) -> Result<usize, OutsideError> {
        if self.record.state != SessionState::Broken {
            return Err(OutsideError::WrongState(self.record.state));
        }
        let mut stamps = self.stamps();
        let mut retried = Vec::new();
        for record in self.records.scan(Range::Broken, usize::MAX)? {
            let Record::Broken(thread, _) = record else { continue };
            let Some(Versioned { record: Record::Broken(_, live), .. }) = self.read(Key::Broken(thread))? else {
                continue;
            };
            let Some(future) = self.read(Key::Future(thread.into()))? else { continue };
            let mut commit = Commit::new(stamps.next());
            step::retry(thread, live, future.stamp, self.surroundings.now(), &mut commit);
            // A conflict says that someone else retries it.
            if self.commit_once(&mut commit)? == Outcome::Done {
                retried.push(thread);
            }
        }
        storage::catalog_of(self.storage)?.forget_dead_server(&self.id)?;
        let first_stopped = self.read(Key::Live(step::FIRST))?.is_none();
        let (stamp, session) = self.read_session()?;
        let mut commit = Commit::new(stamps.next());
        step::reopen(stamp, &session, first_stopped, &mut commit);
        // A conflict says that someone else retries it.
        let _ = self.commit_once(&mut commit)?;
        // Once more: whoever was woken before the session went on may have thought it was over.
        for threads in retried.chunks(WAKES_PER_COMMIT_MAX) {
            let mut commit = Commit::new(stamps.next());
            commit.put.extend(threads.iter().map(|thread| Record::Ready(*thread)));
            while self.records.commit(&mut commit)? == Outcome::Unknown {}
        }
        self.announce()?;
        Ok(retried.len())
    }

    /// All that there is of the session, for [`import`](crate::import). Nobody must run it meanwhile. One that was moved
    /// is given as it was then. With it comes the version of its summary, for [`set_moved`](Outside::set_moved).
    ///
    /// # Errors
    /// If an import of it was cut off here, or the storage fails.
    pub fn export(&self) -> Result<(Vec<u8>, Stamp), OutsideError> {
        let (stamp, mut session) = self.read_session()?;
        match session.before_move.take() {
            Some(BeforeMove { state, ended }) => (session.state, session.ended) = (state, ended),
            None if session.state == SessionState::Moved => return Err(OutsideError::WrongState(session.state)),
            None => {}
        }
        let records = self.records.all()?;
        let history = self.records.history(0, usize::MAX)?;
        let history: Vec<LogEntry> = history.into_iter().map(|(_, entry)| entry).collect();
        Ok((export::write(&self.id, &session, &self.program, &records, &history), stamp))
    }

    /// The session is in another storage now, as it was in this version: here it ends.
    ///
    /// # Errors
    /// If it has changed since, or the storage fails.
    pub fn set_moved(&self, exported: Stamp) -> Result<(), OutsideError> {
        let (_, session) = self.read_session()?;
        let mut commit = Commit::new(self.stamps().next());
        step::move_away(exported, &session, self.surroundings.now(), &mut commit);
        match self.commit_once(&mut commit)? {
            Outcome::Done => Ok(()),
            _ => Err(OutsideError::WrongState(session.state)),
        }
    }

    /// Makes a commit that conflicts if it has happened already. If its answer is lost, it is made once more.
    fn commit_once(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        let mut unanswered = false;
        loop {
            match self.records.commit(commit)? {
                Outcome::Unknown => unanswered = true,
                Outcome::Conflict if unanswered => return Ok(Outcome::Done),
                outcome => return Ok(outcome),
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

    fn announce(&self) -> Result<(), StorageError> {
        storage::catalog_of(self.storage)?.announce();
        Ok(())
    }
}

/// Removes the threads of a session that is over. It ends, because a child's number is greater than its parent's.
pub(crate) fn drop_threads(records: &dyn SessionStorage, stamps: &mut Stamps<'_>) -> Result<(), StorageError> {
    loop {
        let live = records.scan(Range::Live(step::FIRST), WAKES_PER_COMMIT_MAX)?;
        if live.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(stamps.next());
        for record in live {
            if let Record::Live(thread, _) = record {
                commit.delete.push(Key::Live(thread));
                if thread != step::FIRST {
                    commit.delete.push(Key::Ready(thread));
                }
            }
        }
        let _ = records.commit(&mut commit)?;
    }
}
