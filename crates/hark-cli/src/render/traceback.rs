//! A runtime error: the calls that led to it through its threads, the place, the message.

use hark_bytecode::{Executable, Span, shortened};
use hark_machine::{Error, TraceFrame, Value, short_text};

use super::escape;
use super::lines::Lines;
use super::notice::Label;
use super::snippet::{draw_places, excerpt};
use super::style::{Paint, Style};

/// The number of frames shown at the beginning and at the end of a longer trace.
const FRAMES_AT_EACH_END: usize = 10;

/// The maximum length of a Python traceback. Hark's workers send no more, but an imported session may have any text.
const TRACEBACK_CHARACTERS_MAX: usize = 101_000;
/// The maximum length of a line of it: the last one repeats the message.
const TRACEBACK_LINE_CHARACTERS_MAX: usize = 1_000;
/// The maximum length of an error's data.
const DATA_CHARACTERS_MAX: usize = 1_000;

/// Draws an error of this program. Ends with a line break.
pub fn draw_error(error: &Error, program: &Executable, lines: &Lines<'_>, style: Style, out: &mut String) {
    draw_frames(&error.trace, error.omitted, lines, style, out);
    // Frames from before an error was caught and raised again have no span, only a line, which is shown above.
    if let Some(frame) = error.trace.last().filter(|frame| frame.span.start < frame.span.end) {
        draw_places(&[Label { span: frame.span, text: "" }], lines, Paint::Error, style, out);
    }
    // "error" is the default kind.
    let title = if &*error.kind == "error" {
        "error".to_owned()
    } else {
        format!("error[{}]", escape::line(&shortened(&error.kind)))
    };
    style.push(out, Paint::Error, &title);
    style.push(out, Paint::Strong, &format!(": {}", escape::lines(&error.message)));
    out.push('\n');
    if let Some(traceback) = python_traceback(error) {
        for line in escape::cut(traceback.trim_end(), TRACEBACK_CHARACTERS_MAX).lines() {
            let line = escape::cut(line, TRACEBACK_LINE_CHARACTERS_MAX);
            style.push(out, Paint::Dim, format!("  {}", escape::printed_line(&line)).trim_end());
            out.push('\n');
        }
    }
    if let Some(data) = data_of_program(error, program) {
        style.push(out, Paint::Dim, &format!("  data: {}", escape::line(&data)));
        out.push('\n');
    }
    if let Some(hint) = hint(error) {
        style.push(out, Paint::Hint, "hint");
        out.push_str(&format!(": {hint}\n"));
    }
}

/// A hint for an error, if there is one.
fn hint(error: &Error) -> Option<&'static str> {
    let waits_for_promise = &*error.kind == "deadlock" && error.data.as_list().is_some_and(|names| !names.is_empty());
    waits_for_promise.then_some(
        "with `hark run -s sqlite` the session is stored and waits, and `hark resolve` resolves a promise from outside",
    )
}

/// The data that the program gave to `error`. The data of other kinds is in their messages, or in Python's traceback.
pub(super) fn data_of_program(error: &Error, program: &Executable) -> Option<String> {
    let is_own = !matches!(error.data, Value::Null) && !matches!(&*error.kind, "python" | "deadlock");
    is_own.then(|| short_text(&error.data, program, DATA_CHARACTERS_MAX))
}

/// Python's traceback, which a failed call has in its data.
pub(super) fn python_traceback(error: &Error) -> Option<&str> {
    if &*error.kind != "python" {
        return None;
    }
    match &error.data {
        Value::String(text) => Some(text.as_str()),
        Value::Hash(body) => body.get(&Value::string("traceback"))?.as_str(),
        _ => None,
    }
    .filter(|text| !text.trim().is_empty())
}

