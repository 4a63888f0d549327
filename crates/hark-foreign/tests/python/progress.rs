//! The progress that calls report.

use hark_engine::CallEvent;
use hark_foreign::{Call, PythonPool};
use hark_machine::{Error, Value};

use super::fixture::{call, config, failed, string, text};

/// The result of a call, and the progress that it reported. The last one arrives at the call's end, or earlier if it
/// was already handed on; this depends on time.
fn said(pool: &PythonPool, call: &Call) -> (Result<String, Error>, Vec<String>) {
    let (mut heard, mut over) = (Vec::new(), false);
    let result = pool.call_blocking(call, &mut |event| {
        if let CallEvent::Progress { json, is_over } = event {
            assert!(!over, "progress was reported after the call's end");
            over = is_over;
            heard.push(json);
        }
    });
    (result.map(|value| text(&value)).map_err(failed), heard)
}

#[test]
fn the_last_is_heard_whatever_becomes_of_the_call() {
    let pool = PythonPool::new(config(1));
    for (how, expected) in
        [("returns", Ok("null".to_owned())), ("raises", Err("python".into())), ("dies", Err("python".into()))]
    {
        let (result, heard) = said(&pool, &call("progress.says", vec![Value::Integer(20_000), Value::string(how)]));
        assert_eq!(result.map_err(|error| error.kind.to_string()), expected);
        assert!(heard.len() < 10_000, "{}", heard.len());
        assert_eq!(heard.last().map(String::as_str), Some("19999"), "{how}");
    }
}

/// Continuous progress hides neither the call's end nor its output.
#[test]
fn a_call_that_says_it_all_the_time_is_heard_and_times_out() {
    let pool = PythonPool::new(config(1));
    let timeout = Some(std::time::Duration::from_secs(1));
    let mut printed = 0;
    let result = pool.call_blocking(&Call { timeout, ..call("progress.for_ever", vec![]) }, &mut |event| {
        printed += usize::from(matches!(event, CallEvent::Printed(_)));
    });
    assert_eq!(&*failed(result.unwrap_err()).kind, "timeout");
    assert!(printed >= 2, "its output came {printed} times");
}

#[test]
fn the_next_try_can_read_it() {
    let pool = PythonPool::new(config(1));
    let before = |progress: Option<&str>| {
        let call = Call { progress: progress.map(str::to_owned), ..call("progress.before", vec![]) };
        said(&pool, &call).0.unwrap()
    };
    assert_eq!(before(None), "null");
    assert_eq!(before(Some(r#"{"page": [1, "é"]}"#)), r#"{"page": [1, "é"]}"#);
    assert_eq!(before(None), "null");
}

/// The progress of a long call is reported while it runs.
#[test]
fn it_is_heard_while_the_call_runs() {
    let pool = PythonPool::new(config(1));
    let folder = super::fixture::folder("progress");
    let seen = folder.join("seen");
    let mut heard = Vec::new();
    let call = call("progress.until_seen", string(seen.to_str().unwrap()));
    let result = pool.call_blocking(&call, &mut |event| {
        heard.push(event);
        std::fs::write(&seen, "").unwrap();
    });
    assert!(matches!(result, Ok(Value::Boolean(true))), "it was not reported before the call's end");
    assert_eq!(heard, [CallEvent::Progress { json: "0.5".into(), is_over: false }]);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Progress from threads and forked processes of the function is not mixed up with other messages.
#[test]
fn whoever_says_it_the_messages_stay_whole() {
    let pool = PythonPool::new(config(1));
    for _ in 0..20 {
        let (result, heard) = said(&pool, &call("progress.in_threads", vec![]));
        assert_eq!(result.unwrap_or_else(|error| panic!("{}", error.message)), "\"done\"");
        assert!(!heard.is_empty());
        // Threads that continue then report for the next call.
        assert!(said(&pool, &call("progress.before", vec![])).0.is_ok());
    }
}
