//! Files of another user are not used unless the command line names them.

use std::fs::{self, File};
use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Folder, Run};

/// A user id that does not exist here.
const STRANGER: u32 = 61_234;

/// Gives a file to the stranger. Returns whether that is permitted here.
fn give_away(path: &Path) -> bool {
    let is_given = lchown(path, Some(STRANGER), None).is_ok();
    if !is_given {
        eprintln!("skipped: only root may give a file away");
    }
    is_given
}

#[track_caller]
fn is_refused(run: &Run, file: &str, remedy: &str) {
    let said = format!(
        "error: `[FOLDER]/{file}` belongs to another user, {STRANGER}, who could make you run any code\nhint: {remedy}\n"
    );
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (2, "", said.as_str()), "{run:?}");
}

/// The settings could choose the interpreter.
#[test]
fn settings_of_another_user() {
    let folder = Folder::with("settings_of_another_user", "fn main() { 1 }\n");
    folder.write("hark.toml", "[project]\npython = \"./evil\"\n");
    folder.write("inner/y.hk", "import(f, src.a, 0);\nfn main() { f() }\n");
    let settings = folder.path().join("hark.toml");
    if !give_away(&settings) {
        return;
    }
    let remedy = "if you trust its owner, name it: `--config [FOLDER]/hark.toml`";
    for line in ["x.hk", "inner/y.hk", "check x.hk", "sessions", "worker", "-s sqlite x.hk", "sync"] {
        is_refused(&folder.hark(line), "hark.toml", remedy);
    }
    folder.hark("-q x.hk --config hark.toml").is(0, "1\n", "");
    // Under `sudo`, the caller counts as the user.
    let run = folder.filtered(folder.command(["-q", "x.hk"]).env("SUDO_UID", STRANGER.to_string()).output().unwrap());
    run.is(0, "1\n", "");
    let run = folder.filtered(folder.command(["-q", "x.hk"]).env("SUDO_UID", "1").output().unwrap());
    is_refused(&run, "hark.toml", remedy);
    // A link owned by the stranger counts as the stranger's, even if its target is ours.
    fs::rename(&settings, folder.path().join("other.toml")).unwrap();
    chown(folder.path().join("other.toml"), Some(0), None).unwrap();
    symlink("other.toml", &settings).unwrap();
    folder.hark("-q x.hk").is(0, "1\n", "");
    give_away(&settings);
    is_refused(&folder.hark("-q x.hk"), "hark.toml", remedy);
}

/// `hark resume` would run all its unfinished sessions.
#[test]
fn sessions_of_another_user() {
    for file in ["", "/hark.db", "/hark.db-wal", "/servers"] {
        let folder = Folder::with("sessions_of_another_user", "fn main() { 1 }\n");
        folder.hark("run -q -s sqlite --detach x.hk");
        let given = format!(".hark{file}");
        folder.write(".hark/hark.db-wal", "");
        if !give_away(&folder.path().join(&given)) {
            return;
        }
        let remedy = "if you trust its owner, name the folder: `--data-dir [FOLDER]/.hark`";
        for line in ["resume", "sessions", "worker", "run -s sqlite x.hk", "show", "resolve a/b/c 1", "import x.hk"] {
            is_refused(&folder.hark(line), &given, remedy);
        }
        // A program in memory does not use the folder.
        folder.hark("-q x.hk").is(0, "1\n", "");
        folder.hark("resume -q --data-dir .hark").is(0, "1\n", "");
        folder.hark("run -q -s sqlite -c processes x.hk --data-dir .hark").is(0, "1\n", "");
        assert_eq!(folder.hark("sessions --json --data-dir .hark").json().as_array().unwrap().len(), 2);
    }
}

#[test]
fn an_environment_of_another_user() {
    let folder = Folder::with("an_environment_of_another_user", "fn main() { 1 }\n");
    folder.write(".venv/bin/python", "");
    if give_away(&folder.path().join(".venv")) {
        let remedy = "remove it, or name the project's settings with `--config` if you trust its owner";
        is_refused(&folder.hark("x.hk"), ".venv", remedy);
    }
}

/// Opening a pipe would block forever.
#[test]
fn what_is_no_regular_file_is_refused() {
    let file = "is not a regular file";
    for (name, what) in [
        ("hark.db", file),
        ("hark.db-wal", file),
        ("hark.db-shm", file),
        ("servers", "is not a folder"),
        ("servers/0000000000000001.lock", "is neither a regular file nor a socket"),
    ] {
        let folder = Folder::with("pipes_among_the_kept_files", "fn main() { 1 }\n");
        let path = folder.path().join(".hark").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let said = format!("error: the storage failed: `[FOLDER]/.hark/{name}` {what}\n");
        for line in ["run -s sqlite x.hk", "worker"] {
            folder.hark(line).is(1, "", &said);
        }
        if name == "hark.db" {
            folder.hark("sessions").is(1, "", &said);
        }
    }
    let folder = Folder::with("a_folder_as_a_file", "fn main() { 1 }\n");
    fs::create_dir_all(folder.path().join(".hark/hark.db")).unwrap();
    folder.hark("run -s sqlite x.hk").is(
        1,
        "",
        &format!("error: the storage failed: `[FOLDER]/.hark/hark.db` {file}\n"),
    );
    let folder = Folder::with("a_pipe_as_the_folder", "fn main() { 1 }\n");
    assert!(Command::new("mkfifo").arg(folder.path().join(".hark")).status().unwrap().success());
    let said = "error: `[FOLDER]/.hark/hark.db` cannot be accessed: Not a directory (os error 20)\n";
    folder.hark("run -s sqlite x.hk").is(2, "", said);
}

#[test]
fn links_among_the_kept_files_are_not_followed() {
    for name in ["hark.db", "hark.db-wal", "hark.db-shm", "servers", "servers/0000000000000001.lock"] {
        let folder = Folder::with("links_among_the_kept_files", "fn main() { 1 }\n");
        folder.hark("run -q -s sqlite x.hk").is(0, "1\n", "");
        let copy = File::create(folder.path().join("copy")).unwrap();
        assert!(folder.command(["export", "--copy", "0"]).stdout(copy).status().unwrap().success());
        folder.write("elsewhere", "");
        let link = folder.path().join(".hark").join(name);
        let _ = fs::remove_dir_all(&link);
        let _ = fs::remove_file(&link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(folder.path().join("elsewhere"), &link).unwrap();
        let said = format!(
            "error: the storage failed: `[FOLDER]/.hark/{name}` is a symbolic link, which Hark does not follow there; only \
             `data_dir` itself may be one\n"
        );
        for line in ["run -s sqlite x.hk", "worker", "import copy", "sessions", "sessions --data-dir .hark"] {
            // Without a file there are no sessions to list, and a dangling link is not a file.
            folder.hark(line).is(1, "", &said);
        }
        assert_eq!(folder.read("elsewhere"), "");
    }
    // The folder itself may be a link.
    let folder = Folder::with("a_link_to_the_folder", "fn main() { 1 }\n");
    fs::create_dir(folder.path().join("large")).unwrap();
    symlink("large", folder.path().join(".hark")).unwrap();
    folder.hark("run -q -s sqlite x.hk").is(0, "1\n", "");
    assert!(folder.path().join("large/hark.db").exists());
}
