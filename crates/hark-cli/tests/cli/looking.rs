//! What is seen of a session under way: its calls, the promises it waits for, and that its program has changed.

use serde_json::{Value, json};

use crate::harness::{Beside, Folder, wait_until};
use crate::terminal::shown;

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

/// The session runs, with all of its threads waiting or calling.
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
    // What it prints is what `resolve` takes.
    for line in text.lines().skip(1) {
        folder.run(["resolve", line.split_whitespace().next().unwrap(), "1"]).succeeds();
    }
    folder.hark("promises").is(0, "no session in .hark/hark.db waits for a promise\n", "");
    folder.hark("promises job").is(0, "the session waits for no promise\n", "");
    folder.write("go", "");
    assert_eq!(run.ended(&folder).status, 0);
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
    // Killed in the middle, it is the next try, and counts from then.
    run.signal("KILL");
    drop(run);
    folder.write("x.hk", format!("{PROGRAM}// changed\n"));
    let note = "x.hk has changed since the session was started, which goes on with the program as it was";
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
