//! A call's arguments as bytes, and what to say where that cannot be.

use hark_machine::{Entries, Error, List, ObjectBody, Value, is_larger};
use triomphe::Arc;

use crate::limits::MESSAGE_BYTES_MAX;

/// The most that is shown of a long key, and of a long way to a value: its beginning and its end.
const KEY_LENGTH_MAX: usize = 40;
const STEPS_MAX: usize = 8;

/// Lists from this length on are looked at for whether they hold numbers of one type only.
const PACKED_LENGTH_MIN: usize = 16;

/// Arguments are written so far before they are measured.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// Why arguments cannot go over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is a value of this type among them: a function or Future.
    Type {
        /// Its type.
        name: &'static str,
        /// Where it is, in words.
        place: String,
    },
    /// They take more bytes than a message has.
    TooLarge,
}

/// What is left to encode of an open container.
enum Rest<'a> {
    List(List<'a>, usize),
    /// With the key that is encoded now.
    Hash(Entries<'a>, Option<&'a Value>),
}

/// Adds a call's arguments, as a list. Of an object that is only its number among `objects`, to which it is added: it may be
/// there several times, as the function gets one of its own for each place.
///
/// # Errors
/// If there is a function or Future among them, however deep, or they are too large. A value may be in many places, so they
/// can be far larger than they are in memory: this gives up before it has needed much.
pub fn encode_arguments(
    arguments: &[Value],
    bytes: &mut Vec<u8>,
    objects: &mut Vec<Arc<ObjectBody>>,
) -> Result<(), Refused> {
    head(b'l', arguments.len(), bytes);
    let mut is_measured = false;
    let mut open = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        open.extend(begin(argument, bytes, objects).map_err(|unfit| unfit.at(index, &open))?);
        while let Some(rest) = open.last_mut() {
            let Some((key, value)) = next(rest) else {
                open.pop();
                continue;
            };
            if let Some(key) = key {
                begin(key, bytes, objects).map_err(|unfit| unfit.at(index, &open))?;
            }
            let inner = begin(value, bytes, objects).map_err(|unfit| unfit.at(index, &open))?;
            open.extend(inner);
            if bytes.len() > MESSAGE_BYTES_MAX {
                return Err(Refused::TooLarge);
            }
            if bytes.len() > MEASURED_BYTES_MIN && !is_measured {
                is_measured = true;
                if arguments.iter().any(is_too_large) {
                    return Err(Refused::TooLarge);
                }
            }
        }
    }
    Ok(())
}

/// A value of a type that Python has not: its name.
struct Unfit(&'static str);

impl Unfit {
    /// The refusal of an argument, in which these containers are open.
    fn at(&self, argument: usize, open: &[Rest<'_>]) -> Refused {
        let mut steps = vec![format!("argument {}", argument + 1)];
        steps.extend(open.iter().map(|rest| match rest {
            Rest::List(_, after) => format!("item {} of the list", after - 1),
            Rest::Hash(_, key) => format!("key {} of the hash", key.map_or_else(String::new, shown)),
        }));
        if steps.len() > STEPS_MAX {
            let left_out = format!("... {} levels ...", steps.len() - STEPS_MAX);
            steps.splice(STEPS_MAX / 2..steps.len() - STEPS_MAX / 2, [left_out]);
        }
        Refused::Type { name: self.0, place: steps.join(", ") }
    }
}

fn shown(key: &Value) -> String {
    match key {
        Value::Integer(key) => key.to_string(),
        Value::Float(key) => format!("{key:?}"),
        Value::Boolean(key) => key.to_string(),
        Value::String(key) => {
            let cut: String = key.as_str().chars().take(KEY_LENGTH_MAX).collect();
            let rest = if cut.len() < key.as_str().len() { "..." } else { "" };
            format!("{cut:?}{rest}")
        }
        other => format!("of type {}", other.type_name()),
    }
}

/// Whether a value needs more bytes than a message has.
fn is_too_large(value: &Value) -> bool {
    let bytes = |atom: &Value| match atom {
        Value::Integer(_) | Value::Float(_) => 8,
        Value::String(text) => text.as_str().len() as u64,
        Value::BigInteger(big) => big.bits() / 8,
        Value::Object(object) => object.pickle().length() as u64,
        _ => 1,
    };
    is_larger(value, MESSAGE_BYTES_MAX as u64, 5, bytes)
}

fn next<'a>(rest: &mut Rest<'a>) -> Option<(Option<&'a Value>, &'a Value)> {
    match rest {
        Rest::List(list, index) => {
            let item = list.get(*index)?;
            *index += 1;
            Some((None, item))
        }
        Rest::Hash(entries, current) => {
            let (key, value) = entries.next()?;
            *current = Some(key);
            Some((Some(key), value))
        }
    }
}

/// Adds a value; of a container only its head, and answers what is in it.
fn begin<'a>(
    value: &'a Value,
    bytes: &mut Vec<u8>,
    objects: &mut Vec<Arc<ObjectBody>>,
) -> Result<Option<Rest<'a>>, Unfit> {
    match value {
        Value::Null => bytes.push(b'N'),
        Value::Boolean(true) => bytes.push(b'T'),
        Value::Boolean(false) => bytes.push(b'F'),
        Value::Integer(value) => tagged(b'i', value.to_le_bytes(), bytes),
        Value::Float(value) => tagged(b'f', value.to_le_bytes(), bytes),
        Value::BigInteger(value) => sized(b'I', &value.to_signed_bytes_le(), bytes),
        Value::String(text) => sized(b's', text.as_str().as_bytes(), bytes),
        Value::List(..) => return Ok(value.as_list().and_then(|list| begin_list(list, bytes))),
        Value::Hash(hash) => {
            head(b'd', hash.len(), bytes);
            return Ok(Some(Rest::Hash(hash.iter(), None)));
        }
        Value::Object(object) => {
            head(b'O', objects.len(), bytes);
            objects.push(object.clone());
        }
        Value::Function(_) | Value::Closure(_) | Value::Foreign(_) | Value::Builtin(_) | Value::Operator(_) => {
            return Err(Unfit(value.type_name()));
        }
        Value::Future(_) | Value::Promise(_) => return Err(Unfit(value.type_name())),
    }
    Ok(None)
}

