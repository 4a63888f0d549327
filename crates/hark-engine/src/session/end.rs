//! The end of a session: how it is detected, its reason, and who is notified.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hark_machine::{Error, Value};
use tracing::{info, warn};

use super::{Session, lock};
use crate::commit::{Commit, Outcome};
use crate::id::Stamps;
use crate::invoker::Runner;
use crate::output::Observer;
use crate::record::{Key, Record, SessionState, Versioned};
use crate::remote::WorkerReport;
use crate::report::{Report, SessionError, Status};
use crate::step;
use crate::storage::{Range, StorageError};

/// Called when a session has ended in this process.
pub(crate) type OnEnd = Box<dyn FnOnce(&Session) + Send>;

/// Why a session ended in this process.
#[derive(Debug)]
pub(super) enum End {
    /// All its threads have stopped.
    Stopped(SessionState),
    /// It was ended from outside, permanently.
    Closed(Status),
    /// This process was told to stop running it.
    Interrupted,
    /// It cannot continue: its threads wait for each other.
    Deadlock(SessionError),
    /// Its storage fails.
    Storage(StorageError),
}

impl End {
    /// Whether it is over only in this process, and another one may continue it.
    fn gives_up(&self) -> bool {
        matches!(self, End::Interrupted | End::Storage(_))
    }

    /// The end, for the log.
    fn name(&self) -> &'static str {
        match self {
            End::Stopped(state) => state.name(),
            End::Closed(_) => "ended from outside",
            End::Interrupted => "left",
            End::Deadlock(_) => "deadlock",
            End::Storage(_) => "given up",
        }
    }
}

impl Session {
    /// The first thread has stopped, with this value if it did not fail.
    pub fn set_first_stopped(&self, value: Option<&Value>) {
        if let Some(value) = value {
            let _ = self.result.set(value.clone());
        }
        self.first_stopped.store(true, Ordering::SeqCst);
    }

    /// Ends the session if its threads have all stopped.
    pub fn look_for_end(&self, stamps: &mut Stamps<'_>) -> Result<(), StorageError> {
        // Another process may know that the first thread has stopped.
        if !self.first_stopped.load(Ordering::SeqCst) && self.upstream().is_none() && !self.is_leased() {
            return Ok(());
        }
        loop {
            let mut found = Vec::new();
            self.records.read(&[Key::Session], &mut found)?;
            let Some(Some(versioned)) = found.pop() else { return Err(StorageError::Gone) };
            let Record::Session(session) = versioned.record else { return Ok(()) };
            if session.state != SessionState::Running {
                self.look_ended(session.state);
                return Ok(());
            }
            // Read after the session's record, because a concurrent retry that puts threads back changes that record.
            if !session.first_stopped || session.retrying || !self.records.scan(Range::Live(step::FIRST), 1)?.is_empty()
            {
                return Ok(());
            }
            // Before the end is written: if this process dies in between, the next one does this again.
            self.leave_gates()?;
            let state = session.state_at_end(self.has_unawaited()?);
            let mut commit = Commit::new(stamps.next());
            step::end(versioned.stamp, &session, state, self.now(), &mut commit);
            // Otherwise a thread that stopped at the same time or a command has ended the session, or the answer was
            // lost. The record shows which.
            if self.records.commit(&mut commit)? == Outcome::Done {
                self.set_ended_here(state);
                return Ok(());
            }
        }
    }

