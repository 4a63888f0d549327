//! Moving sessions from one storage to another.

use std::fs::File;
use std::io::{self, Read};
use std::process::{Command, Stdio};

use crate::harness::{Folder, wait_until};

const PROGRAM: &str = r#"fn twice(n) { print(["twice", n]); n * 2 }
fn main() { a = async twice(4); b = await future("door", 1); (await a) + b }
"#;

fn started(test: &str) -> (Folder, String) {
    let folder = Folder::with(test, PROGRAM);
    let run = folder.hark("run -s sqlite --detach x.hk");
    assert_eq!(run.status, 0, "{run:?}");
    (folder, run.stdout.trim().to_owned())
}

/// Exports to a file of this name.
fn export(folder: &Folder, line: &str, name: &str) -> i32 {
    let file = File::create(folder.path().join(name)).unwrap();
    folder.command(line.split_whitespace()).stdout(file).status().unwrap().code().unwrap()
}

fn state(folder: &Folder) -> String {
    folder.hark("sessions --json").json()[0]["state"].as_str().unwrap().to_owned()
}

#[test]
fn what_was_moved_can_be_taken_once_more() {
    let (folder, id) = started("what_was_moved");
    assert_eq!((export(&folder, "export 0", "first"), state(&folder).as_str()), (0, "moved"));
    assert_eq!(export(&folder, "export 0", "second"), 0);
    assert_eq!(folder.hark("sessions --json").json()[0]["threads"], 1);
    for name in ["first", "second"] {
        let other = Folder::new(&format!("what_was_moved_{name}"));
        std::fs::copy(folder.path().join(name), other.path().join("session")).unwrap();
        other.hark("import session").is(0, &format!("{id}\n"), "");
        other.run(["resolve", &format!("{id}/door/1"), "3"]).succeeds();
        other.hark("resume -q").is(0, "[\"twice\", 4]\n11\n", "");
    }
    // Moving it back loses nothing.
    folder.hark("import second").is(0, &format!("{id}\n"), "");
    assert_eq!(state(&folder), "suspended");
    folder.hark("import second").is(2, "", &format!("error: session {id} already exists here, and it is not over\n"));
}

