//! Which function is called, and with what.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::harness::Folder;

const PROGRAM: &str = "import(cos, math, 1);\nfn main() { print(\"Hello World!\") }\nfn show(x) { x }\n\
                       fn add(x, y) { parse_float(x) + parse_float(y) }\n";

#[test]
fn a_program_is_run() {
    let folder = Folder::with("a_program_is_run", PROGRAM);
    folder.hark("x.hk").is(0, "Hello World!\nHello World!\n", "-- [TIME]\n");
    folder.hark("run x.hk").is(0, "Hello World!\nHello World!\n", "-- [TIME]\n");
    folder.hark("-q x.hk -f add 3 1").is(0, "4.0\n", "");
    folder.hark("x.hk -qf show null").is(0, "null\n", "");
}

#[test]
fn a_null_result_is_not_shown() {
    let folder = Folder::with("a_null_result_is_not_shown", "fn main() { null }");
    folder.hark("-q x.hk").is(0, "", "");
}

#[test]
fn negative_numbers_and_what_follows_dashes_are_arguments() {
    let folder = Folder::with("negative_numbers", PROGRAM);
    folder.hark("x.hk -q -f add 3 -1").is(0, "2.0\n", "");
    folder.hark("x.hk -q -f add -- -3 -1").is(0, "-4.0\n", "");
    folder.hark("x.hk -q -f show -- --json").is(0, "--json\n", "");
}

#[test]
fn files_may_be_called_like_commands() {
    let folder = Folder::new("files_may_be_called_like_commands");
    folder.write("run", "fn main() { 1 }");
    folder.hark("run run -q").is(0, "1\n", "");
    folder.hark("./run -q").is(0, "1\n", "");
}

#[test]
fn a_missing_function_lists_those_there_are() {
    let folder = Folder::with("a_missing_function", PROGRAM);
    folder.hark("x.hk -f shwo").is(
        2,
        "",
        "error: there is no function `shwo` in x.hk\n\
         hint: did you mean `show`? the functions are: cos, main, show, add\n",
    );
    folder.write("none.hk", "");
    folder.hark("none.hk").is(
        2,
        "",
        "error: there is no function `main` in none.hk\nhint: there are no functions in it at all\n",
    );
    let many: String = (0..25).map(|number| format!("fn f{number}() {{ 1 }}\n")).collect();
    folder.write("many.hk", many);
    assert!(folder.hark("many.hk").stderr.ends_with("f18, f19, and 5 more\n"));
    let report = folder.hark("none.hk --json").json();
    assert_eq!(report["status"], "rejected");
    assert_eq!(report["diagnostics"][0]["message"], "there is no function `main` in none.hk");
}

#[test]
fn a_wrong_number_of_arguments_is_a_wrong_command_line() {
    let folder = Folder::with("a_wrong_number_of_arguments", PROGRAM);
    folder.hark("x.hk -f add 1").is(2, "", "error: `add(x, y)` takes 2 arguments, but 1 was given\n");
    folder.hark("x.hk -f show").is(2, "", "error: `show(x)` takes 1 argument, but 0 were given\n");
    folder.hark("x.hk -f cos 1 2").is(2, "", "error: `cos` takes at most 1 argument, but 2 were given\n");
}

#[test]
fn arguments_have_to_be_utf_8() {
    let folder = Folder::with("arguments_have_to_be_utf_8", PROGRAM);
    let bad = OsStr::from_bytes(b"a\xff");
    let run = folder.run([OsStr::new("x.hk"), OsStr::new("-f"), OsStr::new("show"), bad]);
    run.is(2, "", "error: argument 1 is not UTF-8: `a\u{fffd}`\n");
    let run = folder.run([OsStr::new("x.hk"), OsStr::new("-f"), bad]);
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("invalid UTF-8"), "{run:?}");
}

#[test]
fn help_comes_with_examples() {
    let folder = Folder::new("help_comes_with_examples");
    for command in ["", "run", "asm", "check", "init", "doc", "explain", "completions"] {
        let run = folder.hark(&format!("{command} -h"));
        assert_eq!(run.status, 0, "{command}");
        assert!(run.stdout.contains("\nExamples:\n  hark ") && run.stdout.contains("Usage: hark"), "{run:#?}");
    }
    folder.hark("--version").is(0, concat!("hark ", env!("CARGO_PKG_VERSION"), "\n"), "");
}

#[test]
fn completions_are_scripts() {
    let folder = Folder::new("completions_are_scripts");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = folder.hark(&format!("completions {shell}"));
        assert_eq!((run.status, run.stderr.as_str()), (0, ""));
        assert!(run.stdout.contains("completions") && run.stdout.contains("json"), "{shell}");
    }
    assert_eq!(folder.hark("completions csh").status, 2);
}

#[test]
fn wrong_options_are_named() {
    let folder = Folder::with("wrong_options_are_named", PROGRAM);
    let run = folder.hark("x.hk --jsn");
    assert_eq!(run.status, 2);
    assert!(run.stderr.contains("--jsn") && run.stderr.contains("'--json'"), "{run:?}");
}
