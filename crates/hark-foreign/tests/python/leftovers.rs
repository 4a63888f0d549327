//! Processes started by functions end with their worker, however they were started and however the worker ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use hark_foreign::{PythonConfig, PythonPool};
use hark_machine::{Error, Value};

use crate::fixture::{begin, call, config, folder, is_running, printed_in, string, wait_for};

/// The ways in which `calls.starts_family` starts processes. The last entry is the worker itself.
const MEMBERS: [&str; 9] =
    ["child", "grandchild", "group", "session", "stubborn", "timeout", "nameless", "daemon", "worker"];

/// The processes that a call has started, by name.
struct Family {
    folder: PathBuf,
    members: Vec<(&'static str, String)>,
}

impl Family {
    /// Waits until all of them run.
    fn read(folder: &Path) -> Family {
        let member = |name: &'static str| {
            let file = folder.join(name);
            wait_for(name, || file.exists());
            (name, fs::read_to_string(file).unwrap().trim().to_owned())
        };
        let members: Vec<_> = MEMBERS.map(member).into();
        for (name, pid) in &members {
            assert!(is_running(pid), "{name}");
        }
        Family { folder: folder.into(), members }
    }

    fn end(self) {
        for (name, pid) in &self.members {
            wait_for(&format!("{name} ends"), || !is_running(pid));
        }
        fs::remove_dir_all(self.folder).unwrap();
    }

    /// Checks the same without waiting for any process.
    fn has_ended(self) {
        for (name, pid) in &self.members {
            assert!(!is_running(pid), "{name} runs");
        }
        self.end();
    }
}

fn begin_family(pool: &PythonPool, folder: &Path, what: &str) -> mpsc::Receiver<Result<Value, Error>> {
    begin(pool, call("calls.starts_family", [folder.to_str().unwrap(), what].map(Value::string).to_vec()))
}

#[test]
fn when_a_call_is_cancelled_nothing_is_left_by_the_time_of_its_answer() {
    for what in ["sleep", "compute"] {
        let folder = folder(&format!("cancelled-{what}"));
        let pool = PythonPool::new(config(1));
        let answer = begin_family(&pool, &folder, what);
        let family = Family::read(&folder);
        pool.cancel_session("session");
        assert_eq!(&*answer.recv().unwrap().unwrap_err().kind, "cancelled");
        family.has_ended();
    }
}

#[test]
fn what_a_finished_call_left_running_ends_with_its_worker() {
    for end in ["shutdown", "exit", "kill", "segfault"] {
        let folder = folder(&format!("left-{end}"));
        let pool = PythonPool::new(config(1));
        begin_family(&pool, &folder, "return").recv().unwrap().unwrap();
        let family = Family::read(&folder);
        printed_in(&pool, "calls.pid", vec![]).0.unwrap();
        match end {
            "shutdown" => pool.shutdown(),
            how => drop(printed_in(&pool, "calls.dies", string(how)).0.unwrap_err()),
        }
        family.has_ended();
    }
}

#[test]
fn what_was_started_by_a_module_that_is_old_now_ends_with_it() {
    let folder = folder("old-module");
    let module = folder.join("starting.py");
    let write = |text: &str| fs::write(&module, text).unwrap();
    write("import subprocess\ndef start(): return subprocess.Popen(['sleep', '600'], start_new_session=True).pid\n");
    let pool = PythonPool::new(PythonConfig { project: folder.clone(), ..config(1) });
    let Value::Integer(pid) = printed_in(&pool, "starting.start", vec![]).0.unwrap() else { panic!("no number") };
    thread::sleep(Duration::from_millis(250));
    write("def start(): return 'new'\n");
    wait_for("the new one", || printed_in(&pool, "starting.start", vec![]).0.unwrap().as_str() == Some("new"));
    assert!(!is_running(&pid.to_string()));
    fs::remove_dir_all(folder).unwrap();
}

/// The next tests start this as a separate process; as a test it does nothing.
#[test]
fn hold_a_family() {
    let Some(folder) = std::env::var_os("HARK_TEST_FOLDER") else { return };
    let pool = PythonPool::new(config(1));
    let what = std::env::var("HARK_TEST_CALL").unwrap();
    drop(begin_family(&pool, Path::new(&folder), &what).recv().unwrap());
    thread::sleep(Duration::from_secs(600));
}

#[test]
fn nothing_is_left_when_the_owner_is_killed_whatever_it_does() {
    for what in ["sleep", "compute", "return", "stop"] {
        let folder = folder(&format!("owner-{what}"));
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "leftovers::hold_a_family"])
            .env("HARK_TEST_FOLDER", &folder)
            .env("HARK_TEST_CALL", what)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let family = Family::read(&folder);
        owner.kill().unwrap();
        owner.wait().unwrap();
        family.end();
    }
}

/// A function may mistake its parent, or its parent's parent, for another process. A guard that is killed leaves all
/// its children.
#[test]
fn nothing_is_left_when_a_function_kills_a_process_above_it() {
    for victim in ["guard", "keeper"] {
        let folder = folder(&format!("kills-{victim}"));
        let pool = PythonPool::new(config(1));
        begin_family(&pool, &folder, "return").recv().unwrap().unwrap();
        let family = Family::read(&folder);
        let error = printed_in(&pool, "calls.dies", string(victim)).0.unwrap_err();
        assert_eq!(&*error.kind, "python");
        assert!(error.message.contains("its Python process ended by signal 9 (SIGKILL)"), "{}", error.message);
        match victim {
            "guard" => family.has_ended(),
            _ => family.end(),
        }
        assert!(printed_in(&pool, "calls.pid", vec![]).0.is_ok());
    }
}
