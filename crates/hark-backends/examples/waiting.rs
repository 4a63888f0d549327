//! Starts sessions that wait for a promise, and measures how soon a session continues after another process has
//! resolved it.
//!
//!     cargo build --release -p hark-backends --features sqlite --example waiting
//! waiting FOLDER start COUNT      starts sessions that each wait for a promise of their own
//! waiting FOLDER resolve COUNT    resolves the promises of that many sessions, one after another
//!
//! In between, start a server: `hark worker`, in the project whose `data_dir` is FOLDER. The resources used by that
//! process are the cost of serving, without the cost of starting. `resolve` prints a line for each session: the time in
//! microseconds from the end of the commit that resolves its promise to the end of the session. `benches/durable.py`
//! runs all of this.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_bytecode::Binding;
use hark_engine::outside::Outside;
use hark_engine::{
    Engine, Filter, Invoker, NoForeign, Options, Ports, SessionId, SessionState, Start, Storage, Summary, Tenure,
    Timestamp, Unattended,
};
use hark_machine::{Program, Value};

const PROGRAM: &str = "fn main() { await future(\"go\", 1) }";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, verb, count] = arguments.as_slice() else { panic!("waiting FOLDER start|resolve COUNT") };
    let (folder, count) = (PathBuf::from(folder), count.parse().expect("COUNT is a number"));
    match verb.as_str() {
        "start" => start(&folder, count),
        "resolve" => resolve(&folder, count),
        other => panic!("`{other}` is neither `start` nor `resolve`"),
    }
}

/// Starts sessions that wait, and releases them.
fn start(folder: &Path, count: usize) {
    let storage = Arc::new(SqliteStorage::open(folder).expect("the file can be opened"));
    let invoker = Arc::new(Threads::as_wide_as_the_cores());
    let ports = Ports {
        storage: storage.clone(),
        invoker: invoker.clone(),
        foreign: Arc::new(NoForeign),
        surroundings: Arc::new(System),
    };
    let engine = Engine::new(Options::default(), ports);
    let executable = hark_compiler::compile("waiting.hk", PROGRAM).executable.expect("the program compiles");
    let Some(Binding::Function(main)) = executable.binding("main") else { unreachable!("it has a main") };
    let program = Arc::new(Program::new(executable).expect("the program is sound"));
    let start = Start::new(program, Value::Function(main), Vec::new());
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let (invoker, stop) = (invoker.clone(), stop.clone());
        thread::spawn(move || invoker.serve(&stop))
    };
    let sessions: Vec<SessionId> =
        (0..count).map(|_| engine.submit(start.clone(), |_| {}).expect("a session can be started")).collect();
    for session in &sessions {
        wait_until(|| thread_waits(&*storage, session));
    }
    engine.cancel_handle().cancel();
    stop.store(true, Ordering::Release);
    invoker.nudge();
    let _ = server.join();
    engine.release().expect("the sessions can be left");
}

/// Resolves the promises that sessions wait for, and waits until the sessions end.
fn resolve(folder: &Path, count: usize) {
    let storage = SqliteStorage::open(folder).expect("the file can be opened");
    let catalog = storage.catalog().expect("it keeps sessions");
    let waiting = Filter { state: Some(SessionState::Running), limit: Some(count), ..Filter::default() };
    for Summary { id: session, .. } in catalog.list(&waiting).expect("the sessions can be listed").iter().flatten() {
        let outside = Outside::open(&storage, &System, session).expect("the session is there");
        outside.resolve("go/1", Value::Integer(1)).expect("it is resolved");
        let committed = Instant::now();
        wait_until(|| {
            catalog.record(session).is_ok_and(|record| record.is_some_and(|(_, record)| record.state.is_over()))
        });
        println!("{}", committed.elapsed().as_micros());
        // Otherwise the server would still be awake for the next session.
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the session's only thread has reached its `await`, according to the storage.
fn thread_waits(storage: &dyn Storage, session: &SessionId) -> bool {
    let (Some(catalog), Tenure::Servers(servers)) = (storage.catalog(), storage.tenure()) else { return false };
    catalog.record(session).is_ok_and(|record| record.is_some())
        && servers.unattended(session, Timestamp(0)).is_ok_and(|left| left == Unattended::default())
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::sleep(Duration::from_micros(50));
    }
}
