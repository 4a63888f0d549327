//! Serves the sessions of a durable storage. Only active sessions are in memory.
//!
//! A session is *parked*, that is, dropped from memory, when nothing can happen in it before an event from outside or a
//! timer. It then costs nothing, and is opened again when it is woken.

mod agenda;
mod awaited;
mod gates;
mod leases;
mod milestones;
mod programs;
mod server;
mod sessions;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hark_machine::Program;
use tracing::info;

use crate::calls::CallPlaces;
use crate::commit::Commit;
use crate::deadline::Deadline;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::journal::{Journal, Milestone};
use crate::limits::CANCEL_TOLD_WAIT;
use crate::options::Options;
use crate::output::OutputItem;
use crate::outside::{Outside, drop_threads};
use crate::patience::patiently;
use crate::ports::Ports;
use crate::record::SessionState;
use crate::remote::{Upstream, WorkerReport};
use crate::server::Server;
use crate::servers::{self, Servers, Unattended};
use crate::session::{Parts, Session};
use crate::step;
use crate::storage::{self, Catalog, StorageError, VersionedRecord};
use crate::surroundings::Timestamp;
use crate::timetable::Timetable;
use agenda::Hinted;
use awaited::Awaited;
pub(crate) use awaited::Waiter;
use leases::Capacity;
pub use leases::Recovered;
use milestones::Milestones;
use programs::Programs;
use sessions::Sessions;

/// The sessions served by one engine.
pub(crate) struct Serving {
    options: Options,
    ports: Ports,
    sessions: Sessions,
    programs: Mutex<Programs>,
    /// The sessions whose ends callers wait for, in memory or not.
    awaited: Awaited,
    /// The foreign calls in flight.
    places: CallPlaces,
    /// Set to leave all sessions as they are, including those opened later.
    is_interrupted: Arc<AtomicBool>,
    timetable: Timetable,
    /// The mailboxes found full by the last sweep; their threads have hints.
    mailboxes: Mutex<HashMap<SessionId, Hinted>>,
    /// Errors of sessions without waiters.
    failures: Mutex<Vec<(SessionId, StorageError)>>,
    /// Sessions that wait for a storage that does not answer.
    waits: Mutex<Vec<(SessionId, StorageError)>>,
    /// Sessions with threads that have noticed that they are cancelled, and when the first one did.
    interrupted: Mutex<HashMap<SessionId, Timestamp>>,
    /// Whether some session has had limits or rates.
    has_gates: AtomicBool,
    upstream: Option<Arc<dyn Upstream>>,
    milestones: Milestones,
    /// The room for leased threads, if threads are leased.
    capacity: Option<Capacity>,
    /// In a process that only runs assigned threads: whether no session is left in memory.
    is_at_rest: Arc<AtomicBool>,
    /// In such a process: the earliest time at which a thread that it has left to others is due.
    left_due: Mutex<Option<Timestamp>>,
    /// In such a process: the record of the last session that ran here, and when it was read.
    last_record: Mutex<Option<(Timestamp, SessionId, VersionedRecord)>>,
    has_changed_session: AtomicBool,
    /// In such a process: threads that were assigned to it and that it turned out not to hold.
    unheld: Mutex<BTreeSet<(SessionId, ThreadId)>>,
    /// In such a process: the time at which it is stopped.
    deadline: Mutex<Option<Deadline>>,
    /// Some processes that run assigned threads do not report when the threads that they leave are due, so the storage
    /// is asked.
    asks_what_is_due: AtomicBool,
    me: Weak<Serving>,
}

impl Serving {
    pub fn new(options: Options, ports: Ports, upstream: Option<Arc<dyn Upstream>>) -> Arc<Serving> {
        let capacity = Capacity::of(&ports);
        Serving::capacity(options, ports, upstream, capacity)
    }

    /// Serves only threads that other processes assign.
    pub fn of_assigned(options: Options, ports: Ports) -> Arc<Serving> {
        let capacity = Capacity::of_assigned(&ports);
        Serving::capacity(options, ports, None, capacity)
    }

