//! A session under way, as all workers share it.

mod busy;
mod calls;
mod given;
mod orphans;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hark_machine::{Program, Thread, Value};

use crate::commit::{Commit, Outcome};
use crate::deadlock;
use crate::engine::{Options, Ports};
use crate::foreign::Call;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamps, ThreadId};
use crate::invoker::{Runner, Seat};
use crate::limits::{DURABLE_THREADS_AT_A_TIME, THREADS_AT_A_TIME};
use crate::output::{Observer, OutputItem};
use crate::record::{About, Key, Live, Record, SessionState, Versioned};
use crate::remote::{Supervised, Told, Upstream};
use crate::report::{Report, SessionError, Status};
use crate::serving::Serving;
use crate::step;
use crate::storage::{Range, SessionStorage, StorageError};
use crate::surroundings::Timestamp;
use crate::suspend::{SuspendAt, Suspensions};
use crate::turn::Worker;
pub(crate) use busy::{Busy, Paused, Taken};
pub(crate) use calls::{Answered, CallState, Calls, Place, Places, Try};
pub(crate) use given::Given;
pub(crate) use orphans::Orphans;

/// A session under way.
pub(crate) struct Session {
    id: SessionId,
    about: Arc<About>,
    program: Arc<Program>,
    options: Options,
    ports: Ports,
    records: Arc<dyn SessionStorage>,
    output: Mutex<Output>,
    /// The first thread, as long as nothing of the session is written down.
    unwritten: Mutex<Option<Box<Live>>>,
    pub calls: Calls,
    pub busy: Busy,
    pub given: Given,
    /// Threads whose worker was lost.
    pub orphans: Orphans,
    /// Another server may have gone on with it.
    was_taken_over: AtomicBool,
    /// How much there is that makes something happen yet: hints not carried out, calls under way, in memory timers too.
    /// At nothing, with the session not over, its threads wait for each other, for nobody, or for what comes from
    /// outside. It is never too low.
    activity: AtomicU64,
    /// Whether the first thread has stopped. Only then looking for the session's end makes sense.
    first_stopped: AtomicBool,
    /// Why it ended, once it did.
    end: OnceLock<End>,
    over: Arc<AtomicBool>,
    /// The first thread's value, once that is written down.
    result: OnceLock<Value>,
    /// Called at its end.
    on_end: Mutex<Option<OnEnd>>,
    threads: AtomicU64,
    stamp_seeds: AtomicU64,
    /// Who serves it, if it can be taken up again.
    serving: Option<Arc<Serving>>,
    me: Weak<Session>,
}

/// Learns that a session has ended here.
pub(crate) type OnEnd = Box<dyn FnOnce(&Session) + Send>;

/// Why a session ended here.
#[derive(Debug)]
enum End {
    /// All its threads have stopped.
    Stopped(SessionState),
    /// It was ended from outside, for ever.
    Closed(Status),
    /// Whoever ran it was told to leave it.
    Interrupted,
    /// It cannot go on: its threads wait for each other.
    Deadlock(SessionError),
    /// Its storage does not let it go on.
    Storage(StorageError),
}

struct Output {
    observer: Arc<dyn Observer>,
    /// Empty unless output is kept.
    kept: Vec<OutputItem>,
}

/// What a session is made of.
pub(crate) struct Parts {
    pub id: SessionId,
    pub about: Arc<About>,
    pub program: Arc<Program>,
    pub options: Options,
    pub ports: Ports,
    pub records: Arc<dyn SessionStorage>,
    pub observer: Arc<dyn Observer>,
    pub serving: Option<Arc<Serving>>,
    pub on_end: Option<OnEnd>,
}

impl Session {
    /// A session that has not begun; nothing is written before its first step.
    pub fn new(parts: Parts, first: Thread) -> Result<Arc<Session>, StorageError> {
        parts.records.reserve(1)?;
        let session = Session::with(parts, 1, false);
        let live = session.live(step::FIRST, first);
        *lock(&session.unwritten) = Some(live);
        Ok(session)
    }

