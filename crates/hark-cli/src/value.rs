//! Values that the command line gives as JSON.

use hark_machine::{HashBody, Key, Value};
use triomphe::Arc;

use crate::failure::Failure;

/// The value that a JSON text means.
///
/// # Errors
/// If it is no JSON.
pub fn from_json(text: &str) -> Result<Value, Failure> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        Failure::usage(format!("`{text}` is no JSON: {error}"))
            .with_hint("a string needs quotes of its own: '\"text\"'")
    })?;
    Ok(converted(json))
}

/// The parser limits how deep JSON may nest.
fn converted(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Boolean(value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => Value::Integer(integer),
            (None, Some(integer)) => Value::big_integer(integer.into()),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::string(text),
        serde_json::Value::Array(items) => Value::list(items.into_iter().map(converted).collect()),
        serde_json::Value::Object(entries) => {
            let mut body = HashBody::default();
            for (key, value) in entries {
                if let Ok(key) = Key::new(Value::string(key)) {
                    body.insert(key, converted(value));
                }
            }
            Value::Hash(Arc::new(body))
        }
    }
}
