//! Stored sessions: started, detached, inspected, resumed, retried, cancelled, and resolved from outside.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Beside, Folder, PATIENCE, Run, wait_until};
use crate::worker_log::logged;

const PROGRAM: &str = r#"import(flaky, lib, 1);
fn main() { print("one"); 1 }
fn add(a, b) { parse_float(a) + parse_float(b) }
fn bad() {
  await async worse()
}
fn worse() { first([]) }
fn sleeps(seconds) { print("ready"); sleep(parse_float(seconds)); print("done"); 5 }
fn waits() { p = promise(); print(future_id(p)); print(["got", await p]); 7 }
fn named() { print("ready"); await future("door", 1) }
fn late() { print("ready"); sleep(1.5); await future("door", 1) }
fn crowd(n, futures) { if n == 0 { futures } else { crowd(n - 1, append(futures, async await_door(n))) } }
fn await_door(n) { await future("door", 1) + n }
fn sum(futures, total) { if nullp(futures) { total } else { sum(rest(futures), total + await first(futures)) } }
fn many() { print("ready"); sum(crowd(50, []), 0) }
fn outer() { print("outer"); t = async inner(); v = await t; print(["outer", v]); v }
fn inner() { print("inner"); v = flaky("marker"); print(["inner", v]); v + 1 }
"#;

const LIB: &str = "import os\n\
    def flaky(name):\n    print('called')\n    if not os.path.exists(name):\n        raise ValueError('not yet')\n    return 41\n";

pub fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("src/lib.py", LIB);
    folder
}

fn sessions(folder: &Folder) -> Vec<Value> {
    let run = folder.hark("sessions --json");
    assert_eq!(run.status, 0, "{run:?}");
    run.json().as_array().unwrap().clone()
}

/// The id of the newest session.
fn newest(folder: &Folder) -> String {
    sessions(folder)[0]["session"].as_str().unwrap().to_owned()
}

pub fn state(folder: &Folder) -> String {
    sessions(folder).first().map_or(String::new(), |session| session["state"].as_str().unwrap().to_owned())
}

/// The output of the newest session.
pub fn printed(folder: &Folder) -> Vec<String> {
    let run = folder.hark("stdout --json");
    if run.status != 0 {
        return Vec::new();
    }
    run.json().as_array().unwrap().iter().map(|each| each["text"].as_str().unwrap().trim_end().to_owned()).collect()
}

/// Replaces the newest session's id with `[ID]`.
fn without_id(folder: &Folder, run: Run) -> Run {
    let id = newest(folder);
    Run { status: run.status, stdout: run.stdout.replace(&id, "[ID]"), stderr: run.stderr.replace(&id, "[ID]") }
}

/// Runs `hark` with the words of a line, and replaces the newest session's id with `[ID]`.
#[track_caller]
fn hark(folder: &Folder, line: &str) -> Run {
    let run = folder.hark(line);
    without_id(folder, run)
}

/// Starts a session for other processes.
pub fn detach(folder: &Folder, line: &str) -> String {
    let run = folder.hark(&format!("run -s sqlite --detach x.hk {line}"));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    run.stdout.trim_end().to_owned()
}

#[test]
fn where_nothing_is_kept() {
    let folder = folder("where_nothing_is_kept");
    let none = "error: there are no sessions: there is no file `.hark/hark.db`\n\
                hint: `hark run -s sqlite FILE` starts one; `-s dynamodb` looks in a table\n";
    folder.hark("sessions").is(0, "no sessions in .hark/hark.db\n", "");
    folder.hark("sessions --json").is(0, "[]\n", "");
    folder.hark("resume").is(0, "no sessions to resume in .hark/hark.db\n", "");
    folder.hark("resume --json").is(0, "[]\n", "");
    folder.hark("prune --older-than 1d").is(0, "removed 0 sessions\n", "");
    folder.hark("prune --older-than 1d --json").is(0, "{\"removed\": 0}\n", "");
    for line in [
        "show",
        "show 01",
        "stdout",
        "events",
        "cancel 01",
        "export --copy 01",
        "retry",
        "resolve a/b/c 1",
        "fail a/b/c no",
    ] {
        folder.hark(line).is(2, "", none);
    }
    let hint = "hint: `hark sessions` lists the existing ones\n";
    folder.hark("resume 01").is(2, "", "error: there is no session `01`: there is no file `.hark/hark.db`\n");
    assert!(!folder.path().join(".hark").exists(), "looking made a database");
    // A database without sessions.
    folder.hark("run -s sqlite -q x.hk").is(0, "one\n1\n", "");
    folder.hark("prune --older-than 0s").is(0, "removed 1 session\n", "");
    folder.hark("sessions").is(0, "no sessions in .hark/hark.db\n", "");
    folder.hark("show").is(
        2,
        "",
        "error: there are no sessions in `.hark/hark.db`\nhint: `hark run -s sqlite FILE` starts one\n",
    );
    folder.hark("resolve a/b/c 1").is(2, "", &format!("error: there is no session `a` in `.hark/hark.db`\n{hint}"));
}

#[test]
fn memory_keeps_nothing() {
    let folder = folder("memory_keeps_nothing");
    let said = "error: sessions in memory end with their process, so none can be found\n";
    for line in ["sessions -s memory", "show -s memory", "resume -s memory", "prune -s memory --older-than 1d"] {
        folder.hark(line).is(2, "", said);
    }
    folder.hark("worker -s memory").is(
        2,
        "",
        "error: sessions in memory end with their process, so a worker cannot serve them\n",
    );
    folder.hark("run --detach x.hk").is(
        2,
        "",
        "error: `--detach` needs a storage that keeps sessions: no other process can run one in memory\n\
         hint: `hark run -s sqlite --detach FILE` keeps the session in a file\n",
    );
}

