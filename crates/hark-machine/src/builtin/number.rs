//! Conversion of text to numbers, and arithmetic functions.

use hark_bytecode::Operator;
use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive};
use triomphe::Arc;

use super::Result;
use super::argument::{self, number_text, quoted, wrong_type};
use crate::error::Error;
use crate::limits::{DECIMAL_BITS_MAX, INTEGER_BITS_MAX};
use crate::number::{self, article};
use crate::parse::{self, IntegerText};
use crate::value::Value;

/// Converts a number or text to a float.
pub(super) fn float(name: &str, value: &Value) -> Result<Value> {
    match value {
        Value::String(text) => match parse::float_from(text.as_str()) {
            Some(float) => Ok(Value::Float(float)),
            None => {
                let shown = quoted(text.as_str());
                Err(Error::of_value(format!("`{name}` needs the text of a number, but got {shown}")))
            }
        },
        value => to_float(name, "a string or number", value).map(Value::Float),
    }
}

/// Converts a text to an integer, or truncates a number.
pub(super) fn int(name: &str, value: &Value) -> Result<Value> {
    match value {
        Value::Integer(_) | Value::BigInteger(_) => Ok(value.clone()),
        Value::Float(float) => super::round::whole(name, *float, float.trunc()),
        Value::String(text) => match parse::integer_from(text.as_str()) {
            IntegerText::Integer(value) => Ok(value),
            IntegerText::TooLong => Err(Error::limit(format!(
                "`{name}`: an integer of more than {DECIMAL_BITS_MAX} bits is not read from its digits"
            ))),
            IntegerText::Other => {
                let shown = quoted(text.as_str());
                Err(Error::of_value(format!("`{name}` needs the text of an integer, but got {shown}")))
            }
        },
        other => Err(wrong_type(name, "a string or number", other)),
    }
}

/// The argument as a float.
pub(super) fn to_float(name: &str, wanted: &str, value: &Value) -> Result<f64> {
    match value {
        Value::Float(float) => Ok(*float),
        Value::Integer(integer) => Ok(*integer as f64),
        Value::BigInteger(big) => number::to_float(big).ok_or_else(|| number::too_large_for_float(name, big)),
        other => Err(wrong_type(name, wanted, other)),
    }
}

pub(super) fn abs(value: &Value) -> Result<Value> {
    match value {
        Value::Integer(small) => match small.checked_abs() {
            Some(value) => Ok(Value::Integer(value)),
            None => Ok(Value::big_integer(BigInt::from(*small).abs())),
        },
        Value::BigInteger(big) if big.is_negative() => Ok(Value::BigInteger(Arc::new(big.abs()))),
        Value::BigInteger(_) => Ok(value.clone()),
        Value::Float(float) => Ok(Value::Float(float.abs())),
        other => Err(wrong_type("abs", "a number", other)),
    }
}

/// The square root, as a float.
pub(super) fn sqrt(value: &Value) -> Result<Value> {
    let float = to_float("sqrt", "a number", value)?;
    if float < 0.0 {
        let got = number_text(value);
        return Err(Error::of_value(format!("`sqrt` needs a number that is not negative, but got {got}")));
    }
    Ok(Value::Float(float.sqrt()))
}

/// A power. Of integers it is an integer, unless the exponent is negative.
pub(super) fn pow(base: &Value, exponent: &Value) -> Result<Value> {
    let big = |value: &Value| match value {
        Value::Integer(value) => Some(BigInt::from(*value)),
        Value::BigInteger(value) => Some(BigInt::clone(value)),
        _ => None,
    };
    if let (Some(base), Some(exponent)) = (big(base), big(exponent))
        && !exponent.is_negative()
    {
        return integer_power(base, &exponent);
    }
    let (left, right) = (to_float("pow", "two numbers", base)?, to_float("pow", "two numbers", exponent)?);
    if left == 0.0 && right < 0.0 && right.is_finite() {
        return Err(Error::new("zero", format!("`pow`: 0 has no power of {}", number_text(exponent))));
    }
    let power = left.powf(right);
    if power.is_nan() && !left.is_nan() && !right.is_nan() {
        let (base, exponent) = (number_text(base), number_text(exponent));
        return Err(Error::of_value(format!("`pow`: {base} has no real power of {exponent}")));
    }
    if power.is_infinite() && left.is_finite() && right.is_finite() {
        let (base, exponent) = (number_text(base), number_text(exponent));
        return Err(Error::limit(format!("`pow`: {base} to the power of {exponent} is too large for a float")));
    }
    Ok(Value::Float(power))
}

fn integer_power(base: BigInt, exponent: &BigInt) -> Result<Value> {
    // Powers of -1, 0 and 1 never grow, so only the parity of the exponent matters.
    let Some(times) = exponent.to_u32().or_else(|| (base.bits() <= 1).then(|| 2 + u32::from(exponent.bit(0)))) else {
        return Err(too_large(&base, exponent));
    };
    // A base of `n` bits is at least 2 to the power of `n - 1`.
    let bits_min = (base.bits().saturating_sub(1)).saturating_mul(u64::from(times)) + 1;
    if bits_min > INTEGER_BITS_MAX {
        return Err(too_large(&base, exponent));
    }
    let power = base.pow(times);
    if power.bits() > INTEGER_BITS_MAX {
        return Err(too_large(&base, exponent));
    }
    Ok(Value::big_integer(power))
}

fn too_large(base: &BigInt, exponent: &BigInt) -> Error {
    let (bits, exponent) = (base.bits(), crate::display::integer_text(exponent));
    Error::limit(format!(
        "`pow`: an integer of {bits} bits to the power of {exponent} is too large, as an integer has at most {INTEGER_BITS_MAX} bits"
    ))
}

/// The sum of a list of numbers, from left to right.
pub(super) fn sum(list: &Value) -> Result<Value> {
    let mut total = Value::Integer(0);
    for (number, item) in argument::list("sum", list)?.rows().flatten().enumerate() {
        total = match (&total, item) {
            (Value::Integer(left), Value::Integer(right)) => match left.checked_add(*right) {
                Some(sum) => Value::Integer(sum),
                None => Value::big_integer(BigInt::from(*left) + right),
            },
            (Value::Float(left), Value::Float(right)) => Value::Float(left + right),
            (left, Value::Integer(_) | Value::BigInteger(_) | Value::Float(_)) => {
                number::arithmetic(Operator::Add, left, item).map_err(|error| named(&error))?
            }
            (_, other) => {
                let got = article(other.type_name());
                return Err(Error::of_type(format!("`sum` needs a list of numbers, but item {number} is {got}")));
            }
        };
    }
    Ok(total)
}

/// An error of `+`, reported as an error of `sum`.
fn named(error: &Error) -> Error {
    Error::new(&error.kind, format!("`sum`: {}", error.message))
}
