//! `hark test`: its cases, its clock, its output and files.

use std::process::Command;

use crate::harness::Folder;

const SUMS: &str = r#"//! add(1, 2) => 3
//! add("a", 'b') => "ab"
//! add(1, "b") breaks "integer" "string"
//! add(1, "b") breaks-kind "type"
//! shown() prints "one\ntwo\n"
//! shown() => {1: [true, null], "k": -1.5}
fn add(a, b) { a + b }
fn shown() { print("one"); print("two"); {1: [true, null], "k": -1.5} }
fn test_addition() { assert_equal(add(1, 1), 2) }
fn test_with_parameter(x) { error("this is no test") }
"#;

#[test]
fn cases_pass() {
    let folder = Folder::with("testing_cases_pass", SUMS);
    let said = "passed  x.hk:1  add(1, 2)\npassed  x.hk:2  add(\"a\", 'b')\npassed  x.hk:3  add(1, \"b\")\npassed  x.hk:5  shown()\n\
                passed  x.hk:9  test_addition\n5 passed, 0 failed\n";
    folder.hark("test x.hk").is(0, said, "-- [TIME]\n");
    folder.hark("test -q x.hk").is(0, "5 passed, 0 failed\n", "");
    let listed =
        "x.hk:1  add(1, 2)\nx.hk:2  add(\"a\", 'b')\nx.hk:3  add(1, \"b\")\nx.hk:5  shown()\nx.hk:9  test_addition\n";
    folder.hark("test --list x.hk").is(0, listed, "");
}

#[test]
fn a_program_may_be_on_standard_input() {
    let folder = Folder::new("testing_standard_input");
    let program = "//! main() => 2\n//! other() => 3\nfn main() { 2 }\nfn other() { 2 }";
    let run = folder.run_with_input(["test", "-"], program);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.starts_with("passed  <stdin>:1  main()\nFAILED  <stdin>:2  other()\n"), "{run:?}");
}

#[test]
fn what_failed_is_shown_with_what_came() {
    let program = "//! sum() => 5\n//! sum() prints \"x\"\nfn sum() { print(\"adding\"); 4 }\n\
                   //! load() => 1\nfn load() { error(\"no such order\") }\nfn test_equal() { assert_equal([1, \"a\"], [1, \"b\"]) }\n";
    let folder = Folder::with("testing_what_failed", program);
    let said = r#"FAILED  x.hk:1  sum()
        expected  => 5
        got       => 4
        expected  prints "x" (line 2)
        got       prints "adding\n"
        printed
          adding
FAILED  x.hk:4  load()
        expected  => 1
        got       breaks "no such order", of kind "error"
        traceback, the outermost call first:
          thread 0, x.hk:5, in load
              fn load() { error("no such order") }
         --> x.hk:5:13
        5 | fn load() { error("no such order") }
          |             ^^^^^^^^^^^^^^^^^^^^^^
        error: no such order
FAILED  x.hk:6  test_equal
        expected  returns
        got       breaks "`assert_equal`: [1, \"a\"] does not equal [1, \"b\"]", of kind "error"
        traceback, the outermost call first:
          thread 0, x.hk:6, in test_equal
              fn test_equal() { assert_equal([1, "a"], [1, "b"]) }
         --> x.hk:6:19
        6 | fn test_equal() { assert_equal([1, "a"], [1, "b"]) }
          |                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        error: `assert_equal`: [1, "a"] does not equal [1, "b"]
0 passed, 3 failed
"#;
    let run = folder.hark("test -q x.hk");
    assert_eq!(run.stdout.replace(' ', ""), said.replace(' ', ""), "{run:#?}");
    assert_eq!(run.status, 1);
    let run = folder.hark("test -q --fail-fast x.hk");
    assert!(run.stdout.ends_with("0 passed, 1 failed\n"), "{run:#?}");
}

#[test]
fn time_jumps() {
    let program = "//! week() => [604800.0, \"woken\"]\n\
        fn week() { begun = now(); thread = async late(); sleep(604800); [now() - begun, await thread] }\n\
        fn late() { sleep(86400); \"woken\" }\n\
        //! deadline() => [true, 2592000.0]\n\
        fn deadline() { begun = now(); late = try { await_for(promise(), 2592000) } catch { true }; [late, now() - begun] }\n\
        //! short() => true\n\
        fn short() { begun = now(); sleep(0.01); sleep(0.03); sleep(0.07); now() - begun >= 0.11 }\n\
        //! order() => [\"b\", \"c\", \"a\"]\n\
        fn order() { third = async after(3, \"a\"); first = async after(1, \"b\"); second = async after(2, \"c\");\n\
          [nth(any([third, first, second]), 1), nth(any([third, second]), 1), await third] }\n\
        fn after(seconds, x) { sleep(seconds); x }\n";
    let folder = Folder::with("testing_time_jumps", program);
    assert!(folder.hark("test -q x.hk").is_passed(4));
}

