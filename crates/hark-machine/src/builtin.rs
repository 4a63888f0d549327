//! The builtins: what each does with its arguments.
//!
//! None calls back into the program, so each runs to its end at once. One that fails leaves its arguments as they
//! were; one that succeeds may take them.

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Executable, shortened, string_text};
use num_traits::ToPrimitive;
use triomphe::Arc;

use crate::display::{integer_text, whole_text};
use crate::effect::Host;
use crate::error::Error;
use crate::hash::{HashBody, Key};
use crate::join;
use crate::limits::{HASH_LENGTH_MAX, LIST_LENGTH_MAX};
use crate::number::{self, article};
use crate::parse;
use crate::text::Text;
use crate::value::Value;

/// What a builtin came to.
pub(crate) enum Outcome {
    /// It gives this value.
    Value(Value),
    /// A value; so many bytes were printed.
    Printed(Value, usize),
    /// The thread sleeps; the value is given afterwards.
    Sleep(Value),
}

type Result<T> = std::result::Result<T, Error>;

/// Calls a builtin with a number of arguments that it takes.
pub(crate) fn call(
    builtin: Builtin,
    arguments: &mut [Value],
    executable: &Executable,
    host: &mut impl Host,
) -> Result<Outcome> {
    let value = match (builtin, arguments) {
        (Builtin::Print, [value]) => {
            let mut text = whole_text("print", value, executable)?;
            text.push('\n');
            let bytes = text.len();
            host.print(text);
            return Ok(Outcome::Printed(std::mem::take(value), bytes));
        }
        (Builtin::Sleep, [seconds]) => return sleep(seconds).map(Outcome::Sleep),
        (Builtin::List, items) => Value::list(items.iter_mut().map(std::mem::take).collect()),
        (Builtin::Hash, items) => make_hash(items)?,
        (Builtin::First, [list]) => first(list)?,
        (Builtin::Rest, [list]) => {
            check_rest(list)?;
            rest(std::mem::take(list))
        }
        (Builtin::Nth, [list, index]) => nth(list, index)?,
        (Builtin::Length, [of]) => length(of)?,
        (Builtin::Append, [list, item]) => {
            check_append(list)?;
            append(list, std::mem::take(item));
            std::mem::take(list)
        }
        (Builtin::Conc, [front, back]) => conc(front, back)?,
        (Builtin::Get, [hash, key]) => get(hash, key)?.cloned().unwrap_or_default(),
        (Builtin::Get, [hash, key, default]) => match get(hash, key)? {
            Some(value) => value.clone(),
            None => std::mem::take(default),
        },
        (Builtin::Set, [hash, key, value]) => {
            set(hash, key, value)?;
            std::mem::take(hash)
        }
        (Builtin::Nullp, [value]) => Value::Boolean(is_empty(value)),
        (Builtin::Atomp, [value]) => Value::Boolean(!value.is_container()),
        (Builtin::ParseFloat, [value]) => parse_float(value)?,
        (Builtin::ToString, [value]) => match value {
            Value::String(_) => std::mem::take(value),
            Value::Integer(value) => Value::String(Arc::new(Text::of_integer(*value))),
            other => Value::string(whole_text("to_string", other, executable)?),
        },
        (Builtin::Signal, [kind, message]) => return signal(kind, message, executable, host),
        (Builtin::Future, [name, id]) => {
            named_promise(&whole_text("future", name, executable)?, &whole_text("future", id, executable)?)?
        }
        (Builtin::Sid, []) => Value::string(host.session()),
        (Builtin::Tid, []) => Value::Integer(host.thread() as i64),
        (Builtin::Promise, []) => Value::Promise(Arc::new(format!("promise/{:016x}", host.random()))),
        (Builtin::FutureId, [future]) => future_id(future, host)?,
        (Builtin::Now, []) => Value::Float(host.now() as f64 / 1e6),
        // The 53 bits that a float has.
        (Builtin::Random, []) => Value::Float((host.random() >> 11) as f64 / (1_u64 << 53) as f64),
        (Builtin::Uuid, []) => Value::string(uuid(host.random(), host.random())),
        (Builtin::Error, [message]) => return Err(raised("error", message, Value::Null, executable)),
        (Builtin::Error, [message, data]) => return Err(raised("error", message, data.clone(), executable)),
        (builtin, arguments) => return Err(wrong_count(builtin, arguments.len())),
    };
    Ok(Outcome::Value(value))
}

/// An error about a number of arguments that a builtin does not take.
pub(crate) fn wrong_count(builtin: Builtin, count: usize) -> Error {
    let (minimum, maximum) = builtin.arity();
    let wanted = match maximum {
        u32::MAX => format!("at least {minimum}"),
        _ if minimum == maximum => minimum.to_string(),
        _ => format!("{minimum} to {maximum}"),
    };
    arity_error(builtin.name(), &wanted, count)
}

