//! Faults of the storage: each causes a clear error, no panic, and nothing is overwritten.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hark_bytecode::Executable;
use hark_machine::{Program, Thread};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::golden::golden;
use crate::harness::{Beside, Folder, Run, wait_until};

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

/// All commands fail with this message and change nothing.
#[track_caller]
fn refused(folder: &Folder, message: &str) {
    let before = fs::read(database(folder)).unwrap();
    let said = format!("error: {message}\n");
    let lines = ["run -s sqlite x.hk", "run -s sqlite --detach x.hk", "sessions", "sessions --json", "show", "stdout"];
    let more = ["events", "resume", "retry", "cancel 0", "worker", "resolve a/b/c 1", "prune --older-than 0s"];
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
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is not a database, or is damaged");
}

#[test]
fn a_database_of_another_program() {
    let folder = folder("a_database_of_another_program");
    folder.write(".hark/other", "");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.execute_batch("CREATE TABLE session (id); INSERT INTO session VALUES (1);").unwrap();
    connection.close().unwrap();
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is a database, but not a Hark database");
    let connection = Connection::open(database(&folder)).unwrap();
    connection.pragma_update(None, "application_id", 0x0bad).unwrap();
    connection.execute_batch("DROP TABLE session;").unwrap();
    connection.close().unwrap();
    refused(&folder, "the storage failed: `[FOLDER]/.hark/hark.db` is a database, but not a Hark database");
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
    let said = "error: the storage failed: `[FOLDER]/.hark/hark.db` is not a regular file\n";
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
    // Reading is still possible.
    assert_eq!(folder.hark("sessions --json").json().as_array().unwrap().len(), 1);
    // The command has waited for ten seconds.
    let said = "error: the storage does not answer: `[FOLDER]/.hark/hark.db` is locked by another process\n";
    folder.hark("run -s sqlite --detach x.hk").is(1, "", said);
    connection.execute_batch("ROLLBACK").unwrap();
    assert_eq!(folder.hark("sessions --json").json().as_array().unwrap().len(), 1, "a session that never began");
}

/// Runs shell commands with a small disk of their own, mounted at the folder `disk` for them alone. None if that is not
/// permitted here.
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
        hark sessions --json >/dev/null || exit 3\n\
        mount -o remount,size=20m disk 2>/dev/null || mount -o remount,size=20m . || exit 4\n\
        hark sessions --json\nhark resume --json\nhark stdout --json\nhark sessions --json";
    let Some(run) = on_a_disk(&folder, script) else { return };
    let said = "error[exhausted]: the disk is full, so `[FOLDER]/disk/.hark/hark.db` cannot be written to\n";
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

/// A worker that leases threads waits until there is room again.
#[test]
fn a_full_disk_under_a_worker() {
    let folder = folder("a_full_disk_under_a_worker");
    let settings = "[project]\\nstorage = \"sqlite\"\\n[sessions]\\ntenure = \"threads\"\\nlease = 1\\n";
    let script = format!(
        "printf '{settings}' > hark.toml\n$hark worker -q > /dev/null 2> ../said & worker=$!\n\
        hark run --detach -q x.hk -f long > /dev/null || exit 3\n\
        until grep -q 'the disk is full' ../said; do sleep 0.05; done\n\
        sleep 2\nmount -o remount,size=20m . || exit 4\n\
        until hark show --json | grep -q '\"status\": *\"\\(finished\\|broken\\)\"'; do\n\
        kill -0 $worker || exit 5; sleep 0.05; done\n\
        kill $worker; wait $worker; echo \"status $?\"; hark show --json; hark stdout --json"
    );
    let Some(run) = on_a_disk(&folder, &script) else { return };
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!((run.status, lines[0]), (0, "status 0"), "{run:#?}");
    let parts: Vec<Value> = lines[1..].iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(parts[0]["result"], 45_150, "{run:#?}");
    assert_eq!(parts[1].as_array().unwrap().len(), 300, "each once");
}

