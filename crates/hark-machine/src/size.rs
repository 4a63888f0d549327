//! How large a value is where its parts are written as often as they are there.

use std::collections::HashMap;

use triomphe::Arc;

use crate::list::List;
use crate::value::Value;

/// Whether a value is larger than this, a part counted as often as it is held: an atom as `atom` says, each list and hash
/// `container` besides. It takes time by what there is in memory, or by the limit if that is less.
pub fn is_larger(value: &Value, limit: u64, container: u64, atom: impl Fn(&Value) -> u64) -> bool {
    if !value.is_container() {
        return atom(value) > limit;
    }
    // Of the containers that several hold.
    let mut known: HashMap<(usize, u32), u64, foldhash::fast::RandomState> = HashMap::default();
    let mut open = vec![Open { value, next: 0, size: container }];
    // What has been looked at, which is a part of the whole.
    let mut seen = 0u64;
    while let Some(top) = open.last_mut() {
        let (mut inner, mut size) = (None, 0);
        match child(top.value, top.next) {
            Some(held) if !held.is_container() => size = atom(held),
            Some(held) => match shared_body(held).and_then(|body| known.get(&body)) {
                Some(known) => size = *known,
                None => inner = Some(Open { value: held, next: 0, size: container }),
            },
            None => {
                let (value, whole) = (top.value, top.size);
                open.pop();
                if let Some(body) = shared_body(value) {
                    known.insert(body, whole);
                }
                let Some(around) = open.last_mut() else { return whole > limit };
                around.size = around.size.saturating_add(whole);
                if around.size > limit {
                    return true;
                }
                continue;
            }
        }
        top.next += 1;
        top.size = top.size.saturating_add(size);
        seen = seen.saturating_add(size.min(limit)).saturating_add(1);
        if top.size > limit || seen > limit {
            return true;
        }
        open.extend(inner);
    }
    false
}

/// A container under way.
struct Open<'a> {
    value: &'a Value,
    next: usize,
    size: u64,
}

/// What a container that is held in several places is known by: its body's address, and the element that it begins at.
pub(crate) fn shared_body(value: &Value) -> Option<(usize, u32)> {
    match value {
        Value::List(start, body) if !body.is_unique() => Some((body.as_ptr() as usize, *start)),
        Value::Hash(body) if !body.is_unique() => Some((Arc::as_ptr(body) as usize, 0)),
        _ => None,
    }
}

/// The values that a container holds, one after another; a hash's keys and values in turn.
pub(crate) fn child(value: &Value, index: usize) -> Option<&Value> {
    match value {
        Value::List(start, body) => List::new(*start, body).get(index),
        Value::Hash(body) => {
            let (key, item) = body.entry(index / 2)?;
            Some(if index.is_multiple_of(2) { key } else { item })
        }
        _ => None,
    }
}