    /// A session that others have begun.
    pub fn resumed(parts: Parts, first_stopped: bool) -> Result<Arc<Session>, StorageError> {
        let threads = parts.records.reserve(0)?.0;
        Ok(Session::with(parts, threads, first_stopped))
    }

    fn with(parts: Parts, threads: u64, first_stopped: bool) -> Arc<Session> {
        let Parts { id, about, program, options, ports, records, observer, serving, on_end } = parts;
        let seed = ports.surroundings.random();
        Arc::new_cyclic(|me| Session {
            id,
            about,
            program,
            options,
            ports,
            records,
            output: Mutex::new(Output { observer, kept: Vec::new() }),
            unwritten: Mutex::default(),
            calls: Calls::default(),
            busy: Busy::default(),
            given: Given::default(),
            orphans: Orphans::default(),
            was_taken_over: AtomicBool::new(false),
            activity: AtomicU64::new(0),
            first_stopped: AtomicBool::new(first_stopped),
            end: OnceLock::new(),
            over: Arc::default(),
            result: OnceLock::new(),
            on_end: Mutex::new(on_end),
            threads: AtomicU64::new(threads),
            stamp_seeds: AtomicU64::new(seed),
            serving,
            me: me.clone(),
        })
    }

    /// Writes down that it has begun, if it can be taken up again.
    pub fn write_start(&self) -> Result<(), StorageError> {
        if !self.is_resumable() {
            return Ok(());
        }
        let Some(live) = self.take_unwritten() else { return Ok(()) };
        let mut commit = Commit::new(self.stamps().next());
        step::start(&self.about, live, &mut commit);
        self.log_start(&mut commit);
        let mut may_have_happened = false;
        loop {
            match self.records.commit(&mut commit)? {
                Outcome::Unknown => may_have_happened = true,
                // Nobody else begins a session with this id.
                Outcome::Conflict if !may_have_happened => {
                    return Err(StorageError::Permanent("the session exists already".into()));
                }
                Outcome::Done | Outcome::Conflict => return Ok(()),
            }
        }
    }

