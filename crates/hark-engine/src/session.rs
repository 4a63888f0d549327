//! A running session, as all workers share it.

mod demands;
mod end;
mod gates;
mod in_hand;
mod new_thread;
mod numbers;
mod output;
mod supervised;

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hark_machine::{Error, Program, Thread, Value};
use tracing::{debug, info, warn};

use crate::calls::CallPlace;
use crate::commit::{Commit, Outcome};
use crate::deadline::Deadline;
use crate::deadlock;
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::failure::Failure;
use crate::foreign::{Call, CallError, CallId};
use crate::history::LogEntry;
use crate::id::{SessionId, Stamp, Stamps, ThreadId};
use crate::invoker::Runner;
use crate::leases::{HeldThread, Taken, Terms};
use crate::options::Options;
use crate::output::Observer;
use crate::place::{Place, Pools};
use crate::ports::Ports;
use crate::record::{About, Live, PutBack, SessionRecord, SessionState};
use crate::remote::{Upstream, WorkerReport};
use crate::rows::Row;
use crate::sequence::Sequence;
use crate::server::Server;
use crate::size::Sizes;
use crate::step;
use crate::storage::{SessionStorage, StorageError, VersionedRecord};
use crate::surroundings::Timestamp;
use crate::suspend::{SuspendAt, Suspensions};
pub(crate) use demands::Demands;
use end::End;
pub(crate) use end::OnEnd;
pub(crate) use gates::{Neighbors, by_session};
pub(crate) use in_hand::calls::{CallState, Over, Try};
pub(crate) use in_hand::{Paused, ThreadsInHand, TurnEnd, TurnStart};
use new_thread::NewThread;
use numbers::ThreadNumbers;
use output::Output;

/// A running session.
pub(crate) struct Session {
    id: SessionId,
    about: Arc<About>,
    program: Arc<Program>,
    options: Options,
    ports: Ports,
    /// Its records. For a durable session, requests wait while the storage does not answer.
    records: Arc<dyn SessionStorage>,
    /// The same records without that waiting, for the caller who starts the session: nothing can be lost yet.
    impatient_records: Arc<dyn SessionStorage>,
    output: Mutex<Output>,
    /// The first thread, until something of the session is written.
    unwritten: Mutex<Option<Box<Live>>>,
    /// The first thread, if this process has taken it before it began.
    pub new: NewThread,
    /// The session's own record, as the first thread last read it while the session ran. It may be outdated.
    record: Mutex<Option<(Stamp, SessionRecord)>>,
    pub in_hand: ThreadsInHand,
    pub demands: Demands,
    /// How long a lease lasts, where threads are leased.
    lease: Option<Duration>,
    /// Another server may have taken it over.
    was_taken_over: AtomicBool,
    /// Hints not run, calls in flight, and in memory also armed timers. At zero, a session that is not over is idle:
    /// its threads wait for each other, for nobody, or for something from outside. May briefly be too high, never too
    /// low.
    pending_work: AtomicU64,
    /// Whether the first thread has stopped. Before that, no check for the session's end can succeed.
    first_stopped: AtomicBool,
    /// Why it ended, once it did.
    end: OnceLock<End>,
    over: Arc<AtomicBool>,
    /// It was given up here before it was over, so its requests need no answers any more.
    is_given_up: Arc<AtomicBool>,
    /// A commit of this process, or of one of its worker processes, has ended it.
    is_ended_here: AtomicBool,
    is_end_logged: AtomicBool,
    /// See [`SessionRecord::put_back`].
    put_back: Option<PutBack>,
    /// The version that its record had when this process opened it.
    opened_with: Option<Stamp>,
    /// The first thread's value, once it is written.
    result: OnceLock<Value>,
    /// Called at its end.
    on_end: Mutex<Option<OnEnd>>,
    /// The threads that this process has started. The first one is among them if the session has begun here.
    threads: AtomicU64,
    /// Whether it was started by this process, so that `threads` counts all of them.
    has_begun_here: bool,
    numbers: ThreadNumbers,
    /// Whether this process has cancelled a thread of it.
    has_cancelled: AtomicBool,
    /// When this process took it over from a server that has left it or was lost; 0 if it did not.
    taken_up: AtomicU64,
    /// The time of the last failure.
    last_failure: AtomicU64,
    /// In a durable storage the first stamp, until it is used; then 0. Otherwise the seed of the next stamps.
    drawn: AtomicU64,
    /// The server, if the session is durable.
    server: Option<Arc<dyn Server>>,
    /// Whether its program has limits or rates.
    has_gates: bool,
    /// Whether calls of some of its imports may take longer than processes of the main size live.
    has_long_calls: bool,
    /// Identifies this process's entries at gates.
    owner: u64,
    /// The sessions in memory with which it shares limits.
    neighbors: Option<Arc<Neighbors>>,
    /// In memory: the thread that has to raise a deadlock, and the error.
    deadlock: Mutex<Option<(ThreadId, Error)>>,
    me: Weak<Session>,
}

