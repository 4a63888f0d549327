//! The SQLite file passes the conformance suite for storages, and keeps its contents.
#![cfg(feature = "sqlite")]

use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::conformance::{check_leases, check_priorities, check_servers, check_storage};
use hark_engine::outside::Outside;
use hark_engine::{
    About, Commit, Demand, FutureId, Key, Left, Live, Outcome, Pools, Record, SessionId, Stamp, Storage, Surroundings,
    Tenure, Terms, ThreadId, ThreadStatus, Timestamp, step,
};
use hark_machine::{Awaited, Program, Thread, Value};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder that does not exist yet.
fn folder() -> PathBuf {
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("hark-sqlite-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

#[test]
fn the_file_is_a_storage() {
    let made = std::sync::Mutex::new(Vec::new());
    check_storage(&|| -> Arc<dyn Storage> {
        let folder = folder();
        made.lock().unwrap().push(folder.clone());
        Arc::new(SqliteStorage::open(&folder).unwrap())
    });
    for folder in made.into_inner().unwrap() {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn the_file_is_a_storage_whose_sessions_have_servers() {
    let made = std::sync::Mutex::new(Vec::new());
    check_servers(&|| {
        let folder = folder();
        made.lock().unwrap().push(folder.clone());
        [(); 2].map(|()| -> Arc<dyn Storage> { Arc::new(SqliteStorage::open(&folder).unwrap()) })
    });
    for folder in made.into_inner().unwrap() {
        fs::remove_dir_all(folder).unwrap();
    }
}

#[test]
fn the_file_is_a_storage_whose_threads_are_leased() {
    let made = std::sync::Mutex::new(Vec::new());
    let make = || -> Arc<dyn Storage> {
        let folder = folder();
        made.lock().unwrap().push(folder.clone());
        Arc::new(SqliteStorage::open(&folder).unwrap().with_leased_threads())
    };
    check_storage(&make);
    check_leases(&make);
    check_priorities(&make);
    for folder in made.into_inner().unwrap() {
        fs::remove_dir_all(folder).unwrap();
    }
}

/// A session that was released by a process without leases belongs to nobody. When threads are leased from then on, all that
/// was to be done in it is due: the thread that could run, the mailbox of one that waits, and the waking of many.
#[test]
fn what_a_process_without_leases_has_released_is_taken() {
    let folder = folder();
    let executable = hark_compiler::compile("x.hk", "fn main() { 1 }").executable.unwrap();
    let program = Arc::new(Program::new(executable).unwrap());
    let id = SessionId::new(Timestamp(1), 7);
    let waiting = ThreadId(1);
    {
        let storage = SqliteStorage::open(&folder).unwrap();
        let about = About { program: program.hash().to_string(), ..About::default() };
        storage.catalog().unwrap().put_program(&about.program, program.executable()).unwrap();
        let records = storage.session(&id, &program).unwrap();
        let live = || Live::new(Thread::new(Value::Null, Vec::new()));
        let mut begin = Commit::new(Stamp(NonZeroU64::new(1).unwrap()));
        step::start(&about.into(), live(), &mut begin);
        let mut waits = live();
        waits.status = ThreadStatus::Waiting(Awaited::Promise("mail/1".into()));
        begin.fresh.push(Record::Live(waiting, waits));
        begin.fresh.push(Record::Ready(waiting, Demand::default()));
        begin.fresh.push(Record::Todo(FutureId::Promise("mail/1".into())));
        assert_eq!(records.commit(&mut begin), Ok(Outcome::Done));
        storage.tenure().release(None).unwrap();
    }
    let storage = SqliteStorage::open(&folder).unwrap().with_leased_threads();
    let Tenure::Leases(leases) = storage.tenure() else { panic!("its threads are not leased") };
    let now = System.steady_now();
    assert_eq!(leases.abandoned(now), Ok(vec![id.clone()]));
    let terms = Terms { now, until: now.after(leases.lease()) };
    let taken = leases.take(None, &Pools::All, terms, Stamp(NonZeroU64::new(2).unwrap()), 9).unwrap();
    let taken: Vec<_> = taken.iter().map(|taken| (taken.session.clone(), taken.thread, taken.left)).collect();
    assert_eq!(taken, [(id.clone(), step::FIRST, Left::Free), (id.clone(), waiting, Left::Free)]);
    drop(storage);
    fs::remove_dir_all(folder).unwrap();
}

/// A worker keeps threads that it has started in memory, but another worker of the same supervisor may have run them
/// since.
#[test]
fn a_worker_sees_what_another_one_has_written() {
    let folder = folder();
    let supervisor = SqliteStorage::open(&folder).unwrap();
    let server = supervisor.server_number().unwrap();
    let executable = hark_compiler::compile("x.hk", "fn main() { 1 }").executable.unwrap();
    let program = Arc::new(Program::new(executable).unwrap());
    let id = SessionId::new(Timestamp(0), 0);
    let worker = || SqliteStorage::open_for_server(&folder, server).unwrap().session(&id, &program).unwrap();
    let (one, other) = (worker(), worker());
    let stamp = |number| Stamp(NonZeroU64::new(number).unwrap());
    let live = || Live::new(Thread::new(Value::Null, Vec::new()));
    let thread = ThreadId(1);

    let mut commit = Commit::new(stamp(1));
    step::start(&Arc::default(), live(), &mut commit);
    commit.fresh.push(Record::Live(thread, live()));
    assert_eq!(one.commit(&mut commit), Ok(Outcome::Done));
    let mut commit = Commit::new(stamp(2));
    commit.expect.push((Key::Live(thread), Some(stamp(1))));
    commit.put.push(Record::Live(thread, live()));
    assert_eq!(other.commit(&mut commit), Ok(Outcome::Done));

    let mut found = Vec::new();
    one.read(&[Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())], &mut found).unwrap();
    assert_eq!(found[0].as_ref().map(|found| found.stamp), Some(stamp(2)));
    fs::remove_dir_all(folder).unwrap();
}

/// A server checks once a second, but does not rely on it: each change from outside is announced.
#[test]
fn who_changes_a_session_from_outside_tells_its_server() {
    let folder = folder();
    let (storage, other) = (SqliteStorage::open(&folder).unwrap(), SqliteStorage::open(&folder).unwrap());
    let program = hark_compiler::compile("x.hk", "fn main() { 1 }").executable.unwrap();
    let program = Arc::new(Program::new(program).unwrap());
    let catalog = storage.catalog().unwrap();
    let hash = program.hash().to_string();
    catalog.put_program(&hash, program.executable()).unwrap();
    let id = SessionId::new(Timestamp(0), 0);
    let mut commit = Commit::new(Stamp(NonZeroU64::new(1).unwrap()));
    let about = Arc::new(About { program: hash, ..About::default() });
    step::start(&about, Live::new(Thread::new(Value::Null, Vec::new())), &mut commit);
    assert_eq!(storage.session(&id, &program).unwrap().commit(&mut commit), Ok(Outcome::Done));

    let is_told = || catalog.wait_for_news(Duration::from_secs(60));
    let outside = || Outside::open(&other, &System, &id).unwrap();
    assert!(outside().resolve("door/1", Value::Null).is_ok() && is_told(), "of a value");
    assert!(outside().fail("door/2", "no").is_ok() && is_told(), "of a failure");
    assert!(outside().cancel_now().is_ok() && is_told(), "of its end");
    fs::remove_dir_all(folder).unwrap();
}

/// The program is stored when the session is prepared, and `hark prune` may run before the session is written.
#[test]
fn a_program_goes_with_its_last_session_and_comes_with_the_next() {
    let folder = folder();
    let (storage, other) = (SqliteStorage::open(&folder).unwrap(), SqliteStorage::open(&folder).unwrap());
    let (catalog, pruning) = (storage.catalog().unwrap(), other.catalog().unwrap());
    let program =
        Arc::new(Program::new(hark_compiler::compile("x.hk", "fn main() { 1 }").executable.unwrap()).unwrap());
    let hash = program.hash().to_string();
    let is_there = || catalog.program(&hash).is_ok();

    catalog.put_program(&hash, program.executable()).unwrap();
    let id = SessionId::new(Timestamp(0), 0);
    let session = storage.session(&id, &program).unwrap();
    pruning.remove_programs().unwrap();
    assert!(!is_there());

    let stamp = Stamp(NonZeroU64::new(1).unwrap());
    let mut commit = Commit::new(stamp);
    let about = Arc::new(About { program: hash.clone(), ..About::default() });
    step::start(&about, Live::new(Thread::new(Value::Null, Vec::new())), &mut commit);
    assert_eq!(session.commit(&mut commit), Ok(Outcome::Done));
    assert!(is_there());
    pruning.remove_programs().unwrap();
    assert!(is_there());

    assert_eq!(pruning.remove(&id, stamp), Ok(true));
    pruning.remove_programs().unwrap();
    assert!(!is_there());
    fs::remove_dir_all(folder).unwrap();
}
