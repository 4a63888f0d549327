//! Exports from a table, whose other processes do not see when a process dies: only its lease tells.
#![cfg(feature = "dynamodb")]

#[path = "support/dynamodb.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_bytecode::Binding;
use hark_engine::outside::{Outside, OutsideError};
use hark_engine::{Engine, NoForeign, Options, Ports, SessionId, SessionState, Start, Storage, Surroundings};
use hark_machine::{Program, Value};
use server::{Server, new_table};

const LEASE: Duration = Duration::from_millis(600);

/// A table with a session whose threads nobody runs.
fn with_session(server: &Server) -> (Arc<dyn Storage>, SessionId) {
    let (table, _) = new_table(server);
    let storage: Arc<dyn Storage> = Arc::new(server.open_leased(&table, LEASE));
    let executable = hark_compiler::compile("test.hk", "fn main() { await future(\"go\", 1) }").executable;
    let program = Arc::new(Program::new(executable.expect("it is a program")).expect("the program is sound"));
    let Some(Binding::Function(main)) = program.executable().binding("main") else { panic!("there is no main") };
    let ports = Ports {
        storage: storage.clone(),
        invoker: Arc::new(Threads::new(1)),
        foreign: Arc::new(NoForeign),
        surroundings: Arc::new(System),
    };
    let id = Engine::new(Options::default(), ports)
        .leave_to_others(Start::new(program, Value::Function(main), Vec::new()))
        .expect("a session can begin");
    (storage, id)
}

fn state(storage: &dyn Storage, id: &SessionId) -> SessionState {
    storage.catalog().expect("it keeps sessions").record(id).expect("it can be read").expect("it is there").1.state
}

/// As if the process were killed: nothing is written any more.
#[test]
fn a_session_goes_on_soon_after_its_export_was_killed() {
    let Some(server) = Server::start() else { return };
    let (storage, id) = with_session(&server);
    let outside = Outside::open(&*storage, &System, &id).unwrap();
    let begun = System.now();
    let killed = catch_unwind(AssertUnwindSafe(|| outside.export(|_| -> Result<(), ()> { panic!("it is killed") })));
    assert!(killed.is_err());
    let lost = Instant::now();
    assert_eq!(state(&*storage, &id), SessionState::Moving);
    let under_way = outside.move_under_way().unwrap().expect("nobody knows that it was killed");
    assert!(under_way.since.is_some_and(|since| since >= begun && since <= System.now()), "{under_way:?}");
    assert!(under_way.until.is_some_and(|until| until <= System.steady_now().after(LEASE)), "{under_way:?}");
    let resolve = || outside.resolve("go/1", Value::Null);
    assert!(matches!(resolve(), Err(OutsideError::WrongState(SessionState::Moving))));
    while let Err(error) = resolve() {
        assert!(matches!(error, OutsideError::WrongState(SessionState::Moving)), "{error:?}");
        assert!(lost.elapsed() < Duration::from_secs(20), "it is still being moved");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((state(&*storage, &id), outside.move_under_way().unwrap()), (SessionState::Running, None));
}

#[test]
fn an_export_may_take_longer_than_a_lease() {
    let Some(server) = Server::start() else { return };
    let (storage, id) = with_session(&server);
    let outside = Outside::open(&*storage, &System, &id).unwrap();
    let slow = |_: &[u8]| -> Result<(), ()> {
        let begun = Instant::now();
        while begun.elapsed() < LEASE * 4 {
            let resolved = outside.resolve("go/1", Value::Null);
            assert!(matches!(resolved, Err(OutsideError::WrongState(SessionState::Moving))), "{resolved:?}");
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    };
    outside.export(slow).expect("it is still this process's");
    assert_eq!(state(&*storage, &id), SessionState::Moved);
}
