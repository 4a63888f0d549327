//! Virtual time: when the clock jumps, and when it does not.

mod support;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hark_backends::{RealTime, VirtualTime};
use hark_bytecode::Executable;
use hark_engine::foreign::{Answer, CallSink};
use hark_engine::{
    Call, CallId, Engine, Foreign, MemoryStorage, Options, OutputItem, Ports, SessionId, Status, Surroundings,
    Timestamp,
};
use hark_machine::Value;
use support::{Ran, run_on};

const START: Timestamp = Timestamp(1_700_000_000_000_000);

/// Functions that run in real time: a call of `first` is in progress until `second` is called.
struct Slow {
    time: Arc<VirtualTime>,
    first: Mutex<Option<(Call, Answer, RealTime)>>,
}

impl Foreign for Slow {
    fn call(&self, executable: &Executable, call: Call, _: CallSink, answer: Answer) {
        if executable.foreign[call.foreign.0 as usize].name.as_ref() == "first" {
            *self.first.lock().expect("it is whole") = Some((call, answer, self.time.begin_real()));
            return;
        }
        let (first, answer_first, real) = self.first.lock().expect("it is whole").take().expect("it was called before");
        let give = |call: Call, answer: Answer| answer(Ok(call.arguments.into_iter().next().unwrap_or(Value::Null)));
        give(call, answer);
        give(first, answer_first);
        drop(real);
    }

    fn cancel(&self, _: &SessionId) {}

    fn cancel_call(&self, _: &CallId) {}
}

/// The outcome of a program, and the virtual time that has passed.
fn run(text: &str) -> (Ran, Duration) {
    let time = Arc::new(VirtualTime::new(START));
    let ports = Ports {
        storage: Arc::new(MemoryStorage::default()),
        invoker: time.clone(),
        foreign: Arc::new(Slow { time: time.clone(), first: Mutex::default() }),
        surroundings: time.clone(),
    };
    let engine = Engine::new(Options { keep_output: true, ..Options::default() }, ports);
    let cancel = engine.cancel_handle();
    time.on_horizon(START.after(Duration::from_secs(1_000_000_000)), move || cancel.cancel());
    let ran = run_on(&engine, text, Arc::new(|_: &[OutputItem]| {}));
    (ran, time.now().since(START))
}

#[test]
fn sleeps_take_no_time_and_come_in_order() {
    let begun = Instant::now();
    let (ran, passed) = run("fn after(s) { sleep(s); print(s); s } \
        fn main() { await [async after(300), async after(100), async after(200), async after(100)] }");
    assert_eq!((ran.printed().as_str(), passed), ("100\n100\n200\n300\n", Duration::from_secs(300)));
    assert!(begun.elapsed() < Duration::from_secs(100));
}

#[test]
fn a_deadline_that_is_not_needed_is_not_waited_for() {
    let (ran, passed) = run("fn after(s) { sleep(s); s } fn main() { await_for(async after(5), 1000) }");
    assert_eq!((ran.result.as_str(), passed), ("5", Duration::from_secs(5)));
}

#[test]
fn real_time_passes_while_something_real_is_under_way() {
    let (ran, passed) = run("import(first, m, 1); import(second, m, 1); fn late() { sleep(3600); \"late\" } \
        fn soon() { sleep(0.001); \"soon\" } \
        fn main() { late = async late(); soon = async soon(); call = async first(\"called\"); \
          [any([late, call, soon]), second(\"too\"), any([late, call]), await late] }");
    assert_eq!(ran.result, r#"[[2, "soon"], "too", [1, "called"], "late"]"#);
    // The sleep of an hour began before the call.
    assert_eq!(passed, Duration::from_secs(3600));
}

#[test]
fn what_sleeps_for_ever_is_told_at_the_horizon() {
    let (ran, passed) = run("fn main() { sleep(10000000); main() }");
    assert_eq!((ran.report.status, passed), (Status::Cancelled, Duration::from_secs(1_000_000_000)));
}

#[test]
fn no_float_shows_less_than_was_slept() {
    let (ran, _) = run("fn short(n) { if n == 0 { true } else { begun = now(); sleep(0.001 * n); \
        if now() - begun < 0.001 * n { n } else { short(n - 1) } } } fn main() { short(1000) }");
    assert_eq!(ran.result, "true");
}
