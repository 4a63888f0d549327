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
use crate::limits::FILE_BYTES_MIN;
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

/// So many values within a value are part of its hash at first.
const HASHED_VALUES_MIN: usize = 64;
/// Of values that are alike, so many more are.
const HASHED_VALUES_FACTOR: usize = 8;
/// So many are at most: a value may hold another one many times, so that it has no end that could be reached.
const HASHED_VALUES_MAX: usize = 1 << 21;
/// So many values of one hash are compared with each other.
const ALIKE_MAX: usize = 16;

/// The values that were met.
#[derive(Default)]
struct Seen<'a> {
    keys: HashBody,
    /// What cannot be a key, by a hash of what it begins with and how much of it that is.
    others: HashMap<(usize, u64), Alike<'a>, RandomState>,
}

/// Values of one hash.
enum Alike<'a> {
    Few(Vec<&'a Value>),
    /// They are told apart by more of them.
    Many,
}

impl<'a> Seen<'a> {
    /// Whether no value that equals this one was met; it is met now.
    fn is_new(&mut self, value: &'a Value) -> bool {
        if let Ok(key) = Key::new(value.clone()) {
            let before = self.keys.len();
            self.keys.insert(key, Value::Null);
            return self.keys.len() > before;
        }
        let (place, alike) = self.alike(value, HASHED_VALUES_MIN);
        if alike.iter().any(|known| compare::equal(known, value)) {
            return false;
        }
        alike.push(value);
        if alike.len() > ALIKE_MAX && place.0 < HASHED_VALUES_MAX {
            let many = std::mem::take(alike);
            self.others.insert(place, Alike::Many);
            for value in many {
                self.alike(value, place.0 * HASHED_VALUES_FACTOR).1.push(value);
            }
        }
        true
    }

    /// Those that have this value's hash, of so much of it at least, and where they are.
    fn alike(&mut self, value: &Value, least: usize) -> ((usize, u64), &mut Vec<&'a Value>) {
        let mut most = least;
        let mut place = (most, beginning(value, most, self.others.hasher()));
        while let Some(Alike::Many) = self.others.get(&place) {
            most *= HASHED_VALUES_FACTOR;
            place = (most, beginning(value, most, self.others.hasher()));
        }
        let known = self.others.entry(place).or_insert_with(|| Alike::Few(Vec::new()));
        match known {
            Alike::Few(alike) => (place, alike),
            Alike::Many => unreachable!("the loop has passed them"),
        }
    }
}

/// A hash that is the same for values that are equal: of their types and lengths, and of so many values that they begin
/// with.
fn beginning(value: &Value, most: usize, hasher: &RandomState) -> u64 {
    let mut state = hasher.build_hasher();
    let mut open = vec![value];
    let mut left = most;
    while let Some(value) = open.pop() {
        let Some(less) = left.checked_sub(1) else { break };
        left = less;
        write_outside(value, &mut state);
        match value {
            Value::List(..) => {
                // The last one is looked at first.
                let before = open.len();
                open.extend(Children::of(value).take(left));
                open[before..].reverse();
            }
            // Equal hashes may differ in the order of their keys, so it is all or nothing.
            Value::Hash(body) if body.len() <= left => {
                left -= body.len();
                let entry = |(key, value): (&Value, &Value)| {
                    let mut state = hasher.build_hasher();
                    write_outside(key, &mut state);
                    write_outside(value, &mut state);
                    state.finish()
                };
                state.write_u64(body.iter().map(entry).fold(0, u64::wrapping_add));
            }
            _ => {}
        }
    }
    state.finish()
}

/// How much of an object's bytes is part of its hash.
const HASHED_BYTES_MAX: usize = 4_096;

/// What can be seen of a value without a look at those in it.
fn write_outside(value: &Value, state: &mut impl Hasher) {
    match value {
        Value::List(..) => {
            state.write_u8(b'[');
            state.write_usize(value.as_list().map_or(0, List::len));
        }
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
        Value::Object(object) => {
            let pickle = object.pickle();
            state.write_usize(pickle.length());
            // A large one may be in memory here and in a file there.
            let bytes = pickle.bytes_in_memory().filter(|bytes| bytes.len() < FILE_BYTES_MIN).unwrap_or_default();
            state.write(&bytes[..bytes.len().min(HASHED_BYTES_MAX)]);
        }
        other => state.write(other.type_name().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unique_of(items: Vec<Value>) -> usize {
        unique(&Value::list(items)).expect("a list").as_list().expect("a list").len()
    }

    #[test]
    fn values_that_begin_alike_are_told_apart_by_their_ends() {
        let long = |end: i64| Value::list((0..1000).map(Value::Integer).chain([Value::Integer(end)]).collect());
        // Each is there twice. That takes a second and more if all are compared with all.
        assert_eq!(unique_of((0..4000).map(|end| long(end % 2000)).collect()), 2000);
    }

    #[test]
    fn hashes_are_told_apart_whatever_their_order() {
        let hash = |entries: [(&str, i64); 2]| {
            let mut body = HashBody::default();
            for (key, value) in entries {
                body.insert(Key::new(Value::string(key)).expect("a key"), Value::Integer(value));
            }
            Value::Hash(Arc::new(body))
        };
        let both = |number: i64| [hash([("a", number), ("b", 1)]), hash([("b", 1), ("a", number)])];
        assert_eq!(unique_of((0..20_000).flat_map(both).collect()), 20_000);
    }

    #[test]
    fn a_value_without_an_end_is_no_problem() {
        let deep =
            (0..80).fold(Value::list(vec![Value::Integer(1)]), |inner, _| Value::list(vec![inner.clone(), inner]));
        assert_eq!(unique_of(vec![deep.clone(), deep]), 1);
        assert_eq!(unique_of(vec![Value::list(vec![Value::Integer(1)]), Value::list(vec![Value::Float(1.0)])]), 1);
    }
}
