//! Searching in lists, hashes and strings, and removing duplicates.

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

/// Whether a list contains an element, a string a substring, or a hash a key.
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

/// The index of the first element equal to this one, or of the first occurrence of a substring, in code points.
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
        // Integers are the most frequent case, and scanning a chunk of them is fast.
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

/// The elements without duplicates of earlier ones.
pub(super) fn unique(list: &Value) -> Result<Value> {
    let items = argument::list("unique", list)?;
    let mut seen = Seen::default();
    Ok(Value::List(0, Arc::new(items.rows().flatten().filter(|item| seen.is_new(item)).cloned().collect())))
}

/// The initial number of nested values that contribute to a value's hash.
const HASHED_VALUES_MIN: usize = 64;
/// If too many values collide, this many times more nested values contribute.
const HASHED_VALUES_FACTOR: usize = 8;
/// The maximum: a value may hold another one many times, so that it has practically no end.
const HASHED_VALUES_MAX: usize = 1 << 21;
/// If more values than this have the same hash, they are hashed again with more of their nested values.
const BUCKET_MAX: usize = 16;

/// The values found so far.
#[derive(Default)]
struct Seen<'a> {
    keys: HashBody,
    /// Values that cannot be keys, by the number of nested values hashed and the hash.
    others: HashMap<(usize, u64), Bucket<'a>, RandomState>,
}

/// The values of one hash.
enum Bucket<'a> {
    Few(Vec<&'a Value>),
    /// These are hashed by more of their nested values.
    Many,
}

impl<'a> Seen<'a> {
    /// Adds a value; returns whether no equal value was found before.
    fn is_new(&mut self, value: &'a Value) -> bool {
        if let Ok(key) = Key::new(value.clone()) {
            let before = self.keys.len();
            self.keys.insert(key, Value::Null);
            return self.keys.len() > before;
        }
        let (place, alike) = self.bucket(value, HASHED_VALUES_MIN);
        if alike.iter().any(|known| compare::equal(known, value)) {
            return false;
        }
        alike.push(value);
        if alike.len() > BUCKET_MAX && place.0 < HASHED_VALUES_MAX {
            let many = std::mem::take(alike);
            self.others.insert(place, Bucket::Many);
            for value in many {
                self.bucket(value, place.0 * HASHED_VALUES_FACTOR).1.push(value);
            }
        }
        true
    }

    /// The bucket of this value and its key, if at least this many nested values are hashed.
    fn bucket(&mut self, value: &Value, least: usize) -> ((usize, u64), &mut Vec<&'a Value>) {
        let mut most = least;
        let mut place = (most, partial_hash(value, most, self.others.hasher()));
        while let Some(Bucket::Many) = self.others.get(&place) {
            most *= HASHED_VALUES_FACTOR;
            place = (most, partial_hash(value, most, self.others.hasher()));
        }
        let known = self.others.entry(place).or_insert_with(|| Bucket::Few(Vec::new()));
        match known {
            Bucket::Few(alike) => (place, alike),
            Bucket::Many => unreachable!("the loop has passed them"),
        }
    }
}

/// A hash that is equal for equal values. It covers types, lengths, and nested values up to a maximum number.
fn partial_hash(value: &Value, most: usize, hasher: &RandomState) -> u64 {
    let mut state = hasher.build_hasher();
    let mut open = vec![value];
    let mut left = most;
    while let Some(value) = open.pop() {
        let Some(less) = left.checked_sub(1) else { break };
        left = less;
        hash_shallow(value, &mut state);
        match value {
            Value::List(..) => {
                // On the stack, the last one is visited first.
                let before = open.len();
                open.extend(Children::of(value).take(left));
                open[before..].reverse();
            }
            // Equal hashes may differ in the order of their keys, so all entries count or none.
            Value::Hash(body) if body.len() <= left => {
                left -= body.len();
                let entry = |(key, value): (&Value, &Value)| {
                    let mut state = hasher.build_hasher();
                    hash_shallow(key, &mut state);
                    hash_shallow(value, &mut state);
                    state.finish()
                };
                state.write_u64(body.iter().map(entry).fold(0, u64::wrapping_add));
            }
            _ => {}
        }
    }
    state.finish()
}

/// The number of bytes of an object that contribute to its hash.
const HASHED_BYTES_MAX: usize = 4_096;

/// Hashes the properties of a value that do not depend on nested values.
fn hash_shallow(value: &Value, state: &mut impl Hasher) {
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
            // The bytes of a large pickle may be in memory for one value and in a file for an equal one.
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
        // Each value occurs twice. Comparing all pairs would take more than a second.
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