#[test]
fn what_does_not_end_is_stopped() {
    let program = "//! sleeps() => 1\nfn sleeps() { sleep(86400); sleeps() }\n//! ends() => 1\nfn ends() { 1 }\n";
    let folder = Folder::with("testing_what_does_not_end", program);
    let said =
        "FAILED  x.hk:1  sleeps()\n        it did not end within 100 years of virtual time\n1 passed, 1 failed\n";
    folder.hark("test -q x.hk --timeout 600").is(1, said, "");
    folder.write("x.hk", "//! runs() => 1\nfn runs() { runs() }\n");
    let said = "FAILED  x.hk:1  runs()\n        it was stopped after 0.5 s (see `--timeout`)\n0 passed, 1 failed\n";
    folder.hark("test -q x.hk --timeout 0.5").is(1, said, "");
    assert_eq!(folder.hark("test x.hk --timeout 0").status, 2);
}

#[test]
fn a_deadlock_is_an_error_like_any() {
    let folder =
        Folder::with("testing_deadlock", "//! main() breaks-kind \"deadlock\"\nfn main() { await promise() }\n");
    assert!(folder.hark("test -q x.hk").is_passed(1));
}

#[test]
fn each_run_takes_the_same_way() {
    let program = "fn number(n) { sleep(random()); n }\n\
        fn main() { each(map(range(20), lambda (n) { async number(n) }), lambda (f) { print(await f) }); print(random()); print(uuid()) }\n\
        //! main() prints \"\"\n";
    let folder = Folder::with("testing_same_way", program);
    let printed = |_| folder.hark("test --json x.hk").json()["cases"][0]["faults"][0]["got"].to_string();
    let runs: Vec<String> = (0..3).map(printed).collect();
    assert!(runs[0] == runs[1] && runs[1] == runs[2] && runs[0].contains("19"), "{runs:?}");
}

#[test]
fn a_line_that_cannot_be_read_is_an_error_with_its_place() {
    let wrong = [
        ("//! main() gives 4", "`gives` is not an expectation of a call"),
        ("//! main() print \"a\"", "did you mean `prints`?"),
        ("//! main() => 1 + 1", "but an expression"),
        ("//! main() => yes", "is neither JSON nor a literal of Hark"),
        ("//! main(", "after the call"),
        ("//! main(x) => 1", "the arguments are not a list of values"),
        ("//! main() prints 4", "expected a text in quotes"),
        ("//! main() errors many", "expected a number"),
        ("//! main() traces [1]", "pairs `[THREAD, TEXT]`"),
        ("//! a comment", "`hark test` does not understand this line"),
        ("//! rejectd \"x\"", "did you mean `rejected`?"),
        ("//! rejected-at x", "a place is a line"),
        ("//! only on sqlite", "`only` is followed by"),
        ("//! stub f", "a stub is `stub NAME => VALUE`"),
        ("//! stub f =>", "a value is missing at the end of this line"),
        ("//! stub f breaks", "a value is missing at the end of this line"),
        ("//! main() =>", "a value is missing at the end of this line"),
        ("//! resolve a/1 =>", "`resolve NAME/ID => VALUE`"),
        ("//! resolve a => 1", "`resolve NAME/ID => VALUE`"),
    ];
    for (line, message) in wrong {
        let folder = Folder::with("testing_unreadable", &format!("//! main() => 1\n  {line}\nfn main() {{ 1 }}\n"));
        let run = folder.hark("test x.hk");
        assert!(run.stdout.contains(message) && run.stdout.contains("x.hk:2"), "{line}: {run:#?}");
        assert!(run.stdout.ends_with("0 passed, 1 failed\n") && run.status == 1, "{run:#?}");
        // For everything else they are comments.
        assert_eq!(folder.hark("check x.hk").status, 0);
    }
}

#[test]
fn a_promise_is_settled_once() {
    let text = "//! resolve a/1 => 5\n//! fail a/1 \"x\"\n//! main() => 5\nfn main() { await future(\"a\", \"1\") }\n";
    let run = Folder::with("testing_settled", text).hark("test x.hk");
    assert!(run.stdout.contains("`a/1` is already settled in line 1") && run.stdout.contains("x.hk:2"), "{run:#?}");
    assert_eq!(run.status, 1);
}

