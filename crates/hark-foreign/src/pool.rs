//! The pool of workers and the calls that have one or wait for one.

mod calls;
mod lending;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::{CallError, CallEvent, CallSink};
use hark_machine::Value;
use rustix::process::{Resource, getrlimit};

use crate::call::{Call, session_of};
use crate::interpreter::Interpreter;
use crate::limits::{FILES_OF_OTHERS, FILES_OF_WORKER, START_TIMEOUT};
use crate::queue::{Done, Job, Queue};
use crate::scratch::Scratch;
use crate::worker::Worker;

use calls::CallUnderWay;

/// The Python to run and its files.
#[derive(Debug, Clone)]
pub struct PythonConfig {
    /// The interpreter. By default that of the active virtual environment or of the project's `.venv`, or `python3`. A
    /// relative path starts at the project.
    pub interpreter: Option<PathBuf>,
    /// The project's folder, whose modules can be imported.
    pub project: PathBuf,
    /// Another folder of modules.
    pub python_src: PathBuf,
    /// The file that lists the project's packages.
    pub requirements: PathBuf,
    /// The place for the pickles of large objects while this process has them.
    pub pickles: PicklePlace,
    /// The maximum number of workers, at least 1. There are fewer if the limit on open files is too low.
    pub workers: usize,
    /// The program that is started as the guard of each worker and as the guard's keeper. It must begin with
    /// [`run_if_asked`](crate::guard::run_if_asked).
    pub guard: OsString,
    /// Receives warnings for the user that belong to no call's error. Each is sent once.
    pub warn: fn(&str),
}

/// The place for large pickles while a process has them.
#[derive(Debug, Clone)]
pub enum PicklePlace {
    /// In the user's folder for temporary files.
    Temporary,
    /// In this folder, which only the user can change.
    Folder(PathBuf),
}

/// Runs calls in worker processes. They are started on demand and end with the pool.
pub struct PythonPool {
    shared: Arc<Shared>,
    is_in_virtual_time: bool,
}

struct Shared {
    interpreter: Interpreter,
    project: PathBuf,
    python_src: PathBuf,
    requirements: PathBuf,
    guard: OsString,
    pickles: PicklePlace,
    workers_max: usize,
    /// How many workers may start at the same time, unless they are slow.
    starting_max: usize,
    start_time_max: Duration,
    warn: fn(&str),
    state: Mutex<State>,
    /// Notified when a worker was started, came back or was lost, or when a call was cancelled.
    changed: Condvar,
    queue: Queue,
}

#[derive(Default)]
struct State {
    /// A stack: the worker used last is the warmest, and is taken first.
    idle: Vec<Worker>,
    /// The number of workers: idle, busy and starting.
    workers: usize,
    /// When each of the starting workers began to start.
    starting: Vec<Instant>,
    /// Calls that have a worker or wait for one.
    calls: HashMap<u64, CallUnderWay>,
    calls_begun: u64,
    /// The number of threads that wait for a change. Notifying costs a system call even if there are none.
    waiting: usize,
    /// The warnings given so far: each worker that loads a module finds the same ones.
    warnings: HashSet<String>,
    /// The folder for pickles, created with the first worker. `None` if it cannot be created, and after the end.
    scratch: Option<Arc<Scratch>>,
    /// Whether no such folder may be created any more.
    has_no_files: bool,
    is_closed: bool,
}

impl PythonPool {
    /// A pool without workers.
    pub fn new(config: PythonConfig) -> PythonPool {
        PythonPool::with_start_timeout(config, START_TIMEOUT)
    }