    /// Whether there is a failure that was never awaited. A scan may still return one that a concurrent retry has just
    /// removed, so each record is read again by its key.
    fn has_unawaited(&self) -> Result<bool, StorageError> {
        for limit in [1, usize::MAX] {
            let seen = self.records.scan(Range::Unawaited, limit)?;
            if seen.is_empty() {
                return Ok(false);
            }
            for record in seen {
                let Record::Unawaited(thread, _) = record else { continue };
                let mut found = Vec::with_capacity(1);
                self.records.read(&[Key::Unawaited(thread)], &mut found)?;
                if matches!(found.pop(), Some(Some(_))) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Ends a session that no step can end: its first thread is gone, with neither a record nor a result, and there are no
    /// others.
    pub fn look_for_loss(&self) -> Result<(), StorageError> {
        let mut found = Vec::new();
        self.records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { stamp, record: Record::Session(session) })) = found.pop() else {
            return Err(StorageError::Gone);
        };
        if session.state != SessionState::Running
            || session.first_stopped
            || !self.records.scan(Range::Live(step::FIRST), 1)?.is_empty()
        {
            return Ok(());
        }
        let message = "the session has no threads and no result: its storage has lost them";
        let failure = self.failure(Error::new("storage", message), step::FIRST);
        let mut commit = Commit::new(self.stamps().next());
        step::end_without_threads(stamp, &session, failure, self.now(), &mut commit);
        // A conflict means that there is a thread after all.
        if self.records.commit(&mut commit)? == Outcome::Done {
            self.set_first_stopped(None);
        }
        Ok(())
    }

    /// Ends the session here if its record says that it is over. Returns whether there is one.
    pub fn look_closed(&self) -> Result<bool, StorageError> {
        let mut found = Vec::new();
        self.records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { record: Record::Session(session), .. })) = found.pop() else { return Ok(false) };
        self.set_ended(session.state);
        Ok(true)
    }

    /// The same for a session that a worker process of this supervisor has ended, or may have ended before it was lost
    /// (`is_certain` says which): this process logs the end for it.
    pub(super) fn look_ended_here(&self, is_certain: bool) -> Result<(), StorageError> {
        let mut found = Vec::new();
        self.records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { record: Record::Session(session), .. })) = found.pop() else { return Ok(()) };
        if !session.state.is_over() {
            self.set_ended(session.state);
            return Ok(());
        }
        if !self.is_over() {
            self.set_ended_here(session.state);
        }
        if is_certain {
            // A look at the record may have been faster than the worker's report.
            self.log_end();
        }
        Ok(())
    }

    fn was_taken_over(&self) -> bool {
        self.was_taken_over.load(Ordering::Acquire)
    }

    /// Ends the session in this process, because it belongs to another server now, if it has been stored at all.
    pub fn look_taken_over(&self) -> Result<(), StorageError> {
        self.was_taken_over.store(true, Ordering::Release);
        self.ports.foreign.cancel(&self.id);
        if self.look_closed()? && !self.is_over() {
            return Err(StorageError::TakenOver);
        }
        Ok(())
    }

    /// The session's record may say that it is over although this process did not write that: this process may have been
    /// unresponsive while another one took the session over and finished it.
    pub fn look_ended(&self, state: SessionState) {
        let has_stopped = matches!(state, SessionState::Finished | SessionState::Broken);
        if has_stopped && !self.is_over() && self.server.as_ref().is_some_and(|server| server.was_taken_over(&self.id))
        {
            self.was_taken_over.store(true, Ordering::Release);
        }
        self.set_ended(state);
    }

    /// A commit of this process has ended the session.
    pub fn set_ended_here(&self, state: SessionState) {
        self.is_ended_here.store(true, Ordering::Release);
        self.set_ended(state);
        if self.is_leased() {
            self.dispatch(&[]);
        }
    }

    /// The session's record says that it is over.
    pub fn set_ended(&self, state: SessionState) {
        match state {
            SessionState::Running => {}
            SessionState::Finished | SessionState::Broken => {
                let is_first_to_see = !self.is_over();
                self.end_with(End::Stopped(state));
                if is_first_to_see
                    && state == SessionState::Broken
                    && let Some(server) = &self.server
                {
                    // If the storage fails, its next server will see.
                    let _ = server.look_for_retry(&self.id);
                }
            }
            SessionState::Cancelled => self.close(Status::Cancelled),
            SessionState::Moved => self.close(Status::Moved),
            // Where threads are leased, a process may take one just before the session is marked: nothing went wrong.
            SessionState::Moving | SessionState::Importing if self.is_leased() => {
                self.give_up(&StorageError::TakenOver);
            }
            // The process that moves it has taken it from this server.
            SessionState::Moving | SessionState::Importing => self.fail_storage(&StorageError::TakenOver),
        }
    }

    fn close(&self, status: Status) {
        self.end_with(End::Closed(status));
        self.ports.foreign.cancel(&self.id);
        // Entries that remain if this fails do no harm, because no process serves the session.
        let _ = self.leave_gates();
    }

    /// Ends the session here because its storage does not work.
    pub fn fail_storage(&self, error: &StorageError) {
        warn!(session = %self.id, %error, "a session is given up");
        let is_unseen = self.give_up(error);
        if let Some(server) = self.server.as_ref().filter(|_| is_unseen) {
            server.note_failure(&self.id, error.clone());
        }
    }

    /// Ends the session here without telling anybody but its waiter. Returns whether there was none.
    fn give_up(&self, error: &StorageError) -> bool {
        if *error == StorageError::TakenOver {
            self.was_taken_over.store(true, Ordering::Release);
        }
        let is_unseen = self.end_with(End::Storage(error.clone()));
        // The next process to run the session makes these calls again.
        self.ports.foreign.cancel(&self.id);
        is_unseen
    }

    /// Sets the waiter for the session's end. It may have missed a part of the output.
    pub fn watch(&self, observer: Arc<dyn Observer>, on_end: OnEnd) {
        self.observe(observer);
        *lock(&self.on_end) = Some(on_end);
        // A concurrent end either has not seen the waiter, or has already called it.
        if self.is_over() {
            self.call_on_end();
        }
    }

    /// Calls the waiter for the end, if there is one. Returns whether there was.
    fn call_on_end(&self) -> bool {
        let on_end = lock(&self.on_end).take();
        match on_end {
            Some(on_end) => {
                on_end(self);
                true
            }
            None => false,
        }
    }

    /// Stops running the session in this process. A stored session remains as it is.
    pub fn interrupt(&self) {
        self.end_with(End::Interrupted);
        self.ports.foreign.cancel(&self.id);
    }

    /// Ends the session in this process. Returns whether it was still open, and has no waiter.
    pub(super) fn end_with(&self, end: End) -> bool {
        let gives_up = end.gives_up();
        if self.end.set(end).is_err() {
            // The first reason counts.
            return false;
        }
        info!(session = %self.id, end = self.end.get().map(End::name), "a session has ended here");
        self.is_given_up.store(gives_up, Ordering::Release);
        self.over.store(true, Ordering::Release);
        if let Some(server) = self.server.as_ref().filter(|_| gives_up && self.is_leased()) {
            server.give_back(self.held());
        }
        self.tell_end();
        // The end is logged by the server of the session, or by the process that ended it if several run it.
        if !self.is_leased() || self.is_ended_here.load(Ordering::Acquire) {
            self.log_end();
        }
        if !self.is_resumable() {
            // No other process does this. The memory does not fail.
            let _ = self.leave_gates();
        }
        if let Some(session) = self.me.upgrade().filter(|_| self.ports.invoker.is_remote()) {
            let runner: Arc<dyn Runner> = session;
            self.ports.invoker.forget(&runner);
        }
        let is_watched = self.server.as_ref().is_none_or(|server| server.leave(&self.id));
        if !self.call_on_end() {
            // A caller of `serve` waits until the session is over.
            self.ports.invoker.nudge();
        }
        !is_watched
    }

    /// Logs the end, once. A session that is only given up here has not ended.
    fn log_end(&self) {
        let Some(end) = self.end.get() else { return };
        if end.gives_up() || self.was_taken_over() || self.is_end_logged.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(server) = &self.server {
            server.note_ended(&self.id, &self.about, &|| self.outcome());
        }
    }

    /// Logs that the session was ended from outside. That wakes its first thread once, so whoever removes that wake-up calls
    /// this.
    pub fn note_cancelled(&self) {
        if let Some(server) = &self.server {
            let report = || Report::of_records(&self.id, &*self.records, Some(Status::Cancelled));
            server.note_ended(&self.id, &self.about, &report);
        }
    }

    /// Tells the supervisor, if there is one, that the session is over in this process.
    fn tell_end(&self) {
        let Some(upstream) = self.upstream() else { return };
        match self.end.get() {
            Some(End::Storage(error)) => upstream.report(&self.id, WorkerReport::Failed(error.clone())),
            // The supervisor itself has asked for this.
            Some(End::Interrupted) | None => {}
            Some(_) => upstream.report(&self.id, WorkerReport::Ended),
        }
    }

    /// Whether the session is stored, so that it can be taken up again. Assumed if the storage does not answer.
    fn is_written(&self) -> bool {
        let mut found = Vec::new();
        let read = self.records.read(&[Key::Session], &mut found);
        read.is_err() || found.iter().any(Option::is_some)
    }

    /// The outcome of the session, which must be over. It omits the output and the number of threads, which takes a
    /// request.
    fn outcome(&self) -> Report {
        let status = match self.end.get() {
            Some(End::Closed(status)) => Some(*status),
            Some(End::Interrupted) if self.is_resumable() => Some(Status::Suspended),
            Some(End::Interrupted) => Some(Status::Cancelled),
            Some(End::Storage(_)) if self.is_resumable() && self.is_written() => Some(Status::Suspended),
            Some(End::Storage(_) | End::Deadlock(_)) => Some(Status::Broken),
            // Even if a retry has already begun.
            Some(End::Stopped(SessionState::Broken)) => Some(Status::Broken),
            _ => None,
        };
        let mut report = match (self.end.get(), self.result.get()) {
            // Everything the report needs is in memory.
            (Some(End::Stopped(SessionState::Finished)), Some(result)) => Report::finished(&self.id, result.clone()),
            _ => Report::of_records(&self.id, &*self.records, status),
        };
        match self.end.get() {
            Some(End::Deadlock(error)) => report.errors.push(error.clone()),
            Some(End::Storage(error)) => report.add_storage_error(error),
            _ => {}
        }
        report.was_taken_over = self.was_taken_over();
        report
    }

    /// The report of the session, which must be over.
    pub fn report(&self) -> Report {
        let mut report = self.outcome();
        if !self.has_begun_here
            && report.threads == 0
            && let Ok(next) = self.records.reserve(0)
        {
            report.threads = next.0;
        }
        // In other processes more may have been started.
        report.threads = report.threads.max(self.threads.load(Ordering::Relaxed));
        if self.is_resumable() && self.options.keep_output {
            if let Err(error) = report.read_output(&*self.records) {
                report.add_storage_error(&error);
            }
        } else if self.options.keep_output {
            report.output = std::mem::take(&mut lock(&self.output).kept);
        }
        report
    }
}
