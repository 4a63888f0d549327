//! The log of Hark's own work, which is off by default.

use crate::harness::{Folder, Run};

const PROGRAM: &str = "fn leaf(n) { n }\nfn main() { print(\"said\"); await (async leaf(7)) }\n";

fn run_with(folder: &Folder, variables: &[(&str, &str)], line: &str) -> Run {
    let mut command = folder.command(line.split_whitespace());
    command.envs(variables.iter().copied());
    folder.filtered(command.output().unwrap())
}

#[test]
fn nothing_is_told_unasked() {
    let folder = Folder::with("log_unasked", PROGRAM);
    folder.hark("run -q -s sqlite x.hk").is(0, "said\n7\n", "");
    folder.hark("run -q -s sqlite --log off x.hk").is(0, "said\n7\n", "");
    run_with(&folder, &[("HARK_LOG", "")], "run -q -s sqlite x.hk").is(0, "said\n7\n", "");
}

#[test]
fn steps_are_told_on_standard_error() {
    let folder = Folder::with("log_text", PROGRAM);
    let run = folder.hark("run -q -s sqlite --log debug x.hk");
    assert_eq!((run.status, &*run.stdout), (0, "said\n7\n"), "{}", run.stderr);
    assert!(run.stderr.lines().any(|line| line.contains("DEBUG hark_engine") && line.contains("a step is committed")));
    let ends = |line: &str| line.contains("a session has ended here") && line.contains("end=\"finished\"");
    assert!(run.stderr.contains("a session begins") && run.stderr.lines().any(ends), "{}", run.stderr);
    assert!(!run.stderr.contains("TRACE"), "{}", run.stderr);
    // Events below the level are omitted, and the option overrides the environment.
    let run = run_with(&folder, &[("HARK_LOG", "trace")], "--log info -q -s sqlite x.hk");
    assert!(run.stderr.contains("INFO") && !run.stderr.contains("DEBUG"), "{}", run.stderr);
    let run = run_with(&folder, &[("HARK_LOG", "trace")], "-q -s sqlite x.hk");
    assert!(run.stderr.contains("TRACE hark_backends"), "{}", run.stderr);
}

#[test]
fn as_json_each_line_is_an_object() {
    let folder = Folder::with("log_json", PROGRAM);
    let run = folder.hark("run -q -s sqlite --log debug --log-format json x.hk");
    let events: Vec<serde_json::Value> =
        run.stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let step = events.iter().find(|event| event["message"] == "a step is committed").expect("a step");
    assert_eq!((&step["level"], &step["outcome"], &step["thread"]), (&"DEBUG".into(), &"Done".into(), &0.into()));
    assert!(step["session"].is_string() && step["timestamp"].is_string(), "{step}");
}

#[test]
fn worker_processes_tell_what_their_supervisor_does() {
    let folder = Folder::with("log_processes", PROGRAM);
    let run = folder.hark("run -q -s sqlite -c processes --log debug x.hk");
    assert_eq!((run.status, &*run.stdout), (0, "said\n7\n"), "{}", run.stderr);
    assert!(run.stderr.contains("a worker process is started"), "{}", run.stderr);
    // Only workers run threads.
    assert!(run.stderr.contains("a step is committed"), "{}", run.stderr);
}

#[test]
fn a_level_that_there_is_not_is_refused() {
    let folder = Folder::with("log_refused", PROGRAM);
    let said = "error: `HARK_LOG` cannot be `loud`\nhint: it is one of off, error, warn, info, debug, trace\n";
    run_with(&folder, &[("HARK_LOG", "loud")], "run -q x.hk").is(2, "", said);
    let variables = [("HARK_LOG", "info"), ("HARK_LOG_FORMAT", "xml")];
    let said = "error: `HARK_LOG_FORMAT` cannot be `xml`\nhint: it is one of text, json\n";
    run_with(&folder, &variables, "run -q x.hk").is(2, "", said);
}