    /// A pool whose interpreter must answer within this time.
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
        PythonPool { shared: Arc::new(shared), is_in_virtual_time: false }
    }

    /// The same pool for sessions in virtual time: calls begin as soon as there is a worker, because rates refer to the
    /// virtual clock.
    #[must_use]
    pub fn in_virtual_time(mut self) -> PythonPool {
        self.is_in_virtual_time = true;
        self
    }

    /// Whether calls with a rate are spaced.
    pub(crate) fn spaces_calls(&self) -> bool {
        !self.is_in_virtual_time
    }

    /// The maximum number of calls at the same time.
    pub fn workers_max(&self) -> usize {
        self.shared.workers_max
    }

    /// Starts the first worker in the background, for a call that will come soon.
    pub fn warm_up(&self) {
        let shared = self.shared.clone();
        // Without a thread for that, the first call starts the worker.
        let _ = thread::Builder::new().name("hark-python".into()).spawn(move || shared.start_ahead());
    }

    /// Makes a call on this OS thread, with an idle worker or a new one; waits if all are busy. `events` receives all
    /// events of the call before this returns.
    ///
    /// # Errors
    /// The exception raised by the function, or the reason why it could not be called.
    pub fn call_blocking(&self, call: &Call, events: &mut dyn FnMut(CallEvent)) -> Result<Value, CallError> {
        let number = self.shared.enter(call, true);
        // A call that is cancelled while it waits is not made.
        let is_cancelled = || self.shared.is_cancelled(number);
        let mut turn = self.shared.queue.wait_for_turn(call.priority, is_cancelled);
        while turn.is_some()
            && let Some(until) = self.shared.queue.pace(call)
        {
            drop(turn);
            self.shared.queue.wait_until(until, is_cancelled);
            turn = self.shared.queue.wait_for_turn(call.priority, is_cancelled);
        }
        let result = self.shared.carry_out_blocking(number, call, events);
        drop(turn);
        result
    }

    /// Begins a call and returns at once, unless the system cannot start another thread: then this one makes the call.
    /// `done` is called exactly once, after all `events`.
    pub fn call(&self, call: Call, events: CallSink, done: Done) {
        if !self.shared.queue.push(Job { call, events, done }) {
            return;
        }
        if !self.shared.start_thread() {
            // No thread can be started. Blocking this one is better than not making the call.
            let mut job = self.shared.queue.first_waiting_job();
            while let Some(one) = job {
                self.shared.carry_out(one);
                job = self.shared.queue.next_waiting_job();
            }
        }
    }

    /// Ends the calls of a session: those in flight together with their workers, and those still waiting.
    pub fn cancel_session(&self, session: &str) {
        cancel_jobs(self.shared.queue.remove_session(session));
        self.shared.cancel_under_way(|_, id| session_of(id) == session);
    }

    /// Ends a call: together with its worker if it is in flight; otherwise it does not begin.
    pub fn cancel_call(&self, id: &str) {
        cancel_jobs(self.shared.queue.remove_call(id));
        self.shared.cancel_under_way(|_, known| known == id);
    }

    /// Takes back a call that has not begun, which is then never answered. Returns whether it was taken back.
    pub fn withdraw_call(&self, id: &str) -> bool {
        self.shared.queue.withdraw_call(id).is_some() || self.shared.withdraw_without_worker(id)
    }

    /// Removes the folder for pickles and its files; no other one will be created. Workers end with this process and
    /// are not waited for.
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
        state.calls.values_mut().for_each(CallUnderWay::kill);
        state.workers -= state.idle.len();
        let idle = mem::take(&mut state.idle);
        let scratch = state.scratch.take();
        self.shared.changed.notify_all();
        drop(state);
        // All are told to end before the first is waited for.
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

/// The number of workers that the limit on open files allows.
fn workers_possible() -> usize {
    let files =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    files.saturating_sub(FILES_OF_OTHERS) / FILES_OF_WORKER
}

/// Falls back to the given path if the current folder is unknown.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

impl Shared {
    /// Starts a thread that runs jobs. Returns whether it could be started.
    fn start_thread(self: &Arc<Self>) -> bool {
        let shared = self.clone();
        let started = thread::Builder::new().name("hark-python".into()).spawn(move || {
            let mut job = shared.queue.first_job();
            while let Some(one) = job {
                shared.carry_out(one);
                job = shared.queue.next_job();
            }
        });
        started.is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
