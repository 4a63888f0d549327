//! Caught errors: the value that a handler receives, and the state that it finds.

use hark_machine::{Effect, Error, Thread, Value, text_of};

use super::support::{Gather, program, run, shown, thread};

#[test]
fn an_error_is_a_hash_with_the_way_that_it_took() {
    let text = "fn main() { try { f(1) } catch e { e } }\nfn f(n) {\n  error(\"boom\", [n]) + 1 }";
    let frames = "{\"thread\": 0, \"function\": \"main\", \"file\": \"test.hk\", \"line\": 1}, \
                  {\"thread\": 0, \"function\": \"f\", \"file\": \"test.hk\", \"line\": 3}";
    let wanted = format!("{{\"kind\": \"error\", \"message\": \"boom\", \"data\": [1], \"trace\": [{frames}]}}");
    assert_eq!(run(text), wanted);
}

/// An error may reuse the trace of the previous one only if it took the same path.
#[test]
fn errors_that_come_different_ways_have_different_traces() {
    let text = "fn main() { [line(1), line(2), line(1)] }\n\
                fn line(n) { try { if n == 1 { one() } else { two() } } catch e { get(nth(get(e, \"trace\"), -1), \"line\") } }\n\
                fn one() { error(\"1\") }\n\
                fn two() { error(\"2\") }";
    assert_eq!(run(text), "[3, 4, 3]");
}

#[test]
fn of_a_long_trace_the_middle_is_left_out() {
    let text = "fn main() { try { deep(1000) } catch e { t = get(e, \"trace\"); [length(t), get(first(t), \"function\"), \
                get(nth(t, -1), \"function\")] } }\nfn deep(n) { if n == 0 { last_one() } else { 1 + deep(n - 1) } }\n\
                fn last_one() { first([]) }";
    assert_eq!(run(text), "[40, \"main\", \"last_one\"]");
}

#[test]
fn a_caught_error_is_raised_again_as_it_was() {
    let program = program(
        "fn main() { try { inner() } catch e { error(e) } }\nfn inner() {\n  error({\"kind\": \"mine\", \"message\": \"m\", \"data\": 7}) }",
    );
    let effect = thread(&program, "main", Vec::new()).run(&program, u32::MAX, &mut Gather::default());
    let Effect::Failed(error) = effect else { panic!("it fails") };
    assert_eq!((&*error.kind, &*error.message, &error.data), ("mine", "m", &Value::Integer(7)));
    let functions: Vec<&str> = error.trace.iter().map(|frame| &*frame.function).collect();
    assert_eq!(functions, ["main", "inner"]);
    let text = &program.executable().sources.files()[0].source.text;
    // Only the line is known.
    let span = error.trace[1].span;
    assert!(span.start == span.end && text[span.start as usize..].starts_with("error({"));
    for (error, wanted) in [
        ("{\"message\": \"m\", \"kind\": 1}", "type: `error` needs a string as the error's kind, but got an integer"),
        ("{\"kind\": \"k\"}", "error: {\"kind\": \"k\"}"),
        ("{\"message\": \"m\", \"trace\": [1]}", "error: m"),
    ] {
        assert_eq!(run(&format!("fn main() {{ error({error}) }}")), wanted);
    }
}

/// Bindings made in a failed block are kept, and values taken from variables for a failed call are restored.
#[test]
fn a_handler_finds_what_the_block_has_done() {
    let text = "fn main() { l = [[1], [2]]; x = \"old\"; \
                [try { y = append(l, 3); l = y; x = \"new\"; append(l, first([])) } catch { [l, x] }, l] }";
    assert_eq!(run(text), "[[[[1], [2], 3], \"new\"], [[1], [2], 3]]");
    let nested = "fn main() { a = [1]; try { try { b = append(a, 2); error(b) } catch e { c = get(e, \"message\") + 1 } } catch e { [a, b, get(e, \"kind\")] } }";
    assert_eq!(run(nested), "[[1], [1, 2], \"type\"]");
}

#[test]
fn an_answer_may_be_an_error_that_is_caught() {
    let program = program("fn main() { try { sleep(1) } catch e { [get(e, \"kind\"), get(e, \"message\")] } }");
    let (mut thread, mut host) = (thread(&program, "main", Vec::new()), Gather::default());
    assert!(matches!(thread.run(&program, u32::MAX, &mut host), Effect::Sleep(_)));
    thread.fail(Error::new("timeout", "late"));
    let mut thread = Thread::restore(&thread.snapshot(&program), &program).expect("what was written can be read");
    assert_eq!(shown(&thread.run(&program, u32::MAX, &mut host), &program), "[\"timeout\", \"late\"]");
}

/// A turn ends even if errors are all that happens.
#[test]
fn catching_uses_the_fuel_of_the_calls() {
    let program = program(
        "fn main() { loop(100) } fn loop(n) { try { fail() } catch { 0 }; if n == 0 { n } else { loop(n - 1) } } fn fail() { error(1) }",
    );
    let (mut thread, mut host, mut turns) = (thread(&program, "main", Vec::new()), Gather::default(), 1);
    let value = loop {
        match thread.run(&program, 10, &mut host) {
            Effect::OutOfFuel => turns += 1,
            Effect::Finished(value) => break value,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((text_of(&value, program.executable()).as_str(), turns), ("0", 21));
}

#[test]
fn a_deep_recursion_is_caught_at_its_start() {
    let text = "fn main() { [try { down(0) } catch e { get(e, \"kind\") }, try { down(0) } catch e { get(e, \"kind\") }] } fn down(n) { 1 + down([n]) }";
    assert_eq!(run(text), "[\"stack\", \"stack\"]");
}
