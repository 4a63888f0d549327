//! The information about its call that a function can get with `import hark`. The project has its own `hark.py`, which
//! is not used.

use std::thread;
use std::time::{Duration, Instant};

use hark_foreign::{Call, PythonPool};
use hark_machine::Error;

use crate::fixture::{PATIENCE, call, config, error, failed, shown, text};

const REFUSAL: &str = "can be used only while a function called by Hark is running; in tests, use hark.testing.call()";

fn made(pool: &PythonPool, target: &str, id: &str, attempt: u32) -> Result<String, Error> {
    let call = Call { id: id.into(), attempt, ..call(target, vec![]) };
    pool.call_blocking(&call, &mut |_| ()).map(|value| text(&value)).map_err(failed)
}

#[test]
fn a_function_can_ask_which_call_it_is() {
    let pool = PythonPool::new(config(1));
    for (id, attempt, told) in [
        ("0190-session/7/3", 1, r#"["0190-session/7/3", 1, "0190-session", 7]"#),
        ("0190-session/7/3", 2, r#"["0190-session/7/3", 2, "0190-session", 7]"#),
        ("other/12345678901234567890/1", 1, r#"["other/12345678901234567890/1", 1, "other", 12345678901234567890]"#),
    ] {
        assert_eq!(made(&pool, "asks.everything", id, attempt).unwrap(), told);
    }
}

#[test]
fn its_coroutines_and_threads_can_ask_too() {
    let pool = PythonPool::new(config(1));
    assert_eq!(made(&pool, "asks.in_coroutines", "s/1/2", 3).unwrap(), r#"[3, "s/1/2", "s/1/2"]"#);
    assert_eq!(made(&pool, "asks.in_a_thread", "s/4/5", 6).unwrap(), r#"["s/4/5", 6, "s", 4]"#);
}

#[test]
fn a_forked_process_can_ask_too() {
    let pool = PythonPool::new(config(1));
    assert_eq!(made(&pool, "asks.in_a_fork", "s/4/5", 6).unwrap(), r#""s/4/5 6""#);
}

/// The project has a `hark.py`, and could have a folder `hark`.
#[test]
fn what_is_looked_for_in_a_module_hark_is_not_found() {
    let told = error("hark.own.f", vec![]).message;
    let hint = "`hark` is the module that Hark gives to functions";
    assert_eq!(&*told, format!("cannot call `hark.own.f`: there is no Python module `hark.own`; {hint}"));
}

#[test]
fn a_function_that_raises_does_not_leave_its_call_behind() {
    let pool = PythonPool::new(config(1));
    let raised = made(&pool, "asks.raises", "s/1/1", 1).unwrap_err();
    assert_eq!(&*raised.message, "`asks.raises` raised ValueError: s/1/1");
    assert_eq!(made(&pool, "asks.everything", "s/1/2", 1).unwrap(), r#"["s/1/2", 1, "s", 1]"#);
}

#[test]
fn outside_of_a_call_there_is_no_answer() {
    assert_eq!(shown("asks.at_load", vec![]), format!("\"hark.call_id() {REFUSAL}\""));
    let pool = PythonPool::new(config(1));
    made(&pool, "asks.leaves_a_thread_behind", "s/1/1", 1).unwrap();
    // The worker is idle now, and the thread that was left behind is refused an answer.
    let end = Instant::now() + PATIENCE;
    let told = loop {
        let told = made(&pool, "asks.told_between_calls", "s/1/2", 1).unwrap();
        if told != "[]" {
            break told;
        }
        assert!(Instant::now() < end, "the thread was never refused");
        thread::sleep(Duration::from_millis(2));
    };
    assert_eq!(told, format!("[\"hark.thread() {REFUSAL}\"]"));
}
