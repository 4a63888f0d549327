//! Values as bytes, for both directions; `python/_hark_values.py` is the other side and describes the format.
//!
//! Nothing here recurses: nesting is limited by memory only.

use hark_machine::limits::INTEGER_BITS_MAX;
use hark_machine::{Error, HashBody, Key, List, Value, is_larger};
use num_bigint::BigInt;
use triomphe::Arc;

use crate::limits::MESSAGE_BYTES_MAX;

/// Lists from this length on are looked at for whether they hold numbers of one type only.
const PACKED_LENGTH_MIN: usize = 16;

/// Arguments are written so far before they are measured.
const MEASURED_BYTES_MIN: usize = 1 << 20;

/// The most elements that a list gets room for before they have come.
const CAPACITY_MAX: usize = 4096;

/// Why bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(pub String);

/// Why arguments cannot go over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is a value of this type among them: a function or Future.
    Type(&'static str),
    /// They take more bytes than a message has.
    TooLarge,
}

/// What is left to encode of an open container.
enum Rest<'a> {
    List(List<'a>, usize),
    Hash(&'a HashBody, usize),
}

/// Adds a call's arguments, as a list.
///
/// # Errors
/// If there is a function or Future among them, however deep, or they are too large. A value may be in many places, so they
/// can be far larger than they are in memory: this gives up before it has needed much.
pub fn encode_arguments(arguments: &[Value], bytes: &mut Vec<u8>) -> Result<(), Refused> {
    head(b'l', arguments.len(), bytes);
    let mut is_measured = false;
    let mut open = Vec::new();
    for argument in arguments {
        open.extend(begin(argument, bytes)?);
        while let Some(rest) = open.last_mut() {
            let Some((key, value)) = next(rest) else {
                open.pop();
                continue;
            };
            if let Some(key) = key {
                begin(key, bytes)?;
            }
            open.extend(begin(value, bytes)?);
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

/// Whether a value needs more bytes than a message has.
fn is_too_large(value: &Value) -> bool {
    let bytes = |atom: &Value| match atom {
        Value::Integer(_) | Value::Float(_) => 8,
        Value::String(text) => text.as_str().len() as u64,
        Value::BigInteger(big) => big.bits() / 8,
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
        Rest::Hash(hash, index) => {
            let (key, value) = hash.entry(*index)?;
            *index += 1;
            Some((Some(key), value))
        }
    }
}

/// Adds a value; of a container only its head, and answers what is in it.
fn begin<'a>(value: &'a Value, bytes: &mut Vec<u8>) -> Result<Option<Rest<'a>>, Refused> {
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
            return Ok(Some(Rest::Hash(hash, 0)));
        }
        Value::Function(_) | Value::Foreign(_) | Value::Builtin(_) | Value::Operator(_) => {
            return Err(Refused::Type(value.type_name()));
        }
        Value::Future(_) | Value::Promise(_) => return Err(Refused::Type(value.type_name())),
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

/// A container that is not complete yet.
enum Open {
    List(Vec<Value>, usize),
    Hash(HashBody, usize, Option<Key>),
}

/// Reads bytes from their front.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// As many bytes as an array has.
    pub fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], DecodeError> {
        self.take(COUNT)?.try_into().map_err(|_| damaged("it ends too early"))
    }

    /// A length or count.
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// A text with its length before it.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| damaged("a text is not UTF-8"))
    }
}

/// The value that the bytes are.
///
/// # Errors
/// If they are none, or there are more.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let mut reader = Reader(bytes);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let mut value = match begin_decoding(&mut reader)? {
            Started::Whole(value) => value,
            Started::Open(container) => {
                open.push(container);
                match close_full(&mut open) {
                    Some(value) => value,
                    None => continue,
                }
            }
        };
        loop {
            match open.last_mut() {
                None if reader.0.is_empty() => return Ok(value),
                None => return Err(damaged("something follows it")),
                Some(container) => put(container, value)?,
            }
            match close_full(&mut open) {
                Some(closed) => value = closed,
                None => break,
            }
        }
    }
}

enum Started {
    Whole(Value),
    Open(Open),
}

fn begin_decoding(reader: &mut Reader<'_>) -> Result<Started, DecodeError> {
    let [tag] = reader.array()?;
    Ok(Started::Whole(match tag {
        b'N' => Value::Null,
        b'T' => Value::Boolean(true),
        b'F' => Value::Boolean(false),
        b'i' => Value::Integer(i64::from_le_bytes(reader.array()?)),
        b'f' => Value::Float(f64::from_le_bytes(reader.array()?)),
        b's' => Value::string(reader.text()?),
        b'I' => big_integer(reader)?,
        b'q' => Value::list(numbers(reader, |bytes| Value::Integer(i64::from_le_bytes(bytes)))?),
        b'e' => Value::list(numbers(reader, |bytes| Value::Float(f64::from_le_bytes(bytes)))?),
        b'l' => {
            let count = reader.count()?;
            // What damaged bytes claim is not believed far.
            return Ok(Started::Open(Open::List(Vec::with_capacity(count.min(CAPACITY_MAX)), count)));
        }
        b'd' => return Ok(Started::Open(Open::Hash(HashBody::default(), reader.count()?, None))),
        _ => return Err(damaged(&format!("there is no tag {tag}"))),
    }))
}