/// The parts of a session.
pub(crate) struct Parts {
    pub id: SessionId,
    /// A random number drawn for it, or 0.
    pub drawn: u64,
    pub about: Arc<About>,
    pub program: Arc<Program>,
    pub options: Options,
    pub ports: Ports,
    pub records: Arc<dyn SessionStorage>,
    pub observer: Arc<dyn Observer>,
    pub server: Option<Arc<dyn Server>>,
    pub neighbors: Option<Arc<Neighbors>>,
    pub on_end: Option<OnEnd>,
}

impl Session {
    /// A session that has not begun. Nothing is written before its first step.
    pub fn new(parts: Parts, first: Thread) -> Result<Arc<Session>, StorageError> {
        parts.records.reserve_first()?;
        let session = Session::with(parts, 1, None);
        let live = session.live(step::FIRST, first);
        *lock(&session.unwritten) = Some(live);
        Ok(session)
    }

    /// A session that is already stored.
    pub fn resumed(parts: Parts, stamp: Stamp, record: &SessionRecord) -> Arc<Session> {
        Session::with(parts, 0, Some((stamp, record)))
    }

    fn with(parts: Parts, threads: u64, stored: Option<(Stamp, &SessionRecord)>) -> Arc<Session> {
        let record = stored.map(|(_, record)| record);
        let Parts { id, drawn, about, program, options, ports, records, observer, server, neighbors, on_end } = parts;
        let has_gates = program.has_limits();
        // Where threads are leased, entries at gates belong to the session, whichever process runs the thread.
        let is_leased = server.as_ref().is_some_and(|server| server.lease().is_some());
        let owner = if has_gates && !is_leased { ports.surroundings.random() } else { 0 };
        let is_given_up = Arc::new(AtomicBool::new(false));
        let impatient_records = records.clone();
        let records: Arc<dyn SessionStorage> = match &server {
            Some(server) => server.patient(&id, records, &is_given_up),
            None => records,
        };
        let has_long_calls = options.sizes.is_some_and(|sizes| is_leased && sizes.has_long_calls(&program));
        Arc::new_cyclic(|me| Session {
            id,
            about,
            program,
            options,
            ports,
            records,
            impatient_records,
            output: Mutex::new(Output::new(observer)),
            unwritten: Mutex::default(),
            new: NewThread::default(),
            record: Mutex::default(),
            in_hand: ThreadsInHand::default(),
            demands: Demands::default(),
            lease: server.as_ref().and_then(|server| server.lease()),
            was_taken_over: AtomicBool::new(false),
            pending_work: AtomicU64::new(0),
            first_stopped: AtomicBool::new(record.is_some_and(|record| record.first_stopped)),
            end: OnceLock::new(),
            over: Arc::default(),
            is_given_up,
            is_ended_here: AtomicBool::new(false),
            is_end_logged: AtomicBool::new(false),
            put_back: record.and_then(|record| record.put_back),
            opened_with: stored.map(|(stamp, _)| stamp),
            result: OnceLock::new(),
            on_end: Mutex::new(on_end),
            threads: AtomicU64::new(threads),
            has_begun_here: threads > 0,
            numbers: ThreadNumbers::default(),
            has_cancelled: AtomicBool::new(false),
            taken_up: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
            drawn: AtomicU64::new(drawn),
            server,
            has_gates,
            has_long_calls,
            owner,
            neighbors,
            deadlock: Mutex::default(),
            me: me.clone(),
        })
    }

    /// Whether a retry has put back one of these threads just before they were taken; see [`SessionRecord::put_back`].
    pub fn is_put_back(&self, taken: &[Taken]) -> bool {
        let is_it = |put_back: PutBack| {
            taken.iter().any(|taken| taken.thread == put_back.thread && taken.held == Some(put_back.stamp))
        };
        self.put_back.is_some_and(is_it)
    }

