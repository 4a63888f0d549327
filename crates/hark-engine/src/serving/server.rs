//! The server's side of the interface between a session and its server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::warn;

use super::{Serving, lock};
use crate::calls::CallPlace;
use crate::commit::{Commit, Outcome};
use crate::deadline::Deadline;
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::id::{SessionId, Stamps, ThreadId};
use crate::leases::{HeldThread, Left};
use crate::patience::PatientRecords;
use crate::place::Pools;
use crate::record::{About, Key, Record, SessionState, Versioned};
use crate::remote::Upstream;
use crate::report::Report;
use crate::server::Server;
use crate::storage::{SessionStorage, StorageError, Tenure};
use crate::surroundings::Timestamp;
use crate::timetable::Noted;

impl Server for Serving {
    fn upstream(&self) -> Option<&dyn Upstream> {
        self.upstream.as_deref()
    }

    fn patient(
        &self,
        id: &SessionId,
        records: Arc<dyn SessionStorage>,
        is_given_up: &Arc<AtomicBool>,
    ) -> Arc<dyn SessionStorage> {
        let (serving, id, is_given_up) = (self.me.clone(), id.clone(), is_given_up.clone());
        let tell = Box::new(move |error: &StorageError| {
            if let Some(serving) = serving.upgrade() {
                serving.note_wait(&id, error);
            }
        });
        Arc::new(PatientRecords { records, surroundings: self.ports.surroundings.clone(), is_given_up, tell })
    }

    fn take_place(&self) -> CallPlace {
        self.places.take()
    }

    fn park(&self, id: &SessionId) {
        self.sessions.park(id);
        self.note_rest();
    }

    fn leave(&self, id: &SessionId) -> bool {
        let is_held = self.sessions.remove(id);
        self.note_rest();
        let is_awaited = self.awaited.remove(id).is_some();
        is_awaited || is_held
    }

    fn note_failure(&self, id: &SessionId, error: StorageError) {
        lock(&self.failures).push((id.clone(), error));
        if let Ok(catalog) = self.catalog() {
            catalog.ring();
        }
    }

    fn note_ended(&self, session: &SessionId, about: &About, report: &dyn Fn() -> Report) {
        // In a process that runs assigned threads, which has no journal: the process that assigned them logs the end.
        self.has_changed_session.store(true, Ordering::Release);
        if self.milestones.are_logged() {
            self.milestones.note_ended(session, about, &report());
        }
    }

    fn note_wait(&self, id: &SessionId, error: &StorageError) {
        warn!(session = %id, %error, "a session waits for its storage");
        lock(&self.waits).push((id.clone(), error.clone()));
        if let Ok(catalog) = self.catalog() {
            catalog.ring();
        }
    }

    fn look_for_retry(&self, id: &SessionId) -> Result<(), StorageError> {
        match self.take(id)? {
            // The session's threads are taken like all due threads.
            Some(session) if session.is_leased() => session.finish_work(1),
            Some(session) => {
                self.milestones.note_running(id, session.about());
                self.take_up(&session, false)?;
            }
            None => {}
        }
        Ok(())
    }

    fn was_taken_over(&self, id: &SessionId) -> bool {
        self.servers().and_then(|servers| servers.was_taken_over(id)).unwrap_or_default()
    }

    fn take_up_lost(&self, id: &SessionId) -> Result<(), StorageError> {
        match self.open_session(id) {
            Some(session) => self.take_up(&session, false),
            None => Ok(()),
        }
    }

    fn note_end_unknown(&self) {
        self.asks_what_is_due.store(true, Ordering::Release);
    }

    fn note_due(&self, until: Timestamp) -> bool {
        self.note_left(until);
        let noted = self.timetable.note(until, self.steady_now());
        let is_leased = self.lease().is_some();
        if is_leased {
            self.timetable.keep(until);
        }
        if (noted == Noted::First || is_leased && noted == Noted::Passed)
            && let Ok(catalog) = self.catalog()
        {
            catalog.ring();
        }
        // Where threads are leased, each sweep takes all due threads.
        noted == Noted::Passed && !is_leased
    }

    fn note_interrupted(&self, id: &SessionId) {
        // Where threads are leased, the sweeper finds unfinished cancellations.
        if self.lease().is_none() {
            lock(&self.interrupted).entry(id.clone()).or_insert_with(|| self.steady_now());
        }
    }

    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError> {
        if self.sessions.get(id).is_some_and(|session| !session.is_over()) {
            return Ok(true);
        }
        if self.lease().is_some() {
            // The process that checks the gates also takes the threads.
            let record = self.catalog()?.record(id)?;
            return Ok(record.is_some_and(|(_, record)| record.state == SessionState::Running));
        }
        self.servers()?.is_served(id)
    }

