//! Serving sessions whose threads are leased: taking, keeping and releasing threads, and following the changes of other
//! processes.

mod assigned;
mod capacity;
mod coverage;
mod recovery;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tracing::{debug, warn};

use super::agenda::by_session;
use super::{Serving, lock};
use crate::dispatch::Hint;
use crate::id::{SessionId, Stamp, Stamps, ThreadId};
use crate::journal::Milestone;
use crate::leases::{Announcement, HeldThread, KnownSession, Leases, Left, Taken, Terms, serve_all};
use crate::limits::{NEWS_WAIT_MAX, QUEUE_TIME_MAX};
use crate::outside::leave_gates;
use crate::record::{Key, SessionState};
use crate::server::Server;
use crate::session::Session;
use crate::step;
use crate::storage::{Filter, StorageError, Summary, Tenure, VersionedRecord};
use crate::surroundings::Timestamp;
use crate::throttle;
use assigned::HandedOver;
pub(super) use capacity::Capacity;
pub use recovery::Recovered;

impl Serving {
    fn leases(&self) -> Result<&dyn Leases, StorageError> {
        match self.ports.storage.tenure() {
            Tenure::Leases(leases) => Ok(leases),
            _ => Err(StorageError::Permanent("its threads are not leased".into())),
        }
    }

    fn terms(&self) -> Terms {
        let now = self.steady_now();
        Terms { now, until: now.after(self.lease().unwrap_or_default()) }
    }

    /// The number of hints and calls in flight in this process.
    pub fn in_hand(&self) -> usize {
        usize::try_from(self.sessions.pending_work()).unwrap_or(usize::MAX)
    }

    /// Takes as many due threads as there is room for: of all sessions, or only of those that a caller here waits for.
    /// Returns when to look again.
    pub fn take_threads(&self, takes_all: bool) -> Result<Timestamp, StorageError> {
        let Some(capacity) = self.capacity.as_ref().filter(|capacity| !capacity.takes_none) else {
            return Ok(Timestamp::MAX);
        };
        let now = self.steady_now();
        self.timetable.begin_look(now);
        let mut left = capacity.to_take(self.in_hand());
        capacity.begin_taking();
        // First, because they would count as lost once their leases have expired.
        self.return_late(capacity)?;
        self.announce_coverage(takes_all)?;
        if takes_all {
            left = left.saturating_sub(self.take_some(None, left)?);
        } else {
            for id in self.waited_for() {
                left = left.saturating_sub(self.take_some(Some(&id), left)?);
            }
        }
        if left == 0 {
            // There may have been room again since this was checked. Until there is, the time of the next due thread
            // does not matter.
            self.note_room();
            return Ok(self.timetable.end_look(None));
        }
        capacity.note_all_taken();
        if !takes_all && !self.asks_what_is_due.load(Ordering::Acquire) {
            // The due times of threads of these sessions were noted when this process wrote them; other processes look
            // after their own.
            return Ok(self.timetable.end_look(None));
        }
        self.timetable.forget_kept();
        let horizon = now.after(NEWS_WAIT_MAX);
        Ok(self.timetable.end_look(self.leases()?.next_due(&self.options.pools, now, horizon)?))
    }

    /// Takes and runs at most this many threads. Returns how many were taken.
    fn take_some(&self, only: Option<&SessionId>, most: usize) -> Result<usize, StorageError> {
        // A process that was told to stop gives its threads back, and must not take them again.
        if most == 0 || self.is_interrupted() {
            return Ok(0);
        }
        let stamp = Stamps::unique(&*self.ports.surroundings).next();
        let taken = self.leases()?.take(only, &self.options.pools, self.terms(), stamp, most)?;
        let count = taken.len();
        for (id, taken) in by_session(taken.into_iter().map(|taken| (taken.session.clone(), taken))) {
            if let Err(error) = self.run_taken(&id, &taken, stamp) {
                self.fail(&id, error);
            }
        }
        Ok(count)
    }

