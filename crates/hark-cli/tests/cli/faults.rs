//! What may be wrong with the place where sessions are kept: a clear error, no panic, nothing overwritten.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Folder, Run};

const PROGRAM: &str = r#"fn leaf(n) { print(["leaf", n]); n }
fn leaves(n, futures) { if n == 0 { futures } else { leaves(n - 1, append(futures, async leaf(n))) } }
fn sum(futures, total) { if nullp(futures) { total } else { sum(rest(futures), total + await first(futures)) } }
fn main() { print("one"); 1 }
fn long() { one_after_another(300, 0) }
fn one_after_another(n, total) { if n == 0 { total } else { one_after_another(n - 1, total + await async leaf(n)) } }
fn waits() {
  total = sum(leaves(8, []), 0);
  print(["sum", total]);
  value = await future("door", 1);
  print(["door", value]);
  total + value
}
"#;

fn folder(test: &str) -> Folder {
    Folder::with(test, PROGRAM)
}

fn database(folder: &Folder) -> PathBuf {
    folder.path().join(".hark/hark.db")
}

/// All of these commands fail with this message, and change nothing.
#[track_caller]
fn refused(folder: &Folder, message: &str) {
    let before = fs::read(database(folder)).unwrap();
    let said = format!("error: {message}\n");
    let lines = ["run -s sqlite x.hk", "run -s sqlite --detach x.hk", "sessions", "sessions --json", "show", "stdout"];
    let more = ["events", "resume", "retry", "cancel", "worker", "resolve a/b/c 1", "prune --older-than 0s"];
    for line in lines.iter().chain(&more) {
        let run = folder.hark(line);
        assert_eq!((run.status, run.stderr.as_str(), run.stdout.as_str()), (1, said.as_str(), ""), "{line}");
    }
    assert!(fs::read(database(folder)).unwrap() == before, "it was written to");
}

#[test]
fn a_file_that_is_no_database() {
    let folder = folder("a_file_that_is_no_database");
    folder.write(".hark/hark.db", "Dear diary, today I wrote a text that is much longer than any header. ".repeat(20));
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is no database, or a damaged one");
}

#[test]
fn a_database_of_another_program() {
    let folder = folder("a_database_of_another_program");
    folder.write(".hark/other", "");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.execute_batch("CREATE TABLE session (id); INSERT INTO session VALUES (1);").unwrap();
    connection.close().unwrap();
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is a database, but not one of Hark's");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.pragma_update(None, "application_id", 0x0bad).unwrap();
    connection.execute_batch("DROP TABLE session;").unwrap();
    connection.close().unwrap();
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is a database, but not one of Hark's");
}

#[test]
fn a_database_of_a_later_release() {
    let folder = folder("a_database_of_a_later_release");
    folder.hark("run -s sqlite -q x.hk").is(0, "one\n1\n", "");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    connection.close().unwrap();
    refused(
        &folder,
        "the storage failed: `[FOLDER]/.hark/hark.db` has format version 1000, and this release knows version 1; \
         use the release that wrote it, or a later one",
    );
}

#[test]
fn a_folder_where_the_file_should_be() {
    let folder = folder("a_folder_where_the_file_should_be");
    folder.write(".hark/hark.db/x", "");
    let said = "error: the storage failed: `[FOLDER]/.hark/hark.db` cannot be opened\n";
    for line in ["run -s sqlite x.hk", "sessions", "worker"] {
        folder.hark(line).is(1, "", said);
    }
}

#[test]
fn a_locked_file() {
    let folder = folder("a_locked_file");
    folder.hark("run -s sqlite -q x.hk").is(0, "one\n1\n", "");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.execute_batch("BEGIN EXCLUSIVE").unwrap();
    // Looking is not kept from anyone.
    assert_eq!(folder.hark("sessions --json").json().as_array().unwrap().len(), 1);
    let locked = "the storage does not answer: `[FOLDER]/.hark/hark.db` is locked by another process\n";
    folder.hark("run -s sqlite -q x.hk").is(1, "", &format!("error[storage]: {locked}"));
    folder.hark("run -s sqlite --detach x.hk").is(1, "", &format!("error: {locked}"));
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(folder.hark("sessions --json").json().as_array().unwrap().len(), 1, "a session that never began");
}

