//! An invoker that starts processes, each for some of the threads that are to run. What a process needs to know is its arguments; what
//! it does is in the storage. It ends when its threads wait or have stopped.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use hark_engine::remote::{Supervised, WorkerReport};
use hark_engine::{Assignment, Invoker, Runner, ThreadId};

/// The command that runs threads.
pub type CommandOf = dyn Fn(&[Assignment]) -> Command + Send + Sync;

/// How many threads a process is started for at most. To start it takes longer than to run most of them.
const THREADS_MAX: usize = 32;

/// Starts processes.
pub struct Processes(Arc<Shared>);

struct Shared {
    command: Box<CommandOf>,
    at_a_time: usize,
    state: Mutex<State>,
    nudged: Condvar,
}

#[derive(Default)]
struct State {
    /// Hints that no process was started for.
    queue: Vec<(Arc<dyn Supervised>, ThreadId)>,
    running: usize,
}

impl Processes {
    /// So many at a time.
    pub fn new(at_a_time: usize, command: Box<CommandOf>) -> Processes {
        Processes(Arc::new(Shared { command, at_a_time, state: Mutex::default(), nudged: Condvar::new() }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts one process after the other, each for an equal share of what waits, until nothing does.
    fn start(&self) {
        loop {
            let mut state = self.lock();
            let share = state.queue.len().div_ceil(self.at_a_time).min(THREADS_MAX);
            let hints: Vec<_> = state.queue.drain(..share).collect();
            if hints.is_empty() {
                state.running -= 1;
                return;
            }
            drop(state);
            let assignments: Vec<_> = hints.iter().flat_map(|(session, thread)| session.assign(&[*thread])).collect();
            // However it ended, and if it was never started: what it has not done is due when its lease runs out.
            let _ = (self.command)(&assignments).status();
            for (session, thread) in hints {
                session.take_report(WorkerReport::Settled(thread, 1));
            }
        }
    }
}

impl Invoker for Processes {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let Some(session) = runner.clone().supervised() else { return };
        let mut state = self.0.lock();
        state.queue.extend(threads.iter().map(|thread| (session.clone(), *thread)));
        let more = state.queue.len().min(self.0.at_a_time - state.running);
        state.running += more;
        for shared in vec![self.0.clone(); more] {
            thread::spawn(move || shared.start());
        }
    }

    fn width(&self) -> usize {
        self.0.at_a_time * THREADS_MAX
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn serve(&self, done: &AtomicBool) {
        let mut serving = self.0.lock();
        while !done.load(Ordering::Acquire) {
            serving = self.0.nudged.wait(serving).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn nudge(&self) {
        // With the lock, so that nobody is between a look at `done` and the wait.
        let _state = self.0.lock();
        self.0.nudged.notify_all();
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        // Processes see by themselves when their session is over.
        let Some(session) = runner.clone().supervised() else { return };
        self.0.lock().queue.retain(|(queued, _)| queued.id() != session.id());
    }
}