    /// Runs threads that were taken with this stamp.
    fn run_taken(&self, id: &SessionId, taken: &[Taken], stamp: Stamp) -> Result<(), StorageError> {
        let threads: Vec<ThreadId> = taken.iter().map(|taken| taken.thread).collect();
        let is_handed_over = self.capacity.as_ref().is_some_and(|capacity| capacity.takes_none);
        let found = if is_handed_over {
            match self.take_handed_over(id, &threads)? {
                HandedOver::Here(session) => Some(session),
                HandedOver::ForCode(code) => {
                    self.hand_on(id, taken, stamp, &code);
                    return Ok(());
                }
                HandedOver::Over => None,
            }
        } else {
            self.take_known(id, taken.iter().find_map(|taken| taken.known.record()))?
        };
        let Some(session) = found else {
            self.end_awaited(id);
            return self.forget_wakes(id, &threads);
        };
        session.in_hand.note_taken(taken, stamp);
        session.demands.note_taken(taken);
        if session.is_over() {
            // The session was given up while these threads were being taken, perhaps too late for them to be given back
            // with its other threads.
            session.finish_work(1);
            return self.return_untouched(taken, stamp);
        }
        let lost = taken.iter().filter(|taken| taken.left == Left::Lost).count();
        debug!(session = %id, threads = threads.len(), "threads are taken");
        if lost > 0 {
            warn!(session = %id, threads = lost, "the process was lost that held threads");
        }
        if session.is_put_back(taken) {
            self.milestones.note_taken(id, session.about(), &Milestone::Retried);
        } else if threads.contains(&step::FIRST) {
            let first = taken.iter().find(|taken| taken.thread == step::FIRST);
            self.note_taken(&session, lost > 0, first.and_then(|first| first.held))?;
        }
        if let Some(Taken { known: KnownSession::New { record, thread }, .. }) = taken.first() {
            session.note_new(record, thread)?;
        }
        session.add_work(threads.len() as u64);
        session.invoke(&threads);
        session.finish_work(1);
        Ok(())
    }

    /// Opens a session whose threads were taken, as [`take`](Serving::take) does, with its record if that was read meanwhile.
    fn take_known(
        &self,
        id: &SessionId,
        record: Option<&VersionedRecord>,
    ) -> Result<Option<Arc<Session>>, StorageError> {
        let can_run = |(_, record): &&VersionedRecord| record.state == SessionState::Running && !record.is_half_way();
        let Some(record) = record.filter(can_run) else { return self.take(id) };
        match self.sessions.get_with_work(id, 1) {
            Some(session) => Ok(Some(session)),
            None => self.open(id, record.clone()).map(Some),
        }
    }

    /// Gives back threads that were taken with this stamp, in the state in which they were found.
    fn return_untouched(&self, taken: &[Taken], stamp: Stamp) -> Result<(), StorageError> {
        for left in [Left::Free, Left::Withdrawn, Left::Lost] {
            let same = taken.iter().filter(|taken| taken.left == left && taken.held.is_some());
            let held: Vec<HeldThread> =
                same.map(|taken| HeldThread { session: taken.session.clone(), thread: taken.thread, stamp }).collect();
            if !held.is_empty() {
                self.leases()?.give_back(&held, left, self.steady_now())?;
            }
        }
        Ok(())
    }

    /// The unfinished sessions whose threads in this process's pools no other process runs; or only the given session,
    /// if it is unfinished.
    pub fn unfinished(&self, only: Option<&SessionId>) -> Result<Vec<SessionId>, StorageError> {
        let catalog = self.catalog()?;
        if let Some(id) = only {
            let is_unfinished = catalog.record(id)?.is_some_and(|(_, record)| !record.state.is_over());
            return Ok(is_unfinished.then(|| id.clone()).into_iter().collect());
        }
        let others = self.leases()?.announced_by_others()?;
        let mut unfinished = Vec::new();
        for state in [SessionState::Running, SessionState::Moving, SessionState::Importing] {
            let listed = catalog.list(&Filter { state: Some(state), ..Filter::default() })?;
            unfinished.extend(listed.into_iter().filter_map(|listed| match listed {
                Ok(summary) => self.is_left_to(&summary, others.as_deref()).then_some(summary.id),
                // Its waiter will be told that it cannot continue.
                Err(damaged) => Some(damaged.id),
            }));
        }
        unfinished.sort_unstable();
        Ok(unfinished)
    }

    /// Whether an unfinished session is left to this process, where others have announced this.
    fn is_left_to(&self, summary: &Summary, others: Option<&[Announcement]>) -> bool {
        let is_moving = summary.record.state != SessionState::Running;
        let are_served = |others| is_moving || serve_all(others, &summary.id, &self.options.pools);
        !(summary.is_served && others.is_none_or(are_served))
    }

    /// The sessions whose ends callers of this process wait for.
    fn waited_for(&self) -> Vec<SessionId> {
        // Sorted, so that a simulated run can be replayed.
        let mut all: BTreeSet<SessionId> = self.awaited.ids().into_iter().collect();
        all.extend(self.sessions.held());
        all.into_iter().collect()
    }

    /// Renews the leases of all held threads, and stops the work on threads that other processes have taken.
    pub fn renew_leases(&self) -> Result<(), StorageError> {
        let Some(capacity) = &self.capacity else { return Ok(()) };
        let mut held = Vec::new();
        let sessions = self.sessions.all();
        for session in &sessions {
            held.append(&mut session.held());
        }
        let renewed = if held.is_empty() { Vec::new() } else { self.leases()?.renew(&held, self.terms().until)? };
        let not_renewed = held.into_iter().zip(renewed).filter(|(_, is_renewed)| !is_renewed).map(|(held, _)| held);
        for held in capacity.note_doubtful(not_renewed.collect()) {
            if let Some(session) = self.open_session(&held.session) {
                session.lose_hold(held.thread, held.stamp);
            }
        }
        // A session that was given up in the meantime may have given its threads back just before they were renewed.
        for session in sessions.iter().filter(|session| session.is_over()) {
            self.give_back(session.held());
        }
        Ok(())
    }

