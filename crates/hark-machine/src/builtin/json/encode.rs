//! The JSON writer, with the spacing of Python's `json.dumps`; non-ASCII characters are not escaped.

use std::fmt::Write;

use hark_bytecode::float_text;

use crate::builtin::Result;
use crate::builtin::argument::wrong_type;
use crate::error::Error;
use crate::hash::Entries;
use crate::limits::{DECIMAL_BITS_MAX, STRING_BYTES_MAX};
use crate::list::List;
use crate::number::article;
use crate::object::ObjectJson;
use crate::size::is_larger;
use crate::value::Value;

/// This much of a text is written before its total length is checked.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// The unwritten rest of an open container.
enum Open<'a> {
    List(List<'a>, usize),
    /// The flag is set until the first entry is written.
    Hash(Entries<'a>, bool),
}

/// The JSON of a value.
pub(in crate::builtin) fn encode(value: &Value) -> Result<Value> {
    let mut json = String::new();
    let mut is_measured = false;
    let mut open = Vec::new();
    begin(value, &mut json, &mut open)?;
    while let Some(container) = open.last_mut() {
        let item = match container {
            Open::List(list, index) => list.get(*index).inspect(|_| {
                json.push_str(if *index > 0 { ", " } else { "" });
                *index += 1;
            }),
            Open::Hash(entries, is_first) => match entries.next() {
                Some((key, item)) => {
                    json.push_str(if *is_first { "" } else { ", " });
                    *is_first = false;
                    write_key(key, &mut json)?;
                    Some(item)
                }
                None => None,
            },
        };
        match item {
            Some(item) => begin(item, &mut json, &mut open)?,
            None => json.push(if matches!(open.pop(), Some(Open::List(..))) { ']' } else { '}' }),
        }
        if json.len() > MEASURED_BYTES_MIN && !is_measured {
            is_measured = true;
            if is_larger(value, STRING_BYTES_MAX as u64, 2, length) {
                return Err(too_long(value));
            }
        }
        if json.len() > STRING_BYTES_MAX {
            return Err(too_long(value));
        }
    }
    Ok(Value::string(json))
}

fn too_long(value: &Value) -> Error {
    let what = article(value.type_name());
    Error::limit(format!("`json_encode`: the text of {what} would have more than {STRING_BYTES_MAX} bytes"))
}

/// The minimum length of an atom, including the separator after it.
fn length(atom: &Value) -> u64 {
    match atom {
        Value::String(text) => text.as_str().len() as u64 + 4,
        Value::BigInteger(big) => big.bits() / 4,
        Value::Object(object) => object.type_name().len() as u64,
        _ => 3,
    }
}

/// Writes an atom, or the beginning of a container.
fn begin<'a>(value: &'a Value, json: &mut String, open: &mut Vec<Open<'a>>) -> Result<()> {
    match value {
        Value::List(start, body) => {
            json.push('[');
            open.push(Open::List(List::new(*start, body), 0));
        }
        Value::Hash(body) => {
            json.push('{');
            open.push(Open::Hash(body.iter(), true));
        }
        Value::String(text) => write_string(text.as_str(), json),
        Value::Null => json.push_str("null"),
        atom => write_atom(atom, json)?,
    }
    Ok(())
}

/// Writes a key as a string, converting other types as Python does.
fn write_key(key: &Value, json: &mut String) -> Result<()> {
    match key {
        Value::String(text) => write_string(text.as_str(), json),
        other => {
            json.push('"');
            write_atom(other, json)?;
            json.push('"');
        }
    }
    json.push_str(": ");
    Ok(())
}

fn write_atom(value: &Value, json: &mut String) -> Result<()> {
    // Writing to a string cannot fail.
    match value {
        Value::Boolean(value) => json.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => _ = write!(json, "{value}"),
        Value::BigInteger(big) if big.bits() > DECIMAL_BITS_MAX => {
            return Err(Error::limit(format!(
                "`json_encode`: the integer has {} bits, and at most {DECIMAL_BITS_MAX} are written as text",
                big.bits()
            )));
        }
        Value::BigInteger(big) => _ = write!(json, "{big}"),
        Value::Float(value) if value.is_nan() => json.push_str("NaN"),
        Value::Float(value) if value.is_infinite() => {
            json.push_str(if *value > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Value::Float(value) => json.push_str(&float_text(*value)),
        Value::Object(object) => write_object(object.json(), json),
        other => return Err(wrong_type("json_encode", "a value that JSON can represent", other)),
    }
    Ok(())
}

/// Writes a description of an object; only Python can read its content.
fn write_object(object: ObjectJson<'_>, json: &mut String) {
    json.push_str("{\"$object\": {\"type\": ");
    write_string(object.type_name, json);
    json.push_str(", \"text\": ");
    match object.text {
        Some(text) => write_string(text, json),
        None => json.push_str("null"),
    }
    _ = write!(json, ", \"bytes\": {}}}}}", object.bytes);
}

fn write_string(text: &str, json: &mut String) {
    json.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        json.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            b'\x08' => json.push_str("\\b"),
            b'\x0c' => json.push_str("\\f"),
            control => _ = write!(json, "\\u{control:04x}"),
        }
        rest = &rest[at + 1..];
    }
    json.push_str(rest);
    json.push('"');
}