    fn capacity(
        options: Options,
        ports: Ports,
        upstream: Option<Arc<dyn Upstream>>,
        capacity: Option<Capacity>,
    ) -> Arc<Serving> {
        Arc::new_cyclic(|me| Serving {
            options,
            ports,
            capacity,
            sessions: Sessions::default(),
            programs: Mutex::default(),
            awaited: Awaited::default(),
            places: CallPlaces::default(),
            is_interrupted: Arc::default(),
            timetable: Timetable::default(),
            mailboxes: Mutex::default(),
            failures: Mutex::default(),
            waits: Mutex::default(),
            interrupted: Mutex::default(),
            has_gates: AtomicBool::new(false),
            upstream,
            milestones: Milestones::default(),
            is_at_rest: Arc::default(),
            left_due: Mutex::default(),
            last_record: Mutex::default(),
            has_changed_session: AtomicBool::new(false),
            unheld: Mutex::default(),
            deadline: Mutex::default(),
            asks_what_is_due: AtomicBool::new(false),
            me: me.clone(),
        })
    }

    pub fn catalog(&self) -> Result<&dyn Catalog, StorageError> {
        storage::catalog_of(&*self.ports.storage)
    }

    pub fn servers(&self) -> Result<&dyn Servers, StorageError> {
        servers::servers_of(&*self.ports.storage)
    }

    /// Sends a request for a running session, and repeats it until the storage answers.
    fn ask<T>(
        &self,
        id: &SessionId,
        request: impl Fn(&dyn Catalog) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let catalog = self.catalog()?;
        let tell = |error: &StorageError| self.note_wait(id, error);
        patiently(&*self.ports.surroundings, &self.is_interrupted, &tell, || request(catalog))
    }

    /// A session's program, from memory if some session has it.
    fn program(&self, id: &SessionId, hash: &str) -> Result<Arc<Program>, StorageError> {
        if let Some(program) = lock(&self.programs).get(hash) {
            return Ok(program);
        }
        let executable = self.ask(id, |catalog| catalog.program(hash))?;
        let program = Program::new(executable).map_err(|error| StorageError::Permanent(error.to_string()))?;
        let program = Arc::new(program);
        lock(&self.programs).insert(hash, &program);
        Ok(program)
    }

    /// Stores a program, unless it is known to be stored.
    pub fn keep_program(&self, hash: &str, program: &Arc<Program>) -> Result<(), StorageError> {
        if lock(&self.programs).get(hash).is_none() {
            self.catalog()?.put_program(hash, program.executable())?;
            lock(&self.programs).insert(hash, program);
        }
        Ok(())
    }

    /// Adds a session that begins and has a waiter.
    pub fn enter(&self, session: &Arc<Session>) {
        if session.has_gates() {
            self.note_gates();
        }
        self.sessions.begin(session);
    }

    /// Completes the cancellations of sessions in memory whose cancelling process did not complete them in time.
    pub fn finish_cancellations(&self) {
        let now = self.steady_now();
        // If that process is still alive, both do the same.
        let is_late = |_: &SessionId, since: &mut Timestamp| since.after(CANCEL_TOLD_WAIT) <= now;
        let late: Vec<SessionId> = lock(&self.interrupted).extract_if(is_late).map(|(id, _)| id).collect();
        for id in late {
            if let Err(error) = self.running(&id) {
                self.fail(&id, error);
            }
        }
    }

    /// Runs these threads of a session, which is opened if it is not in memory. If the session is over, removes the
    /// mailbox entries that woke them.
    ///
    /// The previous worker of the `lost` ones has ended. Returns the session if it is not over.
    pub fn wake(
        &self,
        id: &SessionId,
        threads: &[ThreadId],
        lost: &[ThreadId],
    ) -> Result<Option<Arc<Session>>, StorageError> {
        let Some(session) = self.take(id)? else {
            if let Some(upstream) = &self.upstream {
                upstream.report(id, WorkerReport::Ended);
            }
            self.end_awaited(id);
            return self.forget_wakes(id, threads).map(|()| None);
        };
        self.milestones.note_running(id, session.about());
        session.add_work(threads.len() as u64);
        if self.upstream.is_some() {
            session.in_hand.add_hints(threads);
        }
        if !lost.is_empty() {
            session.in_hand.note_lost(lost);
            session.note_taken_up();
        }
        // A process outside that was waking threads may have been lost before it had woken all. The supervisor must
        // learn of these threads before the hints count as settled.
        let finished = session.finish_todos();
        session.invoke(threads);
        session.finish_work(1);
        finished.map(|()| Some(session))
    }

