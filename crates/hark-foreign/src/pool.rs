//! The workers that there are, who has one, and who waits for one.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::{CallError, CallEvent, CallSink};
use hark_machine::{Error, Value};
use rustix::process::{Resource, getrlimit};
use tracing::{debug, trace, warn};

use crate::call::{Call, session_of};
use crate::death::Process;
use crate::interpreter::Interpreter;
use crate::limits::{
    FILES_OF_OTHERS, FILES_OF_WORKER, KILLED_WAIT, SHORTAGE_TIME_MAX, SHORTAGE_WAIT, START_TIMEOUT, START_TURN,
};
use crate::outcome::result_of;
use crate::package;
use crate::protocol::Outcome;
use crate::queue::{Done, Job, Queue};
use crate::scratch::Scratch;
use crate::worker::{self, Fault, Plan, StartError, Worker};

/// Which Python is to run, and what it finds there.
#[derive(Debug, Clone)]
pub struct PythonConfig {
    /// The interpreter; else that of the active virtual environment, of the project's `.venv`, or `python3`. A relative
    /// path begins at the project.
    pub interpreter: Option<PathBuf>,
    /// The project's folder; modules in it can be imported.
    pub project: PathBuf,
    /// Another folder of modules.
    pub python_src: PathBuf,
    /// The file that lists the packages that the project needs.
    pub requirements: PathBuf,
    /// Where the pickles of large objects are while this process has them.
    pub pickles: PicklePlace,
    /// How many workers run at a time; one at least. Where a process may have few files open, there are fewer.
    pub workers: usize,
    /// The program that is started as the guard of each worker, and the guard's keeper: one that begins with
    /// [`run_if_asked`](crate::guard::run_if_asked).
    pub guard: OsString,
    /// Takes what is to be told to the user and no call's error, once each.
    pub warn: fn(&str),
}

/// Where large pickles are while a process has them.
#[derive(Debug, Clone)]
pub enum PicklePlace {
    /// Among the user's temporary files.
    Temporary,
    /// In this folder, which only the user can change.
    Folder(PathBuf),
}

/// Runs calls in worker processes, which are started when they are needed and end with it.
pub struct PythonPool {
    shared: Arc<Shared>,
}

struct Shared {
    interpreter: Interpreter,
    project: PathBuf,
    python_src: PathBuf,
    requirements: PathBuf,
    guard: OsString,
    pickles: PicklePlace,
    workers_max: usize,
    /// How many workers start at a time, unless they are slow at it.
    starting_max: usize,
    start_time_max: Duration,
    warn: fn(&str),
    state: Mutex<State>,
    /// A worker was started, came back or was lost, or a call was cancelled.
    changed: Condvar,
    queue: Queue,
}

#[derive(Default)]
struct State {
    /// The one that worked last comes last, and is taken first: it is the warmest.
    idle: Vec<Worker>,
    /// Idle, busy and starting ones.
    workers: usize,
    /// When those that are starting began to.
    starting: Vec<Instant>,
    /// Calls that have a worker or wait for one.
    calls: HashMap<u64, CallUnderWay>,
    calls_begun: u64,
    /// How many threads wait for a change. Telling nobody costs a system call, too.
    waiting: usize,
    /// What was warned of: each worker that loads a module finds the same.
    warnings: HashSet<String>,
    /// The folder for pickles, made with the first worker. There is none where that is impossible, and after the end.
    scratch: Option<Arc<Scratch>>,
    /// There is to be no such folder any more.
    has_no_files: bool,
    is_closed: bool,
}

struct CallUnderWay {
    id: String,
    /// Somebody waits for its answer on the OS thread that makes it.
    is_blocking: bool,
    /// It has a worker, or one is started for it.
    has_begun: bool,
    is_cancelled: bool,
    process: Option<Process>,
}

impl PythonPool {
    /// A pool without workers.
    pub fn new(config: PythonConfig) -> PythonPool {
        PythonPool::with_start_timeout(config, START_TIMEOUT)
    }

    /// A pool whose interpreter has this time to answer.
    pub fn with_start_timeout(config: PythonConfig, start_time_max: Duration) -> PythonPool {
        let workers_max = config.workers.min(workers_possible()).max(1);
        let shared = Shared {
            interpreter: Interpreter::find(config.interpreter.as_deref(), &config.project),
            project: absolute(&config.project),
            python_src: absolute(&config.python_src),
            requirements: absolute(&config.requirements),
            guard: config.guard,
            pickles: config.pickles,
            workers_max,
            starting_max: thread::available_parallelism().map_or(1, usize::from),
            start_time_max,
            warn: config.warn,
            state: Mutex::default(),
            changed: Condvar::new(),
            queue: Queue::new(workers_max),
        };
        PythonPool { shared: Arc::new(shared) }
    }