fn big_integer(reader: &mut Reader<'_>) -> Result<Value, DecodeError> {
    let length = reader.count()?;
    let value = BigInt::from_signed_bytes_le(reader.take(length)?);
    if value.bits() > INTEGER_BITS_MAX {
        return Err(DecodeError(format!("it holds an integer of more than {INTEGER_BITS_MAX} bits")));
    }
    Ok(Value::big_integer(value))
}

fn numbers(reader: &mut Reader<'_>, value: fn([u8; 8]) -> Value) -> Result<Vec<Value>, DecodeError> {
    let count = reader.count()?;
    let (chunks, _) = reader.take(count.saturating_mul(8))?.as_chunks::<8>();
    Ok(chunks.iter().map(|chunk| value(*chunk)).collect())
}

/// The innermost container, if it has everything.
fn close_full(open: &mut Vec<Open>) -> Option<Value> {
    let is_full = match open.last()? {
        Open::List(_, missing) | Open::Hash(_, missing, _) => *missing == 0,
    };
    if !is_full {
        return None;
    }
    open.pop().map(|container| match container {
        Open::List(items, _) => Value::list(items),
        Open::Hash(body, ..) => Value::Hash(Arc::new(body)),
    })
}

fn put(container: &mut Open, value: Value) -> Result<(), DecodeError> {
    match container {
        Open::List(items, missing) => {
            items.push(value);
            *missing -= 1;
        }
        Open::Hash(body, missing, key) => match key.take() {
            None => *key = Some(Key::new(value).map_err(|_| damaged("a key is no key"))?),
            Some(key) => {
                body.insert(key, value);
                *missing -= 1;
            }
        },
    }
    Ok(())
}

fn damaged(problem: &str) -> DecodeError {
    DecodeError(format!("it is damaged: {problem}"))
}

/// The error of arguments that cannot go over.
pub fn refused_arguments(described: &str, refused: Refused) -> Error {
    match refused {
        Refused::Type(name) => {
            Error::of_type(format!("{described} cannot be given a {name}, only values that Python has too"))
        }
        Refused::TooLarge => Error::limit(format!(
            "{described} cannot be given arguments that are so large: a call has at most {MESSAGE_BYTES_MAX} bytes"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `[[1, "ab", 1.5, 2^64], {"k": [null, true, false]}, <20 integers>, <20 floats>]`, encoded.
    fn sample() -> Vec<u8> {
        let big = Value::big_integer(BigInt::from(u64::MAX) + 1);
        let first = Value::list(vec![Value::Integer(1), Value::string("ab"), Value::Float(1.5), big]);
        let mut entries = HashBody::default();
        let inner = Value::list(vec![Value::Null, Value::Boolean(true), Value::Boolean(false)]);
        entries.insert(Key::new(Value::string("k")).unwrap(), inner);
        let integers = Value::list((0..20).map(Value::Integer).collect());
        let floats = Value::list((0..20).map(|each| Value::Float(f64::from(each))).collect());
        let mut bytes = Vec::new();
        encode_arguments(&[first, Value::Hash(Arc::new(entries)), integers, floats], &mut bytes).unwrap();
        bytes
    }

    fn encoded_again(bytes: &[u8]) -> Vec<u8> {
        let value = decode(bytes).unwrap();
        let items: Vec<Value> = value.as_list().unwrap().iter().cloned().collect();
        let mut again = Vec::new();
        encode_arguments(&items, &mut again).unwrap();
        again
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        assert_eq!(encoded_again(&sample()), sample());
    }

    #[test]
    fn the_format_is_fixed() {
        let mut bytes = Vec::new();
        encode_arguments(&[Value::Integer(-2), Value::string("é"), Value::Null], &mut bytes).unwrap();
        assert_eq!(bytes, b"l\x03\0\0\0i\xfe\xff\xff\xff\xff\xff\xff\xffs\x02\0\0\0\xc3\xa9N");
    }

    #[test]
    fn what_ends_too_early_or_too_late_is_refused() {
        let whole = sample();
        for end in 0..whole.len() {
            assert!(decode(&whole[..end]).is_err(), "the first {end} bytes");
        }
        assert!(decode(&[&*whole, b"N"].concat()).is_err());
    }

    #[test]
    fn damaged_bytes_do_not_panic() {
        let whole = sample();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let _ = decode(&damaged);
            }
        }
    }
}