#[test]
fn programs_may_be_expected_to_be_rejected() {
    let folder = Folder::new("testing_rejected");
    folder.write("a.hk", "//! rejected \"nope\"\n//! rejected-at 4\n//! rejected-times 1\nfn main() { nope() }\n");
    folder.write("b.hk", "//! rejected \"nope\"\nfn main() { 1 }\n");
    folder.write("c.hk", "//! main() => 1\nfn main() { nope }\n");
    folder.write(
        "d.hk",
        "//! main() warns \"spare\"\n//! test_f() silent\nfn main() { spare = 1; 2 }\nfn test_f() { 1 }\n",
    );
    let run = folder.hark("test -q .");
    assert!(run.stdout.contains("got       the program compiles"), "{run:#?}");
    assert!(run.stdout.contains("FAILED  c.hk:1  compiles\n        error[HK0012]: nothing named `nope`"), "{run:#?}");
    assert!(run.stdout.contains("got       line 3 warns: "), "{run:#?}");
    assert!(run.stdout.ends_with("2 passed, 3 failed\n"), "{run:#?}");
}

#[test]
fn a_function_that_is_not_there_fails_its_case_alone() {
    let folder =
        Folder::with("testing_no_function", "//! mian() => 1\n//! main() => 1\n//! main(2) => 1\nfn main() { 1 }\n");
    let run = folder.hark("test -q x.hk");
    assert!(run.stdout.contains("there is no function `mian` in x.hk") && run.stdout.contains("did you mean `main`?"));
    assert!(run.stdout.contains("`main()` takes 0 arguments, but 1 was given"), "{run:#?}");
    assert!(run.stdout.ends_with("1 passed, 2 failed\n"), "{run:#?}");
}

#[test]
fn folders_are_walked_and_the_project_is_all_of_it() {
    let folder = Folder::new("testing_folders");
    folder.write("hark.toml", "");
    folder.write("service.hk", "//! main() => 1\nfn main() { 1 }\n");
    folder.write("lib/b.hk", "fn test_b() { 1 }\n");
    folder.write("lib/a.hk", "//! f() => 2\nfn f() { 2 }\n");
    folder.write("lib/none.hk", "fn f() { this is no program\n");
    folder.write(".hark/x.hk", "//! f() => 2\nfn f() { 3 }\n");
    folder.write("env/pyvenv.cfg", "");
    folder.write("env/x.hk", "//! f() => 2\nfn f() { 3 }\n");
    let all = "lib/a.hk:1  f()\nlib/b.hk:1  test_b\nservice.hk:1  main()\n";
    folder.hark("test --list").is(0, all, "");
    folder.hark("test --list -k test_").is(0, "lib/b.hk:1  test_b\n", "");
    folder.hark("test --list lib/a.hk service.hk").is(0, "lib/a.hk:1  f()\nservice.hk:1  main()\n", "");
    assert!(folder.hark("test -q").is_passed(3));
    let mut below = folder.command(["test", "-q"]);
    let run = folder.filtered(below.current_dir(folder.path().join("lib")).output().unwrap());
    assert!(run.is_passed(3), "{run:#?}");
}

#[test]
fn wrong_command_lines_have_status_2() {
    let folder = Folder::with("testing_usage", "fn main() { 1 }\n");
    let hint = "hint: a case is a line `//! f(1) => 2`, or a function `test_...` without parameters\n";
    folder.hark("test x.hk").is(2, "", &format!("error: there is nothing to test in `x.hk`\n{hint}"));
    folder.hark("test y.hk").is(2, "", "error: there is no file `y.hk`\n");
    assert_eq!(folder.hark("test --jsn x.hk").status, 2);
    folder.write("x.hk", SUMS);
    folder.hark("test -k nope x.hk").is(2, "", &format!("error: no case in `x.hk` has `nope` in its name\n{hint}"));
}

