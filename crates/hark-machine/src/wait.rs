//! Waiting: which Futures a value holds, and what becomes of it when they have values.
//!
//! Neither recurses natively, and what values share is looked at once, so that the time is by what there is in memory.

use std::collections::{HashMap, HashSet};

use smallvec::{SmallVec, smallvec};
use triomphe::Arc;

use crate::effect::{Awaited, Until, Wait};
use crate::error::Error;
use crate::hash::Key;
use crate::size::{Children, shared_body};
use crate::value::Value;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
type Set<K> = HashSet<K, foldhash::fast::RandomState>;

/// The Future that this value is.
#[inline]
pub(crate) fn awaited(value: &Value) -> Option<Awaited> {
    match value {
        Value::Future(number) => Some(Awaited::Thread(*number)),
        Value::Promise(id) => Some(Awaited::Promise(id.to_string())),
        _ => None,
    }
}

/// What `await value` waits for: a Future, or every Future in a list or hash, however deep.
pub(crate) fn all(value: &Value, timeout: Option<f64>) -> Option<Wait> {
    let futures = match awaited(value) {
        Some(future) => smallvec![future],
        None if value.is_container() => futures_in(value).into(),
        None => return None,
    };
    (!futures.is_empty()).then_some(Wait { futures, until: Until::All, at_once: false, timeout })
}

/// What `any(items)` waits for, if there is a Future among them. They all count as awaited, also if something else is
/// there at once.
pub(crate) fn any(items: &Value) -> Option<Wait> {
    let list = items.as_list()?;
    let futures: SmallVec<_> = each_once(list.iter().filter_map(awaited).collect()).into();
    let at_once = list.iter().any(|item| awaited(item).is_none());
    (!futures.is_empty()).then_some(Wait { futures, until: Until::Any, at_once, timeout: None })
}

/// Without those that are there before. Threads in the order of their numbers, as a program mostly starts and keeps them, are
/// all different.
fn each_once(mut futures: Vec<Awaited>) -> Vec<Awaited> {
    let ascends = |pair: &[Awaited]| matches!(pair, [Awaited::Thread(one), Awaited::Thread(next)] if one < next);
    if !futures.windows(2).all(ascends) {
        let mut seen = Set::with_capacity_and_hasher(futures.len(), Default::default());
        futures.retain(|future| seen.insert(future.clone()));
    }
    futures
}

/// The answer to [`any`]: the place in the list and the value there, by the place among the Futures.
///
/// # Errors
/// If the answer does not fit what was waited for, which is a fault of the platform.
pub(crate) fn any_answered(items: &Value, answer: &Value) -> Result<Value, Error> {
    let (Some(list), Some(wait)) = (items.as_list(), any(items)) else { return Err(unfit()) };
    let plain = list.iter().position(|item| awaited(item).is_none());
    let found = match answer.as_list().as_ref().map(|answer| (answer.get(0), answer.get(1))) {
        Some((Some(Value::Integer(index)), Some(value))) => {
            let future = usize::try_from(*index).ok().and_then(|index| wait.futures.get(index)).ok_or_else(unfit)?;
            list.iter().position(|item| awaited(item).as_ref() == Some(future)).map(|place| (place, value))
        }
        _ => None,
    };
    let (place, value) = match (found, plain) {
        (Some((place, _)), Some(plain)) if plain < place => (plain, list.get(plain)),
        (Some((place, value)), _) => (place, Some(value)),
        (None, Some(plain)) => (plain, list.get(plain)),
        (None, None) => return Err(unfit()),
    };
    Ok(Value::list(vec![Value::Integer(place as i64), value.cloned().unwrap_or_default()]))
}

#[cold]
fn unfit() -> Error {
    Error::new("error", "the platform's answer to a wait does not fit it")
}

/// The Futures in a list or hash, each once, in order.
fn futures_in(value: &Value) -> Vec<Awaited> {
    let mut futures = Vec::new();
    let mut seen = Set::default();
    let mut entered = Set::default();
    let mut open = vec![Children::of(value)];
    while let Some(children) = open.last_mut() {
        let Some(held) = children.next() else {
            open.pop();
            continue;
        };
        if held.is_container() {
            if shared_body(held).is_none_or(|body| entered.insert(body)) {
                open.push(Children::of(held));
            }
        } else if let Some(future) = awaited(held)
            && seen.insert(future.clone())
        {
            futures.push(future);
        }
    }
    futures
}

/// A container that is made anew.
struct Open<'a> {
    value: &'a Value,
    children: Children<'a>,
    /// How many of them have been looked at, and the last one.
    seen: usize,
    last: Option<&'a Value>,
    /// The child before that one: a value's key.
    before: Option<&'a Value>,
    /// What it holds from now on, if that is not what it held.
    changed: Option<Value>,
}

/// The answer to [`all`]: the same value with the Futures' values in their places.
///
/// # Errors
/// If the answer does not fit what was waited for, which is a fault of the platform.
pub(crate) fn all_answered(value: &Value, answer: Value) -> Result<Value, Error> {
    if awaited(value).is_some() {
        return Ok(answer);
    }
    let futures = futures_in(value);
    let values: Map<Awaited, Value> = match answer.as_list() {
        _ if futures.len() == 1 => futures.into_iter().zip([answer]).collect(),
        Some(list) if list.len() == futures.len() => futures.into_iter().zip(list.iter().cloned()).collect(),
        _ => return Err(unfit()),
    };
    // Of the containers that several hold: what they became, if that is something else.
    let mut known: Map<(usize, u32), Option<Value>> = Map::default();
    let mut open = vec![Open::of(value)];
    loop {
        let Some(top) = open.last_mut() else { return Err(unfit()) };
        let Some(held) = top.next() else {
            let Some(Open { value, changed, .. }) = open.pop() else { return Err(unfit()) };
            if let Some(body) = shared_body(value) {
                known.insert(body, changed.clone());
            }
            match open.last_mut() {
                None => return Ok(changed.unwrap_or_else(|| value.clone())),
                Some(around) => changed.into_iter().for_each(|changed| around.replace(changed)),
            }
            continue;
        };
        if held.is_container() {
            match shared_body(held).and_then(|body| known.get(&body)) {
                Some(changed) => changed.iter().for_each(|changed| top.replace(changed.clone())),
                None => open.push(Open::of(held)),
            }
        } else if let Some(future) = awaited(held) {
            top.replace(values.get(&future).cloned().ok_or_else(unfit)?);
        }
    }
}

impl<'a> Open<'a> {
    fn of(value: &'a Value) -> Open<'a> {
        Open { value, children: Children::of(value), seen: 0, last: None, before: None, changed: None }
    }

    fn next(&mut self) -> Option<&'a Value> {
        let next = self.children.next()?;
        self.seen += 1;
        self.before = self.last.replace(next);
        Some(next)
    }

    /// Puts another value where the last child stood.
    fn replace(&mut self, value: Value) {
        let whole = self.changed.get_or_insert_with(|| match self.value {
            Value::List(..) => Value::list(self.value.as_list().iter().flat_map(|list| list.iter().cloned()).collect()),
            other => other.clone(),
        });
        match whole {
            Value::List(_, body) => Arc::make_mut(body).set(self.seen - 1, value),
            // Only values change, and each comes behind its key.
            Value::Hash(body) => {
                if let Some(key) = self.before.and_then(|key| Key::new(key.clone()).ok()) {
                    Arc::make_mut(body).insert(key, value);
                }
            }
            _ => {}
        }
    }
}
