//! The sessions in memory. Their lock is never held during a storage request.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard};

use super::lock;
use crate::id::SessionId;
use crate::session::Session;

/// The running sessions in one engine.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<SessionId, OpenSession>>);

/// A running session.
struct OpenSession {
    session: Arc<Session>,
    /// A caller in this process has started it and waits for its end, so it is not parked.
    is_held: bool,
}

impl Sessions {
    /// Adds a session that begins, for a caller who waits for its end.
    pub fn begin(&self, session: &Arc<Session>) {
        let entered = OpenSession { session: session.clone(), is_held: true };
        self.lock().insert(session.id().clone(), entered);
    }

    /// Adds an opened session, with one piece of work, unless another thread has opened it in the meantime. Calls `prepare`
    /// before others see it. Returns the session that is in the list.
    pub fn open(&self, session: Arc<Session>, prepare: impl FnOnce(&Arc<Session>)) -> Arc<Session> {
        match self.lock().entry(session.id().clone()) {
            Entry::Occupied(entry) => {
                let known = entry.get().session.clone();
                known.add_work(1);
                known
            }
            Entry::Vacant(entry) => {
                prepare(&session);
                session.add_work(1);
                entry.insert(OpenSession { session: session.clone(), is_held: false });
                session
            }
        }
    }

    /// A session, if it is in memory.
    pub fn get(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.lock().get(id).map(|entered| entered.session.clone())
    }

    /// The same, with this much more pending work, so that the session is not parked.
    pub fn get_with_work(&self, id: &SessionId, count: u64) -> Option<Arc<Session>> {
        let sessions = self.lock();
        let session = &sessions.get(id)?.session;
        session.add_work(count);
        Some(session.clone())
    }

    /// Drops an idle session, unless a caller in this process waits for its end.
    pub fn park(&self, id: &SessionId) {
        let is_idle = |entered: &OpenSession| !entered.is_held && !entered.session.has_work();
        let parked = match self.lock().entry(id.clone()) {
            Entry::Occupied(entry) if is_idle(entry.get()) => Some(entry.remove()),
            _ => None,
        };
        // Not under the lock, because dropping a session may take long.
        drop(parked);
    }

    /// Drops a session that has ended here. Returns whether a caller in this process waits for its end.
    pub fn remove(&self, id: &SessionId) -> bool {
        let removed = self.lock().remove(id);
        removed.is_some_and(|entered| entered.is_held)
    }

    /// All sessions, sorted by id, so that a simulated run can be replayed.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<Arc<Session>> = self.lock().values().map(|entered| entered.session.clone()).collect();
        all.sort_unstable_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// The sessions for whose ends callers in this process wait.
    pub fn held(&self) -> Vec<SessionId> {
        let sessions = self.lock();
        let held = sessions.iter().filter(|(_, entered)| entered.is_held);
        held.map(|(id, _)| id.clone()).collect()
    }

    /// The pending work of all sessions together.
    pub fn pending_work(&self) -> u64 {
        self.lock().values().map(|entered| entered.session.pending_work()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, OpenSession>> {
        lock(&self.0)
    }
}
