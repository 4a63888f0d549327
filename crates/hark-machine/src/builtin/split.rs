//! Splitting and joining strings.

use triomphe::Arc;

use super::Result;
use super::argument::{self, check_list_length, check_string_bytes, text};
use crate::error::Error;
use crate::limits::LIST_LENGTH_MAX;
use crate::number::article;
use crate::text::{Text, is_blank};
use crate::value::Value;

/// The words of a text, separated by white space.
pub(super) fn at_blanks(value: &Value) -> Result<Value> {
    let whole = text("split", "a string", value)?;
    collect("split", whole, || whole.as_str().split(is_blank).filter(|piece| !piece.is_empty()))
}

/// The parts of a text between separators.
pub(super) fn at(value: &Value, separator: &Value) -> Result<Value> {
    let whole = text("split", "a string", value)?;
    let separator = text("split", "a string as its separator", separator)?.as_str();
    match separator.as_bytes() {
        [] => Err(Error::of_value("`split` needs a separator that is not empty")),
        [byte] => {
            let byte = char::from(*byte);
            collect("split", whole, || whole.as_str().split(byte))
        }
        _ => collect("split", whole, || whole.as_str().split(separator)),
    }
}

/// The lines of a text, without their line breaks, which are those of Python's `splitlines`.
pub(super) fn lines(value: &Value) -> Result<Value> {
    let whole = text("lines", "a string", value)?;
    collect("lines", whole, || Lines(whole.as_str()))
}

fn collect<'a, I: Iterator<Item = &'a str>>(name: &str, whole: &Text, pieces: impl Fn() -> I) -> Result<Value> {
    // A text shorter than the longest list cannot have too many lines.
    if whole.as_str().len() >= LIST_LENGTH_MAX {
        check_list_length(name, pieces().count() as u128)?;
    }
    let text = |piece: &str| if whole.is_ascii() { Text::counted(piece, piece.len()) } else { Text::new(piece) };
    Ok(Value::List(0, Arc::new(pieces().map(|piece| Value::String(Arc::new(text(piece)))).collect())))
}

struct Lines<'a>(&'a str);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.0;
        if text.is_empty() {
            return None;
        }
        let ends =
            |character: char| matches!(character, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
        let Some(end) = text.find(ends) else {
            self.0 = "";
            return Some(text);
        };
        let rest = &text[end..];
        let length = if rest.starts_with("\r\n") { 2 } else { rest.chars().next().map_or(0, char::len_utf8) };
        self.0 = &rest[length..];
        Some(&text[..end])
    }
}

/// The strings of a list, joined by a separator.
pub(super) fn join(list: &Value, separator: &Value) -> Result<Value> {
    let items = argument::list("join", list)?;
    let separator = text("join", "a string as its separator", separator)?;
    let (mut joined, mut characters) = (String::new(), 0);
    // In one pass, because reading the pieces from memory takes most of the time. The result never exceeds the maximum
    // length.
    for (number, item) in items.rows().flatten().enumerate() {
        let Value::String(piece) = item else {
            let got = article(item.type_name());
            return Err(Error::of_type(format!("`join` needs a list of strings, but item {number} is {got}")));
        };
        if number > 0 {
            check_string_bytes("join", (joined.len() + separator.as_str().len() + piece.as_str().len()) as u128)?;
            joined.push_str(separator.as_str());
            characters += separator.length();
        }
        joined.push_str(piece.as_str());
        characters += piece.length();
    }
    Ok(Value::String(Arc::new(Text::counted(joined, characters))))
}
