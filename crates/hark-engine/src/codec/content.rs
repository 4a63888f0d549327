//! Machine-readable content in bytes: snapshots, values and failures.

use std::sync::Arc;

use hark_bytecode::wire::{Reader, WireError, Writer};
use hark_bytecode::{ForeignIndex, Span};
use hark_machine::{Apart, Error, PickleSource, Program, Retries, Thread, TraceFrame, read_values, write_values};

use super::text::live_from_summary;
use super::{CodecError, bounded, read_thread};
use crate::demand::Demand;
use crate::failure::Failure;
use crate::limits::{COUNT_MAX, TRIES_MAX, WAITERS_INLINE_MAX};
use crate::place::Place;
use crate::record::{FutureRecord, Interest, Live, PendingCall, State, Status, Waiter, Waiters};
use crate::surroundings::Timestamp;

const FUTURE_MAGIC: [u8; 4] = *b"HkFu";
const FAILURE_MAGIC: [u8; 4] = *b"HkEr";
const LIVE_MAGIC: [u8; 4] = *b"HkLi";
const VERSION: u8 = 1;

/// The bit that says that a waiter's place follows. The default place is omitted.
const PLACED: u8 = 2;

/// A thread's state, and its call in flight.
pub fn live_content(live: &Live, program: &Program, apart: &mut Apart) -> Vec<u8> {
    let mut writer = Writer::new();
    match &live.state {
        State::Present(thread) => {
            writer.byte(1);
            writer.bytes(&thread.snapshot_without(program, apart));
        }
        State::Ended => writer.byte(0),
        State::Away => unreachable!("only a worker that has the thread writes its record"),
    }
    match &live.call {
        Some(call) => {
            writer.byte(if call.timeout.is_some() { 2 } else { 1 });
            writer.unsigned(call.foreign.0.into());
            writer.unsigned(call.attempt.into());
            writer.byte(call.is_queued.into());
            if let Some(seconds) = call.timeout {
                writer.float(seconds);
            }
            writer.bytes(&write_values(&call.arguments, apart));
        }
        None => writer.byte(0),
    }
    writer.seal(LIVE_MAGIC, VERSION)
}

/// Decodes a thread from its summary and content.
///
/// # Errors
/// If they are damaged or belong to another program, or a pickle is missing.
pub fn live(
    summary: &str,
    content: &[u8],
    program: &Program,
    pickles: &dyn PickleSource,
) -> Result<Box<Live>, CodecError> {
    let mut live = live_from_summary(summary)?;
    let (mut reader, _) = Reader::open(content, "thread", LIVE_MAGIC, VERSION)?;
    live.state = match (reader.byte()?, &live.status) {
        (0, Status::Following(_)) => State::Ended,
        (0, _) => return Err(reader.invalid("the state of a thread of this status").into()),
        (1, status) if !matches!(status, Status::Following(_)) => {
            State::Present(Thread::restore_with(reader.bytes()?, program, pickles)?)
        }
        _ => return Err(reader.invalid("the state of a thread of this status").into()),
    };
    let form = reader.byte()?;
    if form > 0 {
        let foreign = ForeignIndex(reader.unsigned32()?);
        let attempt = bounded(reader.unsigned32()?, TRIES_MAX, "tries")?;
        let is_queued = reader.byte()? == 1;
        let timeout = if form == 2 { Some(reader.float()?) } else { None };
        let arguments = read_values(reader.bytes()?, program, pickles)?;
        live.call = Some(Box::new(PendingCall { foreign, arguments, timeout, attempt, is_queued }));
    }
    reader.finish()?;
    Ok(live)
}

/// Encodes a Future.
pub fn future_content(future: &FutureRecord, apart: &mut Apart) -> Vec<u8> {
    let mut writer = Writer::new();
    match future {
        FutureRecord::Resolved(value) => {
            writer.byte(0);
            writer.bytes(&write_values([value], apart));
        }
        FutureRecord::Failed(failure) => {
            writer.byte(1);
            write_failure(&mut writer, failure, apart);
        }
        FutureRecord::AwaitedBy(waiter) => {
            writer.byte(2);
            writer.unsigned(waiter.0);
        }
        FutureRecord::AwaitedByMany(waiters) => {
            writer.byte(3);
            writer.byte(u8::from(waiters.crowded));
            writer.unsigned(waiters.inline.len() as u64);
            for waiter in &waiters.inline {
                write_waiter(&mut writer, waiter);
            }
        }
        FutureRecord::WatchedBy(waiter) => {
            writer.byte(4);
            writer.unsigned(waiter.0);
        }
    }
    writer.seal(FUTURE_MAGIC, VERSION)
}

