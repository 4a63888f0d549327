//! The text form of values.

use hark_machine::{Value, literal_text, text_of};

use super::support::program;

#[track_caller]
fn check(value: &Value, text: &str) {
    let program = program("fn main() { 1 }");
    assert_eq!(literal_text(value, program.executable()), text);
}

#[test]
fn numbers() {
    for (float, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e16, "1e+16"),
        (123456789012345680.0, "1.2345678901234568e+17"),
        (9999999999999998.0, "9999999999999998.0"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (5e-324, "5e-324"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ] {
        check(&Value::Float(float), text);
    }
    check(&Value::Integer(i64::MIN), "-9223372036854775808");
    check(&Value::big_integer(num_bigint::BigInt::from(i64::MAX) + 1), "9223372036854775808");
}

#[test]
fn strings_are_as_they_are_only_on_their_own() {
    let text = Value::string("a\"\\\n\r\t\u{1}\u{7f}é☃");
    let program = program("fn main() { 1 }");
    assert_eq!(text_of(&text, program.executable()), "a\"\\\n\r\t\u{1}\u{7f}é☃");
    check(&text, "\"a\\\"\\\\\\n\\r\\t\\x01\\x7fé☃\"");
    check(&Value::list(vec![text]), "[\"a\\\"\\\\\\n\\r\\t\\x01\\x7fé☃\"]");
}

#[test]
fn nesting_has_no_limit() {
    let mut value = Value::list(Vec::new());
    for _ in 0..1_000_000 {
        value = Value::list(vec![value]);
    }
    check(&value, &format!("{}{}", "[".repeat(1_000_001), "]".repeat(1_000_001)));
    assert!(value == value.clone());
}
