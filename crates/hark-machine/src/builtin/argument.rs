//! Checks of builtins' arguments, and their error messages.

use hark_bytecode::{shortened, string_text};
use triomphe::Arc;

use super::Result;
use crate::display::integer_text;
use crate::error::Error;
use crate::hash::{HashBody, Key};
use crate::limits::{HASH_LENGTH_MAX, LIST_LENGTH_MAX, STRING_BYTES_MAX};
use crate::list::List;
use crate::number::article;
use crate::text::Text;
use crate::value::Value;

/// The error of an argument of a wrong type.
#[cold]
pub(super) fn wrong_type(name: &str, wanted: &str, got: &Value) -> Error {
    Error::of_type(format!("`{name}` needs {wanted}, but got {}", article(got.type_name())))
}

/// The only or first argument, which must be a list.
#[inline]
pub(super) fn list<'a>(name: &str, value: &'a Value) -> Result<List<'a>> {
    value.as_list().ok_or_else(|| wrong_type(name, "a list", value))
}

/// The only or first argument, which must be a hash.
#[inline]
pub(super) fn hash<'a>(name: &str, value: &'a Value) -> Result<&'a HashBody> {
    match value {
        Value::Hash(body) => Ok(body),
        other => Err(wrong_type(name, "a hash", other)),
    }
}

/// An argument that must be a string.
#[inline]
pub(super) fn text<'a>(name: &str, wanted: &str, value: &'a Value) -> Result<&'a Arc<Text>> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(name, wanted, other)),
    }
}

/// An argument that must be an integer. One that does not fit 64 bits is clamped; every caller has a narrower limit.
#[inline]
pub(super) fn integer(name: &str, wanted: &str, value: &Value) -> Result<i64> {
    match value {
        Value::Integer(value) => Ok(*value),
        Value::BigInteger(big) => Ok(if big.sign() == num_bigint::Sign::Minus { i64::MIN } else { i64::MAX }),
        other => Err(wrong_type(name, wanted, other)),
    }
}

/// An argument that is a length; negative numbers count as 0.
pub(super) fn size(name: &str, wanted: &str, value: &Value) -> Result<u64> {
    match value {
        Value::BigInteger(big) if big.sign() == num_bigint::Sign::Plus => {
            let (most, big) = (STRING_BYTES_MAX, integer_text(big));
            let least = format!("a string has at most {most} bytes, and a list {LIST_LENGTH_MAX} elements");
            Err(Error::limit(format!("`{name}` got an integer that is too large, {big}: {least}")))
        }
        other => Ok(integer(name, wanted, other)?.max(0).unsigned_abs()),
    }
}

/// Checks that a value is valid as a key.
pub(super) fn check_key(name: &str, key: &Value) -> Result<()> {
    match key {
        Value::Float(float) if float.is_nan() => Err(Error::of_value(format!("`{name}`: nan cannot be a key"))),
        key if Key::accepts(key) => Ok(()),
        other => Err(wrong_type(name, "a string, number or boolean as a key", other)),
    }
}

/// Checks an argument of a prelude function: it must be of this type. The text begins the error message.
pub(super) fn need(value: &Value, type_name: &Value, text: &Value) -> Result<Value> {
    let (wanted, text) = (type_name.as_str().unwrap_or_default(), text.as_str().unwrap_or_default());
    if value.type_name() == wanted {
        return Ok(Value::Null);
    }
    Err(Error::of_type(format!("{text}, but got {}", article(value.type_name()))))
}

/// Checks a key argument of a prelude function.
pub(super) fn need_key(key: &Value, name: &Value) -> Result<Value> {
    check_key(name.as_str().unwrap_or_default(), key).map(|()| Value::Null)
}

/// Checks the length of a list before it is made.
#[inline]
pub(super) fn check_list_length(name: &str, length: u128) -> Result<()> {
    if length <= LIST_LENGTH_MAX as u128 {
        return Ok(());
    }
    Err(Error::limit(format!(
        "`{name}`: the list would have {length} elements, and a list has at most {LIST_LENGTH_MAX}"
    )))
}

/// Checks the length of a string before it is made.
#[inline]
pub(super) fn check_string_bytes(name: &str, bytes: u128) -> Result<()> {
    if bytes <= STRING_BYTES_MAX as u128 {
        return Ok(());
    }
    Err(Error::limit(format!(
        "`{name}`: the string would have {bytes} bytes, and a string has at most {STRING_BYTES_MAX}"
    )))
}

/// The error of a hash with too many keys.
#[cold]
pub(super) fn too_many_keys(name: &str) -> Error {
    Error::limit(format!("`{name}`: the hash has {HASH_LENGTH_MAX} keys, which is as many as a hash can have"))
}

/// A string for a message: quoted, and cut if it is long.
pub(super) fn quoted(text: &str) -> String {
    string_text(&shortened(text))
}

/// A number for a message.
pub(super) fn number_text(value: &Value) -> String {
    match value {
        Value::Integer(value) => value.to_string(),
        Value::BigInteger(big) => integer_text(big),
        Value::Float(value) => hark_bytecode::float_text(*value),
        other => other.type_name().to_owned(),
    }
}
