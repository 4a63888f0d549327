//! The `//!` lines of a program: calls with their expected outcomes, and replacements of the outside world.

mod reader;

use hark_bytecode::{LINE_BREAKS, Source, Span, line_starts};
use hark_machine::Value;

use crate::failure::Problem;
use crate::render::Severity;
use reader::{Mistake, Reader};

/// The content of a program's `//!` lines.
#[derive(Debug, Default)]
pub struct Lines {
    /// The calls, in the order of their first lines, each with all its expectations.
    pub calls: Vec<CallLines>,
    /// The expected compile errors, if the program must be rejected.
    pub rejected: Vec<Line<Rejection>>,
    /// The stubs of imports.
    pub stubs: Vec<Line<Stub>>,
    /// Promises that are settled from the start.
    pub settled: Vec<Line<Settled>>,
    /// The errors of malformed lines.
    pub problems: Vec<Problem>,
}

/// The content of a line, and its place.
#[derive(Debug)]
pub struct Line<T> {
    /// The parsed content.
    pub content: T,
    /// The line's number, from 1.
    pub number: u32,
    /// The position of the line.
    pub span: Span,
    /// The text of the line.
    pub text: String,
}

/// A call of a function of the program, and the expected outcome.
#[derive(Debug)]
pub struct CallLines {
    /// The name of the function.
    pub function: String,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// The call as written.
    pub text: String,
    /// The number of its first line.
    pub number: u32,
    /// At least one expectation.
    pub expected: Vec<Line<Expectation>>,
}

/// An expected outcome of a call.
#[derive(Debug)]
pub enum Expectation {
    /// It finishes with this value.
    Result(Value),
    /// It prints this text in total.
    Prints(String),
    /// It prints these lines, in any order.
    PrintsAnyOrder(Vec<String>),
    /// It prints these texts: the number of the thread, and the text.
    PrintsFrom(Vec<(u64, String)>),
    /// It breaks, and the message of one error contains all of these texts.
    Breaks(Vec<String>),
    /// It breaks with an error of this kind.
    BreaksKind(String),
    /// It breaks with this many errors.
    Errors(usize),
    /// It breaks with an error that has this trace: threads and functions.
    Traces(Vec<(u64, String)>),
    /// The compiler issues a warning that contains all of these texts.
    Warns(Vec<String>),
    /// The compiler issues no warning.
    Silent,
}

/// An expectation about the rejection of a program.
#[derive(Debug)]
pub enum Rejection {
    /// The message of one error contains all of these texts.
    Says(Vec<String>),
    /// One error is at this line, and at this column if given.
    At(u32, Option<u32>),
    /// There are this many errors.
    Times(usize),
}

/// A stub of an import.
#[derive(Debug)]
pub struct Stub {
    /// The name of the import in the program.
    pub name: String,
    /// The position of the name.
    pub name_span: Span,
    /// What it does when called.
    pub act: Act,
}

/// The action of a stub.
#[derive(Debug)]
pub enum Act {
    /// Returns this value.
    Give(Value),
    /// Raises an exception, of this class if given.
    Raise { class: Option<String>, message: String },
    /// Calls a function of the program.
    Call { function: String, span: Span },
}

/// A promise that is settled from the start.
#[derive(Debug)]
pub struct Settled {
    /// The promise: `name/id`.
    pub promise: String,
    /// Its value, or the error message.
    pub outcome: Result<Value, String>,
}

const MARK: &str = "//!";

/// Parses the `//!` lines of a program.
pub fn read_lines(source: &Source) -> Lines {
    let mut lines = Lines::default();
    let starts: Vec<usize> = line_starts(&source.text).collect();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(source.text.len());
        let line = source.text[start..end].trim_end_matches(LINE_BREAKS);
        let at = start + (line.len() - line.trim_start_matches(['\u{feff}', ' ', '\t']).len());
        let Some(text) = source.text[at..start + line.len()].strip_prefix(MARK) else { continue };
        let at = at + MARK.len() + (text.len() - text.trim_start().len());
        let reader = Reader { text: text.trim(), at, number: index as u32 + 1 };
        if let Err(mistake) = reader.read(&mut lines) {
            let Mistake { message, range, hint } = *mistake;
            let span = Span::new(at + range.start, at + range.end);
            lines.problems.push(Problem { severity: Severity::Error, message, span, hint });
        }
    }
    lines
}