#[test]
fn results_are_json_and_xml_too() {
    let program = "//! ok() => 1\n//! bad(\"<&'\\\"\") => \"]]>\"\nfn ok() { print(\"\\x1b[31m\\0 & <é☃>\"); 1 }\n\
                   fn bad(x) { error(x) }\n//! nope() => 1\n";
    let folder = Folder::with("testing_reports", program);
    let run = folder.hark("test x.hk --json --junit out.xml");
    assert_eq!(run.status, 1);
    let json = run.json();
    assert_eq!((&json["status"], &json["passed"], &json["failed"]), (&"failed".into(), &1.into(), &2.into()));
    let bad = &json["cases"][1];
    assert_eq!((&bad["file"], &bad["line"], &bad["status"]), (&"x.hk".into(), &2.into(), &"failed".into()));
    assert_eq!(bad["faults"][0]["expected"], "=> \"]]>\"");
    assert_eq!(bad["errors"][0]["message"], "<&'\"");
    assert_eq!(json["cases"][0]["output"][0]["text"], "\u{1b}[31m\0 & <é☃>\n");
    let read = "import sys, xml.etree.ElementTree as t\nroot = t.parse('out.xml').getroot()\n\
        print(root.tag, root.get('tests'), root.get('failures'), root.get('errors'))\n\
        for case in root.iter('testcase'): print(case.get('classname'), case.get('name'), case.get('line'), [(e.tag, e.get('message')) for e in case])\n\
        print(repr(root.find('.//system-out').text))\n";
    let done = Command::new("python3").args(["-c", read]).current_dir(folder.path()).output().unwrap();
    let expected = "testsuites 3 1 1\nx.hk ok() 1 [('system-out', None)]\n\
        x.hk bad(\"<&'\\\"\") 2 [('failure', 'expected => \"]]>\", got breaks \"<&\\'\\\\\"\", of kind \"error\"')]\n";
    let printed = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(printed.starts_with(expected), "{printed}\n{}", String::from_utf8_lossy(&done.stderr));
    assert!(printed.contains("x.hk nope() 5 [('error', 'error: there is no function `nope` in x.hk"), "{printed}");
    assert!(printed.ends_with("'\\\\x1b[31m\\\\x00 & <é☃>\\n'\n"), "{printed}");
}

#[test]
fn a_file_is_compiled_once_for_all_of_its_cases() {
    // Takes some seconds to compile, so that compiling it a hundred times would be noticed.
    let mut program: String = (0..20_000).map(|n| format!("fn f{n}(x) {{ x + {n} }}\n")).collect();
    (0..100).for_each(|n| program.push_str(&format!("//! f{n}(1) => {}\n", n + 1)));
    let folder = Folder::with("testing_compiled_once", &program);
    let json = folder.hark("test --json x.hk").json();
    assert_eq!((&json["passed"], &json["failed"]), (&100.into(), &0.into()));
    let cases: f64 = json["cases"].as_array().unwrap().iter().map(|case| case["seconds"].as_f64().unwrap()).sum();
    assert!(cases < json["seconds"].as_f64().unwrap(), "{json}");
}

impl crate::harness::Run {
    /// Whether this many cases passed, none failed, and nothing else was printed.
    fn is_passed(&self, count: usize) -> bool {
        self.status == 0 && self.stdout == format!("{count} passed, 0 failed\n")
    }
}

