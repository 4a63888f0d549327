//! Operations on single elements of lists.

use triomphe::Arc;

use super::Result;
use super::argument::{self, number_text, wrong_type};
use crate::error::Error;
use crate::join;
use crate::limits::LIST_LENGTH_MAX;
use crate::value::Value;

/// The first element of a list.
pub(crate) fn first(list: &Value) -> Result<Value> {
    argument::list("first", list)?.get(0).cloned().ok_or_else(|| is_empty("first"))
}

/// The last element of a list.
pub(super) fn last(list: &Value) -> Result<Value> {
    argument::list("last", list)?.iter().next_back().cloned().ok_or_else(|| is_empty("last"))
}

fn is_empty(name: &str) -> Error {
    Error::of_index(format!("`{name}`: the list is empty"))
}

/// Checks that `rest` accepts this value.
pub(crate) fn check_rest(list: &Value) -> Result<()> {
    if matches!(list, Value::List(..)) { Ok(()) } else { Err(wrong_type("rest", "a list", list)) }
}

/// The list without its first element: a view that starts one element later.
#[inline]
pub(crate) fn rest(list: Value) -> Value {
    match list {
        Value::List(start, body) if (start as usize) < body.len() => Value::List(start + 1, body),
        other => other,
    }
}

/// The element at an index; negative indexes count from the end.
pub(crate) fn nth(list: &Value, index: &Value) -> Result<Value> {
    let items = argument::list("nth", list)?;
    let length = items.len();
    let place = match index {
        Value::Integer(index) if *index >= 0 => usize::try_from(*index).ok(),
        Value::Integer(index) => index.unsigned_abs().try_into().ok().and_then(|back| length.checked_sub(back)),
        Value::BigInteger(_) => None,
        other => return Err(wrong_type("nth", "an integer as its index", other)),
    };
    match place.and_then(|place| items.get(place)) {
        Some(item) => Ok(item.clone()),
        None => {
            let (index, noun) = (number_text(index), if length == 1 { "element" } else { "elements" });
            Err(Error::of_index(format!("`nth`: there is no index {index} in a list of {length} {noun}")))
        }
    }
}

/// The number of elements, entries or code points.
pub(crate) fn length(of: &Value) -> Result<Value> {
    let length = match of {
        Value::List(..) => of.as_list().map_or(0, |list| list.len()),
        Value::Hash(hash) => hash.len(),
        Value::String(text) => text.length(),
        other => return Err(wrong_type("length", "a list, hash or string", other)),
    };
    Ok(Value::Integer(length as i64))
}

/// Checks that `append` accepts this list.
pub(crate) fn check_append(list: &Value) -> Result<()> {
    match list {
        Value::Null => Ok(()),
        Value::List(start, body) if body.len() - (*start as usize) < LIST_LENGTH_MAX => Ok(()),
        Value::List(..) => Err(Error::limit(format!(
            "`append`: the list has {LIST_LENGTH_MAX} elements, which is as many as a list can have"
        ))),
        other => Err(wrong_type("append", "a list", other)),
    }
}

/// Appends an element. The body is changed in place if it is not shared, else copied. The list must have passed
/// `check_append`.
#[inline]
pub(crate) fn append(list: &mut Value, item: Value) {
    let Value::List(start, body) = list else {
        *list = Value::list(vec![item]);
        return;
    };
    // A queue, appended to at one end and read from the other, must not grow without bound.
    if *start >= 1024
        && *start as usize * 2 > body.len()
        && let Some(own) = Arc::get_mut(body)
    {
        *start = own.forget_before(*start);
    }
    Arc::make_mut(body).push(item);
}

pub(super) fn conc(front: &mut Value, back: &mut Value) -> Result<Value> {
    if !matches!(back, Value::Null | Value::List(..)) {
        return Err(wrong_type("conc", "a list as its second argument", back));
    }
    join::check("conc", front, back)?;
    let (front, back) = (std::mem::take(front), std::mem::take(back));
    Ok(match (front, back) {
        (front @ Value::List(..), Value::Null) => front,
        (front @ Value::List(..), back) => join::join(front, back),
        (atom, back) => join::put_in_front(atom, back),
    })
}
