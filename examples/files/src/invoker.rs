//! An invoker that starts a process for each thread that is to run. What the process needs to know is one argument; what it does is
//! in the storage. It ends when its thread waits or has stopped.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use hark_engine::remote::WorkerReport;
use hark_engine::{Assignment, Invoker, Runner, ThreadId};

/// The command that runs a thread.
pub type CommandOf = dyn Fn(&Assignment) -> Command + Send + Sync;

/// Starts processes.
pub struct Processes {
    command: Box<CommandOf>,
    at_a_time: usize,
    serving: Mutex<()>,
    nudged: Condvar,
}

impl Processes {
    /// So many at a time.
    pub fn new(at_a_time: usize, command: Box<CommandOf>) -> Processes {
        Processes { command, at_a_time, serving: Mutex::default(), nudged: Condvar::new() }
    }
}

impl Invoker for Processes {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let Some(session) = runner.clone().supervised() else { return };
        for assignment in session.assign(threads) {
            let (mut command, session) = ((self.command)(&assignment), session.clone());
            thread::spawn(move || {
                // However it ended, and if it was never started: what it has not done is due when its lease runs out.
                let _ = command.status();
                session.take_report(WorkerReport::Settled(assignment.thread, 1));
            });
        }
    }

    fn width(&self) -> usize {
        self.at_a_time
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn serve(&self, done: &AtomicBool) {
        let mut serving = self.serving.lock().unwrap_or_else(PoisonError::into_inner);
        while !done.load(Ordering::Acquire) {
            serving = self.nudged.wait(serving).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn nudge(&self) {
        // With the lock, so that nobody is between a look at `done` and the wait.
        let _serving = self.serving.lock();
        self.nudged.notify_all();
    }

    fn forget(&self, _: &Arc<dyn Runner>) {
        // There are no hints that wait. Processes see by themselves when their session is over.
    }
}
