//! The encoding of values in a snapshot: a table of objects, each written once however often it is shared, and
//! references.
//!
//! An object refers only to earlier objects, so reading needs no recursion, and cycles are impossible. References
//! between objects are relative, so that an object's bytes stay the same when others are added or removed: a storage
//! need not write them again. Elements of a list before the start of all its views are not written.

use std::collections::HashMap;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::wire::{Reader, WireError, Writer};
use hark_bytecode::{Executable, ForeignIndex, FunctionIndex, Operator};
use num_bigint::BigInt;
use triomphe::Arc;

use crate::closure::ClosureBody;
use crate::hash::{HashBody, Key};
use crate::limits::THREADS_MAX;
use crate::list::List;
use crate::object::{Apart, ObjectBody, Pickle, PickleHash, PickleSource};
use crate::size::Children;
use crate::value::Value;

/// The tags of a reference.
mod tag {
    pub const NULL: u8 = 0;
    pub const FALSE: u8 = 1;
    pub const TRUE: u8 = 2;
    pub const INTEGER: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const FUNCTION: u8 = 5;
    pub const FOREIGN: u8 = 6;
    pub const BUILTIN: u8 = 7;
    pub const OPERATOR: u8 = 8;
    pub const FUTURE: u8 = 9;
    pub const OBJECT: u8 = 10;
    /// A list: an object, and the number of elements to skip.
    pub const LIST_VIEW: u8 = 11;
}

/// The kinds of objects.
mod kind {
    pub const STRING: u8 = 0;
    pub const BIG_INTEGER: u8 = 1;
    pub const PROMISE: u8 = 2;
    pub const LIST: u8 = 3;
    pub const HASH: u8 = 4;
    /// A function, and for each capture 0, or 1 and a reference.
    pub const CLOSURE: u8 = 5;
    /// A Python object: its type; 0, or 1 and its text; and its pickle, as 0 and the bytes, or as 1, the length, and
    /// the hash by which it is stored beside the document.
    pub const OBJECT: u8 = 6;
}

/// Collects the objects of the values to be written.
pub(super) struct ValueWriter<'w> {
    objects: Writer,
    /// The pickles that are only referred to.
    apart: &'w mut Apart,
    count: u64,
    /// By address: the object's number, and for a list the first element written. The values are borrowed as long as
    /// this exists, so no address is reused.
    known: HashMap<usize, (u64, u32)>,
    /// For lists with several views, the lowest start found after other views.
    lowest: HashMap<usize, u32>,
    /// Whether a lower start was found after its list had been written.
    is_late: bool,
}

/// The base of an object's number in a reference.
#[derive(Clone, Copy)]
enum From {
    /// Counted from the start of the table, from 0.
    Start,
    /// Counted backwards from the object that holds the reference, from 1.
    Here,
}

/// A container whose children are being written.
struct Open<'a> {
    value: &'a Value,
    /// The first element written, for a list.
    start: u32,
    children: Children<'a>,
}

impl<'a> Open<'a> {
    /// Opens a container; of a list, the elements from `start` to before `end`.
    fn new(value: &'a Value, start: u32, end: u32) -> Open<'a> {
        let children = match value {
            Value::List(_, body) => Children::List(List::new(start, body), 0, (end - start) as usize),
            other => Children::of(other),
        };
        Open { value, start, children }
    }
}

impl<'w> ValueWriter<'w> {
    fn new(apart: &'w mut Apart, lowest: HashMap<usize, u32>) -> ValueWriter<'w> {
        ValueWriter { objects: Writer::new(), apart, count: 0, known: HashMap::new(), lowest, is_late: false }
    }

    /// Runs `write` and returns its result. Runs it a second time if a view of a list starts before the elements
    /// already written, because each list is one object.
    pub fn gather<T>(apart: &'w mut Apart, write: impl Fn(&mut ValueWriter<'_>) -> T) -> (ValueWriter<'w>, T) {
        let mut values = ValueWriter::new(apart, HashMap::new());
        let written = write(&mut values);
        if !values.is_late {
            return (values, written);
        }
        let mut values = ValueWriter::new(values.apart, values.lowest);
        let written = write(&mut values);
        (values, written)
    }

