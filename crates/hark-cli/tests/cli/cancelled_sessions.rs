//! `hark cancel`: the threads of any session clean up, and it ends; `--now` ends it at once.

use std::collections::BTreeSet;

use serde_json::json;

use crate::harness::{Beside, Folder, wait_until};

/// Each function prints or creates a file when it is ready to be cancelled, and cleans up.
const PROGRAM: &str = r#"
import(nap, lib, 1);
import(wait_for, lib, 1);
fn main() { cleans() }
fn cleans() { print("begun"); try { sleep(3600) } catch e { print("cleaning"); wait_for("gate"); print("clean"); error(e) } }
fn child() { try { sleep(3600) } catch e { sleep(0.1); print("child"); error(e) } }
fn tree() {
  c = async child();
  print("begun");
  try { sleep(3600) } catch { try { await c } catch { 0 }; print("main"); 7 }
}
fn calls() { try { nap("begun") } catch e { print(get(e, "kind")); error(e) } }
fn waits() { print("begun"); try { await future("door", 1) } catch e { print(get(e, "kind")); error(e) } }
fn fails() { print("begun"); try { sleep(3600) } catch { error("no cleaner") } }
fn loops(n) { loops(n + 1) }
fn stubborn() { print("begun"); try { sleep(3600) } catch { loops(0) } }
fn leaves_one() { print("begun"); try { sleep(3600) } catch { async loops(0); print("main") } }
"#;

const LIB: &str = "import os, time\n\
    def nap(begun):\n    open(begun, 'w').close()\n    time.sleep(3600)\n\
    def wait_for(name):\n    while not os.path.exists(name):\n        time.sleep(0.01)\n";

/// A folder with the program. The grace period is long, so that no thread is stopped unless a test sets a shorter one.
fn folder(test: &str, cancel_grace: u32) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("lib.py", LIB);
    folder.write("hark.toml", format!("[sessions]\ncancel_grace = {cancel_grace}\n"));
    folder
}

fn printed(folder: &Folder) -> Vec<String> {
    folder.hark("stdout --raw").stdout.lines().map(str::to_owned).collect()
}

fn wait_for_line(folder: &Folder, line: &str) {
    wait_until(line, || printed(folder).iter().any(|printed| printed == line));
}

fn shown(folder: &Folder) -> serde_json::Value {
    folder.hark("show --json").json()
}

fn states(folder: &Folder) -> Vec<String> {
    let shown = shown(folder);
    let thread = |thread: &serde_json::Value| thread["state"].as_str().unwrap().to_owned();
    shown["threads"].as_array().unwrap().iter().map(thread).collect()
}

/// Starts a session for other processes, and returns its id.
fn detach(folder: &Folder, function: &str) -> String {
    folder.hark(&format!("run -s sqlite --detach x.hk -f {function}")).stdout.trim().to_owned()
}

#[test]
fn its_threads_clean_up() {
    let folder = folder("its_threads_clean_up", 3600);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f tree");
    wait_for_line(&folder, "begun");
    // A thread that has not begun would have nothing to clean up.
    wait_until("both sleep", || states(&folder) == ["sleeping", "sleeping"]);
    let id = shown(&folder)["session"].as_str().unwrap().to_owned();
    folder.hark("cancel 0").is(0, &format!("cancelled {id}\n"), "");
    run.ended(&folder).is(1, "begun\nchild\nmain\n", "cancelled\n");
    assert_eq!(shown(&folder)["state"], "cancelled");
    assert_eq!(states(&folder), ["finished", "cancelled"]);
    for command in ["cancel 0", "cancel --now 0"] {
        folder.hark(command).is(2, "", &format!("error: session {id} is over: it is cancelled\n"));
    }
}

#[test]
fn its_first_call_of_python_is_stopped() {
    for concurrency in ["threads", "processes"] {
        let folder = folder(&format!("its_first_call_is_stopped_{concurrency}"), 3600);
        let run = Beside::start(&folder, &format!("run -s sqlite -q -c {concurrency} x.hk -f calls"));
        wait_until("the call", || folder.path().join("begun").exists());
        assert_eq!(folder.hark("cancel 0").status, 0);
        run.ended(&folder).is(1, "cancelled\n", "cancelled\n");
        assert_eq!(states(&folder), ["cancelled"]);
    }
}

