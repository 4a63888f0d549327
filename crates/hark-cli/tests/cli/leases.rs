//! Leased threads: several workers run the threads of one session, and are lost or unresponsive.

use std::fs::{self, File};
use std::process::Stdio;

use crate::harness::{Beside, Folder, stop_between_commits, wait_until};

const SETTINGS: &str =
    "[project]\nstorage = \"sqlite\"\n[sessions]\ntenure = \"threads\"\nlease = 1\n[python]\nworkers = 1\n";

const PROGRAM: &str = r#"import(meet, work, 1); import(once, work, 1); import(count, work, 1); import(slow, work, 1);
fn one(n) { meet(n) }
fn together(n) { n = parse_int(n); sum(await map(range(n), lambda (i) { async one(n) })) }
fn quick(n) { sum(await map(range(parse_int(n)), lambda (i) { async count(i) })) }
fn later() { await future("go", 1) }
fn alone() { print("before"); x = once("stuck"); print("after"); x }
fn leaf(n) { if n % 7 == 0 { await future("go", 1) } else { sleep(n / 10000.0) }; count(n); count(n) }
fn branch(n) { all = map(range(8), lambda (i) { async leaf(n * 8 + i) }); sum(await all) }
fn cleans() { print("asleep"); try { sleep(1000) } catch e { print("cleaned up"); error(e) } }
fn tree() { sum(await map(range(12), lambda (i) { async branch(i) })) }
fn low() { slow("low") }
#[priority(5)] fn high() { slow("high") }
#[priority(-5)] fn woken(go) { await go; slow("woken") }
#[priority(9)] fn mixed() {
  go = future("go", 1);
  all = map(range(3), lambda (i) { async woken(go) }) + map(range(30), lambda (i) { async low() });
  sleep(0.2);
  await all + map(range(3), lambda (i) { async high() })
}
"#;

/// `meet` returns when the given number of its calls are in flight; `once` never returns the first time.
const WORK: &str = r#"import os, time, uuid
def meet(n):
    os.makedirs("met", exist_ok=True)
    open("met/" + uuid.uuid4().hex, "w").close()
    while len(os.listdir("met")) < n:
        time.sleep(0.01)
    return 1
def once(name):
    with open(name, "a") as file:
        file.write("begun\n")
    while len(open(name).readlines()) == 1 or os.path.exists("wait"):
        time.sleep(0.01)
    return 7
def count(n):
    with open("counted", "a") as file:
        file.write(f"{n}\n")
    return n
def slow(name):
    time.sleep(0.12)
    return count(name)
"#;

fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("hark.toml", SETTINGS);
    folder.write("src/work.py", WORK);
    folder
}

fn start(folder: &Folder, function: &str, arguments: &[&str]) -> String {
    let words = ["run", "--detach", "x.hk", "-f", function].into_iter().chain(arguments.iter().copied());
    folder.run(words).stdout.trim().to_owned()
}

fn is_finished(folder: &Folder) -> bool {
    folder.hark("show --json").json()["status"] == "finished"
}

fn result(folder: &Folder) -> String {
    folder.hark("show --json").json()["result"].to_string()
}

/// Stops workers, which must have nothing to say.
pub fn end(folder: &Folder, workers: Vec<Beside>) {
    for worker in &workers {
        worker.wait_for_handler();
        worker.signal("TERM");
    }
    workers.into_iter().for_each(|worker| worker.ended(folder).is(0, "", ""));
}

/// Each worker makes one call at a time, so three calls are in flight at once only with three workers.
#[test]
fn workers_run_threads_of_one_session_together() {
    let folder = folder("workers_run_threads_of_one_session");
    let workers: Vec<Beside> = (0..3).map(|_| Beside::start(&folder, "worker -q")).collect();
    start(&folder, "together", &["3"]);
    wait_until("the end", || is_finished(&folder));
    assert_eq!(result(&folder), "3");
    end(&folder, workers);
}

/// The process that started the session in the foreground shows the output of its threads, and its end, wherever they
/// run.
#[test]
fn whoever_runs_a_session_is_helped_by_workers() {
    let folder = folder("whoever_runs_a_session_is_helped");
    let workers: Vec<Beside> = (0..2).map(|_| Beside::start(&folder, "worker -q")).collect();
    folder.hark("run -q x.hk -f together 3").is(0, "3\n", "");
    end(&folder, workers);
}

