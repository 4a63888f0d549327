//! The suite of invokers whose workers are other processes: whole sessions, as what such a worker does is seen in its storage alone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use hark_bytecode::FunctionIndex;
use hark_machine::Value;

use super::sample::forking;
use crate::engine::{Engine, Start};
use crate::foreign::NoForeign;
use crate::id::{SessionId, ThreadId};
use crate::invoker::{Invoker, Runner};
use crate::options::{Options, Scope};
use crate::ports::Ports;
use crate::remote::{Supervised, WorkerReport};
use crate::report::Status;
use crate::storage::Storage;
use crate::surroundings::Surroundings;

/// How deep the trees of threads are that the suite starts: 15 threads each.
const DEPTH: u32 = 3;

/// What a process works on that hands its threads over to others.
pub struct Supervisor {
    /// An empty storage, whose threads are leased.
    pub storage: Arc<dyn Storage>,
    /// Hands threads over to processes that work on the same storage and call [`Engine::run_assigned`].
    pub invoker: Arc<dyn Invoker>,
    /// What is real here.
    pub surroundings: Arc<dyn Surroundings>,
}

/// Checks an invoker whose workers are other processes. `make` gives an unused one each time. Its storage's lease should be short,
/// as the suite waits for leases to run out.
///
/// # Panics
/// If the invoker does not fulfill the contract.
pub fn check_remote_invoker(make: &dyn Fn() -> Supervisor) {
    let checks: [fn(Supervisor); 3] = [threads_run_elsewhere, many_sessions_run_at_once, lost_hints_cost_time_alone];
    for check in checks {
        check(make());
    }
}

/// A session whose threads start others, down to this depth, and wait for them.
fn tree(depth: u32) -> Start {
    Start::new(forking(depth), Value::Function(FunctionIndex(depth)), Vec::new())
}

impl Supervisor {
    fn engine(&self) -> Engine {
        let Supervisor { storage, invoker, surroundings } = self;
        let (storage, invoker, surroundings) = (storage.clone(), invoker.clone(), surroundings.clone());
        Engine::new(Options::default(), Ports { storage, invoker, foreign: Arc::new(NoForeign), surroundings })
    }

    /// Does this while someone looks after sessions.
    fn attended<T>(&self, scope: Scope, act: impl FnOnce(&Engine) -> T) -> T {
        let (engine, stop) = (self.engine(), AtomicBool::new(false));
        let fails = |session: &SessionId, error: &_| panic!("session {session} cannot go on: {error}");
        thread::scope(|threads| {
            let sweeper = threads.spawn(|| engine.attend(scope, &stop, &fails));
            let done = act(&engine);
            stop.store(true, Ordering::Release);
            self.storage.catalog().expect("it keeps sessions").ring();
            sweeper.join().expect("the sweeper does not panic").expect("the storage works");
            done
        })
    }

    fn check_tree(&self) {
        let report = self.attended(Scope::Own, |engine| engine.run(tree(DEPTH), Arc::new(|_: &[_]| {})));
        assert_eq!(report.status, Status::Finished, "{:?}", report.errors);
        assert_eq!(report.result, Some(Value::Integer(1 << DEPTH)));
    }
}

fn threads_run_elsewhere(supervisor: Supervisor) {
    assert!(supervisor.invoker.is_remote(), "its workers are other processes");
    assert!(supervisor.invoker.width() > 0, "it has workers");
    supervisor.check_tree();
    // The same invoker serves again.
    supervisor.check_tree();
}

fn many_sessions_run_at_once(supervisor: Supervisor) {
    let sessions: Vec<SessionId> = {
        let engine = supervisor.engine();
        (0..8).map(|_| engine.leave_to_others(tree(1)).expect("a session can be started")).collect()
    };
    let catalog = supervisor.storage.catalog().expect("it keeps sessions");
    let is_over = |id: &SessionId| {
        let (_, record) = catalog.record(id).expect("the storage works").expect("the session is there");
        record.state.is_over()
    };
    supervisor.attended(Scope::All, |_| {
        while !sessions.iter().all(is_over) {
            supervisor.surroundings.pause(Duration::from_millis(10));
        }
    });
}

/// An invoker that loses some hints on the way to the process, as a network does.
struct Forgetful {
    invoker: Arc<dyn Invoker>,
    hints: Mutex<u64>,
}

impl Invoker for Forgetful {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        for thread in threads {
            let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
            *hints += 1;
            let is_lost = *hints % 4 == 1;
            drop(hints);
            match runner.clone().supervised().filter(|_| is_lost) {
                Some(session) => lose(session, *thread),
                None => self.invoker.invoke(runner, &[*thread]),
            }
        }
    }

    fn width(&self) -> usize {
        self.invoker.width()
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn serve(&self, done: &AtomicBool) {
        self.invoker.serve(done);
    }

    fn nudge(&self) {
        self.invoker.nudge();
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        self.invoker.forget(runner);
    }
}

/// The process was lost before it began.
fn lose(session: Arc<dyn Supervised>, thread: ThreadId) {
    assert_eq!(session.assign(&[thread]).len(), 1);
    thread::spawn(move || session.take_report(WorkerReport::Settled(thread, 1)));
}

fn lost_hints_cost_time_alone(supervisor: Supervisor) {
    let invoker = Arc::new(Forgetful { invoker: supervisor.invoker.clone(), hints: Mutex::default() });
    Supervisor { invoker: invoker.clone(), ..supervisor }.check_tree();
    assert!(*invoker.hints.lock().unwrap_or_else(PoisonError::into_inner) > 1);
}
