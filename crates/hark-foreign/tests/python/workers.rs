//! The worker processes: their number, lifetime and state.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::CallError;
use hark_foreign::{Call, PythonConfig, PythonPool};
use hark_machine::{Error, Value};

use crate::fixture::{
    PATIENCE, begin, call, config, failed, folder, is_running, printed, printed_by, printed_in, script, shown, string,
    text, value, wait_for,
};

/// Begins a call that writes its pid to a file, and waits for that file.
fn begin_sleeping(pool: &PythonPool, id: &str, file: &Path) -> (String, mpsc::Receiver<Result<Value, Error>>) {
    let path = file.to_str().unwrap();
    let sleeping = Call { id: id.into(), ..call("calls.writes_pid_and_sleeps", string(path)) };
    let receiver = begin(pool, sleeping);
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
fn a_worker_that_is_started_ahead_takes_the_first_call() {
    let folder = folder("ahead");
    let starts = folder.join("starts");
    let noting = script(&folder, "noting", &format!("echo >> {}; exec python3 \"$@\"", starts.display()));
    let pool = PythonPool::new(PythonConfig { interpreter: Some(noting), ..config(1) });
    pool.warm_up();
    let count = || fs::read_to_string(&starts).map_or(0, |text| text.lines().count());
    wait_for("a worker starts", || count() == 1);
    assert!(printed_in(&pool, "calls.pid", vec![]).0.is_ok());
    pool.warm_up();
    assert!(printed_in(&pool, "calls.pid", vec![]).0.is_ok());
    assert_eq!(count(), 1);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_worker_that_cannot_be_started_ahead_is_an_error_of_the_first_call() {
    let pool = PythonPool::new(PythonConfig { interpreter: Some("/etc/passwd".into()), ..config(1) });
    pool.warm_up();
    let error = printed_in(&pool, "calls.pid", vec![]).0.unwrap_err();
    assert!(error.message.contains("/etc/passwd"), "{}", error.message);
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
    // A deleted module may come back.
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
    let receiver = begin(&pool, meet("a", "b"));
    assert!(matches!(pool.call_blocking(&meet("b", "a"), &mut |_| ()), Ok(Value::Boolean(true))));
    assert!(matches!(receiver.recv().unwrap(), Ok(Value::Boolean(true))));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn no_more_workers_run_than_are_allowed() {
    let pool = PythonPool::new(config(2));
    let answers: Vec<_> = (0..200).map(|_| begin(&pool, call("calls.pid", vec![]))).collect();
    let mut pids: Vec<String> = answers.iter().map(|answer| text(&answer.recv().unwrap().unwrap())).collect();
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
        Box::new(move |event| printer.send(printed_by(event)).unwrap()),
        Box::new(move |result| sender.send(text(&result.map_err(failed).unwrap())).unwrap()),
    );
    assert_eq!(receiver.iter().collect::<Vec<_>>(), ["text", "null"]);
}

/// A call waits for earlier ones with the same priority, and for all with a higher one.
#[test]
fn who_waits_for_a_worker_has_it_in_the_order_of_priorities() {
    let folder = folder("priorities");
    let pool = PythonPool::new(config(1));
    let (begun, end) = (folder.join("begun"), folder.join("end"));
    let paths = [&begun, &end].map(|path| string(path.to_str().unwrap()).remove(0));
    let first = begin(&pool, call("calls.begins_and_awaits", paths.to_vec()));
    wait_for("the first call begins", || begun.exists());
    let (sender, receiver) = mpsc::channel();
    for (index, priority) in [0, 5, -1, 5, 0].into_iter().enumerate() {
        let (sender, id) = (sender.clone(), format!("session/{}/1", index + 1));
        let waits = Call { priority, id, ..call("calls.pid", vec![]) };
        pool.call(waits, Box::new(|_| ()), Box::new(move |result| sender.send((index, result.is_ok())).unwrap()));
    }
    drop(sender);
    fs::write(&end, "").unwrap();
    assert_eq!(text(&first.recv().unwrap().unwrap()), "true");
    let order: Vec<(usize, bool)> = receiver.iter().collect();
    assert_eq!(order, [1, 3, 0, 4, 2].map(|index| (index, true)));
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn cancelling_a_session_ends_its_calls_and_no_others() {
    let folder = folder("cancel");
    let pool = PythonPool::new(config(2));
    let (first_pid, first) = begin_sleeping(&pool, "first/0/1", &folder.join("first"));
    let (second_pid, second) = begin_sleeping(&pool, "second/0/1", &folder.join("second"));
    let queued = begin(&pool, Call { id: "first/1/1".into(), ..call("calls.pid", vec![]) });
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
fn cancelling_a_call_ends_it_and_no_others() {
    let folder = folder("cancel_call");
    let pool = PythonPool::new(config(2));
    let (first_pid, first) = begin_sleeping(&pool, "session/0/1", &folder.join("first"));
    let (second_pid, second) = begin_sleeping(&pool, "session/1/1", &folder.join("second"));
    let queued = begin(&pool, Call { id: "session/2/1".into(), ..call("calls.pid", vec![]) });
    let last = begin(&pool, Call { id: "session/3/1".into(), ..call("calls.pid", vec![]) });
    pool.cancel_call("session/2/1");
    assert_eq!(&*queued.recv().unwrap().unwrap_err().kind, "cancelled", "it waited because both workers were busy");
    pool.cancel_call("session/0/1");
    assert_eq!(&*first.recv().unwrap().unwrap_err().kind, "cancelled");
    assert!(!is_running(&first_pid) && is_running(&second_pid));
    assert!(last.recv().unwrap().is_ok(), "another worker has taken its place");
    pool.cancel_call("session/3/1");
    drop(pool);
    assert_eq!(&*second.recv().unwrap().unwrap_err().kind, "cancelled");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_that_waits_can_be_taken_back() {
    let folder = folder("withdraw_call");
    let pool = PythonPool::new(config(1));
    let (pid, first) = begin_sleeping(&pool, "session/0/1", &folder.join("first"));
    let queued = begin(&pool, Call { id: "session/1/1".into(), ..call("calls.pid", vec![]) });
    let last = begin(&pool, Call { id: "session/2/1".into(), ..call("calls.pid", vec![]) });
    assert!(pool.withdraw_call("session/1/1"));
    assert!(queued.recv().is_err(), "a withdrawn call has no answer");
    assert!(!pool.withdraw_call("session/1/1"), "it is no longer there");
    assert!(!pool.withdraw_call("session/0/1") && is_running(&pid), "it has begun");
    pool.cancel_call("session/0/1");
    assert_eq!(&*first.recv().unwrap().unwrap_err().kind, "cancelled");
    assert!(last.recv().unwrap().is_ok(), "others are not disturbed");
    fs::remove_dir_all(folder).unwrap();
}

/// The next call waits in its own thread for the worker that a blocking call of another caller is using.
#[test]
fn a_call_that_is_next_can_be_taken_back() {
    let folder = folder("withdraw_next");
    let (begun, end) = (folder.join("begun"), folder.join("end"));
    let pool = Arc::new(PythonPool::new(config(1)));
    let paths = [&begun, &end].map(|path| string(path.to_str().unwrap()).remove(0));
    let blocking = Call { id: "session/0/1".into(), ..call("calls.begins_and_awaits", paths.to_vec()) };
    let other = pool.clone();
    let blocking = thread::spawn(move || other.call_blocking(&blocking, &mut |_| ()).is_ok());
    wait_for("the blocking call begins", || begun.exists());
    let next = begin(&pool, Call { id: "session/1/1".into(), ..call("calls.pid", vec![]) });
    let last = begin(&pool, Call { id: "session/2/1".into(), ..call("calls.pid", vec![]) });
    assert!(!pool.withdraw_call("session/0/1"), "it has begun");
    assert!(pool.withdraw_call("session/1/1"));
    assert!(next.recv().is_err(), "a withdrawn call has no answer");
    fs::write(&end, "").unwrap();
    assert!(last.recv().unwrap().is_ok() && blocking.join().unwrap());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_call_may_run_for_its_time_only() {
    let pool = PythonPool::new(config(1));
    let sleeping = |seconds, timeout: f64| {
        let timeout = Some(Duration::from_secs_f64(timeout));
        Call { timeout, ..call("calls.sleeps", vec![Value::Float(seconds)]) }
    };
    let error = failed(pool.call_blocking(&sleeping(600.0, 0.05), &mut |_| ()).unwrap_err());
    assert_eq!((&*error.kind, &*error.message), ("timeout", "`calls.sleeps` did not end within 0.05 seconds"));
    let last = Call { ends_with_process: true, ..sleeping(600.0, 0.101_964) };
    let error = failed(pool.call_blocking(&last, &mut |_| ()).unwrap_err());
    assert_eq!(
        (&*error.kind, &*error.message),
        (
            "timeout",
            "`calls.sleeps` did not end within the 0.1 s that its invocation had left; `#[timeout]` before the import, or a \
             longer `lambda_timeout`, gives it more time"
        )
    );
    // The time that a call waits for a worker does not count: the second call waits longer than its time limit. On a
    // slow machine the limit may be too short for the call itself.
    let is_answered = [0.5, 2.0, 8.0].into_iter().any(|timeout| {
        let first = begin(&pool, sleeping(timeout + 0.1, 600.0));
        let second = begin(&pool, sleeping(0.0, timeout));
        assert!(first.recv().unwrap().is_ok());
        second.recv().unwrap().is_ok()
    });
    assert!(is_answered, "the wait was counted");
    assert!(pool.call_blocking(&sleeping(0.0, f64::from(u32::MAX)), &mut |_| ()).is_ok());
}

#[test]
fn a_call_that_comes_after_its_session_was_cancelled_is_not_made() {
    let pool = PythonPool::new(config(1));
    let late = call("calls.pid", vec![]);
    late.unwanted.cancel();
    pool.cancel_session(late.session());
    assert_eq!(&*failed(pool.call_blocking(&late, &mut |_| ()).unwrap_err()).kind, "cancelled");
    assert_eq!(&*begin(&pool, late).recv().unwrap().unwrap_err().kind, "cancelled");
}

/// A worker takes some 60 ms to start. So the call is cancelled in the queue, before there is a process, while it
/// starts, and while the function runs.
#[test]
fn a_call_is_cancelled_at_any_moment() {
    let pool = PythonPool::new(config(2));
    for delay in (0..120).step_by(3) {
        let sleeping = Call { id: format!("{delay}/0/1"), ..call("calls.sleeps", vec![Value::Integer(600)]) };
        let unwanted = sleeping.unwanted.clone();
        let receiver = begin(&pool, sleeping);
        thread::sleep(Duration::from_millis(delay));
        unwanted.cancel();
        let session = delay.to_string();
        pool.cancel_session(&session);
        pool.cancel_session(&session);
        let answer = receiver.recv_timeout(PATIENCE).expect("the call was not answered");
        let error = answer.unwrap_err();
        assert_eq!((&*error.kind, &*error.message), ("cancelled", "the call of `calls.sleeps` was cancelled"));
    }
    assert_eq!(text(&printed_in(&pool, "calls.add", vec![Value::Integer(1)]).0.unwrap()), "11");
}

#[test]
fn a_pool_is_shut_down_at_any_moment() {
    for delay in (0..120).step_by(6) {
        let pool = PythonPool::new(config(2));
        let answers = [0; 3].map(|_| begin(&pool, call("calls.sleeps", vec![Value::Integer(600)])));
        thread::sleep(Duration::from_millis(delay));
        drop(pool);
        for receiver in answers {
            let answer = receiver.recv_timeout(PATIENCE).expect("the call was not answered");
            assert_eq!(&*answer.unwrap_err().kind, "cancelled");
        }
    }
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
fn a_forked_pool_of_processes_works() {
    assert_eq!(shown("calls.forks_a_pool", vec![]), "[1, 2, 3]");
}

/// The test itself may have been started with signals ignored.
#[test]
fn signals_are_as_the_system_gives_them() {
    assert_eq!(shown("calls.signals", vec![]), r#"[["SIGPIPE", "SIGXFSZ"], []]"#);
    assert_eq!(shown("calls.status_of_child", vec![]), "3");
}

#[test]
fn nobody_can_be_asked() {
    for (how, told) in [("getpass", "EOFError"), ("input", "EOFError"), ("terminal", "OSError")] {
        let error = printed("calls.asks", string(how)).0.unwrap_err();
        assert!(error.message.starts_with(&format!("`calls.asks` raised {told}")), "{}", error.message);
    }
}

#[test]
fn surroundings_are_clean() {
    let Value::Hash(found) = value("calls.surroundings", vec![]) else { panic!("no hash") };
    let item = |name: &str| text(found.get(&Value::string(name)).unwrap());
    assert_eq!(item("argv"), r#"[""]"#);
    assert_eq!(item("main"), r#"["_hark_start"]"#);
    // After the standard library, before installed packages.
    let (path, own) = (item("path"), format!("{:?}, {:?}", config(1).project, config(1).python_src));
    let places = [path.find("lib-dynload\""), path.find(&own), path.find("-packages")];
    assert!(places.is_sorted() && places[1].is_some(), "{path}");
    assert_eq!(["has_current_folder", "own_group", "own_session"].map(item), ["false", "true", "true"]);
    assert_eq!(item("threads"), "1");
    assert_eq!(item("descriptors"), r#"["/dev/null", "pipe"]"#);
    assert_eq!(shown("in_python_src.where", vec![]), r#""python_src""#);
}

#[test]
fn a_thousand_calls_take_far_less_than_a_minute() {
    let pool = PythonPool::new(config(1));
    let time_of_calls = || {
        let begin = Instant::now();
        for number in 0..1_000 {
            let (back, _) = printed_in(&pool, "calls.echo", vec![Value::Integer(number)]);
            assert!(matches!(back, Ok(Value::Integer(back)) if back == number));
        }
        begin.elapsed()
    };
    // Usually this takes a few hundredths of a second; a wait of 60 ms per call would show. The machine may be busy, so
    // the best of several attempts counts.
    let is_fast = (0..5).any(|_| time_of_calls() < Duration::from_secs(60));
    assert!(is_fast, "every attempt took longer");
}

/// A guard that reports too many processes as long as the file `short` exists.
fn short_guard(folder: &Path) -> PathBuf {
    let real = config(1).guard;
    let body = format!(
        "if test -e {folder}/short; then printf '\\005\\000\\000\\000U\\{errno:03o}\\000\\000\\000' >&0; exit 1; fi\n\
         exec {real} \"$@\"",
        folder = folder.display(),
        errno = 11,
        real = real.display(),
    );
    script(folder, "guard", &body)
}

#[test]
fn a_call_that_cannot_be_made_is_nobodys_fault() {
    let folder = folder("short");
    let pool = PythonPool::new(PythonConfig { guard: short_guard(&folder).into(), ..config(2) });
    fs::write(folder.join("short"), "").unwrap();
    let error = pool.call_blocking(&call("calls.pid", vec![]), &mut |_| ()).unwrap_err();
    let CallError::NotMade(why) = error else { panic!("{error:?}") };
    let told = "cannot call `calls.pid`: no Python process can be started: the limit of processes and threads has been reached";
    assert!(why.starts_with(told), "{why}");
    // The shortage may pass in the meantime, if that is within two seconds; a busy machine may stop this test for
    // longer.
    let is_made = (0..20).any(|_| {
        fs::write(folder.join("short"), "").unwrap();
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result: Result<Value, CallError>| sender.send(result.is_ok()).unwrap());
        pool.call(call("calls.pid", vec![]), Box::new(|_| ()), done);
        thread::sleep(Duration::from_millis(50));
        fs::remove_file(folder.join("short")).unwrap();
        receiver.recv().unwrap()
    });
    assert!(is_made);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn where_no_more_workers_can_be_started_those_that_there_are_will_do() {
    let folder = folder("short-of-more");
    let pool = PythonPool::new(PythonConfig { guard: short_guard(&folder).into(), ..config(2) });
    let (begun, go) = (folder.join("begun"), folder.join("go"));
    let arguments = [&begun, &go].map(|path| Value::string(path.to_str().unwrap()));
    let first = begin(&pool, call("calls.begins_and_awaits", arguments.to_vec()));
    wait_for("the first call begins", || begun.exists());
    fs::write(folder.join("short"), "").unwrap();
    let second = begin(&pool, call("calls.add", vec![Value::Integer(1)]));
    // As long as there is a worker, a call waits without limit.
    thread::sleep(Duration::from_millis(2500));
    assert!(second.try_recv().is_err());
    fs::write(&go, "").unwrap();
    assert_eq!(text(&second.recv().unwrap().unwrap()), "11");
    assert!(first.recv().unwrap().is_ok());
    fs::remove_dir_all(folder).unwrap();
}
