//! The results of cases as text.

use super::runner::Outcome;
use super::verdict::printed;
use crate::render::{Lines, Paint, Style, draw_error, escape};

/// The indentation of a case's details.
const INDENT: &str = "        ";

/// The maximum number of characters shown of a case's output.
const PRINTED_MAX: usize = 10_000;

/// A line with the result of a case, followed by the faults.
pub fn drawn(outcome: &Outcome, style: Style) -> String {
    let mut out = String::new();
    if outcome.is_passed() {
        style.push(&mut out, Paint::Dim, "passed");
    } else {
        style.push(&mut out, Paint::Error, "FAILED");
    }
    out.push_str(&format!("  {}\n", place_and_name(&outcome.file, outcome.line, &outcome.name)));
    if outcome.is_passed() {
        return out;
    }
    for fault in &outcome.faults {
        let place = if fault.line == outcome.line { String::new() } else { format!(" (line {})", fault.line) };
        part(&mut out, style, "expected", &format!("{}{place}", fault.expected));
        part(&mut out, style, "got", &fault.got);
    }
    if let Some(problem) = &outcome.problem {
        indented(&mut out, problem);
    }
    let text = printed(&outcome.output);
    if !text.is_empty() {
        style.push(&mut out, Paint::Strong, &format!("{INDENT}printed"));
        out.push('\n');
        for line in escape::cut(&text, PRINTED_MAX).lines() {
            out.push_str(&format!("{INDENT}  {}\n", escape::printed_line(line)));
        }
    }
    if let Some(program) = outcome.program.as_ref().filter(|_| !outcome.errors.is_empty()) {
        let executable = program.executable();
        let lines = Lines::new(&executable.sources);
        for each in &outcome.errors {
            let mut text = String::new();
            draw_error(&each.error, executable, &lines, style, &mut text);
            indented(&mut out, &text);
        }
    }
    out
}

/// The name of a case in lists: its place and name.
pub fn place_and_name(file: &str, line: u32, name: &str) -> String {
    escape::line(&format!("{file}:{line}  {name}")).into_owned()
}

/// The numbers of passed and failed cases.
pub fn count(passed: usize, failed: usize) -> String {
    format!("{passed} passed, {failed} failed")
}

fn part(out: &mut String, style: Style, title: &str, text: &str) {
    let mut lines = text.lines();
    style.push(out, Paint::Strong, &format!("{INDENT}{title:<8}"));
    out.push_str(&format!("  {}\n", escape::line(lines.next().unwrap_or_default())));
    for line in lines {
        out.push_str(&format!("{INDENT}          {}\n", escape::line(line)));
    }
}

/// Indents a text that is already drawn.
fn indented(out: &mut String, text: &str) {
    for line in text.trim_end().lines() {
        out.push_str(format!("{INDENT}{line}").trim_end());
        out.push('\n');
    }
}
