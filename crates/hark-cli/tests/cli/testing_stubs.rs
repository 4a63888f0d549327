//! `hark test`: stubs for Python functions and for people.

use crate::harness::Folder;

#[test]
fn stubs_stand_in_for_imports() {
    let program = r#"import(fetch, src.net, 1);
import(save, src.net, 2);
import(pay, src.bank, 1, charge);
//! stub fetch => {"price": 3}
//! stub save breaks "ValueError: the disk is full"
//! stub charge with slow_bank
//! main("tea") => 3
fn main(article) { get(fetch(article), "price") }
//! caught() => ["python", {"type": "ValueError", "args": ["the disk is full"], "traceback": "ValueError: the disk is full\n"}, "`src.net.save` raised ValueError: the disk is full"]
fn caught() { try { save(1, 2) } catch e { [get(e, "kind"), get(e, "data"), get(e, "message")] } }
//! paid(5) => ["paid 5", 172800.0]
fn paid(amount) { begun = now(); said = charge(amount); [said, now() - begun] }
fn slow_bank(amount) { sleep(172800); "paid " + to_string(amount) }
//! all() => [["paid 1", "paid 2"], 172800.0]
fn all() { begun = now(); said = await [async charge(1), async apply(charge, 2)]; [said, now() - begun] }
fn apply(f, x) { f(x) }
"#;
    let folder = Folder::with("stubs_stand_in", program);
    let run = folder.hark("test -q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "4 passed, 0 failed\n"), "{run:#?}");
}

/// A Hark function takes the hash as an ordinary argument. The other attributes and the line numbers do not change.
#[test]
fn a_function_stands_in_for_an_import_with_keyword_arguments() {
    let program = r#"#[priority(3)]
#[ // as Python has them
  kwargs
] // #[kwargs]
import(save, src.net, 2, keep);
#[kwargs] #[timeout(5)] import(load, src.net, 1);
#[kwargs] import(other, src.net, 2);
//! stub keep with kept
//! stub load with loaded
//! stub other => 7
//! main() => [["tea", {"in": "a box"}], {"from": "a box"}, 7, ["tea", null]]
fn main() { [keep("tea", {"in": "a box"}), load({"from": "a box"}), other(1, {"a": 2}), keep("tea", null)] }
fn kept(what, options) { [what, options] }
fn loaded(options) { if contains(options, "slow") { sleep(60) }; options }
//! late() breaks-kind "timeout"
fn late() { load({"slow": true}) }
//! line() => 18
fn line() { try { error("here") } catch e { get(nth(get(e, "trace"), 0), "line") } }
"#;
    let folder = Folder::with("stubs_kwargs", program);
    let run = folder.hark("test -q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "3 passed, 0 failed\n"), "{run:#?}");
}

#[test]
fn a_wrong_stub_is_an_error_with_its_place() {
    let wrong = [
        (
            "stub fetsh => 1",
            "the program does not import a Python function `fetsh`",
            "x.hk:3:10",
            "did you mean `fetch`?",
        ),
        (
            "stub main => 1",
            "the program does not import a Python function `main`",
            "x.hk:3:10",
            "its imports are fetch, save",
        ),
        ("stub fetch with fak", "there is no function `fak` in this file", "x.hk:3:21", "did you mean `fake`?"),
        (
            "stub save with fake",
            "`fake` takes 1 argument, but `save` is imported with 2",
            "x.hk:3:20",
            "the same number of parameters",
        ),
        ("stub fetch => 1\n//! stub fetch => 2", "`fetch` already has a stub in line 3", "x.hk:4:5", ""),
    ];
    for (line, message, place, hint) in wrong {
        let program = format!(
            "import(fetch, src.net, 1);\nimport(save, src.net, 2);\n//! {line}\n//! main() => 1\nfn main() {{ fetch(1) }}\nfn fake(x) {{ x }}\n"
        );
        let folder = Folder::with("stubs_wrong", &program);
        let run = folder.hark("test x.hk");
        let all = [message, place, hint];
        assert!(all.iter().all(|part| run.stdout.contains(part)), "{line}: {run:#?}");
        assert!(run.status == 1 && run.stdout.ends_with("0 passed, 1 failed\n"), "{run:#?}");
    }
}

#[test]
fn a_function_that_stands_in_keeps_the_line_and_the_attributes_of_the_import() {
    let program = "#[timeout(5)] import(\n  fetch,\n  src.net, 1);\n//! stub fetch with fake\n\
        //! main() breaks \"no `tea`\"\n//! main() traces [[0, \"main\"], [1, \"fetch\"], [1, \"fake\"]]\n\
        fn fake(name) { error(\"no `\" + name + \"`\") }\nfn main() { fetch(\"tea\"); 1 }\n//! lines() => 9\n\
        fn lines() { try { error(\"here\") } catch e { get(nth(get(e, \"trace\"), 0), \"line\") - 1 } }\n";
    let folder = Folder::with("stubs_keep_lines", program);
    let run = folder.hark("test -q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "2 passed, 0 failed\n"), "{run:#?}");
}

#[test]
fn promises_are_settled_beforehand() {
    let program = r#"//! resolve approval/1 => {"by": "Ada"}
//! fail approval/2 "the approver is ill"
//! asked(1) => {"by": "Ada"}
//! asked(2) => "the approver is ill"
//! asked(3) => "timeout"
fn asked(id) {
  try { await_for(future("approval", id), 30 * 86400) } catch e {
    if get(e, "kind") == "timeout" { "timeout" } else { get(e, "message") }
  }
}
"#;
    let folder = Folder::with("stubs_promises", program);
    let run = folder.hark("test -q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "3 passed, 0 failed\n"), "{run:#?}");
}

#[test]
fn python_is_called_where_no_stub_stands_and_only_then_started() {
    let program = "import(upper, src.text, 1);\nimport(slow, src.text, 1);\n//! main() => \"TEA\"\n//! main() prints \"from Python\\n\"\n\
        fn main() { upper(\"tea\") }\n//! other() => 2\nfn other() { 1 + 1 }\n\
        //! beside() => [\"slept\", true]\n\
        fn beside() { begun = now(); thread = async week(); answer = slow(0.2); early = now() - begun < 604800; [await thread, early] }\n\
        fn week() { sleep(604800); \"slept\" }\n";
    let folder = Folder::with("stubs_python", program);
    folder.write(
        "src/text.py",
        "import time\ndef upper(x):\n    print('from Python')\n    return x.upper()\ndef slow(x):\n    time.sleep(x)\n",
    );
    let run = folder.hark("test -q x.hk");
    assert_eq!((run.status, run.stdout.as_str()), (0, "3 passed, 0 failed\n"), "{run:#?}");
    // An invalid interpreter is noticed only when a function is called.
    folder.write("hark.toml", "[project]\npython = '/nowhere/python'\n");
    let run = folder.hark("test -q x.hk -k other");
    assert_eq!((run.status, run.stdout.as_str()), (0, "1 passed, 0 failed\n"), "{run:#?}");
    assert_eq!(folder.hark("test -q x.hk -k main").status, 1);
}

/// With a function in place of an import, traces show the original program, also after the import and in its modules.
#[test]
fn traces_show_no_text_of_stubs() {
    let program = "//! stub fetch with fake\n//! stub load with failing\n//! main() => 1\n//! loads() => 1\n\
        import(fetch, net, 1); import(load, net,\n  0);\nimport \"lib.hk\";\n\
        fn fake(x) { lib.fails(x) }\nfn failing() { error(\"no\") }\nfn main() { fetch(1) }\nfn loads() { load() }\n";
    let folder = Folder::with("traces_show_no_text_of_stubs", program);
    folder.write("lib.hk", "fn fails(x) {\n  error(\"not found\")\n}\n");
    let said = r#"FAILED  x.hk:3  main()
        expected  => 1
        got       breaks "not found", of kind "error"
        traceback, the outermost call first:
          thread 0, x.hk:10, in main
              fn main() { fetch(1) }
          thread 0, x.hk:5, in fetch
              import(fetch, net, 1); import(load, net,
          thread 0, x.hk:8, in fake
              fn fake(x) { lib.fails(x) }
          thread 0, lib.hk:2, in lib.fails
              error("not found")
           --> lib.hk:2:3
          2 |   error("not found")
            |   ^^^^^^^^^^^^^^^^^^
        error: not found
FAILED  x.hk:4  loads()
        expected  => 1
        got       breaks "no", of kind "error"
        traceback, the outermost call first:
          thread 0, x.hk:11, in loads
              fn loads() { load() }
          thread 0, x.hk:5, in load
              import(fetch, net, 1); import(load, net,
          thread 0, x.hk:9, in failing
              fn failing() { error("no") }
           --> x.hk:9:16
          9 | fn failing() { error("no") }
            |                ^^^^^^^^^^^
        error: no
0 passed, 2 failed
"#;
    let run = folder.hark("test -q x.hk");
    assert_eq!(run.stdout.replace(' ', ""), said.replace(' ', ""), "{run:#?}");
}
