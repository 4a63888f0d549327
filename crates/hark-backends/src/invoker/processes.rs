//! Invocation by processes on this machine: a supervisor, and workers that share only the storage with it.
//!
//! The supervisor sends each hint to the worker that already holds the thread, otherwise to the worker with the fewest
//! hints. It remembers which hints each worker has not settled. When a worker ends for any reason, another one takes
//! its place and its hints are sent again; steps that it had committed stay, others never happened. A worker that sends
//! nothing for the length of a *lease* is killed.
//!
//! Messages are lines of JSON on a socket, which is the worker's standard input. An empty line is a heartbeat of the
//! worker.

mod worker;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::remote::{Supervised, WorkerReport};
use hark_engine::{Hint, Invoker, Left, Runner, SessionId, Shortage, StorageError, ThreadId};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use super::serving::Callers;
use crate::surroundings::System;
pub use worker::{Supervisor, work};

/// A worker that ends sooner than this probably has a fault that its successor would have as well.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// After this many such ends in a row, the sessions are given up.
const SHORT_LIVES_MAX: u32 = 20;

/// The delay before the next attempt to start a worker if resources are short and there is no other worker.
const SHORTAGE_WAIT: Duration = Duration::from_millis(100);

/// How long no replacement is started for a worker that lacked a resource, as long as there are other workers.
const SHORTAGE_TIME: Duration = Duration::from_secs(5);

const SHORTAGES: [Shortage; 4] = [Shortage::Files, Shortage::SystemFiles, Shortage::Processes, Shortage::Memory];

/// The exit status of a worker that cannot start because this resource has run out.
pub fn exit_status(shortage: Shortage) -> u8 {
    match shortage {
        Shortage::Files => 71,
        Shortage::SystemFiles => 72,
        Shortage::Processes => 73,
        Shortage::Memory => 74,
    }
}

/// A message from the supervisor to a worker.
#[derive(Debug, Serialize, Deserialize)]
enum ToWorker {
    /// Run these threads. The previous worker of the `lost` ones has died. Timers use the supervisor's steady time.
    Run { session: String, threads: Vec<ThreadId>, lost: Vec<ThreadId>, steady_offset: i64 },
    /// The session is over.
    Forget { session: String },
}

/// A message from a worker to its supervisor.
#[derive(Debug, Serialize, Deserialize)]
struct ToSupervisor {
    session: String,
    message: Message,
}

#[derive(Debug, Serialize, Deserialize)]
enum Message {
    Hints(Vec<Hint>),
    Report(WorkerReport),
}

/// Starts the worker with this index, with this socket as its standard input.
pub type Spawn = Box<dyn Fn(usize, UnixStream) -> io::Result<Child> + Send + Sync>;

/// Worker processes.
pub struct Processes {
    shared: Arc<Shared>,
}

struct Shared {
    spawn: Spawn,
    width: usize,
    lease: Duration,
    state: Mutex<State>,
    callers: Callers,
}

#[derive(Default)]
struct State {
    workers: Vec<Option<Worker>>,
    /// The sessions that workers have hints for.
    sessions: HashMap<SessionId, Assigned>,
    short_lives: u32,
    /// If set, no worker is started before this time.
    wait_until: Option<Instant>,
    is_closed: bool,
}

/// A session whose threads are run by workers.
struct Assigned {
    session: Arc<dyn Supervised>,
    held: HashMap<ThreadId, InHand>,
}

/// A thread assigned to a worker.
struct InHand {
    worker: usize,
    /// The number of unsettled hints for it.
    hints: u64,
}

/// A worker, from the supervisor's point of view.
struct Worker {
    /// Lines to send. A separate thread writes them, so that senders never block.
    lines: Sender<String>,
    hints: u64,
}

impl Processes {
    /// An invoker with this number of workers. They are started on demand, and killed when they send nothing for the
    /// length of the lease.
    pub fn new(width: usize, lease: Duration, spawn: Spawn) -> Processes {
        let width = width.max(1);
        let state = Mutex::new(State { workers: (0..width).map(|_| None).collect(), ..State::default() });
        Processes { shared: Arc::new(Shared { spawn, width, lease, state, callers: Callers::default() }) }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        // This closes their sockets, so they end.
        state.workers.iter_mut().for_each(|worker| *worker = None);
    }
}

