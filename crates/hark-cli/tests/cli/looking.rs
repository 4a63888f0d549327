//! Inspecting a running session: its calls, its awaited promises, and changes of its program.

use serde_json::{Value, json};

use crate::harness::{Beside, Folder, wait_until};
use crate::terminal::{OnTerminal, shown, without_color};

const PROGRAM: &str = r#"import(fetch, lib, 1);
fn main(a) {
  c = async calls(a);
  t = async approve("x");
  u = async approve("y");
  await [t, u, async crowd(20), c]
}
fn calls(a) { fetch("http://" + a); fetch("slow") }
fn approve(n) { await any([future("approval", n), future("timeout", n)]) }
fn crowd(n) { await map(range(n), lambda (i) { async door() }) }
fn door() { await future("door", 1) }
"#;

const LIB: &str = "import os, time\ndef fetch(url):\n    while url == 'slow' and not os.path.exists('go'):\n        \
                   time.sleep(0.01)\n    return url.upper()\n";

fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("src/lib.py", LIB);
    folder
}

/// A running session, whose threads are all waiting or calling.
fn begun(folder: &Folder) -> Beside {
    let mut run = Beside::start(folder, "run -q -s sqlite --key job x.hk one");
    wait_until("its threads wait", || {
        assert!(!run.has_ended(), "it has ended: {:?}", folder.hark("show job"));
        let list = folder.hark("promises --json");
        let waits = |promise: &Value| promise["waiters"].as_array().unwrap().len();
        list.status == 0 && list.json().as_array().unwrap().iter().map(waits).sum::<usize>() == 24
    });
    wait_until("the second call", || folder.hark("show job").stdout.contains("calling fetch(\"slow\")"));
    run
}