    fn forget_wakes(&self, id: &SessionId, threads: &[ThreadId]) -> Result<(), StorageError> {
        let Some(found) = self.ask(id, |catalog| catalog.record(id))? else { return Ok(()) };
        let is_cancelled = found.1.state == SessionState::Cancelled;
        let session = self.make(id, found)?;
        let mut stamps = session.stamps();
        if is_cancelled {
            // The process that ended it may have been lost, or may not have seen a thread that was being started.
            drop_threads(session.records(), &mut stamps, session.now())?;
            session.leave_gates()?;
        }
        for thread in threads {
            let was_woken = session.forget_wake(*thread, &mut Commit::new(stamps.next()))?;
            if was_woken && is_cancelled && *thread == step::FIRST {
                session.note_cancelled();
            }
        }
        Ok(())
    }

    /// Stops work on a session that the supervisor no longer needs.
    pub fn forget(&self, id: &SessionId) {
        if let Some(session) = self.open_session(id) {
            session.interrupt();
        }
    }

    /// Opens a claimed session, if it can run, and adds one piece of work so that it is not parked before everything has
    /// begun.
    pub fn take(&self, id: &SessionId) -> Result<Option<Arc<Session>>, StorageError> {
        if let Some(session) = self.sessions.get_with_work(id, 1) {
            return Ok(Some(session));
        }
        let Some(found) = self.running(id)? else { return Ok(None) };
        self.open(id, found).map(Some)
    }

    fn open(&self, id: &SessionId, found: VersionedRecord) -> Result<Arc<Session>, StorageError> {
        let session = self.sessions.open(self.make(id, found)?, |session| {
            if let Some(waiter) = self.awaited.get(id) {
                waiter.watch(session);
            }
        });
        self.look_interrupted(&session);
        Ok(session)
    }

    /// Must be called after the session is added to the list, because `interrupt` sets its flag before it reads the
    /// list.
    fn look_interrupted(&self, session: &Session) {
        if self.is_interrupted() {
            session.interrupt();
        }
    }

    /// Sets the journal that logs the milestones of sessions.
    pub fn set_journal(&self, journal: Arc<dyn Journal>) {
        self.milestones.set_journal(journal);
    }

    /// Logs that a session without a server, or its first thread, was taken.
    ///
    /// Where threads are leased, `held` is the version that its first thread had before. If this is the version of the session's
    /// record, the thread has not begun, because the start of the session wrote both. Otherwise the history tells.
    pub fn note_taken(&self, session: &Session, was_lost: bool, held: Option<Stamp>) -> Result<(), StorageError> {
        let is_leased = self.lease().is_some();
        if self.milestones.are_logged() && (is_leased || !self.milestones.note_running(session.id(), session.about())) {
            // Everything that a thread has done is in the history, after the session's start.
            let is_as_started = held.is_some() && held == session.opened_with();
            let has_begun = was_lost
                || !is_as_started && {
                    let pages = session.records().history(0, 2)?;
                    pages.first().map(|(first, _)| first) != pages.last().map(|(last, _)| last)
                };
            // A leased thread is taken again after each wait.
            if has_begun && !was_lost && is_leased {
                return Ok(());
            }
            let milestone = if has_begun { Milestone::Resumed } else { Milestone::Started };
            self.milestones.note_taken(session.id(), session.about(), &milestone);
        }
        Ok(())
    }

    /// Continues a session where its last server left it or was lost.
    pub fn take_up(&self, session: &Arc<Session>, was_lost: bool) -> Result<(), StorageError> {
        let begun = self.begin_again(session, was_lost);
        // The caller has added this piece of work, to keep the session in memory until here.
        session.finish_work(1);
        begun
    }

    fn begin_again(&self, session: &Arc<Session>, was_lost: bool) -> Result<(), StorageError> {
        info!(session = %session.id(), was_lost, "a session is taken up");
        session.note_taken_up();
        self.note_stopped(session)?;
        session.reconcile_gates()?;
        let Unattended { interrupted, due } =
            self.ask(session.id(), |_| self.servers()?.unattended(session.id(), self.seen()))?;
        if interrupted.is_empty() && due.is_empty() {
            session.look_for_loss()?;
        }
        session.add_work((interrupted.len() + due.len()) as u64);
        if was_lost {
            session.in_hand.note_lost(&interrupted);
        }
        session.invoke(&interrupted);
        session.invoke(&due);
        session.finish_todos()?;
        session.wake_overlooked()?;
        // The process of the thread that stopped last may have been lost before it checked for the end.
        session.look_for_end(&mut session.stamps())
    }