    /// How many calls run at a time.
    pub fn workers_max(&self) -> usize {
        self.shared.workers_max
    }

    /// Makes a call on this OS thread, with an idle worker or a new one; waits for its turn if all are busy. `events` gets
    /// everything that comes of the call before this returns.
    ///
    /// # Errors
    /// What the function raised, or why it could not be called.
    pub fn call_blocking(&self, call: &Call, events: &mut dyn FnMut(CallEvent)) -> Result<Value, CallError> {
        let number = self.shared.enter(call, true);
        // A call that is cancelled before its turn is not made.
        let turn = self.shared.queue.wait_for_turn(call.priority, || self.shared.is_cancelled(number));
        // One that somebody waits for is not withdrawn.
        let result = self.shared.run(number, call, events).unwrap_or_else(|| Err(call.cancelled().into()));
        drop(turn);
        result
    }

    /// Begins a call and returns at once, unless the system has no more threads: then this one makes the call. `done` is
    /// called exactly once, after all of `events`.
    pub fn call(&self, call: Call, events: CallSink, done: Done) {
        if !self.shared.queue.push(Job { call, events, done }) {
            return;
        }
        let shared = self.shared.clone();
        let started = thread::Builder::new().name("hark-python".into()).spawn(move || {
            let mut job = shared.queue.first_job();
            while let Some(one) = job {
                shared.carry_out(one);
                job = shared.queue.next_job();
            }
        });
        if started.is_err() {
            // There can be no more threads. One that waits is better than a call that is not made.
            let mut job = self.shared.queue.first_waiting_job();
            while let Some(one) = job {
                self.shared.carry_out(one);
                job = self.shared.queue.next_waiting_job();
            }
        }
    }

    /// Ends the calls of a session: those under way with their workers, those that wait without having begun.
    pub fn cancel_session(&self, session: &str) {
        cancel_jobs(self.shared.queue.remove_session(session));
        self.cancel_under_way(|id| session_of(id) == session);
    }

    /// Ends a call: with its worker if it is under way, else it does not begin.
    pub fn cancel_call(&self, id: &str) {
        cancel_jobs(self.shared.queue.remove_call(id));
        self.cancel_under_way(|known| known == id);
    }

    /// Takes back a call that waits for others, which is never answered then. Answers whether it did.
    pub fn withdraw_call(&self, id: &str) -> bool {
        self.shared.queue.remove_call(id).is_some() || self.shared.withdraw_without_worker(id)
    }

    fn cancel_under_way(&self, is_meant: impl Fn(&str) -> bool) {
        let mut state = self.shared.lock();
        state.calls.values_mut().filter(|call| is_meant(&call.id)).for_each(CallUnderWay::cancel);
        self.shared.changed.notify_all();
        drop(state);
        self.shared.queue.notice_cancelled();
    }

    /// Removes the folder for pickles, with what is in it; there will be no other. Workers end with this process, and are not
    /// waited for.
    pub fn remove_files(&self) {
        let mut state = self.shared.lock();
        state.has_no_files = true;
        let scratch = state.scratch.take();
        drop(state);
        if let Some(scratch) = scratch {
            scratch.remove();
        }
    }

    /// Ends all calls and workers. Later calls are refused.
    pub fn shutdown(&self) {
        cancel_jobs(self.shared.queue.close());
        let mut state = self.shared.lock();
        state.is_closed = true;
        state.calls.values_mut().for_each(CallUnderWay::cancel);
        state.workers -= state.idle.len();
        let idle = mem::take(&mut state.idle);
        let scratch = state.scratch.take();
        self.shared.changed.notify_all();
        drop(state);
        // All are told before the first is waited for.
        idle.iter().for_each(Worker::dismiss);
        drop((idle, scratch));
    }
}

impl Drop for PythonPool {
    fn drop(&mut self) {
        self.shutdown();
    }
}

fn cancel_jobs(jobs: impl IntoIterator<Item = Job>) {
    for job in jobs {
        let error = job.call.cancelled();
        (job.done)(Err(error.into()));
    }
}

/// How many workers' descriptors this process may have.
fn workers_possible() -> usize {
    let files =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files.saturating_sub(FILES_OF_OTHERS) / FILES_OF_WORKER
}

