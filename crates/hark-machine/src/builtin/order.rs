//! Sorting, and other operations based on the order of values.
//!
//! Lists of numbers or of strings, by far the most frequent, are sorted by the standard library. Lists of lists may
//! hold pairs without an order, which only a comparison reveals, and nan. They are sorted by our own merge sort, which
//! copes with both.

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

/// Sorts the elements stably.
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

/// Sorts the elements of a list by keys in another list of the same length.
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

/// Groups the elements of a list by keys in another list of the same length.
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

/// Checks that two lists have the same length.
fn paired<'a>(name: &str, list: &'a Value, keys: &'a Value) -> Result<(List<'a>, List<'a>)> {
    let (items, keys) = (argument::list(name, list)?, argument::list(name, keys)?);
    if items.len() != keys.len() {
        let (length, count) = (items.len(), keys.len());
        return Err(Error::of_value(format!("`{name}` needs as many keys as elements, not {count} for {length}")));
    }
    Ok((items, keys))
}

/// The first smallest element.
pub(super) fn min(list: &Value) -> Result<Value> {
    extreme("min", list, |item, best| is_before("min", item, best))
}

/// The first largest element.
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

/// The element types of a list, as far as they matter for sorting.
enum Kind {
    Integers,
    /// Integers of any size, and floats.
    Numbers,
    Strings,
    Others,
}

/// # Errors
/// If two elements have types without an order between them.
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

/// The order of two numbers; nan comes last.
fn number_order(left: &Value, right: &Value) -> Ordering {
    compare::compare_numbers(left, right).unwrap_or_else(|| is_nan(left).cmp(&is_nan(right)))
}

/// The order by code points, which is the same as by UTF-8 bytes.
fn text_order(left: &Value, right: &Value) -> Ordering {
    left.as_str().cmp(&right.as_str())
}

fn is_before(name: &str, left: &Value, right: &Value) -> Result<bool> {
    let order = compare::order(left, right).map_err(|(left, right)| no_order(name, left, right))?;
    Ok(order == Some(Ordering::Less))
}

/// Sorts the elements, moved out of the list if it is not shared.
fn sorted_by(list: &mut Value, sort: impl FnOnce(&mut Vec<Value>)) -> Result<Value> {
    let Value::List(start, body) = list else { return Err(wrong_type("sort", "a list", list)) };
    let mut items = match Arc::get_mut(body) {
        Some(own) => own.take_items(*start as usize),
        None => List::new(*start, body).iter().cloned().collect(),
    };
    sort(&mut items);
    Ok(Value::List(0, Arc::new(ListBody::from_items(items))))
}

/// Runs of this length are sorted by insertion, which is faster than merging.
const RUN: usize = 16;

/// Sorts stably by a comparison that may fail and need not be a total order.
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
            // Runs that are already in order are only copied.
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
