//! Standard output that is streamed, closed early or full, and Ctrl-C.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rusqlite::Connection;

use crate::harness::{Folder, PATIENCE, is_running, wait_until};

#[test]
fn output_comes_as_it_is_printed() {
    let folder = Folder::with("output_comes", "fn main() { print(\"first\"); sleep(3600); print(\"second\") }");
    let mut child = folder.command(["-q", "x.hk"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let started = Instant::now();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "first\n");
    assert!(started.elapsed() < PATIENCE);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_million_prints_are_complete_and_in_order() {
    let program = "fn count(n, most) { if n < most { print(n); count(n + 1, most) } else { null } }\n\
                   fn main() { count(0, 300000) }";
    let folder = Folder::with("a_million_prints", program);
    let run = folder.hark("-q x.hk");
    assert_eq!(run.status, 0);
    let expected: String = (0..300_000).map(|number| format!("{number}\n")).collect();
    assert!(run.stdout == expected, "something is lost or out of order");
}

/// Runs a program that keeps printing, reads one line, closes the pipe, and then writes a file `closed`.
fn close_early(folder: &Folder, words: &[&str]) -> (Option<i32>, String) {
    let mut child = folder.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    folder.write("closed", "");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), said)
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let program = "import(wait_for, lib, 1);\nfn for_ever(n) { print(n); for_ever(n + 1) }\nfn main() { for_ever(0) }\n\
                   fn once() { print(\"a\"); wait_for(\"closed\"); print(\"b\") }";
    let folder = Folder::with("a_closed_pipe", program);
    folder.write("src/lib.py", WAIT_FOR);
    assert_eq!(close_early(&folder, &["x.hk"]), (Some(0), String::new()));
    fs::remove_file(folder.path().join("closed")).unwrap();
    assert_eq!(close_early(&folder, &["x.hk", "-f", "once"]), (Some(0), String::new()));
    assert_eq!(close_early(&folder, &["asm", "x.hk"]), (Some(0), String::new()));
}

/// Nobody reads its output, which exceeds the pipe and the memory buffer; the session ends nevertheless.
#[test]
fn a_kept_session_does_not_wait_for_its_reader() {
    let program = "fn count(n, line) { if n == 0 { null } else { print(line); count(n - 1, line) } }\n\
                   fn double(text, times) { if times == 0 { text } else { double(text + text, times - 1) } }\n\
                   fn main() { count(120, double(\"0123456789abcdef\", 12)); \"end\" }";
    let folder = Folder::with("a_kept_session_does_not_wait", program);
    for concurrency in ["threads", "processes"] {
        let command = ["run", "-q", "-s", "sqlite", "-c", concurrency, "x.hk"];
        let mut child = folder.command(command).stdout(Stdio::piped()).spawn().unwrap();
        wait_until("the session is over", || folder.hark("sessions").stdout.contains("finished"));
        let mut read = String::new();
        child.stdout.take().unwrap().read_to_string(&mut read).unwrap();
        assert!(child.wait().unwrap().success());
        let expected = format!("{}\n", "0123456789abcdef".repeat(1 << 12)).repeat(120) + "end\n";
        assert!(read == expected, "something is lost: {} bytes, not {}", read.len(), expected.len());
        fs::remove_dir_all(folder.path().join(".hark")).unwrap();
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let folder = Folder::with("a_full_disk", "fn main() { print(\"a\"); 1 }\nfn for_ever(n) { print(n); for_ever(n) }");
    for line in [
        "x.hk",
        "x.hk --json",
        "asm x.hk",
        "asm --json x.hk",
        "check --json x.hk",
        "-h",
        "completions bash",
        "x.hk -f for_ever 1",
    ] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = folder.command(line.split(' ')).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let run = folder.filtered(output);
        assert_eq!(run.status, 1, "{line}");
        let said = "error: cannot write to standard output: No space left on device (os error 28)\n";
        assert_eq!(run.stderr.replace("-- [TIME]\n", ""), said, "{line}");
    }
}

/// A Python function that returns when a file exists.
const WAIT_FOR: &str = "import os, time\ndef wait_for(path):\n    end = time.monotonic() + 300\n    \
                        while not os.path.exists(path) and time.monotonic() < end:\n        time.sleep(0.01)\n";

fn wait_for_file(folder: &Folder, name: &str) {
    wait_until(&format!("the file `{name}`"), || folder.path().join(name).exists());
}

