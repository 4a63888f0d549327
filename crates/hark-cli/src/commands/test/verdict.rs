//! Compares the outcome of a case with the expectations.

use hark_bytecode::Executable;
use hark_compiler::Severity;
use hark_engine::{OutputItem, Report, Status};
use hark_machine::{Value, literal_text, short_text};

use super::lines::{Expectation, Line, Rejection};
use super::same::{differs_in_order, is_expected};
use crate::program::Compiled;

/// The maximum number of characters shown of a value.
const SHOWN_MAX: usize = 2_000;

/// An expectation that was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line of the expectation, from 1.
    pub line: u32,
    /// The expectation.
    pub expected: String,
    /// The actual outcome.
    pub got: String,
}

/// Checks the expectations of a call.
pub fn of_call(
    expected: &[Line<Expectation>],
    report: &Report,
    executable: &Executable,
    compiled: &Compiled,
) -> Vec<Fault> {
    let shown = Shown { report, executable };
    let fault = |line: &Line<Expectation>| {
        let got =
            if holds(&line.content, &shown, compiled) { return None } else { shown.instead(&line.content, compiled) };
        Some(Fault { line: line.number, expected: line.text.clone(), got })
    };
    expected.iter().filter_map(fault).collect()
}

/// Checks that a call returned.
pub fn of_function(line: u32, report: &Report, executable: &Executable) -> Vec<Fault> {
    if report.status == Status::Finished {
        return Vec::new();
    }
    let got = Shown { report, executable }.end();
    vec![Fault { line, expected: "returns".to_owned(), got }]
}

/// Checks that a program was rejected as expected.
pub fn of_rejection(expected: &[Line<Rejection>], file: &str, compiled: &Compiled, is_rejected: bool) -> Vec<Fault> {
    let errors = compiled.said(Severity::Error);
    // Expected messages may name files relative to the program's folder, so that they do not depend on the current folder.
    let folder = file.rfind('/').map_or("", |end| &file[..=end]);
    let from_folder = |message: &str| if folder.is_empty() { message.to_owned() } else { message.replace(folder, "") };
    let holds = |rejection: &Rejection| match rejection {
        Rejection::Says(texts) => {
            errors.iter().any(|(message, ..)| has_all(message, texts) || has_all(&from_folder(message), texts))
        }
        Rejection::At(line, column) => {
            errors.iter().any(|(_, at, in_line)| at == line && column.is_none_or(|column| column == *in_line))
        }
        Rejection::Times(count) => errors.len() == *count,
    };
    let got = || {
        let said = errors.iter().map(|(message, line, column)| format!("{line}:{column}: {message}"));
        if is_rejected { said.collect::<Vec<_>>().join("\n") } else { "the program compiles".to_owned() }
    };
    let failed = expected.iter().filter(|line| !is_rejected || !holds(&line.content));
    failed.map(|line| Fault { line: line.number, expected: line.text.clone(), got: got() }).collect()
}

fn holds(expectation: &Expectation, shown: &Shown<'_>, compiled: &Compiled) -> bool {
    let report = shown.report;
    let is_broken = report.status == Status::Broken;
    match expectation {
        Expectation::Result(wanted) => {
            report.status == Status::Finished
                && is_expected(wanted, report.result.as_ref().unwrap_or(&Value::Null), shown.executable)
        }
        Expectation::Prints(text) => printed(&report.output) == *text,
        Expectation::PrintsAnyOrder(wanted) => {
            let text = printed(&report.output);
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            let mut wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            lines.sort_unstable();
            wanted.sort_unstable();
            lines == wanted
        }
        Expectation::PrintsFrom(wanted) => {
            wanted.len() == report.output.len()
                && wanted
                    .iter()
                    .zip(&report.output)
                    .all(|((thread, text), item)| *thread == item.thread.0 && *text == item.text)
        }
        Expectation::Breaks(texts) => is_broken && report.errors.iter().any(|each| has_all(&each.error.message, texts)),
        Expectation::BreaksKind(kind) => is_broken && report.errors.iter().any(|each| *each.error.kind == **kind),
        Expectation::Errors(count) => is_broken && report.errors.len() == *count,
        Expectation::Traces(wanted) => is_broken && traces(report).any(|trace| trace == *wanted),
        Expectation::Warns(texts) => {
            compiled.said(Severity::Warning).iter().any(|(message, ..)| has_all(message, texts))
        }
        Expectation::Silent => compiled.diagnostics.is_empty(),
    }
}

