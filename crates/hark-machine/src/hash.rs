//! Hashes: maps that keep the order of insertion.
//!
//! Keys are strings, numbers but nan, and booleans. `1` and `1.0` are one key, whose first spelling stays.

use std::hash::{Hash, Hasher};

use indexmap::IndexMap;
use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::compare;
use crate::value::Value;

/// A value that may be a key.
#[derive(Debug, Clone)]
pub struct Key(Value);

/// The entries of a hash. The hasher is seeded anew in each process, so that no input can be made to collide; no
/// program can see the seed, as order is that of insertion.
#[derive(Debug, Clone, Default)]
pub struct HashBody {
    entries: IndexMap<Key, Value, foldhash::fast::RandomState>,
}

impl Key {
    /// This value as a key, or the value itself if it cannot be one.
    ///
    /// # Errors
    /// For anything but a string, number or boolean, and for nan.
    #[inline]
    pub fn new(value: Value) -> Result<Key, Value> {
        if Key::accepts(&value) { Ok(Key(value)) } else { Err(value) }
    }

    /// Whether this value may be a key.
    #[inline]
    pub fn accepts(value: &Value) -> bool {
        match value {
            Value::Boolean(_) | Value::Integer(_) | Value::BigInteger(_) | Value::String(_) => true,
            Value::Float(float) => !float.is_nan(),
            _ => false,
        }
    }

    /// The value that it was made from.
    #[inline]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl PartialEq for Key {
    #[inline]
    fn eq(&self, other: &Key) -> bool {
        KeyRef(&self.0) == KeyRef(&other.0)
    }
}

impl Eq for Key {}

impl Hash for Key {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef(&self.0).hash(state);
    }
}

/// A key that is only looked up.
#[derive(Clone, Copy)]
struct KeyRef<'a>(&'a Value);

impl PartialEq for KeyRef<'_> {
    #[inline]
    fn eq(&self, other: &KeyRef<'_>) -> bool {
        match (self.0, other.0) {
            (Value::Integer(left), Value::Integer(right)) => left == right,
            (Value::String(left), Value::String(right)) => left.as_str() == right.as_str(),
            (left, right) => compare::equal(left, right),
        }
    }
}

impl Hash for KeyRef<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            Value::Integer(value) => state.write_i64(*value),
            Value::String(text) => state.write(text.as_str().as_bytes()),
            Value::Boolean(value) => state.write_u8(u8::from(*value)),
            other => hash_rare(other, state),
        }
    }
}

impl indexmap::Equivalent<Key> for KeyRef<'_> {
    #[inline]
    fn equivalent(&self, key: &Key) -> bool {
        *self == KeyRef(&key.0)
    }
}

/// A float that is whole hashes as the integer that it equals.
fn hash_rare<H: Hasher>(value: &Value, state: &mut H) {
    match value {
        Value::BigInteger(value) => value.hash(state),
        Value::Float(float) if float.fract() == 0.0 => match BigInt::from_f64(*float).map(Value::big_integer) {
            Some(Value::Integer(small)) => state.write_i64(small),
            Some(Value::BigInteger(big)) => big.hash(state),
            _ => state.write_u64(float.to_bits()),
        },
        Value::Float(float) => state.write_u64(float.to_bits()),
        _ => {}
    }
}

impl HashBody {
    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What this key maps to. A value that cannot be a key maps to nothing.
    #[inline]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        if Key::accepts(key) { self.entries.get(&KeyRef(key)) } else { None }
    }

    /// Maps the key to this value; a key that is there keeps its spelling and place.
    #[inline]
    pub fn insert(&mut self, key: Key, value: Value) {
        self.entries.insert(key, value);
    }

    /// Its keys and values, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Value, &Value)> {
        self.entries.iter().map(|(key, value)| (&key.0, value))
    }

    /// The entry at this place in the order.
    pub fn entry(&self, index: usize) -> Option<(&Value, &Value)> {
        self.entries.get_index(index).map(|(key, value)| (&key.0, value))
    }

    /// Moves the containers among the values out; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        into.extend(self.entries.values_mut().filter(|value| value.is_container()).map(std::mem::take));
    }
}
