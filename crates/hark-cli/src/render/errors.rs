//! The errors of a session. Errors that differ only in the thread are shown once.

use std::collections::HashMap;

use hark_bytecode::{Executable, Span};
use hark_machine::Error;

use super::lines::Lines;
use super::style::{Paint, Style};
use super::traceback::{data_of_program, draw_error, python_traceback};

/// The maximum number of different errors shown; a report has them all.
const DIFFERENT_MAX: usize = 20;

/// Draws the errors of a program, separated by empty lines; equal ones once, with their number.
pub fn draw_errors<'e>(
    errors: impl IntoIterator<Item = &'e Error>,
    program: &Executable,
    lines: &Lines<'_>,
    style: Style,
    out: &mut String,
) {
    let (mut places, mut different) = (HashMap::new(), Vec::new());
    for error in errors {
        let place = *places.entry(Look::of(error, program)).or_insert_with(|| {
            different.push((error, 0_usize));
            different.len() - 1
        });
        different[place].1 += 1;
    }
    for (index, (error, count)) in different.iter().take(DIFFERENT_MAX).enumerate() {
        out.push_str(if index > 0 { "\n" } else { "" });
        draw_error(error, program, lines, style, out);
        if *count > 1 {
            tell_more(*count - 1, "like this", style, out);
        }
    }
    let others: usize = different.iter().skip(DIFFERENT_MAX).map(|(_, count)| count).sum();
    if others > 0 {
        out.push('\n');
        tell_more(
            others,
            if others == 1 { "error; `--json` shows it" } else { "errors; `--json` shows them all" },
            style,
            out,
        );
    }
}

/// "and 4,999 more like this"
fn tell_more(count: usize, what: &str, style: Style, out: &mut String) {
    style.push(out, Paint::Dim, &format!("and {} more {what}", with_commas(count)));
    out.push('\n');
}

/// The number with a comma between thousands: "4,999".
pub fn with_commas(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The visible parts of an error, without the thread numbers.
#[derive(PartialEq, Eq, Hash)]
struct Look<'e> {
    kind: &'e str,
    message: &'e str,
    traceback: Option<&'e str>,
    data: Option<String>,
    way: Vec<Span>,
    omitted: u64,
}

impl<'e> Look<'e> {
    fn of(error: &'e Error, program: &Executable) -> Look<'e> {
        Look {
            kind: &error.kind,
            message: &error.message,
            traceback: python_traceback(error),
            data: data_of_program(error, program),
            way: error.trace.iter().map(|frame| frame.span).collect(),
            omitted: error.omitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use hark_bytecode::{Source, Sources};
    use hark_machine::TraceFrame;

    use super::*;

    fn drawn(errors: &[Error]) -> String {
        let source = Sources::from(Source::new("x.hk", "fails(x)"));
        let mut out = String::new();
        draw_errors(errors, &Executable::default(), &Lines::new(&source), Style::PLAIN, &mut out);
        out
    }

    fn error(thread: u64, message: &str) -> Error {
        let mut error = Error::new("value", message);
        error.trace = vec![TraceFrame { thread, function: "f".into(), span: Span::new(0, 8) }];
        error
    }

    #[test]
    fn what_differs_in_its_thread_only_is_drawn_once() {
        let mut errors: Vec<Error> = (1..=5_000).map(|thread| error(thread, "no")).collect();
        errors.push(error(7_000, "never"));
        let text = drawn(&errors);
        assert_eq!(text.matches("error[value]").count(), 2, "{text}");
        assert!(text.contains("error[value]: no\nand 4,999 more like this\n\ntraceback"), "{text}");
        assert!(text.ends_with("error[value]: never\n"), "{text}");
    }

    #[test]
    fn of_many_that_differ_the_first_are_drawn() {
        let errors: Vec<Error> = (0..30_000).map(|thread| error(thread, &format!("no {}", thread % 30))).collect();
        let text = drawn(&errors);
        assert_eq!(text.matches("error[value]").count(), 20, "{text}");
        assert!(text.ends_with("\n\nand 10,000 more errors; `--json` shows them all\n"), "{text}");
    }

    #[test]
    fn numbers_have_commas() {
        assert_eq!([1, 999, 1_000, 1_000_000].map(with_commas), ["1", "999", "1,000", "1,000,000"]);
    }
}