/// Runs shell commands on a small disk of their own, which is mounted at the folder `disk` for them alone. Nothing, if
/// that may not be done here.
fn on_a_disk(folder: &Folder, script: &str) -> Option<Run> {
    folder.write("disk/here", "");
    let mount = "mount -t tmpfs -o size=256k,mode=755 tmpfs disk || exit 99\ncp x.hk disk\ncd disk\n";
    let hark = env!("CARGO_BIN_EXE_hark");
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &format!("{mount}hark='{hark}'\nhark() {{ \"$hark\" \"$@\"; }}\n{script}")])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.code() != Some(99) && !output.stderr.starts_with(b"unshare: ") => {
            Some(folder.filtered(output))
        }
        _ => {
            eprintln!("skipped: only root may mount a disk of its own");
            None
        }
    }
}

#[test]
fn a_full_disk() {
    let folder = folder("a_full_disk_for_sessions");
    let script = "hark run -s sqlite -q x.hk -f long >/dev/null || echo \"status $?\"\n\
        hark sessions --json >sessions || exit 3\n\
        mount -o remount,size=20m disk 2>/dev/null || mount -o remount,size=20m . || exit 4\n\
        hark sessions --json\nhark resume --json\nhark stdout --json\nhark sessions --json";
    let Some(run) = on_a_disk(&folder, script) else { return };
    let said = "error[storage]: the storage does not answer: the disk is full, so `[FOLDER]/disk/.hark/hark.db` cannot be written to\n";
    assert!(run.stdout.starts_with("status 1\n") && run.stderr.starts_with(said), "{run:#?}");
    let parts: Vec<Value> = run.stdout.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parts[0][0]["state"], "suspended", "{run:#?}");
    assert_eq!((&parts[1][0]["status"], &parts[1][0]["result"]), (&json!("finished"), &json!(45_150)));
    let lines: Vec<&Value> = parts[2].as_array().unwrap().iter().map(|line| &line["text"]).collect();
    let mut leaves: Vec<String> = lines.iter().map(|text| text.to_string()).collect();
    leaves.sort();
    leaves.dedup();
    assert_eq!((lines.len(), leaves.len()), (300, 300), "each once");
    assert_eq!(parts[3][0]["state"], "finished");
}

#[test]
fn a_read_only_folder() {
    let folder = folder("a_read_only_folder");
    let script = "hark run -s sqlite -q x.hk || exit 3\nmount -o remount,ro . || exit 4\n\
        hark sessions --json\nhark stdout --json | wc -l\n\
        for command in 'run -s sqlite x.hk' 'run -s sqlite --detach x.hk' 'worker -q' 'prune --older-than 0s'; do\n\
        timeout 60 $hark $command; echo \"status $?\"; done";
    let Some(run) = on_a_disk(&folder, script) else { return };
    let statuses = run.stdout.lines().filter(|line| line.starts_with("status ")).collect::<Vec<_>>();
    assert_eq!(statuses, ["status 1"; 4], "{run:#?}");
    for line in run.stderr.lines().filter(|line| !line.starts_with("session ") && !line.starts_with("-- ")) {
        assert!(line.starts_with("error") && line.contains("[FOLDER]/disk/.hark"), "{run:#?}");
    }
    assert!(!run.stderr.contains("suspended"), "{run:#?}");
}