    /// The version that its record had when this process opened it, unless it was started here.
    pub fn opened_with(&self) -> Option<Stamp> {
        self.opened_with
    }

    /// Writes the start of a durable session. This process holds its first thread, or leaves it to others.
    pub fn write_start(&self, is_held: bool) -> Result<(), StorageError> {
        if !self.is_resumable() {
            return Ok(());
        }
        let Some(live) = self.take_unwritten() else { return Ok(()) };
        let mut commit = Commit::new(self.stamps().next());
        step::start(&self.about, live, &mut commit);
        self.log_start(&mut commit);
        if self.has_demands() {
            self.demands.note(&commit);
        }
        commit.terms = self.terms();
        if is_held && self.is_leased() {
            commit.kept.push(step::FIRST);
            self.in_hand.hold(step::FIRST, commit.stamp);
        }
        let mut may_have_happened = false;
        loop {
            // The session may have been stored. From here on it must be determined whether it was.
            let records = if may_have_happened { &self.records } else { &self.impatient_records };
            match records.commit(&mut commit)? {
                Outcome::Unknown => may_have_happened = true,
                // Nobody else starts a session with this id.
                Outcome::Conflict if !may_have_happened => {
                    return Err(StorageError::Permanent("the session exists already".into()));
                }
                Outcome::Done | Outcome::Conflict => return Ok(()),
            }
        }
    }

    /// Adds the start of the first thread to the session's history, if it has one.
    pub fn log_start(&self, commit: &mut Commit) {
        if self.is_resumable() {
            info!(session = %self.id, function = %self.about.function, "a session begins");
            let event = crate::history::Event::Started {
                function: self.about.function.clone(),
                parent: None,
                arguments: String::new(),
            };
            commit.log.push(LogEntry { time: self.about.started, thread: step::FIRST, event });
        }
    }

    pub fn id(&self) -> &SessionId {
        &self.id
    }

