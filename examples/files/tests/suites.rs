//! The storage of plain files against the suites for all storages, and the invoker of processes against that for its kind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hark_backends::System;
use hark_engine::conformance::{
    Supervisor, check_leases, check_priorities, check_remote_invoker, check_rows, check_storage,
};
use hark_engine::rows::RowStorage;
use hark_engine::{Assignment, Catalog, Encoded, Leases, Pools, SessionState, Storage, Surroundings, Terms};
use hark_engine::{SessionId, Stamp};
use hark_on_files::invoker::Processes;
use hark_on_files::storage::Files;

/// A folder that nobody has used. In memory, if that can be: files are written very often.
fn folder() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { env::temp_dir() };
    let folder = parent.join(format!("hark-files-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// Empty storages, whose folders go with this.
struct Storages {
    lease: Duration,
    made: Mutex<Vec<PathBuf>>,
}

impl Storages {
    fn of_lease(seconds: u64) -> Storages {
        Storages { lease: Duration::from_secs(seconds), made: Mutex::default() }
    }

    fn make_rows(&self) -> Arc<dyn RowStorage> {
        let folder = folder();
        self.made.lock().unwrap().push(folder.clone());
        Arc::new(Files::open(&folder, self.lease).unwrap())
    }

    fn make(&self) -> Arc<dyn Storage> {
        Arc::new(Encoded::new(self.make_rows()))
    }

    fn last_folder(&self) -> PathBuf {
        self.made.lock().unwrap().last().unwrap().clone()
    }
}

impl Drop for Storages {
    fn drop(&mut self) {
        for folder in self.made.get_mut().unwrap() {
            let _ = fs::remove_dir_all(folder);
        }
    }
}

#[test]
fn a_folder_of_plain_files_is_a_storage_whose_threads_are_leased() {
    let storages = Storages::of_lease(10);
    check_rows(&|| storages.make_rows());
    check_storage(&|| storages.make());
    check_leases(&|| storages.make());
    check_priorities(&|| storages.make());
}

/// A process that was started for one thread also runs those that this one starts, and wakes it when they have stopped.
#[test]
fn a_process_runs_a_chain_of_threads() {
    let storages = Storages::of_lease(10);
    let storage = Encoded::new(storages.make_rows());
    let folder = storages.last_folder();
    fs::write(
        folder.join("x.hk"),
        "fn link(n) { if n == 0 { 7 } else { await async link(n - 1) } } fn main() { link(50) }",
    )
    .unwrap();
    let hark = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hark-on-files"));
        command.current_dir(&folder).env("HARK_FILES", &folder);
        command
    };
    let begun = hark().args(["run", "--detach", "x.hk"]).output().unwrap();
    let id = SessionId::parse(String::from_utf8_lossy(&begun.stdout).trim()).expect("a session begins");
    let (now, stamp) = (System.steady_now(), Stamp(System.random().try_into().unwrap()));
    let terms = Terms { now, until: now.after(storages.lease) };
    let taken = storage.take(Some(&id), &Pools::All, terms, stamp, 9).unwrap().pop().expect("its first thread is due");
    let first = Assignment { session: id.clone(), thread: taken.thread, held: Some(stamp), left: taken.left };
    let ended = hark().arg("threads").args([&folder, &folder]).arg(first.to_string()).status().unwrap();
    assert!(ended.success());
    assert_eq!(storage.record(&id).unwrap().unwrap().1.state, SessionState::Finished);
}

#[test]
fn processes_for_some_threads_each_are_an_invoker() {
    let storages = Storages::of_lease(1);
    check_remote_invoker(&|| {
        let (storage, folder) = (storages.make(), storages.last_folder());
        let command = move |assignments: &[Assignment]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hark-on-files"));
            command.arg("threads").arg(&folder).arg(&folder).args(assignments.iter().map(Assignment::to_string));
            command
        };
        let invoker = Arc::new(Processes::new(4, Box::new(command)));
        Supervisor { storage, invoker, surroundings: Arc::new(System) }
    });
}
