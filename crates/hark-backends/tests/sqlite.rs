//! The file is a storage like any other, and keeps what it was given.
#![cfg(feature = "sqlite")]

use std::fs;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::conformance::check_storage;
use hark_engine::{Commit, Key, Live, Outcome, Record, SessionId, Stamp, Storage, ThreadId, Timestamp, step};
use hark_machine::{Program, Thread, Value};

static COUNT: AtomicU64 = AtomicU64::new(0);

/// A folder that nobody has used.
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

/// Whoever has started a thread keeps it in memory; another worker of the same supervisor may have run it since.
#[test]
fn a_worker_sees_what_another_one_has_written() {
    let folder = folder();
    let supervisor = SqliteStorage::open(&folder).unwrap();
    let server = supervisor.server_number().unwrap();
    let executable = hark_compiler::compile("x.hk", "fn main() { 1 }").executable.unwrap();
    let program = Arc::new(Program::new(executable).unwrap());
    let id = SessionId::new(Timestamp(0), [0, 0]);
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
