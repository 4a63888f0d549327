//! Compares a value with the expected one.

use hark_bytecode::Executable;
use hark_machine::{HashBody, ObjectBody, Value, literal_text};

use crate::report;

/// The key of a Python object in JSON.
const OBJECT_KEY: &str = "$object";

/// Whether a session's value is the expected one, either itself or in its JSON form, which has no functions and only
/// string keys.
pub fn is_expected(wanted: &Value, got: &Value, executable: &Executable) -> bool {
    same(wanted, got, executable)
        || report::json_of(got, executable).is_some_and(|json| same(wanted, &json, executable))
}

/// Strict equality: distinguishes 4 from 4.0 and -0.0 from 0.0, respects the order of keys, and regards nan as equal to
/// itself. A value without a literal is compared by its text form; a Python object also by its JSON description. The
/// recursion is limited by the depth of the expected value, which is written in a line.
fn same(wanted: &Value, got: &Value, executable: &Executable) -> bool {
    let same = |wanted, got| same(wanted, got, executable);
    match (wanted, got) {
        (Value::String(text), got) if has_no_literal(got) => literal_text(got, executable) == text.as_str(),
        (Value::Hash(wanted), Value::Object(object)) => is_described(object, wanted),
        (Value::Float(wanted), Value::Float(got)) => {
            wanted.is_nan() && got.is_nan() || wanted.to_bits() == got.to_bits()
        }
        (Value::Hash(wanted), Value::Hash(got)) => {
            let (mut wanted, mut got) = (wanted.iter(), got.iter());
            loop {
                match (wanted.next(), got.next()) {
                    (None, None) => return true,
                    (Some(wanted), Some(got)) if same(wanted.0, got.0) && same(wanted.1, got.1) => {}
                    _ => return false,
                }
            }
        }
        _ => match (wanted.as_list(), got.as_list()) {
            (Some(wanted), Some(got)) => {
                wanted.len() == got.len() && wanted.iter().zip(got.iter()).all(|(wanted, got)| same(wanted, got))
            }
            (None, None) => std::mem::discriminant(wanted) == std::mem::discriminant(got) && wanted == got,
            _ => false,
        },
    }
}

fn has_no_literal(value: &Value) -> bool {
    matches!(value.type_name(), "function" | "future" | "object")
}

/// Whether this is `{"$object": {...}}`, and all its entries are true of the object.
fn is_described(object: &ObjectBody, wanted: &HashBody) -> bool {
    let Some(Value::Hash(wanted)) = wanted.get(&Value::string(OBJECT_KEY)).filter(|_| wanted.len() == 1) else {
        return false;
    };
    let object = object.json();
    wanted.iter().all(|(key, wanted)| match key.as_str() {
        Some("type") => wanted.as_str() == Some(object.type_name),
        Some("text") => wanted.as_str() == object.text && (object.text.is_some() || *wanted == Value::Null),
        Some("bytes") => matches!(wanted, Value::Integer(bytes) if usize::try_from(*bytes) == Ok(object.bytes)),
        _ => false,
    })
}

/// Whether two argument lists, both from literals, are the same.
pub fn all_same(some: &[Value], others: &[Value]) -> bool {
    let none = Executable::default();
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| same(one, other, &none))
}

/// Whether the expected value differs only in the order of keys.
pub fn differs_in_order(wanted: &Value, got: &Value) -> bool {
    let is_same = same(wanted, got, &Executable::default());
    wanted == got && wanted.type_name() == got.type_name() && !is_same && same_types(wanted, got)
}

/// Whether two equal values have the same number types at the same places in lists. Hashes are not compared further.
fn same_types(wanted: &Value, got: &Value) -> bool {
    match (wanted.as_list(), got.as_list()) {
        (Some(wanted), Some(got)) => wanted.iter().zip(got.iter()).all(|(wanted, got)| same_types(wanted, got)),
        _ => matches!(wanted, Value::Hash(_)) || same(wanted, got, &Executable::default()),
    }
}