    pub fn about(&self) -> &Arc<About> {
        &self.about
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn records(&self) -> &dyn SessionStorage {
        &*self.records
    }

    /// Becomes true when the session has ended here.
    pub fn over(&self) -> &Arc<AtomicBool> {
        &self.over
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether it is durable, so that another process can continue it.
    pub fn is_resumable(&self) -> bool {
        self.server.is_some()
    }

    /// Whether its threads are leased, so that some of them may run in other processes.
    pub fn is_leased(&self) -> bool {
        self.lease.is_some()
    }

    /// The lease terms of a commit that is made now, where threads are leased.
    pub fn terms(&self) -> Option<Terms> {
        self.lease.map(|lease| {
            let now = self.steady_now();
            Terms { now, until: now.after(lease) }
        })
    }

    /// Whether this process runs threads of this place. If the session has an owner, its process runs all of them.
    pub fn serves(&self, place: &Place) -> bool {
        let is_large_enough = |sizes: &Sizes| sizes.fit(place);
        !self.is_leased() || self.options.pools.serve(place) && self.sizes().is_none_or(is_large_enough)
    }

    /// The sizes of processes, if there are several and threads are leased.
    pub fn sizes(&self) -> Option<&Sizes> {
        self.options.sizes.as_ref().filter(|_| self.is_leased())
    }

    /// Whether some of its threads have another place than the default one.
    pub fn has_places(&self) -> bool {
        self.program.has_places() || self.has_long_calls
    }

    /// Whether this process serves the place of its first thread. True once the thread is written.
    pub fn serves_first(&self) -> bool {
        lock(&self.unwritten).as_ref().is_none_or(|live| self.serves(&live.demand.place))
    }

    /// The place of its first thread, before the thread is written.
    pub fn first_place(&self) -> Place {
        lock(&self.unwritten).as_ref().map_or_else(Place::default, |live| live.demand.place.clone())
    }

    /// The pools where each hint starts a process.
    pub fn started_pools(&self) -> Option<&Pools> {
        self.server.as_ref()?.started_pools()
    }

    /// A hint has come for a thread that this process does not hold.
    pub fn note_unheld(&self, thread: ThreadId) {
        if let Some(server) = &self.server {
            server.note_unheld(&self.id, thread);
        }
    }

    /// When this process is stopped, if that is known.
    pub fn deadline(&self) -> Option<Deadline> {
        self.server.as_ref()?.deadline()
    }

    /// Whether this process will be stopped soon, so that threads that compute are handed on.
    pub fn is_winding_down(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline.is_winding_down(self.steady_now()))
    }

    /// A hint for a thread, with its place.
    pub fn hint(&self, thread: ThreadId) -> Hint {
        Hint { place: self.demands.of(thread).place, ..Hint::now(thread) }
    }

    /// Whether some of its threads may run only in some processes.
    pub fn runs_by_place(&self) -> bool {
        self.is_leased() && self.has_places()
    }

    /// Whether its threads may demand a priority or a place.
    pub fn has_demands(&self) -> bool {
        self.program.has_priorities() || self.has_places()
    }

    /// How many more threads this process should hold, where threads are leased.
    pub fn room(&self) -> usize {
        self.server.as_ref().map_or(0, |server| server.room())
    }

    /// Tells other processes which threads they should run or, without hints, that the session has changed.
    pub fn dispatch(&self, hints: &[Hint]) {
        if let Some(server) = &self.server {
            server.dispatch(&self.id, hints);
        }
    }

    /// The threads that this process holds, where they are leased.
    pub fn held(&self) -> Vec<HeldThread> {
        self.in_hand
            .held()
            .into_iter()
            .map(|(thread, stamp)| HeldThread { session: self.id.clone(), thread, stamp })
            .collect()
    }

    /// Another process has taken a thread that this one held.
    pub fn lose_hold(&self, thread: ThreadId, stamp: Stamp) {
        warn!(session = %self.id, thread = thread.0, "another process has taken a thread");
        if self.in_hand.lose(thread, stamp) {
            self.cancel_call(thread);
        }
    }

    /// Whether its threads may be cancelled. Other processes cannot cancel those of a session in memory.
    pub fn may_have_cancelled(&self) -> bool {
        self.is_resumable() || self.has_cancelled.load(Ordering::Relaxed)
    }

    /// When this process took it over from another server, if it did.
    pub fn taken_up(&self) -> Option<Timestamp> {
        Some(Timestamp(self.taken_up.load(Ordering::Relaxed))).filter(|time| time.0 > 0)
    }

    /// It is taken over from another server, or from a lost worker.
    pub fn note_taken_up(&self) {
        self.taken_up.store(self.steady_now().0, Ordering::Relaxed);
    }

    /// A thread is about to be cancelled.
    pub fn set_has_cancelled(&self) {
        self.has_cancelled.store(true, Ordering::Relaxed);
    }

    /// The wall clock.
    pub fn now(&self) -> Timestamp {
        self.ports.surroundings.now()
    }

    /// The time used for timers.
    pub fn steady_now(&self) -> Timestamp {
        self.ports.surroundings.steady_now()
    }

    /// A failure of a thread, with a time after all other failures here.
    pub fn failure(&self, error: Error, thread: ThreadId) -> Failure {
        let now = self.steady_now().0;
        let last = self.last_failure.fetch_max(now, Ordering::AcqRel);
        let at = if last < now { now } else { self.last_failure.fetch_add(1, Ordering::AcqRel) + 1 };
        Failure::new(error, thread, Timestamp(at))
    }

    pub fn random(&self) -> u64 {
        self.ports.surroundings.random()
    }

    /// The value of an environment variable, if it is set.
    pub fn environment(&self, name: &str) -> Option<OsString> {
        self.ports.surroundings.environment(name)
    }

    /// A separate source of stamps for a worker.
    pub fn stamps(&self) -> Stamps<'_> {
        if self.is_resumable() {
            let drawn = match self.drawn.load(Ordering::Relaxed) {
                0 => 0,
                _ => self.drawn.swap(0, Ordering::Relaxed),
            };
            return Stamps::unique_from(&*self.ports.surroundings, NonZeroU64::new(drawn));
        }
        const STEP: u64 = 0xd134_2543_de82_ef95;
        let seed = self.drawn.fetch_add(STEP, Ordering::Relaxed);
        Stamps::of_seed(Sequence::new(seed).next())
    }

    pub fn take_unwritten(&self) -> Option<Box<Live>> {
        lock(&self.unwritten).take()
    }

    /// The session's record as it was last read, for a step whose commit checks that it is still current. Not used in
    /// memory, where reading is as fast.
    pub fn remembered_record(&self) -> Option<(Stamp, SessionRecord)> {
        lock(&self.record).clone()
    }

    /// Remembers this version of the session's record.
    pub fn remember_record(&self, stamp: Stamp, record: &SessionRecord) {
        if self.is_resumable() {
            let goes_on = record.state == SessionState::Running;
            *lock(&self.record) = goes_on.then(|| (stamp, record.clone()));
        }
    }

