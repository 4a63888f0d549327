//! A session under way, as all workers share it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use hark_machine::{Error, Program, Thread, Value};

use crate::commit::{Commit, Outcome};
use crate::deadlock;
use crate::engine::{Options, Ports};
use crate::foreign::Call;
use crate::id::{SessionId, Stamp, Stamps, ThreadId};
use crate::invoker::{Runner, Seat};
use crate::output::{Observer, OutputItem};
use crate::record::{FutureRecord, Key, Live, Record};
use crate::report::{Report, SessionError, Status, root_causes};
use crate::step;
use crate::storage::{Range, SessionStorage, StorageError};
use crate::surroundings::Timestamp;
use crate::suspend::{SuspendAt, Suspensions};
use crate::turn::Worker;

/// A session under way.
pub(crate) struct Session {
    id: SessionId,
    program: Arc<Program>,
    options: Options,
    ports: Ports,
    records: Arc<dyn SessionStorage>,
    output: Mutex<Output>,
    /// What foreign calls came to, until their threads' turns: which call it was, and the answer.
    answers: Mutex<HashMap<ThreadId, (u64, Answered)>>,
    /// How much there is that makes something happen yet: hints not carried out, timers, calls under way. At nothing,
    /// with the session not over, its threads wait for each other or for nobody. It is never too low.
    activity: AtomicU64,
    /// Whether the first thread has stopped. Only then looking for the session's end makes sense.
    first_stopped: AtomicBool,
    /// Why it ended, once it did.
    end: OnceLock<End>,
    over: Arc<AtomicBool>,
    threads: AtomicU64,
    stamp_seeds: AtomicU64,
    me: Weak<Session>,
}

/// What a foreign call came to.
pub(crate) type Answered = Result<Value, Error>;

/// Why a session ended.
#[derive(Debug)]
enum End {
    /// All its threads have stopped.
    Stopped,
    Cancelled,
    /// It cannot go on: a deadlock, or a storage that fails.
    Error(SessionError),
}

struct Output {
    observer: Arc<dyn Observer>,
    /// Empty unless output is kept.
    kept: Vec<OutputItem>,
}

impl Session {
    pub fn new(
        id: SessionId,
        program: Arc<Program>,
        options: Options,
        ports: Ports,
        records: Arc<dyn SessionStorage>,
        observer: Arc<dyn Observer>,
    ) -> Arc<Session> {
        let seed = ports.surroundings.random();
        Arc::new_cyclic(|me| Session {
            id,
            program,
            options,
            ports,
            records,
            output: Mutex::new(Output { observer, kept: Vec::new() }),
            answers: Mutex::default(),
            activity: AtomicU64::new(1),
            first_stopped: AtomicBool::new(false),
            end: OnceLock::new(),
            over: Arc::default(),
            threads: AtomicU64::new(0),
            stamp_seeds: AtomicU64::new(seed),
            me: me.clone(),
        })
    }

    /// Writes the records that the session begins with. The hint to run its first thread is the caller's to give.
    pub fn start(&self, first: Thread) -> Result<(), StorageError> {
        self.reserve_thread()?;
        let mut commit = Commit::new(self.stamps().next());
        step::start(self.live(step::FIRST, first), &mut commit);
        match self.records.commit(&mut commit)? {
            Outcome::Done => Ok(()),
            Outcome::Conflict | Outcome::Unknown => Err(StorageError::Permanent("the session exists already".into())),
        }
    }