    /// Enters the first thread's start into the session's history, if there is one.
    pub fn log_start(&self, commit: &mut Commit) {
        if self.is_resumable() {
            let event = crate::history::Event::Started { function: self.about.function.clone(), parent: None };
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

    /// Whether it can be taken up again when its worker is lost.
    pub fn is_resumable(&self) -> bool {
        self.serving.is_some()
    }

    pub fn now(&self) -> Timestamp {
        self.ports.surroundings.now()
    }

    pub fn random(&self) -> u64 {
        self.ports.surroundings.random()
    }

    /// A source of stamps of its own for a worker.
    pub fn stamps(&self) -> Stamps {
        const STEP: u64 = 0xd134_2543_de82_ef95;
        Stamps::new(Stamps::new(self.stamp_seeds.fetch_add(STEP, Ordering::Relaxed)).next_random())
    }

    pub fn take_unwritten(&self) -> Option<Box<Live>> {
        lock(&self.unwritten).take()
    }

    pub fn reserve_thread(&self) -> Result<ThreadId, StorageError> {
        self.threads.fetch_add(1, Ordering::Relaxed);
        self.records.reserve(1)
    }

    /// Whether its first thread has started no other. What it did elsewhere is known here only if all that it did is this
    /// step.
    pub fn has_one_thread(&self, begins_here: bool) -> Result<bool, StorageError> {
        let knows = begins_here || !self.is_resumable();
        Ok(self.threads.load(Ordering::Relaxed) == 1 && (knows || self.records.reserve(0)? == ThreadId(1)))
    }

    /// Whom to tell what concerns others than the thread that runs, if that is in another process.
    pub fn upstream(&self) -> Option<&dyn Upstream> {
        self.serving.as_ref()?.upstream()
    }

    /// The record of a new thread.
    pub fn live(&self, number: ThreadId, thread: Thread) -> Box<Live> {
        let mut live = Live::new(thread);
        if let SuspendAt::Instructions { seed } = self.options.suspend_at {
            live.suspensions = Some(Box::new(Suspensions::new(seed, number.0)));
        }
        live
    }

    pub fn suspends(&self) -> bool {
        self.options.suspend_at != SuspendAt::Never
    }

    /// Makes a commit; of its log, so many entries have been shown already. What it printed is seen in the order of the
    /// commits: nobody can see that the commit is done, and print for it, before the observer has its output.
    pub fn commit(&self, commit: &mut Commit, shown: usize) -> Result<Outcome, StorageError> {
        let prints = commit.log[shown.min(commit.log.len())..].iter().any(LogEntry::is_printed);
        if !prints {
            return self.records.commit(commit);
        }
        if self.is_resumable() {
            // Many commits should be under way at a time, so the lock is taken afterwards: each thread's output is in
            // order, and that of several as their commits returned.
            let mut printed: Vec<OutputItem> = commit.log[shown..].iter().filter_map(LogEntry::printed).collect();
            let outcome = self.records.commit(commit)?;
            if outcome == Outcome::Done {
                self.show(&mut lock(&self.output), &mut printed);
            }
            return Ok(outcome);
        }
        let mut output = lock(&self.output);
        let outcome = self.records.commit(commit)?;
        if outcome == Outcome::Done {
            let mut printed = commit.log.drain(..).filter_map(LogEntry::into_printed).collect();
            self.show(&mut output, &mut printed);
        }
        Ok(outcome)
    }

    /// Shows what a foreign function printed.
    fn print(&self, thread: ThreadId, made: Try, text: String) {
        let item = OutputItem { time: self.now(), thread, text };
        if self.is_resumable() {
            self.calls.print(made, &item);
        }
        self.show(&mut lock(&self.output), &mut vec![item]);
    }

    fn show(&self, output: &mut Output, items: &mut Vec<OutputItem>) {
        if let Some(upstream) = self.upstream() {
            upstream.tell(&self.id, Told::Printed(std::mem::take(items)));
            return;
        }
        if self.is_over() && !self.is_resumable() {
            return;
        }
        output.observer.output(items);
        if self.options.keep_output && !self.is_resumable() {
            output.kept.append(items);
        }
    }

    /// A place for a foreign call that is to be made, and whether the call has to wait for others. In memory nobody asks.
    pub fn take_place(&self) -> (Option<Place>, bool) {
        let place = self.serving.as_ref().map(|serving| serving.take_place());
        let waits = place.as_ref().is_some_and(|place| place.taken() > self.ports.foreign.calls_at_a_time());
        (place, waits)
    }

    /// Begins a foreign call, which is among those under way already; its thread is invoked when it is over.
    pub fn call(&self, call: Call, place: Option<Place>) {
        let (printer, answerer) = (self.me.clone(), self.me.clone());
        let (thread, made) = (call.id.thread, Try::from(&call));
        self.ports.foreign.call(
            self.program.executable(),
            call,
            Box::new(move |text| {
                if let Some(session) = printer.upgrade() {
                    session.print(thread, made, text);
                }
            }),
            Box::new(move |answer| {
                drop(place);
                if let Some(session) = answerer.upgrade() {
                    session.calls.answer(thread, made, answer);
                    session.invoke(&[thread]);
                }
            }),
        );
    }

    /// Makes a foreign call that is among those under way already, and waits for its end. Its thread is to be given a turn then.
    pub fn call_blocking(&self, call: Call, place: Option<Place>) {
        let (thread, made) = (call.id.thread, Try::from(&call));
        let executable = self.program.executable();
        let answer = self.ports.foreign.call_blocking(executable, call, &mut |text| self.print(thread, made, text));
        drop(place);
        self.calls.answer(thread, made, answer);
    }

    /// Wakes those who wait for a Future with records of their own.
    pub fn wake_rest(&self, future: &FutureId) -> Result<(), StorageError> {
        let mut seat = NoSeat(self);
        Worker::new(self, &mut seat).wake_rest(future)
    }

    /// Wakes those whose waking was begun.
    pub fn finish_todos(&self) -> Result<(), StorageError> {
        for todo in self.records.scan(Range::Todos, usize::MAX)? {
            if let Record::Todo(future) = todo {
                self.wake_rest(&future)?;
            }
        }
        Ok(())
    }

    /// Has threads run, from outside of a worker. The hints must have been counted.
    pub fn invoke(&self, threads: &[ThreadId]) {
        if let Some(session) = self.me.upgrade() {
            let runner: Arc<dyn Runner> = session;
            self.ports.invoker.invoke(&runner, threads);
        }
    }

    /// More will happen.
    pub fn add_activity(&self, count: u64) {
        self.activity.fetch_add(count, Ordering::AcqRel);
    }

    pub fn is_active(&self) -> bool {
        self.activity.load(Ordering::Acquire) > 0
    }

    /// So much has happened. If nothing more can, the session is over, unless something outside may go on with it.
    pub fn remove_activity(&self, count: u64) {
        if self.activity.fetch_sub(count, Ordering::AcqRel) != count || self.is_over() {
            return;
        }
        if let Some(serving) = &self.serving {
            serving.park(self);
            return;
        }
        match deadlock::describe(self.records(), &self.program) {
            Ok(error) => drop(self.end_with(End::Deadlock(error))),
            Err(error) => self.fail_storage(&error),
        }
    }

    /// A thread goes on at this time, for which a timer is kept with its record.
    pub fn note_due(&self, until: Timestamp) {
        if let Some(upstream) = self.upstream() {
            upstream.tell(&self.id, Told::Due(until));
        } else if let Some(serving) = &self.serving {
            serving.note_due(until);
        }
    }

    /// The first thread has stopped, with this value if it did not fail.
    pub fn set_first_stopped(&self, value: Option<&Value>) {
        if let Some(value) = value {
            let _ = self.result.set(value.clone());
        }
        self.first_stopped.store(true, Ordering::SeqCst);
    }

    /// Ends the session if its threads have all stopped.
    pub fn look_for_end(&self, stamps: &mut Stamps) -> Result<(), StorageError> {
        // Another process may know that the first thread has stopped.
        if !self.first_stopped.load(Ordering::SeqCst) && self.upstream().is_none() {
            return Ok(());
        }
        loop {
            let mut found = Vec::new();
            self.records.read(&[Key::Session], &mut found)?;
            let Some(Some(versioned)) = found.pop() else { return Ok(()) };
            let Record::Session(session) = versioned.record else { return Ok(()) };
            if session.state.is_over() {
                self.set_ended(session.state);
                return Ok(());
            }
            // Looked at after the session's record: if someone has it go on meanwhile, with threads that run again,
            // that record is another one.
            if !session.first_stopped || !self.records.scan(Range::Live(step::FIRST), 1)?.is_empty() {
                return Ok(());
            }
            let failed = !self.records.scan(Range::Unawaited, 1)?.is_empty();
            let state = if failed { SessionState::Broken } else { SessionState::Finished };
            let mut commit = Commit::new(stamps.next());
            step::end(versioned.stamp, &session, state, self.now(), &mut commit);
            // If it was not done, another thread, which stopped at the same time, has ended it, or someone outside, or
            // the answer was lost: the record tells.
            if self.records.commit(&mut commit)? == Outcome::Done {
                self.set_ended(state);
                return Ok(());
            }
        }
    }

    /// Ends the session here if its record says that it is over. Answers whether there is one.
    fn look_closed(&self) -> Result<bool, StorageError> {
        let mut found = Vec::new();
        self.records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { record: Record::Session(session), .. })) = found.pop() else { return Ok(false) };
        self.set_ended(session.state);
        Ok(true)
    }