    fn let_in(&self, id: &SessionId, threads: &[ThreadId]) -> Result<(), StorageError> {
        if self.upstream.is_none()
            && let Some(session) = self.sessions.get_with_work(id, threads.len() as u64)
        {
            if !session.is_over() && !session.runs_by_place() {
                session.invoke(threads);
                return Ok(());
            }
            session.finish_work(threads.len() as u64);
        }
        let Some((_, record)) = self.ask(id, |catalog| catalog.record(id))? else { return Ok(()) };
        if record.state != SessionState::Running {
            return Ok(());
        }
        let program = self.program(id, &record.about.program)?;
        let records = self.ports.storage.session(id, &program)?;
        // A server knows what its own threads demand.
        let is_demanding = self.lease().is_some() && (program.has_priorities() || program.has_places());
        let demands = if is_demanding { self.ask(id, |_| demands_of(&*records, threads))? } else { Vec::new() };
        let demand = |at: usize| demands.get(at).cloned().unwrap_or_default();
        // This commit expects nothing, and does no harm if it happens twice.
        let wake = || {
            let mut commit = Commit::new(Stamps::unique(&*self.ports.surroundings).next());
            commit.put = threads.iter().enumerate().map(|(at, thread)| Record::Ready(*thread, demand(at))).collect();
            records.commit(&mut commit)
        };
        while self.ask(id, |_| wake())? == Outcome::Unknown {}
        let hint = |(at, thread): (usize, &ThreadId)| Hint { place: demand(at).place, ..Hint::now(*thread) };
        let hints: Vec<Hint> = threads.iter().enumerate().map(hint).collect();
        self.note_left(self.steady_now());
        self.catalog()?.dispatch(id, &hints);
        Ok(())
    }

    fn lease(&self) -> Option<Duration> {
        self.capacity.as_ref().map(|capacity| capacity.lease)
    }

    fn room(&self) -> usize {
        if self.deadline().is_some_and(|deadline| deadline.is_winding_down(self.steady_now())) {
            return 0;
        }
        self.capacity.as_ref().map_or(0, |capacity| capacity.most().saturating_sub(self.in_hand()))
    }

    fn note_room(&self) {
        let Some(capacity) = &self.capacity else { return };
        if capacity.takes_more(self.in_hand())
            && let Ok(catalog) = self.catalog()
        {
            catalog.ring();
        }
    }

    fn note_answered(&self, after: Duration) {
        if let Some(capacity) = &self.capacity {
            capacity.note_answered(after);
        }
    }

    fn note_step(&self, took: Duration) {
        if let Some(capacity) = &self.capacity {
            capacity.note_step(took);
        }
    }

    fn give_back(&self, held: Vec<HeldThread>) {
        let (Tenure::Leases(leases), Some(session)) = (self.ports.storage.tenure(), held.first()) else { return };
        let session = session.session.clone();
        if leases.give_back(&held, Left::Free, self.steady_now()).is_ok() {
            let known = self.sessions.get(&session);
            let hint = |held: &HeldThread| match &known {
                Some(known) => known.hint(held.thread),
                None => Hint::now(held.thread),
            };
            let hints: Vec<Hint> = held.iter().map(hint).collect();
            self.dispatch(&session, &hints);
        } else if let Some(capacity) = &self.capacity {
            // If this process ends before it can try again, others take them when the leases have expired.
            lock(&capacity.unreturned).extend(held);
        }
    }

    fn dispatch(&self, id: &SessionId, hints: &[Hint]) {
        if let Some(upstream) = &self.upstream {
            upstream.dispatch(id, hints);
            return;
        }
        if hints.is_empty() {
            self.has_changed_session.store(true, Ordering::Release);
        } else {
            self.note_left(self.steady_now());
        }
        if let Ok(catalog) = self.catalog() {
            catalog.dispatch(id, hints);
        }
    }

    fn started_pools(&self) -> Option<&Pools> {
        self.catalog().ok().filter(|_| self.upstream.is_none() && self.lease().is_some())?.started_pools()
    }

    fn note_unheld(&self, id: &SessionId, thread: ThreadId) {
        let takes_none = self.capacity.as_ref().is_some_and(|capacity| capacity.takes_none);
        if takes_none && self.started_pools().is_some() {
            lock(&self.unheld).insert((id.clone(), thread));
        }
    }

    fn deadline(&self) -> Option<Deadline> {
        *lock(&self.deadline)
    }
}

/// The demands in the records of these threads.
fn demands_of(records: &dyn SessionStorage, threads: &[ThreadId]) -> Result<Vec<Demand>, StorageError> {
    let keys: Vec<Key> = threads.iter().copied().map(Key::Live).collect();
    let mut found = Vec::with_capacity(keys.len());
    records.read(&keys, &mut found)?;
    let demand = |found: Option<Versioned>| match found.map(|found| found.record) {
        Some(Record::Live(_, live)) => live.demand,
        _ => Demand::default(),
    };
    Ok(found.into_iter().map(demand).collect())
}