fn begin_list<'a>(list: List<'a>, bytes: &mut Vec<u8>) -> Option<Rest<'a>> {
    if list.len() >= PACKED_LENGTH_MIN {
        if list.iter().all(|item| matches!(item, Value::Integer(_))) {
            head(b'q', list.len(), bytes);
            bytes.extend(list.iter().flat_map(|item| match item {
                Value::Integer(value) => value.to_le_bytes(),
                _ => [0; 8],
            }));
            return None;
        }
        if list.iter().all(|item| matches!(item, Value::Float(_))) {
            head(b'e', list.len(), bytes);
            bytes.extend(list.iter().flat_map(|item| match item {
                Value::Float(value) => value.to_le_bytes(),
                _ => [0; 8],
            }));
            return None;
        }
    }
    head(b'l', list.len(), bytes);
    Some(Rest::List(list, 0))
}

fn tagged(tag: u8, value: [u8; 8], bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.extend_from_slice(&value);
}

fn sized(tag: u8, content: &[u8], bytes: &mut Vec<u8>) {
    head(tag, content.len(), bytes);
    bytes.extend_from_slice(content);
}

/// A length that needs more than its four bytes makes a message that is refused as too long.
fn head(tag: u8, length: usize, bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// Looks whether a Python function can be given these arguments, without calling it. `described` is how messages name it.
///
/// # Errors
/// What the call would raise that has them.
pub fn check_arguments(described: &str, arguments: &[Value], takes_keywords: bool) -> Result<(), Error> {
    encode_arguments(arguments, &mut Vec::new(), &mut Vec::new())
        .map_err(|refused| refused_arguments(described, refused))?;
    if let Some(Value::Hash(keywords)) = arguments.last().filter(|_| takes_keywords)
        && let Some((key, _)) = keywords.iter().find(|(key, _)| key.as_str().is_none())
    {
        let name = match key {
            Value::Boolean(true) => "True".to_owned(),
            Value::Boolean(false) => "False".to_owned(),
            key => shown(key),
        };
        let problem = format!("cannot be given `{name}` as the name of a keyword argument, which must be a string");
        return Err(Error::new("python", format!("{described} {problem}")));
    }
    Ok(())
}

/// The error of arguments that cannot go over.
pub fn refused_arguments(described: &str, refused: Refused) -> Error {
    match refused {
        Refused::Type { name, place } => {
            let hint = if name == "future" { ": `await` it first" } else { "" };
            Error::of_type(format!("{described} cannot be given what Python has not: {place} is a {name}{hint}"))
        }
        Refused::TooLarge => Error::limit(format!(
            "{described} cannot be given arguments that are so large: a call has at most {MESSAGE_BYTES_MAX} bytes"
        )),
    }
}