    /// Ends the session here, which is no more this server's, if it has been written down at all.
    pub fn look_taken_over(&self) -> Result<(), StorageError> {
        self.was_taken_over.store(true, Ordering::Release);
        if self.look_closed()? && !self.is_over() {
            return Err(StorageError::TakenOver);
        }
        Ok(())
    }

    /// Removes what woke a thread that is no more. One that is retried is there before it is woken.
    pub fn forget_wake(&self, thread: ThreadId, commit: &mut Commit) -> Result<(), StorageError> {
        let mut found = Vec::with_capacity(2);
        self.records.read(&[Key::Ready(thread), Key::Live(thread)], &mut found)?;
        if let (Some(None), Some(Some(ready))) = (found.pop(), found.pop()) {
            commit.expect.push((Key::Live(thread), None));
            commit.expect.push((Key::Ready(thread), Some(ready.stamp)));
            commit.delete.push(Key::Ready(thread));
            // If it is not done, it is found again.
            let _ = self.records.commit(commit)?;
        }
        Ok(())
    }

    /// The session's record says that it is over.
    pub fn set_ended(&self, state: SessionState) {
        match state {
            SessionState::Running => {}
            SessionState::Finished | SessionState::Broken => {
                let is_first_to_see = !self.is_over();
                self.end_with(End::Stopped(state));
                if is_first_to_see
                    && state == SessionState::Broken
                    && let Some(serving) = &self.serving
                {
                    // If the storage fails, its next server will see.
                    let _ = serving.look_for_retry(&self.id);
                }
            }
            SessionState::Cancelled => self.close(Status::Cancelled),
            SessionState::Moved => self.close(Status::Moved),
        }
    }

