//! Snapshots: the binary format of a thread, version 1, in terms of the portable program. It is a contract: every later
//! release can read what this one wrote.
//!
//! A sealed document (see [`hark_bytecode::wire`]) of kind `HkTh`:
//!
//! ```text
//! fingerprint   8 bytes of the program's hash
//! objects       strings, lists, ... each once; see `values`
//! started       0, or the `ACALL` that started it plus 1
//! state         0 calling: callee, arguments · 1 running: records · 2 ended: value
//! answer        0 none · 1 a value · 2 an error: kind, message, data, tries, classes, frames left out, frames (thread, function, span)
//! record        function, instruction (relative to the function's start), bindings: name, value · stack: values
//! ```
//!
//! A record that has called another is saved at its `CALL`, without the arguments and the callee. Only bindings that
//! are read later are saved.

mod documents;
mod values;

use hark_bytecode::wire::{Reader, WireError, Writer};
use hark_bytecode::{FunctionIndex, LocalSet, NameIndex, Span};

use crate::error::{Error, Retries, TraceFrame};
use crate::limits::{FRAMES_OMITTED_MAX, RECORDS_MAX, REGISTERS_MAX, THREADS_MAX};
use crate::object::{Apart, NoPickles, PickleSource};
use crate::program::operation::Operation;
use crate::program::{Code, Place, Program};
use crate::thread::{Record, State, Thread};
use crate::value::Value;
pub use documents::{read_values, write_values};
use values::{ValueReader, ValueWriter};

const MAGIC: [u8; 4] = *b"HkTh";
const VERSION: u8 = 1;

/// Why a snapshot cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are damaged or not a snapshot.
    #[error("the thread's snapshot cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The snapshot belongs to a thread of another program.
    #[error("the thread's snapshot belongs to another program")]
    OtherProgram,
    /// The snapshot does not match the program.
    #[error("the thread's snapshot does not fit its program: {0}")]
    Unfit(&'static str),
}

/// An activation record in portable terms.
struct PortableRecord {
    function: FunctionIndex,
    instruction: u32,
    bindings: Vec<(NameIndex, Value)>,
    stack: Vec<Value>,
}

impl Thread {
    /// Encodes the thread. Shared values are written once.
    pub fn snapshot(&self, program: &Program) -> Vec<u8> {
        self.snapshot_without(program, &mut Apart::nothing())
    }

    /// Encodes the thread, but refers to pickles that are stored apart.
    pub fn snapshot_without(&self, program: &Program, apart: &mut Apart) -> Vec<u8> {
        let (values, body) = ValueWriter::gather(apart, |values| self.written(values, program));
        let mut writer = Writer::new();
        writer.unsigned(program.fingerprint());
        values.finish(&mut writer);
        writer.raw(&body.into_bytes());
        writer.seal(MAGIC, VERSION)
    }

    /// Encodes everything except the fingerprint and the objects.
    fn written(&self, values: &mut ValueWriter<'_>, program: &Program) -> Writer {
        let mut body = Writer::new();
        body.unsigned(self.started_at.map_or(0, |instruction| u64::from(instruction) + 1));
        match &self.state {
            State::Calling(callee, arguments) => {
                body.byte(0);
                values.write(&mut body, callee);
                body.unsigned(arguments.len() as u64);
                arguments.iter().for_each(|argument| values.write(&mut body, argument));
            }
            State::Running => {
                body.byte(1);
                body.unsigned(self.records.len() as u64);
                for index in 0..self.records.len() {
                    let record = self.portable_record(index, program);
                    write_record(&mut body, values, program, &record);
                }
            }
            State::Ended(value) => {
                body.byte(2);
                values.write(&mut body, value);
            }
        }
        match &self.answer {
            None => body.byte(0),
            Some(Ok(value)) => {
                body.byte(1);
                values.write(&mut body, value);
            }
            Some(Err(error)) => {
                body.byte(2);
                write_error(&mut body, values, error);
            }
        }
        body
    }

    /// Decodes the output of [`snapshot`](Thread::snapshot).
    ///
    /// # Errors
    /// If the bytes are damaged or belong to another program.
    pub fn restore(bytes: &[u8], program: &Program) -> Result<Thread, SnapshotError> {
        Thread::restore_with(bytes, program, &NoPickles)
    }

