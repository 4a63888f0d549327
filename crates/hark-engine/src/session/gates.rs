//! A session's use of limits and rates: its threads enter and leave gates, and are told when they are admitted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hark_machine::{Error, declared_gates};

use super::{Session, lock};
use crate::deadlock::{self, Looking};
use crate::dispatch::Hint;
use crate::id::{SessionId, ThreadId};
use crate::patience::patiently;
use crate::record::{Key, Record, Status};
use crate::step;
use crate::storage::{Range, StorageError};
use crate::throttle::{
    self, Bound, Change, EntryState, Gate, Holder, Look, Operation, Priority, Request, Token, Turnstile,
};

/// The sessions in memory that have limits, and so may share them.
#[derive(Default)]
pub(crate) struct Neighbors(Mutex<HashMap<SessionId, Weak<Session>>>);

impl Neighbors {
    /// Adds a session with limits.
    pub fn enter(&self, session: &Arc<Session>) {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, known| known.strong_count() > 0);
        sessions.insert(session.id().clone(), Arc::downgrade(session));
    }

    fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id)?.upgrade()
    }
}

/// The admitted holders, by session.
pub(crate) fn by_session(holders: Vec<Holder>) -> BTreeMap<SessionId, Vec<ThreadId>> {
    let mut threads: BTreeMap<SessionId, Vec<ThreadId>> = BTreeMap::new();
    for Holder { session, thread } in holders {
        threads.entry(session).or_default().push(thread);
    }
    threads
}

impl Session {
    /// Whether its program has limits or rates.
    pub fn has_gates(&self) -> bool {
        self.has_gates
    }

    fn holder(&self, thread: ThreadId) -> Holder {
        Holder { session: self.id.clone(), thread }
    }

