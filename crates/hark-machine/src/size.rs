//! The size of a value with shared parts counted at every occurrence.

use std::collections::HashMap;

use triomphe::Arc;

use crate::hash::Entries;
use crate::list::List;
use crate::value::Value;

/// Whether a value is larger than a limit, with shared parts counted at every occurrence: `atom` gives the size of an
/// atom, and each list and hash adds `container`. The time is proportional to the memory used, or to the limit if that
/// is less.
pub fn is_larger(value: &Value, limit: u64, container: u64, atom: impl Fn(&Value) -> u64) -> bool {
    if !value.is_container() {
        return atom(value) > limit;
    }
    // The sizes of shared containers.
    let mut known: HashMap<(usize, u32), u64, foldhash::fast::RandomState> = HashMap::default();
    let mut open = vec![Open { value, children: Children::of(value), size: container }];
    // The size of the parts visited so far, a lower bound of the total.
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

/// A container being measured.
struct Open<'a> {
    value: &'a Value,
    children: Children<'a>,
    size: u64,
}

/// The identity of a shared container: the address of its body, and the start of the view.
pub(crate) fn shared_body(value: &Value) -> Option<(usize, u32)> {
    match value {
        Value::List(start, body) if !body.is_unique() => Some((body.as_ptr() as usize, *start)),
        Value::Hash(body) if !body.is_unique() => Some((Arc::as_ptr(body) as usize, 0)),
        _ => None,
    }
}

/// The remaining children of a container; a hash's keys and values alternate.
#[derive(Clone)]
pub(crate) enum Children<'a> {
    /// A list, the next index, and the index to stop before.
    List(List<'a>, usize, usize),
    /// The remaining entries, and the value that follows the last key.
    Hash(Entries<'a>, Option<&'a Value>),
    /// The values captured by a closure.
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
