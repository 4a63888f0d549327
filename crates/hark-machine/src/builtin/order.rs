//! Sorting, and what else goes by the order of values.
//!
//! Lists of numbers and of strings, which are nearly all, are sorted by the standard library. Lists of lists have pairs
//! that have no order, which only comparing them tells, and may hold nan: these are merged here, which bears with both.

use std::cmp::Ordering;
use std::mem;

use triomphe::Arc;

use super::Result;
use super::argument::{self, wrong_type};
use crate::compare;
use crate::error::Error;
use crate::hash::{HashBody, Key};
use crate::list::{List, ListBody};
use crate::number::article;
use crate::value::Value;

/// The elements in their order; equal ones stay in the order that they were in.
pub(super) fn sort(list: &mut Value) -> Result<Value> {
    let items = argument::list("sort", list)?;
    match kind("sort", items)? {
        Kind::Integers => {
            let mut numbers: Vec<i64> = items.rows().flatten().filter_map(small).collect();
            numbers.sort_unstable();
            Ok(Value::List(0, Arc::new(numbers.into_iter().map(Value::Integer).collect())))
        }
        Kind::Numbers => sorted_by(list, |items| items.sort_by(number_order)),
        Kind::Strings => sorted_by(list, |items| items.sort_by(text_order)),
        Kind::Others => {
            let mut sorted: Vec<&Value> = items.iter().collect();
            merge_sort(&mut sorted, |left, right| is_before("sort", left, right))?;
            Ok(Value::List(0, Arc::new(sorted.into_iter().cloned().collect())))
        }
    }
}

/// The elements of a list in the order of what stands in another list at their places.
pub(super) fn sort_by_keys(list: &Value, keys: &Value) -> Result<Value> {
    let name = "sort_by";
    let (items, keys) = paired(name, list, keys)?;
    let mut order: Vec<u32> = (0..items.len() as u32).collect();
    let key = |index: &u32| keys.get(*index as usize).unwrap_or(&Value::Null);
    match kind(name, keys)? {
        Kind::Integers => {
            let mut pairs: Vec<(i64, u32)> = keys.rows().flatten().filter_map(small).zip(0..).collect();
            pairs.sort_unstable();
            order = pairs.into_iter().map(|(_, index)| index).collect();
        }
        Kind::Numbers => order.sort_by(|left, right| number_order(key(left), key(right))),
        Kind::Strings => order.sort_by(|left, right| text_order(key(left), key(right))),
        Kind::Others => merge_sort(&mut order, |left, right| is_before(name, key(left), key(right)))?,
    }
    let sorted = order.into_iter().filter_map(|index| items.get(index as usize)).cloned();
    Ok(Value::List(0, Arc::new(sorted.collect())))
}

/// A hash from what stands in another list to the elements of a list that stand at its places.
pub(super) fn group_by_keys(list: &Value, keys: &Value) -> Result<Value> {
    let name = "group_by";
    let (items, keys) = paired(name, list, keys)?;
    let (mut numbers, mut groups) = (HashBody::default(), Vec::<(Value, Vec<Value>)>::new());
    for (item, key) in items.iter().zip(keys.iter()) {
        match numbers.get(key) {
            Some(Value::Integer(number)) => groups[*number as usize].1.push(item.clone()),
            _ => {
                argument::check_key(name, key)?;
                if let Ok(key) = Key::new(key.clone()) {
                    numbers.insert(key, Value::Integer(groups.len() as i64));
                }
                groups.push((key.clone(), vec![item.clone()]));
            }
        }
    }
    let mut grouped = HashBody::default();
    for (key, items) in groups {
        if let Ok(key) = Key::new(key) {
            grouped.insert(key, Value::list(items));
        }
    }
    Ok(Value::Hash(Arc::new(grouped)))
}

/// Two lists of the same length.
fn paired<'a>(name: &str, list: &'a Value, keys: &'a Value) -> Result<(List<'a>, List<'a>)> {
    let (items, keys) = (argument::list(name, list)?, argument::list(name, keys)?);
    if items.len() != keys.len() {
        let (length, count) = (items.len(), keys.len());
        return Err(Error::of_value(format!("`{name}` needs as many keys as elements, not {count} for {length}")));
    }
    Ok((items, keys))
}

/// The first of the smallest elements.
pub(super) fn min(list: &Value) -> Result<Value> {
    extreme("min", list, |item, best| is_before("min", item, best))
}

/// The first of the largest elements.
pub(super) fn max(list: &Value) -> Result<Value> {
    extreme("max", list, |item, best| is_before("max", best, item))
}

