//! Waiting: finds the Futures in a value, and replaces them when their values are known.
//!
//! Neither recurses natively, and shared parts are visited once, so that the time is proportional to the memory used.

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

/// The Future that this value is, if it is one.
#[inline]
pub(crate) fn awaited(value: &Value) -> Option<Awaited> {
    match value {
        Value::Future(number) => Some(Awaited::Thread(*number)),
        Value::Promise(id) => Some(Awaited::Promise(id.to_string())),
        _ => None,
    }
}

/// What `await value` waits for: a Future, or every Future in a list or hash, at any depth.
pub(crate) fn all(value: &Value, timeout: Option<f64>) -> Option<Wait> {
    let futures = match awaited(value) {
        Some(future) => smallvec![future],
        None if value.is_container() => futures_in(value).into(),
        None => return None,
    };
    (!futures.is_empty()).then_some(Wait { futures, until: Until::All, at_once: false, timeout })
}

/// What a thread waits for that needs any of these items, if there is a Future among them. All of them count as awaited,
/// even if a plain value is available at once.
pub(crate) fn any(items: &Value, until: Until) -> Option<Wait> {
    let list = items.as_list()?;
    let futures: SmallVec<_> = each_once(list.iter().filter_map(awaited).collect()).into();
    let at_once = list.iter().any(|item| awaited(item).is_none());
    (!futures.is_empty()).then_some(Wait { futures, until, at_once, timeout: None })
}

/// Removes duplicates. Threads in ascending order, which is how most programs start and keep them, have none.
fn each_once(mut futures: Vec<Awaited>) -> Vec<Awaited> {
    let ascends = |pair: &[Awaited]| matches!(pair, [Awaited::Thread(one), Awaited::Thread(next)] if one < next);
    if !futures.windows(2).all(ascends) {
        let mut seen = Set::with_capacity_and_hasher(futures.len(), Default::default());
        futures.retain(|future| seen.insert(future.clone()));
    }
    futures
}

/// The result of [`any`]: an index in the list and the value there, from the index among the Futures.
///
/// # Errors
/// If the answer does not fit the wait, which is a fault of the platform.
pub(crate) fn any_answered(items: &Value, answer: &Value) -> Result<Value, Error> {
    let (Some(list), Some(wait)) = (items.as_list(), any(items, Until::Any)) else { return Err(unfit()) };
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

/// The Futures in a list or hash in order, without duplicates.
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

/// A container being rebuilt.
struct Open<'a> {
    value: &'a Value,
    children: Children<'a>,
    /// The number of children visited, and the last one.
    seen: usize,
    last: Option<&'a Value>,
    /// The child before `last`: for a value, its key.
    before: Option<&'a Value>,
    /// The new container, if it differs from the old one.
    changed: Option<Value>,
}

/// The result of [`all`]: the same value with each Future replaced by its value.
///
/// # Errors
/// If the answer does not fit the wait, which is a fault of the platform.
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
    // The new versions of shared containers; `None` if unchanged.
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

    /// Replaces the last child.
    fn replace(&mut self, value: Value) {
        let whole = self.changed.get_or_insert_with(|| match self.value {
            Value::List(..) => Value::list(self.value.as_list().iter().flat_map(|list| list.iter().cloned()).collect()),
            other => other.clone(),
        });
        match whole {
            Value::List(_, body) => Arc::make_mut(body).set(self.seen - 1, value),
            // Only values change, and each follows its key.
            Value::Hash(body) => {
                if let Some(key) = self.before.and_then(|key| Key::new(key.clone()).ok()) {
                    Arc::make_mut(body).insert(key, value);
                }
            }
            _ => {}
        }
    }
}
