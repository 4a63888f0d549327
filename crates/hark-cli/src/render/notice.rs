//! A diagnostic on a terminal: the message, the place, the hint.

use hark_bytecode::Span;

use super::escape;
use super::lines::Lines;
use super::snippet::draw_places;
use super::style::{Paint, Style};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The program is rejected, or stopped here.
    Error,
    /// The program runs.
    Warning,
}

/// A place in the source and a text about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label<'a> {
    /// The place.
    pub span: Span,
    /// May be empty.
    pub text: &'a str,
}

/// A message about a place in a file.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// How bad it is.
    pub severity: Severity,
    /// The code for `hark explain`; may be empty.
    pub code: String,
    /// What is wrong.
    pub message: &'a str,
    /// The places; the first is the primary one.
    pub labels: Vec<Label<'a>>,
    /// What to do next.
    pub hint: Option<&'a str>,
}

impl Severity {
    /// Its name, in messages and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }

    pub(super) fn paint(self) -> Paint {
        match self {
            Severity::Error => Paint::Error,
            Severity::Warning => Paint::Warning,
        }
    }
}

/// Draws a notice about this source, with a line break at its end.
pub fn draw_notice(notice: &Notice<'_>, lines: &Lines<'_>, style: Style, out: &mut String) {
    let mut title = notice.severity.name().to_owned();
    if !notice.code.is_empty() {
        title = format!("{title}[{}]", notice.code);
    }
    style.push(out, notice.severity.paint(), &title);
    style.push(out, Paint::Strong, &format!(": {}", escape::lines(notice.message)));
    out.push('\n');
    draw_places(&notice.labels, lines, notice.severity.paint(), style, out);
    if let Some(hint) = notice.hint {
        style.push(out, Paint::Hint, "hint");
        out.push_str(": ");
        out.push_str(&escape::lines(hint));
        out.push('\n');
    }
}