#[test]
fn promises_are_listed_with_who_waits_for_them() {
    let folder = folder("promises_are_listed");
    folder.hark("promises").is(0, "no session in .hark/hark.db waits for a promise\n", "");
    folder.hark("promises --json").is(0, "[]\n", "");
    assert_eq!(folder.hark("promises job").status, 2);
    let run = begun(&folder);
    let list = folder.hark("promises job --json").json();
    let id = folder.hark("show --json job").json()["session"].as_str().unwrap().to_owned();
    let mut names: Vec<&str> = list.as_array().unwrap().iter().map(|each| each["promise"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["approval/x", "approval/y", "door/1", "timeout/x", "timeout/y"]);
    let of = |name: &str| list.as_array().unwrap().iter().find(|each| each["promise"] == name).unwrap();
    assert_eq!(of("door/1")["waiters"].as_array().unwrap().len(), 20);
    let approval = of("approval/x");
    assert_eq!((&approval["future_id"], &approval["key"]), (&json!(format!("{id}/approval/x")), &json!("job")));
    assert_eq!(approval["waiters"][0]["call"], "approve(\"x\")");
    assert!(approval["since"].as_str().unwrap().ends_with('Z'));
    let text = folder.hark("promises").stdout;
    assert!(text.starts_with("FUTURE_ID       OPEN FOR"), "{text}");
    let door = text.lines().find(|line| line.starts_with("job/door/1 ")).unwrap();
    assert!(door.ends_with(" and 17 more") && door.contains("thread "), "{door}");
    for columns in [60, 80, 200] {
        let fitted = shown(&folder, "promises", columns, false);
        assert!(fitted.lines().all(|line| line.chars().count() <= usize::from(columns)), "{fitted}");
        assert_eq!(fitted.lines().count(), 6, "{fitted}");
    }
    // Its output is valid input of `resolve`.
    for line in text.lines().skip(1) {
        folder.run(["resolve", line.split_whitespace().next().unwrap(), "1"]).succeeds();
    }
    folder.hark("promises").is(0, "no session in .hark/hark.db waits for a promise\n", "");
    folder.hark("promises job").is(0, "the session is not waiting for a promise\n", "");
    folder.write("go", "");
    assert_eq!(run.ended(&folder).status, 0);
}

#[test]
fn threads_and_promises_fit_the_terminal() {
    let long = "a_rather_long_name_of_an_approval_that_somebody_has_to_type";
    let folder = Folder::with(
        "threads_and_promises_fit",
        &format!(
            "fn asks_somebody_for_an_approval(text) {{ await_for(future(\"{long}\", text), 86400) }}
             fn works(text) {{ text + text }}
             fn main(text) {{
               works_too = async works(text);
               await works_too;
               one = async asks_somebody_for_an_approval(\"a\");
               two = async asks_somebody_for_an_approval(\"b\");
               await one + await two
             }}"
        ),
    );
    let text = "x y  z".repeat(20);
    let started = folder.run(["run", "-s", "sqlite", "--detach", "--tag", "purpose=test", "x.hk", &text]);
    started.succeeds();
    let run = Beside::start(&folder, "resume -q");
    wait_until("the threads", || {
        let promises = folder.hark("promises --json");
        promises.status == 0 && promises.json().as_array().unwrap().len() == 2
    });
    for columns in [60_u16, 80, 200] {
        for is_colored in [false, true] {
            let of = |line: &str| without_color(&shown(&folder, line, columns, is_colored));
            let show = of("show");
            assert!(show.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}\n{show}");
            // Nothing but arguments and values is cut.
            let words: Vec<&str> = show.split_whitespace().collect();
            let joined = words.join(" ");
            assert!(joined.contains("in asks_somebody_for_an_approval at x.hk:1"), "{show}");
            assert!(joined.contains(": finished with \"x y z"), "{show}");
            assert_eq!(joined.matches(" until 2").count(), 2, "{show}");
            let promises = of("promises");
            let too_long: Vec<&str> =
                promises.lines().filter(|line| line.chars().count() > usize::from(columns)).collect();
            // An id that does not fit is whole all the same.
            assert!(too_long.iter().all(|line| line.contains(long) && !line.contains("thread")), "{promises}");
            assert_eq!(promises.matches(&format!("{long}/")).count(), 2, "{promises}");
            assert_eq!(promises.matches(" thread ").count(), 2, "{promises}");
        }
    }
    // In a pipe each thread is a line.
    let whole = folder.hark("show").stdout;
    assert_eq!(whole.lines().filter(|line| line.trim_start().starts_with("thread ")).count(), 4, "{whole}");
    assert!(whole.contains(&format!("call     main(\"{text}\")\n")), "{whole}");
    run.signal("TERM");
    run.ended(&folder);
}

#[test]
fn calls_are_shown_with_arguments_and_since_when() {
    let folder = folder("calls_are_shown");
    let run = begun(&folder);
    let shown_whole = folder.hark("show").stdout;
    let line = shown_whole.lines().find(|line| line.contains("calling")).unwrap();
    assert!(line.starts_with("  thread 1 calls(\"one\"): calling fetch(\"slow\"), for "), "{line}");
    let json = folder.hark("show --json").json();
    let call = &json["threads"][1]["call"];
    assert_eq!(
        (&call["function"], &call["arguments"], &call["attempt"]),
        (&json!("fetch"), &json!("\"slow\""), &json!(1))
    );
    assert!(call["since"].as_str().unwrap().ends_with('Z'));
    // After a kill, it is the next attempt, and its time starts again.
    run.signal("KILL");
    drop(run);
    folder.write("x.hk", format!("{PROGRAM}// changed\n"));
    let note = "x.hk has changed since the session was started; the session keeps its original program";
    assert!(folder.hark("show").stdout.contains(&format!("\nnote     {note}\n")));
    folder.hark("export job --copy").succeeds();
    let resumed = Beside::start(&folder, "resume job");
    wait_until("the second try", || folder.hark("show").stdout.contains("calling fetch(\"slow\"), try 2, for "));
    for name in ["approval/x", "approval/y", "door/1"] {
        folder.run(["resolve", &format!("job/{name}"), "1"]).succeeds();
    }
    folder.write("go", "");
    let resumed = resumed.ended(&folder);
    assert!(resumed.status == 0 && resumed.stderr.starts_with(&format!("{note}\n")), "{resumed:?}");
    let text = folder.hark("events").stdout;
    for part in [
        "called fetch(\"slow\") (try 2)",
        "the call returned \"SLOW\"",
        "started by thread 0: approve(\"x\")",
        "finished with \"SLOW\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let over = folder.hark("show").stdout;
    assert!(over.contains("  thread 1 calls(\"one\"): finished with \"SLOW\"\n") && !over.contains(note), "{over}");
}

#[test]
fn a_timeline_fits_the_terminal_and_follows() {
    let folder = folder("a_timeline_fits");
    let run = begun(&folder);
    for columns in [60_u16, 80, 200] {
        let plain = shown(&folder, "timeline job", columns, false);
        assert!(plain.lines().all(|line| line.chars().count() <= usize::from(columns)), "{columns}\n{plain}");
        assert!(plain.contains('█') && plain.contains('▒') && plain.contains('─'), "{plain}");
        assert!(plain.lines().any(|line| line.starts_with("1 calls(\"one")), "{plain}");
        // A bar for each of the 25 threads.
        let first = |line: &&str| line.starts_with(|character: char| character.is_ascii_digit());
        assert_eq!(plain.lines().filter(first).count(), 25, "{plain}");
        let colored = shown(&folder, "timeline job", columns, true);
        assert!(colored.contains("\x1b[1;36m▒"), "{colored}");
        assert_eq!(without_color(&colored).lines().count(), plain.lines().count());
    }
    let few = folder.hark("timeline job --limit 2").stdout;
    assert!(few.contains("\nand 23 more threads; `--limit` shows more\n"), "{few}");
    let lanes = folder.hark("timeline job --json").json();
    assert_eq!((lanes.as_array().unwrap().len(), &lanes[1]["call"]), (25, &json!("calls(\"one\")")));
    assert_eq!(lanes[2]["awaited"], json!([{ "promise": "approval/x" }, { "promise": "timeout/x" }]));
    let kinds = lanes[1]["stretches"].as_array().unwrap().iter().map(|stretch| &stretch["kind"]);
    assert_eq!(kinds.collect::<Vec<_>>(), ["run", "call", "run", "call"]);
    // With `--follow` the timeline is redrawn in place, and finally shows the ended session.
    let mut command = folder.command(["timeline", "job", "--follow"]);
    command.env("NO_COLOR", "1");
    let follower = OnTerminal::start(command, 80);
    for name in ["approval/x", "approval/y", "door/1"] {
        folder.run(["resolve", &format!("job/{name}"), "1"]).succeeds();
    }
    folder.write("go", "");
    assert_eq!(run.ended(&folder).status, 0);
    let (status, text) = follower.ended();
    let last = text.rsplit("\x1b[J").next().unwrap();
    assert_eq!((status, last), (0, shown(&folder, "timeline job", 80, false).as_str()));
    assert_eq!(folder.hark("timeline --limit 0").status, 2);
    assert_eq!(folder.hark("timeline nobody").status, 2);
}

/// Between the process that was killed and the one that makes its call again, the call has no bar.
#[test]
fn a_timeline_shows_when_no_process_ran_a_call() {
    let folder = folder("a_timeline_shows_when_no_process");
    let lanes = |id: &str| folder.hark(&format!("timeline {id} --json")).json().as_array().unwrap().clone();
    let times = |lane: &Value, kind: &str| -> Vec<(String, String)> {
        let stretches = lane["stretches"].as_array().unwrap().iter().filter(|each| each["kind"] == kind);
        let time = |each: &Value, key: &str| each[key].as_str().unwrap().to_owned();
        stretches.map(|each| (time(each, "from"), time(each, "to"))).collect()
    };
    // It has not begun to run.
    folder.hark("run -s sqlite --key later --detach x.hk one").succeeds();
    let ready = times(&lanes("later")[0], "run");
    assert!(ready.len() == 1 && ready[0].0 == ready[0].1, "{ready:?}");
    let run = begun(&folder);
    let before = lanes("job");
    run.signal("KILL");
    drop(run);
    wait_until("the end of its process", || folder.hark("show job --json").json()["status"] == "suspended");
    let calls = |lanes: &[Value]| times(lanes.iter().find(|lane| !times(lane, "call").is_empty()).unwrap(), "call");
    let (running, left) = (calls(&before), calls(&lanes("job")));
    assert!(left.last().unwrap().1 < running.last().unwrap().1, "{left:?} {running:?}");
    for promise in ["approval/x", "approval/y", "door/1"] {
        folder.run(["resolve", &format!("job/{promise}"), "1"]).succeeds();
    }
    folder.write("go", "");
    folder.hark("resume -q job").succeeds();
    let again = calls(&lanes("job"));
    assert_eq!(again.len(), 3, "{again:?}");
    assert!(again[1].1 < again[2].0, "{again:?}");
}

/// With one Python process only one of two calls can have begun, and nothing records when the other one does.
#[test]
fn a_call_that_may_not_have_begun_is_not_said_to_be_made() {
    let folder = Folder::with(
        "a_call_that_may_not_have_begun",
        "import(fetch, lib, 1);\nfn main() { map_async([\"slow\", \"x\"], fetch) }\n",
    );
    folder.write("src/lib.py", LIB);
    folder.write("hark.toml", "[python]\nworkers = 1\n");
    let run = Beside::start(&folder, "run -q -s sqlite x.hk");
    let calls = || {
        let shown = folder.hark("show --json");
        let threads = if shown.status == 0 { shown.json()["threads"].clone() } else { Value::Null };
        let calls: Vec<Value> = threads.as_array().into_iter().flatten().map(|thread| thread["call"].clone()).collect();
        calls.into_iter().filter(|call| !call.is_null()).collect::<Vec<_>>()
    };
    wait_until("both calls", || calls().len() == 2);
    let begun: Vec<Value> = calls().iter().map(|call| call["has_begun"].clone()).collect();
    assert!(begun.contains(&json!(true)) && begun.contains(&Value::Null), "{begun:?}");
    let shown = folder.hark("show").stdout;
    let may_wait = shown.matches("), or waiting for a Python process, for ").count();
    assert_eq!((shown.matches(": calling fetch(").count(), may_wait), (2, 1), "{shown}");
    folder.write("go", "");
    drop(run);
}
