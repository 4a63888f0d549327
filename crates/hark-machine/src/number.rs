//! Arithmetic outside the interpreter's fast paths: big integers, mixed numbers, overflow, errors.

use hark_bytecode::Operator;
use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, ToPrimitive, Zero};

use crate::display::integer_text;
use crate::error::Error;
use crate::limits::INTEGER_BITS_MAX;
use crate::value::Value;

/// Two numbers converted to a common type.
enum Pair {
    Small(i64, i64),
    Big(BigInt, BigInt),
    Floats(f64, f64),
}

/// `left operator right` for two numbers and one of `+ - * / %`.
///
/// # Errors
/// If an operand is not a number, for a division by zero, and if an integer would become too large.
pub(crate) fn arithmetic(operator: Operator, left: &Value, right: &Value) -> Result<Value, Error> {
    let Some(pair) = pair(operator, left, right)? else { return Err(type_error(operator, left, right)) };
    let divides = matches!(operator, Operator::Divide | Operator::Modulo);
    match pair {
        Pair::Small(_, 0) if divides => Err(by_zero(operator)),
        Pair::Small(left, right) => small(operator, left, right),
        Pair::Big(_, right) if divides && right.is_zero() => Err(by_zero(operator)),
        Pair::Big(left, right) => big(operator, &left, &right),
        Pair::Floats(_, 0.0) if divides => Err(by_zero(operator)),
        Pair::Floats(left, right) => Ok(Value::Float(floats(operator, left, right))),
    }
}

/// `-value`.
///
/// # Errors
/// If it is not a number.
pub(crate) fn negate(value: &Value) -> Result<Value, Error> {
    match value {
        Value::Integer(small) => match small.checked_neg() {
            Some(negated) => Ok(Value::Integer(negated)),
            None => Ok(Value::big_integer(-BigInt::from(*small))),
        },
        Value::BigInteger(big) => Ok(Value::big_integer(-BigInt::clone(big))),
        Value::Float(float) => Ok(Value::Float(-float)),
        other => Err(Error::of_type(format!("`-` needs a number, but got {}", article(other.type_name())))),
    }
}

/// The remainder with the sign of the divisor, as Python's `%`.
pub(crate) fn float_modulo(left: f64, right: f64) -> f64 {
    let remainder = left % right;
    if remainder == 0.0 {
        return 0.0f64.copysign(right);
    }
    if (remainder < 0.0) == (right < 0.0) { remainder } else { remainder + right }
}

/// The float nearest to an integer; `None` if the integer exceeds the largest float.
pub(crate) fn to_float(big: &BigInt) -> Option<f64> {
    big.to_f64().filter(|float| float.is_finite())
}

/// The error of a builtin that needs an integer as a float.
#[cold]
pub(crate) fn too_large_for_float(name: &str, big: &BigInt) -> Error {
    let big = integer_text(big);
    Error::limit(format!("`{name}`: the integer {big} is too large to become a float"))
}

/// The error of an operator whose other operand is a float.
#[cold]
fn too_large_operand(operator: Operator, left: &Value, right: &Value) -> Error {
    let (symbol, types) = (operator.symbol(), [left, right].map(|operand| article(operand.type_name())).join(" and "));
    let big = match (left, right) {
        (Value::BigInteger(big), _) | (_, Value::BigInteger(big)) => integer_text(big),
        _ => String::new(),
    };
    Error::limit(format!("`{symbol}` got {types}, but the integer {big} is too large to become a float"))
}

/// "a string", "an integer".
pub(crate) fn article(noun: &str) -> String {
    let article = if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    if noun == "null" { noun.to_owned() } else { format!("{article} {noun}") }
}

fn pair(operator: Operator, left: &Value, right: &Value) -> Result<Option<Pair>, Error> {
    let float = |big: &BigInt| to_float(big).ok_or_else(|| too_large_operand(operator, left, right));
    Ok(Some(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Pair::Small(*left, *right),
        (Value::Float(left), Value::Float(right)) => Pair::Floats(*left, *right),
        (Value::Integer(left), Value::Float(right)) => Pair::Floats(*left as f64, *right),
        (Value::Float(left), Value::Integer(right)) => Pair::Floats(*left, *right as f64),
        (Value::BigInteger(left), Value::Float(right)) => Pair::Floats(float(left)?, *right),
        (Value::Float(left), Value::BigInteger(right)) => Pair::Floats(*left, float(right)?),
        (Value::BigInteger(left), Value::BigInteger(right)) => Pair::Big(BigInt::clone(left), BigInt::clone(right)),
        (Value::BigInteger(left), Value::Integer(right)) => Pair::Big(BigInt::clone(left), BigInt::from(*right)),
        (Value::Integer(left), Value::BigInteger(right)) => Pair::Big(BigInt::from(*left), BigInt::clone(right)),
        _ => return Ok(None),
    }))
}

fn small(operator: Operator, left: i64, right: i64) -> Result<Value, Error> {
    let result = match operator {
        Operator::Add => left.checked_add(right),
        Operator::Subtract => left.checked_sub(right),
        Operator::Multiply => left.checked_mul(right),
        Operator::Divide => left.checked_div(right),
        // `i64::MIN % -1` overflows in hardware; its value is 0.
        _ => Some(
            left.checked_rem(right)
                .map_or(0, |rest| if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }),
        ),
    };
    match result {
        Some(value) => Ok(Value::Integer(value)),
        None => big(operator, &BigInt::from(left), &BigInt::from(right)),
    }
}

fn big(operator: Operator, left: &BigInt, right: &BigInt) -> Result<Value, Error> {
    check_bits(operator, left, right)?;
    Ok(Value::big_integer(match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => {
            let quotient = left.abs() / right.abs();
            if left.is_negative() == right.is_negative() { quotient } else { -quotient }
        }
        _ => left.mod_floor(right),
    }))
}

/// Checks that the result is not too large, by an upper bound of its size.
fn check_bits(operator: Operator, left: &BigInt, right: &BigInt) -> Result<(), Error> {
    let (left_bits, right_bits) = (left.bits(), right.bits());
    let most = match operator {
        Operator::Multiply => left_bits + right_bits,
        Operator::Add | Operator::Subtract => left_bits.max(right_bits) + 1,
        _ => return Ok(()),
    };
    if most <= INTEGER_BITS_MAX {
        return Ok(());
    }
    let symbol = operator.symbol();
    let problem = format!("the integers have {left_bits} and {right_bits} bits");
    Err(Error::limit(format!("`{symbol}`: {problem}, and an integer has at most {INTEGER_BITS_MAX}")))
}

fn floats(operator: Operator, left: f64, right: f64) -> f64 {
    match operator {
        Operator::Add => left + right,
        Operator::Subtract => left - right,
        Operator::Multiply => left * right,
        Operator::Divide => left / right,
        _ => float_modulo(left, right),
    }
}

fn by_zero(operator: Operator) -> Error {
    let what = if operator == Operator::Divide { "division" } else { "modulo" };
    Error::new("zero", format!("`{}`: {what} by zero", operator.symbol()))
}

fn type_error(operator: Operator, left: &Value, right: &Value) -> Error {
    let wanted = match operator {
        Operator::Add => "two numbers, two strings or two lists",
        _ => "two numbers",
    };
    Error::of_type(format!(
        "`{}` needs {wanted}, but got {} and {}",
        operator.symbol(),
        article(left.type_name()),
        article(right.type_name())
    ))
}