#[test]
fn one_that_nobody_serves_is_served_by_the_command() {
    let folder = folder("one_that_nobody_serves", 3600);
    // A session that has not begun has nothing to clean up.
    let id = detach(&folder, "waits");
    folder.hark("cancel --json 0").is(0, &format!("{{\"session\": \"{id}\", \"state\": \"cancelled\"}}\n"), "");
    assert_eq!((printed(&folder), states(&folder)), (vec![], vec!["cancelled".to_owned()]));
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f waits");
    wait_for_line(&folder, "begun");
    run.signal("KILL");
    drop(run);
    let id = shown(&folder)["session"].as_str().unwrap().to_owned();
    assert_eq!(folder.hark(&format!("cancel {id}")).status, 0);
    assert_eq!(printed(&folder), ["begun", "cancelled"]);
}

#[test]
fn an_interrupted_command_leaves_it_cancelling() {
    let folder = folder("an_interrupted_command", 3600);
    let id = detach(&folder, "main");
    let worker = Beside::start(&folder, "worker -q");
    wait_for_line(&folder, "begun");
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
    let cancel = Beside::start(&folder, "cancel 0");
    wait_for_line(&folder, "cleaning");
    cancel.wait_for_handler();
    assert_eq!((&shown(&folder)["state"], &shown(&folder)["status"]), (&json!("cancelling"), &json!("cancelling")));
    cancel.signal("INT");
    let said = format!("session {id} is cancelling; `hark cancel {id}` continues\n");
    cancel.ended(&folder).is(130, "", &said);
    let listed = folder.hark("sessions --json --state cancelling").json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["state"]), (1, &json!("cancelling")));
    assert_eq!(folder.hark("sessions --json --state suspended").json(), json!([]));
    let retried = folder.hark("retry");
    assert!(retried.stderr.starts_with(&format!("error: session {id} is cancelling\n")), "{retried:?}");
    folder.write("gate", "");
    let resumed = folder.hark(&format!("resume {id}"));
    resumed.is(1, "clean\n", &format!("session {id} cancelled\n"));
    assert_eq!(printed(&folder), ["begun", "cleaning", "clean"]);
}

#[test]
fn a_second_command_ends_it_now() {
    let folder = folder("a_second_command_ends_it_now", 3600);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_for_line(&folder, "begun");
    let first = Beside::start(&folder, "cancel 0");
    wait_for_line(&folder, "cleaning");
    let second = Beside::start(&folder, "cancel 0");
    let id = shown(&folder)["session"].as_str().unwrap().to_owned();
    let cancelled = format!("cancelled {id}\n");
    folder.hark("cancel --now 0").is(0, &cancelled, "");
    first.ended(&folder).is(0, &cancelled, "");
    // It may have begun only now, after the session's end.
    let second = second.ended(&folder);
    assert!(second.stdout == cancelled || second.stderr.contains("it is cancelled"), "{second:?}");
    run.ended(&folder).is(1, "begun\ncleaning\n", "cancelled\n");
    let events = folder.hark("events --json").json();
    let from_outside =
        events.as_array().unwrap().iter().filter(|event| event["event"] == "cancelled" && event["of"] == "session");
    assert!(from_outside.count() == 1, "{events}");
}

#[test]
fn one_whose_server_dies_is_gone_on_with() {
    let folder = folder("one_whose_server_dies", 3600);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_for_line(&folder, "begun");
    let cancel = Beside::start(&folder, "cancel 0");
    wait_for_line(&folder, "cleaning");
    run.signal("KILL");
    drop(run);
    folder.write("gate", "");
    assert_eq!(cancel.ended(&folder).status, 0);
    assert_eq!(printed(&folder), ["begun", "cleaning", "clean"]);
}

#[test]
fn now_nothing_is_cleaned_up() {
    let folder = folder("now_nothing_is_cleaned_up", 3600);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f tree");
    wait_for_line(&folder, "begun");
    assert_eq!(folder.hark("cancel --now 0").status, 0);
    run.ended(&folder).is(1, "begun\n", "cancelled\n");
    // Each thread has ended once.
    let events = folder.hark("events --json").json();
    let of = |name: &str| -> BTreeSet<u64> {
        let all = events.as_array().unwrap().iter().filter(|event| event["event"] == name);
        all.map(|event| event["thread"].as_u64().unwrap()).collect()
    };
    let ended = events.as_array().unwrap().iter().filter(|event| event["event"] == "stopped").count();
    assert!(of("started").len() > 1 && of("stopped") == of("started") && ended == of("started").len(), "{events}");
    let lanes = folder.hark("timeline --json").json();
    assert!(lanes.as_array().unwrap().iter().all(|lane| lane["end"] == "cancelled"), "{lanes}");
    assert!(folder.hark("events").stdout.contains("was stopped with its session"));
}

