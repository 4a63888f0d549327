//! Concatenation: `+` of strings and lists, and `conc`.
//!
//! A value with one owner is changed in place. Strings and lists are joined at whichever end moves less, so that they can
//! be built from the front as well as from the end.

use triomphe::Arc;

use crate::error::Error;
use crate::limits::{LIST_LENGTH_MAX, STRING_BYTES_MAX};
use crate::list::{List, ListBody};
use crate::text::Text;
use crate::value::Value;

/// If the right list is longer by this much, the left one's elements are put in front of it. The unshared part of a
/// list takes about as long to copy.
const LONGER_BY_MIN: usize = 512;

/// If the right string is longer by this many code points, the left one is put in front of it. Copying fewer is quicker
/// than making room.
const TEXT_LONGER_BY_MIN: usize = 1024;

/// The maximum size of a code point.
const CHARACTER_BYTES_MAX: usize = 4;

/// Whether `+` joins these values: two strings or two lists.
#[inline]
pub(crate) fn can_join(left: &Value, right: &Value) -> bool {
    matches!((left, right), (Value::String(_), Value::String(_)) | (Value::List(..), Value::List(..)))
}

/// Checks that the concatenation of two strings or two lists is not too large.
///
/// # Errors
/// If it is. `name` is the operator or builtin for the message.
#[inline]
pub(crate) fn check(name: &str, left: &Value, right: &Value) -> Result<(), Error> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            // The number of code points is at hand, and rules the limit out for almost all strings.
            if left.length() + right.length() <= STRING_BYTES_MAX / CHARACTER_BYTES_MAX {
                return Ok(());
            }
            check_bytes(name, left.as_str().len(), right.as_str().len())
        }
        _ => check_length(name, left.as_list().map_or(1, List::len), right.as_list().map_or(0, List::len)),
    }
}

#[inline]
fn check_bytes(name: &str, left: usize, right: usize) -> Result<(), Error> {
    if left + right <= STRING_BYTES_MAX { Ok(()) } else { Err(too_many_bytes(name, left, right)) }
}

#[inline]
fn check_length(name: &str, left: usize, right: usize) -> Result<(), Error> {
    if left + right <= LIST_LENGTH_MAX { Ok(()) } else { Err(too_many_elements(name, left, right)) }
}

#[cold]
fn too_many_bytes(name: &str, left: usize, right: usize) -> Error {
    let problem = format!("the strings have {left} and {right} bytes");
    Error::limit(format!("`{name}`: {problem}, and a string has at most {STRING_BYTES_MAX}"))
}

#[cold]
fn too_many_elements(name: &str, left: usize, right: usize) -> Error {
    let problem = format!("the lists have {left} and {right} elements");
    Error::limit(format!("`{name}`: {problem}, and a list has at most {LIST_LENGTH_MAX}"))
}

/// Concatenates two strings or two lists, which must have passed `check`.
pub(crate) fn join(left: Value, right: Value) -> Value {
    match (left, right) {
        (Value::String(front), Value::String(back)) => Value::String(join_texts(front, back)),
        (Value::List(front_start, front), Value::List(back_start, back)) => {
            let (front_list, back_list) = (List::new(front_start, &front), List::new(back_start, &back));
            if front_list.len() + LONGER_BY_MIN < back_list.len() {
                prepend(front_list.iter().rev().cloned(), back_start, back)
            } else {
                append(front_start, front, back_list)
            }
        }
        (left, _) => left,
    }
}

fn join_texts(mut front: Arc<Text>, mut back: Arc<Text>) -> Arc<Text> {
    if front.length() + TEXT_LONGER_BY_MIN < back.length()
        && let Some(own) = Arc::get_mut(&mut back)
    {
        own.push_front(&front);
        return back;
    }
    match Arc::get_mut(&mut front) {
        Some(own) => own.push(&back),
        None => front = Arc::new(Text::join(&front, &back)),
    }
    front
}

/// A list with another element in front.
pub(crate) fn put_in_front(value: Value, list: Value) -> Value {
    match list {
        Value::List(start, body) => prepend(std::iter::once(value), start, body),
        _ => Value::list(vec![value]),
    }
}

/// Puts items in front one by one, so that the last one becomes the first element.
fn prepend(items: impl Iterator<Item = Value>, start: u32, mut body: Arc<ListBody>) -> Value {
    let own = Arc::make_mut(&mut body);
    let start = items.fold(start, |start, item| own.push_front(start, item));
    Value::List(start, body)
}

fn append(start: u32, mut body: Arc<ListBody>, more: List<'_>) -> Value {
    Arc::make_mut(&mut body).extend(more.iter().cloned());
    Value::List(start, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of the greatest length that takes little memory.
    fn longest() -> Arc<ListBody> {
        Arc::new(ListBody::of_equal_chunks(LIST_LENGTH_MAX / 256))
    }

    #[test]
    fn a_list_has_its_limit() {
        let body = longest();
        let (whole, all_but_one) = (Value::List(0, Arc::clone(&body)), Value::List(1, body));
        let one = Value::list(vec![Value::Null]);
        let refused = check("conc", &Value::Null, &whole).unwrap_err();
        assert_eq!(
            (&*refused.kind, &*refused.message),
            ("limit", "`conc`: the lists have 1 and 67108864 elements, and a list has at most 67108864")
        );
        assert!(check("+", &whole, &one).is_err());
        assert!(check("conc", &whole, &Value::Null).is_ok());
        assert!(crate::builtin::check_append(&whole).is_err_and(|error| &*error.kind == "limit"));
        // A view counts only its visible elements.
        assert!(check("+", &all_but_one, &one).is_ok());
        assert!(crate::builtin::check_append(&all_but_one).is_ok());
    }

    #[test]
    fn a_string_has_its_limit() {
        let half = STRING_BYTES_MAX / 2;
        assert!(check_bytes("+", half, half).is_ok());
        let refused = check_bytes("+", half, half + 1).unwrap_err();
        assert_eq!(
            (&*refused.kind, &*refused.message),
            ("limit", "`+`: the strings have 268435456 and 268435457 bytes, and a string has at most 536870912")
        );
    }
}
