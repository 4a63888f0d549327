//! What the `//!` lines of a program say: calls and what is expected of them, and what stands in for the world.

mod reader;

use hark_bytecode::{LINE_BREAKS, Source, Span, line_starts};
use hark_machine::Value;

use crate::failure::Problem;
use crate::render::Severity;
use reader::{Mistake, Reader};

/// What the lines of one program say.
#[derive(Debug, Default)]
pub struct Lines {
    /// The calls, in the order of their first lines, each with all that is expected of it.
    pub calls: Vec<CallLines>,
    /// What is expected of the compiler, if the program is to be rejected.
    pub rejected: Vec<Line<Rejection>>,
    /// What stands in for imports.
    pub stubs: Vec<Line<Stub>>,
    /// Promises that somebody outside has settled.
    pub settled: Vec<Line<Settled>>,
    /// Lines that cannot be read.
    pub problems: Vec<Problem>,
}

/// What a line says, and where.
#[derive(Debug)]
pub struct Line<T> {
    /// What it says.
    pub content: T,
    /// The line's number, from 1.
    pub number: u32,
    /// Where it says that.
    pub span: Span,
    /// How it says that.
    pub text: String,
}

/// A call of a function of the program, and what is expected of it.
#[derive(Debug)]
pub struct CallLines {
    /// The function.
    pub function: String,
    /// What it is called with.
    pub arguments: Vec<Value>,
    /// The call as it is written.
    pub text: String,
    /// The number of that line.
    pub number: u32,
    /// One at least.
    pub expected: Vec<Line<Expectation>>,
}

/// What is expected of a call.
#[derive(Debug)]
pub enum Expectation {
    /// It finishes with this value.
    Result(Value),
    /// All that it prints.
    Prints(String),
    /// The lines that it prints, in any order.
    PrintsAnyOrder(Vec<String>),
    /// What it prints: by which thread, and the text.
    PrintsFrom(Vec<(u64, String)>),
    /// It breaks, and one error's message has all of these texts.
    Breaks(Vec<String>),
    /// It breaks with an error of this kind.
    BreaksKind(String),
    /// It breaks with so many errors.
    Errors(usize),
    /// It breaks with an error of this trace: threads and functions.
    Traces(Vec<(u64, String)>),
    /// The compiler warns with all of these texts.
    Warns(Vec<String>),
    /// The compiler has nothing to say.
    Silent,
}

/// What is expected of a program that is rejected.
#[derive(Debug)]
pub enum Rejection {
    /// One error's message has all of these texts.
    Says(Vec<String>),
    /// One error is at this line, and column if that is said.
    At(u32, Option<u32>),
    /// There are so many errors.
    Times(usize),
}

/// What stands in for an import.
#[derive(Debug)]
pub struct Stub {
    /// The import, as the program calls it.
    pub name: String,
    /// Where it is named.
    pub name_span: Span,
    /// What it does instead.
    pub act: Act,
}

/// What a stub does.
#[derive(Debug)]
pub enum Act {
    /// It gives this value.
    Give(Value),
    /// It raises an exception, of this class if one is said.
    Raise { class: Option<String>, message: String },
    /// It calls a function of the program.
    Call { function: String, span: Span },
}

/// What somebody outside has done to a promise.
#[derive(Debug)]
pub struct Settled {
    /// The promise: `name/id`.
    pub promise: String,
    /// Its value, or the message that it failed with.
    pub outcome: Result<Value, String>,
}

const MARK: &str = "//!";

/// Reads the lines of a program.
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
