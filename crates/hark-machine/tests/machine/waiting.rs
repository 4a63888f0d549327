//! Waits of threads, and how their answers are used.

use hark_machine::{Awaited, Effect, Thread, Until, Value, Wait, text_of};

use crate::support::{Gather, program, run, shown, thread};

/// Runs `main` to its wait, also after saving and restoring; returns the wait, and the result with this answer.
#[track_caller]
fn answered(text: &str, answer: Value) -> (Wait, String) {
    let program = program(text);
    let mut running = thread(&program, "main", Vec::new());
    let mut host = Gather::default();
    let Effect::Await(wait) = running.run(&program, u32::MAX, &mut host) else { panic!("{text} does not wait") };
    let bytes = running.snapshot(&program);
    let mut read = Thread::restore(&bytes, &program).expect("what is written can be read");
    let mut ends = [&mut running, &mut read].map(|thread| {
        thread.resume(answer.clone());
        shown(&thread.run(&program, u32::MAX, &mut host), &program)
    });
    assert_eq!(ends[0], ends[1], "{text}");
    (wait, std::mem::take(&mut ends[0]))
}

fn threads(numbers: &[u64], until: Until) -> Wait {
    let futures = numbers.iter().map(|number| Awaited::Thread(*number)).collect();
    Wait { futures, until, at_once: false, timeout: None }
}

fn list(numbers: &[i64]) -> Value {
    Value::list(numbers.iter().map(|number| Value::Integer(*number)).collect())
}

const THREADS: &str = "fn f() { 0 } fn main() { a = async f(); b = async f(); c = async f(); ";

#[test]
fn a_single_future_gives_its_value() {
    let (wait, end) = answered(&format!("{THREADS} [await a, 5] }}"), Value::Integer(7));
    assert_eq!((wait, &*end), (threads(&[1], Until::All), "[7, 5]"));
    let (wait, end) = answered(&format!("{THREADS} await [a] }}"), Value::Integer(7));
    assert_eq!((wait, &*end), (threads(&[1], Until::All), "[7]"));
}

#[test]
fn a_list_or_hash_keeps_its_shape() {
    let text = format!("{THREADS} l = [a, [b, 1, []], {{\"c\": c, \"a\": [a]}}]; x = await l; [x, l == x] }}");
    let (wait, end) = answered(&text, list(&[10, 20, 30]));
    assert_eq!(wait, threads(&[1, 2, 3], Until::All));
    assert_eq!(end, "[[10, [20, 1, []], {\"c\": 30, \"a\": [10]}], false]");
    assert_eq!(run("fn main() { await [1, {2: [3]}] }"), "[1, {2: [3]}]");
    assert_eq!(run("fn main() { await {} }"), "{}");
}

#[test]
fn the_values_themselves_are_not_awaited() {
    let (_, end) = answered(&format!("{THREADS} await [a] }}"), Value::list(vec![Value::Future(2)]));
    assert_eq!(end, "[[<future 2>]]");
}

#[test]
fn what_is_shared_is_looked_at_once() {
    let text = "fn f() { 0 } fn twice(l, n) { if n == 0 { l } else { twice([l, l], n - 1) } }
        fn depth(l, n) { if n == 0 { l } else { depth(first(l), n - 1) } }
        fn main() { a = async f(); x = await twice([a], 100); depth(x, 100) }";
    let (wait, end) = answered(text, Value::Integer(4));
    assert_eq!((wait, &*end), (threads(&[1], Until::All), "[4]"));
}

#[test]
fn depth_needs_no_stack() {
    let text = "fn f() { 0 } fn deep(l, n) { if n == 0 { l } else { deep([l], n - 1) } }
        fn bottom(l) { if atomp(l) { l } else { bottom(first(l)) } }
        fn main() { a = async f(); bottom(await deep(a, 300000)) }";
    assert_eq!(answered(text, Value::Integer(4)).1, "4");
}

