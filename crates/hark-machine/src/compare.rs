//! Equality and order of values. Neither recurses natively, so nesting has no limit.

use std::cmp::Ordering;

use hark_bytecode::Operator;
use num_bigint::BigInt;
use num_traits::FromPrimitive;
use triomphe::Arc;

use crate::value::Value;

/// `==` of the language: numbers by value, lists and hashes by content, hashes whatever their order.
pub fn equal(left: &Value, right: &Value) -> bool {
    // Most values hold no others, and need no list of what is left to compare.
    if !left.is_container() {
        return equal_atoms(left, right);
    }
    let mut open = vec![(left, right)];
    while let Some((left, right)) = open.pop() {
        let same = match (left, right) {
            (Value::List(left_start, left_body), Value::List(right_start, right_body)) => {
                // A value that holds nan is not equal to itself, so sharing proves nothing; but it saves the work
                // where lengths differ already.
                if left_start == right_start && Arc::ptr_eq(left_body, right_body) && !may_hold_nan(left) {
                    continue;
                }
                let (Some(left), Some(right)) = (left.as_list(), right.as_list()) else { return false };
                if left.len() != right.len() {
                    return false;
                }
                open.extend(left.iter().zip(right.iter()));
                continue;
            }
            (Value::Hash(left), Value::Hash(right)) => {
                if left.len() != right.len() {
                    return false;
                }
                for (key, value) in left.iter() {
                    match right.get(key) {
                        Some(other) => open.push((value, other)),
                        None => return false,
                    }
                }
                continue;
            }
            (left, right) => equal_atoms(left, right),
        };
        if !same {
            return false;
        }
    }
    true
}

/// Only lists of integers and strings are cheap to be sure about.
fn may_hold_nan(list: &Value) -> bool {
    list.as_list().is_some_and(|list| list.iter().any(|item| !matches!(item, Value::Integer(_) | Value::String(_))))
}

/// Whether `left operator right`, if the operator is a comparison.
#[inline(always)]
pub fn integers(operator: Operator, left: i64, right: i64) -> Option<bool> {
    Some(match operator {
        Operator::Equal => left == right,
        Operator::NotEqual => left != right,
        Operator::Less => left < right,
        Operator::LessOrEqual => left <= right,
        Operator::Greater => left > right,
        Operator::GreaterOrEqual => left >= right,
        _ => return None,
    })
}

fn equal_atoms(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Boolean(left), Value::Boolean(right)) => left == right,
        (Value::String(left), Value::String(right)) => left.as_str() == right.as_str(),
        (Value::Function(left), Value::Function(right)) => left == right,
        (Value::Foreign(left), Value::Foreign(right)) => left == right,
        (Value::Builtin(left), Value::Builtin(right)) => left == right,
        (Value::Operator(left), Value::Operator(right)) => left == right,
        (Value::Future(left), Value::Future(right)) => left == right,
        (Value::Promise(left), Value::Promise(right)) => left == right,
        (left, right) => compare_numbers(left, right) == Some(Ordering::Equal),
    }
}

/// The order of two numbers, exactly, also between an integer and a float. `None` if one is nan or no number.
pub fn compare_numbers(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::BigInteger(left), Value::BigInteger(right)) => Some(left.cmp(right)),
        (Value::Integer(_), Value::BigInteger(right)) => Some(order_of_sign(right).reverse()),
        (Value::BigInteger(left), Value::Integer(_)) => Some(order_of_sign(left)),
        (Value::Integer(left), Value::Float(right)) => compare_with_float(&BigInt::from(*left), *right),
        (Value::BigInteger(left), Value::Float(right)) => compare_with_float(left, *right),
        (Value::Float(_), Value::Integer(_) | Value::BigInteger(_)) => {
            compare_numbers(right, left).map(Ordering::reverse)
        }
        _ => None,
    }
}

/// How a big integer stands to every small one.
fn order_of_sign(big: &BigInt) -> Ordering {
    if big.sign() == num_bigint::Sign::Minus { Ordering::Less } else { Ordering::Greater }
}

fn compare_with_float(integer: &BigInt, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    if float.is_infinite() {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    let whole = BigInt::from_f64(float.trunc())?;
    let remainder = float.fract();
    // Equal up to the point: what stands behind it decides.
    Some(integer.cmp(&whole).then(0.0.partial_cmp(&remainder)?))
}

/// The order of two values for `<` and its kin.
///
/// # Errors
/// If a pair of elements that decides has no order: the two values of that pair.
pub fn order<'a>(left: &'a Value, right: &'a Value) -> Result<Option<Ordering>, (&'a Value, &'a Value)> {
    let mut open = vec![Pair::of(left, right)];
    while let Some(pair) = open.pop() {
        let decided = match pair {
            Pair::Values(left, right) => match (left, right) {
                (Value::List(..), Value::List(..)) => {
                    open.push(Pair::Elements(left, right, 0));
                    continue;
                }
                (Value::String(left), Value::String(right)) => Some(left.as_str().cmp(right.as_str())),
                (Value::Null, Value::Null) if !open.is_empty() => Some(Ordering::Equal),
                (left, right) if is_number(left) && is_number(right) => compare_numbers(left, right),
                // Inside lists, elements that are equal need no order, as in Python.
                (left, right) if !open.is_empty() && equal(left, right) => Some(Ordering::Equal),
                (left, right) => return Err((left, right)),
            },
            Pair::Elements(left, right, index) => {
                let (Some(left_list), Some(right_list)) = (left.as_list(), right.as_list()) else { continue };
                match (left_list.get(index), right_list.get(index)) {
                    (Some(left_item), Some(right_item)) => {
                        open.push(Pair::Elements(left, right, index + 1));
                        open.push(Pair::of(left_item, right_item));
                        continue;
                    }
                    (None, None) => Some(Ordering::Equal),
                    (None, Some(_)) => Some(Ordering::Less),
                    (Some(_), None) => Some(Ordering::Greater),
                }
            }
        };
        if decided != Some(Ordering::Equal) {
            return Ok(decided);
        }
    }
    Ok(Some(Ordering::Equal))
}

enum Pair<'a> {
    Values(&'a Value, &'a Value),
    /// Two lists, equal before this index.
    Elements(&'a Value, &'a Value, usize),
}

impl<'a> Pair<'a> {
    fn of(left: &'a Value, right: &'a Value) -> Pair<'a> {
        Pair::Values(left, right)
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Float(_) | Value::BigInteger(_))
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        equal(self, other)
    }
}
