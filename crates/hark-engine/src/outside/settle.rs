//! Resolving and failing a promise.

use std::sync::Arc;

use hark_machine::{Error, Value};

use super::{Outside, OutsideError};
use crate::commit::{Commit, Outcome};
use crate::dispatch::Hint;
use crate::failure::Failure;
use crate::id::{FutureId, Stamps, ThreadId};
use crate::place::Pools;
use crate::record::{FutureRecord, Key, Record, SessionState, Versioned};
use crate::step::{self, Destinations, Known, Plan};
use crate::storage::{self, StorageError};

impl Outside<'_> {
    /// Resolves a promise, which can be done only once. Returns whether a thread was waiting for it.
    ///
    /// # Errors
    /// If it is already settled, the session is over or being moved, or the storage fails.
    pub fn resolve(&self, promise: &str, value: Value) -> Result<bool, OutsideError> {
        self.settle(promise, FutureRecord::Resolved(value))
    }

    /// Fails a promise, which can be done only once. Returns whether a thread was waiting for it.
    ///
    /// # Errors
    /// If it is already settled, the session is over or being moved, or the storage fails.
    pub fn fail(&self, promise: &str, message: &str) -> Result<bool, OutsideError> {
        let failure = Failure::new(Error::new("error", message), step::FIRST, self.surroundings.steady_now());
        self.settle(promise, FutureRecord::Failed(Arc::new(failure)))
    }

    fn settle(&self, promise: &str, done: FutureRecord) -> Result<bool, OutsideError> {
        let future = FutureId::Promise(promise.into());
        let mut stamps = self.stamps();
        let mut plan = Plan::default();
        // A commit without an answer may be carried out after the next one was tried.
        let mut unanswered = Vec::new();
        let (mut was_awaited, mut hints) = (false, Vec::new());
        loop {
            let known = match self.read(Key::Future(future.clone()))? {
                // The answer was lost, but the commit was made.
                Some(Versioned { stamp, .. }) if unanswered.contains(&stamp) => break,
                Some(Versioned { record: Record::Future(_, record), .. }) if !record.is_pending() => {
                    return Err(OutsideError::AlreadyDone(record));
                }
                Some(Versioned { stamp, record: Record::Future(_, record) }) => Some(Known { stamp, record }),
                _ => None,
            };
            was_awaited = known.as_ref().is_some_and(|known| known.record.is_awaited());
            let (session_stamp, session) = self.read_settled()?;
            if session.state != SessionState::Running {
                return Err(OutsideError::WrongState(session.state));
            }
            let mut commit = Commit::new(stamps.next());
            // Fails if the session ends or is moved at this moment, because the result would never be seen.
            commit.expect.push((Key::Session, Some(session_stamp)));
            let now = self.surroundings.now();
            step::resolve(&future, known.as_ref(), done.clone(), now, &mut commit, &mut plan);
            hints = hints_for(&plan, &commit);
            match self.records.commit(&mut commit)? {
                Outcome::Done => break,
                Outcome::Conflict => {}
                Outcome::Unknown => unanswered.push(commit.stamp),
            }
        }
        // Dispatched before the rest, so that the server can begin before the last of many waiters is woken.
        self.dispatch(&hints)?;
        if plan.wake_rest {
            self.wake_rest(&future, &mut stamps)?;
        }
        Ok(was_awaited)
    }

    fn wake_rest(&self, future: &FutureId, stamps: &mut Stamps<'_>) -> Result<(), StorageError> {
        let mut plan = Plan::default();
        let mut outcome = storage::outcome_of(&*self.records, future)?;
        loop {
            let waiters = storage::some_waiters(&*self.records, future)?;
            let mut commit = Commit::new(stamps.next());
            step::wake_batch(future, &waiters, outcome, &mut commit, &mut plan);
            let hints = hints_for(&plan, &commit);
            match self.records.commit(&mut commit)? {
                Outcome::Done if waiters.is_empty() => return Ok(()),
                Outcome::Done => self.dispatch(&hints)?,
                // It is made again.
                Outcome::Unknown => {}
                Outcome::Conflict => outcome = storage::outcome_of(&*self.records, future)?,
            }
        }
    }
}

/// Hints for the threads that a commit will wake.
fn hints_for(plan: &Plan, commit: &Commit) -> Vec<Hint> {
    let destinations = Destinations::of(commit, &Pools::All);
    let hint = |thread: &ThreadId| Hint { place: destinations.place(*thread), ..Hint::now(*thread) };
    plan.invoke.iter().map(hint).collect()
}
