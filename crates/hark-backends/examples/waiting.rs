//! Measures what sessions cost that wait for a promise, and how soon one goes on that is resolved by someone else.
//!
//! `cargo run --release -p hark-backends --features sqlite --example waiting FOLDER [SESSIONS] [RESOLVED]`
//!
//! So many sessions are started, each waits for a promise of its own, and a server takes them all. Then some are resolved
//! one after the other through the file, as another process would do it; the time is that from the end of the commit that
//! resolves to the end of the session.

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
use hark_engine::{Engine, Invoker, NoForeign, Options, Ports, SessionId, Start, Storage};
use hark_machine::{Program, Value};

const PROGRAM: &str = "fn main() { await future(\"go\", 1) }";

fn engine(folder: &Path) -> (Arc<Engine>, Arc<SqliteStorage>, Arc<Threads>) {
    let storage = Arc::new(SqliteStorage::open(folder).expect("the file can be opened"));
    let invoker = Arc::new(Threads::as_wide_as_the_cores());
    let ports = Ports {
        storage: storage.clone(),
        invoker: invoker.clone(),
        foreign: Arc::new(NoForeign),
        surroundings: Arc::new(System),
    };
    (Arc::new(Engine::new(Options::default(), ports)), storage, invoker)
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder for the file"));
    let mut number = |default| arguments.next().and_then(|text| text.parse::<usize>().ok()).unwrap_or(default);
    let (count, resolved) = (number(1_000), number(200));
    let sessions = start(&folder, count);
    let file = std::fs::metadata(folder.join("hark.db")).map_or(0, |file| file.len());
    println!("{count} sessions, {:.0} bytes of the file for each", file as f64 / count as f64);

    let before = resident_bytes();
    let (engine, storage, invoker) = engine(&folder);
    let stop = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let attendant = {
        let (engine, stop) = (engine.clone(), stop.clone());
        thread::spawn(move || engine.attend_all(&stop))
    };
    let worker = {
        let (invoker, stop) = (invoker.clone(), stop.clone());
        thread::spawn(move || invoker.serve(&stop))
    };
    let catalog = storage.catalog().expect("it keeps sessions");
    wait_until(|| thread_waits(&*storage, sessions.last()));
    println!(
        "taken up in {:.3?}; resident memory {:.1} MB, {:.1} MB before",
        begun.elapsed(),
        mb(resident_bytes()),
        mb(before)
    );

    let other = SqliteStorage::open(&folder).expect("the file can be opened");
    let mut latencies: Vec<Duration> = Vec::new();
    for session in sessions.iter().take(resolved) {
        let outside = Outside::open(&other, &System, session).expect("the session is there");
        outside.resolve("go/1", Value::Integer(1)).expect("it is resolved");
        let committed = Instant::now();
        wait_until(|| catalog.record(session).is_ok_and(|record| record.is_some_and(|record| record.state.is_over())));
        latencies.push(committed.elapsed());
        thread::sleep(Duration::from_millis(2));
    }
    latencies.sort_unstable();
    println!(
        "from the commit to the end of the session: p50 {:.3?}, p99 {:.3?}",
        at(&latencies, 50),
        at(&latencies, 99)
    );
    stop.store(true, Ordering::Release);
    catalog.ring();
    invoker.nudge();
    let _ = (attendant.join(), worker.join());
}

/// Starts sessions that wait, and leaves them.
fn start(folder: &Path, count: usize) -> Vec<SessionId> {
    let (engine, storage, invoker) = engine(folder);
    let executable = hark_compiler::compile("waiting.hk", PROGRAM).executable.expect("the program compiles");
    let Some(Binding::Function(main)) = executable.binding("main") else { return Vec::new() };
    let program = Arc::new(Program::new(executable).expect("the program is sound"));
    let start = Start { program, callee: Value::Function(main), arguments: Vec::new() };
    let stop = Arc::new(AtomicBool::new(false));
    let server = {
        let (invoker, stop) = (invoker.clone(), stop.clone());
        thread::spawn(move || invoker.serve(&stop))
    };
    let begun = Instant::now();
    let sessions: Vec<SessionId> =
        (0..count).map(|_| engine.submit(start.clone(), |_| {}).expect("a session can be started")).collect();
    wait_until(|| thread_waits(&*storage, sessions.last()));
    thread::sleep(Duration::from_millis(200));
    println!("{count} sessions started in {:.3?}", begun.elapsed());
    engine.cancel_handle().cancel();
    stop.store(true, Ordering::Release);
    invoker.nudge();
    let _ = server.join();
    engine.release().expect("the sessions can be left");
    sessions
}

fn thread_waits(storage: &dyn Storage, session: Option<&SessionId>) -> bool {
    let catalog = storage.catalog().expect("it keeps sessions");
    session.is_none_or(|session| {
        catalog.record(session).is_ok_and(|record| record.is_some())
            && catalog.unattended(session).is_ok_and(|threads| threads.is_empty())
    })
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        thread::sleep(Duration::from_micros(50));
    }
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
