//! Values given as JSON on the command line.
//!
//! The structure is parsed here, strings and numbers by `serde_json`. Integers may have any size, and `NaN`, `Infinity`
//! and `-Infinity` are numbers, as in the JSON written by Hark and Python.

use std::borrow::Cow;
use std::io;

use hark_machine::{HashBody, Key, Value};
use num_bigint::BigInt;
use serde_json::value::RawValue;
use triomphe::Arc;

use crate::failure::Failure;

/// The maximum nesting depth of lists and objects.
const DEPTH_MAX: u32 = 128;

/// The maximum number of characters shown of an invalid text.
const SHOWN_MAX: usize = 60;

/// Parses a JSON value.
///
/// # Errors
/// If it is not valid JSON.
pub fn from_json(text: &str) -> Result<Value, Failure> {
    let text = text.trim();
    let mut reader = Reader { text, at: 0 };
    let read = reader.value(DEPTH_MAX).and_then(|value| {
        if reader.next().is_some() { Err("something follows the value".to_owned()) } else { Ok(value) }
    });
    read.map_err(|problem| {
        let shown = match text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text.to_owned(),
        };
        let before = text.get(..reader.at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let failure = Failure::usage(format!("`{shown}` is not valid JSON: {problem} at line {line} column {column}"));
        match text.starts_with(['{', '[', '"']) {
            true => failure,
            false => failure.with_hint("a string needs quotes of its own: '\"text\"'"),
        }
    })
}

/// The value of an option: JSON, or `-` to read the JSON from standard input.
///
/// # Errors
/// If it is not valid JSON, or standard input cannot be read.
pub fn of_option(word: &str) -> Result<Value, Failure> {
    from_json(&text_of_option(word)?)
}

/// The JSON of an option: the word itself, or with `-` standard input.
///
/// # Errors
/// If standard input cannot be read.
pub fn text_of_option(word: &str) -> Result<Cow<'_, str>, Failure> {
    if word != "-" {
        return Ok(Cow::Borrowed(word));
    }
    let read = io::read_to_string(io::stdin());
    read.map(Cow::Owned).map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))
}

/// Parses the JSON value at the beginning of a text, and returns it with the rest.
///
/// # Errors
/// If the text does not begin with a JSON value; the message says why.
pub fn leading_json(text: &str) -> Result<(Value, &str), String> {
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(DEPTH_MAX)?;
    Ok((value, reader.rest()))
}

/// A text being parsed.
struct Reader<'t> {
    text: &'t str,
    /// The number of bytes read. Invariant: a character boundary.
    at: usize,
}

impl<'t> Reader<'t> {
    fn value(&mut self, depth: u32) -> Result<Value, String> {
        match self.next() {
            Some(b'{') => self.object(self.inside(depth)?),
            Some(b'[') => self.list(self.inside(depth)?),
            Some(b'"') => Ok(Value::string(self.string()?)),
            _ => self.word(),
        }
    }

    fn inside(&self, depth: u32) -> Result<u32, String> {
        depth.checked_sub(1).ok_or_else(|| "it is nested too deeply".to_owned())
    }

    fn object(&mut self, depth: u32) -> Result<Value, String> {
        let mut body = HashBody::default();
        self.items(b'}', |reader| {
            if reader.next() != Some(b'"') {
                return Err("expected a string as the key".to_owned());
            }
            let key = reader.string()?;
            if reader.next() != Some(b':') {
                return Err("expected `:`".to_owned());
            }
            reader.at += 1;
            let value = reader.value(depth)?;
            if let Ok(key) = Key::new(Value::string(key)) {
                body.insert(key, value);
            }
            Ok(())
        })?;
        Ok(Value::Hash(Arc::new(body)))
    }

    fn list(&mut self, depth: u32) -> Result<Value, String> {
        let mut items = Vec::new();
        self.items(b']', |reader| {
            items.push(reader.value(depth)?);
            Ok(())
        })?;
        Ok(Value::list(items))
    }