#[test]
fn what_python_started_ends_with_hark() {
    let program = "import(start, lib, 1);\nfn ending() { start(0) }\n\
                   fn waiting() { start(0); print(\"ready\"); sleep(600) }\n\
                   fn calling() { print(\"ready\"); start(600) }\n";
    let functions = "import atexit, subprocess, sys, time\n\
                     def start(seconds):\n    child = subprocess.Popen(['sleep', '600'])\n    \
                     print(child.pid, file=open('pid', 'w'), flush=True)\n    \
                     atexit.register(lambda: open('told', 'w').close())\n    time.sleep(seconds)\n";
    let folder = Folder::with("what_python_started", program);
    folder.write("src/lib.py", functions);
    let has_ended = |case: &str| {
        let pid = folder.read("pid");
        wait_until(&format!("{case}: its end"), || !is_running(pid.trim()));
    };
    // Python has half a second to exit by itself, which may be too short on a busy machine.
    wait_until("Python ends by itself", || {
        folder.hark("-q x.hk -f ending").is(0, "", "");
        has_ended("ending");
        folder.path().join("told").exists()
    });
    for (case, name) in [("waiting", "INT"), ("calling", "INT"), ("waiting", "KILL"), ("calling", "KILL")] {
        fs::remove_file(folder.path().join("pid")).unwrap();
        let mut command = folder.command(["x.hk", "-q", "-f", case]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_for_file(&folder, "pid");
        wait_until("the number", || !folder.read("pid").is_empty());
        signal(&child, name);
        child.wait().unwrap();
        has_ended(&format!("{case}, {name}"));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Starts a function, waits for its first line, and sends a signal. Returns the exit status and the remaining output.
fn interrupted(folder: &Folder, words: &[&str], name: &str) -> (Option<i32>, String, String) {
    let mut command = folder.command(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    if words.contains(&"--json") {
        // Nothing is printed before the end.
        wait_for_file(folder, "begun");
    } else {
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }
    signal(&child, name);
    let (mut rest, mut said) = (String::new(), String::new());
    stdout.read_to_string(&mut rest).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code(), rest, said)
}

#[test]
fn ctrl_c_cancels_the_session() {
    let program = "import(sleep_long, lib, 0);\nimport(begin, lib, 0);\nfn busy(n) { busy(n + 1) }\nfn say() { print(\"ready\") }\n\
                   fn sleeping() { say(); sleep(600) }\nfn computing() { say(); busy(0) }\n\
                   fn calling() { say(); sleep_long() }\n\
                   fn beginning() { begin(); sleep(600) }\n";
    let folder = Folder::with("ctrl_c_cancels", program);
    let functions = "import time\ndef sleep_long(): time.sleep(600)\ndef begin(): open('begun', 'w').close()\n";
    folder.write("src/lib.py", functions);
    for function in ["sleeping", "computing", "calling"] {
        let started = Instant::now();
        let (status, rest, said) = interrupted(&folder, &["x.hk", "-q", "-f", function], "INT");
        assert_eq!((status, rest.as_str(), said.as_str()), (Some(130), "", "cancelled\n"), "{function}");
        assert!(started.elapsed() < PATIENCE, "{function}");
    }
    let (status, rest, _) = interrupted(&folder, &["x.hk", "--json", "-f", "beginning"], "INT");
    let report: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!((status, &report["status"]), (Some(130), &"cancelled".into()));
    assert_eq!(interrupted(&folder, &["x.hk", "-q", "-f", "sleeping"], "TERM").0, Some(143));
}

/// Like on a terminal stopped by Ctrl-S.
#[test]
fn messages_that_nobody_reads_hold_up_no_session() {
    let folder = Folder::with("messages_that_nobody_reads", "fn bad() { sleep(600) }\nfn good() { 1 }\n");
    folder.hark("run -s sqlite --detach -f bad x.hk");
    let database = Connection::open(folder.path().join(".hark/hark.db")).unwrap();
    database.execute("UPDATE thread SET content = x'00'", []).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    fill(&writer);
    let mut command = folder.command(["worker", "-q"]);
    command.stdout(Stdio::null()).stderr(writer);
    let mut worker = command.spawn().unwrap();
    // The command holds the other end of the pipe.
    drop(command);
    wait_until("it is taken up", || {
        let claimed = "SELECT server IS NOT NULL FROM session";
        database.query_row(claimed, [], |row| row.get(0)).unwrap_or(false)
    });
    folder.hark("run -s sqlite --detach -f good x.hk");
    wait_until("the session that can go on", || folder.hark("sessions").stdout.contains("finished"));
    assert!(Command::new("kill").arg(worker.id().to_string()).status().unwrap().success());
    let mut said = String::new();
    BufReader::new(reader).read_to_string(&mut said).unwrap();
    assert!(said.contains("cannot continue"), "{}", &said[said.len().saturating_sub(300)..]);
    assert!(worker.wait().unwrap().success());
}

/// Fills a pipe, so that the next write to it blocks.
fn fill(pipe: &io::PipeWriter) {
    let mut writer = pipe.try_clone().unwrap();
    rustix::io::ioctl_fionbio(pipe, true).unwrap();
    while writer.write(&[b' '; 4_096]).is_ok() {}
    rustix::io::ioctl_fionbio(pipe, false).unwrap();
}
