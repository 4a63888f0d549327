//! Values with much sharing: small in memory, but practically endless if every occurrence is visited.

use hark_bytecode::FunctionIndex;
use hark_machine::{
    Apart, NoPickles, Program, Thread, Value, is_too_long, literal_text, read_values, short_text, write_values,
};

use super::support::{call, program, run};

const LEVELS: &str = "
    fn pair(x) { [x, x] }
    fn table(x) { {\"a\": x, \"b\": x} }
    fn rise(f, n, x) { if n == 0 { x } else { rise(f, n - 1, f(x)) } }
    fn lists(x) { rise(pair, 60, x) }
    fn tables(x) { rise(table, 60, x) }
    fn tails(l, all) { if nullp(l) { all } else { tails(rest(l), append(all, l)) } }
    fn tails_from_the_end(l, all) { if nullp(l) { all } else { tails_from_the_end(rest(l), conc([l], all)) } }
    fn fill(n, l) { if n == 0 { l } else { fill(n - 1, append(l, n)) } }
    fn all_tails(x) { tails(fill(20000, [x]), []) }
    fn all_tails_from_the_end(x) { tails_from_the_end(fill(20000, [x]), []) }
    fn compared(a, b) { [a == b, a != b] }
    fn ordered(a, b) { [a < b, a <= b, a > b, a >= b] }
    fn same(a) { a == a }";

/// The results of the functions for a value.
fn made(program: &Program, value: &Value) -> Vec<Value> {
    let names = ["lists", "tables", "all_tails", "all_tails_from_the_end"];
    names.map(|name| call(program, name, vec![value.clone()]).expect("it works")).into()
}

fn booleans(values: &[bool]) -> Value {
    Value::list(values.iter().copied().map(Value::Boolean).collect())
}

#[test]
fn they_are_compared_part_by_part() {
    let program = program(LEVELS);
    let (one, other, two) =
        (made(&program, &Value::Integer(1)), made(&program, &Value::Integer(1)), made(&program, &Value::Integer(2)));
    for ((one, other), two) in one.iter().zip(&other).zip(&two) {
        let check = |name: &str, left: &Value, right: &Value, wanted: &[bool]| {
            assert_eq!(call(&program, name, vec![left.clone(), right.clone()]), Ok(booleans(wanted)));
        };
        check("compared", one, one, &[true, false]);
        check("compared", one, other, &[true, false]);
        check("compared", one, two, &[false, true]);
        if matches!(one, Value::Hash(_)) {
            continue;
        }
        check("ordered", one, one, &[false, true, false, true]);
        check("ordered", one, other, &[false, true, false, true]);
        check("ordered", one, two, &[true, true, false, false]);
        check("ordered", two, one, &[false, false, true, true]);
    }
}

#[test]
fn what_holds_nan_is_not_equal_to_itself() {
    let program = program(LEVELS);
    for value in made(&program, &Value::Float(f64::NAN)) {
        assert_eq!(call(&program, "same", vec![value]), Ok(Value::Boolean(false)));
    }
    for value in made(&program, &Value::Float(1.5)) {
        assert_eq!(call(&program, "same", vec![value]), Ok(Value::Boolean(true)));
    }
}

#[test]
fn a_hash_in_a_list_is_compared_once() {
    let program = program(LEVELS);
    let list =
        |hash: Value| call(&program, "rise", vec![function(&program, "pair"), Value::Integer(60), hash]).unwrap();
    let table = |value: i64| call(&program, "tables", vec![Value::Integer(value)]).unwrap();
    let compared = |left: Value, right: Value| call(&program, "compared", vec![left, right]);
    assert_eq!(compared(list(table(1)), list(table(1))), Ok(booleans(&[true, false])));
    assert_eq!(compared(list(table(1)), list(table(2))), Ok(booleans(&[false, true])));
    let ordered = call(&program, "ordered", vec![list(table(1)), list(table(1))]);
    assert_eq!(ordered, Ok(booleans(&[false, true, false, true])));
}

fn function(program: &Program, name: &str) -> Value {
    let functions = &program.executable().functions;
    let index = functions.iter().position(|each| &*each.name == name).expect("it is there");
    Value::Function(FunctionIndex(index as u32))
}

#[test]
fn their_text_is_an_error_or_shortened() {
    let rise = "fn rise(n, x) { if n == 0 { x } else { rise(n - 1, [x, x]) } }";
    for (builtin, expression) in [
        ("print", "print(l)"),
        ("to_string", "to_string(l)"),
        ("error", "error(l)"),
        ("signal", "signal(\"error\", l)"),
        ("signal", "signal(\"note\", l)"),
        ("assert", "assert(false, l)"),
        ("format", "format(\"{}\", l)"),
        ("json_encode", "json_encode(l)"),
    ] {
        let told = run(&format!("{rise} fn main() {{ l = rise(60, []); {expression} }}"));
        assert_eq!(told, format!("limit: `{builtin}`: the text of a list would have more than 536870912 bytes"));
    }
    let program = program(LEVELS);
    for value in &made(&program, &Value::Integer(1))[..2] {
        assert!(is_too_long(value));
        let text = literal_text(value, program.executable());
        assert_eq!(text.len(), 1_003);
        assert!(text.ends_with("..."));
        assert_eq!(short_text(value, program.executable(), 3), format!("{}...", &text[..3]));
    }
    // The text of all tails exceeds half a gigabyte, though each is short.
    assert!(made(&program, &Value::Integer(1))[2..].iter().all(is_too_long));
    let whole =
        call(&program, "rise", vec![function(&program, "pair"), Value::Integer(16), Value::Integer(7)]).unwrap();
    assert!(!is_too_long(&whole));
    assert_eq!(literal_text(&whole, program.executable()).len(), 5 * (1 << 16) - 4);
}

#[test]
fn integers_without_end_are_not_written_in_digits() {
    let squares = "fn power(x, n) { if n == 0 { x } else { power(x * x, n - 1) } }";
    let told = run(&format!("{squares} fn main() {{ to_string(power(7, 21)) }}"));
    assert_eq!(told, "limit: `to_string`: the integer has 5887450 bits, and at most 4194304 are written as text");
    assert_eq!(run(&format!("{squares} fn main() {{ power(7, 21) }}")), "<integer of 5887450 bits>");
    assert_eq!(run(&format!("{squares} fn main() {{ length(to_string(power(7, 12))) }}")), "3462");
}

#[test]
fn they_are_written_down_once() {
    let program = program(LEVELS);
    for (value, most) in made(&program, &Value::Integer(1)).into_iter().zip([2_000, 2_000, 200_000, 400_000]) {
        let bytes = write_values([&value], &mut Apart::nothing());
        assert!(bytes.len() < most, "{} bytes", bytes.len());
        let read = read_values(&bytes, &program, &NoPickles).unwrap();
        assert!(read[0] == value);
        assert_eq!(write_values([&read[0]], &mut Apart::nothing()), bytes);
        let thread = Thread::new(function(&program, "same"), vec![value]);
        assert!(thread.snapshot(&program).len() < most + 100);
    }
}
