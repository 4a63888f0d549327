//! The storage of plain files, which is an example of the byte port, against the suites for all storages.

#[path = "files/storage.rs"]
mod storage;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hark_engine::conformance::{check_leases, check_storage};
use hark_engine::{Encoded, Storage};
use storage::Files;

/// A folder that nobody has used. In memory, if that can be: files are written very often.
fn folder() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { env::temp_dir() };
    let folder = parent.join(format!("hark-files-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let _ = fs::remove_dir_all(&folder);
    folder
}

#[test]
fn a_folder_of_plain_files_is_a_storage_whose_threads_are_leased() {
    let made = Mutex::new(Vec::new());
    let make = || -> Arc<dyn Storage> {
        let folder = folder();
        made.lock().unwrap().push(folder.clone());
        let files = Files::open(&folder, Duration::from_secs(10)).unwrap();
        Arc::new(Encoded::new(Arc::new(files)))
    };
    check_storage(&make);
    check_leases(&make);
    for folder in made.into_inner().unwrap() {
        fs::remove_dir_all(folder).unwrap();
    }
}
