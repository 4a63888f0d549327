//! Hashes.

use triomphe::Arc;

use super::Result;
use super::argument::{self, check_key, check_list_length, too_many_keys, wrong_type};
use crate::error::Error;
use crate::hash::{HashBody, Key};
use crate::limits::HASH_LENGTH_MAX;
use crate::number::article;
use crate::value::Value;

/// The value of a key.
pub(crate) fn get<'a>(hash: &'a Value, key: &Value) -> Result<Option<&'a Value>> {
    let Value::Hash(body) = hash else { return Err(wrong_type("get", "a hash", hash)) };
    match body.get(key) {
        Some(value) => Ok(Some(value)),
        None => check_key("get", key).map(|()| None),
    }
}

/// Sets a key of the hash, taking the key and the value. The body is changed in place if it is not shared, else copied.
#[inline]
pub(crate) fn set(hash: &mut Value, key: &mut Value, value: &mut Value) -> Result<()> {
    let Value::Hash(body) = hash else { return Err(wrong_type("set", "a hash", hash)) };
    check_key("set", key)?;
    if body.len() >= HASH_LENGTH_MAX && body.get(key).is_none() {
        return Err(too_many_keys("set"));
    }
    if let Ok(key) = Key::new(std::mem::take(key)) {
        Arc::make_mut(body).insert(key, std::mem::take(value));
    }
    Ok(())
}

/// The hash of alternating keys and values.
pub(super) fn hash(items: &mut [Value]) -> Result<Value> {
    if !items.len().is_multiple_of(2) {
        return Err(Error::new("arity", "`hash` takes alternating keys and values, but the last key has no value"));
    }
    for key in items.iter().step_by(2) {
        check_key("hash", key)?;
    }
    let mut body = HashBody::default();
    for pair in items.chunks_exact_mut(2) {
        if let Ok(key) = Key::new(std::mem::take(&mut pair[0])) {
            body.insert(key, std::mem::take(&mut pair[1]));
        }
    }
    Ok(Value::Hash(Arc::new(body)))
}

/// Whether the hash has this key.
pub(super) fn has(name: &str, hash: &Value, key: &Value) -> Result<Value> {
    let body = argument::hash(name, hash)?;
    check_key(name, key)?;
    Ok(Value::Boolean(body.get(key).is_some()))
}

/// The hash without this key, which need not exist.
pub(super) fn remove(hash: &mut Value, key: &Value) -> Result<Value> {
    let Value::Hash(body) = hash else { return Err(wrong_type("remove", "a hash", hash)) };
    check_key("remove", key)?;
    if body.get(key).is_some() {
        Arc::make_mut(body).remove(key);
    }
    Ok(std::mem::take(hash))
}

/// The union of two hashes; the second one's values take precedence.
pub(super) fn merge(under: &mut Value, over: &Value) -> Result<Value> {
    let (under_length, over_body) = (argument::hash("merge", under)?.len(), argument::hash("merge", over)?);
    if under_length + over_body.len() > HASH_LENGTH_MAX {
        let new = over_body.iter().filter(|(key, _)| matches!(&*under, Value::Hash(body) if body.get(key).is_none()));
        if under_length + new.count() > HASH_LENGTH_MAX {
            return Err(too_many_keys("merge"));
        }
    }
    if let Value::Hash(body) = under
        && !over_body.is_empty()
    {
        let body = Arc::make_mut(body);
        over_body.iter().for_each(|(key, value)| insert(body, key, value));
    }
    Ok(std::mem::take(under))
}

fn insert(body: &mut HashBody, key: &Value, value: &Value) {
    if let Ok(key) = Key::new(key.clone()) {
        body.insert(key, value.clone());
    }
}

/// The keys, in order.
pub(super) fn keys(hash: &Value) -> Result<Value> {
    Ok(Value::list(argument::hash("keys", hash)?.iter().map(|(key, _)| key.clone()).collect()))
}

/// The values in the order of their keys.
pub(super) fn values(hash: &Value) -> Result<Value> {
    Ok(Value::list(argument::hash("values", hash)?.iter().map(|(_, value)| value.clone()).collect()))
}

/// The entries as pairs of key and value.
pub(super) fn items(hash: &Value) -> Result<Value> {
    let body = argument::hash("items", hash)?;
    check_list_length("items", body.len() as u128)?;
    Ok(Value::list(body.iter().map(|(key, value)| Value::list(vec![key.clone(), value.clone()])).collect()))
}

/// The hash of a list of key-value pairs. The last value of a key wins.
pub(super) fn from_items(list: &Value) -> Result<Value> {
    let items = argument::list("from_items", list)?;
    let mut body = HashBody::default();
    for (number, item) in items.iter().enumerate() {
        let Some(pair) = item.as_list() else {
            let got = article(item.type_name());
            return Err(Error::of_type(format!(
                "`from_items` needs a list of [key, value] pairs, but item {number} is {got}"
            )));
        };
        let (Some(key), Some(value), 2) = (pair.get(0), pair.get(1), pair.len()) else {
            let length = pair.len();
            return Err(Error::of_value(format!(
                "`from_items` needs a list of [key, value] pairs, but item {number} is a list of {length}"
            )));
        };
        check_key("from_items", key)?;
        if body.len() >= HASH_LENGTH_MAX && body.get(key).is_none() {
            return Err(too_many_keys("from_items"));
        }
        insert(&mut body, key, value);
    }
    Ok(Value::Hash(Arc::new(body)))
}
