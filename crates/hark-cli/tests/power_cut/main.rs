//! Power cuts: records the writes of several processes, and reconstructs the states that a disk may have after a power
//! cut. No acknowledged change may be missing, and no state may be refused.
//!
//! `HARK_POWER_CUTS` sets the number of states. A failing one is left at the path in its message.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the lint's exception for tests does not see their helpers")]

mod chance;
mod disk;
mod record;

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::outside::Outside;
use hark_engine::{Event, Filter, FutureId, FutureRecord, Key, Record, SessionState, Storage, Versioned};

use chance::Chance;
use disk::Disk;
use record::Entry;

const PROGRAM: &str = r#"
fn leaf(name, n) { print([name, n]); n }
fn leaves(name, n, all) { if n == 0 { all } else { leaves(name, n - 1, append(all, async leaf(name, n))) } }
fn sum(all, total) { if nullp(all) { total } else { sum(rest(all), total + await first(all)) } }
fn turns(name, n) { if n == 0 { 0 } else { sum(leaves([name, n], 5, []), 0); print([name, n]); turns(name, n - 1) } }
fn main(name) { turns(name, 6); print([name, "ends"]); "over " + name }
fn waits(name) { print([name, "waits"]); await future("door", 1); turns(name, 3); "over " + name }
"#;

/// A project whose processes are recorded.
struct Project {
    folder: PathBuf,
    record: PathBuf,
    recorder: PathBuf,
}