    /// A thread without calls has ended a step that began at this time.
    pub fn note_step(&self, since: Timestamp) {
        if let Some(server) = self.server.as_ref().filter(|_| self.is_leased()) {
            server.note_step(self.steady_now().since(since));
        }
    }

    /// The number of a thread that `parent` starts.
    pub fn reserve_thread(&self, parent: ThreadId) -> Result<ThreadId, StorageError> {
        self.threads.fetch_add(1, Ordering::Relaxed);
        self.numbers.take(&*self.records, parent)
    }

    /// Whether its first thread, loaded with this version, has started no other thread. Unless the thread began with
    /// this step, only the storage knows.
    pub fn has_one_thread(&self, loaded: Option<Stamp>) -> Result<bool, StorageError> {
        let knows = loaded.is_none_or(|version| self.new.is_of(version)) || !self.is_resumable();
        // Entries at gates must be removed before the session ends, which takes another step.
        Ok(!self.has_gates
            && self.threads.load(Ordering::Relaxed) <= u64::from(self.has_begun_here)
            && (knows || self.records.reserve(0)? == ThreadId(1)))
    }

    /// Notes that this process has taken its first thread, which has not begun.
    pub fn note_new(&self, record: &VersionedRecord, thread: &Row) -> Result<(), StorageError> {
        if !self.ports.invoker.is_remote()
            && let Some(live) = self.records.decode_thread(step::FIRST, thread)?
        {
            self.new.set(thread.stamp, live, record.clone());
        }
        Ok(())
    }

    /// Whether it runs in a worker process, for a supervisor that decides where threads run.
    pub fn is_supervised(&self) -> bool {
        self.upstream().is_some()
    }

    /// The supervisor, if there is one.
    pub fn upstream(&self) -> Option<&dyn Upstream> {
        self.server.as_ref()?.upstream()
    }

    /// The record of a new thread.
    pub fn live(&self, number: ThreadId, thread: Thread) -> Box<Live> {
        let priority = thread.priority(&self.program).unwrap_or(0);
        let home = match self.has_places() {
            true => Place::of_new(&thread, &self.program, self.sizes()),
            false => Place::default(),
        };
        let mut live = Live::new(thread);
        live.demand = Demand { priority, place: home.clone() };
        live.home = home;
        if let SuspendAt::Instructions { seed } = self.options.suspend_at {
            live.suspensions = Some(Box::new(Suspensions::new(seed, number.0)));
        }
        live
    }

    pub fn suspends(&self) -> bool {
        self.options.suspend_at != SuspendAt::Never
    }

    /// A slot for a foreign call, and whether the call must wait for a free process. In memory nobody needs to know.
    pub fn take_place(&self) -> (Option<CallPlace>, bool) {
        let place = self.server.as_ref().map(|server| server.take_place());
        let waits = place.as_ref().is_some_and(|place| place.taken() > self.ports.foreign.calls_at_a_time());
        (place, waits)
    }

    /// Begins a foreign call that is already counted as in flight. Its thread is invoked when the call has ended.
    pub fn call(&self, call: Call, place: Option<CallPlace>) {
        let (listener, answerer) = (self.me.clone(), self.me.clone());
        let (thread, made) = (call.id.thread, Try::from(&call));
        debug!(call = %call.id, attempt = call.attempt, "a function is called");
        self.ports.foreign.call(
            self.program.executable(),
            call,
            Box::new(move |event| {
                if let Some(session) = listener.upgrade() {
                    session.take_event(thread, made, event);
                }
            }),
            Box::new(move |answer| {
                drop(place);
                if let Some(session) = answerer.upgrade()
                    && session.take_answer(thread, made, answer)
                {
                    session.invoke(&[thread]);
                }
            }),
        );
    }

    /// Stops the foreign call of a thread, if one is in flight. Its answer arrives as usual.
    pub fn cancel_call(&self, thread: ThreadId) {
        if let Some(number) = self.in_hand.cancel_call(thread) {
            self.ports.foreign.cancel_call(&CallId { session: self.id.clone(), thread, number });
        }
    }

    /// Makes a foreign call that is already counted as in flight, and waits for it. The caller then gives the thread a
    /// turn.
    pub fn call_blocking(&self, call: Call, place: Option<CallPlace>) {
        let (thread, made) = (call.id.thread, Try::from(&call));
        debug!(call = %call.id, attempt = call.attempt, "a function is called");
        let executable = self.program.executable();
        let mut events = |event| self.take_event(thread, made, event);
        let answer = self.ports.foreign.call_blocking(executable, call, &mut events);
        drop(place);
        self.take_answer(thread, made, answer);
    }