    /// Writes a reference, after the objects that it needs.
    pub fn write(&mut self, body: &mut Writer, value: &Value) {
        self.write_objects(value);
        self.write_reference(body, value, From::Start);
    }

    /// Writes the table of objects.
    pub fn finish(self, writer: &mut Writer) {
        writer.unsigned(self.count);
        writer.raw(&self.objects.into_bytes());
    }

    fn write_objects(&mut self, value: &Value) {
        let mut open: Vec<Open<'_>> = self.opened(value).into_iter().collect();
        while let Some(top) = open.last_mut() {
            match top.children.next() {
                Some(child) => open.extend(self.opened(child)),
                None => {
                    let (value, start) = (top.value, top.start);
                    open.pop();
                    match address(value) {
                        Some(address) if !self.known.contains_key(&address) => self.write_object(address, value, start),
                        _ => {}
                    }
                }
            }
        }
    }

    /// The container to be written before a reference to this value, if any.
    fn opened<'a>(&mut self, value: &'a Value) -> Option<Open<'a>> {
        let address = address(value)?;
        let first = match value {
            Value::List(start, _) => *start,
            _ => 0,
        };
        match self.known.get_mut(&address) {
            Some((_, written_from)) if *written_from <= first => None,
            Some((_, written_from)) => {
                // The output of this pass will be discarded, but the additional elements must still be visited.
                let end = std::mem::replace(written_from, first);
                self.lowest.insert(address, first);
                self.is_late = true;
                Some(Open::new(value, first, end))
            }
            None => {
                let start = self.lowest.get(&address).map_or(first, |lowest| first.min(*lowest));
                Some(Open::new(value, start, u32::MAX))
            }
        }
    }

    fn write_object(&mut self, address: usize, value: &Value, start: u32) {
        let mut objects = std::mem::take(&mut self.objects);
        match value {
            Value::String(text) => {
                objects.byte(kind::STRING);
                objects.string(text.as_str());
            }
            Value::BigInteger(big) => {
                objects.byte(kind::BIG_INTEGER);
                objects.bytes(&big.to_signed_bytes_le());
            }
            Value::Promise(id) => {
                objects.byte(kind::PROMISE);
                objects.string(id);
            }
            Value::List(_, body) => {
                let list = List::new(start, body);
                objects.byte(kind::LIST);
                objects.unsigned(list.len() as u64);
                list.iter().for_each(|item| self.write_reference(&mut objects, item, From::Here));
            }
            Value::Hash(body) => {
                objects.byte(kind::HASH);
                objects.unsigned(body.len() as u64);
                for (key, item) in body.iter() {
                    self.write_reference(&mut objects, key, From::Here);
                    self.write_reference(&mut objects, item, From::Here);
                }
            }
            Value::Closure(body) => {
                objects.byte(kind::CLOSURE);
                objects.unsigned(body.function().0.into());
                for captured in body.captures() {
                    objects.byte(captured.is_some().into());
                    captured.iter().for_each(|value| self.write_reference(&mut objects, value, From::Here));
                }
            }
            Value::Object(object) => {
                objects.byte(kind::OBJECT);
                self.write_python_object(&mut objects, object);
            }
            _ => {}
        }
        self.objects = objects;
        self.known.insert(address, (self.count, start));
        self.count += 1;
    }

    fn write_python_object(&mut self, objects: &mut Writer, object: &ObjectBody) {
        objects.string(object.type_name());
        objects.byte(object.text().is_some().into());
        object.text().into_iter().for_each(|text| objects.string(text));
        let pickle = object.pickle();
        match self.apart.bytes_to_write(pickle) {
            Some(bytes) => {
                objects.byte(0);
                objects.bytes(bytes);
            }
            None => {
                objects.byte(1);
                objects.unsigned(pickle.length() as u64);
                objects.raw(&pickle.hash().0);
            }
        }
    }

    fn write_reference(&self, writer: &mut Writer, value: &Value, from: From) {
        match value {
            Value::Null => writer.byte(tag::NULL),
            Value::Boolean(false) => writer.byte(tag::FALSE),
            Value::Boolean(true) => writer.byte(tag::TRUE),
            Value::Integer(value) => {
                writer.byte(tag::INTEGER);
                writer.signed(*value);
            }
            Value::Float(value) => {
                writer.byte(tag::FLOAT);
                writer.float(*value);
            }
            Value::Function(index) => {
                writer.byte(tag::FUNCTION);
                writer.unsigned(index.0.into());
            }
            Value::Foreign(index) => {
                writer.byte(tag::FOREIGN);
                writer.unsigned(index.0.into());
            }
            Value::Builtin(builtin) => {
                writer.byte(tag::BUILTIN);
                writer.string(builtin.name());
            }
            Value::Operator(operator) => {
                writer.byte(tag::OPERATOR);
                writer.string(operator.symbol());
            }
            Value::Future(number) => {
                writer.byte(tag::FUTURE);
                writer.unsigned(*number);
            }
            counted => {
                let known = address(counted).and_then(|address| self.known.get(&address));
                let (number, written_from) = *known.expect("an object is written before what refers to it");
                let number = match from {
                    From::Start => number,
                    From::Here => self.count - number,
                };
                match counted {
                    Value::List(start, _) if *start > written_from => {
                        writer.byte(tag::LIST_VIEW);
                        writer.unsigned(number);
                        writer.unsigned((start - written_from).into());
                    }
                    _ => {
                        writer.byte(tag::OBJECT);
                        writer.unsigned(number);
                    }
                }
            }
        }
    }
}

