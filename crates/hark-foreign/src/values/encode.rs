//! Encoding a call's arguments, and the errors of arguments that cannot be encoded.

use hark_machine::{Entries, Error, List, ObjectBody, Value, is_larger};
use triomphe::Arc;

use crate::limits::MESSAGE_BYTES_MAX;

/// The maximum length of a key, and of the path to a value, in messages. Of a longer path, the beginning and the end
/// are shown.
const KEY_LENGTH_MAX: usize = 40;
const STEPS_MAX: usize = 8;

/// Lists of at least this length are checked for numbers of a single type, which are packed.
const PACKED_LENGTH_MIN: usize = 16;

/// Arguments are measured only after this many bytes have been written.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// Why arguments cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// They contain a value of this type: a function or Future.
    Type {
        /// The name of the type.
        name: &'static str,
        /// The place of the value, in words.
        place: String,
    },
    /// They are larger than a message may be.
    TooLarge,
}

/// The part of an open container that is not encoded yet.
enum Rest<'a> {
    List(List<'a>, usize),
    /// With the key of the entry that is being encoded.
    Hash(Entries<'a>, Option<&'a Value>),
}

/// Appends a call's arguments as a list. An object is encoded as its index in `objects`, to which it is appended. The
/// same object may be appended several times, because the function gets a separate copy for each occurrence.
///
/// # Errors
/// If there is a function or Future at any depth, or if the arguments are too large. A value that occurs in many places
/// can be far larger encoded than in memory; this gives up before it has used much memory.
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

/// A value of a type that Python does not have: the type's name.
struct Unfit(&'static str);

impl Unfit {
    /// The refusal of an argument, given the open containers.
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

/// Whether a value is larger than a message may be.
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

/// Appends a value. Of a container, appends only the head and returns the contents.
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

/// A length of more than four bytes leads to a message that is refused as too large.
fn head(tag: u8, length: usize, bytes: &mut Vec<u8>) {
    bytes.push(tag);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

/// Checks whether these arguments can be passed to a Python function, without calling it. `described` names the
/// function in messages.
///
/// # Errors
/// The error that a call with these arguments would raise.
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

/// The error of arguments that cannot be sent.
pub fn refused_arguments(described: &str, refused: Refused) -> Error {
    match refused {
        Refused::Type { name, place } => {
            let hint = if name == "future" { ": `await` it first" } else { "" };
            Error::of_type(format!(
                "{described} cannot be given a value that Python does not have: {place} is a {name}{hint}"
            ))
        }
        Refused::TooLarge => Error::limit(format!(
            "{described} cannot be given arguments this large: a call may have at most {MESSAGE_BYTES_MAX} bytes"
        )),
    }
}
