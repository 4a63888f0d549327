//! The output of Python functions.

use std::collections::HashSet;
use std::fs;

use hark_foreign::PythonPool;
use hark_machine::Value;

use crate::fixture::{call, config, folder, printed, printed_by, printed_in, shown, string};

#[test]
fn everything_printed_comes_in_order() {
    let (result, output) = printed("calls.prints", vec![]);
    assert!(result.is_ok());
    assert_eq!(output, "one\ntwo three four\nfive\nsix");
}

#[test]
fn a_short_calls_output_is_one_text() {
    let mut texts = Vec::new();
    let pool = PythonPool::new(config(1));
    pool.call_blocking(&call("calls.echo", vec![Value::Null]), &mut |_| ()).unwrap();
    pool.call_blocking(&call("calls.prints_plain", string("a\nb\nc")), &mut |event| texts.push(printed_by(event)))
        .unwrap();
    assert_eq!(texts.concat(), "a\nb\nc");
    assert!(texts.len() <= 2, "{texts:?}");
}

#[test]
fn more_than_a_pipe_holds_is_no_problem() {
    let (result, output) = printed("calls.prints_much", vec![Value::Integer(200_000)]);
    assert_eq!(result.unwrap().as_str(), Some("done"));
    assert_eq!(output.lines().count(), 200_000);
    assert!(output.starts_with("1\n2\n") && output.ends_with("\n200000\n"));
}

#[test]
fn output_of_a_long_call_comes_while_it_runs() {
    let folder = folder("output-while-it-runs");
    // A complete line, and one that is never completed: a progress bar.
    for (name, printed) in [("line", "early\n"), ("bar", "50%")] {
        let seen = folder.join(name);
        let arguments = [printed, seen.to_str().unwrap()].map(Value::string);
        let mut texts = Vec::new();
        let result = PythonPool::new(config(1)).call_blocking(
            &call("calls.prints_until_seen", arguments.to_vec()),
            &mut |event| {
                texts.push(printed_by(event));
                fs::write(&seen, "").unwrap();
            },
        );
        assert!(matches!(result, Ok(Value::Boolean(true))), "it was not seen before the call's end");
        assert_eq!(texts, [printed]);
    }
    fs::remove_dir_all(folder).unwrap();
}

/// `print` writes a line in parts; other threads may run in between.
#[test]
fn threads_print_whole_lines() {
    let (result, output) = printed("calls.prints_in_threads", vec![Value::Integer(8), Value::Integer(500)]);
    assert!(result.is_ok());
    let (lines, rest) = output.rsplit_once('\n').unwrap();
    let numbers = (0..8).flat_map(|thread| (0..500).map(move |line| format!("thread {thread} line {line} end")));
    let expected: HashSet<String> = numbers.collect();
    let mixed: Vec<&str> = lines.lines().filter(|line| !expected.contains(*line)).take(3).collect();
    assert_eq!((mixed, lines.lines().count()), (vec![], 8 * 500));
    let mut rest: Vec<&str> = rest.split_terminator('|').collect();
    rest.sort_unstable();
    assert_eq!(rest, (0..8).map(|thread| format!("rest {thread}")).collect::<Vec<_>>());
}

#[test]
fn a_part_of_a_line_that_is_flushed_is_seen_though_there_are_threads() {
    let folder = folder("flushed-part");
    let seen = folder.join("seen");
    let call = call("calls.prints_a_part_while_a_thread_runs", string(seen.to_str().unwrap()));
    let result = PythonPool::new(config(1)).call_blocking(&call, &mut |event| {
        assert_eq!(printed_by(event), "part");
        fs::write(&seen, "").unwrap();
    });
    assert!(matches!(result, Ok(Value::Boolean(true))), "it was not seen before the call's end");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn any_text_can_be_printed() {
    let (_, output) = printed("calls.prints_unicode", vec![]);
    assert_eq!(output, "é☃😀\0 \\ud800\n\u{fffd}\n");
}

#[test]
fn output_belongs_to_its_call() {
    let pool = PythonPool::new(config(1));
    for index in 0..300 {
        let text = format!("text {index}");
        assert_eq!(printed_in(&pool, "calls.prints_plain", string(&text)).1, text);
    }
}

#[test]
fn a_function_may_do_what_it_likes_with_its_output() {
    for function in ["calls.closes_output", "calls.replaces_output"] {
        let pool = PythonPool::new(config(1));
        assert_eq!(printed_in(&pool, function, vec![]).1, "");
        assert!(printed_in(&pool, "calls.echo", vec![Value::Null]).0.is_ok());
    }
    let pool = PythonPool::new(config(1));
    printed_in(&pool, "calls.closes_output", vec![]).0.unwrap();
    assert_eq!(printed_in(&pool, "calls.prints_plain", string("again")).1, "again");
}

#[test]
fn standard_error_is_no_output_and_standard_input_is_empty() {
    assert_eq!(printed("calls.standard_error", vec![]).1, "");
    assert_eq!(shown("calls.reads_input", vec![]), r#"["", ""]"#);
}