impl Project {
    fn new() -> Project {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("power_cut");
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("project")).unwrap();
        let root = root.canonicalize().unwrap();
        let folder = root.join("project");
        fs::write(folder.join("x.hk"), PROGRAM).unwrap();
        fs::write(folder.join("hark.toml"), "").unwrap();
        let (record, recorder) = (root.join("record"), root.join("recorder.so"));
        fs::write(&record, "").unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power_cut/recorder.c");
        // The compiler with which SQLite was built.
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut compile = Command::new(compiler);
        compile.args(["-O1", "-shared", "-fPIC", "-o"]).args([&recorder, &source]).arg("-ldl");
        assert!(compile.status().unwrap().success());
        Project { folder, record, recorder }
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hark"));
        command.current_dir(&self.folder).args(line.split_whitespace()).stdin(Stdio::null());
        command.env("LD_PRELOAD", &self.recorder).env("RECORD_FILE", &self.record).env("RECORD_FOLDER", &self.folder);
        command
    }

    #[track_caller]
    fn hark(&self, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&self, line: &str) -> Child {
        self.command(line).stdout(Stdio::null()).spawn().unwrap()
    }

    /// Records an acknowledgement by a command that prints nothing: it ended successfully.
    fn acknowledge(&self, text: &str) {
        let mut record = OpenOptions::new().append(true).open(&self.record).unwrap();
        record.write_all(&record::acknowledgement(text)).unwrap();
    }

    /// These reads are recorded, too: opening a database creates its log if no other process has it open.
    fn wait_for_state(&self, session: &str, state: &str) {
        let begun = Instant::now();
        loop {
            let shown = self.command(&format!("show {session}")).env("RECORD_PRINTS", "0").output().unwrap();
            if String::from_utf8(shown.stdout).unwrap().contains(state) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(300), "{session} is never {state}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Sessions in several processes, sequential and concurrent, ended and killed.
fn record_sessions(project: &Project) -> Vec<Entry> {
    project.hark("run -q -s sqlite -c processes x.hk first");
    project.hark("run -q -s sqlite x.hk second");
    let waits = project.hark("run -q -s sqlite --detach x.hk -f waits third").trim_end().to_owned();
    let mut worker = project.start("worker -q -c processes");
    project.wait_for_state(&waits, "waiting");
    let mut beside = project.start("run -q -s sqlite x.hk fourth");
    project.hark(&format!("resolve {waits}/door/1 7"));
    project.acknowledge(&format!("resolved {waits}\n"));
    project.hark("run -q -s sqlite -c processes x.hk fifth");
    beside.wait().unwrap();
    project.wait_for_state(&waits, "finished");
    // It leaves its log, which other processes use.
    worker.kill().unwrap();
    worker.wait().unwrap();
    project.hark("run -q -s sqlite x.hk sixth");
    record::read(&project.record, &project.folder)
}

/// Checks a state against the earlier acknowledgements.
fn check(folder: &Path, acknowledged: &[String]) -> Result<(), String> {
    let data = folder.join(".hark");
    let mut lines = HashSet::new();
    let (mut sessions, mut over, mut resolved) = (HashSet::new(), HashSet::new(), HashSet::new());
    if SqliteStorage::exists(&data) {
        let storage = SqliteStorage::open(&data).map_err(|error| format!("refused: {error}"))?;
        let catalog = storage.catalog().unwrap();
        for summary in catalog.list(&Filter::default()).map_err(|error| format!("no list: {error}"))? {
            let summary = summary.map_err(|damaged| format!("{damaged:?}"))?;
            let id = summary.id;
            let failed = |error: &dyn std::fmt::Display| format!("session {id}: {error}");
            let session = Outside::open(&storage, &System, &id).map_err(|error| failed(&error))?;
            session.records().all().map_err(|error| failed(&error))?;
            for (_, entry) in session.records().history(0, usize::MAX).map_err(|error| failed(&error))? {
                if let Event::Printed { text, .. } = entry.event {
                    lines.insert(text.trim_end().to_owned());
                }
            }
            let mut found = Vec::new();
            let door = Key::Future(FutureId::Promise("door/1".into()));
            session.records().read(&[door], &mut found).map_err(|error| failed(&error))?;
            if let Some(Some(Versioned { record: Record::Future(_, FutureRecord::Resolved(_)), .. })) = found.first() {
                resolved.insert(id.to_string());
            }
            if summary.record.state == SessionState::Finished {
                over.extend(summary.record.about.arguments.iter().map(|name| name.trim_matches('"').to_owned()));
            }
            sessions.insert(id.to_string());
        }
    }
    for line in acknowledged {
        let is_there = match line.split_once(' ') {
            None => sessions.contains(line),
            Some(("over", name)) => over.contains(name),
            Some(("resolved", session)) => resolved.contains(session),
            Some(_) => lines.contains(line),
        };
        if !is_there {
            return Err(format!("`{line}` is missing"));
        }
    }
    Ok(())
}

/// Tries this many states, at moments spread over the whole recording.
fn try_states(entries: &[Entry], project: &Path, scratch: &Path, seed: u64, states: usize) -> Result<(), String> {
    const STATES_OF_A_MOMENT: usize = 4;
    let mut chance = Chance::new(seed);
    let mut moments: Vec<usize> =
        (0..states.div_ceil(STATES_OF_A_MOMENT)).map(|_| chance.below(entries.len() + 1)).collect();
    moments.sort_unstable();
    let (mut disk, mut printed, mut done) = (Disk::default(), String::new(), 0);
    for moment in moments {
        for entry in &entries[done..moment] {
            disk.apply(entry);
            if let Entry::Printed(text) = entry {
                printed.push_str(text);
            }
        }
        done = moment;
        let acknowledged: Vec<String> = printed.lines().map(str::to_owned).collect();
        for state in 0..STATES_OF_A_MOMENT {
            let folder = scratch.join("state");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            disk.write(project, &folder, &mut chance);
            let kept = scratch.join("tried");
            let _ = fs::remove_dir_all(&kept);
            copy(&folder, &kept);
            if let Err(wrong) = check(&folder, &acknowledged) {
                return Err(format!("seed {seed}, moment {moment}, state {state}: {wrong}; see {}", kept.display()));
            }
        }
    }
    Ok(())
}

/// Copies a state before it is opened.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Tries this many states on several threads. Returns at most one failure per thread.
fn try_all(entries: &[Entry], project: &Path, states: usize) -> Vec<String> {
    const THREADS: usize = 2;
    // In memory if there is such a folder, because durability does not matter here.
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    let root = root.join(format!("hark-power-cut-{}", std::process::id()));
    let wrong: Vec<String> = thread::scope(|scope| {
        let tries: Vec<_> = (0..THREADS)
            .map(|thread| {
                let scratch = root.join(thread.to_string());
                scope.spawn(move || try_states(entries, project, &scratch, thread as u64, states / THREADS))
            })
            .collect();
        tries.into_iter().filter_map(|tried| tried.join().unwrap().err()).collect()
    });
    if wrong.is_empty() {
        fs::remove_dir_all(&root).unwrap();
    }
    wrong
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_refused() {
    let states = std::env::var("HARK_POWER_CUTS").map_or(2_000, |states| states.parse().unwrap());
    let project = Project::new();
    let entries = record_sessions(&project);
    let wrong = try_all(&entries, &project.folder, states);
    assert!(wrong.is_empty(), "{} entries: {wrong:#?}", entries.len());
    // On a disk that ignores syncs, much would be lost; the states must be hard enough to show that.
    let lies: Vec<Entry> = entries.into_iter().filter(|entry| !is_sync_of_a_file(entry)).collect();
    let lost = try_all(&lies, &project.folder, 200);
    assert!(!lost.is_empty(), "nobody needs to sync");
    lost.iter().for_each(|lost| assert!(lost.contains("is missing") || lost.contains("damaged"), "{lost}"));
}

fn is_sync_of_a_file(entry: &Entry) -> bool {
    matches!(entry, Entry::Synced { path, .. } if path.contains("hark.db"))
}
