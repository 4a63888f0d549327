//! Properties of any imported file, and of any rows in a file of sessions: nothing panics or hangs, and other sessions
//! are unchanged.

use std::collections::VecDeque;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::outside::Outside;
use hark_engine::{
    Engine, ExportedSession, Filter, Invoker, NoForeign, Observer, Options, OutputItem, Ports, Report, Runner,
    SessionId, Storage, StorageError, Surroundings, ThreadId, TimerId, Timestamp, WorkerSlot,
};

use crate::damage::{Random, damage};
use crate::document::{Document, Part};
use crate::rows;

/// The maximum number of turns of a session's threads.
const TURNS: usize = 50;

/// The id of the session that follows the others in the file.
const NEIGHBOR: &str = "00000000-0000-7000-8000-000000000001";

/// Imports any bytes: unchanged, and with all inner checksums corrected. An accepted session is inspected and run for a
/// while. The sessions before and after it, whose keys are adjacent to its own, must not change. Returns whether it was
/// accepted.
pub fn import(bytes: &[u8]) -> bool {
    let mut is_taken = false;
    static PLACE: OnceLock<Mutex<SqliteStorage>> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let folder = scratch("import");
        let storage = SqliteStorage::open(&folder).expect("the folder can be written to");
        take(&storage, &exports()[0]).expect("the first seed is whole");
        Mutex::new(storage)
    });
    let storage = place.lock().unwrap_or_else(PoisonError::into_inner);
    let mended = Document::read(bytes).map(|document| document.write());
    for bytes in [Some(bytes), mended.as_deref().ok()].into_iter().flatten() {
        let Some(id) = take(&storage, bytes) else { continue };
        is_taken = true;
        let neighbor = renamed(&exports()[1], NEIGHBOR);
        let beside = take(&storage, &neighbor).expect("the second seed is whole");
        look(&storage, &id).expect("what was imported can be read");
        run(&storage, &id);
        let _ = look(&storage, &id);
        assert!(exported(&storage, &beside).as_ref() == Ok(&neighbor), "the session after it has changed");
        remove(&storage, &beside);
        remove(&storage, &id);
    }
    let first = ExportedSession::read(&exports()[0]).expect("the first seed is whole").id().clone();
    assert!(exported(&storage, &first).as_ref() == Ok(&exports()[0]), "the session before it has changed");
    is_taken
}

/// Makes any changes to the rows of one session, with corrected checksums. That session may be refused; all others must
/// be unchanged. Returns whether the file was accepted.
pub fn database(changes: &[u8]) -> bool {
    let mut is_taken = false;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = scratch(&format!("database-{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let file = folder.join("hark.db");
    fs::write(&file, golden()).expect("the folder can be written to");
    let changed = rows::change(&file, changes);
    if let Ok(storage) = SqliteStorage::open(&folder) {
        is_taken = true;
        let listed = storage.catalog().map(|catalog| catalog.list(&Filter::default()));
        let listed = listed.expect("it keeps sessions").expect("no row breaks the list");
        assert_eq!(listed.len(), exports().len());
        let _ = changed.as_ref().map(|id| look(&storage, id));
        if let Some(id) = &changed {
            run(&storage, id);
        }
        for export in exports() {
            let id = ExportedSession::read(export).expect("a seed is whole").id().clone();
            if Some(&id) != changed.as_ref() {
                assert!(exported(&storage, &id).as_ref() == Ok(export), "session {id} has changed");
            }
        }
    }
    let _ = fs::remove_dir_all(folder);
    is_taken
}

/// The seeds of each target: sessions of all kinds, and changes of a few rows.
pub fn seeds() -> [(&'static str, Vec<Vec<u8>>); 2] {
    let changes = (0..64).map(|number| {
        let mut random = Random(number);
        (0..rows::CHANGE_BYTES * (1 + random.below(3))).map(|_| random.next() as u8).collect()
    });
    [("import", exports().to_vec()), ("database", changes.collect())]
}

/// Changes some parts of an exported session, possibly nested ones, keeping lengths and checksums correct.
pub fn forge(random: &mut Random, export: &[u8]) -> Vec<u8> {
    let Ok(mut document) = Document::read(export) else { return export.to_vec() };
    for _ in 0..=random.below(3) {
        let count = document.count();
        match document.part_mut(random.below(count)) {
            Some(Part::Byte(byte)) => *byte = random.below(8) as u8,
            Some(Part::Number(number)) => {
                let telling =
                    [0, 1, number.wrapping_add(1), 1 << 20, (1 << 33) - 1, 1 << 33, i64::MAX as u64, u64::MAX];
                *number = telling[random.below(telling.len())];
            }
            Some(Part::Text(bytes) | Part::Raw(bytes)) => {
                let other = bytes.clone();
                damage(random, bytes, &other);
            }
            Some(Part::SealedText(text)) => {
                let mut bytes = text.clone().into_bytes();
                damage(random, &mut bytes, text.as_bytes());
                *text = String::from_utf8_lossy(&bytes).into_owned();
            }
            Some(Part::Document(_)) | None => {}
        }
    }
    document.write()
}

/// The sessions in a file written by an earlier release.
fn exports() -> &'static [Vec<u8>] {
    static EXPORTS: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    EXPORTS.get_or_init(|| {
        let folder = scratch("seeds");
        fs::write(folder.join("hark.db"), golden()).expect("the folder can be written to");
        let storage = SqliteStorage::open(&folder).expect("the file is whole");
        let listed = storage.catalog().map(|catalog| catalog.list(&Filter::default()));
        let listed = listed.expect("it keeps sessions").expect("they can be listed");
        let ids = listed.into_iter().map(|listed| listed.expect("each is whole").id);
        ids.map(|id| exported(&storage, &id).expect("each can be exported")).collect()
    })
}

fn golden() -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join("tests/programs").is_dir());
    let file = root.expect("the repository has tests").join("crates/hark-cli/tests/golden/v1/hark.db");
    fs::read(file).expect("the repository has a file of sessions")
}

