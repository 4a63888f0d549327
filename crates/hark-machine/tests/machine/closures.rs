//! Closures and destructuring.

use hark_machine::{Effect, Form, Program, Thread};

use crate::support::{Gather, program, run, shown, thread};

/// Runs `main`, saved and restored before each instruction.
fn suspended(text: &str, form: Form) -> String {
    let program = Program::with_form(program(text).executable().clone(), form).expect("what compiles is sound");
    let mut running = thread(&program, "main", Vec::new());
    loop {
        match running.run_instructions(&program, 1, &mut Gather::default()) {
            Effect::OutOfFuel => {
                let bytes = running.snapshot(&program);
                running = Thread::restore(&bytes, &program).expect("what is written can be read");
            }
            end => return shown(&end, &program),
        }
    }
}

#[track_caller]
fn check(text: &str, result: &str) {
    assert_eq!(run(text), result, "{text}");
    assert_eq!(suspended(text, Form::Fused), result, "{text}");
    assert_eq!(suspended(text, Form::Plain), result, "{text}");
}

#[test]
fn a_closure_keeps_what_was_around_it() {
    check("fn main() { x = 1; f = lambda (y) { x + y }; x = 5; [f(10), x] }", "[11, 5]");
    check("fn add(n) { lambda (x) { x + n } } fn main() { f = add(1); g = add(2); [f(1), g(1), f(1)] }", "[2, 3, 2]");
    check(
        "fn main() { s = \"a\"; l = [s]; f = lambda () { [s, l] }; [f(), f()] }",
        "[[\"a\", [\"a\"]], [\"a\", [\"a\"]]]",
    );
    check("fn main() { a = [1]; f = lambda () { a = append(a, 2); a }; [f(), f(), a] }", "[[1, 2], [1, 2], [1]]");
}

#[test]
fn what_is_not_bound_is_not_captured() {
    check("fn x() { 7 } fn main() { if false { x = 1 }; f = lambda () { x }; to_string(f()) }", "<fn x>");
    check(
        "fn main() { if false { x = 1 }; f = lambda () { x }; x = 2; f() }",
        "name: `x` is not bound yet when it is read here",
    );
    check("fn main() { if true { x = [1] }; f = lambda () { if true { x } }; f() }", "[1]");
}

#[test]
fn closures_nest() {
    check("fn main() { a = 1; f = lambda (b) { lambda (c) { [a, b, c] } }; f(2)(3) }", "[1, 2, 3]");
    check("fn twice(f, x) { f(f(x)) } fn main() { n = 3; twice(lambda (x) { x * n }, 2) }", "18");
    check(
        "fn compose(f, n) { if n == 0 { f } else { compose(lambda (x) { f(x + 1) }, n - 1) } }
         fn main() { compose(lambda (x) { x }, 100)(0) }",
        "100",
    );
}

#[test]
fn a_long_chain_of_closures_needs_no_stack() {
    let text = "fn chain(f, n) { if n == 0 { f } else { chain(lambda () { f }, n - 1) } }
        fn main() { f = chain(null, 300000); g = chain(null, 300000); [f == g, atomp(f), to_string(f)] }";
    assert_eq!(run(text), "[true, true, \"<fn lambda>\"]");
}

#[test]
fn closures_are_equal_by_what_they_hold() {
    check(
        "fn make(n, l) { lambda (x) { [n, l, x] } } fn main() { [make(1, [2]) == make(1, [2]), make(1, [2]) == make(1, [3])] }",
        "[true, false]",
    );
}

#[test]
fn a_wrong_count_is_told() {
    check(
        "fn main() { x = 1; f = lambda (y) { x + y }; f() }",
        "arity: `lambda` takes 1 argument, but was called with 0",
    );
}

#[test]
fn a_list_is_taken_apart() {
    check("fn main() { [a, [b, _], c] = [1, [\"b\", 3], []]; [a, b, c] }", "[1, \"b\", []]");
    check("fn main() { [] = []; [_] = [1]; 3 }", "3");
    check("fn main() { a = b = 1; [b, a] = [a, [b]] ; [a, b] }", "[[1], 1]");
    check("fn main() { x = [[1, 2], 3]; [[a, b], c] = y = x; [a, b, c, x == y] }", "[1, 2, 3, true]");
    check("fn main() { [a, b] = [1] }", "value: a list of 2 items is needed here, but this one has 1 item");
    check("fn main() { [a, [b]] = [1, 2] }", "type: a list of 1 item is needed here, but this is an integer");
}
