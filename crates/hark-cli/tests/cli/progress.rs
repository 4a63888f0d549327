//! The status line of a long run on a terminal: its text, and that it never mixes with what is printed.

use std::thread;

use rustix::process::Signal;
use unicode_width::UnicodeWidthStr;

use crate::harness::Folder;
use crate::terminal::{OnTerminal, screen, without_color};

/// Three threads: one in a call, one that waits for a promise, one that waits for both.
const PROGRAM: &str = r#"import(work, lib, 0);
fn main() { a = async call(); b = async approve(); await [a, b]; "done" }
fn call() { print("begun"); work() }
fn approve() { await future("approval", 17) }
"#;

/// Prints to both streams during the call, directly and from a child process.
const LIB: &str = r#"import os, subprocess, sys, time

def wait_for(name):
    while not os.path.exists(name):
        time.sleep(0.01)

def work():
    wait_for("print")
    print("printed", flush=True)
    print("told", file=sys.stderr, flush=True)
    subprocess.run(["sh", "-c", "echo told by a child >&2"])
    assert sys.stderr.isatty()
    wait_for("go")
    if os.path.exists("fail"):
        raise ValueError("no more")
"#;

fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, PROGRAM);
    folder.write("src/lib.py", LIB);
    folder
}

fn started(folder: &Folder, line: &str, columns: u16, is_colored: bool) -> OnTerminal {
    let mut command = folder.command(line.split_whitespace());
    command.env_remove("NO_COLOR");
    if !is_colored {
        command.env("NO_COLOR", "1");
    }
    OnTerminal::start(command, columns)
}

/// The lines on the screen, sorted because two streams have no order. The id of the session and the time are replaced.
fn left(sent: &str) -> Vec<String> {
    let mut lines = screen(sent);
    assert_eq!(lines.pop().as_deref(), Some(""), "the last line is not ended: {sent}");
    for line in &mut lines {
        if line.starts_with("-- ") {
            "-- [TIME]".clone_into(line);
        }
        if let Some(rest) = line.strip_prefix("session ") {
            *line = format!("session [ID]{}", rest.get(36..).unwrap_or_default());
        }
    }
    lines.sort_unstable();
    lines
}

#[test]
fn the_line_makes_room_for_all_that_is_printed() {
    let sizes = [(60, false), (80, true), (200, false), (200, true)];
    thread::scope(|scope| {
        for (columns, is_colored) in sizes {
            scope.spawn(move || makes_room(columns, is_colored));
        }
    });
}

fn makes_room(columns: u16, is_colored: bool) {
    let folder = folder(&format!("the_line_makes_room_{columns}_{is_colored}"));
    let run = started(&folder, "run -s sqlite --key job x.hk", columns, is_colored);
    // On a slow machine the first lines may come before the promise is waited for.
    let at = run.wait_for(" s for future", 0);
    folder.write("print", "");
    // The line is drawn again after each of them.
    let ends = ["printed\n", "told\n", "told by a child\n"].map(|printed| run.wait_for(printed, 0));
    run.wait_for("3 threads", at.max(ends.into_iter().max().unwrap()));
    folder.write("go", "");
    folder.run(["resolve", "job/approval/17", "1"]).succeeds();
    let (status, sent) = run.ended();
    assert_eq!(status, 0, "{sent}");
    let expected = ["-- [TIME]", "begun", "done", "printed", "session [ID], job", "told", "told by a child"];
    assert_eq!(left(&sent), expected, "{sent}");
    let bare = without_color(&sent.replace("\x1b[K", ""));
    let drawn: Vec<&str> = bare.split(['\r', '\n']).filter(|part| part.contains(" threads · ")).collect();
    assert!(drawn.iter().all(|line| line.width() < usize::from(columns)), "{drawn:?}");
    let whole = "for future `approval/17`";
    assert_eq!(drawn.iter().any(|line| line.ends_with(whole)), columns > 67, "{drawn:?}");
    assert_eq!(drawn.iter().any(|line| line.ends_with('…')), columns <= 67, "{drawn:?}");
    assert_eq!(sent.contains("\x1b[2m3 threads"), is_colored, "{sent}");
}

#[test]
fn the_line_is_gone_at_the_end_of_any_kind() {
    let folder = folder("the_line_is_gone");
    let run = started(&folder, "run -s sqlite --key job x.hk", 100, false);
    run.wait_for("has waited", 0);
    run.signal(Signal::INT);
    let (status, sent) = run.ended();
    assert_eq!(status, 130, "{sent}");
    let last = left(&sent);
    assert!(last.iter().any(|line| line.starts_with("suspended; ")), "{last:?}");
    assert!(!last.iter().any(|line| line.contains("threads ·")), "{last:?}");
    // The session continues and fails; the same in memory.
    let resumed = started(&folder, "resume job", 100, false);
    let in_memory = started(&folder, "x.hk", 100, false);
    resumed.wait_for("3 threads · 1 call · thread ", 0);
    in_memory.wait_for("3 threads · 1 call · thread ", 0);
    for name in ["fail", "print", "go"] {
        folder.write(name, "");
    }
    folder.run(["resolve", "job/approval/17", "1"]).succeeds();
    let (status, sent) = resumed.ended();
    assert_eq!(status, 1, "{sent}");
    let last = left(&sent);
    assert!(last.iter().any(|line| line.contains("ValueError: no more")), "{last:?}");
    assert!(!last.iter().any(|line| line.contains("threads ·")), "{last:?}");
    in_memory.wait_for("ValueError: no more", 0);
    in_memory.signal(Signal::INT);
    assert!(!left(&in_memory.ended().1).iter().any(|line| line.contains("threads ·")));
}

/// These runs take longer than a line takes to appear. On a slow machine the test may see less, never more.
#[test]
fn there_is_no_line_where_it_is_not_wanted() {
    let folder = Folder::with("there_is_no_line", "fn main() { sleep(1.7); 1 }");
    let runs: Vec<OnTerminal> = ["--no-progress x.hk", "-q x.hk", "--json x.hk"]
        .into_iter()
        .map(|line| started(&folder, line, 80, true))
        .chain([OnTerminal::start(
            {
                let mut command = folder.command(["x.hk"]);
                command.env("TERM", "dumb");
                command
            },
            80,
        )])
        .collect();
    let piped = folder.hark("x.hk");
    assert!(!piped.stderr.contains("thread") && !piped.stderr.contains('\r'), "{piped:?}");
    for run in runs {
        let (status, sent) = run.ended();
        assert_eq!(status, 0);
        assert!(!sent.contains("\x1b[K") && !sent.contains("1 thread"), "{sent:?}");
    }
}
