//! The results as JUnit XML, which build servers read.

use std::path::Path;
use std::{fs, io};

use super::runner::Outcome;
use super::text;
use super::verdict::printed;
use crate::failure::Failure;
use crate::render::Style;

/// Writes the results to a file.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, outcomes: &[Outcome]) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::undone(format!("`{}` cannot be written: {error}", path.display()));
    fs::write(path, drawn(outcomes)).map_err(failed)
}

/// The XML document, with a suite per file.
fn drawn(outcomes: &[Outcome]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    out.push_str(&format!("<testsuites name=\"hark\" {}>\n", counts(outcomes)));
    for suite in outcomes.chunk_by(|one, other| one.file == other.file) {
        let Some(first) = suite.first() else { continue };
        out.push_str(&format!("  <testsuite name=\"{}\" {}>\n", escaped(&first.file), counts(suite)));
        suite.iter().for_each(|outcome| draw_case(outcome, &mut out));
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn counts(outcomes: &[Outcome]) -> String {
    let failures = outcomes.iter().filter(|outcome| !outcome.is_passed() && outcome.problem.is_none()).count();
    let errors = outcomes.iter().filter(|outcome| outcome.problem.is_some()).count();
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.seconds).sum();
    format!("tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{seconds:.6}\"", outcomes.len())
}

fn draw_case(outcome: &Outcome, out: &mut String) {
    let (file, name) = (escaped(&outcome.file), escaped(&outcome.name));
    let (line, seconds) = (outcome.line, outcome.seconds);
    out.push_str(&format!(
        "    <testcase classname=\"{file}\" name=\"{name}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.6}\""
    ));
    let output = printed(&outcome.output);
    if outcome.is_passed() && output.is_empty() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    if !outcome.is_passed() {
        let (element, message) = match (&outcome.problem, outcome.faults.first()) {
            (None, Some(fault)) => ("failure", format!("expected {}, got {}", fault.expected, fault.got)),
            (problem, _) => ("error", problem.clone().unwrap_or_default()),
        };
        let whole = text::drawn(outcome, Style::PLAIN);
        let (message, whole) = (escaped(message.trim_end()), escaped(&whole));
        out.push_str(&format!("      <{element} message=\"{message}\" type=\"{element}\">{whole}</{element}>\n"));
    }
    if !output.is_empty() {
        out.push_str(&format!("      <system-out>{}</system-out>\n", escaped(&output)));
    }
    out.push_str("    </testcase>\n");
}

/// Escapes a text for an element or an attribute. Characters that XML cannot represent are shown as escapes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Unescaped, these would be normalized to spaces in an attribute, and `\r\n` to one line break.
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            '\t' => out.push_str("&#9;"),
            '\u{0}'..'\u{20}' => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            '\u{fffe}' | '\u{ffff}' => out.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out
}
