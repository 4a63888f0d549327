//! Error handling: finds the handler of an error and unwinds to it.

use hark_bytecode::Span;

use crate::caught::{self, NativeDetails};
use crate::effect::Host;
use crate::error::Error;
use crate::program::Program;
use crate::program::handlers::Catch;
use crate::thread::{CachedTrace, Thread};
use crate::value::Value;

/// Unwinds to the innermost handler of an error raised by the innermost record.
///
/// # Errors
/// If there is no handler: returns the error with its trace and leaves the thread as it is.
pub(super) fn catch(
    thread: &mut Thread,
    program: &Program,
    error: Box<Error>,
    host: &mut impl Host,
) -> Result<(), Box<Error>> {
    let number = host.thread();
    let found = if caught::is_deadlock(&error) { None } else { find(thread, program) };
    let Some((depth, catch)) = found else {
        let mut error = traced(thread, program, error, number);
        caught::set_frames(&mut error, program.executable());
        return Err(traced(thread, program, error, number));
    };
    let value = match catch.needs_error {
        true => {
            let trace = trace_value(thread, program, &error, number);
            let is_native = !thread.records[depth].is_shown(program);
            let native = is_native.then(|| NativeDetails { place: place_of(thread, program, &error) });
            caught::value(*error, trace, native, program)
        }
        false => Value::Null,
    };
    if thread.records.len() > depth + 1 {
        host.cut(depth + 1);
    }
    cut(thread, program, depth, catch);
    let record = &mut thread.records[depth];
    record.operation = catch.target;
    thread.registers[(record.base + catch.register) as usize] = value;
    Ok(())
}

/// The span where an error was raised, unless only its line is known.
fn place_of(thread: &Thread, program: &Program, error: &Error) -> Option<Span> {
    if error.caught_place.is_some() || error.caught_trace.is_some() {
        return error.caught_place;
    }
    error.trace.last().map(|frame| frame.span).or_else(|| thread.innermost_place(program))
}

/// The innermost record with a handler for an error raised at the current place.
fn find<'p>(thread: &Thread, program: &'p Program) -> Option<(usize, &'p Catch)> {
    thread.records.iter().enumerate().rev().find_map(|(depth, record)| {
        let code = program.code(record.code);
        let catch = code.handlers.catch(code.points[record.operation as usize].instruction)?;
        Some((depth, catch))
    })
}

/// Adds this thread's trace to the error. An error from an answer, or one that is raised again, already has its trace.
fn traced(thread: &Thread, program: &Program, mut error: Box<Error>, number: u64) -> Box<Error> {
    if error.trace.is_empty() && error.caught_trace.is_none() {
        (error.trace, error.omitted) = thread.stack(program, number);
    }
    error
}

/// The trace of an error as a value. In a loop most errors take the same path as the one before, so the last trace is
/// cached.
fn trace_value(thread: &mut Thread, program: &Program, error: &Error, number: u64) -> Value {
    if let Some(trace) = &error.caught_trace {
        return trace.clone();
    }
    if !error.trace.is_empty() {
        return caught::trace_value(&error.trace, program);
    }
    let (outer, inner) = thread.shown_records(program);
    let steps = outer
        .iter()
        .chain(inner)
        .map(|record| (record.code, program.code(record.code).points[record.operation as usize].instruction));
    if let Some(CachedTrace { steps: known, value }) = thread.cached_trace.as_deref()
        && steps.clone().eq(known.iter().copied())
    {
        return value.clone();
    }
    let steps: Vec<_> = steps.collect();
    let value = caught::trace_value(&thread.stack(program, number).0, program);
    thread.cached_trace = Some(Box::new(CachedTrace { steps, value: value.clone() }));
    value
}

/// Drops the records above `depth`, and that record's values that its handler does not need.
fn cut(thread: &mut Thread, program: &Program, depth: usize, catch: &Catch) {
    let (base, code) = (thread.records[depth].base as usize, program.code(thread.records[depth].code));
    let end = thread.records.last().map_or(0, |last| last.base as usize + program.code(last.code).registers as usize);
    let clear = |value: &mut Value| {
        if value.is_counted() {
            *value = Value::Null;
        }
    };
    thread.registers[base + catch.register as usize..end].iter_mut().for_each(clear);
    let locals = &mut thread.registers[base..][..code.analysis.locals.len()];
    let dropped =
        locals.iter_mut().zip(0..).filter(|(value, local)| value.is_counted() && !catch.live.contains(*local));
    dropped.for_each(|(value, _)| *value = Value::Null);
    thread.records.truncate(depth + 1);
}
