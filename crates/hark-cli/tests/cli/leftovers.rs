//! No process started by Python survives, however `hark` and its processes end.

use std::fs;
use std::process::Command;

use crate::harness::{Beside, Folder, is_running, wait_until};

/// A call in a long computation in C, with a child in its own session. Their process ids and the guard's are in a file
/// named after the attempt.
fn folder(test: &str) -> Folder {
    let folder = Folder::with(test, "import(spin, lib, 0);\nfn main() { spin() }\n");
    folder.write(
        "src/lib.py",
        "import hark, os, re, subprocess\n\
         def spin():\n    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n    \
         name = 'try%d' % hark.attempt()\n    \
         with open(name + '.new', 'w') as file: file.write('%d %d %d' % (os.getpid(), child.pid, os.getppid()))\n    \
         os.rename(name + '.new', name)\n    re.match(r'(a+)+$', 'a' * 40 + 'b')\n",
    );
    folder
}

/// The processes of an attempt, once they run.
fn processes(folder: &Folder, attempt: u32) -> [String; 3] {
    let file = folder.path().join(format!("try{attempt}"));
    wait_until("the call", || file.exists());
    let text = fs::read_to_string(file).unwrap();
    text.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

fn parent(process: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().to_owned()
}

/// Whether this process ignores SIGHUP; its children then inherit that.
fn ignores_hangups() -> bool {
    const HANGUP: u64 = 1;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(ignored, 16).unwrap() & HANGUP != 0
}

fn wait_for_the_end(processes: &[String]) {
    wait_until("their end", || !processes.iter().any(|process| is_running(process)));
}

#[test]
fn when_hark_is_killed_or_told_to_end() {
    for (name, options) in
        [("memory", "-q x.hk"), ("kept", "-s sqlite -q x.hk"), ("many", "-s sqlite -c processes -q x.hk")]
    {
        for signal in ["KILL", "TERM", "INT", "HUP"] {
            if signal == "HUP" && ignores_hangups() {
                eprintln!(
                    "SIGHUP is left out: whoever runs the tests ignores it, as under `nohup`, and so does `hark`"
                );
                continue;
            }
            let folder = folder(&format!("left_{name}_{signal}"));
            let run = Beside::start(&folder, options);
            let left = processes(&folder, 1);
            assert!(left.iter().all(|process| is_running(process)));
            run.signal(signal);
            wait_for_the_end(&left);
        }
    }
}

#[test]
fn when_a_session_is_cancelled_by_another_process() {
    for options in ["run -s sqlite -q x.hk", "run -s sqlite -c processes -q x.hk"] {
        let folder = folder("left_cancelled");
        let run = Beside::start(&folder, options);
        let left = processes(&folder, 1);
        assert_eq!(folder.hark("cancel 0").status, 0);
        assert_eq!(run.ended(&folder).status, 1);
        wait_for_the_end(&left);
    }
}

#[test]
fn when_a_worker_process_is_killed_which_is_replaced() {
    let folder = folder("left_by_worker");
    let run = Beside::start(&folder, "run -s sqlite -c processes -q x.hk");
    let left = processes(&folder, 1);
    let worker = parent(&parent(&left[2]));
    assert!(Command::new("kill").args(["-9", &worker]).status().unwrap().success());
    let next = processes(&folder, 2);
    wait_for_the_end(&left);
    assert!(next.iter().all(|process| is_running(process)));
    run.signal("INT");
    assert_eq!(run.ended(&folder).status, 130);
    wait_for_the_end(&next);
}

#[test]
fn when_a_function_kills_the_process_above_it() {
    let folder = Folder::with("left_by_guard", "import(kill, lib, 0);\nfn main() { kill() }\n");
    folder.write(
        "src/lib.py",
        "import os, signal, subprocess, time\n\
         def kill():\n    child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n    \
         with open('child', 'w') as file: file.write(str(child.pid))\n    \
         os.kill(os.getppid(), signal.SIGKILL)\n    time.sleep(600)\n",
    );
    for options in ["-q x.hk", "run -s sqlite -q x.hk", "run -s sqlite -c processes -q x.hk"] {
        let run = folder.hark(options);
        assert!(run.status == 1 && run.stderr.contains("its Python process ended by signal 9 (SIGKILL)"), "{run:?}");
        wait_for_the_end(&[fs::read_to_string(folder.path().join("child")).unwrap()]);
    }
}
