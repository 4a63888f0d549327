//! The sessions whose ends callers wait for. They need not be in memory: most of them may be sleeping.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Serving;
use crate::id::{SessionId, Stamp};
use crate::output::Observer;
use crate::record::{SessionRecord, SessionState};
use crate::report::{Report, Status};
use crate::session::{OnEnd, Session};
use crate::storage::StorageError;

/// The waiters, by session.
#[derive(Default)]
pub(super) struct Awaited(Mutex<HashMap<SessionId, Waiter>>);

/// A caller who waits for the end of a session.
#[derive(Clone)]
pub(crate) struct Waiter {
    /// Receives its output.
    pub observer: Arc<dyn Observer>,
    /// Is called at its end.
    pub on_end: Arc<dyn Fn(Report) + Send + Sync>,
}

impl Waiter {
    /// Waits for the end of this session, which is in memory.
    pub(super) fn watch(&self, session: &Session) {
        let on_end = self.on_end.clone();
        let call: OnEnd = Box::new(move |session| on_end(session.report()));
        session.watch(self.observer.clone(), call);
    }
}

impl Awaited {
    pub(super) fn get(&self, id: &SessionId) -> Option<Waiter> {
        self.lock().get(id).cloned()
    }

    /// The ids of all sessions with waiters.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.lock().keys().cloned().collect()
    }

    /// Removes the waiter of a session.
    pub(super) fn remove(&self, id: &SessionId) -> Option<Waiter> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Waits for the ends of these claimed sessions.
    pub fn wait_for(&self, sessions: impl IntoIterator<Item = SessionId>, waiter: &Waiter) {
        for id in sessions {
            self.awaited.lock().insert(id.clone(), waiter.clone());
            // It may have been opened since it was claimed, because a timer was due.
            if let Some(session) = self.open_session(&id) {
                waiter.watch(&session);
            }
        }
        // `interrupt` sets its flag before it reads the list of waiters.
        if self.is_interrupted() {
            self.suspend_awaited();
        }
    }

    /// Whether a caller waits for the end of a session that this call has not started.
    pub fn awaits_others(&self) -> bool {
        !self.awaited.lock().is_empty()
    }

    /// Removes the waiter of a session that is already over, or belongs to another process.
    pub fn stop_waiting_for(&self, id: &SessionId) {
        self.awaited.remove(id);
    }

    /// A session that is not in memory is over: notifies its waiter, unless it has been retried since and continues.
    pub(super) fn end_awaited(&self, id: &SessionId) {
        let is_awaited = self.awaited.get(id).is_some();
        let record = if is_awaited { self.ask(id, |catalog| catalog.record(id)) } else { return };
        if matches!(&record, Ok(Some((_, record))) if record.state == SessionState::Running) {
            return;
        }
        let Some(waiter) = self.awaited.remove(id) else { return };
        let ended = record.and_then(|record| self.report_as(id, record, |session, state| session.set_ended(state)));
        (waiter.on_end)(ended.unwrap_or_else(|error| Report::unserved(id, &error)));
    }

    /// A session that is not in memory cannot continue because of its storage. Returns whether it had a waiter.
    pub(super) fn fail_awaited(&self, id: &SessionId, error: &StorageError) -> bool {
        let Some(waiter) = self.awaited.remove(id) else { return false };
        (waiter.on_end)(Report::unserved(id, error));
        true
    }

    /// Others may have taken over all sessions but these.
    pub(super) fn give_up_awaited_but(&self, left: &HashSet<SessionId>) {
        let lost: Vec<SessionId> = self.awaited.lock().keys().filter(|id| !left.contains(id)).cloned().collect();
        for id in lost.iter().filter(|id| self.open_session(id).is_none()) {
            let Some(waiter) = self.awaited.remove(id) else { continue };
            let ended = self.report_of(id, |session, _| {
                if let Err(error) = session.look_taken_over() {
                    session.fail_storage(&error);
                }
            });
            (waiter.on_end)(ended.unwrap_or_else(|error| Report::unserved(id, &error)));
        }
    }

    /// Leaves all sessions with waiters that are not in memory as they are, and notifies the waiters.
    pub(super) fn suspend_awaited(&self) {
        let left = self.awaited.ids();
        for id in left.iter().filter(|id| self.open_session(id).is_none()) {
            let Some(waiter) = self.awaited.remove(id) else { continue };
            let report = self.report_of(id, |session, _| session.interrupt());
            (waiter.on_end)(report.unwrap_or_else(|_| Report::empty(id, Status::Suspended)));
        }
    }

    /// The report of a session that is not in memory, after ending it here with `end`.
    fn report_of(&self, id: &SessionId, end: impl FnOnce(&Session, SessionState)) -> Result<Report, StorageError> {
        let record = self.ask(id, |catalog| catalog.record(id))?;
        self.report_as(id, record, end)
    }

    /// The same, with the record already read.
    fn report_as(
        &self,
        id: &SessionId,
        record: Option<(Stamp, SessionRecord)>,
        end: impl FnOnce(&Session, SessionState),
    ) -> Result<Report, StorageError> {
        let Some((stamp, record)) = record else { return Err(StorageError::Gone) };
        let state = record.state;
        let session = self.make(id, (stamp, record))?;
        end(&session, state);
        // It continues elsewhere.
        if !session.is_over() {
            session.interrupt();
        }
        Ok(session.report())
    }
}