impl Invoker for Processes {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        if let Some(session) = runner.clone().supervised() {
            self.shared.send(&session, threads.iter().map(|thread| (*thread, 1)));
        }
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
        if let Some(session) = runner.clone().supervised() {
            self.shared.forget(&session);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends hints to workers. Each entry stands for a number of equal hints.
    fn send(self: &Arc<Self>, session: &Arc<dyn Supervised>, hints: impl Iterator<Item = (ThreadId, u64)>) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        let State { workers, sessions, wait_until, .. } = &mut *state;
        let starts = wait_until.take_if(|until| *until <= Instant::now()).is_some() || wait_until.is_none();
        let new = || Assigned { session: session.clone(), held: HashMap::new() };
        let assigned = sessions.entry(session.id().clone()).or_insert_with(new);
        if !Arc::ptr_eq(&assigned.session, session) {
            // The earlier run of the session is over; the same session was opened again.
            mem::replace(assigned, new()).relieve(workers);
        }
        let mut lists: Vec<Vec<ThreadId>> = (0..self.width).map(|_| Vec::new()).collect();
        for (thread, count) in hints {
            let held =
                assigned.held.entry(thread).or_insert_with(|| InHand { worker: least_busy(workers, starts), hints: 0 });
            held.hints += count;
            if workers[held.worker].is_none() {
                match self.start(held.worker) {
                    Ok(worker) => workers[held.worker] = Some(worker),
                    Err(error) => {
                        held.worker = least_busy(workers, false);
                        if workers[held.worker].is_none() {
                            drop(state);
                            self.give_up(session, unstarted(&error));
                            return;
                        }
                    }
                }
            }
            if let Some(worker) = &mut workers[held.worker] {
                worker.hints += count;
            }
            lists[held.worker].extend((0..count).map(|_| thread));
        }
        for (worker, threads) in workers.iter().zip(lists) {
            if let Some(worker) = worker.as_ref().filter(|_| !threads.is_empty()) {
                let assigned = session.assign(&threads).into_iter();
                let lost = assigned.filter(|assigned| assigned.left == Left::Lost).map(|assigned| assigned.thread);
                let lost: Vec<ThreadId> = lost.collect();
                let (session, steady_offset) = (session.id().to_string(), System::steady_offset());
                worker.tell(&ToWorker::Run { session, threads, lost, steady_offset });
            }
        }
    }

    fn give_up(&self, session: &Arc<dyn Supervised>, why: StorageError) {
        session.clone().take_report(WorkerReport::Failed(why));
        self.forget(session);
    }

    /// Starts a worker, and the threads that write to it and read from it.
    fn start(self: &Arc<Self>, index: usize) -> io::Result<Worker> {
        let (lines, receiver) = mpsc::channel();
        let shared = self.clone();
        spawn_thread(move || {
            let begun = Instant::now();
            let ended = shared.supervise(index, receiver);
            shared.handle_end(index, begun.elapsed() < SHORT_LIFE, ended.err());
        })?;
        Ok(Worker { lines, hints: 0 })
    }

    /// Runs a worker until it ends.
    ///
    /// # Errors
    /// If it could not start.
    fn supervise(self: &Arc<Self>, index: usize, lines: Receiver<String>) -> Result<(), StorageError> {
        let spawn = || -> io::Result<(UnixStream, UnixStream, Child)> {
            let (ours, theirs) = UnixStream::pair()?;
            Ok((ours.try_clone()?, ours, (self.spawn)(index, theirs)?))
        };
        let (mut writer, ours, mut child) = spawn().map_err(|error| unstarted(&error))?;
        info!(process = child.id(), "a worker process is started");
        let writing = spawn_thread(move || {
            for line in lines {
                if writer.write_all(line.as_bytes()).is_err() {
                    break;
                }
            }
            // This fails if the worker has already closed the socket.
            let _ = writer.shutdown(Shutdown::Both);
        });
        if writing.is_ok() {
            self.listen(index, ours);
        }
        // It may have closed its socket and still be alive.
        let _ = child.kill();
        let status = child.wait().map_err(|error| unstarted(&error))?;
        if !self.lock().is_closed {
            warn!(process = child.id(), %status, "a worker process is lost");
        }
        writing.map_err(|error| unstarted(&error))?;
        shortage_of(status).map_or(Ok(()), |shortage| Err(exhausted(shortage)))
    }

    fn listen(self: &Arc<Self>, index: usize, socket: UnixStream) {
        if socket.set_read_timeout(Some(self.lease)).is_err() {
            return;
        }
        for line in BufReader::new(socket).lines() {
            let Ok(line) = line else { return };
            if line.is_empty() {
                continue;
            }
            let Ok(ToSupervisor { session, message }) = serde_json::from_str(&line) else { return };
            let id = SessionId::from_text(&session);
            let mut state = self.lock();
            let Some(session) = state.sessions.get(&id).map(|assigned| assigned.session.clone()) else { continue };
            let is_heard = match &message {
                Message::Report(WorkerReport::Settled(thread, count)) => state.settle(index, &id, *thread, *count),
                _ => true,
            };
            drop(state);
            let is_over = matches!(message, Message::Report(WorkerReport::Ended | WorkerReport::Failed(_)));
            match message {
                _ if !is_heard => {}
                Message::Hints(hints) => session.clone().take_hints(&hints),
                Message::Report(report) => session.clone().take_report(report),
            }
            if is_over {
                self.forget(&session);
            } else {
                // Dropped without holding the lock.
                let idle = self.lock().take_idle(&id);
                drop(idle);
            }
        }
    }

