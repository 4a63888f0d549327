//! The file is a storage like any other, and keeps what it was given.
#![cfg(feature = "sqlite")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::Storage;
use hark_engine::conformance::check_storage;

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
