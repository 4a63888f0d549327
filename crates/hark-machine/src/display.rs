//! The text form of values, as shown by `print`.
//!
//! A value may be shared in many places, so its text can be far larger than the value in memory. Whether it can be
//! written in full is checked before it is written.

use hark_bytecode::{Executable, float_text, shortened, string_text};
use num_bigint::BigInt;

use crate::error::Error;
use crate::hash::Entries;
use crate::limits::{DECIMAL_BITS_MAX, SHORTENED_CHARACTERS, STRING_BYTES_MAX};
use crate::list::List;
use crate::number::article;
use crate::size::is_larger;
use crate::value::Value;

/// This much of a text is written before its total length is checked.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// In a shortened text, integers with more bits are not written in digits.
const SHORTENED_BITS_MAX: u64 = 1 << 12;

/// A value's text: a string as it is, everything else as a literal of the language. Shortened if it is too long to be
/// written in full.
pub fn text_of(value: &Value, executable: &Executable) -> String {
    match value {
        Value::String(text) => text.as_str().to_owned(),
        other => literal_text(other, executable),
    }
}

/// A value's text as a literal, with strings in quotes. Shortened if it is too long to be written in full.
pub fn literal_text(value: &Value, executable: &Executable) -> String {
    whole_literal(value, executable).unwrap_or_else(|| short_text(value, executable, SHORTENED_CHARACTERS))
}

/// The beginning of a value's text as a literal, cut to this many characters with `...` if it is longer.
pub fn short_text(value: &Value, executable: &Executable, characters: usize) -> String {
    let bytes_max = characters.saturating_mul(4);
    let mut writing = Writing { text: String::new(), bytes_max, decimal_bits_max: SHORTENED_BITS_MAX, executable };
    // An error only means that the text was cut after the wanted characters.
    let _ = writing.value(value);
    match writing.text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", &writing.text[..end]),
        None => writing.text,
    }
}

/// The values as literals, separated by commas, up to this many characters; `...` stands for the rest.
pub fn short_texts(values: &[Value], executable: &Executable, characters: usize) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(&short_text(value, executable, characters));
        if text.len() > characters && text.chars().nth(characters).is_some() {
            break;
        }
    }
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A value's text, for the builtin of this name.
///
/// # Errors
/// If the text is too long.
pub(crate) fn whole_text(name: &str, value: &Value, executable: &Executable) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.as_str().to_owned()),
        Value::BigInteger(big) if big.bits() > DECIMAL_BITS_MAX => Err(Error::limit(format!(
            "`{name}`: the integer has {} bits, and at most {DECIMAL_BITS_MAX} are written as text",
            big.bits()
        ))),
        other => whole_literal(other, executable).ok_or_else(|| {
            let what = article(value.type_name());
            Error::limit(format!("`{name}`: the text of {what} would have more than {STRING_BYTES_MAX} bytes"))
        }),
    }
}

/// Whether a value is too large to be written in full, shared parts counted at every occurrence.
pub fn is_too_long(value: &Value) -> bool {
    let length = |atom: &Value| match atom {
        Value::String(text) => text.as_str().len() as u64 + 4,
        Value::BigInteger(big) if big.bits() > DECIMAL_BITS_MAX => u64::MAX,
        Value::BigInteger(big) => big.bits() / 4,
        Value::Object(object) => object.type_name().len() as u64,
        _ => 3,
    };
    is_larger(value, STRING_BYTES_MAX as u64, 2, length)
}

fn whole_literal(value: &Value, executable: &Executable) -> Option<String> {
    let with_most = |bytes_max| {
        let mut writing = Writing { text: String::new(), bytes_max, decimal_bits_max: DECIMAL_BITS_MAX, executable };
        writing.value(value).ok().map(|()| writing.text)
    };
    with_most(MEASURED_BYTES_MIN).or_else(|| if is_too_long(value) { None } else { with_most(STRING_BYTES_MAX) })
}

/// A text being written.
struct Writing<'e> {
    text: String,
    bytes_max: usize,
    decimal_bits_max: u64,
    executable: &'e Executable,
}

