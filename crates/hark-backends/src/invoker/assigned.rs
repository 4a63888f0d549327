//! Invocation by processes on this machine, where threads are leased: a pool of workers, each of which runs one thread
//! at a time, as [assigned](hark_engine::Assignment), until the thread waits or has stopped.
//!
//! Unlike those of [`processes`](super::processes), these workers depend on no other process: their results are in the
//! storage, and the unfinished work of a lost one is due when its lease expires. The pool only needs to know when a
//! worker is free again.
//!
//! Messages are lines on a socket, which is the worker's standard input: the pool sends an assignment, and the worker
//! sends its end.

mod worker;

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::remote::{Supervised, WorkerReport};
use hark_engine::{Assignment, AssignmentEnd, Invoker, Runner, Shortage, StorageError, ThreadId};
use tracing::{info, warn};

use super::processes::Spawn;
use super::serving::Callers;
pub use worker::run_assigned;

/// After this many failed starts of a worker, the session of the thread fails.
const STARTS_MAX: u32 = 5;

/// The delay before the next attempt to start a worker.
const START_PAUSE: Duration = Duration::from_millis(200);

/// Worker processes.
pub struct AssignedProcesses {
    shared: Arc<Shared>,
}

struct Shared {
    spawn: Spawn,
    width: usize,
    state: Mutex<State>,
    /// Notified when there is something to run, or the pool is closed.
    has_work: Condvar,
    callers: Callers,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    /// The number of workers, and of those without a thread.
    workers: usize,
    idle: usize,
    is_closed: bool,
}

/// A thread to run, and its session. This process renews the thread's lease until a worker takes it.
struct Job {
    session: Arc<dyn Supervised>,
    thread: ThreadId,
}

/// A worker, as the pool sees it.
struct Worker {
    child: Child,
    socket: BufReader<UnixStream>,
}

impl AssignedProcesses {
    /// A pool of at most this many workers, which are started on demand.
    pub fn new(width: usize, spawn: Spawn) -> AssignedProcesses {
        let (has_work, callers) = (Condvar::new(), Callers::default());
        let shared = Shared { spawn, width: width.max(1), state: Mutex::default(), has_work, callers };
        AssignedProcesses { shared: Arc::new(shared) }
    }
}

impl Drop for AssignedProcesses {
    fn drop(&mut self) {
        // Workers that run a thread end when this process closes their sockets.
        self.shared.lock().is_closed = true;
        self.shared.has_work.notify_all();
    }
}

impl Invoker for AssignedProcesses {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let Some(session) = runner.clone().supervised() else { return };
        let mut state = self.shared.lock();
        state.waiting.extend(threads.iter().map(|thread| Job { session: session.clone(), thread: *thread }));
        while state.workers < self.shared.width && state.idle < state.waiting.len() {
            let shared = self.shared.clone();
            let started = thread::Builder::new().name("hark-worker".to_owned()).spawn(move || shared.keep_running());
            if let Err(error) = started {
                if state.workers == 0 {
                    drop(state);
                    session.take_report(WorkerReport::Failed(unstarted(&error)));
                    return;
                }
                break;
            }
            state.workers += 1;
            state.idle += 1;
        }
        drop(state);
        self.shared.has_work.notify_all();
    }

    fn width(&self) -> usize {
        self.shared.width
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn serve(&self, done: &AtomicBool) {
        self.shared.callers.wait(done);
    }

    fn nudge(&self) {
        self.shared.callers.nudge();
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        let Some(session) = runner.clone().supervised() else { return };
        self.shared.lock().waiting.retain(|job| job.session.id() != session.id());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a thread to run; None if the pool is closed.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(job) = state.waiting.pop_front() {
                state.idle -= 1;
                return Some(job);
            }
            state = self.has_work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Runs threads, in one worker after another, until the pool is closed.
    fn keep_running(&self) {
        let mut worker = None;
        while let Some(Job { session, thread }) = self.next() {
            let (mut end, begun) = (None, Instant::now());
            for assignment in session.assign(&[thread]) {
                match self.run(&mut worker, &assignment) {
                    Ok(ended) => end = ended,
                    Err(error) => session.clone().take_report(WorkerReport::Failed(error)),
                }
            }
            // Before the report, which may bring the next thread.
            self.lock().idle += 1;
            session.take_report(WorkerReport::Returned(end, begun.elapsed()));
        }
    }

    /// Runs a thread in this worker, or in a new one if there is none. A worker that is lost tells no end; its unfinished
    /// work is due later.
    ///
    /// # Errors
    /// If no worker can be started.
    fn run(&self, worker: &mut Option<Worker>, assignment: &Assignment) -> Result<Option<AssignmentEnd>, StorageError> {
        let mut running = match worker.take() {
            Some(worker) => worker,
            None => self.start()?,
        };
        match running.run(assignment) {
            Ok(end) => {
                *worker = Some(running);
                Ok(end)
            }
            Err(error) => {
                // It may still be alive without its socket.
                let _ = running.child.kill();
                let status = running.child.wait();
                warn!(process = running.child.id(), ?status, %error, "a worker process is lost");
                Ok(None)
            }
        }
    }

    fn start(&self) -> Result<Worker, StorageError> {
        let mut tries = 0;
        loop {
            match Worker::start(&self.spawn) {
                Ok(worker) => return Ok(worker),
                Err(error) if tries >= STARTS_MAX => return Err(unstarted(&error)),
                Err(error) => warn!(%error, "no worker process can be started"),
            }
            tries += 1;
            thread::sleep(START_PAUSE);
        }
    }
}

impl Worker {
    fn start(spawn: &Spawn) -> io::Result<Worker> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = spawn(0, theirs)?;
        info!(process = child.id(), "a worker process is started");
        Ok(Worker { child, socket: BufReader::new(ours) })
    }

    fn run(&mut self, assignment: &Assignment) -> io::Result<Option<AssignmentEnd>> {
        self.socket.get_mut().write_all(format!("{assignment}\n").as_bytes())?;
        let mut line = String::new();
        match self.socket.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(serde_json::from_str(&line)?),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The worker ends because its socket is closed.
        let _ = self.socket.get_ref().shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// The error of a worker that cannot be started.
fn unstarted(error: &io::Error) -> StorageError {
    let text = format!("no worker process can be started: {error}");
    match Shortage::of(error) {
        Some(shortage) => StorageError::Exhausted(format!("{text}; {}", shortage.remedy())),
        None => StorageError::Transient(text),
    }
}
