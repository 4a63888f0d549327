//! The processes: how many there are, how long they live, what they are like.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hark_foreign::{Call, PythonConfig, PythonPool};
use hark_machine::{Error, Value};

use crate::fixture::{call, config, folder, printed, printed_in, shown, string, text, value};

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Begins a call that writes its process's number to a file, and waits for that.
fn begin_sleeping(pool: &PythonPool, id: &str, file: &Path) -> (String, mpsc::Receiver<Result<Value, Error>>) {
    let path = file.to_str().unwrap();
    let sleeping = Call { id: id.into(), ..call("calls.writes_pid_and_sleeps", string(path)) };
    let (sender, receiver) = mpsc::channel();
    pool.call(sleeping, Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
    wait_for("the call begins", || file.exists());
    (fs::read_to_string(file).unwrap(), receiver)
}

#[test]
fn a_worker_is_used_again() {
    let pool = PythonPool::new(config(4));
    let pids = [0; 5].map(|_| text(&printed_in(&pool, "calls.pid", vec![]).0.unwrap()));
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[test]
fn a_module_that_has_changed_is_loaded_anew() {
    let folder = folder("changed");
    let write = |text: &str| fs::write(folder.join("changing.py"), text).unwrap();
    write("import os\ndef word(): return ['old', os.getpid()]\n");
    let pool = PythonPool::new(PythonConfig { project: folder.clone(), ..config(1) });
    let said = || text(&printed_in(&pool, "changing.word", vec![]).0.unwrap());
    let old = said();
    thread::sleep(Duration::from_millis(250));
    assert_eq!(said(), old);
    write("def word(): return 'quite new'\n");
    wait_for("the new one", || said() == "\"quite new\"");
    // What is gone may come back.
    fs::remove_file(folder.join("changing.py")).unwrap();
    thread::sleep(Duration::from_millis(250));
    assert_eq!(said(), "\"quite new\"");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn calls_run_at_the_same_time_blocking_or_not() {
    let folder = folder("meets");
    let meet = |me: &str, other: &str| {
        let names = [folder.to_str().unwrap(), me, other].map(Value::string);
        call("calls.meets", names.to_vec())
    };
    let pool = PythonPool::new(config(2));
    let (sender, receiver) = mpsc::channel();
    pool.call(meet("a", "b"), Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
    assert!(matches!(pool.call_blocking(&meet("b", "a"), &mut |_| ()), Ok(Value::Boolean(true))));
    assert!(matches!(receiver.recv().unwrap(), Ok(Value::Boolean(true))));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_more_workers_run_than_are_allowed() {
    let pool = PythonPool::new(config(2));
    let (sender, receiver) = mpsc::channel();
    for _ in 0..200 {
        let sender = sender.clone();
        pool.call(call("calls.pid", vec![]), Box::new(|_| ()), Box::new(move |pid| sender.send(pid).unwrap()));
    }
    drop(sender);
    let mut pids: Vec<String> = receiver.iter().map(|pid| text(&pid.unwrap())).collect();
    assert_eq!(pids.len(), 200);
    pids.sort();
    pids.dedup();
    assert!(pids.len() <= 2, "{pids:?}");
}

#[test]
fn blocking_calls_of_many_threads_take_turns() {
    let pool = Arc::new(PythonPool::new(config(2)));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let pool = pool.clone();
            thread::spawn(move || {
                for index in 0..50 {
                    let sent = Value::Integer(number * 1000 + index);
                    let (back, _) = printed_in(&pool, "calls.echo", vec![sent.clone()]);
                    assert_eq!(text(&back.unwrap()), text(&sent));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn output_comes_before_the_answer() {
    let pool = PythonPool::new(config(1));
    let (sender, receiver) = mpsc::channel();
    let printer = sender.clone();
    pool.call(
        call("calls.prints_plain", string("text")),
        Box::new(move |text| printer.send(text).unwrap()),
        Box::new(move |result| sender.send(text(&result.unwrap())).unwrap()),
    );
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["text", "null"]);
}

#[test]
fn cancelling_a_session_ends_its_calls_and_no_others() {
    let folder = folder("cancel");
    let pool = PythonPool::new(config(2));
    let (first_pid, first) = begin_sleeping(&pool, "first/0/1", &folder.join("first"));
    let (second_pid, second) = begin_sleeping(&pool, "second/0/1", &folder.join("second"));
    let (sender, queued) = mpsc::channel();
    let waiting = Call { id: "first/1/1".into(), ..call("calls.pid", vec![]) };
    pool.call(waiting, Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
    pool.cancel_session("first");
    for answer in [first.recv().unwrap(), queued.recv().unwrap()] {
        assert_eq!(&*answer.unwrap_err().kind, "cancelled");
    }
    assert!(!is_running(&first_pid) && is_running(&second_pid));
    assert!(printed_in(&pool, "calls.pid", vec![]).0.is_ok());
    drop(pool);
    assert_eq!(&*second.recv().unwrap().unwrap_err().kind, "cancelled");
    wait_for("the other ends with the pool", || !is_running(&second_pid));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_that_comes_after_its_session_was_cancelled_is_not_made() {
    let pool = PythonPool::new(config(1));
    let late = Call { unwanted: Arc::new(true.into()), ..call("calls.pid", vec![]) };
    pool.cancel_session(late.session());
    assert_eq!(&*pool.call_blocking(&late, &mut |_| ()).unwrap_err().kind, "cancelled");
    let (sender, receiver) = mpsc::channel();
    pool.call(late, Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
    assert_eq!(&*receiver.recv().unwrap().unwrap_err().kind, "cancelled");
}

/// A worker takes some 60 ms to start: the call is cancelled in the queue, before there is a process, while it starts, and
/// while the function runs.
#[test]
fn a_call_is_cancelled_at_any_moment() {
    let pool = PythonPool::new(config(2));
    for delay in (0..120).step_by(3) {
        let sleeping = Call { id: format!("{delay}/0/1"), ..call("calls.sleeps", vec![Value::Integer(600)]) };
        let unwanted = sleeping.unwanted.clone();
        let (sender, receiver) = mpsc::channel();
        pool.call(sleeping, Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
        thread::sleep(Duration::from_millis(delay));
        unwanted.store(true, Ordering::Release);
        let session = delay.to_string();
        pool.cancel_session(&session);
        pool.cancel_session(&session);
        let answer = receiver.recv_timeout(Duration::from_secs(60)).expect("it is never answered");
        let error = answer.unwrap_err();
        assert_eq!((&*error.kind, &*error.message), ("cancelled", "the call of `calls.sleeps` was cancelled"));
    }
    assert_eq!(text(&printed_in(&pool, "calls.add", vec![Value::Integer(1)]).0.unwrap()), "11");
}

#[test]
fn a_pool_is_shut_down_at_any_moment() {
    for delay in (0..120).step_by(6) {
        let pool = PythonPool::new(config(2));
        let (sender, receiver) = mpsc::channel();
        for _ in 0..3 {
            let sender = sender.clone();
            let sleeping = call("calls.sleeps", vec![Value::Integer(600)]);
            pool.call(sleeping, Box::new(|_| ()), Box::new(move |result| sender.send(result).unwrap()));
        }
        thread::sleep(Duration::from_millis(delay));
        drop(pool);
        for _ in 0..3 {
            let answer = receiver.recv_timeout(Duration::from_secs(60)).expect("it is never answered");
            assert_eq!(&*answer.unwrap_err().kind, "cancelled");
        }
    }
}

/// A detached process that had the worker's output made this wait a minute for a mark that nobody would write.
#[test]
fn a_call_is_cancelled_while_its_last_output_is_awaited() {
    let folder = folder("awaited-output");
    let file = folder.join("pid");
    let pool = PythonPool::new(config(1));
    let arguments = vec![Value::Integer(600), Value::string(file.to_str().unwrap())];
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    pool.call(call("calls.ends_output_slowly", arguments), Box::new(|_| ()), done);
    wait_for("the call returns", || file.exists());
    pool.cancel_session("session");
    let answer = receiver.recv_timeout(Duration::from_secs(30)).expect("it waits");
    assert_eq!(&*answer.unwrap_err().kind, "cancelled");
    let detached = fs::read_to_string(&file).unwrap();
    assert!(Command::new("kill").args(["-9", &detached]).status().unwrap().success());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn workers_end_with_the_pool() {
    let pool = PythonPool::new(config(1));
    let pid = text(&printed_in(&pool, "calls.pid", vec![]).0.unwrap());
    assert!(is_running(&pid));
    pool.shutdown();
    assert!(!is_running(&pid));
    let refused = printed_in(&pool, "calls.pid", vec![]).0.unwrap_err();
    assert_eq!(&*refused.kind, "cancelled");
}

#[test]
fn an_idle_worker_that_was_killed_is_replaced() {
    let pool = PythonPool::new(config(1));
    let pid = text(&printed_in(&pool, "calls.pid", vec![]).0.unwrap());
    assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
    wait_for("it ends", || !is_running(&pid));
    assert_ne!(text(&printed_in(&pool, "calls.pid", vec![]).0.unwrap()), pid);
}

/// Processes that a call started: one like any other, one that is detached, and the worker itself.
struct Family {
    child: String,
    detached: String,
    worker: String,
}

impl Family {
    fn read(file: &Path) -> Family {
        wait_for("the call begins", || file.exists());
        let text = fs::read_to_string(file).unwrap();
        let [child, detached, worker] = text.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        Family { child, detached, worker }
    }

    fn is_running(&self) -> bool {
        [&self.child, &self.detached, &self.worker].iter().all(|pid| is_running(pid))
    }

    /// Waits for the end of all but the detached one, which is ended here.
    fn ends(&self) {
        wait_for("the worker ends", || !is_running(&self.worker));
        wait_for("the child ends", || !is_running(&self.child));
        assert!(is_running(&self.detached), "the detached child ended");
        assert!(Command::new("kill").args(["-9", &self.detached]).status().unwrap().success());
    }
}

fn begin_family(pool: &PythonPool, file: &Path, seconds: i64) -> mpsc::Receiver<Result<Value, Error>> {
    let arguments = vec![Value::string(file.to_str().unwrap()), Value::Integer(seconds)];
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| drop(sender.send(result)));
    pool.call(call("calls.starts_children", arguments), Box::new(|_| ()), done);
    receiver
}

#[test]
fn what_a_cancelled_call_started_ends_unless_it_is_detached() {
    let folder = folder("cancelled-family");
    let file = folder.join("pids");
    let pool = PythonPool::new(config(1));
    let answer = begin_family(&pool, &file, 600);
    let family = Family::read(&file);
    assert!(family.is_running());
    pool.cancel_session("session");
    assert_eq!(&*answer.recv().unwrap().unwrap_err().kind, "cancelled");
    family.ends();
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_a_finished_call_left_running_ends_with_its_worker() {
    let folder = folder("left-family");
    for (name, end) in [("shutdown", None), ("exit", Some("exit")), ("kill", Some("kill"))] {
        let file = folder.join(name);
        let pool = PythonPool::new(config(1));
        begin_family(&pool, &file, 0).recv().unwrap().unwrap();
        let family = Family::read(&file);
        printed_in(&pool, "calls.pid", vec![]).0.unwrap();
        assert!(family.is_running(), "{name}");
        match end {
            None => pool.shutdown(),
            Some(how) => drop(printed_in(&pool, "calls.dies", string(how)).0.unwrap_err()),
        }
        family.ends();
    }
    fs::remove_dir_all(folder).unwrap();
}

/// What the next test starts as a process of its own; as a test it does nothing.
#[test]
fn hold_a_worker() {
    let Some(file) = std::env::var_os("HARK_TEST_PID_FILE") else { return };
    let pool = PythonPool::new(config(1));
    let seconds = std::env::var("HARK_TEST_SECONDS").unwrap().parse().unwrap();
    begin_family(&pool, Path::new(&file), seconds).recv().unwrap().unwrap();
    thread::sleep(Duration::from_secs(600));
}

#[test]
fn a_worker_ends_when_its_owner_is_killed_whether_it_is_busy_or_not() {
    let folder = folder("killed");
    for seconds in ["600", "0"] {
        let file = folder.join(seconds);
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "workers::hold_a_worker"])
            .env("HARK_TEST_PID_FILE", &file)
            .env("HARK_TEST_SECONDS", seconds)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let family = Family::read(&file);
        assert!(family.is_running());
        owner.kill().unwrap();
        owner.wait().unwrap();
        family.ends();
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_forked_process_does_not_answer() {
    let (result, output) = printed("calls.forks", vec![]);
    assert_eq!((text(&result.unwrap()).as_str(), output.as_str()), ("0", "child\n"));
    assert_eq!(shown("calls.forks_and_raises", vec![]), "7");
}

#[test]
fn threads_are_no_problem() {
    assert_eq!(shown("calls.threads", vec![]), "[0, 1, 2, 3, 4, 5, 6, 7]");
}

#[test]
fn surroundings_are_clean() {
    let Value::Hash(found) = value("calls.surroundings", vec![]) else { panic!("no hash") };
    let item = |name: &str| text(found.get(&Value::string(name)).unwrap());
    assert_eq!(item("argv"), r#"[""]"#);
    assert_eq!(item("main"), r#"["_hark_start"]"#);
    assert_eq!(item("path"), format!("[{:?}, {:?}]", config(1).project, config(1).python_src));
    assert_eq!((item("has_current_folder"), item("own_group")), ("false".into(), "true".into()));
    assert_eq!(item("descriptors"), r#"["/dev/null", "pipe"]"#);
    assert_eq!(shown("in_python_src.where", vec![]), r#""python_src""#);
}

#[test]
fn ten_thousand_calls_take_far_less_than_ten_seconds() {
    let pool = PythonPool::new(config(1));
    let time_of_calls = || {
        let begin = Instant::now();
        for number in 0..10_000 {
            let (back, _) = printed_in(&pool, "calls.echo", vec![Value::Integer(number)]);
            assert!(matches!(back, Ok(Value::Integer(back)) if back == number));
        }
        begin.elapsed()
    };
    // A tenth of this is usual. A machine that runs tests is busy: the best of several counts.
    let is_fast = (0..5).any(|_| time_of_calls() < Duration::from_secs(10));
    assert!(is_fast, "each time it took longer");
}