/// The address of a counted value's body.
fn address(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.as_ptr() as usize),
        Value::BigInteger(big) => Some(big.as_ptr() as usize),
        Value::Promise(id) => Some(id.as_ptr() as usize),
        Value::List(_, body) => Some(body.as_ptr() as usize),
        Value::Hash(body) => Some(body.as_ptr() as usize),
        Value::Closure(body) => Some(body.as_ptr() as usize),
        Value::Object(body) => Some(body.as_ptr() as usize),
        _ => None,
    }
}

/// The objects read so far.
pub(super) struct ValueReader<'s> {
    objects: Vec<Value>,
    /// The source of pickles that are only referred to.
    pickles: &'s dyn PickleSource,
    /// The number of captures of each function.
    captures: Vec<usize>,
    foreign: usize,
}

impl<'s> ValueReader<'s> {
    /// Reads the table of objects.
    pub fn read(
        reader: &mut Reader<'_>,
        executable: &Executable,
        pickles: &'s dyn PickleSource,
    ) -> Result<ValueReader<'s>, WireError> {
        let count = reader.count()?;
        let mut values = ValueReader {
            objects: Vec::with_capacity(count),
            pickles,
            captures: executable.functions.iter().map(|function| function.captures.len()).collect(),
            foreign: executable.foreign.len(),
        };
        for _ in 0..count {
            let object = values.object(reader)?;
            values.objects.push(object);
        }
        Ok(values)
    }

    fn object(&self, reader: &mut Reader<'_>) -> Result<Value, WireError> {
        Ok(match reader.byte()? {
            kind::STRING => Value::string(reader.string()?),
            kind::BIG_INTEGER => Value::big_integer(BigInt::from_signed_bytes_le(reader.bytes()?)),
            kind::PROMISE => Value::Promise(Arc::new(reader.string()?.to_owned())),
            kind::LIST => {
                let items =
                    (0..reader.count()?).map(|_| self.reference(reader, From::Here)).collect::<Result<_, _>>()?;
                Value::list(items)
            }
            kind::HASH => {
                let mut body = HashBody::default();
                for _ in 0..reader.count()? {
                    let key = Key::new(self.reference(reader, From::Here)?).map_err(|_| reader.invalid("a key"))?;
                    let value = self.reference(reader, From::Here)?;
                    body.insert(key, value);
                }
                Value::Hash(Arc::new(body))
            }
            kind::CLOSURE => {
                let function = self.index(reader, self.captures.len())?;
                let count = self.captures[function as usize];
                if count == 0 {
                    return Err(reader.invalid("a closure"));
                }
                let captures = (0..count).map(|_| self.captured(reader)).collect::<Result<_, _>>()?;
                Value::Closure(Arc::new(ClosureBody::new(FunctionIndex(function), captures)))
            }
            kind::OBJECT => {
                let type_name = reader.string()?;
                let text = match reader.byte()? {
                    0 => None,
                    1 => Some(reader.string()?),
                    _ => return Err(reader.invalid("an object's text")),
                };
                let pickle = self.pickle(reader)?;
                Value::Object(Arc::new(ObjectBody::new(type_name, text, pickle)))
            }
            _ => return Err(reader.invalid("an object")),
        })
    }

    fn pickle(&self, reader: &mut Reader<'_>) -> Result<std::sync::Arc<Pickle>, WireError> {
        match reader.byte()? {
            0 => Ok(std::sync::Arc::new(Pickle::new(reader.bytes()?.to_vec()))),
            1 => {
                let length = reader.unsigned()?;
                let hash = PickleHash(reader.array()?);
                let found = self.pickles.find(&hash).filter(|found| found.length() as u64 == length);
                found.ok_or_else(|| reader.invalid("an object whose bytes are missing"))
            }
            _ => Err(reader.invalid("an object's bytes")),
        }
    }

    fn captured(&self, reader: &mut Reader<'_>) -> Result<Option<Value>, WireError> {
        match reader.byte()? {
            0 => Ok(None),
            1 => self.reference(reader, From::Here).map(Some),
            _ => Err(reader.invalid("a capture")),
        }
    }

    /// Reads a reference other than one to an object.
    pub fn value(&self, reader: &mut Reader<'_>) -> Result<Value, WireError> {
        self.reference(reader, From::Start)
    }

    fn reference(&self, reader: &mut Reader<'_>, from: From) -> Result<Value, WireError> {
        Ok(match reader.byte()? {
            tag::NULL => Value::Null,
            tag::FALSE => Value::Boolean(false),
            tag::TRUE => Value::Boolean(true),
            tag::INTEGER => Value::Integer(reader.signed()?),
            tag::FLOAT => Value::Float(reader.float()?),
            tag::FUNCTION => match self.index(reader, self.captures.len())? {
                index if self.captures[index as usize] == 0 => Value::Function(FunctionIndex(index)),
                _ => return Err(reader.invalid("a function")),
            },
            tag::FOREIGN => Value::Foreign(ForeignIndex(self.index(reader, self.foreign)?)),
            tag::BUILTIN => {
                Builtin::from_name(reader.string()?).map(Value::Builtin).ok_or_else(|| reader.invalid("a builtin"))?
            }
            tag::OPERATOR => Operator::from_symbol(reader.string()?)
                .map(Value::Operator)
                .ok_or_else(|| reader.invalid("an operator"))?,
            tag::FUTURE => match reader.unsigned()? {
                number if number < THREADS_MAX => Value::Future(number),
                _ => return Err(reader.invalid("a Future's number")),
            },
            tag::OBJECT => self.find(reader, from)?,
            tag::LIST_VIEW => {
                let object = self.find(reader, from)?;
                let skipped = reader.unsigned32()?;
                match object {
                    Value::List(0, body) if skipped as usize <= body.len() => Value::List(skipped, body),
                    _ => return Err(reader.invalid("a list")),
                }
            }
            _ => return Err(reader.invalid("a value")),
        })
    }

    fn index(&self, reader: &mut Reader<'_>, count: usize) -> Result<u32, WireError> {
        let index = reader.unsigned32()?;
        if (index as usize) < count { Ok(index) } else { Err(reader.invalid("an index")) }
    }

    fn find(&self, reader: &mut Reader<'_>, from: From) -> Result<Value, WireError> {
        let number = usize::try_from(reader.unsigned()?).ok();
        let number = match from {
            From::Start => number,
            From::Here => number.and_then(|back| self.objects.len().checked_sub(back)),
        };
        let object = number.and_then(|number| self.objects.get(number));
        object.cloned().ok_or_else(|| reader.invalid("a reference"))
    }
}