    /// Decodes the output of [`snapshot_without`](Thread::snapshot_without).
    ///
    /// # Errors
    /// As for [`restore`](Thread::restore), and if a pickle is missing.
    pub fn restore_with(bytes: &[u8], program: &Program, pickles: &dyn PickleSource) -> Result<Thread, SnapshotError> {
        let (mut reader, _) = Reader::open(bytes, "thread's snapshot", MAGIC, VERSION)?;
        let reader = &mut reader;
        if reader.unsigned()? != program.fingerprint() {
            return Err(SnapshotError::OtherProgram);
        }
        let values = ValueReader::read(reader, program.executable(), pickles)?;
        let started_at = reader.unsigned32()?.checked_sub(1);
        let mut thread = match reader.byte()? {
            0 => {
                let callee = values.value(reader)?;
                let arguments = (0..reader.count()?).map(|_| values.value(reader)).collect::<Result<_, _>>()?;
                Thread::new(callee, arguments)
            }
            1 => {
                let count = reader.count()?;
                if count == 0 || count > RECORDS_MAX {
                    return Err(SnapshotError::Unfit("its number of records"));
                }
                let records =
                    (0..count).map(|_| read_record(reader, &values, program)).collect::<Result<Vec<_>, _>>()?;
                Thread::from_records(records, program)?
            }
            2 => {
                let mut thread = Thread::new(Value::Null, Vec::new());
                thread.state = State::Ended(values.value(reader)?);
                thread
            }
            _ => return Err(reader.invalid("a state").into()),
        };
        thread.started_at = started_at;
        thread.answer = match reader.byte()? {
            0 => None,
            1 => Some(Ok(values.value(reader)?)),
            2 => Some(Err(Box::new(read_error(reader, &values)?))),
            _ => return Err(reader.invalid("an answer").into()),
        };
        reader.clone().finish()?;
        Ok(thread)
    }

    fn portable_record(&self, index: usize, program: &Program) -> PortableRecord {
        let record = &self.records[index];
        let code = program.code(record.code);
        let function = program.function_of(record.code);
        let window = &self.registers[record.base as usize..];
        let point = code.points[record.operation as usize];
        let mut places = code.layouts.places(point.stack);
        if index + 1 < self.records.len() {
            places.truncate(places.len() - call_operands(&code.operations[record.operation as usize], program));
        }
        let stack = places.iter().map(|place| match place {
            Place::Register(register) => window[*register as usize].clone(),
            Place::Constant(constant) => code.constants[*constant as usize].clone(),
        });
        let live = code.analysis.live_before(program.executable(), point.instruction);
        let bound = if is_before_body(code, record) { bound_at_entry(function, program) } else { usize::MAX };
        let locals = code.analysis.locals.iter().enumerate().take(bound);
        let bindings = locals.filter(|(local, _)| {
            let is_live = live.as_ref().is_some_and(|live| live.contains(*local as u32));
            is_live && is_bound(code, window, *local as u32)
        });
        PortableRecord {
            function,
            instruction: point.instruction,
            bindings: bindings.map(|(local, name)| (*name, window[local].clone())).collect(),
            stack: stack.collect(),
        }
    }

    fn from_records(records: Vec<PortableRecord>, program: &Program) -> Result<Thread, SnapshotError> {
        let mut thread = Thread::new(Value::Null, Vec::new());
        thread.state = State::Running;
        let mut base = 0;
        let last = records.len() - 1;
        for (index, record) in records.into_iter().enumerate() {
            base = thread.push_record(record, base, index == last, program)?;
        }
        Ok(thread)
    }

    /// Pushes a record whose window begins at `base`; returns the base of the next one.
    fn push_record(
        &mut self,
        record: PortableRecord,
        base: u32,
        is_innermost: bool,
        program: &Program,
    ) -> Result<u32, SnapshotError> {
        let ids = program.codes_to_resume(record.function);
        let found = ids.into_iter().find_map(|id| {
            let code = program.code(id);
            let operation = code.operation_at(record.instruction)?;
            if is_innermost {
                return Some((id, code, operation));
            }
            // Operations that place the arguments may precede the call.
            let same = |at: &usize| code.points.get(*at).is_some_and(|point| point.instruction == record.instruction);
            let call = (operation..).take_while(same).find(|at| call_base(&code.operations[*at]).is_some())?;
            Some((id, code, call))
        });
        let Some((id, code, operation)) = found else { return Err(SnapshotError::Unfit("the place where it stands")) };
        let end = base as usize + code.registers as usize;
        if end > REGISTERS_MAX {
            return Err(SnapshotError::Unfit("its size"));
        }
        if end > self.registers.len() {
            self.registers.resize(end, Value::Null);
        }
        let window = &mut self.registers[base as usize..end];
        let locals = code.analysis.locals.len();
        for flagged in &code.flagged {
            window[*flagged as usize + locals] = Value::Boolean(false);
        }
        // The bindings must be exactly the live ones: an additional value would stay in its register, where code
        // expects none, and a local that is read without a flag must be bound.
        let mut live = code.analysis.live_before(program.executable(), record.instruction);
        for (name, value) in record.bindings {
            let local = code.analysis.register_of.get(&name).copied();
            let Some(local) = local.filter(|local| live.as_mut().is_some_and(|live| live.remove(*local))) else {
                return Err(SnapshotError::Unfit("a name that it has bound"));
            };
            window[local as usize] = value;
            if code.flagged.binary_search(&local).is_ok() {
                window[local as usize + locals] = Value::Boolean(true);
            }
        }
        let mut missing = live.iter().flat_map(LocalSet::members);
        if missing.any(|local| code.flagged.binary_search(&local).is_err()) {
            return Err(SnapshotError::Unfit("a name that it has not bound"));
        }
        let mut places = code.layouts.places(code.points[operation].stack);
        let mut next_base = base;
        if !is_innermost {
            places.truncate(places.len() - call_operands(&code.operations[operation], program));
            next_base += call_base(&code.operations[operation]).unwrap_or(0);
        }
        if places.len() != record.stack.len() {
            return Err(SnapshotError::Unfit("the height of its stack"));
        }
        for (place, value) in places.into_iter().zip(record.stack) {
            if let Place::Register(register) = place {
                window[register as usize] = value;
            }
        }
        self.records.push(Record { code: id, operation: operation as u32, base });
        Ok(next_base)
    }
}

