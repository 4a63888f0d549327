//! Invocation by processes of this machine: a supervisor, and workers that share only the storage with it.
//!
//! The supervisor sends hints to the worker that has the fewest, but those for a thread that some worker has in its hands
//! to that one. It remembers what each has not settled. When a worker ends, whatever the reason, another takes its place
//! and all that is given out again; what it had committed stays, what it had not never happened. One that says nothing for
//! as long as a *lease* is ended.
//!
//! Messages are lines of JSON on a socket that is the worker's standard input; an empty line says that a worker lives.

mod worker;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::mem;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::remote::{Supervised, Told};
use hark_engine::{Invoker, Runner, SessionId, Shortage, StorageError, ThreadId};
use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::surroundings::System;
pub use worker::{Supervisor, work};

/// A worker that ends sooner has a fault that another one would have, too.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// After so many such ends one after the other the sessions are given up.
const SHORT_LIVES_MAX: u32 = 20;

/// How long it is waited where a worker cannot be started for lack of something, and there is no other, until it is tried
/// again.
const SHORTAGE_WAIT: Duration = Duration::from_millis(100);

/// How long no worker is started in the place of one for which something was lacking, as long as there are others.
const SHORTAGE_TIME: Duration = Duration::from_secs(5);

const SHORTAGES: [Shortage; 4] = [Shortage::Files, Shortage::SystemFiles, Shortage::Processes, Shortage::Memory];

/// The exit status of a worker that cannot begin because this has run out.
pub fn exit_status(shortage: Shortage) -> u8 {
    match shortage {
        Shortage::Files => 71,
        Shortage::SystemFiles => 72,
        Shortage::Processes => 73,
        Shortage::Memory => 74,
    }
}

/// What a supervisor tells a worker.
#[derive(Debug, Serialize, Deserialize)]
enum Down {
    /// Run these threads. The worker that had the lost ones of them is gone. Timers go by the supervisor's time.
    Run { session: String, threads: Vec<ThreadId>, lost: Vec<ThreadId>, steady_offset: i64 },
    /// The session is over.
    Forget { session: String },
}

/// What a worker tells its supervisor.
#[derive(Debug, Serialize, Deserialize)]
struct Up {
    session: String,
    told: Told,
}

/// Starts the worker of this index, with this socket as its standard input.
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
    /// Someone's `done` may have become true.
    nudged: Condvar,
}

#[derive(Default)]
struct State {
    workers: Vec<Option<Worker>>,
    /// Those of which workers have hints.
    sessions: HashMap<SessionId, Given>,
    short_lives: u32,
    /// No worker is started before that, if there is one.
    wait_until: Option<Instant>,
    is_closed: bool,
}

/// A session whose threads workers run.
struct Given {
    session: Arc<dyn Supervised>,
    held: HashMap<ThreadId, Held>,
}

/// A thread that a worker has in its hands.
struct Held {
    worker: usize,
    /// How many hints for it are not settled.
    hints: u64,
}

/// A worker as the supervisor sees it.
struct Worker {
    /// Lines for it; a thread writes them, so that who has something to say never waits.
    lines: Sender<String>,
    hints: u64,
}

