//! Sessions that wait for a promise, for `benches/durable.py`: it starts them with this, has `hark worker` serve them, and
//! resolves some from outside with this.
//!
//! `waiting start FOLDER SESSIONS` starts so many in the file of a folder, and leaves them.
//! `waiting resolve FOLDER SESSIONS` resolves so many of them, one after the other, and prints for each how many seconds it
//! took from the end of the commit that resolves to the end of the session.

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
use hark_engine::{Engine, Filter, Invoker, NoForeign, Options, Ports, SessionState, Start, Storage};
use hark_machine::{Program, Value};

const PROGRAM: &str = "fn main() { await future(\"go\", 1) }";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().expect("waiting start|resolve FOLDER SESSIONS");
    let (what, folder) = (next(), PathBuf::from(next()));
    let count = next().parse().expect("a number of sessions");
    match &*what {
        "start" => start(&folder, count),
        "resolve" => resolve(&folder, count),
        _ => panic!("`{what}` is neither `start` nor `resolve`"),
    }
}

/// Starts sessions that wait, and leaves them.
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
    let Some(Binding::Function(main)) = executable.binding("main") else { panic!("it has a function `main`") };
    let program = Arc::new(Program::new(executable).expect("the program is sound"));
    let start = Start { program, callee: Value::Function(main), arguments: Vec::new() };
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let (invoker, stop) = (invoker.clone(), stop.clone());
        thread::spawn(move || invoker.serve(&stop))
    };
    let sessions: Vec<_> =
        (0..count).map(|_| engine.submit(start.clone(), |_| {}).expect("a session can be started")).collect();
    let catalog = storage.catalog().expect("it keeps sessions");
    for session in &sessions {
        // It is there, and nothing in it is to be done.
        wait_until(|| {
            catalog.record(session).is_ok_and(|record| record.is_some())
                && catalog.unattended(session).is_ok_and(|threads| threads.is_empty())
        });
    }
    engine.cancel_handle().cancel();
    stop.store(true, Ordering::Release);
    invoker.nudge();
    let _ = server.join();
    engine.release().expect("the sessions can be left");
}

fn resolve(folder: &Path, count: usize) {
    let storage = SqliteStorage::open(folder).expect("the file can be opened");
    let catalog = storage.catalog().expect("it keeps sessions");
    let running = Filter { state: Some(SessionState::Running), limit: Some(count), ..Filter::default() };
    for session in catalog.list(&running).expect("the sessions can be listed") {
        let outside = Outside::open(&storage, &System, &session.id).expect("the session is there");
        outside.resolve("go/1", Value::Integer(1)).expect("it is resolved");
        let committed = Instant::now();
        wait_until(|| {
            catalog.record(&session.id).is_ok_and(|record| record.is_some_and(|record| record.state.is_over()))
        });
        println!("{:.6}", committed.elapsed().as_secs_f64());
        thread::sleep(Duration::from_millis(2));
    }
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::sleep(Duration::from_micros(50));
    }
}
