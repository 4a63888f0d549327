//! Fuel, and the nesting of calls.

use hark_machine::limits::{INTEGER_BITS_MAX, STRING_BYTES_MAX};
use hark_machine::{Effect, Value};

use super::support::{Gather, call, program, run, shown, thread};

const LOOP: &str = "
    fn add(a, b) { a + b }
    fn sum(n, total) { if n == 0 { total } else { sum(n - 1, add(total, n)) } }
    fn main() { sum(100, 0) }";

#[test]
fn each_call_and_repetition_takes_a_unit_of_fuel() {
    let program = program(LOOP);
    // `main` is free; then `sum`, 100 calls of `add`, and 100 iterations.
    for (fuel, turns) in [(201, 1), (200, 2), (10, 21), (1, 201)] {
        let (mut thread, mut host) = (thread(&program, "main", Vec::new()), Gather::default());
        let mut taken = 0;
        let result = loop {
            taken += 1;
            match thread.run(&program, fuel, &mut host) {
                Effect::OutOfFuel => {}
                effect => break shown(&effect, &program),
            }
        };
        assert_eq!((result.as_str(), taken), ("5050", turns), "with {fuel} units");
    }
}

/// The host keeps a turn's output until the turn ends, so a turn must not print without bound.
#[test]
fn a_turn_prints_little() {
    let program = program(
        "fn double(text, times) { if times == 0 { text } else { double(text + text, times - 1) } }
         fn loud(n, text) { if n == 0 { null } else { print(text); loud(n - 1, text) } }
         fn main(n) { loud(n, double(\"0123456789abcdef\", 10)) }
         fn by_value(n) { printing(print, n, double(\"0123456789abcdef\", 10)) }
         fn printing(how, n, text) { if n == 0 { null } else { how(text); printing(how, n - 1, text) } }",
    );
    for function in ["main", "by_value"] {
        let mut host = Gather::default();
        let mut thread = thread(&program, function, vec![Value::Integer(1_000)]);
        let mut before = 0;
        while matches!(thread.run(&program, 20_000, &mut host), Effect::OutOfFuel) {
            assert!(host.printed.len() - before < 1_400_000, "{} bytes in a turn", host.printed.len() - before);
            before = host.printed.len();
        }
        assert_eq!(host.printed.len(), 1_000 * ((16 << 10) + 1), "{function}");
    }
}

#[test]
fn without_fuel_nothing_happens() {
    let program = program(LOOP);
    let (mut thread, mut host) = (thread(&program, "main", Vec::new()), Gather::default());
    assert!(matches!(thread.run(&program, 0, &mut host), Effect::OutOfFuel));
    let before = thread.snapshot(&program);
    assert!(matches!(thread.run(&program, 0, &mut host), Effect::OutOfFuel));
    assert_eq!(thread.snapshot(&program), before);
}

#[test]
fn a_million_calls_nest() {
    let text = "fn depth(n) { if n == 0 { 0 } else { 1 + depth(n - 1) } } fn main() { depth(1000000) }";
    assert_eq!(run(text), "1000000");
}

/// A million calls can nest even if each has many variables.
#[test]
fn a_million_calls_with_many_variables_nest() {
    let many: String = (0..50).map(|number| format!("v{number} = n + {number}; ")).collect();
    let sum: String = (0..50).map(|number| format!(" + v{number}")).collect();
    let text = format!(
        "fn depth(n) {{ if n == 0 {{ 0 }} else {{ {many} depth(n - 1); n{sum} }} }} fn main() {{ depth(1000000) }}"
    );
    assert_eq!(run(&text), (51 * 1_000_000 + (0..50).sum::<i64>()).to_string());
}

#[test]
fn recursion_without_an_end_is_an_error() {
    let too_deep = "stack: call stack too deep: does the recursion have an end?";
    assert_eq!(run("fn main() { 1 + main() }"), too_deep);
    // Enough variables to reach the limit of registers first.
    let many: String = (0..600).map(|number| format!("v{number} = n + {number}; ")).collect();
    let kept: String = (0..600).map(|number| format!(", v{number}")).collect();
    let text = format!("fn f(n) {{ {many} f(n + 1); [n{kept}] }} fn main() {{ f(0) }}");
    let program = program(&text);
    let effect = thread(&program, "main", Vec::new()).run(&program, u32::MAX, &mut Gather::default());
    assert_eq!(shown(&effect, &program), too_deep);
    let Effect::Failed(error) = effect else { panic!("it failed") };
    assert!(error.omitted > 100_000 && error.trace.len() == 40, "{} {}", error.omitted, error.trace.len());
    assert!(matches!(error.data, Value::Null));
}

#[test]
fn what_grows_without_an_end_is_an_error() {
    let squares = "fn square(x) { square(x * x) } fn main() { square(7) }";
    let refused = format!(
        "limit: `*`: the integers have 11774900 and 11774900 bits, and an integer has at most {INTEGER_BITS_MAX}"
    );
    assert_eq!(run(squares), refused);
    let program = program("fn double(x) { x + x } fn twice(f, x) { f(x, x) } fn by_value(x) { twice(+, x) }");
    let half = STRING_BYTES_MAX / 2 + 1;
    let text = Value::string("x".repeat(half));
    let refused =
        format!("limit: `+`: the strings have {half} and {half} bytes, and a string has at most {STRING_BYTES_MAX}");
    for function in ["double", "by_value"] {
        assert_eq!(call(&program, function, vec![text.clone()]), Err(refused.clone()));
    }
}

#[test]
fn an_error_of_a_limit_has_its_place_and_changes_nothing() {
    let program = program("fn main(x) { y = x * x; y }");
    let big = Value::big_integer(num_bigint::BigInt::from(1) << (INTEGER_BITS_MAX / 2 + 1));
    let mut thread = thread(&program, "main", vec![big]);
    for _ in 0..2 {
        let Effect::Failed(error) = thread.run(&program, u32::MAX, &mut Gather::default()) else { panic!("it fails") };
        let span = error.trace[0].span;
        assert_eq!(&*error.kind, "limit");
        let text = &program.executable().sources.files()[0].source.text;
        assert_eq!(&text[span.start as usize..span.end as usize], "x * x");
    }
}
