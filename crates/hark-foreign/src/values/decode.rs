//! Decoding values.

use hark_machine::limits::INTEGER_BITS_MAX;
use hark_machine::{HashBody, Key, Value};
use num_bigint::BigInt;
use triomphe::Arc;

/// The largest capacity that a list gets before its elements are read.
const CAPACITY_MAX: usize = 4096;

/// Why bytes are not a valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError(pub String);

/// An incomplete container.
enum Open {
    List(Vec<Value>, usize),
    Hash(HashBody, usize, Option<Key>),
}

/// Reads bytes from the front.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// The next bytes, as an array.
    pub fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], DecodeError> {
        self.take(COUNT)?.try_into().map_err(|_| damaged("it ends too early"))
    }

    /// A length or count.
    pub fn count(&mut self) -> Result<usize, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    /// A text with a length prefix.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| damaged("a text is not UTF-8"))
    }
}

/// Decodes a value, which refers to these objects by number.
///
/// # Errors
/// If the bytes are not a valid value, or if bytes follow it.
pub fn decode(bytes: &[u8], objects: &[Value]) -> Result<Value, DecodeError> {
    let mut reader = Reader(bytes);
    let mut open: Vec<Open> = Vec::new();
    loop {
        let mut value = match begin_decoding(&mut reader, objects)? {
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
                None => return Err(damaged("it has trailing bytes")),
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

fn begin_decoding(reader: &mut Reader<'_>, objects: &[Value]) -> Result<Started, DecodeError> {
    let [tag] = reader.array()?;
    Ok(Started::Whole(match tag {
        b'N' => Value::Null,
        b'T' => Value::Boolean(true),
        b'F' => Value::Boolean(false),
        b'i' => Value::Integer(i64::from_le_bytes(reader.array()?)),
        b'f' => Value::Float(f64::from_le_bytes(reader.array()?)),
        b's' => Value::string(reader.text()?),
        b'I' => big_integer(reader)?,
        b'O' => objects.get(reader.count()?).cloned().ok_or_else(|| damaged("it refers to an unknown object"))?,
        b'q' => Value::list(numbers(reader, |bytes| Value::Integer(i64::from_le_bytes(bytes)))?),
        b'e' => Value::list(numbers(reader, |bytes| Value::Float(f64::from_le_bytes(bytes)))?),
        b'l' => {
            let count = reader.count()?;
            // A count in damaged bytes may be far too large.
            return Ok(Started::Open(Open::List(Vec::with_capacity(count.min(CAPACITY_MAX)), count)));
        }
        b'd' => return Ok(Started::Open(Open::Hash(HashBody::default(), reader.count()?, None))),
        _ => return Err(damaged(&format!("it has the unknown tag {tag}"))),
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

/// Closes the innermost container if it is complete.
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
            None => *key = Some(Key::new(value).map_err(|_| damaged("a key has an invalid type"))?),
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
