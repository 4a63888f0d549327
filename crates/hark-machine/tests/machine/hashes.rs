//! Hashes compared with a model: keys and values in insertion order.

use hark_machine::{Key, Program, Value};
use num_bigint::BigInt;

use super::damage::Random;
use super::support::{call, program};

const FUNCTIONS: &str = "
    fn put(h, k, v) { set(h, k, v) }
    fn look(h, k) { get(h, k) }
    fn look_or(h, k, d) { get(h, k, d) }
    fn count(h) { length(h) }
    fn same(a, b) { a == b }";

/// A key, and its identity whatever its spelling.
fn key(random: &mut Random) -> (Value, String) {
    let number = random.below(40) as i64 - 20;
    match random.below(8) {
        0 | 1 => (Value::Integer(number), format!("{number}")),
        2 => (Value::Float(number as f64), format!("{number}")),
        3 => (Value::Float(number as f64 + 0.5), format!("{number}.5")),
        4 => (Value::string(number.to_string()), format!("text {number}")),
        5 => (Value::Boolean(number < 0), format!("{}", number < 0)),
        // Larger than 64 bits, and exact as a float.
        6 => (Value::big_integer(BigInt::from(number) << 70), format!("{}", i128::from(number) << 70)),
        _ => (Value::Float(number as f64 * 2f64.powi(70)), format!("{}", i128::from(number) << 70)),
    }
}

struct Known {
    hash: Value,
    /// The key's first spelling, its identity, and its value.
    entries: Vec<(Value, String, i64)>,
}

fn check(known: &Known) {
    let Value::Hash(body) = &known.hash else { panic!("it is a hash") };
    let entries: Vec<(String, Value)> = body.iter().map(|(key, value)| (format!("{key:?}"), value.clone())).collect();
    let wanted = known.entries.iter().map(|(key, _, value)| (format!("{key:?}"), Value::Integer(*value)));
    assert_eq!(entries, wanted.collect::<Vec<_>>());
}

fn step(program: &Program, random: &mut Random, known: &mut Known, others: &mut Vec<Known>) {
    let ((key, identity), value) = (key(random), random.next() as i64);
    let found = known.entries.iter().position(|(_, other, _)| *other == identity);
    let wanted = found.map(|at| Value::Integer(known.entries[at].2));
    let look = |name: &str, more: Vec<Value>| {
        call(program, name, [vec![known.hash.clone(), key.clone()], more].concat()).expect("it works")
    };
    assert_eq!(look("look", vec![]), wanted.clone().unwrap_or_default(), "{key:?}");
    assert_eq!(look("look_or", vec![Value::string("none")]), wanted.unwrap_or(Value::string("none")), "{key:?}");
    if random.below(10) == 0 {
        others.push(Known { hash: known.hash.clone(), entries: known.entries.clone() });
    }
    let hash = std::mem::take(&mut known.hash);
    known.hash = call(program, "put", vec![hash, key.clone(), Value::Integer(value)]).expect("it works");
    match found {
        Some(at) => known.entries[at].2 = value,
        None => known.entries.push((key, identity, value)),
    }
}

#[test]
fn hashes_are_as_ordered_entries() {
    let program = program(FUNCTIONS);
    for seed in 0..20 {
        let mut random = Random(seed);
        let mut others = Vec::new();
        let mut known = Known { hash: call(&program, "hash", vec![]).expect("it works"), entries: Vec::new() };
        for _ in 0..200 {
            step(&program, &mut random, &mut known, &mut others);
            check(&known);
        }
        assert_eq!(call(&program, "count", vec![known.hash]), Ok(Value::Integer(known.entries.len() as i64)));
        others.iter().for_each(check);
    }
}

#[test]
fn equal_hashes_need_not_have_one_order() {
    let program = program(FUNCTIONS);
    let mut random = Random(7);
    let mut keys: Vec<(Value, String)> = (0..100).map(|_| key(&mut random)).collect();
    keys.sort_by(|left, right| left.1.cmp(&right.1));
    keys.dedup_by(|left, right| left.1 == right.1);
    let made = |keys: &mut dyn Iterator<Item = &(Value, String)>| {
        let pairs = keys.flat_map(|(key, identity)| [key.clone(), Value::string(identity.as_str())]);
        call(&program, "hash", pairs.collect()).expect("it works")
    };
    let (forth, back) = (made(&mut keys.iter()), made(&mut keys.iter().rev()));
    assert_eq!(call(&program, "same", vec![forth.clone(), back]), Ok(Value::Boolean(true)));
    let less = made(&mut keys.iter().skip(1));
    assert_eq!(call(&program, "same", vec![forth, less]), Ok(Value::Boolean(false)));
}

#[test]
fn not_everything_is_a_key() {
    for value in [Value::Null, Value::Float(f64::NAN), Value::list(Vec::new()), Value::Future(1)] {
        assert!(Key::new(value).is_err());
    }
    assert!(Key::new(Value::Float(f64::INFINITY)).is_ok());
    assert_eq!(Key::new(Value::Float(-0.0)).ok(), Key::new(Value::Integer(0)).ok());
    assert_ne!(Key::new(Value::Boolean(true)).ok(), Key::new(Value::Integer(1)).ok());
}
