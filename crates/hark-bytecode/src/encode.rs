//! The binary format of executables, version 1. It is a contract: every later release can read what this one wrote.
//!
//! A sealed document (see [`wire`](crate::wire)) of kind `HkEx`: files, names, foreign functions, functions, bindings,
//! then each instruction with its span. Every list is preceded by its length.

mod attributes;
mod instruction;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::builtins::Builtin;
use crate::wire::{Reader, WireError, Writer};
use crate::{
    Binding, Capture, Executable, ExecutableError, Foreign, ForeignIndex, Function, FunctionIndex, Handler, NameIndex,
    Passing, Source, Sources, Span,
};
use attributes::{read_attributes, write_attributes};
use instruction::{read_instruction, write_instruction};

const MAGIC: [u8; 4] = *b"HkEx";
const VERSION: u8 = 1;

/// The SHA-256 of an executable's encoding, which identifies it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExecutableHash(pub [u8; 32]);

impl fmt::Display for ExecutableHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Hand-written because every new session writes it, and formatting 32 numbers dominated that.
        let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
        let mut text = String::with_capacity(2 * self.0.len());
        text.extend(self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        formatter.write_str(&text)
    }
}

impl fmt::Debug for ExecutableHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// Why bytes cannot be decoded as an executable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are damaged or not an executable.
    #[error("the program cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The bytes decode, but the result is inconsistent.
    #[error("the program cannot be run: {0}")]
    Executable(#[from] ExecutableError),
}

impl Executable {
    /// Encodes the executable.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        list(&mut writer, self.sources.files(), |writer, file| {
            writer.string(&file.source.path);
            writer.string(&file.source.text);
        });
        list(&mut writer, &self.names, |writer, name| writer.string(name));
        list(&mut writer, &self.foreign, write_foreign);
        list(&mut writer, &self.functions, write_function);
        list(&mut writer, &self.bindings, |writer, (name, binding)| {
            writer.unsigned(name.0.into());
            match binding {
                Binding::Function(function) => {
                    writer.byte(0);
                    writer.unsigned(function.0.into());
                }
                Binding::Foreign(foreign) => {
                    writer.byte(1);
                    writer.unsigned(foreign.0.into());
                }
                Binding::Builtin(builtin) => {
                    writer.byte(2);
                    writer.string(builtin.name());
                }
            }
        });
        writer.unsigned(self.code.len() as u64);
        for (instruction, span) in self.code.iter().zip(&self.spans) {
            write_instruction(&mut writer, instruction);
            write_span(&mut writer, span);
        }
        writer.seal(MAGIC, VERSION)
    }

    /// Decodes and verifies the output of [`encode`](Executable::encode).
    ///
    /// # Errors
    /// If the bytes are damaged or the program is inconsistent.
    pub fn decode(bytes: &[u8]) -> Result<Executable, DecodeError> {
        let (mut reader, _) = Reader::open(bytes, "Hark program", MAGIC, VERSION)?;
        let reader = &mut reader;
        let sources = read_sources(reader)?;
        let names = read_list(reader, |reader| Ok(Arc::from(reader.string()?)))?;
        let foreign = read_list(reader, read_foreign)?;
        let functions = read_list(reader, read_function)?;
        let bindings = read_list(reader, |reader| {
            let name = NameIndex(reader.unsigned32()?);
            let binding = match reader.byte()? {
                0 => Binding::Function(FunctionIndex(reader.unsigned32()?)),
                1 => Binding::Foreign(ForeignIndex(reader.unsigned32()?)),
                2 => match Builtin::from_name(reader.string()?) {
                    Some(builtin) => Binding::Builtin(builtin),
                    None => return Err(reader.invalid("a builtin")),
                },
                _ => return Err(reader.invalid("a binding")),
            };
            Ok((name, binding))
        })?;
        let count = reader.count()?;
        let mut code = Vec::with_capacity(count);
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            code.push(read_instruction(reader)?);
            spans.push(read_span(reader)?);
        }
        reader.clone().finish()?;
        let executable = Executable { sources, names, functions, foreign, bindings, code, spans };
        executable.verify()?;
        Ok(executable)
    }

    /// The hash of the encoding, which identifies the executable.
    pub fn hash(&self) -> ExecutableHash {
        ExecutableHash(Sha256::digest(self.encode()).into())
    }
}