    /// A slow previous server may have ended the session's first thread while the session was already in memory here.
    fn note_stopped(&self, session: &Session) -> Result<(), StorageError> {
        let record = self.ask(session.id(), |catalog| catalog.record(session.id()))?;
        if record.is_some_and(|(_, record)| record.first_stopped) {
            session.set_first_stopped(None);
        }
        Ok(())
    }

    /// The record of a session that can run. First completes any change that a lost process has left unfinished.
    fn running(&self, id: &SessionId) -> Result<Option<VersionedRecord>, StorageError> {
        while let Some((stamp, record)) = self.ask(id, |catalog| catalog.record(id))? {
            let is_settled = match record.state {
                SessionState::Running | SessionState::Moving | SessionState::Importing => !record.is_half_way(),
                _ => true,
            };
            if is_settled {
                return Ok((record.state == SessionState::Running).then_some((stamp, record)));
            }
            let Ports { storage, surroundings, .. } = &self.ports;
            let program = self.program(id, &record.about.program)?;
            // Each single request waits for the storage. Repeating all of them together might never succeed.
            let records = self.patient(id, storage.session(id, &program)?, &self.is_interrupted);
            let outside = Outside::with_records(&**storage, &**surroundings, id, record.clone(), program, records);
            if !self.ask(id, |_| outside.recover(stamp, &record))? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn make(&self, id: &SessionId, (stamp, record): VersionedRecord) -> Result<Arc<Session>, StorageError> {
        let program = self.program(id, &record.about.program)?;
        let records = self.ports.storage.session(id, &program)?;
        let parts = Parts {
            id: id.clone(),
            drawn: 0,
            about: record.about.clone(),
            program,
            options: self.options.clone(),
            ports: self.ports.clone(),
            records,
            observer: Arc::new(|_: &[OutputItem]| {}),
            server: self.me.upgrade().map(|serving| serving as Arc<dyn Server>),
            neighbors: None,
            on_end: None,
        };
        let session = Session::resumed(parts, stamp, &record);
        if session.has_gates() {
            self.note_gates();
        }
        Ok(session)
    }

    /// Releases a session, so that others can take it.
    pub fn release(&self, id: &SessionId) -> Result<(), StorageError> {
        self.ask(id, |_| self.ports.storage.tenure().release(Some(id)))
    }

    /// Reports that the storage does not let a session continue.
    pub fn fail(&self, id: &SessionId, error: StorageError) {
        match self.open_session(id) {
            Some(session) => session.fail_storage(&error),
            None if self.fail_awaited(id, &error) => {}
            None => self.note_failure(id, error),
        }
    }

    /// Gives up all sessions but these, which others may have taken over.
    pub fn give_up_all_but(&self, left: &HashSet<SessionId>) {
        for session in self.sessions.all().into_iter().filter(|session| !left.contains(session.id())) {
            if let Err(error) = session.look_taken_over() {
                session.fail_storage(&error);
            }
        }
        self.give_up_awaited_but(left);
    }

    /// The sessions that have begun to wait for the storage since the last call.
    pub fn take_waits(&self) -> Vec<(SessionId, StorageError)> {
        std::mem::take(&mut *lock(&self.waits))
    }

    /// The errors since the last call.
    pub fn take_failures(&self) -> Vec<(SessionId, StorageError)> {
        std::mem::take(&mut *lock(&self.failures))
    }

    /// The time used for timers.
    pub fn steady_now(&self) -> Timestamp {
        self.ports.surroundings.steady_now()
    }

    /// Leaves all sessions as they are, including those opened later.
    pub fn interrupt(&self) {
        self.is_interrupted.store(true, Ordering::SeqCst);
        self.sessions.all().iter().for_each(|session| session.interrupt());
        self.suspend_awaited();
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::SeqCst)
    }

    /// A session, if it is in memory.
    fn open_session(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.sessions.get(id)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