/// An object has no literal; its text may contain a size that depends on the Python version.
#[test]
fn objects_are_expected_by_their_text_or_what_json_says_of_them() {
    let program = r#"import(date, datetime, 3);
import(bytes, builtins, 1);
//! day(2) => "<datetime.date 2026-11-02>"
//! day(2) => {"$object": {"type": "datetime.date", "text": "2026-11-02"}}
//! day(2) => {"$object": {"type": "datetime.date"}}
fn day(n) { date(2026, 11, n) }
//! within() => [{"day": "<datetime.date 2026-11-03>"}, "<fn day>", {"$object": {"type": "bytes", "text": null}}]
fn within() { [{"day": day(3)}, day, bytes(100000)] }
//! other() => "<datetime.date 2026-11-03>"
//! other() => {"$object": {"type": "datetime.time"}}
//! other() => {"$object": {"type": "datetime.date", "day": 4}}
//! other() => "2026-11-04"
fn other() { day(4) }
"#;
    let folder = Folder::with("testing_objects", program);
    let json = folder.hark("test --json x.hk").json();
    assert_eq!((&json["passed"], &json["failed"]), (&2.into(), &1.into()), "{json}");
    let faults = json["cases"][2]["faults"].as_array().unwrap();
    let lines: Vec<u64> = faults.iter().map(|fault| fault["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [9, 10, 11, 12]);
    assert!(faults.iter().all(|fault| fault["got"] == "=> <datetime.date 2026-11-04>"), "{json}");
}

#[test]
fn calls_that_a_stub_answers_are_those_that_python_could_be_given() {
    let program = r#"import(plain, nowhere, 2);
#[kwargs] import(named, nowhere, 2);
//! stub plain => 1
//! stub named breaks "OSError: gone"
//! passes() => 1
fn passes() { plain("a") }
//! with_function() breaks "`nowhere.plain` cannot be given a value that Python does not have: argument 1, item 0 of the list is a function"
//! with_function() breaks-kind "type"
fn with_function() { plain([passes]) }
//! with_future() breaks-kind "type"
fn with_future() { plain(promise()) }
//! too_many() breaks-kind "arity"
fn too_many() { f = plain; f(1, 2, 3) }
//! keyword() breaks "`nowhere.named` cannot be given `1` as the name of a keyword argument, which must be a string"
fn keyword() { named("a", {1: 2}) }
//! keywords() breaks "`nowhere.named` raised OSError: gone"
fn keywords() { named("a", {"b": 2}) }
"#;
    let folder = Folder::with("testing_checked_stubs", program);
    let run = folder.hark("test -q x.hk");
    assert!(run.is_passed(6), "{run:?}");
}

/// The function compiled in place of an import is not in the source.
#[test]
fn errors_with_a_function_for_an_import_show_the_program_as_it_is() {
    let program = "import(p, nowhere, 2);
//! stub p with q
//! main() => 1
fn main() {
  p(1)
}
fn q(x, y) { y }
";
    let folder = Folder::with("testing_substituted", program);
    let said = "FAILED  x.hk:5  line 5
        error: `p` takes 2 arguments, but is called with 1
          --> x.hk:5:3
         5 |   p(1)
           |   ^^^^
        hint: calls of an import that is replaced by a function must have all its arguments
0 passed, 1 failed
";
    folder.hark("test -q x.hk").is(1, said, "");
    folder.write("x.hk", format!("#[kwargs] {program}"));
    folder.hark("test -q x.hk").is(1, said, "");
    // The compiler's warnings also refer to the original program.
    folder.write(
        "x.hk",
        "import(p, nowhere, 1); fn unused() { a = 1; 2 }\n//! stub p with q\n//! q(1) warns \"`a`\"\nfn q(x) { x }\n",
    );
    assert!(folder.hark("test -q x.hk").is_passed(1));
}

/// The order is certain, because other work is done between two arrivals.
#[test]
fn limits_and_rates_are_served_in_order_also_in_time_that_jumps() {
    let program = r#"//! in_order() => [1, 2, 3]
//! in_order() prints "in 1\nout 1\nin 2\nout 2\nin 3\nout 3\n"
//! by_priority() prints "in 1\nout 1\nin 3\nout 3\nin 2\nout 2\n"
//! started() prints "5\n6\n1\n2\n3\n-1\n"
//! starts() => [0, 0, 7, 7, 14]
//! starts_late() => [0, "timeout", 7]
#[limit(1)] fn one(x) { print(format("in {}", x)); sleep(86400); print(format("out {}", x)); x }
#[limit(1, name: "x.one")] #[priority(5)] fn first_of_all(x) { one(x) }
fn in_order() { a = async one(1); sleep(1); b = async one(2); sleep(1); await [a, b, async one(3)] }
fn by_priority() { a = async one(1); sleep(1); b = async one(2); sleep(1); await [a, b, async first_of_all(3)] }

fn plain(x) { print(x) }
#[priority(5)] fn urgent(x) { print(x) }
#[priority(-1)] fn last_of_all(x) { print(x) }
fn started() {
  await [async last_of_all(-1), async plain(1), async plain(2), async urgent(5), async plain(3), async urgent(6)]
}

// Two a week.
#[rate(2, per: 604800, name: "week")] fn start(since) { round((now() - since) / 86400) }
fn starts() { since = now(); map(range(5), lambda (_) { start(since) }) }
#[rate(1, per: 604800, name: "one a week")] fn begin(since) { round((now() - since) / 86400) }
#[rate(1, per: 604800, name: "one a week")] #[retry(deadline: 86400)] fn soon(since) { "never" }
fn starts_late() { since = now(); [begin(since), try { soon(since) } catch e { get(e, "kind") }, begin(since)] }
"#;
    let folder = Folder::with("testing_limits", program);
    let run = folder.hark("test -q x.hk");
    assert!(run.is_passed(5), "{run:?}");
}

#[test]
fn a_rate_of_python_calls_means_the_time_that_jumps() {
    let text = "#[rate(1, per: 3600)]\nimport(sqrt, math, 1);\n//! main() => [1.0, 2.0, 3.0]\nfn main() { map([1, 4, 9], sqrt) }\n";
    let run = Folder::with("testing_rates", text).hark("test -q x.hk");
    assert!(run.stdout.ends_with("1 passed, 0 failed\n"), "{run:#?}");
}