fn read_sources(reader: &mut Reader<'_>) -> Result<Sources, WireError> {
    let mut sources = Sources::default();
    for _ in 0..reader.count()? {
        let source = Source::new(reader.string()?, reader.string()?);
        sources.push(source).ok_or_else(|| reader.invalid("a file"))?;
    }
    Ok(sources)
}

fn list<T>(writer: &mut Writer, items: &[T], write: impl Fn(&mut Writer, &T)) {
    writer.unsigned(items.len() as u64);
    items.iter().for_each(|item| write(writer, item));
}

fn read_list<T>(
    reader: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    (0..reader.count()?).map(|_| read(reader)).collect()
}

fn write_foreign(writer: &mut Writer, foreign: &Foreign) {
    writer.string(&foreign.name);
    writer.string(&foreign.module);
    writer.string(&foreign.function);
    writer.unsigned(foreign.arity.into());
    write_attributes(writer, &foreign.attributes);
}

fn read_foreign(reader: &mut Reader<'_>) -> Result<Foreign, WireError> {
    Ok(Foreign {
        name: reader.string()?.into(),
        module: reader.string()?.into(),
        function: reader.string()?.into(),
        arity: reader.unsigned32()?,
        attributes: read_attributes(reader)?,
    })
}

fn write_function(writer: &mut Writer, function: &Function) {
    writer.string(&function.name);
    list(writer, &function.parameters, |writer, name| writer.unsigned(name.0.into()));
    list(writer, &function.captures, |writer, capture| {
        writer.unsigned(capture.name.0.into());
        writer.byte(capture.is_certain.into());
    });
    list(writer, &function.handlers, |writer, handler| {
        let Handler { start, end, target, height } = *handler;
        [start, end, target, height].into_iter().for_each(|number| writer.unsigned(number.into()));
    });
    writer.unsigned(function.foreign.map_or(0, |foreign| u64::from(foreign.0) + 1));
    writer.unsigned(function.start.into());
    writer.unsigned(function.end.into());
    write_span(writer, &function.span);
    write_passing(writer, function);
}

fn read_function(reader: &mut Reader<'_>) -> Result<Function, WireError> {
    Ok(Function {
        name: reader.string()?.into(),
        parameters: read_list(reader, |reader| Ok(NameIndex(reader.unsigned32()?)))?,
        captures: read_list(reader, |reader| {
            let name = NameIndex(reader.unsigned32()?);
            match reader.byte()? {
                is_certain @ (0 | 1) => Ok(Capture { name, is_certain: is_certain == 1 }),
                _ => Err(reader.invalid("a capture")),
            }
        })?,
        handlers: read_list(reader, |reader| {
            Ok(Handler {
                start: reader.unsigned32()?,
                end: reader.unsigned32()?,
                target: reader.unsigned32()?,
                height: reader.unsigned32()?,
            })
        })?,
        foreign: reader.unsigned32()?.checked_sub(1).map(ForeignIndex),
        start: reader.unsigned32()?,
        end: reader.unsigned32()?,
        span: read_span(reader)?,
        ..read_passing(reader)?
    })
}

/// Writes how the function takes its arguments, its flags and its attributes.
fn write_passing(writer: &mut Writer, function: &Function) {
    let bits = u8::from(function.is_native) << 2 | u8::from(function.is_try) << 3;
    match function.passing {
        Passing::Each => writer.byte(bits),
        Passing::LastOptional => writer.byte(bits | 1),
        Passing::AsList { most } => {
            writer.byte(bits | 2);
            writer.unsigned(most.into());
        }
    }
    write_attributes(writer, &function.attributes);
}

fn read_passing(reader: &mut Reader<'_>) -> Result<Function, WireError> {
    let bits = reader.byte()?;
    let passing = match bits & !12 {
        0 => Passing::Each,
        1 => Passing::LastOptional,
        2 => Passing::AsList { most: reader.unsigned32()? },
        _ => return Err(reader.invalid("a function")),
    };
    let attributes = read_attributes(reader)?;
    Ok(Function { passing, is_native: bits & 4 != 0, is_try: bits & 8 != 0, attributes, ..Function::default() })
}

fn write_span(writer: &mut Writer, span: &Span) {
    writer.unsigned(span.start.into());
    writer.unsigned(span.end.into());
}

fn read_span(reader: &mut Reader<'_>) -> Result<Span, WireError> {
    Ok(Span { start: reader.unsigned32()?, end: reader.unsigned32()? })
}