#[test]
fn a_session_is_run_and_can_be_looked_at() {
    let folder = folder("a_session_is_run");
    let run = folder.hark("run -s sqlite x.hk");
    without_id(&folder, run).is(0, "one\n1\n", "session [ID]\n-- [TIME]\n");
    let run = folder.hark("run -s sqlite x.hk --json -f add 3 -4");
    assert_eq!((run.status, run.json()["result"].clone()), (0, json!(-1.0)));
    assert_eq!(run.json()["session"], newest(&folder));
    let all = sessions(&folder);
    let names: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    assert_eq!(names[..5], ["session", "function", "arguments", "key", "tags"]);
    assert_eq!(names[5..], ["file", "state", "started", "ended", "took", "threads"]);
    assert_eq!((&all[0]["function"], &all[0]["arguments"]), (&json!("add"), &json!(["\"3\"", "\"-4\""])));
    assert_eq!(
        (&all[1]["function"], &all[1]["state"], &all[1]["threads"]),
        (&json!("main"), &json!("finished"), &json!(1))
    );
    let table = hark(&folder, "sessions").stdout;
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ID", "STATE", "STARTED", "TOOK", "THREADS", "CALL"]);
    assert_eq!(lines[1][..2], ["[ID]", "finished"]);
    assert_eq!(lines[1][6..], ["1", "add(\"3\",", "\"-4\")"]);
    assert_eq!((lines.len(), lines[2].last()), (3, Some(&"main()")));
    // A unique prefix of an id is enough.
    let older = all[1]["session"].as_str().unwrap();
    let shown = folder.hark(&format!("show {} --json", &older[..older.len() - 1])).json();
    assert_eq!((&shown["session"], &shown["result"]), (&json!(older), &json!(1)));
    let newer = newest(&folder);
    let lines = [format!("  {newer} add, finished\n"), format!("  {older} main, finished\n")];
    let several = |told: &str| {
        let rest = lines.iter().fold(told.to_owned(), |rest, line| rest.replacen(line.as_str(), "", 1));
        rest == "error: several session ids begin with `0`:\n\
                 hint: give more characters of the id; `hark sessions` shows all sessions\n"
    };
    let none = "error: there is no session `zzz` in `.hark/hark.db`\n\
                hint: `hark sessions` lists the existing ones\n";
    for command in ["show", "stdout", "events", "cancel", "retry", "resume", "export --copy"] {
        let run = folder.hark(&format!("{command} 0"));
        assert!(run.status == 2 && run.stdout.is_empty() && several(&run.stderr), "{run:?}");
        folder.hark(&format!("{command} zzz")).is(2, "", none);
    }
}

#[test]
fn the_setting_chooses_the_storage() {
    let folder = folder("the_setting_chooses");
    folder.write("hark.toml", "[project]\nstorage = 'sqlite'\ndata_dir = 'kept'\n");
    folder.hark("-q x.hk").is(0, "one\n1\n", "");
    folder.hark("-q -s memory x.hk").is(0, "one\n1\n", "");
    assert_eq!(sessions(&folder).len(), 1);
    assert!(folder.path().join("kept/hark.db").exists() && !folder.path().join(".hark").exists());
    folder.write("hark.toml", "[project]\nstorage = 'memory'\ndata_dir = 'kept'\n");
    assert_eq!(sessions(&folder).len(), 1);
}

#[test]
fn a_broken_session_is_shown_with_its_threads() {
    let folder = folder("a_broken_session_is_shown");
    let run = folder.hark("run -s sqlite -q x.hk -f bad");
    let error = "traceback, the outermost call first:\n  thread 0, x.hk:5, in bad\n      await async worse()\n  \
                 thread 1, x.hk:7, in worse\n      fn worse() { first([]) }\n  --> x.hk:7:14\n 7 | fn worse() { first([]) }\n   \
                 |              ^^^^^^^^^\nerror[index]: `first`: the list is empty\n";
    run.is(1, "", error);
    let shown = hark(&folder, "show").stdout;
    let (head, rest) = shown.split_once("\n\n").unwrap();
    let fields: Vec<&str> = head.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(fields, ["session", "state", "call", "file", "started", "ended", "next"]);
    assert!(head.contains("\nstate    broken\ncall     bad()\nfile     x.hk\n"), "{head}");
    let threads =
        "thread 0 bad: broken: `first`: the list is empty\n  thread 1 worse: broken: `first`: the list is empty\n";
    assert_eq!(rest, format!("{threads}\n{error}"));
    let shown = folder.hark("show --json").json();
    assert_eq!(
        (&shown["status"], &shown["result"], &shown["state"]),
        (&json!("broken"), &json!(null), &json!("broken"))
    );
    assert_eq!((&shown["errors"][0]["kind"], &shown["errors"][0]["thread"]), (&json!("index"), &json!(1)));
    assert_eq!((&shown["threads"][1]["parent"], &shown["threads"][1]["state"]), (&json!(0), &json!("broken")));
}

