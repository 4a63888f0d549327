//! Pools: workers run only the threads and calls whose pools they serve.

use std::collections::BTreeMap;
use std::fs;

use crate::harness::{Beside, Folder, wait_until};
use crate::leases::end;
use crate::terminal::{OnTerminal, without_color};

pub const SETTINGS: &str =
    "[project]\nstorage = \"sqlite\"\n[sessions]\ntenure = \"threads\"\nlease = 1\n[python]\nworkers = 2\n";

const PROGRAM: &str = r#"#[pool("gpu")] import(infer, work, 1);
import(note, work, 1); import(fails, work, 0);
#[pool("gpu")] fn train(n) { a = note("train"); sleep(0.01); b = infer(n); a + b }
fn main() {
  x = infer(1);
  all = [async train(2), async infer(3)];
  y = note("main");
  x + y + sum(await all)
}
fn many(n) { sum(map_async(range(parse_int(n)), lambda (i) { note("many"); infer(i) })) }
fn cleans() { try { infer(1) } catch e { print("cleaned up"); error(e) } }
#[pool("gpu")] fn sleeper() { print("sleeps"); try { sleep(1000) } catch e { print("one"); sleep(0.3); print("two"); error(e) } }
fn left() { x = async sleeper(); sleep(1000); await x }
fn breaks() { note("breaks"); fails(); infer(3) }
fn tidies() { try { sleep(1000) } catch e { print("tidied up"); error(e) } }
fn tidy() { 1 }
#[pool("gpu")] #[timeout(0.3)] import(infer, work, 1, quickly);
#[pool("gpu")] #[retry(attempts: 2)] fn tried(name) { note(name) }
#[timeout(0.3)] fn impatient() { infer(1) }
fn plain() { tried("plain"); await async tried("async") }
fn patient() { quickly(1) }
fn undone() { try { sleep(1000) } catch e { print("cleans up"); infer(7) } }
"#;

/// Which worker makes a call is in its environment.
const WORK: &str = r#"import os, time
def note(name):
    with open("calls", "a") as file:
        file.write(f"{name} {os.environ.get('WHERE', '-')}\n")
    return 1
def fails():
    if os.path.exists("bad"):
        raise ValueError("bad")
def infer(n):
    if os.path.exists("slow"):
        time.sleep(0.01)
    note("infer")
    return n * 10
"#;

pub fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("hark.toml", SETTINGS);
    folder.write("src/work.py", WORK);
    folder
}

pub fn worker(folder: &Folder, place: &str, pools: &str) -> Beside {
    let mut command = folder.command(["worker", "-q"].into_iter().chain(pools.split_whitespace()));
    command.env("WHERE", place);
    Beside::start_command(command)
}

pub fn start(folder: &Folder, words: &str) -> String {
    folder.hark(&format!("run --detach x.hk {words}")).stdout.trim().to_owned()
}

pub fn state(folder: &Folder) -> String {
    folder.hark("show --json").json()["status"].as_str().unwrap_or_default().to_owned()
}

pub fn wait_for_end(folder: &Folder) {
    wait_until("the end", || state(folder) == "finished");
}

/// Which calls were made where, and how many.
pub fn calls(folder: &Folder) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    let lines = fs::read_to_string(folder.path().join("calls")).unwrap_or_default();
    lines.lines().for_each(|line| *calls.entry(line.to_owned()).or_default() += 1);
    calls
}

/// A thread whose function has a pool runs there, with all its calls; another one goes there for a call.
#[test]
fn each_call_is_made_by_a_worker_of_its_pool() {
    let folder = folder("each_call_is_made_by_a_worker_of_its_pool");
    let workers = vec![worker(&folder, "default", ""), worker(&folder, "gpu", "--pool gpu")];
    start(&folder, "");
    wait_for_end(&folder);
    assert_eq!(folder.hark("show --json").json()["result"], 62);
    let expected = [("infer gpu", 3), ("main default", 1), ("train gpu", 1)];
    assert_eq!(calls(&folder), expected.map(|(call, count)| (call.to_owned(), count)).into());
    end(&folder, workers);
}

/// The events of a thread that are about its call of `infer`: their names and pools.
fn events_of_call(folder: &Folder, thread: u64) -> Vec<(String, Option<String>)> {
    let events = folder.hark("events --json").json();
    let events = events.as_array().unwrap().iter();
    let of_call = events.filter(|event| event["thread"] == thread && event["function"] == "infer");
    let named = of_call.map(|event| (event["event"].as_str().unwrap(), event["pool"].as_str()));
    named.map(|(name, pool)| (name.to_owned(), pool.map(str::to_owned))).collect()
}

/// Without a worker that serves a pool its threads and calls wait, and each command that says what a thread does says so.
#[test]
fn what_nobody_serves_waits() {
    let folder = folder("what_nobody_serves_waits");
    let first = worker(&folder, "default", "");
    start(&folder, "-f many 3");
    let waits = || folder.hark("show").stdout.matches(": waiting for a worker of pool `gpu` to call infer(").count();
    wait_until("the calls of another pool", || waits() == 3);
    let threads = folder.hark("show --json").json()["threads"].clone();
    assert_eq!((threads[0]["pool"].as_str(), threads[1]["pool"].as_str()), (None, Some("gpu")));
    assert_eq!((&threads[1]["state"], &threads[1]["call"]), (&"waiting".into(), &serde_json::Value::Null));
    assert_eq!(calls(&folder), BTreeMap::from([("many default".to_owned(), 3)]));
    let queued = ("queued".to_owned(), Some("gpu".to_owned()));
    assert_eq!(events_of_call(&folder, 1), std::slice::from_ref(&queued));
    let events = folder.hark("events").stdout;
    assert_eq!(events.matches("waits for a worker of pool `gpu` to call infer(").count(), 3, "{events}");
    let lane = folder.hark("timeline --json").json()[1].clone();
    let last = lane["stretches"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["kind"], &last["what"]), (&"wait".into(), &"a worker of pool `gpu`".into()));
    // It serves both.
    folder.write("hark.toml", format!("{SETTINGS}[worker]\npools = [\"gpu\", \"default\"]\n"));
    let second = worker(&folder, "both", "");
    wait_for_end(&folder);
    assert_eq!(calls(&folder).get("infer both"), Some(&3));
    assert_eq!(events_of_call(&folder, 1), [queued, ("called".to_owned(), None)]);
    end(&folder, vec![first, second]);
}

