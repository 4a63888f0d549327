//! `format`: a template with replacement fields, as in Python's `str.format`.
//!
//! A field is `{}` or `{0}`, optionally with a format specification after a colon, which may contain fields itself, one
//! level deep. Attributes, keys and conversions are specific to Python and not supported.

mod number;
mod specification;

use std::fmt::Write;

use hark_bytecode::Executable;

use self::specification::Specification;
use super::Result;
use super::argument::{check_string_bytes, quoted, text};
use crate::display::whole_text;
use crate::error::Error;
use crate::value::Value;

/// The template with its fields replaced by these values.
pub(super) fn format(template: &Value, values: &[Value], executable: &Executable) -> Result<Value> {
    let template = text("format", "a string as its template", template)?.as_str();
    let mut filling = Filling { values, executable, numbering: Numbering::Undecided, text: String::new() };
    filling.text.reserve(template.len() + 16);
    filling.fill(template)?;
    Ok(Value::string(filling.text))
}

/// How the fields of a template refer to values. Both ways cannot be mixed.
#[derive(Clone, Copy)]
enum Numbering {
    Undecided,
    /// In order; the next field refers to this index.
    InTurn(usize),
    ByNumber,
}

/// A template being filled in.
struct Filling<'a> {
    values: &'a [Value],
    executable: &'a Executable,
    numbering: Numbering,
    text: String,
}

impl<'a> Filling<'a> {
    fn fill(&mut self, template: &str) -> Result<()> {
        let mut rest = template;
        while let Some(at) = rest.bytes().position(|byte| byte == b'{' || byte == b'}') {
            self.text.push_str(&rest[..at]);
            let (brace, behind) = (rest.as_bytes()[at], &rest[at + 1..]);
            if behind.as_bytes().first() == Some(&brace) {
                self.text.push(char::from(brace));
                rest = &behind[1..];
            } else if brace == b'}' {
                return Err(wrong("a single `}` in the template; `}}` stands for one"));
            } else {
                let end = end_of_field(behind)?;
                self.field(&behind[..end])?;
                rest = &behind[end + 1..];
            }
            check_string_bytes("format", self.text.len() as u128)?;
        }
        self.text.push_str(rest);
        check_string_bytes("format", self.text.len() as u128)
    }

    /// Formats a field, given the text between its braces.
    fn field(&mut self, field: &str) -> Result<()> {
        let (name, format) = field.split_once(':').unwrap_or((field, ""));
        let value = self.value(name)?;
        if format.is_empty() {
            return self.push_plain(value);
        }
        let expanded;
        let format = if format.contains('{') {
            expanded = self.expand(format)?;
            &expanded
        } else {
            format
        };
        let specification = Specification::parse(format)?;
        match value {
            Value::Integer(value) => specification.small_integer(*value, format, &mut self.text),
            Value::BigInteger(_) | Value::Float(_) => specification.number(value, format, &mut self.text),
            Value::String(text) => specification.text(text.as_str(), text.length(), format, &mut self.text),
            other => {
                let text = whole_text("format", other, self.executable)?;
                specification.text(&text, text.chars().count(), format, &mut self.text)
            }
        }
    }

    /// Replaces the fields in a format specification.
    fn expand(&mut self, format: &str) -> Result<String> {
        let mut expanded = String::new();
        let mut rest = format;
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else { return Err(unclosed()) };
            expanded.push_str(before);
            expanded.push_str(&whole_text("format", self.value(name)?, self.executable)?);
            rest = after;
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// Appends a value's text form, as made by `to_string`.
    fn push_plain(&mut self, value: &Value) -> Result<()> {
        match value {
            Value::String(text) => self.text.push_str(text.as_str()),
            // Writing to a string cannot fail.
            Value::Integer(value) => _ = write!(self.text, "{value}"),
            other => self.text.push_str(&whole_text("format", other, self.executable)?),
        }
        Ok(())
    }

    /// The value that a field refers to.
    fn value(&mut self, name: &str) -> Result<&'a Value> {
        let number = match (name, self.numbering) {
            ("", Numbering::Undecided) => {
                self.numbering = Numbering::InTurn(1);
                0
            }
            ("", Numbering::InTurn(next)) => {
                self.numbering = Numbering::InTurn(next + 1);
                next
            }
            (digits, Numbering::Undecided | Numbering::ByNumber)
                if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                self.numbering = Numbering::ByNumber;
                digits.parse().unwrap_or(usize::MAX)
            }
            (name, _) if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(wrong(
                    "fields that are numbered, and fields that are not; a template has one kind of them",
                ));
            }
            (name, _) => return Err(wrong(&format!("the field {}; a field is `{{}}` or has a number", quoted(name)))),
        };
        let count = self.values.len();
        self.values.get(number).ok_or_else(|| {
            let noun = if count == 1 { "value" } else { "values" };
            Error::of_value(format!("`format` needs a value for field {number}, but got {count} {noun}"))
        })
    }
}

/// The end of a field, given the text after its `{`: the matching brace, not one inside the format specification.
fn end_of_field(text: &str) -> Result<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Ok(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    Err(unclosed())
}

fn unclosed() -> Error {
    wrong("a `{` without its `}`; `{{` stands for one")
}

/// The error of an invalid template.
#[cold]
fn wrong(what: &str) -> Error {
    Error::of_value(format!("`format` got {what}"))
}