    /// Performs an operation on gates, and retries it until the storage answers.
    fn at_gates<T>(&self, what: impl FnMut(&mut Turnstile<'_>) -> Result<T, StorageError>) -> Result<T, StorageError> {
        self.at_gates_with(what, true)
    }

    /// The same for a session that has not begun: it has nothing to lose, so it does not wait for the storage.
    fn at_gates_with<T>(
        &self,
        mut what: impl FnMut(&mut Turnstile<'_>) -> Result<T, StorageError>,
        is_patient: bool,
    ) -> Result<T, StorageError> {
        let is_served = |id: &SessionId| match &self.server {
            Some(server) => server.is_served(id),
            None => Ok(true),
        };
        let now = || self.steady_now();
        let place = |gate: &Gate| throttle::place_of(gate, self.program.executable());
        let turnstile = Turnstile::new(self.ports.storage.space(), self.stamps(), &now, &is_served);
        let mut turnstile = Turnstile { place: &place, ..turnstile };
        let done = match self.server.as_ref().filter(|_| is_patient) {
            None => what(&mut turnstile),
            Some(server) => {
                let tell = |error: &StorageError| server.note_wait(&self.id, error);
                patiently(&*self.ports.surroundings, &self.is_given_up, &tell, || what(&mut turnstile))
            }
        };
        self.tell_let_in(turnstile.let_in)?;
        for holder in turnstile.left_again.iter().filter(|holder| holder.session == self.id) {
            self.run_tries_of(holder.thread)?;
        }
        done
    }

    fn change_gate(&self, change: &Change) -> Result<Vec<EntryState>, StorageError> {
        self.at_gates(|turnstile| turnstile.make(change))
    }

    /// The session is about to begin: from now on the numbers of its program apply to all sessions of the storage.
    pub fn announce_bounds(&self) -> Result<(), StorageError> {
        if !self.has_gates {
            return Ok(());
        }
        let declared = declared_gates(self.program.executable());
        let bounds: BTreeMap<Gate, Bound> = declared.into_iter().map(|declared| Gate::of(declared.take)).collect();
        for (gate, bound) in bounds {
            let change = Change { gate, bound: Some((bound, self.about.started)), operations: vec![], serves: true };
            self.at_gates_with(|turnstile| turnstile.make(&change), false)?;
        }
        Ok(())
    }

    /// A thread enters a gate's queue, unless it is in it.
    pub fn enter_gate(
        &self,
        thread: ThreadId,
        request: &Request,
        priority: Priority,
    ) -> Result<Option<EntryState>, StorageError> {
        let (holder, owner) = (self.holder(thread), self.owner);
        let enter = Operation::Enter { holder, number: request.number, priority, owner };
        let bound = Some((request.bound, self.about.started));
        let change = Change { gate: request.gate.clone(), bound, operations: vec![enter], serves: true };
        Ok(self.change_gate(&change)?.pop())
    }

    /// Whether a thread has a place and has been told so.
    pub fn is_held(&self, thread: ThreadId, request: &Request) -> Result<bool, StorageError> {
        Ok(matches!(self.entry_at_gate(thread, request)?, Look::Held(_)))
    }

    fn entry_at_gate(&self, thread: ThreadId, request: &Request) -> Result<Look, StorageError> {
        let holder = self.holder(thread);
        self.at_gates(|turnstile| {
            throttle::entry_of(turnstile.space, &holder, &request.gate, request.number, self.owner)
        })
    }

    /// A thread's standing at a gate. If it has none, it enters the queue.
    pub fn look_at_gate(&self, thread: ThreadId, request: &Request, priority: Priority) -> Result<Look, StorageError> {
        match self.entry_at_gate(thread, request)? {
            Look::Unknown => {}
            Look::Regained => self.run_tries_of(thread)?,
            known => return Ok(known),
        }
        Ok(match self.enter_gate(thread, request, priority)? {
            Some(EntryState::Held { from, .. }) => Look::Held(from),
            _ => Look::Queued,
        })
    }

    /// A thread has its place again, or needs none any more, so the attempts that borrow it may continue.
    fn run_tries_of(&self, lender: ThreadId) -> Result<(), StorageError> {
        let records = self.records.scan(Range::Live(step::FIRST), usize::MAX)?;
        let tries: Vec<ThreadId> = records
            .iter()
            .filter_map(|record| match record {
                Record::Live(thread, live) => Some((*thread, live)),
                _ => None,
            })
            .filter(|(_, live)| live.places.iter().any(|place| place.lender == Some(lender)))
            .map(|(thread, _)| thread)
            .collect();
        if tries.is_empty() { Ok(()) } else { self.let_in_own(&tries) }
    }

    /// Whether a thread has this place, or is queued for it.
    pub fn holds(&self, thread: ThreadId, token: &Token) -> Result<bool, StorageError> {
        let mut found = Vec::with_capacity(1);
        self.records.read(&[Key::Live(thread)], &mut found)?;
        Ok(match found.pop().flatten().map(|found| found.record) {
            Some(Record::Live(_, live)) => live.tokens().contains(token),
            _ => false,
        })
    }

    /// A thread no longer needs this place.
    pub fn leave_gate(&self, thread: ThreadId, token: &Token) -> Result<(), StorageError> {
        let leave = Operation::Leave { holder: self.holder(thread), number: token.number };
        let change = Change { gate: token.gate.clone(), bound: None, operations: vec![leave], serves: true };
        self.change_gate(&change).map(drop)
    }

    /// Wakes the threads that were admitted.
    pub fn tell_let_in(&self, let_in: Vec<Holder>) -> Result<(), StorageError> {
        for (id, threads) in by_session(let_in) {
            if id == self.id {
                self.let_in_own(&threads)?;
            } else if let Some(server) = &self.server {
                server.let_in(&id, &threads)?;
            } else if let Some(other) = self.neighbors.as_ref().and_then(|neighbors| neighbors.find(&id)) {
                other.run_let_in(&threads);
            }
        }
        Ok(())
    }

    /// These threads of this session were admitted. Where that matters, each is run by a process that serves its place.
    fn let_in_own(&self, threads: &[ThreadId]) -> Result<(), StorageError> {
        match &self.server {
            Some(server) if self.runs_by_place() => server.let_in(&self.id, threads),
            _ => {
                self.run_let_in(threads);
                Ok(())
            }
        }
    }

    /// These threads of this session were admitted.
    pub fn run_let_in(&self, threads: &[ThreadId]) {
        if let Some(upstream) = self.upstream() {
            upstream.dispatch(&self.id, &threads.iter().copied().map(Hint::now).collect::<Vec<_>>());
        } else {
            self.add_work(threads.len() as u64);
            self.invoke(threads);
        }
    }

    /// Removes all its entries at all gates, because its threads have stopped.
    pub fn leave_gates(&self) -> Result<(), StorageError> {
        if !self.has_gates {
            return Ok(());
        }
        self.at_gates(|turnstile| throttle::forget(turnstile, &self.id, true))
    }

    /// Removes entries that its threads no longer need, in place of a process that was lost before it could.
    pub fn reconcile_gates(&self) -> Result<(), StorageError> {
        if !self.has_gates {
            return Ok(());
        }
        for (holder, gate, number) in self.at_gates(|turnstile| throttle::entries_of(turnstile.space, &self.id))? {
            let token = Token { gate, number };
            if !self.holds(holder.thread, &token)? {
                self.leave_gate(holder.thread, &token)?;
            }
        }
        Ok(())
    }

    /// The error of a thread in its turn that is first in a queue in which no thread can be admitted.
    pub fn deadlock_of(&self, thread: ThreadId) -> Result<Option<Error>, StorageError> {
        if !self.is_resumable() {
            return Ok(lock(&self.deadlock).take_if(|(raising, _)| *raising == thread).map(|(_, error)| error));
        }
        if self.find_deadlock(Looking::Thread(thread))? != Some(thread) {
            return Ok(None);
        }
        deadlock::error_in(self.records()).map(Some)
    }

    /// In memory: if its threads wait for places that only they have, the first one in a queue raises the error, as in
    /// a durable session. Returns whether there is such a thread. Threads cannot check this themselves, because in
    /// memory a thread has no record during its turn.
    pub fn raise_deadlock(&self) -> Result<bool, StorageError> {
        if !self.has_gates {
            return Ok(false);
        }
        let Some(thread) = self.find_deadlock(Looking::InMemory)? else { return Ok(false) };
        let error = deadlock::error_in(self.records())?;
        *lock(&self.deadlock) = Some((thread, error));
        self.run_let_in(&[thread]);
        Ok(true)
    }

    fn find_deadlock(&self, looking: Looking) -> Result<Option<ThreadId>, StorageError> {
        self.at_gates(|turnstile| deadlock::find(&*self.records, turnstile.space, &self.id, &self.program, looking))
    }

    /// Whether a thread of it, in memory, may be admitted because another session releases a place, or has done so.
    pub fn may_be_let_in(&self) -> Result<bool, StorageError> {
        if !self.has_gates {
            return Ok(false);
        }
        let mut queued: Vec<(ThreadId, Gate, u64)> = Vec::new();
        for record in self.records.scan(Range::Live(step::FIRST), usize::MAX)? {
            if let Record::Live(thread, live) = record
                && let Status::Queued(request) = &live.status
            {
                queued.push((thread, request.gate.clone(), request.number));
            }
        }
        let space = self.ports.storage.space();
        let mut known: HashMap<Gate, bool> = HashMap::new();
        for (thread, gate, number) in queued {
            // In this order, because whoever releases a place admits the next thread in the same change.
            let is_elsewhere = match known.get(&gate) {
                Some(known) => *known,
                None => {
                    let is_elsewhere = throttle::is_held_elsewhere(space, &gate, &self.id)?;
                    known.insert(gate.clone(), is_elsewhere);
                    is_elsewhere
                }
            };
            let look = throttle::entry_of(space, &self.holder(thread), &gate, number, self.owner)?;
            if is_elsewhere || look != Look::Queued {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