#[test]
fn the_history_tells_what_happened() {
    let folder = folder("the_history_tells");
    folder.write("marker", "");
    folder.hark("run -s sqlite -q x.hk -f outer").is(
        0,
        "outer\ninner\ncalled\n[\"inner\", 41]\n[\"outer\", 42]\n42\n",
        "",
    );
    let told = |line: &str| -> Vec<(String, String)> {
        let text = folder.hark(line).stdout;
        let parts = |line: &str| {
            let (thread, rest) = line.trim_start().split_once("  ").unwrap();
            let (offset, text) = rest.trim_start().split_once("  ").unwrap();
            assert!(offset.starts_with('+') && offset[1..].parse::<f64>().unwrap() < PATIENCE.as_secs_f64(), "{line}");
            (thread.to_owned(), text.to_owned())
        };
        text.lines().map(parts).collect()
    };
    let of = |told: &[(String, String)]| -> Vec<String> {
        told.iter().map(|(thread, text)| format!("{thread} {text}")).collect()
    };
    let lines = ["0 outer", "1 inner", "1 called", "1 [\"inner\", 41]", "0 [\"outer\", 42]"];
    assert_eq!(of(&told("stdout")), lines);
    assert_eq!(of(&told("stdout --follow")), lines);
    let events = [
        "0 started: outer",
        "0 outer",
        "0 waits for thread 1",
        "0 resumed",
        "0 [\"outer\", 42]",
        "0 finished with 42",
        "1 started by thread 0: inner",
        "1 inner",
        "1 called flaky(\"marker\")",
        "1 called",
        "1 the call returned 41",
        "1 [\"inner\", 41]",
        "1 finished with 42",
    ];
    assert_eq!(of(&told("events")), events);
    let mut unified = of(&told("events --unified"));
    assert_eq!((unified[0].as_str(), unified.last().unwrap().as_str()), ("0 started: outer", "0 finished with 42"));
    unified.sort_by_key(|line| line.as_bytes()[0]);
    assert_eq!(unified, events);
    let json = folder.hark("events --json").json();
    let fields = |event: &Value| {
        let mut event = event.clone();
        let time = event.as_object_mut().unwrap().remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'));
        event
    };
    let wanted = json!([
        { "thread": 0, "event": "started", "function": "outer", "arguments": "", "parent": null },
        { "thread": 0, "event": "printed", "text": "outer\n" },
        {
            "thread": 0, "event": "waited", "needed": "all", "count": 1, "futures": [{ "thread": 1 }], "until": null
        },
        { "thread": 0, "event": "resumed" },
        { "thread": 0, "event": "printed", "text": "[\"outer\", 42]\n" },
        { "thread": 0, "event": "finished", "value": "42" },
        { "thread": 1, "event": "started", "function": "inner", "arguments": "", "parent": 0 },
        { "thread": 1, "event": "printed", "text": "inner\n" },
        { "thread": 1, "event": "called", "function": "flaky", "arguments": "\"marker\"", "attempt": 1 },
        { "thread": 1, "event": "printed", "text": "called\n" },
        { "thread": 1, "event": "returned", "value": "41", "attempt": null },
        { "thread": 1, "event": "printed", "text": "[\"inner\", 41]\n" },
        { "thread": 1, "event": "finished", "value": "42" },
    ]);
    assert_eq!(Value::Array(json.as_array().unwrap().iter().map(fields).collect()), wanted);
    // With `--follow`, each entry is on its own line.
    let lines = folder.hark("events --json --follow").stdout;
    let mut followed: Vec<Value> = lines.lines().map(|line| fields(&serde_json::from_str(line).unwrap())).collect();
    followed.sort_by_key(|event| event["thread"].as_u64());
    assert_eq!(Value::Array(followed), wanted);
    let shown = folder.hark("show --json").json();
    let thread = &shown["threads"][1];
    assert_eq!((&thread["arguments"], &thread["value"], &thread["call"]), (&json!(""), &json!("42"), &json!(null)));
}

/// The data of an error is an event's, as long as its thread has not been retried.
#[test]
fn the_history_has_the_data_of_errors() {
    let program = "fn main() { f = async work(); await f }\nfn work() { error(\"no\", {\"id\": [1, null]}) }\n";
    let folder = Folder::with("the_history_has_the_data_of_errors", program);
    let data = |line: &str| -> Vec<Value> {
        let text = folder.hark(line).stdout;
        let events: Vec<Value> = match line.contains("--follow") {
            true => text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            false => serde_json::from_str(&text).unwrap(),
        };
        events.into_iter().filter(|event| event["event"] == "broke").map(|event| event["data"].clone()).collect()
    };
    assert_eq!(folder.hark("run -s sqlite -q x.hk").status, 1);
    let id = || json!({"id": [1, null]});
    for line in ["events --json", "events --json --unified", "events --json --follow"] {
        assert_eq!(data(line), [id(), id()], "{line}");
    }
    assert_eq!(folder.hark("retry -q").status, 1);
    // In the order of threads: main, work.
    assert_eq!(data("events --json"), [json!(null), id(), json!(null), id()]);
}

/// A raised call is shown as such, and events of several threads in order of time.
#[test]
fn the_history_tells_what_raised_and_when() {
    let folder = folder("the_history_tells_what_raised");
    assert_eq!(folder.hark("run -s sqlite -q x.hk -f outer").status, 1);
    let events = folder.hark("events --json").json();
    let names = |events: &Value, thread: u64| -> Vec<String> {
        let events = events.as_array().unwrap().iter().filter(|event| event["thread"] == thread);
        events.map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&events, 1), ["started", "printed", "called", "printed", "raised", "broke"]);
    let text = folder.hark("events").stdout;
    assert!(text.contains("  the call raised an error (python): ") && !text.contains("returned"), "{text}");
    let raised = events.as_array().unwrap().iter().find(|event| event["event"] == "raised").unwrap();
    assert_eq!(raised["kind"], "python", "{raised}");
    assert!(text.contains(raised["message"].as_str().unwrap().lines().next().unwrap()), "{text}");
    let unified = folder.hark("events --unified --json").json();
    let times: Vec<&str> = unified.as_array().unwrap().iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!([0, 1].map(|thread| names(&unified, thread)), [0, 1].map(|thread| names(&events, thread)));
}

#[test]
fn a_session_that_nobody_serves_yet_is_ready() {
    let folder = folder("a_session_that_is_ready");
    detach(&folder, "");
    let shown = folder.hark("show").stdout;
    assert!(shown.contains("\nthread 0 main: ready, in main at x.hk:2\n"), "{shown}");
    assert_eq!(folder.hark("show --json").json()["threads"][0]["state"], "ready");
}

/// Only commands that start a session accept memory as storage.
#[test]
fn the_help_says_where_sessions_are_kept() {
    let folder = folder("the_help_on_storages");
    for command in ["sessions", "cancel", "resolve", "worker", "import"] {
        let help = folder.hark(&format!("{command} -h")).stdout;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("else sqlite. `memory` is refused"), "{help}");
    }
    for command in ["run", "bench"] {
        let help = folder.hark(&format!("{command} -h")).stdout;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("`storage` in hark.toml, else memory"), "{help}");
    }
}

#[test]
fn a_followed_session_is_told_as_it_goes_on() {
    let folder = folder("a_followed_session");
    detach(&folder, "-f named");
    let follower = Beside::start(&folder, "stdout --follow");
    let worker = Beside::start(&folder, "worker -q");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    let id = newest(&folder);
    folder.run(["resolve", &format!("{id}/door/1"), "1"]).succeeds();
    let run = follower.ended(&folder);
    assert!(run.status == 0 && run.stdout.ends_with("  ready\n"), "{run:?}");
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
}

