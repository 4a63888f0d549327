//! Sessions whose ends someone waits for. They need not be in memory for that: there may be very many that sleep.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Serving;
use crate::id::{SessionId, Stamp};
use crate::output::Observer;
use crate::record::{SessionRecord, SessionState};
use crate::report::{Report, Status};
use crate::session::{OnEnd, Session};
use crate::storage::StorageError;

/// Who waits for which sessions.
#[derive(Default)]
pub(super) struct Awaited(Mutex<HashMap<SessionId, Waiter>>);

/// Who waits for a session.
#[derive(Clone)]
pub(crate) struct Waiter {
    /// Sees what it prints.
    pub observer: Arc<dyn Observer>,
    /// Learns of its end.
    pub on_end: Arc<dyn Fn(Report) + Send + Sync>,
}

impl Waiter {
    /// Learns of the end of this session, which is in memory.
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

    /// All of them.
    pub(super) fn ids(&self) -> Vec<SessionId> {
        self.lock().keys().cloned().collect()
    }

    /// Someone waits for this one no longer.
    pub(super) fn remove(&self, id: &SessionId) -> Option<Waiter> {
        self.lock().remove(id)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Serving {
    /// Someone waits for the ends of these sessions, which were claimed.
    pub fn wait_for(&self, sessions: impl IntoIterator<Item = SessionId>, waiter: &Waiter) {
        for id in sessions {
            self.awaited.lock().insert(id.clone(), waiter.clone());
            // It may have been opened since it was claimed, because its time has come.
            if let Some(session) = self.open_session(&id) {
                waiter.watch(&session);
            }
        }
        // Whoever interrupts says so before looking for those who wait.
        if self.is_interrupted() {
            self.suspend_awaited();
        }
    }

    /// Nobody waits for this session any more: it is over already, or others have it.
    pub fn stop_waiting_for(&self, id: &SessionId) {
        self.awaited.remove(id);
    }

    /// A session that is not in memory is over: whoever waits for it is told. If someone has retried it since, it continues.
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

    /// The storage does not let a session go on that is not in memory. Returns whether someone waited for it.
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

    /// All sessions that someone waits for, and that are not in memory, are left as they are.
    pub(super) fn suspend_awaited(&self) {
        let left = self.awaited.ids();
        for id in left.iter().filter(|id| self.open_session(id).is_none()) {
            let Some(waiter) = self.awaited.remove(id) else { continue };
            let report = self.report_of(id, |session, _| session.interrupt());
            (waiter.on_end)(report.unwrap_or_else(|_| Report::empty(id, Status::Suspended)));
        }
    }

    /// What a session that is not in memory came to, which ends here in this way.
    fn report_of(&self, id: &SessionId, end: impl FnOnce(&Session, SessionState)) -> Result<Report, StorageError> {
        let record = self.ask(id, |catalog| catalog.record(id))?;
        self.report_as(id, record, end)
    }

    /// The same where its record was read.
    fn report_as(
        &self,
        id: &SessionId,
        record: Option<(Stamp, SessionRecord)>,
        end: impl FnOnce(&Session, SessionState),
    ) -> Result<Report, StorageError> {
        let Some((_, record)) = record else { return Err(StorageError::Gone) };
        let state = record.state;
        let session = self.make(id, record)?;
        end(&session, state);
        // It goes on elsewhere.
        if !session.is_over() {
            session.interrupt();
        }
        Ok(session.report())
    }
}
