//! The data folder: its permissions, and its removal while it is in use.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{Beside, Folder, Run, wait_until};

const PROGRAM: &str = r#"import(wait_for, lib, 1);
fn main() { print("begun"); await future("door", 1) }
fn short() { 1 }
fn nap() { print("asleep"); sleep(600) }
fn build(n, all) { if n == 0 { all } else { build(n - 1, append(all, [n])) } }
fn large() { all = build(1000000, []); print("built"); wait_for("killed"); length(all) }
"#;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The modes of the folder and of everything in it.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mut found = vec![(folder.file_name().unwrap().to_string_lossy().into_owned(), mode(folder))];
    for entry in fs::read_dir(folder).unwrap().flatten() {
        // A file may vanish meanwhile: it belonged to the `hark` that was run to look at the session.
        match fs::symlink_metadata(entry.path()) {
            Ok(about) if about.is_dir() => found.extend(modes(&entry.path())),
            Ok(about) => {
                found.push((entry.file_name().to_string_lossy().into_owned(), about.permissions().mode() & 0o7777))
            }
            Err(_) => {}
        }
    }
    found
}

#[track_caller]
fn is_private(folder: &Path) {
    for (name, mode) in modes(folder) {
        let wanted = if [".hark", "servers"].contains(&name.as_str()) { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{name} is {mode:o}");
    }
}

#[test]
fn what_is_kept_is_private_whatever_the_umask() {
    for umask in ["000", "077", "777"] {
        let folder = Folder::with(&format!("private_{umask}"), PROGRAM);
        let script = format!("umask {umask}; exec $hark run -s sqlite -c processes -q x.hk");
        let mut command = Command::new("sh");
        command.current_dir(folder.path()).env("hark", env!("CARGO_BIN_EXE_hark")).args(["-c", &script]);
        let run = Beside::start_command(command);
        wait_until("the first line", || folder.hark("stdout").stdout.contains("begun"));
        let data = folder.path().join(".hark");
        is_private(&data);
        let names: Vec<String> = modes(&data).into_iter().map(|(name, _)| name).collect();
        for ending in ["hark.db", "-wal", "-shm", ".lock", ".socket"] {
            assert!(names.iter().any(|name| name.ends_with(ending)), "{ending} in {names:?}");
        }
        drop(run);
    }
}

#[test]
fn what_was_wider_is_narrowed() {
    let folder = Folder::with("private_again", PROGRAM);
    let run = Beside::start(&folder, "run -s sqlite -q x.hk");
    wait_until("the first line", || {
        folder.path().join(".hark").exists() && folder.hark("stdout").stdout.contains("begun")
    });
    run.signal("KILL");
    drop(run);
    let data = folder.path().join(".hark");
    let widen = |name: &str, mode| fs::set_permissions(data.join(name), Permissions::from_mode(mode)).unwrap();
    ["hark.db", "hark.db-wal", "hark.db-shm"].into_iter().for_each(|name| widen(name, 0o664));
    widen("servers", 0o755);
    widen("", 0o755);
    assert_eq!(folder.hark("sessions").status, 0);
    is_private(&data);
}

/// `data_dir` may be a folder with other files, which other users may read.
#[test]
fn a_folder_of_others_stays_as_it_is() {
    let folder = Folder::with("private_in_a_shared_folder", PROGRAM);
    folder.write("hark.toml", "[project]\ndata_dir = \".\"\nstorage = \"sqlite\"\n");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder.hark("run -q -f short x.hk").is(0, "1\n", "");
    assert_eq!(mode(folder.path()), 0o755);
    assert_eq!(mode(&folder.path().join("hark.db")), 0o600);
    assert_eq!(mode(&folder.path().join("servers")), 0o700);
}

/// The process ended with this message. Its output may be stored, but not yet printed, when the folder is removed.
#[track_caller]
fn has_noticed(run: Run, name: &str) {
    assert!(["", "asleep\n"].contains(&run.stdout.as_str()), "{run:?}");
    Run { stdout: String::new(), ..run }.is(1, "", &removed(name));
}

fn removed(name: &str) -> String {
    format!("error: the storage failed: `[FOLDER]/.hark/{name}` was removed or replaced while it was in use\n")
}

/// Starts a command, removes something from its folder, and waits for its end.
fn ended_by(test: &str, line: &str, is_begun: impl Fn(&Folder) -> bool, remove: impl Fn(&Folder)) -> Run {
    let folder = Folder::with(&format!("removed_under_{test}"), PROGRAM);
    let running = Beside::start(&folder, line);
    wait_until("its beginning", || is_begun(&folder));
    remove(&folder);
    running.ended(&folder)
}

/// Removes the folder atomically, so that no process sees a part of it.
fn remove_folder(folder: &Folder) {
    fs::rename(folder.path().join(".hark"), folder.path().join("gone")).unwrap();
    // A process may be creating a file in it.
    wait_until("its end", || fs::remove_dir_all(folder.path().join("gone")).is_ok());
}

fn has_server(folder: &Folder) -> bool {
    fs::read_dir(folder.path().join(".hark/servers")).is_ok_and(|mut servers| servers.next().is_some())
}

fn has_printed(folder: &Folder) -> bool {
    folder.hark("stdout").stdout.contains("asleep")
}

#[test]
fn a_folder_that_is_removed_is_noticed() {
    has_noticed(ended_by("worker", "worker -q", has_server, remove_folder), "hark.db");
    for (test, how) in [("run", "threads"), ("processes", "processes")] {
        let line = format!("run -q -s sqlite -c {how} -f nap x.hk");
        has_noticed(ended_by(test, &line, has_printed, remove_folder), "hark.db");
    }
}

#[test]
fn a_folder_that_was_made_again_is_another_one() {
    let again = |folder: &Folder| {
        remove_folder(folder);
        folder.hark("run -q -s sqlite -f short x.hk").is(0, "1\n", "");
    };
    has_noticed(ended_by("worker_again", "worker -q", has_server, again), "hark.db");
    has_noticed(ended_by("run_again", "run -q -s sqlite -f nap x.hk", has_printed, again), "hark.db");
}

/// Data written to an unlinked log is lost at the next crash, and two processes with different indexes of the log
/// overwrite each other's pages.
#[test]
fn each_file_that_is_removed_or_replaced_is_noticed() {
    for name in ["hark.db", "hark.db-wal", "hark.db-shm"] {
        let remove = |folder: &Folder| fs::remove_file(folder.path().join(".hark").join(name)).unwrap();
        let replace = |folder: &Folder| {
            fs::write(folder.path().join("new"), "").unwrap();
            fs::rename(folder.path().join("new"), folder.path().join(".hark").join(name)).unwrap();
        };
        has_noticed(ended_by("worker_file", "worker -q", has_server, remove), name);
        let run = "run -q -s sqlite -f nap x.hk";
        has_noticed(ended_by("run_file", run, has_printed, remove), name);
        has_noticed(ended_by("run_file_again", run, has_printed, replace), name);
    }
}

/// A process of this size takes a while to die, and holds its lock until then.
#[test]
fn a_large_session_is_resumed_right_after_its_process_was_killed() {
    let folder = Folder::with("right_after_the_kill", PROGRAM);
    let lib = "import os, time\ndef wait_for(path):\n    while not os.path.exists(path): time.sleep(0.01)\n";
    folder.write("src/lib.py", lib);
    let run = Beside::start(&folder, "run -q -s sqlite -f large x.hk");
    wait_until("the list", || folder.hark("stdout").stdout.contains("built"));
    run.signal("KILL");
    folder.write("killed", "");
    folder.hark("resume -q").is(0, "1000000\n", "");
    drop(run);
}