/// An error about a call with a wrong number of arguments.
pub(crate) fn arity_error(name: &str, wanted: &str, count: usize) -> Error {
    let noun = if wanted == "1" { "argument" } else { "arguments" };
    let name = shortened(name);
    Error::new("arity", format!("`{name}` takes {wanted} {noun}, but was called with {count}"))
}

fn wrong_type(name: &str, wanted: &str, got: &Value) -> Error {
    Error::of_type(format!("`{name}` needs {wanted}, but got {}", article(got.type_name())))
}

fn sleep(seconds: &Value) -> Result<Value> {
    let length = match seconds {
        Value::Integer(value) => *value as f64,
        Value::Float(value) => *value,
        Value::BigInteger(value) => number::to_float(value)?,
        other => return Err(wrong_type("sleep", "a number of seconds", other)),
    };
    if length.is_nan() || length < 0.0 {
        let got = match seconds {
            Value::Integer(value) => value.to_string(),
            _ => hark_bytecode::float_text(length),
        };
        return Err(Error::of_value(format!("`sleep` needs a number of seconds that is not negative, but got {got}")));
    }
    Ok(seconds.clone())
}

/// The first element of a list.
pub(crate) fn first(list: &Value) -> Result<Value> {
    let Some(items) = list.as_list() else { return Err(wrong_type("first", "a list", list)) };
    match items.get(0) {
        Some(item) => Ok(item.clone()),
        None => Err(Error::of_value("`first`: the list is empty")),
    }
}

/// Whether `rest` may be called with this.
pub(crate) fn check_rest(list: &Value) -> Result<()> {
    if matches!(list, Value::List(..)) { Ok(()) } else { Err(wrong_type("rest", "a list", list)) }
}

/// A list without its first element: the same elements, seen from the next one on.
#[inline]
pub(crate) fn rest(list: Value) -> Value {
    match list {
        Value::List(start, body) if (start as usize) < body.len() => Value::List(start + 1, body),
        other => other,
    }
}

/// An element by its index, which counts from the end if it is negative.
pub(crate) fn nth(list: &Value, index: &Value) -> Result<Value> {
    let Some(items) = list.as_list() else { return Err(wrong_type("nth", "a list", list)) };
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
            let index = match index {
                Value::BigInteger(big) => integer_text(big),
                other => other.as_index_text(),
            };
            let noun = if length == 1 { "element" } else { "elements" };
            Err(Error::of_value(format!("`nth`: there is no index {index} in a list of {length} {noun}")))
        }
    }
}

impl Value {
    fn as_index_text(&self) -> String {
        match self {
            Value::Integer(index) => index.to_string(),
            other => other.type_name().to_owned(),
        }
    }
}

/// How many elements, entries or code points.
pub(crate) fn length(of: &Value) -> Result<Value> {
    let length = match of {
        Value::List(..) => of.as_list().map_or(0, |list| list.len()),
        Value::Hash(hash) => hash.len(),
        Value::String(text) => text.length(),
        other => return Err(wrong_type("length", "a list, hash or string", other)),
    };
    Ok(Value::Integer(length as i64))
}

/// Whether `append` may be called with this list.
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

/// Gives the list one more element; its body is changed where nobody else holds it, else copied. The list must have
/// passed `check_append`.
#[inline]
pub(crate) fn append(list: &mut Value, item: Value) {
    let Value::List(start, body) = list else {
        *list = Value::list(vec![item]);
        return;
    };
    // A queue, which is appended to at one end and read from the other, must not grow for ever.
    if *start >= 1024
        && *start as usize * 2 > body.len()
        && let Some(own) = Arc::get_mut(body)
    {
        *start = own.forget_before(*start);
    }
    Arc::make_mut(body).push(item);
}

fn conc(front: &mut Value, back: &mut Value) -> Result<Value> {
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

fn check_key(name: &str, key: &Value) -> Result<()> {
    match key {
        Value::Float(float) if float.is_nan() => Err(Error::of_value(format!("`{name}`: nan cannot be a key"))),
        key if Key::accepts(key) => Ok(()),
        other => Err(wrong_type(name, "a string, number or boolean as a key", other)),
    }
}

/// What a key maps to.
pub(crate) fn get<'a>(hash: &'a Value, key: &Value) -> Result<Option<&'a Value>> {
    let Value::Hash(body) = hash else { return Err(wrong_type("get", "a hash", hash)) };
    match body.get(key) {
        Some(value) => Ok(Some(value)),
        None => check_key("get", key).map(|()| None),
    }
}