fn draw_frames(frames: &[TraceFrame], omitted: u64, lines: &Lines<'_>, style: Style, out: &mut String) {
    if frames.is_empty() {
        return;
    }
    style.push(out, Paint::Dim, "traceback, the outermost call first:");
    out.push('\n');
    let left_out = frames.len().saturating_sub(2 * FRAMES_AT_EACH_END);
    let (head, tail) = if left_out > 0 {
        (&frames[..FRAMES_AT_EACH_END], &frames[FRAMES_AT_EACH_END + left_out..])
    } else {
        // The machine keeps the same number of frames at both ends, so the omitted ones were in the middle.
        frames.split_at(frames.len() / 2)
    };
    head.iter().for_each(|frame| draw_frame(frame, lines, style, out));
    let missing = left_out as u64 + omitted;
    if missing > 0 {
        style.push(out, Paint::Dim, &format!("  ... {missing} more {}", if missing == 1 { "call" } else { "calls" }));
        out.push('\n');
    }
    tail.iter().for_each(|frame| draw_frame(frame, lines, style, out));
}

fn draw_frame(frame: &TraceFrame, lines: &Lines<'_>, style: Style, out: &mut String) {
    let place = lines.location(frame.span.start);
    out.push_str(&format!("  thread {}, {}:{}, in ", frame.thread, escape::line(place.file), place.line));
    style.push(out, Paint::Strong, &escape::line(&shortened(&frame.function)));
    out.push('\n');
    let line = source_line(frame.span, lines);
    if !line.is_empty() {
        style.push(out, Paint::Dim, &format!("      {line}"));
        out.push('\n');
    }
}

fn source_line(span: Span, lines: &Lines<'_>) -> String {
    excerpt(span, lines).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use hark_bytecode::{Source, Sources};

    use super::*;

    const TEXT: &str = "fn main() {\n  work(1)\n}\nfn work(x) {\n  fails(x)\n}\n";

    fn frame(thread: u64, function: &str, piece: &str) -> TraceFrame {
        let start = TEXT.find(piece).unwrap();
        TraceFrame { thread, function: function.into(), span: Span::new(start, start + piece.len()) }
    }

    fn drawn(error: &Error) -> String {
        let source = Sources::from(Source::new("x.hk", TEXT));
        let mut out = String::new();
        draw_error(error, &Executable::default(), &Lines::new(&source), Style::PLAIN, &mut out);
        out
    }

    #[test]
    fn the_way_the_place_and_the_message() {
        let mut error = Error::new("error", "badness");
        error.trace = vec![frame(0, "main", "work(1)"), frame(3, "work", "fails(x)")];
        let expected = "traceback, the outermost call first:\n  thread 0, x.hk:2, in main\n      work(1)\n  thread 3, x.hk:5, \
             in work\n      fails(x)\n  --> x.hk:5:3\n 5 |   fails(x)\n   |   ^^^^^^^^\nerror: badness\n";
        assert_eq!(drawn(&error), expected);
    }

    #[test]
    fn a_long_way_is_shortened_in_the_middle() {
        let mut error = Error::new("stack", "call stack too deep");
        error.trace = (0..50).map(|thread| frame(thread, "work", "fails(x)")).collect();
        error.omitted = 1_000_000;
        let text = drawn(&error);
        assert!(
            text.contains("  thread 9, x.hk:5, in work\n      fails(x)\n  ... 1000030 more calls\n  thread 40,"),
            "{text}"
        );
        assert!(text.ends_with("\nerror[stack]: call stack too deep\n"));

        error.trace.truncate(4);
        error.omitted = 1;
        assert!(drawn(&error).contains("  thread 1, x.hk:5, in work\n      fails(x)\n  ... 1 more call\n  thread 2,"));
    }

    #[test]
    fn what_the_program_says_more_is_shown() {
        let mut error = Error::new("error", "no stock");
        error.data = Value::list(vec![Value::Integer(17), Value::string("tea\nleaves")]);
        assert_eq!(drawn(&error), "error: no stock\n  data: [17, \"tea\\nleaves\"]\n");
        error.data = Value::string("x".repeat(5_000));
        assert!(drawn(&error).len() < 1_200, "{}", drawn(&error).len());
    }

    #[test]
    fn python_speaks_for_itself() {
        let mut error = Error::new("python", "ValueError in `fails`: no");
        error.data =
            Value::string("Traceback (most recent call last):\n  File \"p.py\", line 3, in fails\nValueError: no\n");
        let expected = "error[python]: ValueError in `fails`: no\n  Traceback (most recent call last):\n    File \"p.py\", line 3, \
            in fails\n  ValueError: no\n";
        assert_eq!(drawn(&error), expected);
    }
}