/// Describes what happened in a case.
struct Shown<'a> {
    report: &'a Report,
    executable: &'a Executable,
}

impl Shown<'_> {
    /// The actual outcome that corresponds to an expectation.
    fn instead(&self, expectation: &Expectation, compiled: &Compiled) -> String {
        match expectation {
            Expectation::Result(wanted) => {
                let end = self.end();
                let result = self.report.result.as_ref();
                let only_order = result.is_some_and(|result| differs_in_order(wanted, result));
                if only_order { format!("{end}, with its keys in a different order") } else { end }
            }
            Expectation::Prints(_) | Expectation::PrintsAnyOrder(_) => {
                format!("prints {}", self.text(&Value::string(printed(&self.report.output))))
            }
            Expectation::PrintsFrom(_) => {
                let items = self.report.output.iter().map(|item| pair(item.thread.0, &item.text)).collect();
                format!("prints-from {}", self.text(&Value::list(items)))
            }
            Expectation::Traces(_) if self.report.status == Status::Broken => {
                let shown = traces(self.report).map(|trace| {
                    let frames = trace.iter().map(|(thread, function)| pair(*thread, function)).collect();
                    format!("traces {}", self.text(&Value::list(frames)))
                });
                shown.collect::<Vec<_>>().join("\n")
            }
            Expectation::Errors(_) if self.report.status == Status::Broken => {
                format!("errors {}", self.report.errors.len())
            }
            Expectation::Warns(_) | Expectation::Silent => {
                let warnings = compiled.said(Severity::Warning);
                let warnings = warnings.iter().map(|(message, line, _)| format!("line {line} warns: {message}"));
                let warnings: Vec<String> = warnings.collect();
                if warnings.is_empty() { "no warnings".to_owned() } else { warnings.join("\n") }
            }
            Expectation::Breaks(_) | Expectation::BreaksKind(_) | Expectation::Errors(_) | Expectation::Traces(_) => {
                self.end()
            }
        }
    }

    /// How the session ended.
    fn end(&self) -> String {
        match self.report.status {
            Status::Finished => {
                let result = self.report.result.as_ref().unwrap_or(&Value::Null);
                format!("=> {}", self.text(result))
            }
            Status::Broken => {
                let errors = self.report.errors.iter().map(|each| {
                    let (kind, message) = (Value::string(&*each.error.kind), Value::string(&*each.error.message));
                    format!("breaks {}, of kind {}", self.text(&message), self.text(&kind))
                });
                errors.collect::<Vec<_>>().join("\n")
            }
            status => status.to_string(),
        }
    }

    fn text(&self, value: &Value) -> String {
        if hark_machine::is_too_long(value) {
            return short_text(value, self.executable, SHOWN_MAX);
        }
        let text = literal_text(value, self.executable);
        match text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    }
}

/// The complete output.
pub fn printed(output: &[OutputItem]) -> String {
    output.iter().map(|item| item.text.as_str()).collect()
}

fn traces(report: &Report) -> impl Iterator<Item = Vec<(u64, String)>> {
    report
        .errors
        .iter()
        .map(|each| each.error.trace.iter().map(|frame| (frame.thread, frame.function.to_string())).collect())
}

fn pair(thread: u64, text: &str) -> Value {
    Value::list(vec![Value::Integer(thread.cast_signed()), Value::string(text)])
}

fn has_all(message: &str, texts: &[String]) -> bool {
    texts.iter().all(|text| message.contains(text.as_str()))
}
