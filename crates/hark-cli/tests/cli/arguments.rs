//! Which function is called, and its arguments.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::harness::{Beside, Folder, wait_until};

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
fn arguments_may_be_values_of_json() {
    let folder = Folder::with("arguments_may_be_values_of_json", "fn main(x, y) { [type_of(x), y] }\nfn f(x) { x }");
    folder.run_with_input(["x.hk", "-q", "--args", r#"[1, {"a": [2.5, null, "b"]}]"#], "").is(
        0,
        "[\"integer\", {\"a\": [2.5, null, \"b\"]}]\n",
        "",
    );
    folder.run_with_input(["x.hk", "-q", "-f", "f", "--args", "-"], " [[true]]\n").is(0, "[true]\n", "");
    folder.run_with_input(["-", "-q", "--args", "[5]"], "fn main(x) { x + 1 }").is(0, "6\n", "");
    let refused = [
        (&["x.hk", "--args", "[1"][..], "`[1` is not valid JSON: expected `,` or `]` at line 1 column 3"),
        (&["x.hk", "--args", "5"], "`--args` needs a JSON list of all arguments"),
        (&["x.hk", "--args", "[5]"], "`main(x, y)` takes 2 arguments, but 1 was given"),
        (&["-", "--args", "-"], "both the program and its arguments are to be read from standard input"),
        (&["x.hk", "a", "--args", "[5]"], "the argument '[ARG]...' cannot be used with '--args <JSON>'"),
        (&["-e", "1", "x.hk", "--args", "[5]"], "the argument `x.hk` conflicts with `--args`"),
    ];
    // Only a text that may lack them is told of quotes.
    let quotes = "a string needs quotes of its own";
    assert!(folder.run(["x.hk", "--args", "tea"]).stderr.contains(quotes));
    assert!(!folder.run(["x.hk", "--args", "[1"]).stderr.contains(quotes));
    for (words, message) in refused {
        let said = folder.run_with_input(words, "");
        assert_eq!(said.status, 2, "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains(message), "{words:?}: {}", said.stderr);
    }
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
        "error: there is no function `main` in none.hk\nhint: it does not define any functions\n",
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
    for command in ["", "run", "asm", "check", "init", "doc", "explain", "completions", "cancel", "help"] {
        let run = folder.hark(&format!("{command} -h"));
        assert_eq!(run.status, 0, "{command}");
        assert!(run.stdout.contains("\nExamples:\n  hark ") && run.stdout.contains("Usage: hark"), "{run:#?}");
    }
    folder.hark("version").is(0, concat!("hark ", env!("CARGO_PKG_VERSION"), "\n"), "");
    folder.hark("--version").is(0, concat!("hark ", env!("CARGO_PKG_VERSION"), "\n"), "");
}

#[test]
fn help_is_as_wide_as_the_terminal() {
    let folder = Folder::new("help_is_as_wide_as_the_terminal");
    // Examples and single words are never wrapped.
    let options = |columns: &str| {
        let help = folder.filtered(folder.command(["help", "sessions"]).env("COLUMNS", columns).output().unwrap());
        let (options, _) = help.stdout.split_once("Examples:").unwrap();
        options.lines().map(|line| line.chars().count()).max().unwrap()
    };
    assert!(options("60") <= 60, "{}", options("60"));
    assert!(options("60") < options("200"), "{}", options("200"));
}

#[test]
fn a_program_may_be_on_standard_input() {
    let folder = Folder::with("a_program_on_standard_input", "");
    folder.write("lib/text.hk", "fn shout(x) { upper(x) }");
    let read = |words: &[&str], text: &str| folder.run_with_input(words, text);
    let program = "import \"lib/text.hk\";\nfn main(x) { text.shout(x) }";
    read(&["-q", "-", "tea"], program).is(0, "TEA\n", "");
    read(&["run", "-", "-q", "-f", "main", "x"], program).is(0, "X\n", "");
    read(&["check", "-"], program).is(0, "", "<stdin>: no errors\n");
    let wrong = read(&["-"], "fn main() { len(1) }");
    assert!(wrong.status == 2 && wrong.stderr.contains("--> <stdin>:1:13\n"), "{wrong:?}");
    assert_eq!(read(&["-"], "\u{fffd}").status, 2);
}

#[test]
fn a_program_may_be_an_argument() {
    let folder = Folder::new("a_program_may_be_an_argument");
    folder.run(["-q", "-e", "6 * 7"]).is(0, "42\n", "");
    folder.run(["-q", "-e", "-1"]).is(0, "-1\n", "");
    folder.run(["-q", "-e", "6 // seven"]).is(0, "6\n", "");
    folder.run(["-q", "-e", "print(1); 2"]).is(0, "1\n2\n", "");
    folder.run(["-q", "-e", "fn main(a, b) { b + a }", "x", "y"]).is(0, "yx\n", "");
    folder.run(["-q", "-e", "// two\nfn main() { 2 }"]).is(0, "2\n", "");
}

/// The text that the user typed, with its own columns.
#[test]
fn errors_of_a_program_that_is_an_argument_show_what_was_typed() {
    let folder = Folder::new("errors_of_a_program_that_is_an_argument");
    let stderr = |text: &str| {
        let run = folder.run(["-e", text]);
        assert_ne!(run.status, 0, "{run:?}");
        run.stderr
    };
    let unknown = "error[HK0012]: nothing named `prnt` is known here\n  --> <command line>:1:1\n 1 | prnt(1)\n   | ^^^^\n\
                   hint: did you mean `print`?\n\n1 error\n";
    assert_eq!(stderr("prnt(1)"), unknown);
    let unfinished = "error[HK0006]: expected an expression, but found the end of the program\n  \
                      --> <command line>:1:4\n 1 | 1 +\n   |    ^\n\n1 error\n";
    assert_eq!(stderr("1 +"), unfinished);
    let raised = "traceback, the outermost call first:\n  thread 0, <command line>:2, in main\n      first([])\n  \
                  --> <command line>:2:1\n 2 | first([])\n   | ^^^^^^^^^\nerror[index]: `first`: the list is empty\n";
    assert_eq!(stderr("// an error\nfirst([])").replace("-- [TIME]\n", ""), raised);
    for (text, place, message) in [
        ("1 }", "1:3", "`}` without a `{` before it"),
        ("if true { 1", "1:9", "the body of `if` has no end"),
        ("1;\nfn f() { 2 }", "2:1", "a function cannot be defined in a body"),
        ("x = 1 catch e { 2 }", "1:7", "`catch` without a `try` before it"),
        ("", "1:1", "the program is empty"),
        ("// nothing", "1:1", "the program is empty"),
        ("fn (x) { x }", "1:1", "a function cannot be defined here"),
        ("\nfn", "2:1", "a function cannot be defined here"),
        ("fn f(x) { x } f(1)", "1:15", "only `fn` and `import` can stand at the top level, but found `f`"),
    ] {
        let said = stderr(text);
        assert!(said.contains(&format!("<command line>:{place}\n")) && said.contains(message), "{text}: {said}");
        assert!(!said.contains("| fn main"), "{said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
    }
}

#[test]
fn the_shell_completes_sessions() {
    let folder = Folder::with("the_shell_completes_sessions", PROGRAM);
    let run = folder.hark("run -s sqlite --detach x.hk");
    let id = run.stdout.trim_end();
    folder.hark("sessions --quiet").is(0, &format!("{id}\n"), "");
    let completed = |words: &str, before: &str| {
        let script = format!(
            "eval \"$(\"$hark\" completions bash)\"; COMP_WORDS=($hark {words}); COMP_CWORD=2; \
             _hark_and_ids \"$hark\" \"${{COMP_WORDS[2]}}\" {before}; echo \"${{COMPREPLY[*]}}\""
        );
        let mut command = Command::new("bash");
        command.current_dir(folder.path()).env("hark", env!("CARGO_BIN_EXE_hark")).args(["-c", &script]);
        folder.filtered(command.output().unwrap()).stdout
    };
    let beginning = &id[..4];
    assert_eq!(completed(&format!("show {beginning}"), "show"), format!("{id}\n"));
    assert_eq!(completed(&format!("cancel {beginning}"), "cancel"), format!("{id}\n"));
    assert_eq!(completed("check zzz", "check").trim(), "");
    // Nothing is deployed, so the ids must not be those of the file.
    assert_eq!(completed(&format!("show {beginning} --deployed"), "show"), "\n");
    assert_eq!(completed(&format!("resolve {beginning}"), "resolve"), "\n", "it waits for no promise");
    folder.write("y.hk", "fn main() { await future(\"door\", 1) }");
    let run = Beside::start(&folder, "run -s sqlite y.hk");
    wait_until("the wait", || folder.hark("promises -q").stdout.contains("/door/1\n"));
    let promise_id = folder.hark("promises -q").stdout;
    drop(run);
    for command in ["resolve", "fail"] {
        let beginning = &promise_id[..promise_id.len() - 4];
        assert_eq!(completed(&format!("{command} {beginning}"), command), promise_id);
        assert_eq!(completed(&format!("{command} {beginning}"), "something"), "\n");
    }
    let [zsh, fish] = ["zsh", "fish"].map(|shell| folder.hark(&format!("completions {shell}")).stdout);
    assert!(zsh.contains(":_hark_sessions' \\\n"));
    assert_eq!(zsh.matches(":_hark_promises' \\\n").count(), 2);
    assert!(fish.contains("using_subcommand export\" -f -a \"(hark sessions --quiet"));
    assert!(fish.contains("using_subcommand resolve\" -f -a \"(hark promises --quiet"));
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
