//! Foreign calls made by the engine; a stand-in for Python answers.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use hark_bytecode::Executable;
use hark_engine::foreign::{Answer, CallEvent, CallSink};
use hark_engine::{Call, CallId, Foreign, OutputItem, SessionId, Status};
use hark_machine::{Error, Value};
use support::{MODES, Run, run_on};

/// Answers calls: `echo` with its argument, `fail` with an error, `meet` when two calls of it are in progress, `say`
/// after printing, `hang` when the session is cancelled.
#[derive(Default)]
struct Stand {
    waiting: Mutex<Vec<(Value, Answer)>>,
    hanging: Mutex<Vec<(CallId, Answer)>>,
    calls: Mutex<Vec<String>>,
    most_at_once: AtomicUsize,
}

impl Foreign for Stand {
    fn call(&self, executable: &Executable, call: Call, mut events: CallSink, answer: Answer) {
        lock(&self.calls).push(format!("{}#{}", call.id.thread, call.id.number));
        let argument = call.arguments.first().cloned().unwrap_or_default();
        match &*executable.foreign[call.foreign.0 as usize].name {
            "echo" => drop(thread::spawn(move || answer(Ok(argument)))),
            "fail" => answer(Err(Error::new("python", "it failed").into())),
            "say" => {
                events(CallEvent::Printed("from outside\n".into()));
                answer(Ok(argument));
            }
            "meet" => {
                let mut waiting = lock(&self.waiting);
                waiting.push((argument, answer));
                self.most_at_once.fetch_max(waiting.len(), Ordering::Relaxed);
                if waiting.len() == 2 {
                    waiting.drain(..).for_each(|(argument, answer)| answer(Ok(argument)));
                }
            }
            "hang" => lock(&self.hanging).push((call.id, answer)),
            other => panic!("no function {other}"),
        }
    }

    fn cancel(&self, _session: &SessionId) {
        for (_, answer) in lock(&self.hanging).drain(..) {
            answer(Err(Error::new("cancelled", "the session is cancelled").into()));
        }
    }

    fn cancel_call(&self, call: &CallId) {
        let (cancelled, others): (Vec<_>, Vec<_>) = lock(&self.hanging).drain(..).partition(|(id, _)| id == call);
        *lock(&self.hanging) = others;
        for (_, answer) in cancelled {
            answer(Err(Error::new("python", "it was killed").into()));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with it")
}

const IMPORTS: &str =
    "import(echo, m, 1); import(fail, m, 0); import(meet, m, 1); import(say, m, 1); import(hang, m, 0);";

#[track_caller]
fn check(text: &str, result: &str) -> Arc<Stand> {
    let mut last = Arc::default();
    for suspend_at in MODES {
        for workers in [1, 4] {
            let stand = Arc::new(Stand::default());
            let ran = Run { workers, suspend_at, foreign: stand.clone() }.run(&format!("{IMPORTS} {text}"));
            assert_eq!(ran.errors(), Vec::<String>::new());
            assert_eq!(ran.result, result, "{suspend_at:?}, {workers} workers");
            last = stand;
        }
    }
    last
}

#[test]
fn a_call_has_a_value() {
    check("fn main() { echo(1) + echo(2) }", "3");
}

#[test]
fn a_call_may_be_a_thread() {
    check("fn main() { a = async echo(1); b = async echo(2); (await a) + await b }", "3");
}

#[test]
fn calls_have_names_of_their_own() {
    let stand = check("fn two() { echo(1); echo(2) } fn main() { echo(0); await async two() }", "2");
    assert_eq!(*stand.calls.lock().unwrap(), ["0#1", "1#1", "1#2"]);
}

#[test]
fn two_calls_run_at_once() {
    let stand = check("fn main() { a = async meet(1); b = async meet(2); (await a) + await b }", "3");
    assert_eq!(stand.most_at_once.load(Ordering::Relaxed), 2);
}

#[test]
fn a_thread_may_call_while_another_waits_for_its_answer() {
    // If the engine permits it, the first call blocks a worker, when the second one comes after a timer.
    check("fn late() { sleep(0.005); meet(2) } fn main() { a = async late(); b = meet(1); b + await a }", "3");
}

#[test]
fn a_fan_out_of_calls_does_not_stop_other_threads() {
    let text = "
        fn start(n, all) { if n == 0 { all } else { start(n - 1, append(all, async meet(1))) } }
        fn total(all, i, sum) { if i < 0 { sum } else { total(all, i - 1, sum + await nth(all, i)) } }
        fn count(n) { if n == 0 { 0 } else { count(n - 1) } }
        fn pure() { count(100000); meet(1) }
        fn main() { all = start(99, []); b = async pure(); total(all, 98, 0) + await b }";
    let stand = Arc::new(Stand::default());
    let ran = Run { foreign: stand, ..Run::default() }.run(&format!("{IMPORTS} {text}"));
    assert_eq!((ran.errors(), ran.result.as_str()), (vec![], "100"));
}

#[test]
fn a_failed_call_breaks_its_thread_where_it_stands() {
    for suspend_at in MODES {
        let run = Run { suspend_at, foreign: Arc::new(Stand::default()), ..Run::default() };
        let ran = run.run(&format!("{IMPORTS} fn call() {{ 1 + fail() }} fn main() {{ await async call() }}"));
        let [error] = &ran.errors()[..] else { panic!("{:?}", ran.errors()) };
        assert!(error.starts_with("1 python it failed [0:main 1:call"), "{error}");
    }
}

#[test]
fn what_a_call_prints_belongs_to_its_thread() {
    let run = Run { foreign: Arc::new(Stand::default()), ..Run::default() };
    let ran = run.run(&format!("{IMPORTS} fn main() {{ print(1); await async say(2); print(3) }}"));
    let printed: Vec<(u64, &str)> = ran.report.output.iter().map(|item| (item.thread.0, item.text.as_str())).collect();
    assert_eq!(printed, [(0, "1\n"), (1, "from outside\n"), (0, "3\n")]);
}

#[test]
fn an_engine_without_functions_says_so() {
    let ran = Run::default().run(&format!("{IMPORTS} fn main() {{ echo(1) }}"));
    assert!(ran.errors()[0].contains("cannot call `echo`"), "{:?}", ran.errors());
}

#[test]
fn cancelling_ends_a_call_that_hangs() {
    let stand = Arc::new(Stand::default());
    let engine = Run { foreign: stand.clone(), ..Run::default() }.engine(true);
    let handle = engine.cancel_handle();
    let canceller = thread::spawn(move || {
        while stand.hanging.lock().unwrap().is_empty() {
            thread::sleep(Duration::from_millis(1));
        }
        handle.cancel();
    });
    let ran = run_on(&engine, &format!("{IMPORTS} fn main() {{ hang() }}"), Arc::new(|_: &[OutputItem]| {}));
    canceller.join().unwrap();
    assert_eq!(ran.report.status, Status::Cancelled);
}