/// A change acknowledged during an export would be missing in the file, so it is refused.
#[test]
fn nothing_is_changed_while_a_session_is_moved() {
    let (folder, id) = started("nothing_is_changed");
    // A stalled writer: nobody reads, and the session is larger than a pipe.
    let big = format!("\"{}\"", "x".repeat(120_000));
    folder.run(["resolve", &format!("{id}/other/1"), &big]).succeeds();
    let mut exporter = folder.command(["export", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the session is being moved", || state(&folder) == "moving");
    let is_refused = |line: &str, why: &str| {
        let refused = folder.hark(line);
        let expected = format!("error: {why}\nhint: `hark export` has been writing it since 20");
        assert!(refused.status == 2 && refused.stderr.starts_with(&expected), "{refused:?}");
        let ends_with = "Z: wait until it has ended, or stop it, and the session goes on\n";
        assert!(refused.stderr.ends_with(ends_with), "{refused:?}");
    };
    is_refused(
        &format!("resolve {id}/door/1 3"),
        &format!("`{id}/door/1` cannot be resolved: its session is being moved"),
    );
    for command in ["cancel 0", "export --copy 0", "export 0", "retry 0"] {
        is_refused(command, &format!("session {id} is being moved"));
    }
    is_refused("resume 0", &format!("session {id} is moving"));
    let resumed = folder.hark("resume");
    let line = format!("session {id} is being moved: `hark export` has been writing it since 20");
    assert!(resumed.status == 0 && resumed.stderr.starts_with(&line), "{resumed:?}");
    let shown = folder.hark("show 0");
    assert!(shown.stdout.contains("\nnote     `hark export` has been writing it since 20"), "{shown:?}");
    folder.hark("prune --older-than 0s").is(0, "removed 0 sessions\n", "");
    folder.hark("resume -q").is(0, "", "");
    let mut written = Vec::new();
    exporter.stdout.take().unwrap().read_to_end(&mut written).unwrap();
    assert_eq!((exporter.wait().unwrap().code(), state(&folder).as_str()), (Some(0), "moved"));
}

/// A killed export has no effect.
#[test]
fn a_killed_export_is_taken_back() {
    let (folder, id) = started("a_killed_export");
    let big = format!("\"{}\"", "x".repeat(120_000));
    folder.run(["resolve", &format!("{id}/other/1"), &big]).succeeds();
    let mut exporter = folder.command(["export", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    wait_until("the session is being moved", || state(&folder) == "moving");
    exporter.kill().unwrap();
    exporter.wait().unwrap();
    assert_eq!(state(&folder), "suspended");
    folder.run(["resolve", &format!("{id}/door/1"), "3"]).succeeds();
    folder.hark("resume -q").is(0, "[\"twice\", 4]\n11\n", "");
}

#[test]
fn a_session_stays_that_nobody_takes() {
    let (folder, id) = started("a_session_stays");
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let output = folder.command(["export", "0"]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = "error: nobody reads standard output: a session that is moved there would be lost\n";
    assert!(said.starts_with(expected), "{said}");
    assert_eq!((output.status.code(), state(&folder).as_str()), (Some(2), "suspended"));
    // A reader that stops later.
    let big = format!("\"{}\"", "x".repeat(120_000));
    folder.run(["resolve", &format!("{id}/other/1"), &big]).succeeds();
    let mut exporter = folder.command(["export", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    exporter.stdout.as_mut().unwrap().read_exact(&mut [0; 100]).unwrap();
    drop(exporter.stdout.take());
    let output = exporter.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("error: session {id} cannot be written to standard output: ");
    assert!(said.starts_with(&expected) && said.ends_with("; it remains in its storage\n"), "{said}");
    assert_eq!((output.status.code(), state(&folder).as_str()), (Some(1), "suspended"));
    assert_eq!((export(&folder, "export --copy 0", "copy"), state(&folder).as_str()), (0, "suspended"));
}

/// Runs `hark` on a terminal, and types a text once it asks. Returns the exit status and the terminal's content.
fn on_a_terminal(folder: &Folder, typed: &str, line: &str) -> (i32, String) {
    let script = "import os, pty, sys\n\
        pid, terminal = pty.fork()\n\
        if pid == 0:\n    os.execv(sys.argv[2], sys.argv[2:])\n\
        shown, typed = b'', sys.argv[1].encode() + b'\\n'\n\
        while True:\n    \
            try:\n        piece = os.read(terminal, 4096)\n    \
            except OSError:\n        break\n    \
            if not piece:\n        break\n    \
            shown += piece\n    \
            if typed and shown.endswith(b'? [y/N] '):\n        os.write(terminal, typed)\n        typed = b''\n\
        sys.stdout.buffer.write(shown)\n\
        sys.exit(os.waitpid(pid, 0)[1] >> 8)\n";
    let mut command = Command::new("python3");
    command.current_dir(folder.path()).env("NO_COLOR", "1").stdin(Stdio::null());
    command.args(["-c", script, typed, env!("CARGO_BIN_EXE_hark")]).args(line.split_whitespace());
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
}

#[test]
fn who_imports_learns_what_may_be_called_and_is_asked() {
    let program = "import(system, os, 1);\nimport(popen, os, 1, execute);\nimport(charge, src.bank, 1);\n\
                   fn main() { await future(\"door\", 1) }\n";
    let folder = Folder::with("who_imports_learns", program);
    let id = folder.hark("run -s sqlite --detach x.hk").stdout.trim().to_owned();
    assert_eq!(export(&folder, "export 0", "file"), 0);
    let calls = format!(
        "session {id} calls these Python functions, with arguments that it chooses itself:\n  os: popen, system\n  src.bank: charge\n"
    );
    let question = "continuing it means running its program with your permissions; import it? [y/N] ";
    for (typed, imported) in [("n", false), ("", false), ("yes please", false), ("y", true), ("YES", true)] {
        let other = Folder::new("who_imports_learns_elsewhere");
        std::fs::copy(folder.path().join("file"), other.path().join("file")).unwrap();
        let (status, shown) = on_a_terminal(&other, typed, "import file");
        assert!(shown.contains(&format!("{calls}{question}")), "{shown}");
        assert_eq!((status, other.path().join(".hark").exists()), (i32::from(!imported), imported), "{typed}: {shown}");
    }
    let other = Folder::new("who_imports_learns_elsewhere");
    std::fs::copy(folder.path().join("file"), other.path().join("file")).unwrap();
    let (status, shown) = on_a_terminal(&other, "n", "import --yes file");
    assert!(status == 0 && !shown.contains("[y/N]"), "{shown}");
    // Without a terminal there is no question.
    folder.hark("import file").is(0, &format!("{id}\n"), &calls);
}