#[test]
fn a_read_only_folder() {
    // With the log, as left by `run`; and closed by the last reader.
    for (name, before) in [("left", ""), ("closed", "hark sessions > /dev/null\n[ -e .hark/hark.db-wal ] && exit 5\n")]
    {
        let folder = folder(&format!("a_read_only_folder_{name}"));
        let script = format!(
            "hark run -s sqlite -q x.hk > /dev/null || exit 3\n{before}mount -o remount,ro . || exit 4\n\
            for command in 'sessions' 'show' 'stdout' 'events'; do hark $command --json || exit 6; done\n\
            hark export --copy 0 > /dev/null || exit 7\n\
            for command in 'run -s sqlite x.hk' 'run -s sqlite --detach x.hk' 'worker -q' 'prune --older-than 0s' 'export 0'; do\n\
            timeout 60 $hark $command > ../out; echo \"status $?\"; done"
        );
        let Some(run) = on_a_disk(&folder, &script) else { return };
        let mut lines = run.stdout.lines();
        let [sessions, show, stdout, events] =
            std::array::from_fn(|_| serde_json::from_str::<Value>(lines.next().expect("a report")).unwrap());
        assert_eq!((&sessions[0]["state"], &show["result"]), (&json!("finished"), &json!(1)));
        assert_eq!(stdout[0]["text"], "one\n");
        assert_eq!(events.as_array().unwrap().last().unwrap()["event"], "finished");
        assert_eq!(lines.collect::<Vec<_>>(), ["status 1"; 5], "{run:#?}");
        for line in run.stderr.lines().filter(|line| !line.starts_with("session ") && !line.starts_with("-- ")) {
            assert!(line.starts_with("error") && line.contains("[FOLDER]/disk/.hark"), "{run:#?}");
        }
        assert!(!run.stderr.contains("suspended"), "{run:#?}");
    }
}

/// A session that waits for a promise, after its process was killed: the file, its log, and the session's id.
struct Waiting {
    file: Vec<u8>,
    log: Vec<u8>,
    id: String,
}

impl Waiting {
    fn new(folder: &Folder) -> Waiting {
        let run = folder.hark("run -s sqlite --detach x.hk -f waits");
        let id = run.stdout.trim_end().to_owned();
        let resume = Beside::start(folder, "resume");
        wait_until("the sum", || folder.hark("stdout").stdout.contains("[\"sum\", 36]"));
        resume.signal("KILL");
        drop(resume);
        let log = fs::read(log(folder)).unwrap();
        Waiting { file: fs::read(database(folder)).unwrap(), log, id }
    }

    /// With the log checkpointed into the file.
    fn in_one_file(folder: &Folder) -> Waiting {
        let Waiting { id, .. } = Waiting::new(folder);
        let connection = Connection::open(database(folder)).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        connection.close().unwrap();
        Waiting { file: fs::read(database(folder)).unwrap(), log: Vec::new(), id }
    }

    /// Replaces the stored files with these.
    fn put(&self, folder: &Folder) {
        fs::create_dir_all(folder.path().join(".hark")).unwrap();
        let _ = fs::remove_file(folder.path().join(".hark/hark.db-shm"));
        fs::write(database(folder), &self.file).unwrap();
        match self.log.as_slice() {
            [] => drop(fs::remove_file(log(folder))),
            log_bytes => fs::write(log(folder), log_bytes).unwrap(),
        }
    }

    /// Whether the stored files are still these.
    fn is_there(&self, folder: &Folder) -> bool {
        fs::read(database(folder)).unwrap() == self.file && fs::read(log(folder)).unwrap_or_default() == self.log
    }
}

fn log(folder: &Folder) -> PathBuf {
    folder.path().join(".hark/hark.db-wal")
}

/// The label of the undamaged state.
const WHOLE: &str = "whole";

/// Runs `hark`, which must either succeed or report an error. If it waits for something that never arrives, it is
/// interrupted.
#[track_caller]
fn told(folder: &Folder, words: &[&str], what: &str) -> Run {
    let mut child = folder.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if what != WHOLE && started.elapsed() > Duration::from_secs(5) {
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let run = folder.filtered(child.wait_with_output().unwrap());
    assert!(matches!(run.status, 0..=2 | 130), "{what}: {words:?}: {run:#?}");
    assert!(!run.stderr.contains("panicked"), "{what}: {words:?}: {run:#?}");
    let is_said = run.stderr.contains("error") || run.stdout.contains("error") || run.status == 130;
    assert!(run.status == 0 || is_said, "{what}: {words:?}: {run:#?}");
    run
}

/// Resolves and resumes the session in damaged files. The result must be right, or an error must be reported.
#[track_caller]
fn right_or_refused(folder: &Folder, waiting: &Waiting, what: &str) -> bool {
    waiting.put(folder);
    let id = waiting.id.as_str();
    let resolved = told(folder, &["resolve", &format!("{id}/door/1"), "6"], what);
    if resolved.stderr.contains("nothing was changed") {
        assert!(waiting.is_there(folder), "{what}: it was written to");
        return false;
    }
    // An unresolved promise would be awaited forever.
    let resumed = if resolved.status == 0 { told(folder, &["resume", "--json"], what) } else { resolved };
    let shown = told(folder, &["show", id, "--json"], what);
    let printed = told(folder, &["stdout", id, "--json"], what);
    if resumed.status != 0 || shown.status != 0 || printed.status != 0 {
        return false;
    }
    let shown = shown.json();
    assert_eq!((&shown["status"], &shown["result"]), (&json!("finished"), &json!(42)), "{what}: {shown}");
    let printed = printed.json();
    let mut lines: Vec<&str> =
        printed.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap().trim_end()).collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (1..=8).map(|n| format!("[\"leaf\", {n}]")).collect();
    expected.splice(0..0, ["[\"door\", 6]".to_owned()]);
    expected.push("[\"sum\", 36]".to_owned());
    assert_eq!(lines, expected, "{what}");
    true
}