    fn close(&self, status: Status) {
        self.end_with(End::Closed(status));
        self.ports.foreign.cancel(&self.id);
    }

    /// Ends the session here because its storage does not work.
    pub fn fail_storage(&self, error: &StorageError) {
        if *error == StorageError::TakenOver {
            self.was_taken_over.store(true, Ordering::Release);
        }
        let is_unseen = self.end_with(End::Storage(error.clone()));
        if let Some(serving) = self.serving.as_ref().filter(|_| is_unseen) {
            serving.note_failure(&self.id, error.clone());
        }
    }

    /// Someone waits for its end, who may have come too late for a part of its output.
    pub fn watch(&self, observer: Arc<dyn Observer>, on_end: OnEnd) {
        lock(&self.output).observer = observer;
        *lock(&self.on_end) = Some(on_end);
        // Whoever ended it meanwhile has not seen that, or has called it.
        if self.is_over() {
            self.call_on_end();
        }
    }

    /// Answers whether there was someone to call.
    fn call_on_end(&self) -> bool {
        let on_end = lock(&self.on_end).take();
        match on_end {
            Some(on_end) => {
                on_end(self);
                true
            }
            None => false,
        }
    }

    /// Whoever runs it wants no more of it. One that can be taken up again stays as it is.
    pub fn interrupt(&self) {
        self.end_with(End::Interrupted);
        self.ports.foreign.cancel(&self.id);
    }

    /// Answers whether it ends with this, and nobody waits for that.
    fn end_with(&self, end: End) -> bool {
        if self.end.set(end).is_err() {
            // The first reason counts.
            return false;
        }
        self.over.store(true, Ordering::Release);
        self.tell_end();
        if let Some(session) = self.me.upgrade().filter(|_| self.ports.invoker.is_remote()) {
            let runner: Arc<dyn Runner> = session;
            self.ports.invoker.forget(&runner);
        }
        let is_watched = self.serving.as_ref().is_none_or(|serving| serving.leave(&self.id));
        if !self.call_on_end() {
            // Someone serves until it is over.
            self.ports.invoker.nudge();
        }
        !is_watched
    }

    /// Tells a supervisor that it is over here.
    fn tell_end(&self) {
        let Some(upstream) = self.upstream() else { return };
        match self.end.get() {
            Some(End::Storage(error)) => upstream.tell(&self.id, Told::Failed(error.clone())),
            // Then the supervisor is the one who wants no more of it.
            Some(End::Interrupted) | None => {}
            Some(_) => upstream.tell(&self.id, Told::Ended),
        }
    }

