//! Where something is in a list, hash or string, and what is in a list once.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use num_traits::ToPrimitive;
use triomphe::Arc;

use super::Result;
use super::argument::{self, text, wrong_type};
use super::hash;
use crate::compare;
use crate::hash::{HashBody, Key};
use crate::list::List;
use crate::size::Children;
use crate::value::Value;

/// Whether a list has an element, a string a part, a hash a key.
pub(super) fn contains(within: &Value, part: &Value) -> Result<Value> {
    let found = match within {
        Value::String(within) => {
            let part = text("contains", "a string to look for in a string", part)?;
            within.as_str().contains(part.as_str())
        }
        Value::List(start, body) => position(List::new(*start, body), part).is_some(),
        Value::Hash(_) => return hash::has("contains", within, part),
        other => return Err(wrong_type("contains", "a list, hash or string", other)),
    };
    Ok(Value::Boolean(found))
}

/// The index of the first element that equals this, or of the code point where a part begins first.
pub(super) fn index_of(within: &Value, part: &Value) -> Result<Value> {
    let index = match within {
        Value::String(within) => {
            let part = text("index_of", "a string to look for in a string", part)?;
            let byte = within.as_str().find(part.as_str());
            byte.map(|byte| if within.is_ascii() { byte } else { within.as_str()[..byte].chars().count() })
        }
        Value::List(start, body) => position(List::new(*start, body), part),
        other => return Err(wrong_type("index_of", "a list or string", other)),
    };
    Ok(index.map_or(Value::Null, |index| Value::Integer(index as i64)))
}

fn position(list: List<'_>, wanted: &Value) -> Option<usize> {
    match wanted {
        // Integers are looked for most often, and a chunk of them takes no time.
        Value::Integer(wanted) => {
            let wanted_value = Value::Integer(*wanted);
            list.rows().flatten().position(|item| match item {
                Value::Integer(item) => item == wanted,
                Value::Float(_) => compare::equal(item, &wanted_value),
                _ => false,
            })
        }
        wanted => list.rows().flatten().position(|item| compare::equal(item, wanted)),
    }
}

/// The elements without those that equal an earlier one.
pub(super) fn unique(list: &Value) -> Result<Value> {
    let items = argument::list("unique", list)?;
    let mut seen = Seen::default();
    Ok(Value::List(0, Arc::new(items.rows().flatten().filter(|item| seen.is_new(item)).cloned().collect())))
}

/// The values that were met.
#[derive(Default)]
struct Seen<'a> {
    keys: HashBody,
    /// What cannot be a key, by a hash of what it begins with.
    others: HashMap<u64, Vec<&'a Value>, RandomState>,
}

impl<'a> Seen<'a> {
    /// Whether no value that equals this one was met; it is met now.
    fn is_new(&mut self, value: &'a Value) -> bool {
        if let Ok(key) = Key::new(value.clone()) {
            let before = self.keys.len();
            self.keys.insert(key, Value::Null);
            return self.keys.len() > before;
        }
        let beginning = beginning(value, self.others.hasher());
        let alike = self.others.entry(beginning).or_default();
        let is_new = !alike.iter().any(|known| compare::equal(known, value));
        if is_new {
            alike.push(value);
        }
        is_new
    }
}

/// So many values within a list are part of its hash.
const HASHED_VALUES_MAX: usize = 64;

/// A hash that is the same for values that are equal: of their types and lengths, and of what lists begin with.
fn beginning(value: &Value, hasher: &RandomState) -> u64 {
    let mut state = hasher.build_hasher();
    let mut open = vec![value];
    let mut count = 0;
    while let Some(value) = open.pop() {
        count += 1;
        if count > HASHED_VALUES_MAX {
            break;
        }
        match value {
            Value::List(..) => {
                state.write_u8(b'[');
                state.write_usize(value.as_list().map_or(0, List::len));
                open.extend(Children::of(value).take(HASHED_VALUES_MAX));
            }
            // Equal hashes may differ in the order of their keys.
            Value::Hash(body) => {
                state.write_u8(b'{');
                state.write_usize(body.len());
            }
            Value::String(text) => state.write(text.as_str().as_bytes()),
            // An integer and a float may be equal.
            Value::Integer(value) => state.write_u64((*value as f64).to_bits()),
            Value::BigInteger(big) => state.write_u64(big.to_f64().unwrap_or(f64::INFINITY).to_bits()),
            Value::Float(value) => state.write_u64((if *value == 0.0 { 0.0 } else { *value }).to_bits()),
            Value::Boolean(value) => state.write_u8(u8::from(*value)),
            Value::Future(number) => state.write_u64(*number),
            Value::Promise(id) => state.write(id.as_bytes()),
            other => state.write(other.type_name().as_bytes()),
        }
    }
    state.finish()
}
