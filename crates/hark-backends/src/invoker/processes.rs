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
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::remote::{Supervised, Told};
use hark_engine::{Invoker, Runner, SessionId, StorageError, ThreadId};
use serde::{Deserialize, Serialize};

pub use worker::{Supervisor, work};

/// A worker that ends sooner has a fault that another one would have, too.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// After so many such ends one after the other the sessions are given up.
const SHORT_LIVES_MAX: u32 = 20;

/// What a supervisor tells a worker.
#[derive(Debug, Serialize, Deserialize)]
enum Down {
    /// Run these threads. The worker that had the lost ones of them is gone.
    Run { session: String, threads: Vec<ThreadId>, lost: Vec<ThreadId> },
    /// The session is over.
    Forget { session: String },
}

/// What a worker tells its supervisor.
#[derive(Debug, Serialize, Deserialize)]
struct Up {
    session: String,
    told: Told,
}

/// Starts a worker whose standard input is this socket.
pub type Spawn = Box<dyn Fn(UnixStream) -> io::Result<Child> + Send + Sync>;

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
    sessions: HashMap<SessionId, Arc<dyn Supervised>>,
    /// Which worker has a thread in its hands, and how many hints it has not settled.
    held: HashMap<(SessionId, ThreadId), (usize, u64)>,
    short_lives: u32,
    is_closed: bool,
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
            self.shared.forget(session.id());
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
        let id = session.id();
        state.sessions.entry(id.clone()).or_insert_with(|| session.clone());
        let mut lists: Vec<Vec<ThreadId>> = (0..self.width).map(|_| Vec::new()).collect();
        for (thread, count) in hints {
            let worker = match state.held.get(&(id.clone(), thread)) {
                Some((worker, _)) => *worker,
                None => state.least_busy(),
            };
            state.held.entry((id.clone(), thread)).or_insert((worker, 0)).1 += count;
            if state.workers[worker].is_none() {
                state.workers[worker] = self.start(worker);
            }
            if let Some(started) = &mut state.workers[worker] {
                started.hints += count;
            }
            lists[worker].extend((0..count).map(|_| thread));
        }
        for (worker, threads) in state.workers.iter().zip(lists) {
            if let Some(worker) = worker.as_ref().filter(|_| !threads.is_empty()) {
                let lost = session.take_lost(&threads);
                worker.tell(&Down::Run { session: id.to_string(), threads, lost });
            }
        }
    }

    /// Starts a worker, and the threads that speak and listen to it. One that cannot be started ends at once.
    fn start(self: &Arc<Self>, index: usize) -> Option<Worker> {
        let (lines, receiver) = mpsc::channel::<String>();
        let shared = self.clone();
        let started = thread::Builder::new().name("hark-supervisor".to_owned()).spawn(move || {
            let begun = Instant::now();
            if let Ok((ours, theirs)) = UnixStream::pair()
                && let Ok(mut child) = (shared.spawn)(theirs)
            {
                if let Ok(mut writer) = ours.try_clone() {
                    // It ends when the supervisor has nothing more to say to this worker.
                    let _ = thread::Builder::new().name("hark-supervisor".to_owned()).spawn(move || {
                        for line in receiver {
                            if writer.write_all(line.as_bytes()).is_err() {
                                break;
                            }
                        }
                        let _ = writer.shutdown(std::net::Shutdown::Both);
                    });
                }
                shared.listen(index, ours);
                // It may have closed its socket and still live.
                let _ = child.kill();
                let _ = child.wait();
            }
            shared.bury(index, begun.elapsed() < SHORT_LIFE);
        });
        started.ok().map(|_| Worker { lines, hints: 0 })
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
            if let Told::Settled(thread, count) = &told {
                state.settle(index, &id, *thread, *count);
            }
            let session = state.sessions.get(&id).cloned();
            drop(state);
            let is_over = matches!(told, Told::Ended | Told::Failed(_));
            if let Some(session) = session {
                session.hear(told);
            }
            if is_over {
                self.forget(&id);
            }
        }
    }

    /// A worker has ended: what it had is given to others.
    fn bury(self: &Arc<Self>, index: usize, lived_shortly: bool) {
        let mut state = self.lock();
        state.workers[index] = None;
        if state.is_closed {
            return;
        }
        state.short_lives = if lived_shortly { state.short_lives + 1 } else { 0 };
        let lost: Vec<(SessionId, ThreadId)> =
            state.held.iter().filter(|(_, (worker, _))| *worker == index).map(|(key, _)| key.clone()).collect();
        let mut hints: HashMap<SessionId, Vec<(ThreadId, u64)>> = HashMap::new();
        for key in lost {
            if let Some((_, count)) = state.held.remove(&key) {
                hints.entry(key.0).or_default().push((key.1, count));
            }
        }
        let gives_up = state.short_lives > SHORT_LIVES_MAX;
        let sessions: Vec<_> =
            hints.into_iter().filter_map(|(id, hints)| Some((state.sessions.get(&id)?.clone(), hints))).collect();
        drop(state);
        let gone = StorageError::Transient("the worker processes end as soon as they are started".to_owned());
        for (session, hints) in sessions {
            if gives_up {
                session.clone().hear(Told::Failed(gone.clone()));
                self.forget(session.id());
            } else {
                session.clone().lose_worker(&hints.iter().map(|(thread, _)| *thread).collect::<Vec<_>>());
                self.send(&session, hints.into_iter());
            }
        }
    }

    /// A session is over.
    fn forget(&self, id: &SessionId) {
        let mut state = self.lock();
        if state.sessions.remove(id).is_none() {
            return;
        }
        state.held.retain(|(session, _), _| session != id);
        for worker in state.workers.iter().flatten() {
            worker.tell(&Down::Forget { session: id.to_string() });
        }
    }
}

impl State {
    fn least_busy(&self) -> usize {
        let hints = |index: &usize| self.workers[*index].as_ref().map_or(0, |worker| worker.hints);
        (0..self.workers.len()).min_by_key(hints).unwrap_or(0)
    }

    fn settle(&mut self, index: usize, session: &SessionId, thread: ThreadId, count: u64) {
        if let Some(worker) = &mut self.workers[index] {
            worker.hints = worker.hints.saturating_sub(count);
        }
        let key = (session.clone(), thread);
        if let Some((_, held)) = self.held.get_mut(&key) {
            *held = held.saturating_sub(count);
            if *held == 0 {
                self.held.remove(&key);
            }
        }
    }
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