#[test]
fn ctrl_c_leaves_a_session_that_can_be_resumed() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let folder = folder(&format!("ctrl_c_leaves_{signal}"));
        // One session sleeps and one waits, so the test is not slower on a slow machine than necessary.
        for (call, thread_state, line) in [("sleeps 600", "sleeping", 8), ("named", "waiting", 10)] {
            let run = Beside::start(&folder, &format!("run -s sqlite -q x.hk -f {call}"));
            wait_until("the first line", || state(&folder) == "running" && printed(&folder) == ["ready"]);
            run.signal(signal);
            let run = without_id(&folder, run.ended(&folder));
            run.is(status, "ready\n", "suspended; `hark resume [ID]` continues it\n");
            assert_eq!(state(&folder), "suspended");
            let shown = folder.hark("show --json").json();
            let thread = &shown["threads"][0];
            assert_eq!((&shown["status"], &thread["state"]), (&json!("suspended"), &json!(thread_state)));
            let function = call.split(' ').next().unwrap();
            assert_eq!((&thread["place"]["function"], &thread["place"]["line"]), (&json!(function), &json!(line)));
            if thread_state == "sleeping" {
                assert_eq!(folder.hark("cancel 0").status, 0);
            }
        }
        folder.run(["resolve", &format!("{}/door/1", newest(&folder)), "5"]).succeeds();
        hark(&folder, "resume").is(0, "5\n", "session [ID] finished\n");
        assert_eq!(printed(&folder), ["ready"]);
        hark(&folder, "resume").is(0, "no sessions to resume in .hark/hark.db\n", "");
        let again = folder.hark(&format!("resume {}", newest(&folder)));
        let said = "error: session [ID] is finished\nhint: only a suspended session can be resumed\n";
        without_id(&folder, again).is(2, "", said);
    }
}

#[test]
fn an_interrupted_report_says_so() {
    let folder = folder("an_interrupted_report");
    let run = Beside::start(&folder, "run -s sqlite --json x.hk -f named");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    run.signal("INT");
    let run = run.ended(&folder);
    assert_eq!(
        (run.status, &run.json()["status"], &run.json()["output"][0]["text"]),
        (130, &json!("suspended"), &json!("ready\n"))
    );
    // A report contains the whole output of its session.
    folder.run(["resolve", &format!("{}/door/1", newest(&folder)), "5"]).succeeds();
    let resumed = folder.hark("resume --json");
    let reports = resumed.json();
    assert_eq!((resumed.status, reports.as_array().unwrap().len()), (0, 1));
    assert_eq!((&reports[0]["status"], &reports[0]["result"]), (&json!("finished"), &json!(5)));
    let texts: Vec<&Value> = reports[0]["output"].as_array().unwrap().iter().map(|item| &item["text"]).collect();
    assert_eq!(texts, [&json!("ready\n")]);
}

#[test]
fn a_sleep_goes_on_while_nobody_serves_it() {
    let folder = folder("a_sleep_goes_on");
    // On a slow machine it sleeps longer, until all that has to be observed happens within that time.
    let was_seen = (0..5).any(|power| {
        let seconds = 2 << power;
        detach(&folder, &format!("-f sleeps {seconds}"));
        for _ in 0..2 {
            let worker = Beside::start(&folder, "worker -q");
            wait_until("the first line", || printed(&folder).first().is_some_and(|line| line == "ready"));
            thread::sleep(Duration::from_millis(200));
            worker.signal("KILL");
        }
        if printed(&folder) != ["ready"] {
            return false;
        }
        thread::sleep(Duration::from_secs(seconds));
        let started = Instant::now();
        hark(&folder, "resume").is(0, "done\n5\n", "session [ID] finished\n");
        // Its sleep ended while no process served it.
        started.elapsed() < Duration::from_secs(seconds)
    });
    assert!(was_seen, "it slept anew each time");
}

#[test]
fn a_worker_finishes_what_was_left_to_it() {
    let folder = folder("a_worker_finishes");
    let id = detach(&folder, "");
    assert_eq!((newest(&folder), state(&folder)), (id, "suspended".to_owned()));
    let detached = folder.hark("run -s sqlite --detach --json x.hk -f add 1 2").json();
    assert_eq!(detached, json!({ "session": newest(&folder) }));
    let worker = Beside::start(&folder, "worker");
    wait_until("the end", || sessions(&folder).iter().all(|session| session["state"] == "finished"));
    // A session that is started while the worker is running.
    let bad = detach(&folder, "-f bad");
    wait_until("the end of the next", || state(&folder) == "broken");
    worker.signal("INT");
    let Run { status, stdout, stderr } = worker.ended(&folder);
    assert_eq!((status, stdout.as_str()), (0, ""), "{stderr}");
    assert_eq!(stderr.lines().next(), Some("serving [FOLDER]/.hark; Ctrl-C stops it"));
    let added = detached["session"].as_str().unwrap();
    assert_eq!(logged(&stderr, added), ["started add(\"1\", \"2\")", "finished add(\"1\", \"2\") after [TIME]"]);
    let error = "index: `first`: the list is empty";
    assert_eq!(logged(&stderr, &bad), ["started bad()", &format!("broken bad() after [TIME]: {error}")]);
    assert_eq!(folder.hark("show --json").json()["errors"][0]["kind"], "index");
}

#[test]
fn a_session_is_served_by_one() {
    let folder = folder("a_session_is_served_by_one");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f named");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    let id = newest(&folder);
    let refused = "error: session [ID] is running\nhint: another process serves it\n";
    hark(&folder, &format!("resume {id}")).is(2, "", refused);
    hark(&folder, "resume").is(0, "no sessions to resume in .hark/hark.db\n", "");
    let worker = Beside::start(&folder, "worker -q");
    thread::sleep(Duration::from_millis(300));
    assert_eq!(state(&folder), "running");
    folder.run(["resolve", &format!("{id}/door/1"), "\"by run\""]).succeeds();
    run.ended(&folder).is(0, "ready\nby run\n", "");
    // A session whose process was killed can be resumed at once.
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f named");
    wait_until("the next one's line", || printed(&folder) == ["ready"] && newest(&folder) != id);
    run.signal("KILL");
    drop(run);
    wait_until("the worker", || state(&folder) == "running");
    folder.run(["resolve", &format!("{}/door/1", newest(&folder)), "2"]).succeeds();
    wait_until("the end", || state(&folder) == "finished");
    assert_eq!(printed(&folder), ["ready"]);
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
}