    /// Whether there is something of it that can be taken up again. It is believed of a storage that does not answer.
    fn is_written(&self) -> bool {
        let mut found = Vec::new();
        let read = self.records.read(&[Key::Session], &mut found);
        read.is_err() || found.iter().any(Option::is_some)
    }

    /// What the session came to. It must be over.
    pub fn report(&self) -> Report {
        let status = match self.end.get() {
            Some(End::Closed(status)) => Some(*status),
            Some(End::Interrupted) if self.is_resumable() => Some(Status::Suspended),
            Some(End::Interrupted) => Some(Status::Cancelled),
            Some(End::Storage(_)) if self.is_resumable() && self.is_written() => Some(Status::Suspended),
            Some(End::Storage(_) | End::Deadlock(_)) => Some(Status::Broken),
            // Though someone may retry it already.
            Some(End::Stopped(SessionState::Broken)) => Some(Status::Broken),
            _ => None,
        };
        let mut report = match (self.end.get(), self.result.get()) {
            // What is to be told of it is known here.
            (Some(End::Stopped(SessionState::Finished)), Some(result)) => Report::finished(&self.id, result.clone()),
            _ => Report::of_records(&self.id, &*self.records, status),
        };
        match self.end.get() {
            Some(End::Deadlock(error)) => report.errors.push(error.clone()),
            Some(End::Storage(error)) => report.add_storage_error(error),
            _ => {}
        }
        report.was_taken_over = self.was_taken_over.load(Ordering::Acquire);
        // In other processes more may have been started.
        report.threads = report.threads.max(self.threads.load(Ordering::Relaxed));
        if self.is_resumable() && self.options.keep_output {
            if let Err(error) = report.read_output(&*self.records) {
                report.add_storage_error(&error);
            }
        } else if self.options.keep_output {
            report.output = std::mem::take(&mut lock(&self.output).kept);
        }
        report
    }
}

/// Where hints go that no worker gives.
struct NoSeat<'a>(&'a Session);

impl Seat for NoSeat<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.0.invoke(threads);
    }

    // The rest is asked for by threads that run, and none does here.
    fn invoke_after(&mut self, _thread: ThreadId, _delay: Duration) {}

    fn begin_blocking(&mut self) -> bool {
        false
    }

    fn end_blocking(&mut self) {}

    fn step_aside(&mut self) {}

    fn step_back(&mut self) {}
}

impl Runner for Session {
    fn run(&self, threads: &[ThreadId], seat: &mut dyn Seat) -> usize {
        Worker::new(self, seat).run(threads)
    }

    fn threads_at_a_time(&self) -> usize {
        if self.is_resumable() { DURABLE_THREADS_AT_A_TIME } else { THREADS_AT_A_TIME }
    }

    fn supervised(self: Arc<Self>) -> Option<Arc<dyn Supervised>> {
        Some(self)
    }
}

impl Supervised for Session {
    fn id(&self) -> &SessionId {
        &self.id
    }

    fn lose_worker(self: Arc<Self>, threads: &[ThreadId]) {
        self.orphans.add(threads);
        // It may have been lost between a commit and what follows from that.
        self.add_activity(1);
        let taken = self.serving.as_ref().map_or(Ok(()), |serving| serving.take_up(&self, false));
        if let Err(error) = taken {
            self.fail_storage(&error);
        }
    }

    fn take_lost(&self, threads: &[ThreadId]) -> Vec<ThreadId> {
        threads.iter().copied().filter(|thread| self.orphans.take(*thread)).collect()
    }

    fn hear(self: Arc<Self>, told: Told) {
        match told {
            Told::Invoke(threads) => {
                self.add_activity(threads.len() as u64);
                self.invoke(&threads);
            }
            Told::Settled(_, count) => self.remove_activity(count),
            Told::Due(until) => self.note_due(until),
            Told::Printed(mut items) => self.show(&mut lock(&self.output), &mut items),
            Told::Failed(error) => self.fail_storage(&error),
            Told::Ended => {
                if let Err(error) = self.look_closed() {
                    self.fail_storage(&error);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