    /// Parses items separated by commas, up to the closing bracket.
    fn items(&mut self, close: u8, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        self.at += 1;
        if self.next() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            item(self)?;
            match self.next() {
                Some(b',') => self.at += 1,
                Some(found) if found == close => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(format!("expected `,` or `{}`", close as char)),
            }
        }
    }

    /// The next byte that is not white space, without consuming it.
    fn next(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.rest().bytes().next()
    }

    fn string(&mut self) -> Result<String, String> {
        let bytes = self.rest().as_bytes();
        let mut end = 1;
        while let Some(byte) = bytes.get(end).filter(|byte| **byte != b'"') {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        let text = self.rest().get(..=end).ok_or("a string is not terminated")?;
        let string = serde_json::from_str(text).map_err(|_| "a string contains an invalid escape or a line break")?;
        self.at += text.len();
        Ok(string)
    }

    /// A number, or a named value.
    fn word(&mut self) -> Result<Value, String> {
        let rest = self.rest();
        let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, '+' | '-' | '.');
        let word = &rest[..rest.find(|character| !is_part(character)).unwrap_or(rest.len())];
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Boolean(true),
            "false" => Value::Boolean(false),
            "NaN" => Value::Float(f64::NAN),
            "Infinity" => Value::Float(f64::INFINITY),
            "-Infinity" => Value::Float(f64::NEG_INFINITY),
            "" => return Err("expected a value".to_owned()),
            number => number_of(number)?,
        };
        self.at += word.len();
        Ok(value)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }
}

/// A number in JSON syntax, which `serde_json` checks: Rust's own parsers accept more. But only they find the nearest float.
fn number_of(text: &str) -> Result<Value, String> {
    serde_json::from_str::<&RawValue>(text).map_err(|_| "expected a value")?;
    match text.parse::<BigInt>() {
        Ok(integer) => Ok(Value::big_integer(integer)),
        Err(_) => match text.parse() {
            Ok(float) if f64::is_finite(float) => Ok(Value::Float(float)),
            _ => Err("a number is out of range".to_owned()),
        },
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
    }

    #[test]
    fn what_is_no_number_may_stand_at_any_depth() {
        assert_eq!(read("-Infinity"), Ok(Value::Float(f64::NEG_INFINITY)));
        let infinite = |value: f64| Value::list(vec![Value::Float(value)]);
        assert_eq!(read("[Infinity]"), Ok(infinite(f64::INFINITY)));
        assert_eq!(read("[[ -Infinity ]]"), Ok(Value::list(vec![infinite(f64::NEG_INFINITY)])));
        let Ok(Value::Hash(body)) = read(r#"{"a": [1, NaN], "NaN": "NaN"}"#) else { panic!("no hash") };
        assert_eq!(body.get(&Value::string("NaN")), Some(&Value::string("NaN")));
        let list = body.get(&Value::string("a")).and_then(Value::as_list).unwrap();
        assert!(matches!(list.get(1), Some(Value::Float(value)) if value.is_nan()));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let texts = [
            "",
            "yes",
            "nan",
            "+1",
            "01",
            "1_000",
            "1.",
            ".5",
            "-",
            "--1",
            "Infinityx",
            "[1,]",
            "[1 2]",
            "[",
            "{\"a\" 1}",
            "{\"a\": 1,}",
            "{1: 2}",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\n\"",
            "1 2",
            "[1]]",
            "truefalse",
            "é",
            "\"\\ud800\"",
            "[\u{a0}1]",
        ];
        for text in texts {
            assert!(read(text).is_err(), "{text:?}");
        }
        let said = read("[1,\n é]").unwrap_err();
        assert!(said.ends_with("is not valid JSON: expected a value at line 2 column 2"), "{said}");
    }

    #[test]
    fn a_float_is_the_one_nearest_to_its_text() {
        for text in ["10928588.983213553", "5.78040217714115e-220", "-1.4074705188261364e+113", "562949953421312.25"] {
            assert_eq!(read(text), Ok(Value::Float(text.parse().unwrap())), "{text}");
        }
        assert!(read("1e999").unwrap_err().contains("a number is out of range"));
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
        assert!(read(&format!("{}{}", "[".repeat(128), "]".repeat(128))).is_ok());
        assert!(read(&format!("{}1{}", "[".repeat(129), "]".repeat(129))).is_err());
        let said = read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).unwrap_err();
        assert!(said.contains("nested too deeply"), "{}", &said[said.len() - 100..]);
    }
}
