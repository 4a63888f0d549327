//! `--json`: machine-readable reports.
//!
//! A report is one object with always the same names: `session`, `status`, `result`, `output`, `errors`, `diagnostics`.

mod json;
mod value;

use std::io::{self, Write};

use hark_bytecode::{Executable, Sources};
use hark_engine::{OutputItem, Report, SessionError};

pub use json::Json;

use crate::failure::{Failure, Problem};
use crate::program::Compiled;
use crate::render::Lines;
pub use value::write_value;

/// Reports a session that has ended.
///
/// # Errors
/// If standard output cannot be written to.
pub fn write_session(report: &Report, executable: &Executable, compiled: &Compiled) -> Result<(), Failure> {
    write(|json| {
        write_report(report, executable, json)?;
        compiled.write_json(json)
    })
}

/// Writes the fields of a report except `diagnostics`.
pub fn write_report<W: Write>(report: &Report, executable: &Executable, json: &mut Json<W>) -> io::Result<()> {
    json.entry("session", report.session.as_str())?;
    json.entry("status", &report.status.to_string())?;
    json.key("result")?;
    match &report.result {
        Some(value) => write_value(value, executable, json)?,
        None => json.atom("null")?,
    }
    write_output(&report.output, json)?;
    write_errors(&report.errors, executable, json)
}

/// Writes empty diagnostics, for a program that was compiled before.
pub fn write_no_diagnostics<W: Write>(json: &mut Json<W>) -> io::Result<()> {
    json.key("diagnostics")?;
    json.open('[')?;
    json.close(']')
}

/// Writes `"output": [...]`.
pub fn write_output<W: Write>(items: &[OutputItem], json: &mut Json<W>) -> io::Result<()> {
    json.key("output")?;
    json.open('[')?;
    for item in items {
        json.open('{')?;
        json.entry("time", &item.time.to_string())?;
        json.entry_of("thread", item.thread)?;
        json.entry("text", &item.text)?;
        json.close('}')?;
    }
    json.close(']')
}

/// Writes `"errors": [...]`.
pub fn write_errors<W: Write>(errors: &[SessionError], executable: &Executable, json: &mut Json<W>) -> io::Result<()> {
    json.key("errors")?;
    json.open('[')?;
    // Most sessions have no errors, and do not need the line offsets.
    if !errors.is_empty() {
        let lines = Lines::new(&executable.sources);
        errors.iter().try_for_each(|error| write_error(error, executable, &lines, json))?;
    }
    json.close(']')
}

fn write_error<W: Write>(
    each: &SessionError,
    executable: &Executable,
    lines: &Lines<'_>,
    json: &mut Json<W>,
) -> io::Result<()> {
    let error = &each.error;
    json.open('{')?;
    json.entry_of("thread", each.thread)?;
    json.entry("kind", &error.kind)?;
    json.entry("message", &error.message)?;
    json.key("data")?;
    write_value(&error.data, executable, json)?;
    json.key("trace")?;
    json.open('[')?;
    for frame in &error.trace {
        let place = lines.location(frame.span.start);
        json.open('{')?;
        json.entry_of("thread", frame.thread)?;
        json.entry("function", &frame.function)?;
        json.entry("file", place.file)?;
        json.entry_of("line", place.line)?;
        json.entry_of("column", place.column)?;
        json.close('}')?;
    }
    json.close(']')?;
    json.entry_of("omitted", error.omitted)?;
    json.close('}')
}

/// Reports a rejected program.
///
/// # Errors
/// If standard output cannot be written to.
pub fn write_rejected(compiled: &Compiled) -> Result<(), Failure> {
    write(|json| {
        write_no_session(json)?;
        compiled.write_json(json)
    })
}

/// Reports a session that could not begin, for example because a file cannot be read or a function does not exist.
///
/// # Errors
/// If standard output cannot be written to.
pub fn write_refused(failure: &Failure, file: &str) -> Result<(), Failure> {
    write(|json| {
        write_no_session(json)?;
        json.key("diagnostics")?;
        json.open('[')?;
        match failure {
            Failure::Settings(source, problems) => {
                let sources = Sources::from(source.clone());
                let lines = Lines::new(&sources);
                problems.iter().try_for_each(|problem| write_problem(problem, &lines, json))?;
            }
            _ => {
                json.open('{')?;
                json.entry("severity", "error")?;
                json.entry_of("code", "null")?;
                json.entry("message", &failure.message())?;
                json.entry("file", file)?;
                json.entry_of("line", "null")?;
                json.entry_of("column", "null")?;
                json.close('}')?;
            }
        }
        json.close(']')
    })
}

fn write_problem<W: Write>(problem: &Problem, lines: &Lines<'_>, json: &mut Json<W>) -> io::Result<()> {
    let place = lines.location(problem.span.start);
    json.open('{')?;
    json.entry("severity", problem.severity.name())?;
    json.entry_of("code", "null")?;
    json.entry("message", &problem.message)?;
    json.entry("file", place.file)?;
    json.entry_of("line", place.line)?;
    json.entry_of("column", place.column)?;
    json.close('}')
}

fn write_no_session<W: Write>(json: &mut Json<W>) -> io::Result<()> {
    json.entry_of("session", "null")?;
    json.entry("status", "rejected")?;
    json.entry_of("result", "null")?;
    for empty in ["output", "errors"] {
        json.key(empty)?;
        json.open('[')?;
        json.close(']')?;
    }
    Ok(())
}

/// Writes a list to standard output.
///
/// # Errors
/// If standard output cannot be written to.
pub fn write_list(
    items: impl FnOnce(&mut Json<io::BufWriter<io::StdoutLock<'static>>>) -> io::Result<()>,
) -> Result<(), Failure> {
    write_between('[', ']', items)
}

/// Writes an object to standard output.
///
/// # Errors
/// If standard output cannot be written to.
pub fn write(
    fields: impl FnOnce(&mut Json<io::BufWriter<io::StdoutLock<'static>>>) -> io::Result<()>,
) -> Result<(), Failure> {
    write_between('{', '}', fields)
}

fn write_between(
    open: char,
    close: char,
    content: impl FnOnce(&mut Json<io::BufWriter<io::StdoutLock<'static>>>) -> io::Result<()>,
) -> Result<(), Failure> {
    let mut json = Json::new(io::BufWriter::new(io::stdout().lock()));
    json.open(open)
        .and_then(|()| content(&mut json))
        .and_then(|()| json.close(close))
        .and_then(|()| json.finish().map(drop))
        .map_err(Failure::Output)
}

/// Converts a value to JSON and back. None if it is nested too deeply for the reader.
pub fn json_of(value: &hark_machine::Value, executable: &Executable) -> Option<hark_machine::Value> {
    let mut json = Json::new(Vec::new());
    write_value(value, executable, &mut json).ok()?;
    let text = String::from_utf8(json.finish().ok()?).ok()?;
    crate::value::from_json(&text).ok()
}