/// An empty folder, in memory if possible, because it is written very often.
fn scratch(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_path_buf() } else { env::temp_dir() };
    let folder = parent.join(format!("hark-fuzz-{}-{name}", process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("there is room for a folder");
    folder
}

/// Removes the folders of this process.
pub fn tidy() {
    for name in ["import", "seeds"] {
        scratch(name)
            .parent()
            .map(|parent| fs::remove_dir_all(parent.join(format!("hark-fuzz-{}-{name}", process::id()))));
    }
}

fn take(storage: &SqliteStorage, bytes: &[u8]) -> Option<SessionId> {
    let exported = ExportedSession::read(bytes).ok()?;
    hark_engine::import(exported, storage, &Still::default()).ok()
}

/// The session with a different id.
fn renamed(export: &[u8], id: &str) -> Vec<u8> {
    let mut document = Document::read(export).expect("a seed is whole");
    document.parts[0] = Part::Text(id.into());
    document.write()
}

fn exported(storage: &SqliteStorage, id: &SessionId) -> Result<Vec<u8>, String> {
    let mut written = Vec::new();
    let write = |bytes: &[u8]| -> Result<(), ()> {
        written = bytes.to_vec();
        Ok(())
    };
    let surroundings = Still::default();
    let outside = Outside::open(storage, &surroundings, id).map_err(|error| error.to_string())?;
    outside.export_copy(write).map_err(|error| format!("{error:?}"))?;
    Ok(written)
}

fn remove(storage: &SqliteStorage, id: &SessionId) {
    let catalog = storage.catalog().expect("it keeps sessions");
    if let Ok(Some((stamp, _))) = catalog.record(id) {
        let _ = catalog.remove(id, stamp);
    }
}

/// Reads everything shown by `hark show`.
fn look(storage: &SqliteStorage, id: &SessionId) -> Result<(), StorageError> {
    let surroundings = Still::default();
    let outside = match Outside::open(storage, &surroundings, id) {
        Ok(outside) => outside,
        Err(error) => return Err(StorageError::Permanent(error.to_string())),
    };
    outside.report(false).map_err(|error| StorageError::Permanent(error.to_string()))?;
    outside.records().all().map(drop)
}

/// Continues the session for some turns.
fn run(storage: &SqliteStorage, id: &SessionId) {
    let folder = storage.folder().to_path_buf();
    let Ok(storage) = SqliteStorage::open(&folder) else { return };
    let invoker = Arc::new(Few { hints: Mutex::default(), left: AtomicU64::new(TURNS as u64) });
    let ports = Ports {
        storage: Arc::new(storage),
        invoker: invoker.clone(),
        foreign: Arc::new(NoForeign),
        surroundings: Arc::new(Still::default()),
    };
    let engine = Engine::new(Options::default(), ports);
    let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
    let on_end: Arc<dyn Fn(Report) + Send + Sync> = Arc::new(|_| {});
    let _ = engine.resume(Some(id), &observer, &on_end);
    invoker.serve(&AtomicBool::new(false));
    let _ = engine.release();
    // Sessions hold their engine and their invoker, and would keep both alive forever.
    engine.forget(id);
    invoker.hints.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// An invoker that gives a limited number of turns.
struct Few {
    hints: Mutex<VecDeque<(Arc<dyn Runner>, ThreadId)>>,
    left: AtomicU64,
}

impl Invoker for Few {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        hints.extend(threads.iter().map(|thread| (runner.clone(), *thread)));
    }

    fn width(&self) -> usize {
        1
    }

    fn serve(&self, _: &AtomicBool) {
        while self.left.load(Ordering::Relaxed) > 0 {
            let hint = self.hints.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((runner, thread)) = hint else { return };
            self.left.fetch_sub(1, Ordering::Relaxed);
            runner.run(&[thread], &mut Place { invoker: self, runner: &runner });
        }
    }

    fn nudge(&self) {}

    fn forget(&self, _: &Arc<dyn Runner>) {}
}

struct Place<'a> {
    invoker: &'a Few,
    runner: &'a Arc<dyn Runner>,
}

impl WorkerSlot for Place<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.invoker.invoke(self.runner, threads);
    }

    fn invoke_after(&mut self, _: ThreadId, _: Duration) -> Option<TimerId> {
        None
    }

    fn disarm(&mut self, _: TimerId) -> bool {
        false
    }

    fn begin_blocking(&mut self) -> bool {
        false
    }

    fn end_blocking(&mut self) {}

    fn step_aside(&mut self) {}

    fn step_back(&mut self) {}
}

/// Surroundings in which time passes only while someone waits.
#[derive(Default)]
struct Still {
    microseconds: AtomicU64,
    drawn: AtomicU64,
}

impl Surroundings for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000 + self.microseconds.load(Ordering::Relaxed))
    }

    fn steady_now(&self) -> Timestamp {
        self.now()
    }

    fn pause(&self, duration: Duration) {
        self.microseconds.fetch_add(duration.as_micros() as u64 + 1, Ordering::Relaxed);
    }

    fn random(&self) -> u64 {
        static DRAWN: AtomicU64 = AtomicU64::new(0);
        let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
        self.drawn.store(drawn, Ordering::Relaxed);
        Random(drawn).next()
    }
}