/// A worker with short calls takes many threads at a time, whose calls queue there. Threads that have to wait for long
/// are left to other workers: here, two calls wait for each other.
#[test]
fn calls_that_wait_for_long_are_left_to_others() {
    let folder = folder("calls_that_wait_for_long");
    let first = Beside::start(&folder, "worker -q");
    start(&folder, "quick", &["100"]);
    wait_until("the short calls", || is_finished(&folder));
    start(&folder, "together", &["2"]);
    wait_until("one of the two", || folder.path().join("met").exists());
    let second = Beside::start(&folder, "worker -q");
    wait_until("the end", || is_finished(&folder));
    assert_eq!(result(&folder), "2");
    end(&folder, vec![first, second]);
}

/// A worker has room for one of these calls at a time. Threads of a higher priority go before many that were queued long
/// before, and threads of a lower one after them, though their mailboxes were written by a process that knows only the Future.
#[test]
fn threads_are_taken_by_their_priority() {
    let folder = folder("threads_are_taken_by_their_priority");
    let worker = Beside::start(&folder, "worker -q");
    let session = start(&folder, "mixed", &[]);
    wait_until("a call", || folder.path().join("counted").exists());
    folder.hark(&format!("resolve {session}/go/1 7")).is(0, "", "");
    wait_until("the end", || is_finished(&folder));
    let order = fs::read_to_string(folder.path().join("counted")).expect("calls were counted");
    let order: Vec<&str> = order.lines().collect();
    let last_high = order.iter().rposition(|called| *called == "high");
    assert!(last_high < Some(20) && order[33..] == ["woken"; 3], "{order:?}");
    end(&folder, vec![worker]);
}

#[test]
fn the_calls_of_a_killed_worker_are_made_again() {
    let folder = folder("the_calls_of_a_killed_worker");
    let killed = Beside::start(&folder, "worker -q");
    start(&folder, "alone", &[]);
    wait_until("the call", || folder.path().join("stuck").exists());
    killed.signal("KILL");
    let workers: Vec<Beside> = (0..2).map(|_| Beside::start(&folder, "worker -q")).collect();
    wait_until("the end", || is_finished(&folder));
    folder.hark("stdout --raw").is(0, "before\nafter\n", "");
    let events = folder.hark("events -u").stdout;
    assert_eq!(events.matches("the call returned").count(), 1, "{events}");
    assert!(events.contains("called once(\"stuck\") (try 2)"), "{events}");
    end(&folder, workers);
}

/// A worker that was stopped for longer than its lease finds its thread taken over, and its results are discarded.
#[test]
fn a_worker_that_was_still_disturbs_nobody() {
    let folder = folder("a_worker_that_was_still");
    folder.write("wait", "");
    let still = Beside::start(&folder, "worker -q");
    start(&folder, "alone", &[]);
    wait_until("the call", || folder.path().join("stuck").exists());
    stop_between_commits(&folder, &[still.id()]);
    let other = Beside::start(&folder, "worker -q");
    wait_until("the second try", || folder.read("stuck").lines().count() >= 2);
    fs::remove_file(folder.path().join("wait")).unwrap();
    wait_until("the end", || is_finished(&folder));
    still.signal("CONT");
    end(&folder, vec![still, other]);
    assert_eq!(result(&folder), "7");
    folder.hark("stdout --raw").is(0, "before\nafter\n", "");
    let events = folder.hark("events -u").stdout;
    assert_eq!(events.matches("the call returned").count(), 1, "{events}");
}

/// Workers are killed or stopped, while others take over their threads.
#[test]
fn workers_that_come_and_go_lose_nothing() {
    let folder = folder("workers_that_come_and_go");
    let session = start(&folder, "tree", &[]);
    let mut workers: Vec<Beside> = (0..3).map(|_| Beside::start(&folder, "worker -q")).collect();
    for number in 0..6 {
        wait_until("some calls", || {
            fs::read_to_string(folder.path().join("counted")).unwrap_or_default().lines().count() > number * 4
        });
        let gone = workers.remove(0);
        if number % 2 == 0 {
            gone.signal("KILL");
        } else {
            gone.wait_for_handler();
            gone.signal("TERM");
            gone.ended(&folder).is(0, "", "");
        }
        workers.push(Beside::start(&folder, "worker -q"));
    }
    folder.run(["resolve", &format!("{session}/go/1"), "true"]).succeeds();
    wait_until("the end", || is_finished(&folder));
    assert_eq!(result(&folder), (0..96).sum::<i32>().to_string());
    end(&folder, workers);
    // No matter how often a call was made, it has one result.
    assert_eq!(folder.hark("events -u").stdout.matches("the call returned").count(), 192);
}