    /// Keeps the result of a call for its thread's next turn. Returns false if the call could not be made; a durable
    /// session is then given up here and remains as it is.
    fn take_answer(&self, thread: ThreadId, made: Try, answer: Result<Value, CallError>) -> bool {
        let is_value = answer.is_ok();
        debug!(session = %self.id, thread = thread.0, attempt = made.attempt, is_value, "a call is answered");
        let answer = match answer {
            Ok(value) => Ok(value),
            Err(CallError::NotMade(why)) if self.is_resumable() => {
                self.fail_storage(&StorageError::Exhausted(why));
                return false;
            }
            Err(CallError::NotMade(why)) => Err(Error::of_python("NoProcess", why)),
            Err(CallError::Failed(error)) => Err(error),
        };
        let since = self.in_hand.answer(thread, made, answer);
        if let Some(server) = self.server.as_ref().filter(|_| self.is_leased())
            && let Some(since) = since
        {
            server.note_answered(self.steady_now().since(since));
        }
        true
    }

    /// Where threads are leased: withdraws the calls that were made before this time and have not begun. Their threads
    /// are no longer held; returns the versions with which they were.
    pub fn withdraw_calls(&self, made_before: Timestamp) -> Vec<HeldThread> {
        let mut withdrawn = Vec::new();
        for (thread, number, stamp) in self.in_hand.made_before(made_before) {
            let session = self.id.clone();
            if self.ports.foreign.withdraw(&CallId { session: session.clone(), thread, number }) {
                self.in_hand.withdraw(thread, number, stamp);
                withdrawn.push(HeldThread { session, thread, stamp });
            }
        }
        withdrawn
    }

    /// Has threads run. May be called outside of workers. The hints must have been counted.
    pub fn invoke(&self, threads: &[ThreadId]) {
        if let Some(session) = self.me.upgrade() {
            let runner: Arc<dyn Runner> = session;
            self.ports.invoker.invoke(&runner, threads);
        }
    }

    /// Counts work that has been added.
    pub fn add_work(&self, count: u64) {
        self.pending_work.fetch_add(count, Ordering::AcqRel);
    }

    /// Whether it has pending work.
    pub fn has_work(&self) -> bool {
        self.pending_work() > 0
    }

    /// The amount of pending work; see the field.
    pub fn pending_work(&self) -> u64 {
        self.pending_work.load(Ordering::Acquire)
    }

    /// Counts work that is done. An idle session in memory is over; a durable one is parked, because something outside
    /// may wake it.
    pub fn finish_work(&self, count: u64) {
        let before = self.pending_work.fetch_sub(count, Ordering::AcqRel);
        if self.is_leased()
            && let Some(server) = &self.server
        {
            server.note_room();
        }
        if before != count || self.is_over() {
            return;
        }
        if let Some(server) = &self.server {
            server.park(&self.id);
            return;
        }
        match self.may_be_let_in().and_then(|may_be| Ok(may_be || self.raise_deadlock()?)) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => return self.fail_storage(&error),
        }
        match deadlock::describe(self.records(), &self.program) {
            Ok(error) => drop(self.end_with(End::Deadlock(error))),
            Err(error) => self.fail_storage(&error),
        }
    }

    /// A thread continues at this time; its record has the timer. Returns whether the thread should run now.
    pub fn note_due(&self, thread: ThreadId, until: Timestamp) -> bool {
        if let Some(upstream) = self.upstream() {
            upstream.dispatch(&self.id, &[Hint::at(thread, until)]);
            return false;
        }
        let Some(server) = &self.server else { return false };
        let hint = Hint { not_before: Some(until), ..self.hint(thread) };
        if server.started_pools().is_some_and(|pools| pools.serve(&hint.place)) {
            server.dispatch(&self.id, &[hint]);
            return false;
        }
        server.note_due(until)
    }

    /// A thread has noticed that it is cancelled. The process that cancels the session may be lost before it has told
    /// all threads.
    pub fn note_interrupted(&self) {
        if let Some(upstream) = self.upstream() {
            upstream.report(&self.id, WorkerReport::Interrupted);
        } else if let Some(server) = &self.server {
            server.note_interrupted(&self.id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
