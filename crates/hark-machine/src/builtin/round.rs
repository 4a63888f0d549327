//! Rounding of floats to integers and to fewer digits. Ties, by the exact value of the float, go to the even neighbor.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{FromPrimitive, Signed, ToPrimitive, Zero};

use super::Result;
use super::argument::{integer, number_text, wrong_type};
use crate::error::Error;
use crate::value::Value;

/// No float has more decimal places than this.
const DIGITS_MAX: i64 = 323;

/// No float has more digits before the decimal point.
const DIGITS_MIN: i64 = -308;

pub(super) fn floor(value: &Value) -> Result<Value> {
    to_integer("floor", value, f64::floor)
}

pub(super) fn ceil(value: &Value) -> Result<Value> {
    to_integer("ceil", value, f64::ceil)
}

pub(super) fn round(value: &Value) -> Result<Value> {
    to_integer("round", value, f64::round_ties_even)
}

fn to_integer(name: &str, value: &Value, round: impl Fn(f64) -> f64) -> Result<Value> {
    match value {
        Value::Integer(_) | Value::BigInteger(_) => Ok(value.clone()),
        Value::Float(float) => whole(name, *float, round(*float)),
        other => Err(wrong_type(name, "a number", other)),
    }
}

/// A float `rounded` from another one to a whole number, as an integer.
pub(super) fn whole(name: &str, from: f64, rounded: f64) -> Result<Value> {
    // The largest 64-bit integer is not a float, but the next float is.
    if (-9.2e18..9.2e18).contains(&rounded) {
        return Ok(Value::Integer(rounded as i64));
    }
    BigInt::from_f64(rounded).map(Value::big_integer).ok_or_else(|| {
        let got = hark_bytecode::float_text(from);
        Error::of_value(format!("`{name}` needs a number that is finite, but got {got}"))
    })
}

/// A number rounded to this many digits after the decimal point; if that is negative, to a power of ten. An integer
/// stays an integer, and a float a float.
pub(super) fn round_to(value: &Value, digits: &Value) -> Result<Value> {
    if !matches!(value, Value::Integer(_) | Value::BigInteger(_) | Value::Float(_)) {
        return Err(wrong_type("round", "a number", value));
    }
    let digits = match digits {
        Value::Null => return round(value),
        digits => integer("round", "an integer as the number of digits", digits)?,
    };
    match value {
        Value::Integer(small) if digits < 0 => Ok(integer_to(&BigInt::from(*small), digits)),
        Value::BigInteger(big) if digits < 0 => Ok(integer_to(big, digits)),
        Value::Float(float) if !float.is_finite() || digits > DIGITS_MAX => Ok(value.clone()),
        Value::Float(float) if digits < DIGITS_MIN => Ok(Value::Float(0.0 * float)),
        Value::Float(float) if digits < 0 => {
            let (whole, has_fraction) = (BigInt::from_f64(float.trunc()).unwrap_or_default(), float.fract() != 0.0);
            let rounded = to_multiple(&whole, digits, has_fraction).to_f64().filter(|rounded| rounded.is_finite());
            match rounded {
                Some(rounded) => Ok(Value::Float(rounded.copysign(*float))),
                None => {
                    let got = number_text(value);
                    Err(Error::of_value(format!("`round`: {got} is too large when it is rounded up")))
                }
            }
        }
        Value::Float(float) => {
            let text = format!("{float:.precision$}", precision = digits as usize);
            Ok(Value::Float(text.parse().unwrap_or(*float)))
        }
        value => Ok(value.clone()),
    }
}

fn integer_to(value: &BigInt, digits: i64) -> Value {
    // That power of ten is more than twice the number.
    if digits.unsigned_abs() > value.bits() / 3 {
        return Value::Integer(0);
    }
    Value::big_integer(to_multiple(value, digits, false))
}

/// The nearest multiple of a power of ten. Ties go to the even one, unless the number has a fraction, which puts it
/// farther from 0 than the integer.
fn to_multiple(value: &BigInt, digits: i64, has_fraction: bool) -> BigInt {
    let unit = BigInt::from(10).pow(u32::try_from(digits.unsigned_abs()).unwrap_or(u32::MAX));
    let (mut quotient, rest) = value.abs().div_rem(&unit);
    let twice = rest * 2;
    if twice > unit || twice == unit && (has_fraction || quotient.is_odd()) {
        quotient += 1;
    }
    let rounded = quotient * unit;
    if value.is_negative() && !rounded.is_zero() { -rounded } else { rounded }
}