impl Processes {
    /// So many workers; they are started when there is something to run, and ended when they say nothing for so long.
    pub fn new(width: usize, lease: Duration, spawn: Spawn) -> Processes {
        let width = width.max(1);
        let state = Mutex::new(State { workers: (0..width).map(|_| None).collect(), ..State::default() });
        Processes { shared: Arc::new(Shared { spawn, width, lease, state, nudged: Condvar::new() }) }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        // Their sockets close, at which they end.
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
        let mut state = self.shared.lock();
        while !done.load(Ordering::Acquire) {
            state = self.shared.nudged.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn nudge(&self) {
        let state = self.shared.lock();
        self.shared.nudged.notify_all();
        drop(state);
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

    /// Gives hints to workers; each stands for so many.
    fn send(self: &Arc<Self>, session: &Arc<dyn Supervised>, hints: impl Iterator<Item = (ThreadId, u64)>) {
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        let State { workers, sessions, wait_until, .. } = &mut *state;
        let starts = wait_until.take_if(|until| *until <= Instant::now()).is_some() || wait_until.is_none();
        let new = || Given { session: session.clone(), held: HashMap::new() };
        let given = sessions.entry(session.id().clone()).or_insert_with(new);
        if !Arc::ptr_eq(&given.session, session) {
            // That one is over, and this is the same session, opened again.
            mem::replace(given, new()).relieve(workers);
        }
        let mut lists: Vec<Vec<ThreadId>> = (0..self.width).map(|_| Vec::new()).collect();
        for (thread, count) in hints {
            let held =
                given.held.entry(thread).or_insert_with(|| Held { worker: least_busy(workers, starts), hints: 0 });
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
                let lost = session.take_lost(&threads);
                let (session, steady_offset) = (session.id().to_string(), System::steady_offset());
                worker.tell(&Down::Run { session, threads, lost, steady_offset });
            }
        }
    }

    fn give_up(&self, session: &Arc<dyn Supervised>, why: StorageError) {
        session.clone().hear(Told::Failed(why));
        self.forget(session);
    }

    /// Starts a worker, and the threads that speak and listen to it.
    fn start(self: &Arc<Self>, index: usize) -> io::Result<Worker> {
        let (lines, receiver) = mpsc::channel();
        let shared = self.clone();
        spawn_thread(move || {
            let begun = Instant::now();
            let ended = shared.supervise(index, receiver);
            shared.bury(index, begun.elapsed() < SHORT_LIFE, ended.err());
        })?;
        Ok(Worker { lines, hints: 0 })
    }

    /// Runs a worker until it ends.
    ///
    /// # Errors
    /// If it has not begun.
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
            // The supervisor has nothing more to say to this worker.
            let _ = writer.shutdown(Shutdown::Both);
        });
        if writing.is_ok() {
            self.listen(index, ours);
        }
        // It may have closed its socket and still live.
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
            let Ok(Up { session, told }) = serde_json::from_str(&line) else { return };
            let id = SessionId::from_text(&session);
            let mut state = self.lock();
            let Some(session) = state.sessions.get(&id).map(|given| given.session.clone()) else { continue };
            let is_heard = match &told {
                Told::Settled(thread, count) => state.settle(index, &id, *thread, *count),
                _ => true,
            };
            drop(state);
            let is_over = matches!(told, Told::Ended | Told::Failed(_));
            if is_heard {
                session.clone().hear(told);
            }
            if is_over {
                self.forget(&session);
            } else {
                // Dropped without the lock.
                let idle = self.lock().take_idle(&id);
                drop(idle);
            }
        }
    }

    /// A worker has ended, or could not be started, with this error: what it had is given to others.
    fn bury(self: &Arc<Self>, index: usize, lived_shortly: bool, error: Option<StorageError>) {
        let mut state = self.lock();
        state.workers[index] = None;
        let is_short = matches!(error, Some(StorageError::Exhausted(_)));
        if is_short && state.workers.iter().any(Option::is_some) {
            // They will do.
            state.wait_until = Some(Instant::now() + SHORTAGE_TIME);
        } else {
            state.short_lives = if lived_shortly { state.short_lives + 1 } else { 0 };
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
        for given in state.sessions.values_mut() {
            let hints: Vec<(ThreadId, u64)> = given
                .held
                .extract_if(|_, held| held.worker == index)
                .map(|(thread, held)| (thread, held.hints))
                .collect();
            if !hints.is_empty() {
                lost.push((given.session.clone(), hints));
            }
        }
        drop(state);
        for (session, hints) in lost {
            if gives_up {
                let why = || StorageError::Transient("the worker processes end as soon as they are started".to_owned());
                self.give_up(&session, error.clone().unwrap_or_else(why));
                continue;
            }
            // One that was never there has lost nothing.
            if error.is_none() {
                session.clone().lose_worker(&hints.iter().map(|(thread, _)| *thread).collect::<Vec<_>>());
            }
            self.send(&session, hints.into_iter());
        }
    }

    /// A session is over.
    fn forget(&self, session: &Arc<dyn Supervised>) {
        let mut state = self.lock();
        let id = session.id();
        if state.sessions.get(id).is_none_or(|given| !Arc::ptr_eq(&given.session, session)) {
            return;
        }
        let State { workers, sessions, .. } = &mut *state;
        let forgotten = sessions.remove(id);
        if let Some(given) = &forgotten {
            given.relieve(workers);
        }
        for worker in workers.iter().flatten() {
            worker.tell(&Down::Forget { session: id.to_string() });
        }
        drop(state);
        drop(forgotten);
    }
}

impl Given {
    /// Nothing of it is expected from workers any more.
    fn relieve(&self, workers: &mut [Option<Worker>]) {
        for held in self.held.values() {
            if let Some(worker) = &mut workers[held.worker] {
                worker.hints = worker.hints.saturating_sub(held.hints);
            }
        }
    }
}

impl State {
    /// A worker has carried out so many hints. Answers whether they were given to it.
    fn settle(&mut self, index: usize, session: &SessionId, thread: ThreadId, count: u64) -> bool {
        let Some(given) = self.sessions.get_mut(session) else { return false };
        let Some(held) = given.held.get_mut(&thread).filter(|held| held.worker == index && held.hints >= count) else {
            return false;
        };
        held.hints -= count;
        if held.hints == 0 {
            given.held.remove(&thread);
        }
        if let Some(worker) = &mut self.workers[index] {
            worker.hints = worker.hints.saturating_sub(count);
        }
        true
    }

    /// A session of which no worker has a hint may have been parked.
    fn take_idle(&mut self, session: &SessionId) -> Option<Given> {
        let is_idle = self.sessions.get(session).is_some_and(|given| given.held.is_empty());
        if is_idle { self.sessions.remove(session) } else { None }
    }
}

/// The worker with the fewest hints, and if none is to be started, of those that there are, if there are any.
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

/// What a worker that could not begin lacks, as its exit status says.
fn shortage_of(status: ExitStatus) -> Option<Shortage> {
    SHORTAGES.into_iter().find(|shortage| status.code() == Some(i32::from(exit_status(*shortage))))
}

/// There can be no worker.
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
    /// One that has ended hears nothing; what it had is given to another.
    fn tell(&self, down: &Down) {
        if let Ok(mut line) = serde_json::to_string(down) {
            line.push('\n');
            let _ = self.lines.send(line);
        }
    }
}
