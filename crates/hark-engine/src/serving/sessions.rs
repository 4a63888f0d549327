//! The sessions in memory. Its lock is held by no storage request: nothing of this leaves the memory.

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
    /// It was begun here by someone who waits for its end, so that it is not parked.
    is_held: bool,
}

impl Sessions {
    /// Enters a session that begins, and whose end someone waits for.
    pub fn begin(&self, session: &Arc<Session>) {
        let entered = OpenSession { session: session.clone(), is_held: true };
        self.lock().insert(session.id().clone(), entered);
    }

    /// Enters a session that was opened, with one activity, unless it was opened by someone else meanwhile. `prepare` is called
    /// before others see it. Returns the session that is entered.
    pub fn open(&self, session: Arc<Session>, prepare: impl FnOnce(&Arc<Session>)) -> Arc<Session> {
        match self.lock().entry(session.id().clone()) {
            Entry::Occupied(entry) => {
                let known = entry.get().session.clone();
                known.add_activity(1);
                known
            }
            Entry::Vacant(entry) => {
                prepare(&session);
                session.add_activity(1);
                entry.insert(OpenSession { session: session.clone(), is_held: false });
                session
            }
        }
    }

    /// A session, if it is in memory.
    pub fn get(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.lock().get(id).map(|entered| entered.session.clone())
    }

    /// The same; so much more happens in it from now on, so that it is not parked.
    pub fn get_active(&self, id: &SessionId, activity: u64) -> Option<Arc<Session>> {
        let sessions = self.lock();
        let session = &sessions.get(id)?.session;
        session.add_activity(activity);
        Some(session.clone())
    }

    /// Drops a session in which nothing happens, unless someone waits for its end.
    pub fn park(&self, id: &SessionId) {
        let is_idle = |entered: &OpenSession| !entered.is_held && !entered.session.is_active();
        let parked = match self.lock().entry(id.clone()) {
            Entry::Occupied(entry) if is_idle(entry.get()) => Some(entry.remove()),
            _ => None,
        };
        // Not under the lock: it is much that goes with a session.
        drop(parked);
    }

    /// Drops a session that is over here. Returns whether it was begun here by someone who waits for its end.
    pub fn remove(&self, id: &SessionId) -> bool {
        let removed = self.lock().remove(id);
        removed.is_some_and(|entered| entered.is_held)
    }

    /// All of them, in the order of their ids, so that a simulated run can be replayed.
    pub fn all(&self) -> Vec<Arc<Session>> {
        let mut all: Vec<Arc<Session>> = self.lock().values().map(|entered| entered.session.clone()).collect();
        all.sort_unstable_by(|one, other| one.id().cmp(other.id()));
        all
    }

    /// Those that were begun here by someone who waits for their ends.
    pub fn held(&self) -> Vec<SessionId> {
        let sessions = self.lock();
        let held = sessions.iter().filter(|(_, entered)| entered.is_held);
        held.map(|(id, _)| id.clone()).collect()
    }

    /// How much there is in all of them that makes something happen.
    pub fn activity(&self) -> u64 {
        self.lock().values().map(|entered| entered.session.activity()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, OpenSession>> {
        lock(&self.0)
    }
}