    pub fn id(&self) -> &SessionId {
        &self.id
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub fn records(&self) -> &dyn SessionStorage {
        &*self.records
    }

    /// Becomes true when the session has ended.
    pub fn over(&self) -> &Arc<AtomicBool> {
        &self.over
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    pub fn now(&self) -> Timestamp {
        self.ports.surroundings.now()
    }

    /// A source of stamps of its own for a worker.
    pub fn stamps(&self) -> Stamps {
        const STEP: u64 = 0xd134_2543_de82_ef95;
        Stamps::new(Stamps::new(self.stamp_seeds.fetch_add(STEP, Ordering::Relaxed)).next_random())
    }

    pub fn reserve_thread(&self) -> Result<ThreadId, StorageError> {
        self.threads.fetch_add(1, Ordering::Relaxed);
        self.records.reserve(1)
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

    /// Makes a commit. What it printed is seen in the order of the commits: nobody can see that the commit is done, and
    /// print for it, before the observer has its output.
    pub fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        if commit.log.is_empty() {
            return self.records.commit(commit);
        }
        let mut output = lock(&self.output);
        let outcome = self.records.commit(commit)?;
        if outcome == Outcome::Done {
            self.show(&mut output, &mut commit.log);
        }
        Ok(outcome)
    }

    /// Shows what a foreign function printed.
    pub fn print(&self, thread: ThreadId, text: String) {
        let mut output = lock(&self.output);
        self.show(&mut output, &mut vec![OutputItem { time: self.now(), thread, text }]);
    }

    fn show(&self, output: &mut Output, items: &mut Vec<OutputItem>) {
        if self.is_over() {
            return;
        }
        output.observer.output(items);
        if self.options.keep_output {
            output.kept.append(items);
        }
        items.clear();
    }

    /// Begins a foreign call; its thread is invoked when it is over.
    pub fn call(&self, call: Call) {
        let (printer, answerer) = (self.me.clone(), self.me.clone());
        let (thread, number) = (call.id.thread, call.id.number);
        self.ports.foreign.call(
            self.program.executable(),
            call,
            Box::new(move |text| {
                if let Some(session) = printer.upgrade() {
                    session.print(thread, text);
                }
            }),
            Box::new(move |answer| {
                if let Some(session) = answerer.upgrade() {
                    session.answer(thread, number, answer);
                    let invoker = session.ports.invoker.clone();
                    let runner: Arc<dyn Runner> = session;
                    invoker.invoke(&runner, &[thread]);
                }
            }),
        );
    }

    /// Makes a foreign call and waits for its end. Its thread is to be given a turn then.
    pub fn call_blocking(&self, call: Call) {
        let (thread, number) = (call.id.thread, call.id.number);
        let executable = self.program.executable();
        let answer = self.ports.foreign.call_blocking(executable, call, &mut |text| self.print(thread, text));
        self.answer(thread, number, answer);
    }

    /// Keeps what a foreign call came to for its thread's next turn. The first answer counts.
    pub fn answer(&self, thread: ThreadId, number: u64, answer: Answered) {
        lock(&self.answers).entry(thread).or_insert((number, answer));
    }

    /// What this call of the thread came to, if it is over.
    pub fn take_answer(&self, thread: ThreadId, number: u64) -> Option<Answered> {
        let mut answers = lock(&self.answers);
        match answers.get(&thread) {
            Some((known, _)) if *known == number => answers.remove(&thread).map(|(_, answer)| answer),
            _ => None,
        }
    }

    /// More will happen.
    pub fn add_activity(&self, count: u64) {
        self.activity.fetch_add(count, Ordering::AcqRel);
    }

    /// So much has happened. If nothing more can, the session is over.
    pub fn remove_activity(&self, count: u64) {
        if self.activity.fetch_sub(count, Ordering::AcqRel) == count && !self.is_over() {
            match deadlock::describe(self.records(), &self.program) {
                Ok(error) => self.end_with(End::Error(error)),
                Err(error) => self.fail_storage(&error),
            }
        }
    }

    /// The first thread has stopped.
    pub fn set_first_stopped(&self) {
        self.first_stopped.store(true, Ordering::SeqCst);
    }

    /// Ends the session if its threads have all stopped.
    pub fn look_for_end(&self, stamp: Stamp) -> Result<(), StorageError> {
        if !self.first_stopped.load(Ordering::SeqCst) || !self.records.scan(Range::Live(step::FIRST), 1)?.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        self.records.read(&[Key::Session], &mut found)?;
        let Some(Some(session)) = found.pop() else { return Ok(()) };
        let mut commit = Commit::new(stamp);
        step::end(session.stamp, self.now(), &mut commit);
        // A conflict says that another thread, which stopped at the same time, has ended it.
        let _ = self.records.commit(&mut commit)?;
        self.end_with(End::Stopped);
        Ok(())
    }

    /// Ends the session because its storage does not work.
    pub fn fail_storage(&self, error: &StorageError) {
        let error = Error::new("storage", error.to_string());
        self.end_with(End::Error(SessionError { thread: step::FIRST, error }));
    }

    pub fn cancel(&self) {
        self.end_with(End::Cancelled);
        self.ports.foreign.cancel(&self.id);
    }

    fn end_with(&self, end: End) {
        // The first reason counts.
        if self.end.set(end).is_ok() {
            self.over.store(true, Ordering::Release);
            self.ports.invoker.nudge();
        }
    }

    /// What the session came to. It must be over.
    pub fn report(&self) -> Report {
        let mut errors = match self.unawaited() {
            Ok(errors) => errors,
            Err(error) => {
                vec![SessionError { thread: step::FIRST, error: Error::new("storage", error.to_string()) }]
            }
        };
        if let Some(End::Error(error)) = self.end.get() {
            errors.push(error.clone());
        }
        let status = match self.end.get() {
            Some(End::Cancelled) => Status::Cancelled,
            _ if !errors.is_empty() => Status::Broken,
            _ => Status::Finished,
        };
        Report {
            session: self.id.clone(),
            status,
            result: if status == Status::Finished { self.result() } else { None },
            output: std::mem::take(&mut lock(&self.output).kept),
            errors,
            threads: self.threads.load(Ordering::Relaxed),
        }
    }

    fn unawaited(&self) -> Result<Vec<SessionError>, StorageError> {
        let failures = self.records.scan(Range::Unawaited, usize::MAX)?;
        Ok(root_causes(failures.into_iter().filter_map(|record| match record {
            Record::Unawaited(_, failure) => Some(*failure),
            _ => None,
        })))
    }

    fn result(&self) -> Option<Value> {
        let mut found = Vec::new();
        self.records.read(&[Key::Future(step::FIRST)], &mut found).ok()?;
        match found.pop()??.record {
            Record::Future(_, FutureRecord::Resolved(value)) => Some(value),
            _ => None,
        }
    }
}

impl Runner for Session {
    fn run(&self, threads: &[ThreadId], seat: &mut dyn Seat) -> usize {
        Worker::new(self, seat).run(threads)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
