//! Building lists from other lists, and taking parts of lists and strings.

use num_bigint::BigInt;
use num_traits::{One, Signed, ToPrimitive, Zero};
use triomphe::Arc;

use super::Result;
use super::argument::{self, check_list_length, check_string_bytes, integer, number_text, size, wrong_type};
use crate::error::Error;
use crate::limits::LIST_LENGTH_MAX;
use crate::list::{List, ListBody};
use crate::text::Text;
use crate::value::Value;

/// The integers of a range, as in Python's `range`.
pub(super) fn range(from: &Value, to: &Value, step: &Value) -> Result<Value> {
    let (Value::Integer(from), Value::Integer(to), Value::Integer(step)) = (from, to, step) else {
        return wide_range(from, to, step);
    };
    let (start, end, by) = (i128::from(*from), i128::from(*to), i128::from(*step));
    let distance = if by < 0 { start - end } else { end - start };
    let length = match by.unsigned_abs() {
        0 => return Err(step_is_zero()),
        by => distance.max(0).unsigned_abs().div_ceil(by),
    };
    check_list_length("range", length)?;
    // Only the value after the last one may overflow 64 bits, and it is not made.
    let numbers = (0..length as i64).map(|number| Value::Integer(from.wrapping_add(number.wrapping_mul(*step))));
    Ok(Value::List(0, Arc::new(numbers.collect())))
}

/// A range with a bound that does not fit 64 bits or is not an integer.
#[cold]
fn wide_range(from: &Value, to: &Value, step: &Value) -> Result<Value> {
    let bound = |value: &Value| match value {
        Value::Integer(value) => Ok(BigInt::from(*value)),
        Value::BigInteger(value) => Ok(BigInt::clone(value)),
        other => Err(wrong_type("range", "integers", other)),
    };
    let (start, end, by) = (bound(from)?, bound(to)?, bound(step)?);
    if by.is_zero() {
        return Err(step_is_zero());
    }
    let distance = if by.is_negative() { &start - end } else { end - &start };
    let length = match distance {
        distance if distance.is_positive() => (distance - BigInt::one()) / by.abs() + BigInt::one(),
        _ => BigInt::zero(),
    };
    let Some(length) = length.to_usize().filter(|length| *length <= LIST_LENGTH_MAX) else {
        return Err(Error::limit(format!(
            "`range`: the list would be too long, as a list has at most {LIST_LENGTH_MAX} elements"
        )));
    };
    Ok(Value::list((0..length).map(|number| Value::big_integer(&start + &by * number)).collect()))
}

fn step_is_zero() -> Error {
    Error::of_value("`range` needs a step that is not 0")
}

/// The elements in reverse order.
pub(super) fn reverse(list: &Value) -> Result<Value> {
    let items = argument::list("reverse", list)?;
    Ok(Value::List(0, Arc::new(items.iter().rev().cloned().collect())))
}

/// Pairs of the elements of two lists, as many as the shorter list has.
pub(super) fn zip(left: &Value, right: &Value) -> Result<Value> {
    let (left, right) = (argument::list("zip", left)?, argument::list("zip", right)?);
    let pairs = left.iter().zip(right.iter()).map(|(left, right)| Value::list(vec![left.clone(), right.clone()]));
    Ok(Value::List(0, Arc::new(pairs.collect())))
}

/// Pairs of index and element.
pub(super) fn enumerate(list: &Value) -> Result<Value> {
    let items = argument::list("enumerate", list)?.iter().enumerate();
    let pairs = items.map(|(number, item)| Value::list(vec![Value::Integer(number as i64), item.clone()]));
    Ok(Value::List(0, Arc::new(pairs.collect())))
}

/// The list with nested lists replaced by their elements, one level deep.
pub(super) fn flatten(list: &Value) -> Result<Value> {
    let items = argument::list("flatten", list)?;
    let length: u128 = items.iter().map(|item| item.as_list().map_or(1, List::len) as u128).sum();
    check_list_length("flatten", length)?;
    let mut flat = ListBody::default();
    for item in items.iter() {
        match item.as_list() {
            Some(inner) => flat.extend(inner.iter().cloned()),
            None => flat.push(item.clone()),
        }
    }
    Ok(Value::List(0, Arc::new(flat)))
}

/// Lists of this many elements each; the last one may be shorter.
pub(super) fn chunk(list: &Value, length: &Value) -> Result<Value> {
    let items = argument::list("chunk", list)?;
    let wanted = integer("chunk", "an integer as the length", length)?;
    if wanted < 1 {
        let got = number_text(length);
        return Err(Error::of_value(format!("`chunk` needs a length of at least 1, but got {got}")));
    }
    let wanted = usize::try_from(wanted).unwrap_or(usize::MAX).min(items.len().max(1));
    let starts = (0..items.len()).step_by(wanted);
    Ok(Value::list(starts.map(|start| items.part(start, (start + wanted).min(items.len()))).collect()))
}

/// A slice, as Python's `x[from:to]`. `null` means the beginning or the end.
pub(super) fn slice(of: &Value, from: &Value, to: &Value) -> Result<Value> {
    match of {
        Value::String(text) => {
            let (from, to) = bounds(from, to, text.length())?;
            Ok(Value::String(if to - from == text.length() { Arc::clone(text) } else { Arc::new(text.part(from, to)) }))
        }
        Value::List(start, body) => {
            let list = List::new(*start, body);
            let (from, to) = bounds(from, to, list.len())?;
            // A slice that reaches to the end is a view of the same list.
            if to == list.len() {
                return Ok(Value::List(start + from as u32, Arc::clone(body)));
            }
            Ok(list.part(from, to))
        }
        other => Err(wrong_type("slice", "a list or string", other)),
    }
}

/// The bounds of a slice, with the end not before the beginning.
fn bounds(from: &Value, to: &Value, length: usize) -> Result<(usize, usize)> {
    let place = |bound: &Value, default: usize| match bound {
        Value::Null => Ok(default),
        bound => {
            let index = integer("slice", "integers as its bounds", bound)?;
            let index = if index < 0 { index.saturating_add(length as i64).max(0) } else { index };
            Ok(usize::try_from(index).unwrap_or(usize::MAX).min(length))
        }
    };
    let (from, to) = (place(from, 0)?, place(to, length)?);
    Ok((from, to.max(from)))
}

/// A string or list repeated; empty if `times` is not positive.
pub(super) fn repeat(of: &Value, times: &Value) -> Result<Value> {
    if !matches!(of, Value::String(_) | Value::List(..)) {
        return Err(wrong_type("repeat", "a string or list", of));
    }
    let wanted = "an integer as how many times";
    let times = match super::is_empty(of) {
        // An empty value stays empty, however often it is repeated.
        true => integer("repeat", wanted, times).map(|_| 0)?,
        false => size("repeat", wanted, times)?,
    };
    match of {
        Value::String(text) => {
            check_string_bytes("repeat", text.as_str().len() as u128 * u128::from(times))?;
            Ok(Value::String(Arc::new(Text::repeat(text, times as usize))))
        }
        list => {
            let items = argument::list("repeat", list)?;
            check_list_length("repeat", items.len() as u128 * u128::from(times))?;
            let mut body = ListBody::default();
            if !items.is_empty() {
                (0..times).for_each(|_| body.extend(items.iter().cloned()));
            }
            Ok(Value::List(0, Arc::new(body)))
        }
    }
}
