//! How large a value is where its parts are written as often as they are there.

use std::collections::HashMap;

use triomphe::Arc;

use crate::hash::Entries;
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
    let mut open = vec![Open { value, children: Children::of(value), size: container }];
    // What has been looked at, which is a part of the whole.
    let mut seen = 0u64;
    while let Some(top) = open.last_mut() {
        let (mut inner, mut size) = (None, 0);
        match top.children.next() {
            Some(held) if !held.is_container() => size = atom(held),
            Some(held) => match shared_body(held).and_then(|body| known.get(&body)) {
                Some(known) => size = *known,
                None => inner = Some(Open { value: held, children: Children::of(held), size: container }),
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
    children: Children<'a>,
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

/// The values that a container holds and that are still to come; a hash's keys and values in turn.
#[derive(Clone)]
pub(crate) enum Children<'a> {
    /// A list, the next element and the one to end before.
    List(List<'a>, usize, usize),
    /// The entries, and the value of the last one's key.
    Hash(Entries<'a>, Option<&'a Value>),
    /// What a closure has captured.
    Closure(std::slice::Iter<'a, Option<Value>>),
    None,
}

impl<'a> Children<'a> {
    pub fn of(value: &'a Value) -> Children<'a> {
        match value {
            Value::List(start, body) => Children::List(List::new(*start, body), 0, usize::MAX),
            Value::Hash(body) => Children::Hash(body.iter(), None),
            Value::Closure(body) => Children::Closure(body.captures().iter()),
            _ => Children::None,
        }
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a Value;

    fn next(&mut self) -> Option<&'a Value> {
        match self {
            Children::List(list, next, end) if *next < *end => {
                *next += 1;
                list.get(*next - 1)
            }
            Children::Hash(entries, value) => value.take().or_else(|| {
                let (key, item) = entries.next()?;
                *value = Some(item);
                Some(key)
            }),
            Children::Closure(captures) => captures.find_map(Option::as_ref),
            _ => None,
        }
    }
}
