//! Sessions when a resource is exhausted.

use std::process::Command;

use crate::harness::{Folder, Run};

fn folder(test: &str) -> Folder {
    let folder = Folder::with(
        test,
        "import(echo, lib, 1);\n\
         fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async echo(n))) } }\n\
         fn sum(all, n) { if n == length(all) { 0 } else { (await nth(all, n)) + sum(all, n + 1) } }\n\
         fn main() { sum(start(50, []), 0) }\n",
    );
    folder.write("src/lib.py", "def echo(n): return n\n");
    folder
}

/// Runs `hark` with this limit of open files.
fn with_files(folder: &Folder, files: u32, line: &str) -> Run {
    let mut command = Command::new("bash");
    // Without the files that were already open when the tests were started.
    let close = "for file in /proc/self/fd/*; do file=${file##*/}; [ $file -le 2 ] || eval \"exec $file>&-\"; done";
    command.args(["-c", &format!("{close}; ulimit -n {files} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_hark")]);
    command.args(line.split_whitespace()).current_dir(folder.path()).env_remove("VIRTUAL_ENV");
    folder.filtered(command.output().unwrap())
}

#[test]
fn sixty_four_open_files_are_enough() {
    let folder = folder("few_files");
    for options in ["-q x.hk", "-s sqlite -q x.hk", "-s sqlite -c processes -q x.hk"] {
        with_files(&folder, 64, options).is(0, "1275\n", "");
    }
    for _ in 0..5 {
        assert_eq!(with_files(&folder, 64, "run -s sqlite --detach x.hk").status, 0);
    }
    for command in ["sessions", "show", "resume -q", "events", "stdout"] {
        let run = with_files(&folder, 64, command);
        assert!(run.status == 0 && run.stderr.is_empty(), "{command}: {run:?}");
    }
    assert_eq!(folder.hark("sessions").stdout.matches("finished").count(), 7);
}

/// This used to break the session, with the message that Python "does not work".
#[test]
fn a_session_that_lacks_files_is_suspended_and_goes_on() {
    for (options, what) in [
        ("run -s sqlite -q x.hk", "cannot call `lib.echo`: no Python process"),
        ("run -s sqlite -c processes -q x.hk", "no worker process"),
    ] {
        let said = format!(
            "error[exhausted]: {what} can be started: this process has reached its limit of open files; raise the limit with \
             `ulimit -n`\nsuspended; `hark resume "
        );
        // Enough files to start, but too few to continue. The exact number depends on what else is open at the time.
        let try_with = |files| {
            let folder = folder("no_files");
            let run = with_files(&folder, files, options);
            run.stderr.contains(&said).then_some((folder, run.status))
        };
        let (folder, status) = (12..40).find_map(try_with).expect("with no number of files it says so");
        assert_eq!(status, 1);
        assert_eq!(folder.hark("show --json").json()["state"], "suspended");
        folder.hark("resume -q").is(0, "1275\n", "");
    }
}

#[test]
fn a_command_that_cannot_begin_says_what_it_lacks() {
    let folder = folder("no_files_at_all");
    assert_eq!(folder.hark("run -s sqlite --detach x.hk").status, 0);
    let remedy = "raise the limit with `ulimit -n`";
    for (files, command) in [(6, "sessions"), (6, "show"), (9, "resume -q"), (9, "run -s sqlite -q x.hk")] {
        let run = with_files(&folder, files, command);
        assert!(run.status == 1 && run.stderr.contains(remedy), "{command}: {run:?}");
    }
    folder.hark("resume -q").is(0, "1275\n", "");
}
