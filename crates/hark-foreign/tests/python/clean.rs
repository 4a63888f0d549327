//! Every call finds its worker in the same state as the call before it.

use hark_foreign::PythonPool;
use hark_machine::Value;

use crate::fixture::{call, config, printed_in, string, text};

fn made(pool: &PythonPool, target: &str, arguments: Vec<Value>) -> Value {
    printed_in(pool, target, arguments).0.unwrap_or_else(|error| panic!("{target}: {}", error.message))
}

#[test]
fn what_a_call_changes_of_its_process_is_put_back() {
    let pool = PythonPool::new(config(1));
    let pid = text(&made(&pool, "calls.pid", vec![]));
    let state = made(&pool, "clean.state", vec![]);
    let Value::Hash(fields) = &state else { panic!("no hash") };
    let field = |name: &str| text(fields.get(&Value::string(name)).unwrap());
    // Changes made while the module was loaded are kept.
    assert_eq!((field("recursion"), field("precision")), ("1234".into(), "30".into()));
    assert!(field("environment").ends_with(r#", null, "1"]"#));
    let kinds = made(&pool, "clean.kinds", vec![]);
    for kind in kinds.as_list().unwrap().iter() {
        made(&pool, "clean.disorder", vec![kind.clone()]);
        assert_eq!(text(&made(&pool, "clean.state", vec![])), text(&state), "after {}", text(kind));
        let heard = printed_in(&pool, "calls.prints_plain", string("heard"));
        assert_eq!(heard.1, "heard", "after {}", text(kind));
    }
    assert_eq!(text(&made(&pool, "calls.pid", vec![])), pid);
}

#[test]
fn what_is_printed_to_a_stream_of_ones_own_is_output_too() {
    let pool = PythonPool::new(config(1));
    assert_eq!(printed_in(&pool, "clean.disorder", string("output")).1, "held back\n");
}

#[test]
fn a_worker_has_one_event_loop() {
    let pool = PythonPool::new(config(1));
    let loops = ["in_turn", "old_way", "in_turn", "own_loop", "old_way", "in_turn"]
        .map(|name| text(&made(&pool, &format!("loops.{name}"), vec![])));
    assert!([1, 2, 4, 5].iter().all(|index| loops[*index] == loops[0]), "{loops:?}");
}

#[test]
fn old_ways_come_first_just_as_well() {
    let pool = PythonPool::new(config(1));
    let loops = ["old_way", "in_turn"].map(|name| text(&made(&pool, &format!("loops.{name}"), vec![])));
    assert_eq!(loops[0], loops[1]);
    made(&pool, "loops.closes_the_loop", vec![]);
    made(&pool, "loops.leaves_tasks", vec![]);
}

#[test]
fn the_loop_is_set_as_it_was_found() {
    let pool = PythonPool::new(config(1));
    made(&pool, "loops.changes_the_loop", vec![]);
    assert_eq!(text(&made(&pool, "loops.loop_state", vec![])), r#"[false, "None", "None"]"#);
}

#[test]
fn tasks_end_with_the_call_that_started_them() {
    let pool = PythonPool::new(config(1));
    for (name, left) in [
        ("leaves_tasks", r#"["more", "ended"]"#),
        ("leaves_a_task_unrun", r#"["created", "more"]"#),
        ("leaves_a_generator", r#"["closed"]"#),
    ] {
        made(&pool, &format!("loops.{name}"), vec![]);
        assert_eq!(text(&made(&pool, "loops.taken", vec![])), left, "{name}");
        assert_eq!(text(&made(&pool, "loops.taken", vec![])), "[]", "{name}");
    }
}

#[test]
fn a_worker_that_cannot_be_put_in_order_is_replaced() {
    let pool = PythonPool::new(config(1));
    let pid = text(&made(&pool, "calls.pid", vec![]));
    made(&pool, "loops.never_ends", vec![]);
    assert_ne!(text(&made(&pool, "calls.pid", vec![])), pid);
}

#[test]
fn context_variables_are_those_of_one_call() {
    let pool = PythonPool::new(config(1));
    let set = pool.call_blocking(&call("clean.disorder", string("variable")), &mut |_| ());
    assert!(set.is_ok());
    let Value::Hash(fields) = made(&pool, "clean.state", vec![]) else { panic!("no hash") };
    assert_eq!(text(fields.get(&Value::string("variable")).unwrap()), r#""nothing""#);
}
