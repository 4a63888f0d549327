//! The text form of values.

use hark_machine::{Value, literal_text, text_of};

use super::support::{call, program};

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

/// Each step at the front once took time proportional to the string's length.
#[test]
fn a_string_is_built_from_its_front_as_from_its_end() {
    let program = program(
        "fn fill(n, s) { if n == 0 { s } else { fill(n - 1, \"0123456789abcdefghijklmnopqrstu\u{e9}\" + s) } }
         fn fill_with_both(n, s) { if n == 0 { s } else { fill_with_both(n - 1, to_string(n % 10) + s + \".\") } }
         fn many(n) { [fill(n, \"!\"), fill_with_both(n, \"|\")] }",
    );
    let built = call(&program, "many", vec![Value::Integer(300_000)]).unwrap();
    let built: Vec<&str> = built.as_list().unwrap().iter().filter_map(Value::as_str).collect();
    let digits: String = (1..=300_000u32).map(|n| char::from_digit(n % 10, 10).unwrap()).collect();
    assert!(built[0] == "0123456789abcdefghijklmnopqrstué".repeat(300_000) + "!");
    assert!(built[1] == digits + "|" + &".".repeat(300_000));
}

/// A string that is changed in place has one owner: all others keep what they had.
#[test]
fn a_string_that_grows_in_front_leaves_others_alone() {
    let program = program(
        "fn grow(n, s, all) { if n == 0 { all } else { s = \"x\" + s; grow(n - 1, s, append(all, s)) } }
         fn twice(s) { [s + s, \"<\" + s, s] }",
    );
    let text = "é".repeat(2_000);
    let all = call(&program, "grow", vec![Value::Integer(3), Value::string(&text), Value::list(vec![])]).unwrap();
    let versions: Vec<String> = (1..=3).map(|n| "x".repeat(n) + &text).collect();
    assert_eq!(all, Value::list(versions.iter().map(Value::string).collect()));
    let twice = call(&program, "twice", vec![Value::string(&text)]).unwrap();
    let texts = [text.repeat(2), format!("<{text}"), text];
    assert_eq!(twice, Value::list(texts.iter().map(Value::string).collect()));
}
