//! `hark` as the first process of a container.

use std::process::{Command, Stdio};

use crate::harness::{Beside, Folder, wait_until};

/// Starts `hark` as the first process of a PID namespace, if namespaces are available.
fn in_container(folder: &Folder, words: &str) -> Option<Command> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).stdin(Stdio::null());
    let possible = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !possible.is_ok_and(|output| output.status.success()) {
        println!("skipped: there are no containers here");
        return None;
    }
    // It inherits a child that it does not know.
    unshare.args(["sh", "-c", "sleep 0.1 & exec \"$0\" \"$@\""]);
    unshare.arg(env!("CARGO_BIN_EXE_hark")).args(words.split_whitespace()).current_dir(folder.path());
    Some(unshare)
}

#[test]
fn it_reaps_those_whose_parents_have_ended() {
    let folder = Folder::with("reaps", "import(orphans, lib, 0);\nfn main() { orphans() }\n");
    folder.write(
        "src/lib.py",
        "import os, subprocess, time\n\
         def state(process):\n    try:\n        return open('/proc/%s/stat' % process).read().rsplit(')', 1)[1].split()[0]\n    \
         except OSError:\n        return 'gone'\n\
         def orphans():\n    for _ in range(3):\n        subprocess.run(['sh', '-c', 'sleep 0.05 & exit 0'])\n    \
         end = time.monotonic() + 300\n    while time.monotonic() < end:\n        \
         states = [state(each) for each in os.listdir('/proc') if each.isdigit()]\n        \
         if len(states) < 6: return states.count('Z')\n        time.sleep(0.01)\n    return states\n",
    );
    let Some(mut command) = in_container(&folder, "-q x.hk") else { return };
    // What remains is the first process, its child, the keeper, the guard and Python.
    folder.filtered(command.output().unwrap()).is(0, "0\n", "");
}

#[test]
fn it_is_told_to_end_and_ends_as_hark_does() {
    let folder = Folder::with("told", "import(waits, lib, 0);\nfn main() { waits() }\n");
    folder.write("src/lib.py", "import time\ndef waits():\n    open('called', 'w').close()\n    time.sleep(600)\n");
    let Some(command) = in_container(&folder, "run -s sqlite -q x.hk") else { return };
    let unshare = Beside::start_command(command);
    wait_until("the call", || folder.path().join("called").exists());
    let first = Command::new("pgrep").args(["-P", &unshare.id().to_string()]).output().unwrap().stdout;
    let first = String::from_utf8(first).unwrap();
    assert!(Command::new("kill").args(["-TERM", first.trim()]).status().unwrap().success());
    let ended = unshare.ended(&folder);
    assert!(ended.status == 143 && ended.stderr.contains("suspended; `hark resume"), "{ended:?}");
}
