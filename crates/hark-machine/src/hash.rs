//! Hashes: maps that keep insertion order.
//!
//! Keys are strings, numbers except nan, and booleans. `1` and `1.0` are the same key; the first spelling is kept.
//!
//! The entries are stored in a vector, with an index from keys to entries. So iterating over a hash, or looking keys up
//! in insertion order, accesses memory sequentially.

mod index;

use std::hash::{BuildHasher, Hash, Hasher};
use std::slice;

use num_bigint::BigInt;
use num_traits::FromPrimitive;

use crate::compare;
use crate::value::Value;
use index::{Found, Index};

/// Up to this many entries are searched linearly, which takes no longer than hashing the key.
const UNINDEXED_MAX: usize = 8;

/// This many consecutive integers have adjacent slots, which fill a cache line; a power of 2.
const NEIGHBORS: u32 = 3;

/// A value that is valid as a key.
#[derive(Debug, Clone)]
pub struct Key(Value);

/// The body of a hash. The hasher is seeded anew in each process, so that no input can provoke collisions. Programs
/// cannot observe the seed, because the order is that of insertion.
#[derive(Debug, Clone, Default)]
pub struct HashBody {
    /// In insertion order. A removed entry leaves a gap, with `null` as its key.
    entries: Vec<(Key, Value)>,
    /// Invariant: the number of gaps. 0 without an index.
    removed: usize,
    /// Invariant: empty, or contains every entry. Not empty with more than `UNINDEXED_MAX` entries.
    index: Index,
    hasher: foldhash::fast::RandomState,
}

impl Key {
    /// The key of a gap.
    const REMOVED: Key = Key(Value::Null);

    #[inline]
    fn is_removed(&self) -> bool {
        matches!(self.0, Value::Null)
    }

    /// This value as a key; returns the value itself if it is not valid as one.
    ///
    /// # Errors
    /// For anything but a string, number or boolean, and for nan.
    #[inline]
    pub fn new(value: Value) -> Result<Key, Value> {
        if Key::accepts(&value) { Ok(Key(value)) } else { Err(value) }
    }

    /// Whether this value is valid as a key.
    #[inline]
    pub fn accepts(value: &Value) -> bool {
        match value {
            Value::Boolean(_) | Value::Integer(_) | Value::BigInteger(_) | Value::String(_) => true,
            Value::Float(float) => !float.is_nan(),
            _ => false,
        }
    }

    /// The key's value.
    #[inline]
    pub fn value(&self) -> &Value {
        &self.0
    }
}

/// The remaining entries of a hash, in order.
#[derive(Debug, Clone)]
pub struct Entries<'a>(slice::Iter<'a, (Key, Value)>);

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a Value, &'a Value);

    #[inline]
    fn next(&mut self) -> Option<(&'a Value, &'a Value)> {
        self.0.find(|(key, _)| !key.is_removed()).map(|(key, value)| (&key.0, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.0.len()))
    }
}

/// Equality of keys: `1` equals `1.0`, `1` does not equal `true`.
impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        is_same(&self.0, &other.0)
    }
}

impl Eq for Key {}

/// Whether two values are the same key.
#[inline]
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left == right,
        (Value::String(left), Value::String(right)) => left.as_str() == right.as_str(),
        (left, right) => compare::equal(left, right),
    }
}

