//! Calls sent ahead to a busy worker: each is made at most once, whatever happens to the other calls.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use hark_engine::{CallError, CallEvent};
use hark_foreign::{Call, PythonPool};
use hark_machine::{Error, Value};

use crate::fixture::{PATIENCE, begin, call, config, failed, folder, string, text, value, wait_for};

/// A pool whose workers are all busy until [`Gate::open`], so that later calls wait in the queue.
struct Gate {
    pool: PythonPool,
    folder: PathBuf,
    busy: Vec<Receiver<Result<Value, Error>>>,
}

impl Gate {
    fn new(name: &str, workers: usize) -> Gate {
        let folder = folder(name);
        let mut gate = Gate { pool: PythonPool::new(config(workers)), folder, busy: Vec::new() };
        gate.close(workers);
        gate
    }

    fn close(&mut self, workers: usize) {
        for index in 0..workers {
            let [begun, open] = [self.path(&format!("begun-{index}")), self.path("open")];
            let paths = [&begun, &open].map(|path| Value::string(path.to_str().unwrap()));
            self.busy.push(begin(&self.pool, call("calls.begins_and_awaits", paths.to_vec())));
            wait_for("a worker is busy", || begun.exists());
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn open(&mut self) {
        fs::write(self.path("open"), "").unwrap();
        for receiver in self.busy.drain(..) {
            assert!(receiver.recv_timeout(PATIENCE).unwrap().is_ok());
        }
    }

    /// A call that writes its name to the file `notes`.
    fn note(&self, name: &str, what: &str) -> Call {
        let path = self.path("notes");
        let arguments = [path.to_str().unwrap(), name, what].map(Value::string);
        Call { id: format!("noted/{name}/1"), ..call("ahead.notes_and", arguments.to_vec()) }
    }

    /// How often each call has begun.
    fn notes(&self) -> HashMap<String, usize> {
        noted(&self.path("notes"))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.pool.shutdown();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn noted(path: &Path) -> HashMap<String, usize> {
    let mut noted = HashMap::new();
    for name in fs::read_to_string(path).unwrap_or_default().lines() {
        *noted.entry(name.to_owned()).or_default() += 1;
    }
    noted
}

fn answer(receiver: &Receiver<Result<Value, Error>>) -> Result<String, Error> {
    receiver.recv_timeout(PATIENCE).expect("the call was not answered").map(|value| text(&value))
}

/// On a busy machine no call may count as short, so that none is sent ahead. Then this tries again.
#[test]
fn the_next_call_is_there_before_the_last_one_is_over() {
    let is_seen = (0..200).any(|_| {
        let mut gate = Gate::new("ahead-seen", 1);
        let mut looks = Vec::new();
        for _ in 0..10 {
            begin(&gate.pool, call("calls.echo", vec![Value::Null]));
            looks.push(begin(&gate.pool, call("ahead.sees_the_next", vec![Value::Float(0.001)])));
        }
        gate.open();
        looks.iter().any(|look| answer(look).unwrap() == "true")
    });
    assert!(is_seen);
}

#[test]
fn what_is_printed_is_the_calls_that_has_printed_it() {
    let mut gate = Gate::new("ahead-output", 1);
    let (sender, receiver) = mpsc::channel();
    for number in 0..1_000 {
        let (printer, sender, name) = (sender.clone(), sender.clone(), number.to_string());
        gate.pool.call(
            call("ahead.prints", string(&name)),
            Box::new(move |event| {
                if let CallEvent::Printed(text) = event {
                    printer.send((number, Some(text))).unwrap();
                }
            }),
            Box::new(move |result| {
                assert_eq!(result.map_err(failed).unwrap().as_str(), Some(&*name));
                sender.send((number, None)).unwrap();
            }),
        );
    }
    drop(sender);
    gate.open();
    let mut printed = HashMap::<i32, String>::new();
    let mut answered = HashSet::new();
    for (number, text) in receiver {
        assert!(!answered.contains(&number), "output came after the answer");
        match text {
            Some(text) => printed.entry(number).or_default().push_str(&text),
            None => {
                assert!(answered.insert(number));
                let expected = if number % 5 < 3 || number % 20 == 8 { number.to_string() } else { String::new() };
                assert_eq!(printed.remove(&number).unwrap_or_default(), expected, "of {number}");
            }
        }
    }
    assert_eq!((answered.len(), printed), (1_000, HashMap::new()));
}

#[test]
fn how_far_it_is_is_told_of_the_call_that_says_it() {
    let mut gate = Gate::new("ahead-progress", 1);
    let (sender, receiver) = mpsc::channel();
    for number in 0..300 {
        let (teller, sender, name) = (sender.clone(), sender.clone(), number.to_string());
        gate.pool.call(
            call("ahead.tells", string(&name)),
            Box::new(move |event| {
                if let CallEvent::Progress { json, .. } = event {
                    teller.send((number, json)).unwrap();
                }
            }),
            Box::new(move |result| sender.send((number, text(&result.map_err(failed).unwrap()))).unwrap()),
        );
    }
    drop(sender);
    gate.open();
    let mut told = HashMap::<i32, Vec<String>>::new();
    for (number, text) in receiver {
        told.entry(number).or_default().push(text);
    }
    assert_eq!(told.len(), 300);
    for (number, texts) in told {
        assert_eq!(texts, [format!("\"{number}\""), format!("\"{number}\"")], "of {number}");
    }
}

#[test]
fn large_calls_and_objects_keep_their_places() {
    let mut gate = Gate::new("ahead-large", 1);
    let set =
        value("unlike.objects", vec![]).as_list().unwrap().get(0).unwrap().as_list().unwrap().get(0).unwrap().clone();
    let values = [Value::Integer(1), Value::string("x".repeat(5_000)), Value::string("y".repeat(300_000)), set];
    let sent: Vec<&Value> = (0..200).map(|index| &values[index * 7 % 11 % 4]).collect();
    let answers: Vec<_> =
        sent.iter().map(|value| begin(&gate.pool, call("calls.echo", vec![(*value).clone()]))).collect();
    gate.open();
    for (sent, receiver) in sent.iter().zip(answers) {
        assert_eq!(answer(&receiver).unwrap(), text(sent));
    }
}

#[test]
fn a_slow_call_holds_up_none_behind_it_while_a_worker_is_idle() {
    let mut gate = Gate::new("ahead-slow", 2);
    let paths = [gate.path("slow"), gate.path("go on")].map(|path| Value::string(path.to_str().unwrap()));
    let mut before: Vec<_> = (0..60).map(|_| begin(&gate.pool, call("calls.echo", vec![Value::Null]))).collect();
    let slow = begin(&gate.pool, call("calls.begins_and_awaits", paths.to_vec()));
    before.extend((0..60).map(|_| begin(&gate.pool, call("calls.echo", vec![Value::Null]))));
    gate.open();
    for receiver in before {
        assert_eq!(answer(&receiver).unwrap(), "null");
    }
    assert!(slow.try_recv().is_err());
    fs::write(gate.path("go on"), "").unwrap();
    assert_eq!(answer(&slow).unwrap(), "true");
}

#[test]
fn a_call_with_a_higher_priority_overtakes_what_has_not_begun() {
    let mut gate = Gate::new("ahead-priority", 1);
    let paths = [gate.path("slow"), gate.path("go on")].map(|path| Value::string(path.to_str().unwrap()));
    for _ in 0..60 {
        begin(&gate.pool, call("calls.echo", vec![Value::Null]));
    }
    let slow = begin(&gate.pool, call("calls.begins_and_awaits", paths.to_vec()));
    let (sender, receiver) = mpsc::channel();
    let add = |priority| {
        let (sender, call) = (sender.clone(), Call { priority, ..call("calls.echo", vec![Value::Null]) });
        gate.pool.call(call, Box::new(|_| ()), Box::new(move |_| sender.send(priority).unwrap()));
    };
    (0..20).for_each(|_| add(0));
    fs::write(gate.path("open"), "").unwrap();
    wait_for("the slow call begins", || gate.path("slow").exists());
    add(7);
    add(9);
    fs::write(gate.path("go on"), "").unwrap();
    assert_eq!(answer(&slow).unwrap(), "true");
    gate.open();
    drop(sender);
    let order: Vec<i32> = receiver.iter().collect();
    assert_eq!(order[..3], [9, 7, 0]);
    assert_eq!(order.len(), 22);
}

#[test]
fn those_behind_a_call_that_dies_or_takes_too_long_are_made_once() {
    let mut gate = Gate::new("ahead-dies", 1);
    let whats: Vec<&str> = (0..200)
        .map(|index| ["", "dies", "sleeps"][usize::from(index % 40 == 15) + 2 * usize::from(index % 40 == 35)])
        .collect();
    let answers: Vec<_> = whats
        .iter()
        .enumerate()
        .map(|(index, what)| {
            let timeout = Some(Duration::from_millis(50)).filter(|_| *what == "sleeps");
            begin(&gate.pool, Call { timeout, ..gate.note(&index.to_string(), what) })
        })
        .collect();
    gate.open();
    for (index, (what, receiver)) in whats.iter().zip(answers).enumerate() {
        match (*what, answer(&receiver)) {
            ("", Ok(name)) => assert_eq!(name, format!("\"{index}\"")),
            ("dies", Err(error)) => assert!(error.message.contains("by signal 9"), "{}", error.message),
            ("sleeps", Err(error)) => assert_eq!(&*error.kind, "timeout"),
            (what, result) => panic!("{index}, which {what}: {:?}", result.map_err(|error| error.message)),
        }
    }
    let mut notes = gate.notes();
    for (index, what) in whats.iter().enumerate() {
        let times = notes.remove(&index.to_string()).unwrap_or_default();
        // On a busy machine, its time may be over before it does anything.
        assert!(times == 1 || *what == "sleeps" && times == 0, "{index}: {times} times");
    }
}

/// Some calls are cancelled and some withdrawn from another thread while calls are made. The others are not affected.
#[test]
fn calls_are_cancelled_and_taken_back_at_any_moment() {
    for workers in [1, 2] {
        let mut gate = Gate::new(&format!("ahead-cancelled-{workers}"), workers);
        let count = 900;
        let answers: Vec<_> = (0..count).map(|index| begin(&gate.pool, gate.note(&index.to_string(), ""))).collect();
        let path = gate.path("notes");
        let mut taken_back = Vec::new();
        thread::scope(|scope| {
            let pool = &gate.pool;
            let taken_back = &mut taken_back;
            scope.spawn(move || {
                for index in (0..count).step_by(30) {
                    // About when its turn comes.
                    wait_for("the calls before it are made", || noted(&path).len() + 12 >= index);
                    pool.cancel_call(&format!("noted/{index}/1"));
                    for other in index + 3..index + 10 {
                        if pool.withdraw_call(&format!("noted/{other}/1")) {
                            taken_back.push(other);
                        }
                    }
                    if taken_back.len() > count / 2 {
                        break;
                    }
                    // Cancelled and withdrawn calls count as made.
                    let gone = taken_back.iter().chain(std::iter::once(&index));
                    let lines: String = gone.map(|index| format!("gone {index}\n")).collect();
                    let mut file = fs::OpenOptions::new().append(true).create(true).open(&path).unwrap();
                    file.write_all(lines.as_bytes()).unwrap();
                }
            });
            fs::write(gate.folder.join("open"), "").unwrap();
        });
        gate.open();
        let results: Vec<_> = answers.iter().map(|receiver| receiver.recv_timeout(PATIENCE)).collect();
        let notes = gate.notes();
        for (index, result) in results.into_iter().enumerate() {
            let times = notes.get(&index.to_string()).copied().unwrap_or_default();
            if taken_back.contains(&index) {
                assert!(matches!(result, Err(RecvTimeoutError::Disconnected)), "{index} was withdrawn");
                assert_eq!(times, 0, "{index} was withdrawn");
                continue;
            }
            match result.expect("the call was not answered").map(|value| text(&value)) {
                Ok(name) => assert_eq!((name, times), (format!("\"{index}\""), 1)),
                Err(error) => {
                    assert_eq!((index % 30, &*error.kind), (0, "cancelled"), "{index}: {}", error.message);
                    assert!(times <= 1);
                }
            }
        }
    }
}

#[test]
fn a_pool_is_shut_down_while_calls_are_ahead() {
    for delay in 0..12 {
        let mut gate = Gate::new(&format!("ahead-shutdown-{delay}"), 2);
        let answers: Vec<_> = (0..400).map(|index| begin(&gate.pool, gate.note(&index.to_string(), ""))).collect();
        gate.open();
        thread::sleep(Duration::from_millis(delay));
        gate.pool.shutdown();
        let results: Vec<_> = answers.iter().map(answer).collect();
        let notes = gate.notes();
        for (index, result) in results.into_iter().enumerate() {
            let times = notes.get(&index.to_string()).copied().unwrap_or_default();
            match result {
                Ok(name) => assert_eq!((name, times), (format!("\"{index}\""), 1)),
                Err(error) => assert!(&*error.kind == "cancelled" && times <= 1, "{index}: {}", error.message),
            }
        }
    }
}

/// A caller with its own thread does not wait longer for calls sent ahead than for other calls.
#[test]
fn a_blocking_call_comes_in_between() {
    let mut gate = Gate::new("ahead-blocking", 1);
    let (sender, receiver) = mpsc::channel();
    for _ in 0..500 {
        let sender = sender.clone();
        gate.pool.call(
            call("calls.echo", vec![Value::Null]),
            Box::new(|_| ()),
            Box::new(move |result: Result<Value, CallError>| sender.send(result.is_ok()).unwrap()),
        );
    }
    drop(sender);
    gate.open();
    let urgent = Call { priority: 1, ..call("calls.echo", vec![Value::Integer(5)]) };
    assert_eq!(text(&gate.pool.call_blocking(&urgent, &mut |_| ()).map_err(failed).unwrap()), "5");
    assert_eq!(receiver.iter().filter(|is_ok| *is_ok).count(), 500);
}