/// The text exceeds its maximum length.
struct TooLong;

/// The unwritten rest of an open container.
enum Open<'a> {
    List(List<'a>, usize),
    /// The flag is set until the first entry is written.
    Hash(Entries<'a>, bool),
}

impl Writing<'_> {
    /// Writes a value. Nesting is unlimited.
    fn value(&mut self, value: &Value) -> Result<(), TooLong> {
        let mut open = Vec::new();
        self.begin(value, &mut open)?;
        while let Some(container) = open.pop() {
            match container {
                Open::List(list, index) => match list.get(index) {
                    Some(item) => {
                        self.text.push_str(if index > 0 { ", " } else { "" });
                        open.push(Open::List(list, index + 1));
                        self.begin(item, &mut open)?;
                    }
                    None => self.text.push(']'),
                },
                Open::Hash(mut entries, is_first) => match entries.next() {
                    Some((key, item)) => {
                        self.text.push_str(if is_first { "" } else { ", " });
                        self.atom(key)?;
                        self.text.push_str(": ");
                        open.push(Open::Hash(entries, false));
                        self.begin(item, &mut open)?;
                    }
                    None => self.text.push('}'),
                },
            }
        }
        self.check()
    }

    fn begin<'a>(&mut self, value: &'a Value, open: &mut Vec<Open<'a>>) -> Result<(), TooLong> {
        match value {
            Value::List(start, body) => {
                self.text.push('[');
                open.push(Open::List(List::new(*start, body), 0));
                self.check()
            }
            Value::Hash(body) => {
                self.text.push('{');
                open.push(Open::Hash(body.iter(), true));
                self.check()
            }
            atom => self.atom(atom),
        }
    }

    fn atom(&mut self, value: &Value) -> Result<(), TooLong> {
        match value {
            Value::Null | Value::List(..) | Value::Hash(_) => self.text.push_str("null"),
            Value::Boolean(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Integer(value) => self.text.push_str(&value.to_string()),
            Value::BigInteger(value) if value.bits() > self.decimal_bits_max => {
                self.text.push_str(&integer_text(value));
                return Err(TooLong);
            }
            Value::BigInteger(value) => self.text.push_str(&value.to_string()),
            Value::Float(value) => self.text.push_str(&float_text(*value)),
            Value::String(text) => {
                // At most what fits the remaining room.
                let text = text.as_str();
                let room = self.bytes_max.saturating_sub(self.text.len());
                if text.len() > room {
                    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                    self.text.push_str(&string_text(&text[..end]));
                    return Err(TooLong);
                }
                self.text.push_str(&string_text(text));
            }
            Value::Future(number) => self.text.push_str(&format!("<future {number}>")),
            Value::Promise(id) => self.text.push_str(&format!("<future {id}>")),
            Value::Object(object) => self.text.push_str(&object.shown()),
            function => self.text.push_str(&format!("<fn {}>", function_name(function, self.executable))),
        }
        self.check()
    }

    fn check(&self) -> Result<(), TooLong> {
        if self.text.len() <= self.bytes_max { Ok(()) } else { Err(TooLong) }
    }
}

/// A big integer for a message: its digits, or its size.
pub(crate) fn integer_text(value: &BigInt) -> String {
    match value.bits() {
        bits if bits > SHORTENED_BITS_MAX => format!("<integer of {bits} bits>"),
        _ => shortened(&value.to_string()).into_owned(),
    }
}

/// The name of a function value.
pub fn function_name<'a>(value: &Value, executable: &'a Executable) -> &'a str {
    match value {
        Value::Function(index) => executable.functions.get(index.0 as usize).map_or("?", |function| &function.name),
        Value::Closure(body) => {
            executable.functions.get(body.function().0 as usize).map_or("?", |function| &function.name)
        }
        Value::Foreign(index) => executable.foreign.get(index.0 as usize).map_or("?", |foreign| &foreign.name),
        Value::Builtin(builtin) => builtin.name(),
        Value::Operator(operator) => operator.symbol(),
        _ => "?",
    }
}