#[test]
fn two_workers_share_the_sessions() {
    let folder = folder("two_workers_share");
    let ids: Vec<String> = (0..6).map(|_| detach(&folder, "-f sleeps 0.2")).collect();
    let workers = [Beside::start(&folder, "worker -q"), Beside::start(&folder, "worker -q")];
    let more: Vec<String> = (0..6).map(|_| detach(&folder, "-f sleeps 0.1")).collect();
    wait_until("all ends", || sessions(&folder).iter().all(|session| session["state"] == "finished"));
    for id in ids.iter().chain(&more) {
        let shown = folder.hark(&format!("events {id} --unified --json")).json();
        let events: Vec<&str> = shown.as_array().unwrap().iter().map(|each| each["event"].as_str().unwrap()).collect();
        assert_eq!(events, ["started", "printed", "slept", "resumed", "printed", "finished"], "{id}");
    }
    for worker in workers {
        worker.signal("TERM");
        worker.ended(&folder).is(0, "", "");
    }
}

#[test]
fn a_promise_is_resolved_once_and_for_all() {
    let folder = folder("a_promise_is_resolved_once");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f waits");
    wait_until("the promise", || printed(&folder).len() == 1);
    let future = printed(&folder).remove(0);
    let id = newest(&folder);
    assert!(future.starts_with(&format!("{id}/promise/")), "{future}");
    let shown = folder.hark("show --json").json();
    assert_eq!(shown["threads"][0]["state"], "waiting");
    folder.run(["resolve", &future, "{\"a\": [1, 2.5, null]}"]).succeeds();
    let run = run.ended(&folder);
    run.is(0, &format!("{future}\n[\"got\", {{\"a\": [1, 2.5, null]}}]\n7\n"), "");
    // Even after its session has ended, and whether it is resolved or failed again.
    let said = format!("error: `{future}` already has a value: {{\"a\": [1, 2.5, null]}}\n");
    folder.run(["resolve", &future, "2"]).is(2, "", &said);
    folder.run(["fail", &future, "no"]).is(2, "", &said);
    let never = format!("{id}/never/1");
    let said = format!("error: `{never}` cannot be resolved: its session is finished\n");
    folder.run(["resolve", &never, "2"]).is(2, "", &said);
}

#[test]
fn a_promise_may_be_resolved_before_it_is_awaited() {
    let folder = folder("resolved_before_awaited");
    let id = detach(&folder, "-f late");
    folder.run(["resolve", &format!("{}/door/1", &id[..id.len() - 1]), "\"early\""]).succeeds();
    let future = format!("{id}/door/1");
    folder.run(["resolve", &future, "2"]).is(2, "", &format!("error: `{future}` already has a value: \"early\"\n"));
    hark(&folder, "resume").is(0, "ready\nearly\n", "session [ID] finished\n");
}

#[test]
fn a_promise_may_fail() {
    let folder = folder("a_promise_may_fail");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f named");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    let future = format!("{}/door/1", newest(&folder));
    folder.run(["fail", &future, "nobody answered"]).is(0, "", "");
    let run = run.ended(&folder);
    assert!(run.status == 1 && run.stderr.ends_with("error: nobody answered\n"), "{run:?}");
    let said = format!("error: `{future}` has already failed: nobody answered\n");
    folder.run(["fail", &future, "again"]).is(2, "", &said);
    folder.run(["resolve", &future, "1"]).is(2, "", &said);
}

#[test]
fn many_are_woken_from_outside() {
    let folder = folder("many_are_woken");
    let waits = || {
        let shown = folder.hark("show --json").json();
        let threads = shown["threads"].as_array().unwrap();
        threads.len() == 51 && threads.iter().all(|thread| thread["state"] == "waiting")
    };
    for worker in [false, true] {
        let beside = if worker {
            detach(&folder, "-f many");
            Beside::start(&folder, "worker -q")
        } else {
            Beside::start(&folder, "run -s sqlite -q x.hk -f many")
        };
        wait_until("the waiters", || state(&folder) == "running" && waits());
        folder.run(["resolve", &format!("{}/door/1", newest(&folder)), "1"]).succeeds();
        wait_until("the end", || state(&folder) == "finished");
        assert_eq!(folder.hark("show --json").json()["result"], 50 + 50 * 51 / 2);
        if worker {
            beside.signal("TERM");
        }
        assert_eq!(beside.ended(&folder).status, 0);
    }
}

#[test]
fn what_is_no_future_id_or_no_json_is_refused() {
    let folder = folder("what_is_no_future_id");
    folder.hark("run -s sqlite -q x.hk").is(0, "one\n1\n", "");
    for text in ["x", "x/y", ""] {
        let said = format!(
            "error: `{text}` is not the id of a future\n\
             hint: it is the result of `future_id`, or SESSION/NAME/ID for `future(NAME, ID)`\n"
        );
        folder.run(["resolve", text, "1"]).is(2, "", &said);
        folder.run(["fail", text, "1"]).is(2, "", &said);
    }
    for text in ["", "x", "{", "1 2"] {
        let run = folder.run(["resolve", "a/b/c", text]);
        assert!(run.status == 2 && run.stderr.starts_with(&format!("error: `{text}` is not valid JSON: ")), "{run:?}");
    }
}

#[test]
fn a_session_is_cancelled_wherever_it_runs() {
    let folder = folder("a_session_is_cancelled");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f sleeps 600");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    hark(&folder, "cancel 0").is(0, "cancelled [ID]\n", "");
    run.ended(&folder).is(1, "ready\n", "cancelled\n");
    assert_eq!(state(&folder), "cancelled");
    hark(&folder, "cancel 0").is(2, "", "error: session [ID] is over: it is cancelled\n");
    let again = folder.hark(&format!("resume {}", newest(&folder)));
    let said = "error: session [ID] is cancelled\nhint: only a suspended session can be resumed\n";
    without_id(&folder, again).is(2, "", said);
    hark(&folder, "retry").is(2, "", "error: session [ID] is cancelled\nhint: only a broken session can be retried\n");
    assert_eq!(folder.hark("show --json").json()["status"], "cancelled");
    // A session that is not being served.
    let id = detach(&folder, "-f many");
    let cancelled = folder.hark(&format!("cancel --json {id}")).json();
    assert_eq!(cancelled, json!({ "session": id, "state": "cancelled" }));
    // A session served by a worker, with many threads.
    let id = detach(&folder, "-f many");
    let worker = Beside::start(&folder, "worker -q");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    hark(&folder, &format!("cancel {id}")).is(0, "cancelled [ID]\n", "");
    detach(&folder, "");
    wait_until("the next", || state(&folder) == "finished");
    worker.signal("TERM");
    worker.ended(&folder).is(0, "", "");
}

