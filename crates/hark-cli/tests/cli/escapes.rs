//! Foreign names and texts can neither control the terminal nor forge a line.

use std::fs;

use crate::document::{Document, Part};
use crate::golden::golden;
use crate::harness::{Folder, Run};

/// A window title, a cleared screen, a C1 control character, a changed text direction, and a line that looks like
/// Hark's own.
const NASTY: &str = "x\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}1m\u{202e}\r\nerror: forged";

/// The output contains only text, and no forged line.
#[track_caller]
fn is_harmless(run: &Run) {
    for text in [&run.stdout, &run.stderr] {
        let bad = text.chars().find(|character| {
            character.is_control() && *character != '\n' || matches!(character, '\u{202a}'..='\u{202e}')
        });
        assert_eq!(bad, None, "{text}");
        assert!(!text.lines().any(|line| line.starts_with("error: forged")), "{text}");
    }
    let said = format!("{}{}", run.stdout, run.stderr);
    assert!(said.contains("owned"), "it was not shown at all: {run:?}");
}

#[test]
fn what_python_says() {
    let folder = Folder::with(
        "what_python_says_nastily",
        "import(fails, src.nasty, 0);\nimport(odd, src.nasty, 0);\nfn main() { fails() }\n",
    );
    let nasty = format!("{NASTY:?}").replace("\\u{", "\\N{").replace("\\N{1b}", "\\x1b").replace("\\N{7}", "\\x07");
    let nasty = nasty.replace("\\N{9b}", "\\x9b").replace("\\N{202e}", "\\u202e");
    let python = format!(
        "NASTY = {nasty}\ndef fails():\n    raise ValueError(NASTY)\ndef odd():\n    return type(NASTY, (), {{}})()\n"
    );
    folder.write("src/nasty.py", python);
    for line in ["x.hk", "x.hk -f odd", "run -s sqlite x.hk", "show", "events"] {
        is_harmless(&folder.hark(line));
    }
    // Machine-readable output is unchanged.
    let report = folder.hark("x.hk --json").json();
    assert!(report["errors"][0]["message"].as_str().unwrap().contains(NASTY), "{report}");
}

#[test]
fn names_of_files_and_settings() {
    let folder = Folder::new("names_of_files_and_settings");
    let name = format!("{NASTY}.hk");
    folder.write(&name, "fn main() { nowhere }\n");
    is_harmless(&folder.run(["check", &name]));
    is_harmless(&folder.run(["run", &format!("{name}x")]));
    folder.write(&name, "fn main() { signal(\"error\", \"badness\") }\n");
    is_harmless(&folder.run(["run", &name]));
    let settings = Folder::with("nasty_settings", "fn main() { 1 }\n");
    settings.write("hark.toml", "[project]\n\"x\\u001b]0;owned\\u0007\\nerror: forged\" = 1\n");
    is_harmless(&settings.hark("x.hk"));
}

#[test]
fn words_of_the_command_line() {
    let folder = Folder::new("nasty_words");
    for words in [["run", &format!("--{NASTY}")], ["check", &format!("--json={NASTY}")]] {
        is_harmless(&folder.run(words));
    }
    is_harmless(&folder.run(["sessions", "--state", NASTY]));
    is_harmless(&folder.run(["resolve", "x/y/z", NASTY]));
}

#[test]
fn a_source() {
    let folder = Folder::with("a_nasty_source", "fn main() { \"owned\u{1b}[2J\u{9b}\u{202e}\u{2066}\"; nowhere }\n");
    is_harmless(&folder.hark("check x.hk"));
}

/// A line break in a function's name would forge a row of the list.
#[test]
fn a_session_from_someone_else() {
    let folder = Folder::new("a_session_with_a_nasty_name");
    let mut forged = Document::read(&fs::read(golden("v1", "session.hark")).unwrap()).unwrap();
    let nasty = serde_json::to_string(NASTY).unwrap();
    let nasty = &nasty[1..nasty.len() - 1];
    let mut count = 0;
    for part in &mut forged.parts {
        let Part::Text(text) = part else { continue };
        let json = String::from_utf8(text.clone()).unwrap();
        if let Some((begin, end)) = json.split_once("\"function\":\"") {
            *text = format!("{begin}\"function\":\"{nasty}{end}").into_bytes();
            count += 1;
        }
    }
    assert!(count >= 2, "the summary and the start of a thread name functions");
    folder.write("session.hark", forged.write());
    assert_eq!(folder.hark("import session.hark").status, 0);
    for line in ["sessions", "show", "events"] {
        is_harmless(&folder.hark(line));
    }
    assert_eq!(folder.hark("sessions").stdout.lines().count(), 2);
}

/// Each printed line is shown with its thread and time, and cannot move the cursor; `--raw` is unchanged.
#[test]
fn what_was_printed() {
    let folder = Folder::with(
        "what_was_printed_nastily",
        r#"fn main() { print("one\ntwo\n"); print("10%\r20%\r"); print("\t\x1b[2Jowned"); null }"#,
    );
    let printed = "one\ntwo\n\n10%\r20%\r\n\t\x1b[2Jowned\n";
    folder.hark("run -q -s sqlite x.hk").is(0, printed, "");
    let run = folder.hark("stdout");
    let lines: Vec<&str> = run.stdout.lines().collect();
    let text = |line: &&str| {
        let (thread, rest) = line.trim_start().split_once("  ").unwrap();
        let (time, text) = rest.trim_start().split_once("  ").unwrap();
        assert!(thread == "0" && time.starts_with('+'), "{line}");
        text.to_owned()
    };
    let expected = ["one", "two", "", "10%\\r20%", "\t\\x1b[2Jowned"];
    assert_eq!(lines.iter().map(text).collect::<Vec<_>>(), expected);
    folder.hark("stdout --raw").is(0, printed, "");
    assert_eq!(folder.hark("stdout --raw --json").status, 2);
}
