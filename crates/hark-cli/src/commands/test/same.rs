//! When a value is the one that was expected.

use hark_bytecode::Executable;
use hark_machine::Value;

use crate::report;

/// Whether a session's value is the expected one: itself, or as JSON has it, which knows no functions and no keys but strings.
pub fn is_expected(wanted: &Value, got: &Value, executable: &Executable) -> bool {
    same(wanted, got) || report::json_of(got, executable).is_some_and(|json| same(wanted, &json))
}

/// Equality that tells 4 from 4.0 and -0.0 from 0.0, minds the order of keys, and has nan equal itself. It goes no deeper
/// than the expected value, which is written in a line.
fn same(wanted: &Value, got: &Value) -> bool {
    match (wanted, got) {
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

/// Whether these are the same arguments.
pub fn all_same(some: &[Value], others: &[Value]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| same(one, other))
}

/// Whether only the order of keys tells an expected value from another.
pub fn differs_in_order(wanted: &Value, got: &Value) -> bool {
    wanted == got && wanted.type_name() == got.type_name() && !same(wanted, got) && same_types(wanted, got)
}

/// Whether two equal values have numbers of the same types in the same places of lists. Hashes are taken as they are.
fn same_types(wanted: &Value, got: &Value) -> bool {
    match (wanted.as_list(), got.as_list()) {
        (Some(wanted), Some(got)) => wanted.iter().zip(got.iter()).all(|(wanted, got)| same_types(wanted, got)),
        _ => matches!(wanted, Value::Hash(_)) || same(wanted, got),
    }
}