/// Different pseudo-random numbers below a limit, the same in each run.
fn places(limit: usize, count: usize) -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % limit as u64) as usize
    })
    .take(count)
}

fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut wrong = bytes.to_vec();
    wrong[place] ^= 1 << (place % 8);
    wrong
}

#[test]
fn a_truncated_file() {
    let folder = folder("a_truncated_file");
    let waiting = Waiting::in_one_file(&folder);
    assert!(right_or_refused(&folder, &waiting, WHOLE));
    let cut =
        |length: usize| Waiting { file: waiting.file[..length].to_vec(), log: Vec::new(), id: waiting.id.clone() };
    let whole = waiting.file.len();
    for length in [1, 15, 16, 99, 100, 511, 512, 1_023, 1_024, 1_025, 4_096, 12_288, whole - 4_096, whole - 1_024] {
        let cut = cut(length);
        assert!(!right_or_refused(&folder, &cut, &format!("the first {length} bytes")));
        assert!(cut.is_there(&folder), "the first {length} bytes: they were written to");
    }
    // Missing bytes are read as zeros, which may be their actual values.
    right_or_refused(&folder, &cut(whole - 1), "all but a byte");
}

/// SQLite deletes a log whose database file is missing, and the log contains all the data.
#[test]
fn a_log_without_its_file() {
    let folder = folder("a_log_without_its_file");
    let waiting = Waiting { file: Vec::new(), ..Waiting::new(&folder) };
    let said = "error: the storage failed: `[FOLDER]/.hark/hark.db` is missing or empty, but its log \
        `[FOLDER]/.hark/hark.db-wal` is not; nothing was changed\n";
    for line in ["sessions", "run -s sqlite x.hk", "worker"] {
        waiting.put(&folder);
        folder.hark(line).is(1, "", said);
        assert!(waiting.is_there(&folder), "{line}");
    }
    fs::remove_file(database(&folder)).unwrap();
    folder.hark("run -s sqlite x.hk").is(1, "", said);
    folder.hark("worker").is(1, "", said);
    assert!(!database(&folder).exists() && fs::read(log(&folder)).unwrap() == waiting.log);
}

/// SQLite reads a log up to the first damaged frame, and ignores the rest as if it had never been written.
#[test]
fn a_log_with_a_wrong_bit() {
    let folder = folder("a_log_with_a_wrong_bit");
    let waiting = Waiting::new(&folder);
    assert!(right_or_refused(&folder, &waiting, WHOLE));
    // After the last commits, a damaged frame looks like an interrupted one.
    let certain = waiting.log.len() / 2;
    let head = [0, 8, 16, 24, 32, 40, 48, 56];
    for place in head.into_iter().chain(places(certain, 30)) {
        let wrong = Waiting { log: flipped(&waiting.log, place), file: waiting.file.clone(), id: waiting.id.clone() };
        wrong.put(&folder);
        let said = "error: the storage failed: the log `[FOLDER]/.hark/hark.db-wal` is damaged before its end; nothing was changed\n";
        folder.hark("resume").is(1, "", said);
        assert!(wrong.is_there(&folder), "byte {place}");
    }
    for place in places(waiting.log.len() - certain, 20) {
        let place = certain + place;
        let wrong = Waiting { log: flipped(&waiting.log, place), file: waiting.file.clone(), id: waiting.id.clone() };
        right_or_refused(&folder, &wrong, &format!("byte {place} of {}", waiting.log.len()));
    }
}