/// The status line counts it among the waits, not among the calls under way; and a thread that has not begun waits too.
#[test]
fn the_status_line_says_for_which_pool_a_call_waits() {
    let folder = folder("the_status_line_says_for_which_pool");
    let run = OnTerminal::start(folder.command(["run", "x.hk", "-f", "many", "2"]), 120);
    let line = " s for a worker of pool `gpu`";
    run.wait_for(line, 0);
    let second = worker(&folder, "gpu", "--pool gpu");
    let (status, sent) = run.ended();
    assert_eq!(status, 0, "{sent}");
    let drawn = without_color(&sent.replace("\x1b[K", ""));
    let drawn = drawn.split(['\r', '\n']).find(|part| part.contains(line)).unwrap();
    assert!(drawn.contains("3 threads · thread "), "no call is under way: {drawn}");
    end(&folder, vec![second]);
}

/// As the guide says of `#[retry]` and `#[timeout]`.
#[test]
fn the_tries_of_a_plain_call_run_where_its_caller_does() {
    let folder = folder("the_tries_of_a_plain_call");
    let run = folder.hark("run x.hk -f impatient");
    assert!(run.status == 1 && run.stderr.contains("`impatient` did not end within 0.3 seconds"), "{}", run.stderr);
    let patient = Beside::start(&folder, "run -q x.hk -f patient");
    wait_until("the call of another pool", || folder.hark("show").stdout.contains("of pool `gpu`"));
    // Longer than the timeout, which does not count before the call begins.
    std::thread::sleep(std::time::Duration::from_millis(600));
    let gpu = worker(&folder, "gpu", "--pool gpu");
    patient.ended(&folder).is(0, "10\n", "");
    let mut command = folder.command(["run", "-q", "x.hk", "-f", "plain"]);
    let plain = Beside::start_command({
        command.env("WHERE", "caller");
        command
    });
    plain.ended(&folder).is(0, "1\n", "");
    let expected = [("infer gpu", 1), ("plain caller", 1), ("async gpu", 1)];
    assert_eq!(calls(&folder), expected.map(|(call, count)| (call.to_owned(), count)).into());
    end(&folder, vec![gpu]);
}

#[test]
fn a_session_is_cancelled_whoever_serves_its_pools() {
    let folder = folder("a_session_is_cancelled_whoever_serves_its_pools");
    let workers = vec![worker(&folder, "default", "")];
    let session = start(&folder, "-f cleans");
    wait_until("the call of another pool", || folder.hark("show").stdout.contains("of pool `gpu`"));
    folder.hark(&format!("cancel {session}"));
    wait_until("the end", || state(&folder) == "cancelled");
    assert_eq!(folder.hark("stdout --raw").stdout, "cleaned up\n");
    end(&folder, workers);
    // A thread of a pool whose worker is gone cleans up in another one.
    let mut workers = vec![worker(&folder, "default", ""), worker(&folder, "gpu", "--pool gpu")];
    let session = start(&folder, "-f left");
    wait_until("the sleep", || folder.hark("stdout --raw").stdout == "sleeps\n");
    // Dropped, and so killed.
    drop(workers.pop());
    folder.hark(&format!("cancel {session}"));
    wait_until("the end", || state(&folder) == "cancelled");
    assert_eq!(folder.hark("stdout --raw").stdout, "sleeps\none\ntwo\n");
    // It is stopped when its time is up, though its cleanup would need another pool.
    folder.write("hark.toml", SETTINGS.replace("lease = 1", "lease = 1\ncancel_grace = 1"));
    end(&folder, workers);
    let workers = vec![worker(&folder, "default", "")];
    let session = start(&folder, "-f undone");
    wait_until("the sleep", || folder.hark("show").stdout.contains("sleeping"));
    folder.hark(&format!("cancel {session}"));
    wait_until("the end", || state(&folder) == "cancelled");
    assert_eq!(calls(&folder), BTreeMap::new());
    end(&folder, workers);
}

#[test]
fn workers_of_pools_that_are_killed_lose_nothing() {
    let folder = folder("workers_of_pools_that_are_killed");
    folder.write("slow", "");
    let mut workers = vec![worker(&folder, "default", ""), worker(&folder, "gpu", "--pool gpu")];
    start(&folder, "-f many 60");
    for (number, (place, pools)) in [("gpu", "--pool gpu"), ("default", "")].into_iter().enumerate() {
        wait_until("some calls", || calls(&folder).get("infer gpu").is_some_and(|count| *count > 15 * (number + 1)));
        let killed = workers.remove(1 - number);
        killed.signal("KILL");
        drop(killed);
        workers.insert(1 - number, worker(&folder, place, pools));
    }
    wait_for_end(&folder);
    assert_eq!(folder.hark("show --json").json()["result"], 17_700);
    let calls = calls(&folder);
    assert!(calls["infer gpu"] >= 60 && calls["many default"] >= 60, "{calls:?}");
    assert_eq!(calls.len(), 2, "{calls:?}");
    end(&folder, workers);
}
