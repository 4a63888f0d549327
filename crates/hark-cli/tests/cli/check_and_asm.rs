//! `hark check`, `hark asm`, `hark explain` and `hark doc`.

use crate::harness::Folder;
use crate::terminal::shown;

const SEED: &str = "import(foo, pysrc, 1);\nfn bar(x) { x + 1 }\nfn compute(x) { a = async foo(x); b = bar(x); await a + b; }\n\
                    fn main() { compute(1) }\n";

const LISTING: &str = r"BYTECODE:
 /
 | ;; #F:foo:
 |    0 | PUSHB    foo
 |    1 | CALL     1
 |    2 | RETURN
 | ;; #1:bar:
 |    3 | BIND     x
 |    4 | POP
 |    5 | PUSHV    1
 |    6 | PUSHB    x
 |    7 | PUSHB    +
 |    8 | CALL     2
 |    9 | RETURN
 | ;; #2:compute:
 |   10 | BIND     x
 |   11 | POP
 |   12 | PUSHB    x
 |   13 | PUSHB    foo
 |   14 | ACALL    1
 |   15 | BIND     a
 |   16 | POP
 |   17 | PUSHB    x
 |   18 | PUSHB    bar
 |   19 | CALL     1
 |   20 | BIND     b
 |   21 | POP
 |   22 | PUSHB    b
 |   23 | PUSHB    a
 |   24 | WAIT     0
 |   25 | PUSHB    +
 |   26 | CALL     2
 |   27 | RETURN
 | ;; #3:main:
 |   28 | PUSHV    1
 |   29 | PUSHB    compute
 |   30 | CALL     1
 |   31 | RETURN
 \

BINDINGS:

 NAME        VALUE
 foo ....... <ForeignPtr pysrc.foo>
 bar ....... <FunctionPtr #1:bar>
 compute ... <FunctionPtr #2:compute>
 main ...... <FunctionPtr #3:main>
";

#[test]
fn asm_prints_the_listing() {
    let folder = Folder::with("asm_prints_the_listing", SEED);
    folder.hark("asm x.hk").is(0, LISTING, "");
}

#[test]
fn asm_has_a_json_form() {
    let folder = Folder::with("asm_has_a_json_form", SEED);
    let run = folder.hark("asm --json x.hk");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    let asm = run.json();
    assert_eq!(asm["file"], "x.hk");
    assert_eq!(asm["hash"].as_str().unwrap().len(), 64);
    assert_eq!(asm["bindings"]["foo"], "<ForeignPtr pysrc.foo>");
    let compute = &asm["functions"][2];
    assert_eq!(compute["name"], "compute");
    assert_eq!(compute["label"], "#2:compute");
    assert_eq!(compute["parameters"], serde_json::json!(["x"]));
    let call = &compute["code"][4];
    assert_eq!((&call["at"], &call["instruction"], &call["operand"]), (&14.into(), &"ACALL".into(), &"1".into()));
    assert_eq!((&call["line"], call["column"].as_u64().is_some()), (&3.into(), true));
}

