//! A process whose Python processes are all busy, where threads are leased: threads that need no call continue there.
#![cfg(feature = "sqlite")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{fs, thread};

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_bytecode::{Binding, Executable};
use hark_engine::foreign::{Answer, CallSink};
use hark_engine::{
    Call, CallId, Engine, Foreign, Invoker, Options, Ports, Scope, SessionId, SessionState, Start, Storage,
    StorageError,
};
use hark_machine::{Program, Value};

/// Calls that end only when told to. One is made at a time.
#[derive(Default)]
struct OneAtATime(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    /// The first one has begun.
    calls: Vec<(CallId, Answer)>,
    /// The maximum number of calls made at the same time, begun or not.
    most: usize,
    /// Calls are answered at once.
    is_over: bool,
}

impl OneAtATime {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().expect("nobody panics with it")
    }

    fn calls(&self) -> usize {
        self.lock().calls.len()
    }

    fn end(&self) {
        let mut waiting = self.lock();
        waiting.is_over = true;
        let calls = std::mem::take(&mut waiting.calls);
        drop(waiting);
        calls.into_iter().for_each(|(_, answer)| answer(Ok(Value::Integer(1))));
    }
}

impl Foreign for OneAtATime {
    fn call(&self, _: &Executable, call: Call, _: CallSink, answer: Answer) {
        let mut waiting = self.lock();
        if waiting.is_over {
            drop(waiting);
            return answer(Ok(Value::Integer(1)));
        }
        waiting.calls.push((call.id, answer));
        waiting.most = waiting.most.max(waiting.calls.len());
    }

    fn calls_at_a_time(&self) -> usize {
        1
    }

    fn cancel(&self, _: &SessionId) {}

    fn cancel_call(&self, _: &CallId) {}
}

/// A worker with one Python process and two threads of its own, and its folder.
struct Worker {
    folder: PathBuf,
    engine: Arc<Engine>,
    storage: Arc<SqliteStorage>,
    invoker: Arc<Threads>,
    functions: Arc<OneAtATime>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn new(name: &str) -> Worker {
        let folder = std::env::temp_dir().join(format!("hark-busy-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let storage = Arc::new(SqliteStorage::open(&folder).expect("the folder is new").with_leased_threads());
        let (invoker, functions) = (Arc::new(Threads::new(2)), Arc::<OneAtATime>::default());
        let ports = Ports {
            storage: storage.clone(),
            invoker: invoker.clone(),
            foreign: functions.clone(),
            surroundings: Arc::new(System),
        };
        let engine = Arc::new(Engine::new(Options::default(), ports));
        Worker { folder, engine, storage, invoker, functions, stop: Arc::default() }
    }

    /// Serves all sessions while this is done.
    fn serve(&self, meanwhile: impl FnOnce(&Worker)) {
        thread::scope(|scope| {
            let fails = |id: &SessionId, error: &StorageError| panic!("{id}: {error}");
            scope.spawn(move || self.engine.attend(Scope::All, &self.stop, &fails).expect("the storage works"));
            scope.spawn(|| self.invoker.serve(&self.stop));
            meanwhile(self);
            self.functions.end();
            self.stop.store(true, Ordering::Release);
            self.storage.catalog().expect("it keeps sessions").ring();
            self.invoker.nudge();
        });
        self.engine.release().expect("the file can be written");
        fs::remove_dir_all(&self.folder).expect("nobody uses it");
    }

    fn begin(&self, text: &str) -> SessionId {
        let executable = hark_compiler::compile("test.hk", text).executable.expect("it is a program");
        let program = Arc::new(Program::new(executable).expect("the program is sound"));
        let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no main") };
        self.engine
            .leave_to_others(Start::new(program, Value::Function(main), Vec::new()))
            .expect("the file can be written")
    }

    fn is_finished(&self, id: &SessionId) -> bool {
        let catalog = self.storage.catalog().expect("it keeps sessions");
        let (_, record) = catalog.record(id).expect("the file can be read").expect("the session is there");
        record.state == SessionState::Finished
    }
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(30), "not yet: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn threads_without_calls_go_on_while_all_calls_are_under_way() {
    let worker = Worker::new("goes_on");
    worker.serve(|worker| {
        let calls = worker.begin("import(f, src.x, 0); fn main() { f() }");
        wait_until("a call is under way", || worker.functions.calls() == 1);
        let plain: Vec<SessionId> = (0..20).map(|_| worker.begin("fn main() { 1 }")).collect();
        wait_until("the others have ended", || plain.iter().all(|id| worker.is_finished(id)));
        assert!(!worker.is_finished(&calls));
    });
}

/// Threads that only make a call are marked before they are taken, and other threads once their calls were left to
/// other processes. No call waits in the process, where it would run before those of a higher priority.
#[test]
fn what_needs_a_call_is_not_in_the_way() {
    let worker = Worker::new("in_the_way");
    worker.serve(|worker| {
        worker.begin("import(f, src.x, 1); fn main() { sum(map_async(range(200), f)) }");
        wait_until("a call is under way", || worker.functions.calls() == 1);
        let calls: Vec<SessionId> = (0..9).map(|_| worker.begin("import(f, src.x, 0); fn main() { f() }")).collect();
        let plain =
            worker.begin("fn link(n) { if n == 0 { 7 } else { await async link(n - 1) } } fn main() { link(20) }");
        wait_until("the other one has ended", || worker.is_finished(&plain));
        let most = worker.functions.lock().most;
        assert!(most <= 3, "calls wait in the process: {most}");
        worker.functions.end();
        wait_until("all have ended", || calls.iter().all(|id| worker.is_finished(id)));
    });
}