/// Where the current folder is not to be had, the path is as good as it gets.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

impl State {
    /// Counts a worker that is to be started now.
    ///
    /// # Errors
    /// If as many others are starting: after this time there is a turn for it, or earlier, when one of them is ready.
    fn begin_start(&mut self, at_a_time: usize) -> Result<Instant, Duration> {
        let now = Instant::now();
        let left = |begun: &Instant| START_TURN.checked_sub(now.duration_since(*begun)).filter(|time| !time.is_zero());
        let turns = self.starting.iter().filter_map(left);
        match turns.clone().min() {
            Some(time) if turns.count() >= at_a_time => Err(time),
            _ => {
                self.starting.push(now);
                self.workers += 1;
                Ok(now)
            }
        }
    }

    fn end_start(&mut self, begun: Instant, is_ready: bool) {
        if let Some(place) = self.starting.iter().position(|other| *other == begun) {
            self.starting.swap_remove(place);
        }
        self.workers -= usize::from(!is_ready);
    }
}

impl CallUnderWay {
    fn cancel(&mut self) {
        self.is_cancelled = true;
        if let Some(process) = &self.process {
            process.kill();
        }
    }

    fn run_in(&mut self, process: &Process) {
        if self.is_cancelled {
            process.kill();
        }
        self.process = Some(process.clone());
    }
}

/// Why a call has no worker.
enum NoWorker {
    Cancelled,
    Unusable(String),
    Short(String),
}

impl Shared {
    /// Makes a call whose turn it is. None if it was withdrawn.
    fn run(&self, number: u64, call: &Call, events: &mut dyn FnMut(CallEvent)) -> Option<Result<Value, CallError>> {
        let mut result = self.attempt(call, events, number);
        // An idle worker may end at any time, so all of them may have; a new one that ends is no accident.
        for _ in 0..self.workers_max {
            if !matches!(result, Ok(Err(Fault::NotBegun))) {
                break;
            }
            result = self.attempt(call, events, number);
        }
        if matches!(result, Ok(Err(Fault::Killed(_)))) && !self.is_cancelled(number) {
            thread::sleep(KILLED_WAIT);
        }
        let result = match result {
            Ok(outcome) => result_of(call, outcome).map_err(CallError::from),
            Err(NoWorker::Cancelled) => Err(call.cancelled().into()),
            Err(NoWorker::Short(why)) => Err(call.not_made(&why)),
            Err(NoWorker::Unusable(problem)) => {
                Err(Error::of_python("NoInterpreter", format!("cannot call {}: {problem}", call.described())).into())
            }
        };
        let cancelled = self.leave(number)?;
        Some(if cancelled && result.is_err() { Err(call.cancelled().into()) } else { result })
    }

    fn carry_out(&self, job: Job) {
        let Job { call, mut events, done } = job;
        let number = self.enter(&call, false);
        if let Some(result) = self.run(number, &call, &mut events) {
            done(result);
        }
    }

    /// Takes back a call that is to be made next, but that has no worker yet.
    fn withdraw_without_worker(&self, id: &str) -> bool {
        let mut state = self.lock();
        // An earlier try of it may be under way as well.
        let last = state.calls.iter().filter(|(_, call)| call.id == id).max_by_key(|(number, _)| **number);
        let Some(number) = last.filter(|(_, call)| !call.has_begun && !call.is_blocking).map(|(number, _)| *number)
        else {
            return false;
        };
        state.calls.remove(&number);
        self.changed.notify_all();
        true
    }

    fn attempt(
        &self,
        call: &Call,
        events: &mut dyn FnMut(CallEvent),
        number: u64,
    ) -> Result<Result<Outcome, Fault>, NoWorker> {
        let mut worker = self.lend(number)?;
        trace!(call = call.id, "a Python process makes a call");
        let mut outcome = worker.call(call, events);
        for warning in worker.take_warnings() {
            if self.lock().warnings.insert(warning.clone()) {
                (self.warn)(&warning);
            }
        }
        let is_lost = outcome.as_ref().is_err_and(Fault::is_lost);
        if is_lost {
            warn!(call = call.id, "a Python process is lost");
        }
        self.take_back(worker, number, is_lost);
        if let Ok(Outcome::Raised(raised)) = &mut outcome {
            raised.name_package(&self.requirements, &self.project);
        }
        Ok(outcome)
    }