#[test]
fn a_broken_session_goes_on_from_where_it_failed() {
    let folder = folder("a_broken_session_goes_on");
    let run = folder.hark("run -s sqlite -q x.hk -f outer");
    assert!(run.status == 1 && run.stderr.contains("ValueError: not yet"), "{run:?}");
    // Any number of times: the call was not lost, it raised.
    for _ in 0..6 {
        let run = folder.hark("retry");
        assert_eq!((run.status, run.stdout.as_str()), (1, "called\n"), "{run:?}");
        assert!(run.stderr.contains("error[python]: `lib.flaky` raised ValueError: not yet"), "{run:?}");
    }
    folder.write("marker", "");
    let run = hark(&folder, "retry");
    run.is(0, "called\n[\"inner\", 41]\n[\"outer\", 42]\n42\n", "session [ID] finished\n");
    let told = printed(&folder);
    let count = |text: &str| told.iter().filter(|line| *line == text).count();
    assert_eq!((count("outer"), count("inner"), count("called"), count("[\"outer\", 42]")), (1, 1, 8, 1), "{told:?}");
    assert_eq!(folder.hark("show --json").json()["errors"], json!([]));
    hark(&folder, "retry").is(2, "", "error: session [ID] is finished\nhint: only a broken session can be retried\n");
}

#[test]
fn a_worker_takes_up_what_is_retried() {
    let folder = folder("a_worker_takes_up");
    let id = detach(&folder, "-f outer");
    let worker = Beside::start(&folder, "worker -q");
    wait_until("the failure", || state(&folder) == "broken");
    folder.write("marker", "");
    let run = folder.hark("retry --json");
    assert_eq!(run.status, 0, "{run:?}");
    wait_until("the end", || state(&folder) == "finished");
    assert_eq!(folder.hark("show --json").json()["result"], 42);
    worker.signal("TERM");
    let said = worker.ended(&folder).stderr;
    let error = "broken outer() after [TIME]: python: `lib.flaky` raised ValueError: not yet";
    assert_eq!((logged(&said, &id), said.lines().count()), (vec![error.to_owned()], 1), "{said}");
}