#[test]
fn a_rejected_program_has_no_listing() {
    let folder = Folder::with("a_rejected_program_has_no_listing", "fn main() { y }");
    let run = folder.hark("asm x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("`y`") && run.stderr.ends_with("\n1 error\n"), "{run:?}");
    assert_eq!(folder.hark("asm --json x.hk").json()["status"], "rejected");
}

#[test]
fn check_shows_everything_at_once() {
    let folder =
        Folder::with("check_shows_everything_at_once", "fn main() {\n  lenght([1])\n}\nfn f(a, a) { 1 = 2; }\n");
    let run = folder.hark("check x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (2, ""));
    assert!(run.stderr.contains("  --> x.hk:2:3\n 2 |   lenght([1])\n   |   ^^^^^^"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: did you mean `length`?\n"), "{}", run.stderr);
    assert!(run.stderr.contains("--> x.hk:4:"), "{}", run.stderr);
    let summary = run.stderr.lines().last().unwrap();
    assert!(summary.starts_with("x.hk: ") && summary.contains("errors"), "{summary}");
    assert!(!folder.hark("check -q x.hk").stderr.contains("x.hk: "));

    let report = folder.hark("check --json x.hk").json();
    assert_eq!(report["status"], "rejected");
    let first = &report["diagnostics"][0];
    assert_eq!((&first["severity"], &first["file"]), (&"error".into(), &"x.hk".into()));
    assert_eq!((&first["line"], &first["column"]), (&2.into(), &3.into()));
    assert_eq!((&first["end_line"], &first["end_column"]), (&2.into(), &9.into()));
    assert_eq!(first["hint"], "did you mean `length`?");
}

#[test]
fn check_accepts_what_runs() {
    let folder = Folder::with("check_accepts_what_runs", "fn main() {\n  x = 1;\n  2\n}\n");
    let run = folder.hark("check x.hk");
    assert_eq!(run.status, 0);
    assert!(run.stderr.starts_with("warning[") && run.stderr.ends_with("x.hk: 1 warning\n"), "{run:?}");
    let report = folder.hark("check --json x.hk").json();
    assert_eq!((&report["status"], &report["diagnostics"][0]["severity"]), (&"accepted".into(), &"warning".into()));
    folder.write("x.hk", SEED);
    folder.write("pysrc.py", "def foo(x): return x\n");
    folder.hark("check x.hk").is(0, "", "x.hk: no errors\n");
}

#[test]
fn every_code_that_is_shown_is_explained() {
    let folder = Folder::with("every_code_is_explained", "fn main() { lenght([1]) }");
    let report = folder.hark("check --json x.hk").json();
    let code = report["diagnostics"][0]["code"].as_str().unwrap();
    let run = folder.hark(&format!("explain {}", code.to_lowercase()));
    assert_eq!((run.status, run.stderr.as_str()), (0, ""));
    assert!(run.stdout.contains(code), "{run:?}");
    folder.hark("explain HK9999").is(
        2,
        "",
        "error: there is no error code or kind `HK9999`\n\
         hint: a code is shown in brackets after `error` or `warning`, such as HK0012; the kinds of runtime errors are \
         error, type, arity, name, index, value, zero, stack, limit, python, timeout, cancelled, worker_lost, deadlock\n",
    );
}

#[test]
fn a_topic_that_is_nearly_right_is_suggested() {
    let folder = Folder::new("a_topic_that_is_nearly_right");
    for (topic, near) in [("pyton", "python"), ("Timeuot", "timeout"), ("HK012", "HK0012"), ("hk00122", "HK0012")] {
        let said =
            format!("error: there is no error code or kind `{topic}`\nhint: did you mean `hark explain {near}`?\n");
        folder.hark(&format!("explain {topic}")).is(2, "", &said);
    }
}

#[test]
fn pages_are_as_wide_as_the_terminal() {
    let folder = Folder::new("pages_are_as_wide_as_the_terminal");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<String>>();
    for line in ["explain python", "explain HK0012", "doc slice", "doc"] {
        let whole = folder.hark(line).stdout;
        for columns in [60, 80, 200] {
            let text = shown(&folder, line, columns, false);
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= usize::from(columns), "{columns}: {text}");
            assert_eq!(words(&text), words(&whole), "{text}");
        }
    }
    let narrow = shown(&folder, "explain python", 60, false);
    assert!(narrow.lines().count() > folder.hark("explain python").stdout.lines().count(), "{narrow}");
}

#[test]
fn each_kind_of_error_is_explained_by_a_program_that_raises_it() {
    let folder = Folder::with("each_kind_of_error_is_explained", "");
    let hint = folder.hark("explain HK9999").stderr;
    let (_, kinds) = hint.trim_end().rsplit_once("runtime errors are ").unwrap();
    for kind in kinds.split(", ") {
        let page = folder.hark(&format!("explain {kind}"));
        assert_eq!((page.status, page.stderr.as_str()), (0, ""));
        assert!(page.stdout.starts_with(&format!("# {kind}: ")), "{page:?}");
        assert!(page.stdout.contains("\n## What to do\n"), "{page:?}");
        let Some((_, example)) = page.stdout.split_once("```hark\n") else {
            // A program cannot lose its own worker.
            assert_eq!(kind, "worker_lost");
            continue;
        };
        folder.write("x.hk", example.split_once("```").unwrap().0);
        let report = folder.hark("run --json x.hk").json();
        let found: Vec<_> = report["errors"].as_array().unwrap().iter().map(|error| &error["kind"]).collect();
        // A session does not break if the error is caught: its result then is the kind.
        let found = if found.is_empty() { vec![&report["result"]] } else { found };
        assert_eq!(found, [kind], "{report}");
    }
}

#[test]
fn builtins_are_documented() {
    let folder = Folder::with("builtins_are_documented", "");
    let all = folder.hark("doc");
    assert_eq!((all.status, all.stderr.as_str()), (0, ""));
    assert!(all.stdout.contains("\nLists\n") && all.stdout.contains("  slice(x, from, to)  "), "{all:?}");
    let one = folder.hark("doc slice");
    assert_eq!((one.status, one.stderr.as_str()), (0, ""));
    assert!(one.stdout.starts_with("slice(x, from)\nslice(x, from, to)\n\n"), "{one:?}");
    assert!(one.stdout.contains("\n  slice([1, 2, 3, 4], 1, 3) => [2, 3]\n"), "{one:?}");
    folder.hark("doc slise").is(2, "", "error: there is no builtin `slise`\nhint: did you mean `slice`?\n");
    let lists = "error: there is no builtin `main.hk`\nhint: `hark doc` lists all builtins\n";
    folder.hark("doc main.hk").is(2, "", lists);
}

#[test]
fn several_programs_are_checked_at_once() {
    let folder = Folder::with("several_programs_are_checked", "fn main() { 1 }");
    folder.write("y.hk", "fn main() { x = 1; 2 }");
    folder.write("z.hk", "fn main() { lenght([1]) }");
    folder.hark("check x.hk x.hk").is(0, "", "x.hk: no errors\nx.hk: no errors\n");
    let run = folder.hark("check x.hk y.hk gone.hk z.hk");
    assert_eq!(run.status, 2);
    for told in ["x.hk: no errors\n", "y.hk: 1 warning\n", "error: there is no file `gone.hk`\n", "z.hk: 1 error\n"] {
        assert!(run.stderr.contains(told), "{told} in {run:?}");
    }
    let report = folder.hark("check --json y.hk gone.hk z.hk").json();
    let told = report.as_array().unwrap().iter().map(|each| (each["file"].clone(), each["status"].clone()));
    let expected = [("y.hk", "accepted"), ("gone.hk", "rejected"), ("z.hk", "rejected")];
    assert_eq!(told.collect::<Vec<_>>(), expected.map(|(file, status)| (file.into(), status.into())));
    assert_eq!(report[0]["diagnostics"][0]["code"], "HK0018");
    assert_eq!(report[1]["error"], "there is no file `gone.hk`");
}
