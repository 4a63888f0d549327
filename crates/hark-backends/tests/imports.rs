//! An imported session from another source, with numbers that no session here has, does not affect others.
#![cfg(feature = "sqlite")]
#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see their helpers")]

#[path = "../../../fuzz/src/document.rs"]
#[allow(dead_code, reason = "the fuzz targets use all of it")]
mod document;

use std::fs;
use std::path::{Path, PathBuf};

use document::{Document, Part};
use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::limits::THREADS_MAX;
use hark_engine::outside::Outside;
use hark_engine::{ExportedSession, Filter, ImportError, SessionId, Storage, import};

/// A folder that is removed after the test.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Exports of sessions of all kinds, written by an earlier release.
fn exports(test: &str) -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hark-cli/tests/golden/v1/hark.db");
    let folder = Folder::new(&format!("{test}_exports"));
    fs::copy(golden, folder.0.join("hark.db")).unwrap();
    let storage = SqliteStorage::open(&folder.0).unwrap();
    let sessions = storage.catalog().unwrap().list(&Filter::default()).unwrap();
    sessions.into_iter().map(|session| exported(&storage, &session.unwrap().id)).collect()
}

fn exported(storage: &SqliteStorage, id: &SessionId) -> Vec<u8> {
    let mut written = Vec::new();
    let write = |bytes: &[u8]| -> Result<(), ()> {
        written = bytes.to_vec();
        Ok(())
    };
    Outside::open(storage, &System, id).unwrap().export_copy(write).unwrap();
    written
}

fn remove(storage: &SqliteStorage, id: &SessionId) {
    let catalog = storage.catalog().unwrap();
    let (stamp, _) = catalog.record(id).unwrap().unwrap();
    assert!(catalog.remove(id, stamp).unwrap());
}

fn imported(storage: &SqliteStorage, bytes: &[u8]) -> Result<SessionId, ImportError> {
    import(ExportedSession::read(bytes)?, storage, &System)
}

/// Reading and writing an unchanged document yields the same bytes, so the tests below change only what they mean to
/// change.
#[test]
fn an_export_is_taken_apart_and_put_together() {
    for export in exports("an_export_is_taken_apart") {
        let document = Document::read(&export).unwrap();
        assert!(document.count() > 4);
        assert!(document.write() == export);
    }
}

/// Sets each number of each session to values that are too large. What is accepted does not change the sessions before
/// and after it, whose Futures have the adjacent keys.
#[test]
fn a_number_out_of_range_is_refused_or_harmless() {
    let folder = Folder::new("a_number_out_of_range");
    let storage = SqliteStorage::open(&folder.0).unwrap();
    let exports = exports("a_number_out_of_range");
    let (first, others) = exports.split_first().unwrap();
    let before = imported(&storage, first).unwrap();
    let after = with_another_id(first);
    let (mut refused, mut accepted) = (0, 0);
    for export in others {
        let document = Document::read(export).unwrap();
        for number in 0..document.count() {
            for wrong in [THREADS_MAX, THREADS_MAX + 1, i64::MAX as u64, u64::MAX] {
                let mut forged = document.clone();
                let Some(Part::Number(part)) = forged.part_mut(number) else { break };
                *part = wrong;
                let Ok(id) = imported(&storage, &forged.write()) else {
                    refused += 1;
                    continue;
                };
                let next = imported(&storage, &after).unwrap();
                assert!(exported(&storage, &next) == after, "part {number} as {wrong}");
                remove(&storage, &next);
                remove(&storage, &id);
                accepted += 1;
            }
        }
    }
    // Only the time of a thread's failure, and the number of frames omitted from its trace, may be large, within
    // limits. That makes five numbers per failure.
    assert!(refused > 900 && accepted <= 5 * 8, "{refused} were refused and {accepted} accepted");
    assert!(exported(&storage, &before) == *first);
}

/// The same session with another id.
fn with_another_id(export: &[u8]) -> Vec<u8> {
    let mut document = Document::read(export).unwrap();
    document.parts[0] = Part::Text(b"00000000-0000-7000-8000-000000000001".to_vec());
    document.write()
}

/// Otherwise, sessions of a program would run the code that an import has stored under that program's hash.
#[test]
fn a_program_has_its_own_hash() {
    let folder = Folder::new("a_program_has_its_own_hash");
    let storage = SqliteStorage::open(&folder.0).unwrap();
    let mut forged = Document::read(&exports("a_program_has_its_own_hash")[0]).unwrap();
    let Part::Text(summary) = &mut forged.parts[1] else { panic!("the summary is a text") };
    let text = String::from_utf8(summary.clone()).unwrap();
    let (begin, rest) = text.split_once("\"program\":\"").unwrap();
    *summary = format!("{begin}\"program\":\"{}{}", "0".repeat(64), &rest[64..]).into_bytes();
    let error = imported(&storage, &forged.write()).unwrap_err();
    assert_eq!(error.to_string(), "the file cannot be read: the hash of its program is wrong");
    assert!(storage.catalog().unwrap().list(&Filter::default()).unwrap().is_empty());
}