#[test]
fn long_lists_are_filled() {
    let text = "fn f() { 0 } fn many(l, n) { if n == 0 { l } else { many(append(l, async f()), n - 1) } }
        fn sum(l, total) { if nullp(l) { total } else { sum(rest(l), total + first(l)) } }
        fn main() { l = rest(many([], 1000)); sum(await l, 0) }";
    let (wait, end) = answered(text, list(&(2..=1000).collect::<Vec<_>>()));
    assert_eq!((wait.futures.len(), &*end), (999, "500499"));
}

#[test]
fn any_gives_a_place_and_a_value() {
    let answer = |index, value| Value::list(vec![Value::Integer(index), Value::Integer(value)]);
    let (wait, end) = answered(&format!("{THREADS} any([a, b, a, c]) }}"), answer(2, 30));
    assert_eq!((wait, &*end), (threads(&[1, 2, 3], Until::Any), "[3, 30]"));
    let (_, end) = answered(&format!("{THREADS} f = any; f([a, b, a, c]) }}"), answer(1, 20));
    assert_eq!(end, "[1, 20]");
}

#[test]
fn what_is_no_future_is_there_at_once() {
    let at_once = |numbers: &[u64]| Wait { at_once: true, ..threads(numbers, Until::Any) };
    let text = format!("{THREADS} any([a, b, [c], c]) }}");
    let (wait, end) = answered(&text, Value::Null);
    assert_eq!((wait, &*end), (at_once(&[1, 2, 3]), "[2, [<future 3>]]"));
    assert_eq!(answered(&text, list(&[1, 20])).1, "[1, 20]");
    assert_eq!(answered(&text, list(&[2, 30])).1, "[2, [<future 3>]]");
    let (wait, end) = answered(&format!("{THREADS} any([\"x\", a]) }}"), list(&[0, 10]));
    assert_eq!((wait, &*end), (at_once(&[1]), "[0, \"x\"]"));
    assert_eq!(run("fn main() { any([\"x\", [3]]) }"), "[0, \"x\"]");
}

#[test]
fn a_deadline_comes_with_the_wait() {
    let (wait, end) = answered(&format!("{THREADS} await_for([a, b], 0.5) }}"), list(&[1, 2]));
    assert_eq!((wait, &*end), (Wait { timeout: Some(0.5), ..threads(&[1, 2], Until::All) }, "[1, 2]"));
    let (wait, _) = answered(&format!("{THREADS} await_for(a, parse_float(\"inf\")) }}"), Value::Null);
    assert_eq!(wait.timeout, None);
    let (wait, end) = answered("fn main() { await_for(promise(), 0) }", Value::Integer(3));
    assert_eq!((wait.futures.len(), wait.timeout, &*end), (1, Some(0.0), "3"));
    assert_eq!(run("fn main() { await_for([1], 0) }"), "[1]");
}

#[test]
fn a_builtin_that_is_a_thread_of_its_own_waits_too() {
    let program = program("fn main() { 0 }");
    let arguments = vec![Value::list(vec![Value::Future(5), Value::Future(6)]), Value::Integer(1)];
    let mut running = Thread::new(Value::Builtin(hark_bytecode::builtins::Builtin::AwaitFor), arguments);
    let mut host = Gather::default();
    assert!(matches!(running.run(&program, u32::MAX, &mut host), Effect::Await(_)));
    running.resume(list(&[1, 2]));
    let Effect::Finished(value) = running.run(&program, u32::MAX, &mut host) else { panic!("it does not end") };
    assert_eq!(text_of(&value, program.executable()), "[1, 2]");
}

#[test]
fn wrong_arguments_are_told() {
    assert_eq!(run("fn main() { any(3) }"), "type: `any` needs a list, but got an integer");
    assert_eq!(run("fn main() { any([]) }"), "value: `any`: the list is empty");
    assert_eq!(
        run("fn main() { await_for(1, \"x\") }"),
        "type: `await_for` needs a number of seconds, but got a string"
    );
    let negative = "value: `await_for` needs a number of seconds that is not negative, but got";
    assert_eq!(run("fn main() { await_for(1, -1) }"), format!("{negative} -1"));
    assert_eq!(run("fn main() { await_for(1, parse_float(\"nan\")) }"), format!("{negative} nan"));
}