    /// Handles the end of a worker, or its failure to start: passes its hints on to others.
    fn handle_end(self: &Arc<Self>, index: usize, was_short_lived: bool, error: Option<StorageError>) {
        let mut state = self.lock();
        state.workers[index] = None;
        let is_short = matches!(error, Some(StorageError::Exhausted(_)));
        if is_short && state.workers.iter().any(Option::is_some) {
            // The other workers will do.
            state.wait_until = Some(Instant::now() + SHORTAGE_TIME);
        } else {
            state.short_lives = if was_short_lived { state.short_lives + 1 } else { 0 };
        }
        let gives_up = state.short_lives > SHORT_LIVES_MAX;
        if is_short && !gives_up && state.wait_until.is_none() {
            drop(state);
            thread::sleep(SHORTAGE_WAIT);
            state = self.lock();
        }
        if state.is_closed {
            return;
        }
        let mut lost = Vec::new();
        for assigned in state.sessions.values_mut() {
            let hints: Vec<(ThreadId, u64)> = assigned
                .held
                .extract_if(|_, held| held.worker == index)
                .map(|(thread, held)| (thread, held.hints))
                .collect();
            if !hints.is_empty() {
                lost.push((assigned.session.clone(), hints));
            }
        }
        drop(state);
        for (session, hints) in lost {
            if gives_up {
                let why = || StorageError::Transient("the worker processes end as soon as they are started".to_owned());
                self.give_up(&session, error.clone().unwrap_or_else(why));
                continue;
            }
            // A worker that never ran has lost nothing.
            if error.is_none() {
                session.clone().lose_worker(&hints.iter().map(|(thread, _)| *thread).collect::<Vec<_>>());
            }
            self.send(&session, hints.into_iter());
        }
    }

    /// Removes a session that is over.
    fn forget(&self, session: &Arc<dyn Supervised>) {
        let mut state = self.lock();
        let id = session.id();
        if state.sessions.get(id).is_none_or(|assigned| !Arc::ptr_eq(&assigned.session, session)) {
            return;
        }
        let State { workers, sessions, .. } = &mut *state;
        let forgotten = sessions.remove(id);
        if let Some(assigned) = &forgotten {
            assigned.relieve(workers);
        }
        for worker in workers.iter().flatten() {
            worker.tell(&ToWorker::Forget { session: id.to_string() });
        }
        drop(state);
        drop(forgotten);
    }
}

impl Assigned {
    /// Subtracts its unsettled hints from the workers' counts.
    fn relieve(&self, workers: &mut [Option<Worker>]) {
        for held in self.held.values() {
            if let Some(worker) = &mut workers[held.worker] {
                worker.hints = worker.hints.saturating_sub(held.hints);
            }
        }
    }
}

impl State {
    /// A worker has settled `count` hints. Returns whether they were assigned to it.
    fn settle(&mut self, index: usize, session: &SessionId, thread: ThreadId, count: u64) -> bool {
        let Some(assigned) = self.sessions.get_mut(session) else { return false };
        let Some(held) = assigned.held.get_mut(&thread).filter(|held| held.worker == index && held.hints >= count)
        else {
            return false;
        };
        held.hints -= count;
        if held.hints == 0 {
            assigned.held.remove(&thread);
        }
        if let Some(worker) = &mut self.workers[index] {
            worker.hints = worker.hints.saturating_sub(count);
        }
        true
    }

    /// Removes the session if no worker has a hint for it: it may have been parked.
    fn take_idle(&mut self, session: &SessionId) -> Option<Assigned> {
        let is_idle = self.sessions.get(session).is_some_and(|assigned| assigned.held.is_empty());
        if is_idle { self.sessions.remove(session) } else { None }
    }
}

/// The worker with the fewest hints. If none may be started, prefers those that exist.
fn least_busy(workers: &[Option<Worker>], starts: bool) -> usize {
    let burden = |index: &usize| match &workers[*index] {
        Some(worker) => (false, worker.hints),
        None => (!starts, 0),
    };
    (0..workers.len()).min_by_key(burden).unwrap_or(0)
}

fn exhausted(shortage: Shortage) -> StorageError {
    StorageError::Exhausted(format!("no worker process can be started: {shortage}; {}", shortage.remedy()))
}

/// The shortage reported by the exit status of a worker that could not start.
fn shortage_of(status: ExitStatus) -> Option<Shortage> {
    SHORTAGES.into_iter().find(|shortage| status.code() == Some(i32::from(exit_status(*shortage))))
}

/// The error of a worker that cannot be started.
fn unstarted(error: &io::Error) -> StorageError {
    match Shortage::of(error) {
        Some(shortage) => exhausted(shortage),
        None => StorageError::Transient(format!("no worker process can be started: {error}")),
    }
}

fn spawn_thread(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("hark-supervisor".to_owned()).spawn(run).map(drop)
}

impl Worker {
    /// Sends a message. If the worker has ended, its hints will be passed on, so errors are ignored.
    fn tell(&self, down: &ToWorker) {
        if let Ok(mut line) = serde_json::to_string(down) {
            line.push('\n');
            let _ = self.lines.send(line);
        }
    }
}