/// A truncated log is what a power cut leaves: the state is that of an earlier moment.
#[test]
fn a_truncated_log() {
    let folder = folder("a_truncated_log");
    let waiting = Waiting::new(&folder);
    let whole = waiting.log.len();
    for length in [0, 1, 32, 33, 1_000].into_iter().chain(places(whole, 15)).chain([whole - 1]) {
        let cut = Waiting { log: waiting.log[..length].to_vec(), file: waiting.file.clone(), id: waiting.id.clone() };
        right_or_refused(&folder, &cut, &format!("the first {length} bytes of {whole}"));
    }
}

#[test]
fn a_text_with_a_wrong_bit() {
    // Not at random positions, most of which are empty, but in readable text, where no index or length reveals the
    // damage.
    let folder = folder("a_text_with_a_wrong_bit");
    let waiting = Waiting::in_one_file(&folder);
    let texts = [
        "\"text\":\"[\\\"sum\\\", 36]",
        "\"text\":\"[\\\"leaf\\\", ",
        "\"status\":\"waiting\"",
        "\"first_stopped\":false",
        &waiting.id,
    ];
    let mut damaged = 0;
    for text in texts {
        let at = waiting.file.windows(text.len()).rposition(|window| window == text.as_bytes());
        let at = at.unwrap_or_else(|| panic!("no {text}"));
        for place in (at..at + text.len()).step_by(5) {
            let wrong = Waiting { file: flipped(&waiting.file, place), log: Vec::new(), id: waiting.id.clone() };
            damaged += usize::from(!right_or_refused(&folder, &wrong, &format!("{text}: byte {place}")));
        }
    }
    // Some are in stale copies left behind when a row was moved.
    assert!(damaged > 10, "only {damaged} were noticed");
}

/// The positions do not vary from run to run, because a fixed file is used.
#[test]
fn a_file_with_a_wrong_bit() {
    let folder = folder("a_file_with_a_wrong_bit");
    let file = fs::read(golden("v1", "hark.db")).unwrap();
    let looks = fs::read_to_string(golden("v1", "looks.txt")).unwrap();
    let id_of = |function: &str| {
        let (before, _) = looks.split_once(&format!("\ncall     {function}()")).unwrap();
        before.rsplit_once("session  ").unwrap().1[..36].to_owned()
    };
    let (named, fresh, broken) = (id_of("named"), id_of("fresh"), id_of("broken"));
    let empty = |place: usize| file[place.saturating_sub(4)..(place + 5).min(file.len())].iter().all(|byte| *byte == 0);
    let used = places(file.len(), 160).filter(|place| !empty(*place)).collect::<Vec<_>>();
    let mut refused = 0;
    for place in used.iter().copied().chain(0..100).take(120) {
        let what = format!("byte {place}");
        let wrong = Waiting { file: flipped(&file, place), log: Vec::new(), id: named.clone() };
        wrong.put(&folder);
        let resolved = told(&folder, &["resolve", &format!("{named}/door/front"), "41"], &what);
        if resolved.status != 0 && resolved.stderr.contains("nothing was changed") {
            assert!(wrong.is_there(&folder), "{what}: it was written to");
            refused += 1;
            continue;
        }
        let resumed = match resolved.status {
            0 => told(&folder, &["resume", &named, "--json"], &what),
            _ => resolved,
        };
        for (id, state, result) in
            [(&named, "finished", json!(42)), (&fresh, "suspended", json!(null)), (&broken, "broken", json!(null))]
        {
            let shown = told(&folder, &["show", id, "--json"], &what);
            if shown.status != 2 && shown.stderr.is_empty() && resumed.status == 0 {
                let shown = shown.json();
                if shown["errors"][0]["kind"] != "storage" {
                    assert_eq!((&shown["status"], &shown["result"]), (&json!(state), &result), "{what}: {shown}");
                }
            }
        }
        refused += usize::from(resumed.status != 0);
    }
    assert!(refused > 15, "only {refused} were refused");
}