#[test]
fn a_call_whose_python_is_killed_has_failed() {
    let program = "import(dies, lib, 0);\nfn main() { dies() }\n";
    let folder = Folder::with("a_call_whose_python_is_killed", program);
    folder.write(
        "src/lib.py",
        "import os, signal\n\
         def dies():\n    with open('tries', 'a') as file: file.write('x')\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    );
    let run = folder.hark("run -s sqlite -q x.hk");
    let said = "error[python]: `lib.dies` did not return: its Python process ended by signal 9 (SIGKILL)\n";
    assert!(run.status == 1 && run.stderr.ends_with(said), "{run:?}");
    assert_eq!(folder.read("tries"), "x", "the call is made once: it is not known what it did");
}

#[test]
fn sessions_are_listed_by_state() {
    let folder = folder("sessions_are_listed_by_state");
    let ids = |line: &str| -> Vec<String> {
        let list = folder.hark(&format!("sessions --json {line}")).json();
        list.as_array().unwrap().iter().map(|session| session["function"].as_str().unwrap().to_owned()).collect()
    };
    folder.hark("run -s sqlite -q x.hk");
    folder.hark("run -s sqlite -q x.hk -f add 1 2");
    folder.hark("run -s sqlite -q x.hk -f bad");
    let named = detach(&folder, "-f named");
    folder.hark(&format!("cancel {named}"));
    detach(&folder, "-f sleeps 600");
    detach(&folder, "-f late");
    let run = Beside::start(&folder, "run -s sqlite -q x.hk -f many");
    wait_until("the first line", || printed(&folder) == ["ready"]);
    assert_eq!(ids(""), ["many", "late", "sleeps", "named", "bad", "add", "main"]);
    assert_eq!(ids("--limit 2"), ["many", "late"]);
    assert_eq!(ids("--limit 0"), Vec::<String>::new());
    assert!(folder.hark("sessions --limit x").stderr.contains("'--limit <NUMBER>': must be a whole number\n"));
    assert_eq!(ids("--state running"), ["many"]);
    assert_eq!(ids("--state suspended"), ["late", "sleeps"]);
    assert_eq!(ids("--state suspended --limit 1"), ["late"]);
    assert_eq!(ids("--state finished"), ["add", "main"]);
    assert_eq!(ids("--state finished --limit 1"), ["add"]);
    assert_eq!(ids("--state broken"), ["bad"]);
    assert_eq!(ids("--state cancelled"), ["named"]);
    assert_eq!(ids("--state moved"), Vec::<String>::new());
    folder.hark("sessions --state moved").is(0, "no such sessions in .hark/hark.db\n", "");
    assert_eq!(folder.hark("sessions --state odd").status, 2);
    assert_eq!(folder.hark("sessions --limit x").status, 2);
    // Only sessions that are over are deleted.
    folder.hark("prune --older-than 1h").is(0, "removed 0 sessions\n", "");
    folder.hark("prune --older-than 0s").is(0, "removed 4 sessions\n", "");
    assert_eq!(ids(""), ["many", "late", "sleeps"]);
    folder.hark("prune --older-than 0s --json").is(0, "{\"removed\": 0}\n", "");
    folder.hark("prune --older-than soon").is(
        2,
        "",
        "error: `soon` is not a valid age\nhint: an age is a number and s, m, h or d: `7d`\n",
    );
    drop(run);
}

#[test]
fn all_that_is_unfinished_is_resumed() {
    let folder = folder("all_that_is_unfinished");
    let early = detach(&folder, "-f sleeps 0.2");
    let broken = detach(&folder, "-f bad");
    let late = detach(&folder, "");
    let run = folder.hark("resume --json");
    let reports = run.json();
    let ends: Vec<(&str, &str)> = reports
        .as_array()
        .unwrap()
        .iter()
        .map(|report| (report["session"].as_str().unwrap(), report["status"].as_str().unwrap()))
        .collect();
    assert_eq!(ends, [(early.as_str(), "finished"), (&broken, "broken"), (&late, "finished")]);
    assert_eq!(run.status, 1, "one of them is broken");
}

#[test]
fn a_bench_has_figures() {
    let folder = folder("a_bench_has_figures");
    for storage in ["memory", "sqlite"] {
        let run = folder.hark(&format!("bench x.hk -s {storage} --sessions 20 --concurrency 4 --json -f add 1 2"));
        let figures = run.json();
        assert_eq!((run.status, &figures["sessions"], &figures["unfinished"]), (0, &json!(20), &json!(0)), "{storage}");
        assert!(figures["latency_p50_seconds"].as_f64().unwrap() > 0.0);
        let commits = figures["commits"].as_u64();
        assert_eq!(commits.map(|commits| commits >= 20), (storage == "sqlite").then_some(true), "memory has none");
    }
    let table = folder.hark("bench x.hk --sessions 3 -f bad");
    assert!(
        table.status == 1 && table.stdout.starts_with("sessions               3, 3 of them unfinished\n"),
        "{table:?}"
    );
    assert_eq!(folder.hark("bench x.hk --sessions 0").status, 2);
}

#[test]
fn many_may_make_the_file_at_once() {
    for round in 0..20 {
        let folder = folder(&format!("many_may_make_the_file_{round}"));
        let all: Vec<Beside> = (0..6).map(|_| Beside::start(&folder, "run -s sqlite -q x.hk")).collect();
        all.into_iter().for_each(|run| run.ended(&folder).is(0, "one\n1\n", ""));
        assert_eq!(sessions(&folder).len(), 6);
    }
}

#[test]
fn a_bench_is_interrupted() {
    let folder = Folder::with("a_bench_is_interrupted", "fn main() { print(\"begun\"); sleep(0.2) }\n");
    for storage in ["memory", "sqlite"] {
        let run = Beside::start(&folder, &format!("bench x.hk -s {storage} --sessions 100000 --concurrency 4"));
        run.wait_for_handler();
        run.signal("INT");
        assert_eq!(run.ended(&folder).status, 130, "{storage}");
    }
}

/// The threads of `map_async` are named after the called functions.
#[test]
fn threads_of_the_prelude_are_named_after_what_they_call() {
    let program = "import(sqrt, math, 1);\nfn double(x) { x * 2 }\nfn main() { map_async([1, 2], double, 1); map_async([-1], sqrt, 1) }\n";
    let folder = Folder::with("threads_of_the_prelude", program);
    let run = folder.hark("run -q -s sqlite x.hk");
    assert!(run.status == 1 && run.stderr.contains("  thread 3, x.hk:1, in sqrt\n"), "{run:?}");
    let shown = folder.hark("show --json").json();
    let names = shown["threads"].as_array().unwrap().iter().map(|thread| thread["function"].as_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["main", "double", "double", "sqrt"]);
    assert!(!folder.hark("events").stdout.contains("_map_async"));
}

/// The function, its arguments and what it came to are the program's, although the prelude makes the call.
#[test]
fn what_is_shown_of_a_thread_is_what_the_program_says() {
    let program = r#"
fn w(i) { if i == "b" { error("bad b") } else { i } }
#[retry(attempts: 2, backoff: 0)] fn again(a, unused) { if a == "y" { error("no y") } else { a } }
#[timeout(60)] fn timed(a) { async w(a) }
#[limit(1)] fn single(a) { a }
#[timeout(60)] fn waits(a) { await future("door", a) }
fn main() {
  map_async(["a"], w, 2);
  try { map_async(["b"], w, 2) } catch { 0 };
  again("x", [1]);
  try { again("y", 2) } catch { 0 };
  await timed("c");
  await async single("d");
  waits(7);
  "end"
}"#;
    let folder = Folder::with("what_is_shown_of_a_thread", program);
    let run = Beside::start(&folder, "run -q -s sqlite --key job x.hk");
    let waiter = || -> serde_json::Value {
        let found = folder.hark("promises --json");
        if found.status == 0 { found.json()[0]["waiters"][0]["call"].clone() } else { serde_json::Value::Null }
    };
    wait_until("it waits", || waiter() == "waits(7)");
    folder.hark("resolve job/door/7 8").succeeds();
    assert_eq!(run.ended(&folder).status, 0);
    let shown = folder.hark("show --json").json();
    let text = |thread: &serde_json::Value, name: &str| thread[name].as_str().unwrap_or_default().to_owned();
    let line = |thread: &serde_json::Value| {
        let (call, value) =
            (format!("{}({})", text(thread, "function"), text(thread, "arguments")), text(thread, "value"));
        format!("{call} {} {value}", text(thread, "state")).trim_end().to_owned()
    };
    let lines: Vec<String> = shown["threads"].as_array().unwrap().iter().map(line).collect();
    let wanted = [
        "main() finished \"end\"",
        "w(\"a\") finished \"a\"",
        "w(\"b\") broken",
        "again(\"x\", [1]) finished \"x\"",
        "again(\"y\", 2) broken",
        "again(\"y\", 2) broken",
        "timed(\"c\") finished <future 7>",
        "w(\"c\") finished \"c\"",
        "single(\"d\") finished \"d\"",
        "waits(7) finished 8",
    ];
    assert_eq!(lines, wanted);
    let drawn = folder.hark("show").stdout;
    assert!(drawn.contains("\nthread 0 main: finished with \"end\"\n"), "{drawn}");
    let (events, timeline) = (folder.hark("events").stdout, folder.hark("timeline --json").json());
    assert!(events.contains("started by thread 0: again(\"x\", [1])\n"), "{events}");
    assert!(events.contains("finished with \"x\"\n") && !events.contains("[\"x\"]"), "{events}");
    assert_eq!((&timeline[2]["call"], &timeline[2]["end"]), (&json!("w(\"b\")"), &json!("broken")));
}

/// An empty id comes from a variable of the shell that is not set, and means no session, although every id begins with it.
#[test]
fn an_empty_id_is_refused() {
    let folder = folder("an_empty_id");
    let id = detach(&folder, "");
    for command in
        ["cancel", "cancel --now", "export", "resume", "retry", "show", "events", "stdout", "timeline", "promises"]
    {
        let run = folder.run(command.split(' ').chain([""]));
        assert!(
            run.status == 2 && run.stderr.starts_with("error: the id of the session is empty\n"),
            "{command}: {run:?}"
        );
    }
    let run = folder.run(["resolve", "/door/1", "1"]);
    assert_eq!(run.status, 2, "{run:?}");
    assert_eq!(folder.hark("sessions --json").json()[0]["state"], "suspended");
    assert_eq!(folder.hark("sessions -q").stdout.trim(), id);
}

/// A text is found in arguments as it was typed, and as the list shows it.
#[test]
fn sessions_are_found_by_the_text_of_an_argument() {
    let folder = Folder::with("sessions_by_argument", "fn main(a) { a }");
    let texts = ["C:\\data", "say \"hi\"", "a\tb", "a\nb", "plain"];
    for text in texts {
        folder.run(["-q", "-s", "sqlite", "x.hk", text]).succeeds();
    }
    for text in texts.into_iter().chain(["C:\\\\data", "\"plain\""]) {
        let found = folder.run(["sessions", "-q", "--argument", text]).stdout;
        assert_eq!(found.lines().count(), 1, "{text:?}: {found}");
    }
    folder.hark("sessions --argument other").is(0, "no such sessions in .hark/hark.db\n", "");
}

/// Of several promises that a thread waits for, those that have a value are not said to be waited for.
#[test]
fn only_open_promises_are_said_to_be_waited_for() {
    let program = r#"fn door(i) { future("door", i) }
fn main() { await [any([door(0), future("other", 1)]), map(range(7), lambda (i) { async one(i) })] }
fn one(i) { await [door(i), future("second", i)] }"#;
    let folder = Folder::with("only_open_promises", program);
    let run = Beside::start(&folder, "run -q -s sqlite --key job x.hk");
    let listed = || folder.hark("promises --json").json().as_array().map_or(0, Vec::len);
    wait_until("it waits", || folder.path().join(".hark/hark.db").exists() && listed() == 2);
    folder.hark("resolve job/door/0 1").is(0, "", "");
    wait_until("its threads wait", || listed() == 13);
    folder.hark("resolve job/door/1 1").is(0, "", "");
    let told = folder.hark("resolve job/dor/2 1").stderr;
    assert!(told.starts_with("no thread waits for `dor/2` yet; the session waits for `door/2`, "), "{told}");
    assert!(told.ends_with(" and 7 more\n"), "{told}");
    run.signal("INT");
    run.ended(&folder);
}

/// The commands that Hark suggests find the session from the current folder.
#[test]
fn a_command_that_is_printed_works_where_it_is_printed() {
    let folder = Folder::new("a_command_that_is_printed");
    let program = r#"import(name, shop, 0); fn main() { print("begun"); await future("door", 1); name() }"#;
    for project in ["shop", "my shop"] {
        folder.write(&format!("{project}/x.hk"), program);
        folder.write(&format!("{project}/shop.py"), "def name(): return 'tea'");
    }
    folder.write("other/settings.toml", "[project]\ndata_dir = \"kept\"\n");
    folder.write("other/x.hk", program);
    folder.write("other/shop.py", "def name(): return 'tea'");
    let lines = [
        ("shop/x.hk", "shop/.hark", "cd shop && hark resume ID"),
        ("shop/x.hk --data-dir far", "far", "cd shop && hark resume ID --data-dir [FOLDER]/far"),
        ("my?shop/x.hk", "my shop/.hark", "cd 'my shop' && hark resume ID"),
        ("other/x.hk --config other/settings.toml", "other/kept", "hark resume ID --config other/settings.toml"),
    ];
    for (line, kept, expected) in lines {
        let words = format!("run -s sqlite {line}");
        let words = words.split(' ').map(|word| word.replace('?', " "));
        let running = Beside::start_command(folder.command(words));
        let kept = folder.path().join(kept);
        let printed = || folder.run(["stdout".as_ref(), "--data-dir".as_ref(), kept.as_os_str()]).stdout;
        wait_until("its beginning", || printed().contains("begun"));
        running.signal("INT");
        let ended = running.ended(&folder);
        let told = ended.stderr.lines().find_map(|line| line.strip_prefix("suspended; `")).unwrap();
        let told = told.strip_suffix("` continues it").unwrap();
        let id = told.split_whitespace().find(|word| word.len() == 36).unwrap();
        assert_eq!(told.replace(id, "ID"), expected);
        let real = told.replace("[FOLDER]", &folder.path().display().to_string());
        let script = |words: &str| {
            let real = real.replace(&format!("resume {id}"), words);
            let mut command = Command::new("sh");
            command.current_dir(folder.path()).env("hark", env!("CARGO_BIN_EXE_hark"));
            folder.filtered(command.args(["-c", &real.replace("hark ", "\"$hark\" ")]).output().unwrap())
        };
        script(&format!("resolve {id}/door/1 true")).succeeds();
        let resumed = script(&format!("resume {id}"));
        assert!(resumed.status == 0 && resumed.stdout.ends_with("tea\n"), "{resumed:?}");
    }
}

#[test]
fn who_resolves_what_nobody_waits_for_is_told() {
    let folder = Folder::with("nobody_waits", "fn main() { await future(\"mail\", 17) }");
    let id = folder.hark("-s sqlite --detach x.hk").stdout.trim().to_owned();
    folder.hark(&format!("resolve {id}/mail/16 1")).is(0, "", "");
    let worker = Beside::start(&folder, "worker -q");
    wait_until("it waits", || folder.hark("show").stdout.contains("waiting for future `mail/17`"));
    let expected = "no thread waits for `mail/18` yet; the session waits for `mail/17`\n";
    folder.hark(&format!("resolve {id}/mail/18 1")).is(0, "", expected);
    folder.hark(&format!("resolve {id}/mail/17 1")).is(0, "", "");
    worker.signal("INT");
    worker.ended(&folder);
}

#[test]
fn a_broken_session_says_what_goes_on_with_it() {
    let folder = Folder::with("a_broken_session_says", "fn main() { first([]) }");
    let run = folder.hark("-s sqlite x.hk");
    let id = folder.hark("sessions -q").stdout.trim().to_owned();
    let advice = format!("broken; `hark retry {id}` continues from where it failed, with its original program\n");
    assert!(run.stderr.contains(&advice), "{}", run.stderr);
    let retry = folder.hark("retry");
    assert!(retry.stderr.contains(&advice), "{}", retry.stderr);
    let shown = folder.hark("show").stdout;
    assert!(shown.contains(&format!("\nnext     {}", advice.trim_start_matches("broken; "))), "{shown}");
    assert!(!folder.hark("x.hk").stderr.contains("retry"), "in memory there is nothing to go on with");
}
