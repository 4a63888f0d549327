//! Output, sleeping, signals, errors, assertions, the environment.

use std::ffi::OsString;

use hark_bytecode::{Executable, float_text};

use super::argument::{number_text, quoted, text, wrong_type};
use super::{Outcome, Result};
use crate::caught;
use crate::compare;
use crate::display::{short_text, whole_text};
use crate::effect::Host;
use crate::error::Error;
use crate::number;
use crate::value::Value;

/// A failed assertion shows at most this many characters of a value.
const ASSERTED_CHARACTERS_MAX: usize = 200;

pub(super) fn print(value: &mut Value, executable: &Executable, host: &mut impl Host) -> Result<Outcome> {
    let mut text = whole_text("print", value, executable)?;
    text.push('\n');
    let bytes = text.len();
    host.print(text);
    Ok(Outcome::Printed(std::mem::take(value), bytes))
}

pub(super) fn sleep(seconds: &Value) -> Result<Outcome> {
    seconds_of("sleep", seconds)?;
    Ok(Outcome::Sleep(seconds.clone()))
}

/// A duration in seconds: not negative, possibly infinite.
pub(super) fn seconds_of(name: &str, seconds: &Value) -> Result<f64> {
    let length = match seconds {
        Value::Integer(value) => *value as f64,
        Value::Float(value) => *value,
        Value::BigInteger(value) => number::to_float(value).ok_or_else(|| number::too_large_for_float(name, value))?,
        other => return Err(wrong_type(name, "a number of seconds", other)),
    };
    if length.is_nan() || length < 0.0 {
        let got = match seconds {
            Value::Float(_) => float_text(length),
            other => number_text(other),
        };
        return Err(Error::of_value(format!("`{name}` needs a number of seconds that is not negative, but got {got}")));
    }
    Ok(length)
}

pub(super) fn signal(
    kind: &Value,
    message: &mut Value,
    executable: &Executable,
    host: &mut impl Host,
) -> Result<Outcome> {
    let kind = match kind.as_str() {
        Some("error") => return Err(raised("signal", message, Value::Null, executable)),
        Some(kind) => kind,
        None => return Err(wrong_type("signal", "a string as its kind", kind)),
    };
    let text = format!("[signal {kind}]: {}\n", whole_text("signal", message, executable)?);
    let bytes = text.len();
    host.print(text);
    Ok(Outcome::Printed(std::mem::take(message), bytes))
}

/// The error raised by `error`: an error value raised again, or a new one with this message.
pub(super) fn error(value: &Value, executable: &Executable) -> Error {
    let again = if let Value::Hash(error) = value { caught::raised_again(error) } else { None };
    again.unwrap_or_else(|| raised("error", value, Value::Null, executable))
}

/// The error that a program raises; if its message is too long, an error about that.
pub(super) fn raised(builtin: &str, message: &Value, data: Value, executable: &Executable) -> Error {
    match whole_text(builtin, message, executable) {
        Ok(text) => Error::new("error", text).with_data(data),
        Err(too_long) => too_long,
    }
}

/// Asserts a condition, which counts as true or false as in `if`.
pub(super) fn assert(condition: &Value, message: Option<&Value>, executable: &Executable) -> Result<Value> {
    if condition.is_truthy() {
        return Ok(Value::Null);
    }
    Err(match message {
        Some(message) => raised("assert", message, Value::Null, executable),
        None => Error::new("error", format!("`assert` got {}", short_text(condition, executable, 5))),
    })
}

pub(super) fn assert_equal(left: &Value, right: &Value, executable: &Executable) -> Result<Value> {
    if compare::equal(left, right) {
        return Ok(Value::Null);
    }
    let shown = |value| short_text(value, executable, ASSERTED_CHARACTERS_MAX);
    Err(Error::new("error", format!("`assert_equal`: {} does not equal {}", shown(left), shown(right))))
}

/// The value of an environment variable, if it exists.
pub(super) fn environment(name: &Value, host: &mut impl Host) -> Result<Option<Value>> {
    let name = text("env", "a string as the variable's name", name)?.as_str();
    match host.environment(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(Value::string(value))),
        Some(Err(_)) => Err(Error::of_value(format!("`env`: the variable {} is not UTF-8", quoted(name)))),
    }
}