/// A database with a session that waits for a promise, as bytes; and that session's id.
fn waiting(folder: &Folder) -> (Vec<u8>, String) {
    let run = folder.hark("run -s sqlite --detach x.hk -f waits");
    let id = run.stdout.trim_end().to_owned();
    let child = folder.command(["resume"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while !folder.hark("stdout").stdout.contains("[\"sum\", 36]") {
        assert!(started.elapsed() < Duration::from_secs(60));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    child.wait_with_output().unwrap();
    // What is in the log goes into the file.
    Connection::open(database(folder)).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    (fs::read(database(folder)).unwrap(), id)
}

/// Resolves and resumes a session of a damaged database. What comes of it must be right, or an error that says so.
#[track_caller]
fn right_or_refused(folder: &Folder, id: &str, bytes: &[u8], what: &str) -> bool {
    let _ = fs::remove_file(folder.path().join(".hark/hark.db-wal"));
    let _ = fs::remove_file(folder.path().join(".hark/hark.db-shm"));
    fs::write(database(folder), bytes).unwrap();
    let hark = |words: &[&str]| {
        let mut child = folder.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let started = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if started.elapsed() > Duration::from_secs(10) {
                // It waits for what does not come.
                let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let run = folder.filtered(child.wait_with_output().unwrap());
        assert!(matches!(run.status, 0..=2), "{what}: {words:?}: {run:#?}");
        assert!(!run.stderr.contains("panicked"), "{what}: {words:?}: {run:#?}");
        assert!(
            run.status == 0 || run.stderr.contains("error") || run.stdout.contains("error"),
            "{what}: {words:?}: {run:#?}"
        );
        run
    };
    let future = format!("{id}/door/1");
    let runs = [
        hark(&["resolve", &future, "6"]),
        hark(&["resume", "--json"]),
        hark(&["show", id, "--json"]),
        hark(&["stdout", id, "--json"]),
    ];
    if runs.iter().any(|run| run.status != 0) {
        return false;
    }
    let shown = runs[2].json();
    assert_eq!((&shown["status"], &shown["result"]), (&json!("finished"), &json!(42)), "{what}: {shown}");
    let printed = runs[3].json();
    let mut lines: Vec<&str> =
        printed.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().trim_end()).collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (1..=8).map(|n| format!("[\"leaf\", {n}]")).collect();
    expected.splice(0..0, ["[\"door\", 6]".to_owned()]);
    expected.push("[\"sum\", 36]".to_owned());
    assert_eq!(lines, expected, "{what}");
    true
}

#[test]
fn a_truncated_file() {
    let folder = folder("a_truncated_file");
    let (bytes, id) = waiting(&folder);
    assert!(right_or_refused(&folder, &id, &bytes, "whole"));
    for length in [1, 15, 16, 99, 100, 511, 512, 1_024, 4_095, 4_096, 4_097, 8_192, 12_288, 20_480, bytes.len() - 1] {
        let length = length.min(bytes.len() - 1);
        assert!(!right_or_refused(&folder, &id, &bytes[..length], &format!("the first {length} bytes")));
    }
    assert!(!right_or_refused(&folder, &id, &bytes[..bytes.len() - 4_096], "all but a page"));
}

#[test]
fn a_text_with_a_wrong_bit() {
    // Not at random places, most of which are empty: in all that can be read as text, which is where no index or length
    // gives a damage away.
    let folder = folder("a_text_with_a_wrong_bit");
    let (bytes, id) = waiting(&folder);
    let texts = [
        "\"text\":\"[\\\"sum\\\", 36]",
        "\"text\":\"[\\\"leaf\\\", ",
        "\"status\":\"waiting\"",
        "\"first_stopped\":false",
    ];
    let mut damaged = 0;
    for text in texts {
        let at = bytes
            .windows(text.len())
            .rposition(|window| window == text.as_bytes())
            .unwrap_or_else(|| panic!("no {text}"));
        for place in (at..at + text.len() + 12).step_by(3) {
            let mut wrong = bytes.clone();
            wrong[place] ^= 1;
            damaged += usize::from(!right_or_refused(&folder, &id, &wrong, &format!("{text}: byte {place}")));
        }
    }
    assert!(damaged > 20, "only {damaged} were noticed");
}