fn state(folder: &Folder) -> String {
    folder.hark("sessions --json").json()[0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn a_session_that_was_moved_comes_back() {
    let folder = folder("a_session_that_was_moved_comes_back");
    let session = start(&folder, "later", &[]);
    let file = File::create(folder.path().join("moved")).unwrap();
    assert!(folder.command(["export", &session]).stdout(file).status().unwrap().success());
    assert_eq!(state(&folder), "moved");
    folder.hark("import moved").succeeds();
    let worker = Beside::start(&folder, "worker -q");
    folder.run(["resolve", &format!("{session}/go/1"), "3"]).succeeds();
    wait_until("the end", || is_finished(&folder));
    assert_eq!(result(&folder), "3");
    end(&folder, vec![worker]);
}

/// Each of two workers sees only that the other one is alive, not that neither takes part in the export.
#[test]
fn a_killed_export_is_taken_back_by_workers() {
    let folder = folder("a_killed_export_is_taken_back");
    let session = start(&folder, "later", &[]);
    let big = format!("\"{}\"", "x".repeat(120_000));
    folder.run(["resolve", &format!("{session}/other/1"), &big]).succeeds();
    // A stalled writer: nobody reads, and the session is larger than a pipe.
    let mut exporter = folder.command(["export", &session]).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the session is being moved", || state(&folder) == "moving");
    let workers: Vec<Beside> = (0..2).map(|_| Beside::start(&folder, "worker -q")).collect();
    // Each makes one call at a time, so both have begun.
    let other = start(&folder, "together", &["2"]);
    wait_until("another session", || folder.run(["show", "--json", &other]).json()["status"] == "finished");
    exporter.kill().unwrap();
    exporter.wait().unwrap();
    let status = || folder.run(["show", "--json", &session]).json()["status"].as_str().unwrap().to_owned();
    wait_until("its return", || status() == "running");
    folder.run(["resolve", &format!("{session}/go/1"), "3"]).succeeds();
    wait_until("the end", || status() == "finished");
    end(&folder, workers);
}

/// With `-c processes` each of a pool of processes runs one of the threads at a time.
#[test]
fn processes_of_a_pool_run_the_threads() {
    let folder = folder("processes_of_a_pool_run_the_threads");
    folder.write("hark.toml", SETTINGS.replace("workers = 1", "workers = 3"));
    folder.hark("run -q -c processes x.hk -f together 3").is(0, "3\n", "");
    folder.hark("run -q -c processes x.hk -f quick 20").is(0, "190\n", "");
}

/// A thread held by a process of the pool continues in another one when its lease has expired.
#[test]
fn a_process_of_a_pool_is_lost() {
    let folder = folder("a_process_of_a_pool_is_lost");
    let run = Beside::start(&folder, "run -q -c processes x.hk -f alone");
    wait_until("the call", || folder.path().join("stuck").exists());
    let id = run.id();
    // Each is a child of the OS thread that started it.
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let children = |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.unwrap().path().join("children"));
    let children: String = tasks.map(|task| children(task).unwrap_or_default()).collect();
    for child in children.split_whitespace() {
        let _ = std::process::Command::new("kill").args(["-KILL", child]).status();
    }
    run.ended(&folder).is(0, "before\nafter\n7\n", "");
}

fn state_of(folder: &Folder, session: &str) -> String {
    folder.run(["show", "--json", session]).json()["state"].as_str().unwrap().to_owned()
}

/// A process that waits for its own session takes no threads of others, so it is no reason to leave them to it.
#[test]
fn a_process_serves_the_sessions_that_it_waits_for() {
    let folder = folder("a_process_serves_the_sessions");
    let left = Beside::start(&folder, "run -q x.hk -f cleans");
    wait_until("its sleep", || folder.hark("stdout --raw").stdout == "asleep\n");
    let sleeping = folder.hark("sessions --json").json()[0]["session"].as_str().unwrap().to_owned();
    assert_eq!(state_of(&folder, &sleeping), "running");
    left.signal("TERM");
    let said = left.ended(&folder).stderr;
    assert!(said.starts_with("suspended; `hark resume "), "{said}");
    let waiting = Beside::start(&folder, "run -q x.hk -f later");
    let others = || folder.hark("sessions --json").json().as_array().unwrap().clone();
    let is_other = |session: &serde_json::Value| session["session"] != sleeping.as_str();
    wait_until("the other one", || others().iter().any(|each| is_other(each) && each["state"] == "running"));
    let other = others().into_iter().find(is_other).unwrap()["session"].as_str().unwrap().to_owned();
    assert_eq!(state_of(&folder, &sleeping), "suspended");
    let refused = folder.run(["export", &other]);
    assert!(refused.status != 0 && refused.stderr.contains("stop the process that runs it first"), "{refused:?}");
    let refused = folder.run(["resume", &other]);
    assert!(refused.status != 0 && refused.stderr.contains("another process serves it"), "{refused:?}");
    let cancelled = folder.run(["cancel", &sleeping]);
    assert_eq!((cancelled.status, cancelled.stderr.as_str()), (0, ""));
    folder.run(["stdout", "--raw", &sleeping]).is(0, "asleep\ncleaned up\n", "");
    let resumed = folder.hark("resume");
    assert!(resumed.status == 0 && resumed.stdout.starts_with("no sessions to resume"), "{resumed:?}");
    folder.run(["resolve", &format!("{other}/go/1"), "3"]).succeeds();
    waiting.ended(&folder).is(0, "3\n", "");
}

/// A worker continues a session whose command was told to stop.
#[test]
fn a_session_is_left_to_a_worker() {
    let folder = folder("a_session_is_left_to_a_worker");
    let worker = Beside::start(&folder, "worker -q");
    let left = Beside::start(&folder, "run -q x.hk -f cleans");
    wait_until("its sleep", || folder.hark("stdout --raw").stdout == "asleep\n");
    left.signal("TERM");
    let said = left.ended(&folder).stderr;
    assert!(said.starts_with("suspended; a worker continues it, and `hark stdout "), "{said}");
    end(&folder, vec![worker]);
}

/// Without a loss that would be counted: one is enough to fail the call.
#[test]
fn a_worker_that_is_told_to_stop_takes_nothing_again() {
    let folder = folder("a_worker_that_is_told_to_stop");
    folder.write("hark.toml", SETTINGS.replace("lease = 1", "lease = 1\nmax_tries = 1"));
    folder.write("wait", "");
    start(&folder, "alone", &[]);
    for number in 1..=3 {
        let worker = Beside::start(&folder, "worker -q");
        wait_until("the call", || {
            fs::read_to_string(folder.path().join("stuck")).unwrap_or_default().lines().count() >= number
        });
        end(&folder, vec![worker]);
    }
    fs::remove_file(folder.path().join("wait")).unwrap();
    let worker = Beside::start(&folder, "worker -q");
    let status = || folder.hark("show --json").json()["status"].as_str().unwrap().to_owned();
    wait_until("the end", || ["finished", "broken"].contains(&status().as_str()));
    assert_eq!(result(&folder), "7");
    end(&folder, vec![worker]);
}

/// Sessions that were left under the other tenure continue, even in the middle of a call.
#[test]
fn sessions_go_on_with_another_tenure() {
    let folder = folder("sessions_go_on_with_another_tenure");
    let sessions = SETTINGS.replace("threads", "sessions");
    folder.write("hark.toml", &sessions);
    let left = Beside::start(&folder, "run -q x.hk -f alone");
    wait_until("the call", || folder.path().join("stuck").exists());
    left.signal("TERM");
    assert!(left.ended(&folder).stderr.starts_with("suspended; "));
    let detached = start(&folder, "quick", &["3"]);
    folder.write("hark.toml", SETTINGS);
    let worker = Beside::start(&folder, "worker -q");
    let is_finished = |each: &serde_json::Value| each["state"] == "finished";
    wait_until("the ends", || folder.hark("sessions --json").json().as_array().unwrap().iter().all(is_finished));
    assert_eq!(folder.run(["show", "--json", &detached]).json()["result"], 3);
    // While it lives, nobody serves the file in the other mode.
    folder.write("hark.toml", &sessions);
    let refused = folder.hark("run -q x.hk -f quick 1");
    assert!(refused.status != 0 && refused.stderr.contains("another `tenure` than `sessions`"), "{refused:?}");
    end(&folder, vec![worker]);
    folder.hark("run -q x.hk -f quick 1").is(0, "0\n", "");
}

#[test]
fn a_worker_notices_that_its_folder_is_removed() {
    let folder = folder("a_worker_notices_that_its_folder");
    let worker = Beside::start(&folder, "worker -q");
    let servers = folder.path().join(".hark/servers");
    let is_coverage = |entry: fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "coverage");
    wait_until("its first look", || fs::read_dir(&servers).is_ok_and(|all| all.flatten().any(is_coverage)));
    fs::rename(folder.path().join(".hark"), folder.path().join("gone")).unwrap();
    let said = "error: the storage failed: `[FOLDER]/.hark/hark.db` was removed or replaced while it was in use\n";
    worker.ended(&folder).is(1, "", said);
}
