//! The order and equality of values.

use std::cmp::Ordering;

use hark_machine::Value;
use num_bigint::BigInt;

use super::support::{call, program};

fn power(exponent: u32) -> BigInt {
    BigInt::from(1) << exponent
}

/// Numbers in ascending order; those of one row are equal.
fn numbers() -> Vec<Vec<Value>> {
    let (int, float, big) = (Value::Integer, Value::Float, Value::big_integer);
    vec![
        vec![float(f64::NEG_INFINITY)],
        vec![big(-power(2000))],
        vec![float(-1e300)],
        vec![big(-power(63) - 1)],
        vec![int(i64::MIN), float(-(2f64.powi(63)))],
        vec![int(-(1 << 53) - 1)],
        vec![int(-(1 << 53)), float(-(2f64.powi(53)))],
        vec![float(-1.5)],
        vec![int(-1), float(-1.0)],
        vec![float(-0.5)],
        vec![int(0), float(0.0), float(-0.0)],
        vec![float(5e-324)],
        vec![int(1), float(1.0)],
        vec![int((1 << 53) - 1), float(2f64.powi(53) - 1.0)],
        vec![int(1 << 53), float(2f64.powi(53))],
        vec![int((1 << 53) + 1)],
        vec![int(i64::MAX)],
        vec![big(power(63)), float(2f64.powi(63))],
        vec![big(power(63) + 1)],
        vec![big(power(100)), float(2f64.powi(100))],
        vec![big(power(100) + 1)],
        vec![float(f64::MAX)],
        vec![big(power(1024))],
        vec![float(f64::INFINITY)],
    ]
}

/// Checks the language's operators on two values, bare and inside lists.
#[track_caller]
fn check(left: &Value, right: &Value, wanted: Ordering) {
    let program = program("fn all(a, b) { [a < b, a <= b, a > b, a >= b, a == b, a != b] }");
    let wanted = [wanted.is_lt(), wanted.is_le(), wanted.is_gt(), wanted.is_ge(), wanted.is_eq(), wanted.is_ne()];
    let wanted = Value::list(wanted.into_iter().map(Value::Boolean).collect());
    let listed = |value: &Value| Value::list(vec![Value::string("same"), value.clone()]);
    let pairs = [(left.clone(), right.clone()), (listed(left), listed(right))];
    for (left, right) in pairs {
        assert_eq!(
            call(&program, "all", vec![left.clone(), right.clone()]).as_ref(),
            Ok(&wanted),
            "{left:?} {right:?}"
        );
    }
}

#[test]
fn numbers_have_their_exact_order() {
    let rows = numbers();
    for (place, row) in rows.iter().enumerate() {
        for (other_place, other_row) in rows.iter().enumerate() {
            check(&row[0], &other_row[0], place.cmp(&other_place));
        }
        row.iter().for_each(|each| check(each, &row[0], Ordering::Equal));
    }
}

#[test]
fn strings_and_lists() {
    let text = |text: &str| Value::string(text);
    check(&text("a"), &text("b"), Ordering::Less);
    check(&text("a"), &text("a\0"), Ordering::Less);
    // By code points; in UTF-16 the second would come first.
    check(&text("\u{ffff}"), &text("\u{10000}"), Ordering::Less);
    let list = |items: &[i64]| Value::list(items.iter().copied().map(Value::Integer).collect());
    check(&list(&[]), &list(&[0]), Ordering::Less);
    check(&list(&[1, 2]), &list(&[1, 3]), Ordering::Less);
    check(&list(&[2]), &list(&[1, 3]), Ordering::Greater);
    let long: Vec<i64> = (0..1_000).collect();
    check(&list(&long), &list(&long), Ordering::Equal);
    check(&list(&long[..999]), &list(&long), Ordering::Less);
}

#[test]
fn what_has_no_order() {
    let program = program("fn less(a, b) { a < b } fn same(a, b) { a == b }");
    let nan = Value::Float(f64::NAN);
    for (name, left, right, wanted) in [
        ("less", nan.clone(), nan.clone(), Ok(Value::Boolean(false))),
        ("same", nan.clone(), nan.clone(), Ok(Value::Boolean(false))),
        ("same", Value::list(vec![nan.clone()]), Value::list(vec![nan]), Ok(Value::Boolean(false))),
        ("same", Value::Boolean(true), Value::Integer(1), Ok(Value::Boolean(false))),
        ("same", Value::Null, Value::Boolean(false), Ok(Value::Boolean(false))),
        ("same", Value::string("1"), Value::Integer(1), Ok(Value::Boolean(false))),
    ] {
        assert_eq!(call(&program, name, vec![left, right]), wanted);
    }
    let refused = call(&program, "less", vec![Value::string("a"), Value::Integer(1)]).unwrap_err();
    assert!(refused.starts_with("type: ") && refused.contains("string") && refused.contains("integer"), "{refused}");
}
