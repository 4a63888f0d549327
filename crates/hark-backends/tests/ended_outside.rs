//! A running session is ended by another process, which dies halfway.
#![cfg(feature = "sqlite")]

use std::fs;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_bytecode::{Binding, Executable};
use hark_engine::foreign::Answer;
use hark_engine::{
    Call, CallId, CallSink, Commit, Engine, Foreign, Key, Labels, Options, Outcome, OutputItem, Ports, Record, Scope,
    SessionId, SessionRecord, SessionState, Stamp, Start, Status, Storage, Surroundings, ThreadId,
};
use hark_machine::{Error, Program};

/// Answers calls when their session is cancelled. Reports the session of each call.
struct Silent {
    begun: Mutex<mpsc::Sender<SessionId>>,
    unanswered: Mutex<Vec<Answer>>,
}

impl Foreign for Silent {
    fn call(&self, _executable: &Executable, call: Call, _events: CallSink, answer: Answer) {
        self.unanswered.lock().expect("nobody panics").push(answer);
        self.begun.lock().expect("nobody panics").send(call.id.session).expect("the test waits for it");
    }

    fn cancel(&self, _session: &SessionId) {
        let unanswered = std::mem::take(&mut *self.unanswered.lock().expect("nobody panics"));
        unanswered.into_iter().for_each(|answer| answer(Err(Error::new("cancelled", "it was cancelled").into())));
    }

    fn cancel_call(&self, _call: &CallId) {}
}

/// The session's threads still exist then, and the call of the first one continues. The process that runs it is not
/// told a second time.
#[test]
fn whoever_runs_it_sees_that_it_is_cancelled() {
    let folder = std::env::temp_dir().join(format!("hark-ended-outside-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let (begun, calls) = mpsc::channel();
    let foreign = Silent { begun: Mutex::new(begun), unanswered: Mutex::default() };
    let engine = Arc::new(Engine::new(
        Options::default(),
        Ports {
            storage: Arc::new(SqliteStorage::open(&folder).unwrap()),
            invoker: Arc::new(Threads::new(2)),
            foreign: Arc::new(foreign),
            surroundings: Arc::new(System),
        },
    ));
    let text = "import(silent, outside, 1); fn main() { async silent(1); sleep(0.001); silent(2) }";
    let executable = hark_compiler::compile("test.hk", text).executable.unwrap();
    let Some(Binding::Function(main)) = executable.binding("main") else { panic!("there is no `main`") };
    let program = Arc::new(Program::new(executable).unwrap());
    let start = Start {
        program: program.clone(),
        callee: hark_machine::Value::Function(main),
        arguments: Vec::new(),
        labels: Labels::default(),
    };
    let (ended, status) = mpsc::channel();
    let stop = Arc::new(AtomicBool::new(false));
    let (attended, stopped) = (engine.clone(), stop.clone());
    let sweeper = thread::spawn(move || attended.attend(Scope::Own, &stopped, &|_, _| {}).unwrap());
    let running = engine.clone();
    let runner = thread::spawn(move || ended.send(running.run(start, Arc::new(|_: &[OutputItem]| {})).status).unwrap());
    calls.recv().unwrap();
    let id = calls.recv().unwrap();

    let other = SqliteStorage::open(&folder).unwrap();
    let (records, catalog) = (other.session(&id, &program).unwrap(), other.catalog().unwrap());
    loop {
        let (version, record) = catalog.record(&id).unwrap().unwrap();
        let cancelled = SessionRecord { state: SessionState::Cancelled, ended: Some(System.now()), ..record };
        let mut commit = Commit::new(Stamp(NonZeroU64::new(System.random() | 1).unwrap()));
        commit.expect.push((Key::Session, Some(version)));
        commit.put =
            vec![Record::Session(Box::new(cancelled)), Record::Ready(ThreadId(0), hark_engine::Demand::default())];
        if records.commit(&mut commit).unwrap() == Outcome::Done {
            break;
        }
    }
    catalog.ring();
    let status = status.recv_timeout(Duration::from_secs(60)).expect("it notices that its session is over");
    assert_eq!(status, Status::Cancelled);
    runner.join().unwrap();
    stop.store(true, Ordering::Release);
    sweeper.join().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
