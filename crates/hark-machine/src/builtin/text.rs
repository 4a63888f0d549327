//! Strings: case, trimming, replacement, padding.

use triomphe::Arc;

use super::Result;
use super::argument::{check_string_bytes, size, text};
use crate::limits::STRING_BYTES_MAX;
use crate::text::{Text, is_blank};
use crate::value::Value;

/// A change of case never lengthens a character by more than this many bytes.
const CASE_GROWTH_MAX: usize = 6;

pub(super) fn upper(value: &Value) -> Result<Value> {
    let whole = text("upper", "a string", value)?.as_str();
    check_case("upper", whole, |character| character.to_uppercase().map(char::len_utf8).sum())?;
    Ok(Value::string(whole.to_uppercase()))
}

pub(super) fn lower(value: &Value) -> Result<Value> {
    let whole = text("lower", "a string", value)?.as_str();
    check_case("lower", whole, |character| character.to_lowercase().map(char::len_utf8).sum())?;
    Ok(Value::string(whole.to_lowercase()))
}

fn check_case(name: &str, whole: &str, bytes: impl Fn(char) -> usize) -> Result<()> {
    if whole.len() <= STRING_BYTES_MAX / CASE_GROWTH_MAX {
        return Ok(());
    }
    check_string_bytes(name, whole.chars().map(bytes).sum::<usize>() as u128)
}

/// The text without leading and trailing white space.
pub(super) fn trim(value: &Value) -> Result<Value> {
    let whole = text("trim", "a string", value)?;
    let trimmed = whole.as_str().trim_matches(is_blank);
    Ok(if trimmed.len() == whole.as_str().len() { value.clone() } else { Value::string(trimmed) })
}

/// Replaces all occurrences of a substring. The empty string occurs before, between and after all code points.
pub(super) fn replace(value: &Value, old: &Value, new: &Value) -> Result<Value> {
    let whole = text("replace", "a string", value)?;
    let old = text("replace", "a string to be replaced", old)?.as_str();
    let new = text("replace", "a string as the new text", new)?.as_str();
    let length = whole.as_str().len();
    let growth = new.len().saturating_sub(old.len()) as u128;
    let times_max = (length / old.len().max(1) + 1) as u128;
    if length as u128 + times_max * growth > STRING_BYTES_MAX as u128 {
        let times = whole.as_str().matches(old).count() as u128;
        check_string_bytes("replace", length as u128 + times * growth)?;
    }
    Ok(Value::string(whole.as_str().replace(old, new)))
}

pub(super) fn starts_with(value: &Value, part: &Value) -> Result<Value> {
    let whole = text("starts_with", "a string", value)?.as_str();
    let part = text("starts_with", "a string to begin with", part)?.as_str();
    Ok(Value::Boolean(whole.starts_with(part)))
}

pub(super) fn ends_with(value: &Value, part: &Value) -> Result<Value> {
    let whole = text("ends_with", "a string", value)?.as_str();
    let part = text("ends_with", "a string to end with", part)?.as_str();
    Ok(Value::Boolean(whole.ends_with(part)))
}

/// The text padded with leading blanks to this number of code points.
pub(super) fn pad_left(value: &Value, length: &Value) -> Result<Value> {
    pad("pad_left", value, length, |text, blanks| blanks + text)
}

/// The text padded with trailing blanks to this number of code points.
pub(super) fn pad_right(value: &Value, length: &Value) -> Result<Value> {
    pad("pad_right", value, length, |text, blanks| text.to_owned() + &blanks)
}

fn pad(name: &str, value: &Value, length: &Value, join: impl Fn(&str, String) -> String) -> Result<Value> {
    let whole = text(name, "a string", value)?;
    let wanted = size(name, "an integer as its length", length)?;
    let missing = usize::try_from(wanted).unwrap_or(usize::MAX).saturating_sub(whole.length());
    if missing == 0 {
        return Ok(value.clone());
    }
    check_string_bytes(name, whole.as_str().len() as u128 + missing as u128)?;
    let padded = join(whole.as_str(), " ".repeat(missing));
    Ok(Value::String(Arc::new(Text::counted(padded, whole.length() + missing))))
}