#[test]
fn what_fails_in_cleaning_up_is_told() {
    let folder = folder("what_fails_in_cleaning_up", 3600);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f fails");
    wait_for_line(&folder, "begun");
    assert_eq!(folder.hark("cancel 0").status, 0);
    let run = run.ended(&folder);
    assert!(run.status == 1 && run.stderr.ends_with("error: no cleaner\ncancelled\n"), "{run:?}");
    let shown = shown(&folder);
    assert_eq!((&shown["state"], &shown["errors"][0]["message"]), (&json!("cancelled"), &json!("no cleaner")));
}

#[test]
fn what_does_not_stop_is_stopped() {
    let folder = folder("what_does_not_stop_is_stopped", 1);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f stubborn");
    wait_for_line(&folder, "begun");
    assert_eq!(folder.hark("cancel 0").status, 0);
    run.ended(&folder).is(1, "begun\n", "cancelled\n");
    assert_eq!((&shown(&folder)["state"], states(&folder)), (&json!("cancelled"), vec!["cancelled".to_owned()]));
}

/// A thread started by the cleanup is not cancelled, and has only the remaining time of the session.
#[test]
fn what_is_started_in_cleaning_up_is_ended_with_the_session() {
    let folder = folder("what_is_started_in_cleaning_up", 1);
    let said = "it did not end in time; the rest of its cleanup was skipped\n";
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f leaves_one");
    wait_for_line(&folder, "begun");
    let cancelled = folder.hark("cancel 0");
    assert_eq!((cancelled.status, &*cancelled.stderr), (0, said));
    assert_eq!(run.ended(&folder).stderr, "cancelled\n");
    // The same when the command itself serves the session.
    let id = detach(&folder, "leaves_one");
    let worker = Beside::start(&folder, "worker -q");
    wait_for_line(&folder, "begun");
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
    folder.hark(&format!("cancel {id}")).is(0, &format!("cancelled {id}\n"), said);
    assert_eq!(shown(&folder)["state"], "cancelled");
}

#[test]
fn there_must_be_one() {
    let folder = folder("there_must_be_one", 3600);
    let none = "error: there are no sessions: there is no file `.hark/hark.db`\n\
                hint: `hark run -s sqlite FILE` starts one; `-s dynamodb` looks in a table\n";
    folder.hark("cancel 0").is(2, "", none);
    // The session must be named; it is never guessed.
    let unnamed = folder.hark("cancel");
    assert!(unnamed.status == 2 && unnamed.stderr.contains("not provided:\n  <ID>\n"), "{unnamed:?}");
    detach(&folder, "main");
    for command in ["cancel 77777777", "cancel --now 77777777"] {
        let run = folder.hark(command);
        assert!(run.status == 2 && run.stderr.starts_with("error: there is no session `77777777`"), "{run:?}");
    }
}

/// A cancelled session continues its cleanup in another storage.
#[test]
fn one_that_is_moved_goes_on_with_its_cleaning_up() {
    let folder = folder("one_that_is_moved_goes_on", 3600);
    detach(&folder, "main");
    let worker = Beside::start(&folder, "worker -q");
    wait_for_line(&folder, "begun");
    let cancel = Beside::start(&folder, "cancel 0");
    wait_for_line(&folder, "cleaning");
    for process in [cancel, worker] {
        process.signal("KILL");
        drop(process);
    }
    let exported = folder.command(["export", "0"]).output().unwrap();
    assert!(exported.status.success(), "{exported:?}");
    folder.write("moved.hark", exported.stdout);
    folder.write("gate", "");
    assert_eq!(folder.hark("import moved.hark --yes").status, 0);
    assert_eq!(shown(&folder)["state"], "cancelling");
    assert_eq!(folder.hark("resume -q").status, 1);
    assert_eq!((&shown(&folder)["state"], printed(&folder).last()), (&json!("cancelled"), Some(&"clean".to_owned())));
}