/// Whether a record has not yet cleared the flags of its locals. Until then they are left over from the previous user
/// of the window: the same record before a self tail call, or another one.
fn is_before_body(code: &Code, record: &Record) -> bool {
    let body = || code.starts.get(&code.analysis.blocks.first()?.start);
    !code.flagged.is_empty() && body().is_some_and(|body| record.operation < *body)
}

/// The number of locals bound at entry: parameters and captures.
fn bound_at_entry(function: FunctionIndex, program: &Program) -> usize {
    let function = &program.executable().functions[function.0 as usize];
    function.parameters.len() + function.captures.len()
}

/// Whether a local is bound.
fn is_bound(code: &Code, window: &[Value], local: u32) -> bool {
    code.flagged.binary_search(&local).is_err()
        || matches!(window[local as usize + code.analysis.locals.len()], Value::Boolean(true))
}

/// For a call of a Hark function, the register where the callee's window begins.
fn call_base(operation: &Operation) -> Option<u32> {
    match operation {
        Operation::CallFunction { base, .. } | Operation::CallValue { base, .. } => Some(*base),
        _ => None,
    }
}

/// The number of portable stack values that a call consumes: its arguments and the callee.
fn call_operands(operation: &Operation, program: &Program) -> usize {
    match operation {
        Operation::CallFunction { function, .. } => {
            program.executable().functions[*function as usize].parameters.len() + 1
        }
        Operation::CallValue { count, .. } => *count as usize + 1,
        _ => 0,
    }
}

fn write_record(body: &mut Writer, values: &mut ValueWriter<'_>, program: &Program, record: &PortableRecord) {
    body.unsigned(record.function.0.into());
    let start = program.executable().functions[record.function.0 as usize].start;
    body.unsigned((record.instruction - start).into());
    body.unsigned(record.bindings.len() as u64);
    for (name, value) in &record.bindings {
        body.unsigned(name.0.into());
        values.write(body, value);
    }
    body.unsigned(record.stack.len() as u64);
    record.stack.iter().for_each(|value| values.write(body, value));
}

fn read_record(
    reader: &mut Reader<'_>,
    values: &ValueReader<'_>,
    program: &Program,
) -> Result<PortableRecord, SnapshotError> {
    let function = FunctionIndex(reader.unsigned32()?);
    let Some(found) = program.executable().functions.get(function.0 as usize) else {
        return Err(SnapshotError::Unfit("a function"));
    };
    let offset = reader.unsigned32()?;
    if offset >= found.end - found.start {
        return Err(SnapshotError::Unfit("the place where it stands"));
    }
    let bindings = (0..reader.count()?)
        .map(|_| Ok((NameIndex(reader.unsigned32()?), values.value(reader)?)))
        .collect::<Result<_, WireError>>()?;
    let stack = (0..reader.count()?).map(|_| values.value(reader)).collect::<Result<_, WireError>>()?;
    Ok(PortableRecord { function, instruction: found.start + offset, bindings, stack })
}

fn write_error(body: &mut Writer, values: &mut ValueWriter<'_>, error: &Error) {
    body.string(&error.kind);
    body.string(&error.message);
    let absent = Retries::default();
    let Retries { tries, classes } = error.retries.as_deref().unwrap_or(&absent);
    [&error.data, tries, classes].into_iter().for_each(|value| values.write(body, value));
    body.unsigned(error.omitted);
    body.unsigned(error.trace.len() as u64);
    for frame in &error.trace {
        body.unsigned(frame.thread);
        body.string(&frame.function);
        body.unsigned(frame.span.start.into());
        body.unsigned(frame.span.end.into());
    }
}

fn read_error(reader: &mut Reader<'_>, values: &ValueReader<'_>) -> Result<Error, SnapshotError> {
    let kind = reader.string()?;
    let mut error = Error::new(kind, reader.string()?);
    error.data = values.value(reader)?;
    error.set_retries(Retries { tries: values.value(reader)?, classes: values.value(reader)? });
    error.omitted = reader.unsigned()?;
    if error.omitted > FRAMES_OMITTED_MAX {
        return Err(SnapshotError::Unfit("the frames left out of its error's trace"));
    }
    error.trace = (0..reader.count()?)
        .map(|_| {
            let (thread, function) = (reader.unsigned()?, reader.string()?.into());
            let span = Span { start: reader.unsigned32()?, end: reader.unsigned32()? };
            Ok(TraceFrame { thread, function, span })
        })
        .collect::<Result<_, WireError>>()?;
    if error.trace.iter().any(|frame| frame.thread >= THREADS_MAX) {
        return Err(SnapshotError::Unfit("a thread in its error's trace"));
    }
    Ok(error)
}
