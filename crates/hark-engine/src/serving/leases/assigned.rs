//! Serving in a process that only runs threads that other processes assign to it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use super::{Serving, by_session, lock};
use crate::assignment::{Assignment, AssignmentEnd};
use crate::deadline::Deadline;
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::id::{SessionId, Stamp, Stamps, ThreadId};
use crate::leases::{KnownSession, Taken};
use crate::limits::RECORD_TIME_MAX;
use crate::record::SessionRecord;
use crate::server::Server;
use crate::session::Session;
use crate::step;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// Where threads that were handed over to this process are to run.
pub(super) enum HandedOver {
    /// Here: their session is open.
    Here(Arc<Session>),
    /// In a process with this code, which their session needs and this process does not have.
    ForCode(String),
    /// Nowhere: their session is over.
    Over,
}

impl Serving {
    /// Opens a session for threads that were handed over. The process that took them has checked that the session is
    /// running and has leased them since, so a record that was read for threads handed over a moment ago is good
    /// enough. The first thread's step reads the record anyway.
    pub(super) fn take_handed_over(&self, id: &SessionId, threads: &[ThreadId]) -> Result<HandedOver, StorageError> {
        let now = self.steady_now();
        let known = lock(&self.last_record).take().filter(|(read, known, _)| {
            known == id && now.since(*read) < RECORD_TIME_MAX && !threads.contains(&step::FIRST)
        });
        let (read, record) = match known {
            Some((read, _, record)) => (read, record),
            None => match self.running(id)? {
                Some(record) => (now, record),
                None => return Ok(HandedOver::Over),
            },
        };
        *lock(&self.last_record) = Some((read, id.clone(), record.clone()));
        if let Some(code) = self.other_code(&record.1)? {
            return Ok(HandedOver::ForCode(code));
        }
        self.open(id, record).map(HandedOver::Here)
    }

    /// The session's code, if it differs from this process's and a process with it can still be started.
    fn other_code(&self, record: &SessionRecord) -> Result<Option<String>, StorageError> {
        let Some(own) = &self.options.code else { return Ok(None) };
        let Some(code) = record.code().filter(|code| code != own) else { return Ok(None) };
        if !self.catalog()?.reaches(code) {
            warn!(code, own, "the code is gone that a session was started with: it goes on with this one");
            return Ok(None);
        }
        Ok(Some(code.to_owned()))
    }

    /// Hands threads that were taken with this stamp on, as they were found, to a process with their session's code.
    pub(super) fn hand_on(&self, id: &SessionId, taken: &[Taken], stamp: Stamp, code: &str) {
        let hint = |taken: &Taken| Hint {
            held: taken.held.map(|_| stamp),
            left: taken.left,
            code: Some(code.to_owned()),
            ..Hint::now(taken.thread)
        };
        self.dispatch(id, &taken.iter().map(hint).collect::<Vec<_>>());
    }

    /// Begins to run threads that other processes have handed over. They are done when this process [is at
    /// rest](Serving::rest).
    ///
    /// # Errors
    /// The first one. The threads of other sessions run all the same.
    pub fn run_assigned(&self, assignments: &[Assignment]) -> Result<(), StorageError> {
        self.begin_work();
        let mut begun = Ok(());
        for together in assignments.chunk_by(|one, next| (&one.session, one.held) == (&next.session, next.held)) {
            let held = together[0].held;
            let stamp = held.unwrap_or_else(|| Stamps::unique(&*self.ports.surroundings).next());
            let taken = |assignment: &Assignment| {
                let Assignment { session, thread, left, .. } = assignment.clone();
                Taken { session, thread, demand: Demand::default(), held, left, known: KnownSession::Nothing }
            };
            let taken: Vec<Taken> = together.iter().map(taken).collect();
            begun = begun.and(self.run_taken(&together[0].session, &taken, stamp));
        }
        self.note_rest();
        begun
    }

    /// Takes the due ones among the threads that were assigned to this process without being held by it, and begins to
    /// run them. Returns whether any was taken.
    ///
    /// # Errors
    /// The first one. The threads of other sessions are taken all the same.
    pub fn take_unheld(&self) -> Result<bool, StorageError> {
        let unheld = mem::take(&mut *lock(&self.unheld));
        self.begin_work();
        let mut has_taken = Ok(false);
        for (id, threads) in by_session(unheld) {
            has_taken = match (self.take_these(&id, &threads), has_taken) {
                (Ok(taken), Ok(before)) => Ok(taken || before),
                (Err(error), Ok(_)) | (_, Err(error)) => Err(error),
            };
        }
        self.note_rest();
        has_taken
    }

    fn take_these(&self, id: &SessionId, threads: &[ThreadId]) -> Result<bool, StorageError> {
        let stamp = Stamps::unique(&*self.ports.surroundings).next();
        let taken = self.leases()?.take_hinted(id, threads, &self.options.pools, self.terms(), stamp)?;
        if taken.is_empty() {
            return Ok(false);
        }
        self.run_taken(id, &taken, stamp)?;
        Ok(true)
    }

    /// From now on this process is not at rest, until [`Serving::note_rest`] finds that it is.
    pub(super) fn begin_work(&self) {
        self.is_at_rest.store(false, Ordering::Release);
    }

    /// Set while no session is in memory.
    pub fn rest(&self) -> &AtomicBool {
        &self.is_at_rest
    }

    /// Sets the time at which this process is stopped.
    pub fn set_deadline(&self, deadline: Option<Deadline>) {
        *lock(&self.deadline) = deadline;
    }

    /// Clears the report of the previous assignment, before a new one begins.
    pub fn forget_assignment_end(&self) {
        self.has_changed_session.store(false, Ordering::Release);
        *lock(&self.left_due) = None;
    }

    /// The report of an assignment, once this process is done with it.
    pub fn assignment_end(&self) -> AssignmentEnd {
        AssignmentEnd {
            due: *lock(&self.left_due),
            has_changed_session: self.has_changed_session.load(Ordering::Acquire),
        }
    }

    /// A thread that is due at this time was left to others.
    pub(in crate::serving) fn note_left(&self, due: Timestamp) {
        if self.capacity.as_ref().is_some_and(|capacity| capacity.takes_none) {
            let mut left = lock(&self.left_due);
            *left = Some(left.map_or(due, |known| known.min(due)));
        }
    }

    /// A process that runs assigned threads is done when no session is left in memory.
    pub(in crate::serving) fn note_rest(&self) {
        if self.capacity.as_ref().is_some_and(|capacity| capacity.takes_none) && self.sessions.is_empty() {
            self.is_at_rest.store(true, Ordering::Release);
            self.ports.invoker.nudge();
        }
    }
}
