//! Values that the command line gives as JSON.

use hark_machine::{HashBody, Key, Value};
use num_bigint::BigInt;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use triomphe::Arc;

use crate::failure::Failure;

/// How deep lists and objects may nest.
const DEPTH_MAX: u32 = 128;

/// So many characters of a text that is no JSON are shown.
const SHOWN_MAX: usize = 60;

/// The value that a JSON text means. What is no number may be one by itself, as where Hark prints JSON.
///
/// # Errors
/// If it is no JSON.
pub fn from_json(text: &str) -> Result<Value, Failure> {
    match text.trim() {
        "NaN" => return Ok(Value::Float(f64::NAN)),
        "Infinity" => return Ok(Value::Float(f64::INFINITY)),
        "-Infinity" => return Ok(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    serde_json::from_str::<&RawValue>(text).and_then(|json| converted(json, DEPTH_MAX)).map_err(|error| {
        let text = text.trim();
        let shown = match text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        };
        Failure::usage(format!("`{shown}` is no JSON: {error}"))
            .with_hint("a string needs quotes of its own: '\"text\"'")
    })
}

/// The text is taken apart here because numbers are as long as one likes.
fn converted(json: &RawValue, depth: u32) -> serde_json::Result<Value> {
    let text = json.get();
    let Some(within) = depth.checked_sub(1) else { return Err(serde::de::Error::custom("it nests too deeply")) };
    Ok(match text.as_bytes().first() {
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(text)?;
            let mut body = HashBody::default();
            for (key, value) in entries {
                if let Ok(key) = Key::new(Value::string(key)) {
                    body.insert(key, converted(value, within)?);
                }
            }
            Value::Hash(Arc::new(body))
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            Value::list(items.into_iter().map(|item| converted(item, within)).collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::string(serde_json::from_str::<String>(text)?),
        Some(b't') => Value::Boolean(true),
        Some(b'f') => Value::Boolean(false),
        Some(b'n') => Value::Null,
        _ => match text.parse::<BigInt>() {
            Ok(integer) => Value::big_integer(integer),
            Err(_) => Value::Float(serde_json::from_str(text)?),
        },
    })
}

/// An object's entries, in their order.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Gather;

        impl<'de> Visitor<'de> for Gather {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Gather)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        from_json(text).map_err(|failure| failure.message())
    }

    #[test]
    fn integers_are_of_any_size() {
        assert_eq!(read("-9223372036854775808"), Ok(Value::Integer(i64::MIN)));
        assert_eq!(read("[18446744073709551616]"), Ok(Value::list(vec![Value::big_integer(BigInt::from(1) << 64)])));
        assert_eq!(read("-0"), Ok(Value::Integer(0)));
        assert_eq!(read("1.0"), Ok(Value::Float(1.0)));
        assert_eq!(read("1e3"), Ok(Value::Float(1000.0)));
        assert!(read("1e999").is_err());
        assert_eq!(read("-Infinity"), Ok(Value::Float(f64::NEG_INFINITY)));
    }

    #[test]
    fn lists_objects_and_texts() {
        let value = read(r#" {"b": [true, null, "\u00e9\n"], "a": {}} "#).unwrap();
        let Value::Hash(body) = &value else { panic!("{value:?}") };
        let keys: Vec<Value> = body.iter().map(|(key, _)| key.clone()).collect();
        assert_eq!(keys, [Value::string("b"), Value::string("a")]);
    }

    #[test]
    fn what_nests_too_deeply_is_refused() {
        assert!(read(&format!("{}{}", "[".repeat(127), "]".repeat(127))).is_ok());
        let said = read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).unwrap_err();
        assert!(said.contains("nests too deeply"), "{}", &said[said.len() - 100..]);
    }
}