    fn enter(&self, call: &Call, is_blocking: bool) -> u64 {
        let mut state = self.lock();
        state.calls_begun += 1;
        let number = state.calls_begun;
        // Under the lock: a session is over, or a call unwanted, before that is cancelled here.
        let is_cancelled = call.unwanted.is_set();
        let id = call.id.clone();
        let under_way = CallUnderWay { id, is_blocking, has_begun: false, is_cancelled, process: None };
        state.calls.insert(number, under_way);
        number
    }

    fn is_cancelled(&self, number: u64) -> bool {
        self.lock().calls.get(&number).is_none_or(|call| call.is_cancelled)
    }

    /// Answers whether the call was cancelled. None if it was withdrawn.
    fn leave(&self, number: u64) -> Option<bool> {
        self.lock().calls.remove(&number).map(|call| call.is_cancelled)
    }

    /// A worker for this call: an idle one, a new one, or the next that comes back.
    ///
    /// If the computer has too little for a new one, one that comes back will do. Where there is none, the shortage may pass.
    fn lend(&self, number: u64) -> Result<Worker, NoWorker> {
        let begun = Instant::now();
        loop {
            match self.try_to_lend(number) {
                Err(NoWorker::Short(why)) => {
                    let state = self.lock();
                    if state.workers == 0 && begun.elapsed() >= SHORTAGE_TIME_MAX {
                        return Err(NoWorker::Short(why));
                    }
                    drop(self.wait(state, SHORTAGE_WAIT));
                }
                other => return other,
            }
        }
    }

    fn try_to_lend(&self, number: u64) -> Result<Worker, NoWorker> {
        let mut state = self.lock();
        loop {
            if state.is_closed || state.calls.get(&number).is_none_or(|call| call.is_cancelled) {
                return Err(NoWorker::Cancelled);
            }
            if let Some(worker) = state.idle.pop() {
                if worker.seems_alive() {
                    if let Some(call) = state.calls.get_mut(&number) {
                        call.has_begun = true;
                        call.run_in(worker.process());
                    }
                    return Ok(worker);
                }
                state.workers -= 1;
            } else if state.workers < self.workers_max {
                match state.begin_start(self.starting_max) {
                    Ok(begun) => {
                        if let Some(call) = state.calls.get_mut(&number) {
                            call.has_begun = true;
                        }
                        drop(state);
                        return self.start(number, begun);
                    }
                    Err(time) => state = self.wait(state, time),
                }
            } else {
                state = self.wait(state, Duration::MAX);
            }
        }
    }

    fn start(&self, number: u64, begun: Instant) -> Result<Worker, NoWorker> {
        let scratch = self.scratch();
        let plan = Plan {
            guard: &self.guard,
            interpreter: &self.interpreter.path,
            origin: self.interpreter.origin,
            project: &self.project,
            python_src: &self.python_src,
            scratch: scratch.as_ref(),
            time_max: self.start_time_max,
        };
        let started = worker::start(plan, |process| {
            if let Some(call) = self.lock().calls.get_mut(&number) {
                call.run_in(process);
            }
        });
        match &started {
            Ok(_) => debug!("a Python process is started"),
            Err(error) => warn!(?error, "no Python process can be started"),
        }
        self.lock().end_start(begun, started.is_ok());
        self.changed.notify_one();
        started.map_err(|error| match error {
            StartError::Unusable(problem) => NoWorker::Unusable(problem),
            StartError::Short(why) => NoWorker::Short(why),
        })
    }

    fn scratch(&self) -> Option<Arc<Scratch>> {
        let mut state = self.lock();
        if state.scratch.is_none() && !state.is_closed && !state.has_no_files {
            let parent = match &self.pickles {
                PicklePlace::Temporary => package::temporary_folder(),
                PicklePlace::Folder(folder) => Ok(folder.clone()),
            };
            state.scratch = parent.and_then(|parent| Scratch::new(&parent)).ok().map(Arc::new);
        }
        state.scratch.clone()
    }

    fn take_back(&self, worker: Worker, number: u64, is_lost: bool) {
        let mut state = self.lock();
        // From here on, cancelling the call must not end the worker, which may have another one's call next.
        let is_cancelled = state.calls.get_mut(&number).is_none_or(|call| {
            call.process = None;
            call.is_cancelled
        });
        if is_lost || is_cancelled || state.is_closed {
            state.workers -= 1;
            drop(state);
            drop(worker);
        } else {
            state.idle.push(worker);
            if state.waiting == 0 {
                return;
            }
            drop(state);
        }
        self.changed.notify_one();
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, time_max: Duration) -> MutexGuard<'a, State> {
        state.waiting += 1;
        let (mut state, _) = self.changed.wait_timeout(state, time_max).unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