    /// Gives back threads whose calls have waited here for too long. Returns when to look again.
    pub fn leave_waiting_calls(&self) -> Result<Timestamp, StorageError> {
        let Some(capacity) = &self.capacity else { return Ok(Timestamp::MAX) };
        if !capacity.is_beyond(self.in_hand()) {
            return Ok(Timestamp::MAX);
        }
        let now = self.steady_now();
        let made_before = Timestamp(now.0.saturating_sub(QUEUE_TIME_MAX.as_micros() as u64));
        for session in self.sessions.all() {
            let withdrawn = session.withdraw_calls(made_before);
            if withdrawn.is_empty() {
                continue;
            }
            capacity.note_withdrawn();
            debug!(session = %session.id(), threads = withdrawn.len(), "calls that waited too long are left to others");
            // If this fails, others take them when the leases have expired.
            let given_back = self.leases()?.give_back(&withdrawn, Left::Withdrawn, now);
            let hints: Vec<Hint> = withdrawn.iter().map(|held| session.hint(held.thread)).collect();
            session.dispatch(&hints);
            session.finish_work(withdrawn.len() as u64);
            given_back?;
        }
        Ok(now.after(QUEUE_TIME_MAX))
    }

    /// Reads the changes of other processes to sessions that are in memory or have waiters here: they may be over, and
    /// threads in a call may have been cancelled.
    pub fn look_at_others(&self) -> Result<(), StorageError> {
        for session in self.sessions.all() {
            let id = session.id();
            if let Some((_, record)) = self.catalog()?.record(id)? {
                session.set_ended(record.state);
            }
            session.show_history()?;
            let calling = session.in_hand.calling();
            if session.is_over() || calling.is_empty() {
                continue;
            }
            let keys: Vec<Key> = calling.iter().map(|thread| Key::Ready(*thread)).collect();
            let mut found = Vec::with_capacity(keys.len());
            session.records().read(&keys, &mut found)?;
            let woken = calling.into_iter().zip(found).filter(|(_, found)| found.is_some());
            let woken: Vec<ThreadId> = woken.map(|(thread, _)| thread).collect();
            if !woken.is_empty() {
                session.add_work(woken.len() as u64);
                session.invoke(&woken);
            }
        }
        for id in self.awaited.ids() {
            if self.open_session(&id).is_none()
                && self.catalog()?.record(&id)?.is_none_or(|(_, record)| record.state.is_over())
            {
                self.end_awaited(&id);
            }
        }
        Ok(())
    }

    /// Completes the work that lost processes have left, and the work that belongs to no thread.
    pub fn finish_abandoned(&self) -> Result<(), StorageError> {
        if self.capacity.as_ref().is_some_and(|capacity| capacity.takes_none) {
            // Left to processes that take threads.
            return Ok(());
        }
        self.finish_all_abandoned()
    }

    fn finish_all_abandoned(&self) -> Result<(), StorageError> {
        for id in self.leases()?.abandoned(self.steady_now())? {
            // Also for a session in memory, because this completes what a command has left unfinished.
            let is_running = self.running(&id)?.is_some();
            let taken = if is_running { self.take(&id)? } else { None };
            let finished = match taken {
                Some(session) => {
                    let finished = self.finish_session(&session);
                    session.finish_work(1);
                    finished
                }
                None => Ok(()),
            };
            if let Err(error) = finished {
                self.fail(&id, error);
            }
        }
        self.reconcile_gates()
    }

    fn finish_session(&self, session: &Session) -> Result<(), StorageError> {
        session.look_for_loss()?;
        session.finish_todos()?;
        session.look_for_end(&mut session.stamps())
    }

    /// Removes the places of threads whose processes were lost before they gave them back, and of sessions that are
    /// over.
    fn reconcile_gates(&self) -> Result<(), StorageError> {
        for id in throttle::sessions(self.ports.storage.space())? {
            match self.catalog()?.record(&id)? {
                Some((stamp, record)) if record.state == SessionState::Running => {
                    self.make(&id, (stamp, record))?.reconcile_gates()?;
                }
                // A thread in a queue may be run by two processes at once, one of which stalled until the session was
                // over.
                Some((stamp, record)) if record.state.is_over() => self.make(&id, (stamp, record))?.leave_gates()?,
                Some(_) => {}
                None => leave_gates(&*self.ports.storage, &*self.ports.surroundings, &id)?,
            }
        }
        Ok(())
    }
}