/// Damages each record of a session in turn: the damage is reported, and the record is left unchanged until it is
/// repaired.
#[test]
fn a_record_with_a_wrong_bit() {
    let folder = folder("a_record_with_a_wrong_bit");
    fs::create_dir_all(folder.path().join(".hark")).unwrap();
    fs::copy(golden("v1", "hark.db"), database(&folder)).unwrap();
    let connection = Connection::open(database(&folder)).unwrap();
    let records = [
        ("large", "thread", "content", "show"),
        ("large", "thread", "summary", "show"),
        ("large", "piece", "content", "show"),
        ("named", "thread", "content", "show"),
        ("named", "session", "summary", "show"),
        ("named", "log", "entries", "events"),
        ("halfway", "future", "content", "resume"),
        ("named", "promise", "content", "resolve"),
        ("asleep", "thread", "content", "resume"),
        ("broken", "broken", "content", "retry"),
        ("broken", "broken", "summary", "retry"),
        ("alone", "unawaited", "content", "show"),
    ];
    for (function, table, column, command) in records {
        let what = format!("{table}.{column} of {function}");
        let sql = "SELECT number, id FROM session WHERE json_extract(summary, '$.function') = ?1";
        let (number, id): (i64, String) =
            connection.query_row(sql, [function], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let place = match table {
            "session" => format!("number = {number}"),
            "future" | "log" => format!("place >> 33 = {number}"),
            _ => format!("session = {number}"),
        };
        let read = || -> Vec<u8> {
            let sql = format!("SELECT CAST({column} AS BLOB) FROM {table} WHERE {place} ORDER BY 1 LIMIT 1");
            connection.query_row(&sql, [], |row| row.get(0)).unwrap()
        };
        let write = |from: &[u8], to: &[u8]| {
            let kind = if column == "content" { "BLOB" } else { "TEXT" };
            let sql = format!(
                "UPDATE {table} SET {column} = CAST(?1 AS {kind}) WHERE {place} AND CAST({column} AS BLOB) = ?2"
            );
            assert_eq!(connection.execute(&sql, [to, from]).unwrap(), 1, "{what}");
        };
        let right = read();
        let wrong = flipped(&right, right.len() / 2);
        write(&right, &wrong);
        let run = match command {
            "resolve" => told(&folder, &[command, &format!("{id}/door/front"), "1"], &what),
            _ => told(&folder, &[command, &id], &what),
        };
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(said.contains(&id) && said.contains("it was damaged"), "{what}: {run:#?}");
        assert!(run.status == 1 || command == "show", "{what}: {run:#?}");
        write(&wrong, &right);
        assert_eq!(folder.hark(&format!("show {id}")).status, 0, "{what}");
    }
    connection.close().unwrap();
    // Everything is as before.
    let looks = fs::read_to_string(golden("v1", "looks.txt")).unwrap();
    let (line, expected) = looks.split("$ hark ").nth(1).unwrap().split_once('\n').unwrap();
    assert_eq!(folder.hark(line).stdout, expected);
}

#[test]
fn a_damaged_export() {
    let folder = folder("a_damaged_export");
    let whole = fs::read(golden("v1", "session.hark")).unwrap();
    let cuts = [0, 1, 4, 5, 9, whole.len() - 1].into_iter().chain(places(whole.len(), 10));
    let cuts = cuts.map(|length| (whole[..length].to_vec(), format!("the first {length} bytes")));
    let flips = (0..12).chain(places(whole.len(), 30));
    let flips = flips.map(|place| (flipped(&whole, place), format!("a wrong bit in byte {place}")));
    let longer = [([whole.as_slice(), b"x"].concat(), "a byte more".to_owned())];
    for (bytes, what) in cuts.chain(flips).chain(longer) {
        folder.write("session.hark", &bytes);
        let run = folder.hark("import session.hark -s sqlite");
        assert!(
            run.status == 2 && run.stderr.starts_with("error: `session.hark`: the file cannot be read: "),
            "{what}: {run:?}"
        );
        assert_eq!((run.stdout.as_str(), run.stderr.lines().count()), ("", 1), "{what}: {run:?}");
    }
    folder.hark("sessions").is(0, "no sessions in .hark/hark.db\n", "");
    folder.write("session.hark", &whole);
    assert_eq!(folder.hark("import session.hark").status, 0);
}

#[test]
fn a_damaged_snapshot() {
    let executable = Executable::decode(&fs::read(golden("v1", "program.executable")).unwrap()).unwrap();
    let program = Program::new(executable).unwrap();
    let whole = fs::read(golden("v1", "thread.snapshot")).unwrap();
    for length in 0..whole.len() {
        assert!(Thread::restore(&whole[..length], &program).is_err(), "the first {length} bytes");
    }
    for bit in 0..whole.len() * 8 {
        let mut wrong = whole.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let error = Thread::restore(&wrong, &program).expect_err("it is damaged").to_string();
        assert!(error.starts_with("the thread's snapshot cannot be read: "), "bit {bit}: {error}");
    }
}