/// Decodes a Future.
///
/// # Errors
/// If it is damaged or belongs to another program.
pub fn future(content: &[u8], program: &Program, pickles: &dyn PickleSource) -> Result<FutureRecord, CodecError> {
    let (mut reader, _) = Reader::open(content, "Future", FUTURE_MAGIC, VERSION)?;
    let future = match reader.byte()? {
        0 => match read_values(reader.bytes()?, program, pickles)?.pop() {
            Some(value) => FutureRecord::Resolved(value),
            None => return Err(reader.invalid("a value").into()),
        },
        1 => FutureRecord::Failed(Arc::new(read_failure(&mut reader, program, pickles)?)),
        2 => FutureRecord::AwaitedBy(read_thread(&mut reader)?),
        3 => {
            let crowded = reader.byte()? == 1;
            let count = bounded(reader.count()?, WAITERS_INLINE_MAX, "waiters")?;
            let inline = (0..count).map(|_| read_waiter(&mut reader)).collect::<Result<_, _>>()?;
            FutureRecord::AwaitedByMany(Arc::new(Waiters { inline, crowded }))
        }
        4 => FutureRecord::WatchedBy(read_thread(&mut reader)?),
        _ => return Err(reader.invalid("a Future").into()),
    };
    reader.finish()?;
    Ok(future)
}

/// Writes a waiter of a Future.
pub fn write_waiter(writer: &mut Writer, waiter: &Waiter) {
    writer.unsigned(waiter.thread.0);
    let Demand { priority, place } = &waiter.demand;
    let placed = if place.is_default() { 0 } else { PLACED };
    writer.byte(interest_byte(waiter.interest) | placed);
    writer.signed((*priority).into());
    if !place.is_default() {
        writer.string(&place.to_string());
    }
}

/// Reads a waiter of a Future.
///
/// # Errors
/// If it is damaged.
pub fn read_waiter(reader: &mut Reader<'_>) -> Result<Waiter, WireError> {
    let thread = read_thread(reader)?;
    let byte = reader.byte()?;
    let interest = interest_of(byte & !PLACED).ok_or_else(|| reader.invalid("what a waiter waits for"))?;
    let priority = reader.signed32()?;
    let place = if byte & PLACED == 0 { Place::default() } else { read_place(reader)? };
    Ok(Waiter { thread, interest, demand: Demand { priority, place } })
}

/// Reads a place.
///
/// # Errors
/// If the text is not a place.
pub fn read_place(reader: &mut Reader<'_>) -> Result<Place, WireError> {
    let place = reader.string()?.parse();
    place.map_err(|_| reader.invalid("a place"))
}

/// Encodes what a waiter waits for.
pub fn interest_byte(interest: Interest) -> u8 {
    match interest {
        Interest::Outcome => 0,
        Interest::Failure => 1,
    }
}

/// Decodes what a waiter waits for; None for an unknown number.
pub fn interest_of(byte: u8) -> Option<Interest> {
    match byte {
        0 => Some(Interest::Outcome),
        1 => Some(Interest::Failure),
        _ => None,
    }
}

/// Encodes a failure.
pub fn failure_content(failure: &Failure, apart: &mut Apart) -> Vec<u8> {
    let mut writer = Writer::new();
    write_failure(&mut writer, failure, apart);
    writer.seal(FAILURE_MAGIC, VERSION)
}

/// Decodes a failure.
///
/// # Errors
/// If it is damaged or belongs to another program.
pub fn failure(content: &[u8], program: &Program, pickles: &dyn PickleSource) -> Result<Failure, CodecError> {
    let (mut reader, _) = Reader::open(content, "failure", FAILURE_MAGIC, VERSION)?;
    let failure = read_failure(&mut reader, program, pickles)?;
    reader.finish()?;
    Ok(failure)
}

fn write_failure(writer: &mut Writer, failure: &Failure, apart: &mut Apart) {
    let error = &failure.error;
    writer.unsigned(failure.root.0);
    writer.unsigned(failure.at.0);
    writer.byte(failure.is_awaited.into());
    writer.string(&error.kind);
    writer.string(&error.message);
    let Retries { tries, classes } = error.retries();
    writer.bytes(&write_values([&error.data, &tries, &classes], apart));
    writer.unsigned(error.omitted);
    writer.unsigned(error.trace.len() as u64);
    for frame in &error.trace {
        writer.unsigned(frame.thread);
        writer.string(&frame.function);
        writer.unsigned(frame.span.start.into());
        writer.unsigned(frame.span.end.into());
    }
}

fn read_failure(reader: &mut Reader<'_>, program: &Program, pickles: &dyn PickleSource) -> Result<Failure, CodecError> {
    let root = read_thread(reader)?;
    let at = Timestamp::try_from(reader.unsigned()?).map_err(|_| CodecError::OutOfRange("times"))?;
    let is_awaited = reader.byte()? == 1;
    let kind = reader.string()?;
    let mut error = Error::new(kind, reader.string()?);
    let mut values = read_values(reader.bytes()?, program, pickles)?.into_iter();
    let mut value = || values.next().unwrap_or_default();
    error.data = value();
    error.set_retries(Retries { tries: value(), classes: value() });
    error.omitted = bounded(reader.unsigned()?, COUNT_MAX, "frames")?;
    error.trace = (0..reader.count()?)
        .map(|_| {
            let thread = read_thread(reader)?.0;
            let function = reader.string()?.into();
            let span = Span { start: reader.unsigned32()?, end: reader.unsigned32()? };
            Ok(TraceFrame { thread, function, span })
        })
        .collect::<Result<_, WireError>>()?;
    Ok(Failure { error, root, at, is_awaited })
}