fn extreme(name: &str, list: &Value, is_better: impl Fn(&Value, &Value) -> Result<bool>) -> Result<Value> {
    let mut items = argument::list(name, list)?.rows().flatten();
    let Some(mut best) = items.next() else {
        return Err(Error::of_value(format!("`{name}`: the list is empty")));
    };
    for item in items {
        if is_better(item, best)? {
            best = item;
        }
    }
    Ok(best.clone())
}

/// What a list consists of, as far as it matters for its order.
enum Kind {
    Integers,
    /// Integers of any size, and floats.
    Numbers,
    Strings,
    Others,
}

/// # Errors
/// If two elements are of types that have no order between them.
fn kind(name: &str, list: List<'_>) -> Result<Kind> {
    let Some(first) = list.get(0) else { return Ok(Kind::Integers) };
    if list.rows().flatten().all(|item| matches!(item, Value::Integer(_))) {
        return Ok(Kind::Integers);
    }
    let rank = |value: &Value| match value {
        Value::Integer(_) | Value::BigInteger(_) | Value::Float(_) => Some(0),
        Value::String(_) => Some(1),
        Value::List(..) => Some(2),
        _ => None,
    };
    if list.len() == 1 {
        return Ok(Kind::Others);
    }
    let first_rank = rank(first);
    let second =
        if first_rank.is_none() { list.get(1) } else { list.rows().flatten().find(|item| rank(item) != first_rank) };
    if let Some(second) = second {
        return Err(no_order(name, first, second));
    }
    Ok(match first {
        Value::String(_) => Kind::Strings,
        Value::List(..) => Kind::Others,
        _ => Kind::Numbers,
    })
}

fn no_order(name: &str, left: &Value, right: &Value) -> Error {
    let (left, right) = (article(left.type_name()), article(right.type_name()));
    Error::of_type(format!("`{name}` needs numbers only, strings only or lists only, but got {left} and {right}"))
}

fn small(value: &Value) -> Option<i64> {
    if let Value::Integer(value) = value { Some(*value) } else { None }
}

fn is_nan(value: &Value) -> bool {
    matches!(value, Value::Float(float) if float.is_nan())
}

/// The order of two numbers, with nan behind all others.
fn number_order(left: &Value, right: &Value) -> Ordering {
    compare::compare_numbers(left, right).unwrap_or_else(|| is_nan(left).cmp(&is_nan(right)))
}

/// By code points, which is the order of their bytes in UTF-8.
fn text_order(left: &Value, right: &Value) -> Ordering {
    left.as_str().cmp(&right.as_str())
}

fn is_before(name: &str, left: &Value, right: &Value) -> Result<bool> {
    let order = compare::order(left, right).map_err(|(left, right)| no_order(name, left, right))?;
    Ok(order == Some(Ordering::Less))
}

/// Sorts a list that is taken if nobody else holds it.
fn sorted_by(list: &mut Value, sort: impl FnOnce(&mut Vec<Value>)) -> Result<Value> {
    let Value::List(start, body) = list else { return Err(wrong_type("sort", "a list", list)) };
    let mut items = match Arc::get_mut(body) {
        Some(own) => own.take_items(*start as usize),
        None => List::new(*start, body).iter().cloned().collect(),
    };
    sort(&mut items);
    Ok(Value::List(0, Arc::new(ListBody::from_items(items))))
}

/// So many elements are sorted by insertion: to merge them would take longer.
const RUN: usize = 16;

/// Sorts stably by an order that may fail, and need not be one.
fn merge_sort<T: Copy>(items: &mut Vec<T>, is_before: impl Fn(&T, &T) -> Result<bool>) -> Result<()> {
    for run in items.chunks_mut(RUN) {
        for end in 1..run.len() {
            let mut at = end;
            while at > 0 && is_before(&run[at], &run[at - 1])? {
                run.swap(at, at - 1);
                at -= 1;
            }
        }
    }
    let mut merged: Vec<T> = Vec::with_capacity(items.len());
    let mut width = RUN;
    while width < items.len() {
        merged.clear();
        for both in items.chunks(width * 2) {
            let (mut left, mut right) = both.split_at(width.min(both.len()));
            // A list that is in order already is only copied.
            if let (Some(last), Some(second)) = (left.last(), right.first())
                && !is_before(second, last)?
            {
                merged.extend_from_slice(both);
                continue;
            }
            while let (Some(first), Some(second)) = (left.first(), right.first()) {
                if is_before(second, first)? {
                    merged.push(*second);
                    right = &right[1..];
                } else {
                    merged.push(*first);
                    left = &left[1..];
                }
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        mem::swap(items, &mut merged);
        width *= 2;
    }
    Ok(())
}
