//! How the errors of a session are shown.

use crate::harness::Folder;

#[test]
fn a_traceback_runs_through_threads() {
    let program = "fn main() {\n  x = async work(2);\n  await x\n}\n\nfn work(n) {\n  1 + fail(n)\n}\n\n\
                   fn fail(n) { signal(\"error\", \"badness\") }\n";
    let folder = Folder::with("a_traceback_runs_through_threads", program);
    let expected = "\
traceback, the outermost call first:
  thread 0, x.hk:3, in main
      await x
  thread 1, x.hk:7, in work
      1 + fail(n)
  thread 1, x.hk:10, in fail
      fn fail(n) { signal(\"error\", \"badness\") }
   --> x.hk:10:14
 10 | fn fail(n) { signal(\"error\", \"badness\") }
    |              ^^^^^^^^^^^^^^^^^^^^^^^^^^
error: badness
";
    folder.hark("-q x.hk").is(1, "", expected);
    let run = folder.hark("x.hk");
    assert_eq!(run.stderr, format!("{expected}-- [TIME]\n"));
}

#[test]
fn one_cause_is_shown_once_and_two_twice() {
    let program = "fn bad(x) { signal(\"error\", x) }\nfn pass(f) { await f }\n\
                   fn one() { f = async bad(\"badness\"); async pass(f); async pass(f); await f }\n\
                   fn two() { async bad(\"worse\"); async bad(\"badness\"); 1 }\n";
    let folder = Folder::with("one_cause_is_shown_once", program);
    let one = folder.hark("-q x.hk -f one");
    assert_eq!(one.status, 1);
    assert_eq!(one.stderr.matches("error: badness").count(), 1, "{}", one.stderr);
    let two = folder.hark("-q x.hk -f two");
    assert_eq!(two.stderr.matches("error: ").count(), 2, "{}", two.stderr);
    assert!(two.stderr.contains("error: badness\n") && two.stderr.contains("error: worse\n"));
    assert_eq!(folder.hark("--json x.hk -f two").json()["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn a_type_error_names_its_kind() {
    let folder = Folder::with("a_type_error_names_its_kind", "fn main() { 1 + \"a\" }");
    let run = folder.hark("-q x.hk");
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("error[type]: "), "{}", run.stderr);
    assert!(run.stderr.contains("integer") && run.stderr.contains("string"), "{}", run.stderr);
}

#[test]
fn functions_in_an_errors_data_have_their_names() {
    let program = "import(listdir, os, 1);\nfn work(x) { x }\n\
                   fn main() { error({\"message\": \"no\", \"data\": [work, listdir, first, lambda (x) { x }]}) }";
    let folder = Folder::with("functions_in_an_errors_data", program);
    let data = "error: no\n  data: [<fn work>, <fn listdir>, <fn first>, <fn lambda>]\n";
    let run = folder.hark("-q x.hk");
    assert!(run.status == 1 && run.stderr.ends_with(data), "{run:?}");
    let kept = folder.hark("run -q -s sqlite x.hk");
    assert!(kept.status == 1 && kept.stderr.contains(data), "{kept:?}");
    assert!(folder.hark("show").stdout.ends_with(data));
}

#[test]
fn what_was_printed_before_is_not_lost() {
    let folder = Folder::with("what_was_printed_before", "fn main() { print(\"before\"); first([]) }");
    let run = folder.hark("-q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (1, "before\n"));
}

#[test]
fn endless_recursion_ends_with_a_short_trace() {
    let folder = Folder::with("endless_recursion", "fn main() { down(1) }\nfn down(n) { 1 + down(n + 1) }\n");
    let run = folder.hark("-q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("call stack too deep"), "{}", run.stderr);
    assert!(run.stderr.lines().count() < 60, "{}", run.stderr);
    let more = run.stderr.lines().find_map(|line| line.strip_prefix("  ... ")).unwrap();
    let omitted: u64 = more.split(' ').next().unwrap().parse().unwrap();
    assert!(omitted > 900_000, "{more}");
    let report = folder.hark("--json x.hk").json();
    let frames = report["errors"][0]["trace"].as_array().unwrap().len() as u64;
    assert!(frames + report["errors"][0]["omitted"].as_u64().unwrap() >= 1_000_000);
}

#[test]
fn a_deadlock_says_who_waits_for_what() {
    let folder = Folder::with("a_deadlock", "fn main() { await future(\"approval\", \"no-1\") }");
    let run = folder.hark("-q x.hk");
    assert_eq!(run.status, 1);
    assert!(run.stderr.contains("deadlock") && run.stderr.contains("no-1"), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: with `hark run -s sqlite` the session is stored and waits"), "{}", run.stderr);
    let report = folder.hark("--json x.hk").json();
    assert_eq!(report["errors"][0]["data"], serde_json::json!(["approval/no-1"]));
    folder.write("x.hk", "fn main() { list = [promise()]; f = async g(first(list)); await f }\nfn g(f) { await f }\n");
    assert!(folder.hark("x.hk").stderr.contains("hint: with `hark run -s sqlite`"));
}

/// On a terminal long texts are cut; reports contain all of them.
#[test]
fn what_is_very_long_is_cut() {
    let program = "import(fails, src.long, 1);\n\
                   fn long(text, times) { if times == 0 { text } else { long(text + text, times - 1) } }\n\
                   fn main() { error(long(\"x\", 17)) }\n\
                   fn python() { fails(1000000) }\n\
                   fn waits() { await future(long(\"x\", 17), \"1\") }\n";
    let folder = Folder::with("what_is_very_long", program);
    folder.write("src/long.py", "def fails(count):\n    raise ValueError('x' * count)\n");
    let cut = format!("error: {}... (127072 more characters)\n", "x".repeat(4_000));
    let run = folder.hark("-q x.hk");
    assert!(run.stderr.ends_with(&cut), "{}", run.stderr);
    assert_eq!(folder.hark("--json x.hk").json()["errors"][0]["message"].as_str().unwrap().len(), 1 << 17);
    for line in ["-q x.hk -f python", "-q x.hk -f waits"] {
        let run = folder.hark(line);
        assert_eq!(run.status, 1, "{line}: {run:?}");
        assert!(run.stderr.contains("xxx..."), "{line}: {run:?}");
        assert!(run.stderr.len() < 9_000, "{line}: {}", run.stderr.len());
    }
    assert_eq!(folder.hark("run -q -s sqlite x.hk").status, 1);
    let shown = folder.hark("show");
    assert!(shown.stdout.ends_with(&cut), "{}", shown.stdout);
    let thread = format!("thread 0 main: broken: {}... (130872 more characters)\n", "x".repeat(200));
    assert!(shown.stdout.contains(&thread), "{}", shown.stdout);
    let events = folder.hark("events");
    assert!(
        events.stdout.ends_with("xxx... (127087 more characters)\n"),
        "{}",
        &events.stdout[events.stdout.len() - 99..]
    );
    let message = |report: &serde_json::Value| report["errors"][0]["message"].as_str().unwrap().len();
    assert_eq!(message(&folder.hark("show --json").json()), 1 << 17);
    assert!(folder.hark("events --json").stdout.len() > 1 << 17);
}

#[test]
fn an_error_of_kind_cancelled_is_shown_and_breaks_nothing() {
    let program = "fn main() { error({\"kind\": \"cancelled\", \"message\": \"no more\"}) }";
    let folder = Folder::with("an_error_of_kind_cancelled", program);
    let run = folder.hark("-q x.hk");
    assert!(run.status == 0 && run.stderr.ends_with("error[cancelled]: no more\n"), "{run:?}");
    let report = folder.hark("--json x.hk").json();
    assert_eq!((&report["status"], &report["result"]), (&"finished".into(), &serde_json::Value::Null));
    let kept = folder.hark("-q -s sqlite x.hk");
    assert!(kept.status == 0 && kept.stderr.contains("error[cancelled]: no more\n"), "{kept:?}");
    assert!(folder.hark("show").stdout.contains("state    finished\n"));
    assert_eq!(folder.hark("run -q -s sqlite --detach x.hk").status, 0);
    let resumed = folder.hark("resume -q");
    assert!(resumed.status == 0 && resumed.stderr.ends_with("error[cancelled]: no more\n"), "{resumed:?}");
}

/// Its trace contains only lines, so no carets are shown.
#[test]
fn an_error_that_is_raised_again_is_shown_with_its_lines() {
    let program = "fn bad(l) { 1 + first(l) }\nfn main() {\n  try { bad([]) } catch e { error(e) }\n}\n";
    let folder = Folder::with("an_error_that_is_raised_again", program);
    let expected = "traceback, the outermost call first:\n  thread 0, x.hk:3, in main\n      try { bad([]) } catch e { error(e) }\n  \
                    thread 0, x.hk:1, in bad\n      fn bad(l) { 1 + first(l) }\nerror[index]: `first`: the list is empty\n";
    folder.hark("-q x.hk").is(1, "", expected);
}

/// An error that is raised again after the last attempt still shows its exact place.
#[test]
fn retries_lose_no_place() {
    let program = "#[retry(attempts: 2, backoff: 0)]\nfn twice(x) {\n  y = x + 1; error(\"bad\")\n}\nfn main() { twice(1) }\n\
        fn all() { map_async([1], twice, 1) }\n";
    let folder = Folder::with("retries_lose_no_place", program);
    for function in ["main", "all"] {
        for way in ["", "-s sqlite", "--suspend-at instructions"] {
            let run = folder.hark(&format!("run -q {way} x.hk -f {function}"));
            let said =
                "  --> x.hk:3:14\n 3 |   y = x + 1; error(\"bad\")\n   |              ^^^^^^^^^^^^\nerror: bad\n";
            assert!(run.stderr.ends_with(said), "{run:?}");
        }
    }
}

#[test]
fn equal_errors_are_shown_once() {
    let folder = Folder::with(
        "equal_errors_are_shown_once",
        "fn f(x) { 1 / x }\nfn main() { [async f(0), async f(0), async f(1), async f(\"\")]; null }",
    );
    for run in [folder.hark("-q x.hk"), folder.hark("-q -s sqlite x.hk")] {
        assert_eq!(run.status, 1);
        assert_eq!(
            run.stderr.matches("error[zero]: `/`: division by zero\nand 1 more like this\n").count(),
            1,
            "{run:?}"
        );
        assert_eq!(run.stderr.matches("error[type]").count(), 1, "{run:?}");
    }
    let shown = folder.hark("show").stdout;
    assert_eq!(shown.matches("and 1 more like this\n").count(), 1, "{shown}");
}
