//! Decoding rejects numbers beyond the maximum that is ever written.

use hark_bytecode::{Executable, ForeignIndex};
use hark_machine::{Apart, NoPickles, Program, Thread, Value};

use super::text::{live_from_summary, log_from_text, sealed, session_from_summary};
use crate::limits::{COUNT_MAX, THREADS_MAX, TRIES_MAX};
use crate::record::{Live, PendingCall, Status};
use crate::surroundings::Timestamp;

/// Checks that the greatest allowed number is accepted, and the next one refused.
#[track_caller]
fn bounded(greatest: u64, text: impl Fn(u64) -> String, read: impl Fn(&str) -> bool) {
    let sealed = |number| sealed(&serde_json::from_str::<serde_json::Value>(&text(number)).unwrap());
    assert!(read(&sealed(greatest)), "{}", text(greatest));
    for wrong in [greatest + 1, u64::MAX] {
        assert!(!read(&sealed(wrong)), "{}", text(wrong));
    }
}

#[test]
fn numbers_of_threads() {
    let is_live = |text: &str| live_from_summary(text).is_ok();
    bounded(THREADS_MAX - 1, |f| format!(r#"{{"status": "waiting", "future": {{"thread": {f}}}}}"#), is_live);
    bounded(Timestamp::MAX.0, |time| format!(r#"{{"status": "sleeping", "until": {time}}}"#), is_live);
    let awaiting = |count: u64, deadline: u64| {
        format!(
            r#"{{"status": "awaiting", "until": "any", "futures": [], "count": {count}, "deadline": {deadline},
            "entered": true}}"#
        )
    };
    bounded(COUNT_MAX, |count| awaiting(count, 0), is_live);
    bounded(Timestamp::MAX.0, |deadline| awaiting(0, deadline), is_live);
    bounded(COUNT_MAX, |call| format!(r#"{{"status": "calling", "call": {call}}}"#), is_live);
    bounded(COUNT_MAX, |calls| format!(r#"{{"status": "runnable", "calls": {calls}}}"#), is_live);
    bounded(TRIES_MAX.into(), |losses| format!(r#"{{"status": "runnable", "losses": {losses}}}"#), is_live);
    bounded(Timestamp::MAX.0, |saved| format!(r#"{{"status": "runnable", "saved": {saved}}}"#), is_live);
}

#[test]
fn numbers_of_sessions() {
    let session = |started: u64, more: &str| {
        format!(
            r#"{{"program": "", "file": "", "function": "", "arguments": [], "started": {started},
            "state": "running", "first_stopped": false {more}}}"#
        )
    };
    let is_session = |text: &str| session_from_summary(text).is_ok();
    bounded(Timestamp::MAX.0, |time| session(time, ""), is_session);
    bounded(Timestamp::MAX.0, |time| session(0, &format!(r#", "ended": {time}"#)), is_session);
    bounded(THREADS_MAX, |threads| session(0, &format!(r#", "threads": {threads}"#)), is_session);
}

#[test]
fn numbers_of_the_history() {
    let is_log = |text: &str| log_from_text(text).is_ok();
    bounded(THREADS_MAX - 1, |thread| format!(r#"[0, [[0, {thread}, {{"event": "resumed"}}]]]"#), is_log);
    bounded(Timestamp::MAX.0, |start| format!(r#"[{start}, [[0, 0, {{"event": "resumed"}}]]]"#), is_log);
    bounded(i64::MAX as u64 - 1, |since| format!(r#"[1, [[{since}, 0, {{"event": "resumed"}}]]]"#), is_log);
    let started = |parent| format!(r#"[0, [[0, 1, {{"event": "started", "function": "f", "parent": {parent}}}]]]"#);
    bounded(THREADS_MAX - 1, started, is_log);
}

#[test]
fn a_call_under_way_keeps_its_timeout() {
    let program = Program::new(Executable::default()).unwrap();
    for timeout in [None, Some(0.25), Some(f64::INFINITY)] {
        let mut live = Live::new(Thread::new(Value::Null, Vec::new()));
        let arguments = vec![Value::Integer(7)];
        live.status = Status::Calling(3);
        live.call =
            Some(Box::new(PendingCall { foreign: ForeignIndex(0), arguments, timeout, attempt: 2, is_queued: true }));
        let content = super::live_content(&live, &program, &mut Apart::nothing());
        let read = super::live(&super::live_summary(&live), &content, &program, &NoPickles).unwrap();
        let call = read.call.unwrap();
        assert_eq!((call.timeout, call.attempt, call.is_queued), (timeout, 2, true));
    }
}

#[test]
fn a_call_that_waits_for_its_pool_says_so_in_its_summary() {
    let mut live = Live::without_state(Status::Calling(3));
    assert_eq!(super::live_summary(&live).matches("waits").count(), 0, "only where it matters");
    live.waits_for_pool = true;
    let read = super::text::live_from_summary(&super::live_summary(&live)).unwrap();
    assert!(read.waits_for_pool && read.status == Status::Calling(3));
}
