//! The server's part in limits and rates: threads that wait because a process was lost are woken.

use std::sync::atomic::Ordering;

use super::Serving;
use crate::deadlock::{self, Looking};
use crate::id::{SessionId, Stamps, ThreadId};
use crate::record::{Record, Status};
use crate::server::Server;
use crate::session::by_session;
use crate::storage::{Range, StorageError};
use crate::throttle::{self, Gate, GateKind, Holder, Turnstile};

impl Serving {
    /// A session has limits, so gates must be checked from now on.
    pub(super) fn note_gates(&self) {
        self.has_gates.store(true, Ordering::Relaxed);
    }

    /// Checks the gates where threads wait.
    pub fn tend_gates(&self) -> Result<(), StorageError> {
        if !self.has_gates.load(Ordering::Relaxed) {
            return Ok(());
        }
        let space = self.ports.storage.space();
        for (gate, queued) in throttle::gates(space)? {
            let now = || self.steady_now();
            let is_served = |id: &SessionId| self.is_served(id);
            let stamps = Stamps::unique(&*self.ports.surroundings);
            let mut turnstile = Turnstile::new(space, stamps, &now, &is_served);
            let tended = throttle::tend(&mut turnstile, &gate);
            for (id, threads) in by_session(turnstile.let_in) {
                self.let_in(&id, &threads)?;
            }
            tended?;
            let holders = by_session(throttle::holders(space, &gate)?);
            let only =
                holders.keys().next().filter(|_| queued > 0 && gate.kind == GateKind::Limit && holders.len() == 1);
            let only = only.cloned();
            for (id, threads) in holders {
                self.remind(&id, threads, &gate)?;
            }
            if let Some(id) = only {
                self.look_for_deadlock(&id)?;
            }
        }
        Ok(())
    }

    /// If one session has all places of a limit, and the holders wait for threads of the same session that are queued
    /// for places, wakes the first of these: it finds the deadlock and fails.
    fn look_for_deadlock(&self, id: &SessionId) -> Result<(), StorageError> {
        let has_work = self.sessions.get(id).is_some_and(|session| session.has_work());
        let is_elsewhere = self.lease().is_none() && self.servers()?.is_served_elsewhere(id)?;
        if has_work || self.upstream.is_some() || is_elsewhere || !self.is_served(id)? {
            return Ok(());
        }
        let Some((_, record)) = self.catalog()?.record(id)? else { return Ok(()) };
        let program = self.program(id, &record.about.program)?;
        let records = self.ports.storage.session(id, &program)?;
        match deadlock::find(&*records, self.ports.storage.space(), id, &program, Looking::Server)? {
            Some(thread) => self.let_in(id, &[thread]),
            None => Ok(()),
        }
    }

    /// Wakes the threads of a session that were admitted and do not know it, because the process that admitted them was
    /// lost.
    fn remind(&self, id: &SessionId, threads: Vec<ThreadId>, gate: &Gate) -> Result<(), StorageError> {
        if self.lease().is_none() && self.servers()?.is_served_elsewhere(id)? || !self.is_served(id)? {
            return Ok(());
        }
        let Some((_, record)) = self.catalog()?.record(id)? else { return Ok(()) };
        let records = self.ports.storage.session(id, &self.program(id, &record.about.program)?)?;
        let space = self.ports.storage.space();
        let mut unread = Vec::new();
        for thread in threads {
            if let Some(Record::Live(found, live)) = records.scan(Range::Live(thread), 1)?.pop()
                && found == thread
                && (matches!(&live.status, Status::Queued(request) if request.gate == *gate && request.until.is_none())
                    || throttle::has_regained(space, &Holder { session: id.clone(), thread }, gate)?)
            {
                unread.push(thread);
            }
        }
        if unread.is_empty() { Ok(()) } else { self.let_in(id, &unread) }
    }
}