impl HashBody {
    /// A hash of entries with distinct keys, few enough to need no index.
    pub(crate) fn of_few(entries: Vec<(Key, Value)>) -> HashBody {
        assert!(entries.len() <= UNINDEXED_MAX, "more entries need an index");
        HashBody { entries, removed: 0, index: Index::default(), hasher: Default::default() }
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.entries.len() - self.removed
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of this key. A value that is not valid as a key has none.
    #[inline]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        if !Key::accepts(key) {
            return None;
        }
        self.entry_of(key).map(|entry| &self.entries[entry].1)
    }

    /// The index of this key's entry.
    #[inline]
    fn entry_of(&self, key: &Value) -> Option<usize> {
        if self.index.is_empty() {
            return self.position(key);
        }
        match self.find(self.hash(key), key) {
            Found::Entry(entry) => Some(entry),
            Found::Free(_) => None,
        }
    }

    /// Sets the key to this value; an existing key keeps its spelling and position.
    #[inline]
    pub fn insert(&mut self, key: Key, value: Value) {
        if self.index.is_empty() {
            match self.position(key.value()) {
                Some(entry) => self.entries[entry].1 = value,
                None => self.push_unindexed(key, value),
            }
            return;
        }
        // Before the search, because growing would move the slot that the search returns.
        if self.index.is_full(self.entries.len()) {
            self.make_room();
        }
        let hash = self.hash(key.value());
        match self.find(hash, key.value()) {
            Found::Entry(entry) => self.entries[entry].1 = value,
            Found::Free(slot) => {
                self.index.put(slot, hash, self.entries.len());
                self.entries.push((key, value));
            }
        }
    }

    /// Removes a key, if present.
    pub fn remove(&mut self, key: &Value) {
        let Some(entry) = self.entry_of(key) else { return };
        if self.index.is_empty() {
            self.entries.remove(entry);
            return;
        }
        // The index still refers to the gap, where no key matches.
        self.entries[entry] = (Key::REMOVED, Value::Null);
        self.removed += 1;
        if self.removed * 2 > self.entries.len() {
            self.close_gaps();
        }
    }

    /// Makes room in the index for another entry.
    #[cold]
    fn make_room(&mut self) {
        if self.removed * 4 > self.entries.len() { self.close_gaps() } else { self.index.grow() }
    }

    /// Removes the gaps. Rare enough that the amortized cost per removed entry is constant.
    #[cold]
    fn close_gaps(&mut self) {
        self.entries.retain(|(key, _)| !key.is_removed());
        self.removed = 0;
        self.index_anew();
    }

    fn push_unindexed(&mut self, key: Key, value: Value) {
        self.entries.push((key, value));
        self.index_anew();
    }

    /// Rebuilds the index, if there are enough entries for one.
    fn index_anew(&mut self) {
        self.index = Index::default();
        if self.entries.len() <= UNINDEXED_MAX {
            return;
        }
        while self.index.is_full(self.entries.len()) {
            self.index.grow();
        }
        for (number, (key, _)) in self.entries.iter().enumerate() {
            let hash = self.hash(key.value());
            if let Found::Free(slot) = self.index.find(hash, |_| false) {
                self.index.put(slot, hash, number);
            }
        }
    }

    /// The index of this key's entry, found by linear search.
    fn position(&self, key: &Value) -> Option<usize> {
        self.entries.iter().position(|(known, _)| is_same(known.value(), key))
    }

    #[inline]
    fn find(&self, hash: u32, key: &Value) -> Found {
        self.index.find(hash, |entry| is_same(self.entries[entry].0.value(), key))
    }

    #[inline]
    fn hash(&self, key: &Value) -> u32 {
        match key {
            Value::Integer(value) => self.hash_integer(*value),
            Value::String(text) => self.hash_with(|state| state.write(text.as_str().as_bytes())),
            other => self.hash_rare(other),
        }
    }

    /// Integer keys are mostly consecutive, and tables larger than the processor's cache are slow. So neighbors share a
    /// cache line. Which line, and their order in it, is as unpredictable as any hash.
    #[inline]
    fn hash_integer(&self, value: i64) -> u32 {
        let neighbor = value & ((1 << NEIGHBORS) - 1);
        self.hash_with(|state| state.write_i64(value >> NEIGHBORS)) ^ neighbor as u32
    }

    /// A whole float has the hash of the integer that it equals.
    fn hash_rare(&self, key: &Value) -> u32 {
        match key {
            Value::Float(float) if float.fract() == 0.0 => match BigInt::from_f64(*float).map(Value::big_integer) {
                Some(Value::Integer(small)) => self.hash_integer(small),
                Some(Value::BigInteger(big)) => self.hash_with(|state| big.hash(state)),
                _ => self.hash_with(|state| state.write_u64(float.to_bits())),
            },
            Value::Float(float) => self.hash_with(|state| state.write_u64(float.to_bits())),
            Value::BigInteger(big) => self.hash_with(|state| big.hash(state)),
            Value::Boolean(value) => self.hash_with(|state| state.write_u8(u8::from(*value))),
            _ => 0,
        }
    }

    #[inline]
    fn hash_with(&self, write: impl FnOnce(&mut foldhash::fast::FoldHasher<'_>)) -> u32 {
        let mut state = self.hasher.build_hasher();
        write(&mut state);
        state.finish() as u32
    }

    /// The entries, in order.
    pub fn iter(&self) -> Entries<'_> {
        Entries(self.entries.iter())
    }

    /// Moves out the values that hold other values; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        into.extend(
            self.entries.iter_mut().map(|(_, value)| value).filter(|value| value.holds_values()).map(std::mem::take),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(body: &mut HashBody, key: Value, value: i64) {
        body.insert(Key::new(key).unwrap(), Value::Integer(value));
    }

    fn check(keys: impl Fn(i64) -> Value) {
        let mut body = HashBody::default();
        for number in 0..3000 {
            assert!(body.get(&keys(number)).is_none());
            insert(&mut body, keys(number), number);
            insert(&mut body, keys(number / 2), -(number / 2));
        }
        assert_eq!(body.len(), 3000);
        for (number, (key, value)) in (0..3000).zip(body.iter()) {
            let expected = Value::Integer(if number < 1500 { -number } else { number });
            assert_eq!((key, value), (&keys(number), &expected));
            assert_eq!(body.get(&keys(number)), Some(&expected));
        }
    }

    #[test]
    fn every_key_is_found_and_stands_in_its_place() {
        check(Value::Integer);
        check(|number| Value::Integer(number * 8));
        check(|number| Value::Integer(number << 48));
        check(|number| Value::Float(number as f64 + 0.5));
        check(|number| Value::string(number.to_string()));
        check(|number| Value::big_integer(BigInt::from(number) << 64));
    }

    #[test]
    fn a_whole_float_and_an_integer_are_one_key() {
        let mut body = HashBody::default();
        for number in 0..100 {
            insert(&mut body, Value::Integer(number), number);
            insert(&mut body, Value::Float(number as f64), -number);
        }
        insert(&mut body, Value::Float(1e20), 1);
        insert(&mut body, Value::big_integer(BigInt::from(10).pow(20)), 2);
        assert_eq!(body.len(), 101);
        assert!(matches!(body.iter().nth(7), Some((Value::Integer(7), Value::Integer(-7)))));
        assert!(matches!(body.iter().nth(100), Some((Value::Float(_), Value::Integer(2)))));
    }

    #[test]
    fn what_is_removed_leaves_the_order_of_the_rest() {
        let mut body = HashBody::default();
        let mut wanted: Vec<i64> = Vec::new();
        let mut random = 1_u64;
        for step in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (random >> 40) as i64 % 50;
            // Alternate between growing and shrinking.
            if (random >> 33) % 8 < if step / 500 % 2 == 0 { 5 } else { 3 } {
                insert(&mut body, Value::Integer(number), number);
                if !wanted.contains(&number) {
                    wanted.push(number);
                }
            } else {
                body.remove(&Value::Integer(number));
                wanted.retain(|other| *other != number);
            }
            assert_eq!(body.len(), wanted.len());
            assert!(
                body.iter().map(|(key, _)| key).eq(&wanted.iter().copied().map(Value::Integer).collect::<Vec<_>>())
            );
            assert_eq!(body.get(&Value::Integer(number)).is_some(), wanted.contains(&number));
        }
    }
}