/// Sets a key of the hash, which takes the key and the value; its body is changed where nobody else holds it, else
/// copied.
#[inline]
pub(crate) fn set(hash: &mut Value, key: &mut Value, value: &mut Value) -> Result<()> {
    let Value::Hash(body) = hash else { return Err(wrong_type("set", "a hash", hash)) };
    check_key("set", key)?;
    if body.len() >= HASH_LENGTH_MAX && body.get(key).is_none() {
        return Err(Error::limit(format!(
            "`set`: the hash has {HASH_LENGTH_MAX} keys, which is as many as a hash can have"
        )));
    }
    if let Ok(key) = Key::new(std::mem::take(key)) {
        Arc::make_mut(body).insert(key, std::mem::take(value));
    }
    Ok(())
}

fn make_hash(items: &mut [Value]) -> Result<Value> {
    if !items.len().is_multiple_of(2) {
        return Err(Error::new("arity", "`hash` takes keys and values in turn, but the last key has no value"));
    }
    for key in items.iter().step_by(2) {
        check_key("hash", key)?;
    }
    let mut body = HashBody::default();
    for pair in items.chunks_exact_mut(2) {
        if let Ok(key) = Key::new(std::mem::take(&mut pair[0])) {
            body.insert(key, std::mem::take(&mut pair[1]));
        }
    }
    Ok(Value::Hash(Arc::new(body)))
}

/// `nullp`: true for `null` and for what is empty.
#[inline]
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(start, body) => *start as usize == body.len(),
        Value::Hash(body) => body.is_empty(),
        Value::String(text) => text.length() == 0,
        _ => false,
    }
}

fn parse_float(value: &Value) -> Result<Value> {
    match value {
        Value::Float(float) => Ok(Value::Float(*float)),
        Value::Integer(integer) => Ok(Value::Float(*integer as f64)),
        Value::BigInteger(big) => match big.to_f64() {
            Some(float) if float.is_finite() => Ok(Value::Float(float)),
            _ => {
                let big = integer_text(big);
                Err(Error::of_value(format!("`parse_float`: the integer {big} is too large to become a float")))
            }
        },
        Value::String(text) => match parse::float_from(text.as_str()) {
            Some(float) => Ok(Value::Float(float)),
            None => {
                let shown = string_text(&shortened(text.as_str()));
                Err(Error::of_value(format!("`parse_float` needs the text of a number, but got {shown}")))
            }
        },
        other => Err(wrong_type("parse_float", "a string or number", other)),
    }
}

fn signal(kind: &Value, message: &mut Value, executable: &Executable, host: &mut impl Host) -> Result<Outcome> {
    let kind = match kind.as_str() {
        Some("error") => return Err(raised("signal", message, Value::Null, executable)),
        Some(kind) => kind,
        None => return Err(wrong_type("signal", "a string as its kind", kind)),
    };
    let text = format!("[signal {kind}]: {}\n", whole_text("signal", message, executable)?);
    let bytes = text.len();
    host.print(text);
    Ok(Outcome::Printed(std::mem::take(message), bytes))
}

/// The promise of this name and id. Its own name tells where one ends and the other begins.
fn named_promise(name: &str, id: &str) -> Result<Value> {
    if name.contains('/') {
        return Err(Error::of_value(format!(
            "`future` needs a name without `/`, not `{}`; an id may have some",
            shortened(name)
        )));
    }
    Ok(Value::Promise(Arc::new(format!("{name}/{id}"))))
}

/// What names a promise outside of its session.
fn future_id(future: &Value, host: &impl Host) -> Result<Value> {
    match future {
        Value::Promise(id) => Ok(Value::string(format!("{}/{id}", host.session()))),
        Value::Future(thread) => Err(Error::of_value(format!(
            "`future_id` needs a future that something outside resolves, but this one is resolved by thread {thread}"
        ))),
        other => Err(wrong_type("future_id", "a future", other)),
    }
}

/// A random UUID (version 4, RFC 9562).
fn uuid(high: u64, low: u64) -> String {
    let version = (high & 0x0fff) | 0x4000;
    let variant = (low >> 48 & 0x3fff) | 0x8000;
    let (high, low) = (high >> 16, low & 0xffff_ffff_ffff);
    format!("{:08x}-{:04x}-{version:04x}-{variant:04x}-{low:012x}", high >> 16, high & 0xffff)
}

/// The error that a program raises, or that of a message that is too long.
fn raised(builtin: &str, message: &Value, data: Value, executable: &Executable) -> Error {
    match whole_text(builtin, message, executable) {
        Ok(text) => Error::new("error", text).with_data(data),
        Err(too_long) => too_long,
    }
}
