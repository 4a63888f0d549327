//! Colors. They never carry meaning on their own.

use std::env;
use std::io::{self, IsTerminal};

/// The role of a piece of text, which determines its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// No color.
    Plain,
    /// The word `error`, and its carets.
    Error,
    /// The word `warning`, and its carets.
    Warning,
    /// The word `hint`, and the carets of secondary places.
    Hint,
    /// Text that the eye should find first.
    Strong,
    /// Frames, line numbers, times.
    Dim,
    /// The name of an instruction in a listing.
    Instruction,
}

/// Whether colors are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colored: bool,
}

impl Style {
    /// Without colors.
    pub const PLAIN: Style = Style { colored: false };
    #[cfg(test)]
    pub const COLORED: Style = Style { colored: true };

    /// For standard output.
    pub fn for_stdout() -> Style {
        Style { colored: io::stdout().is_terminal() && allowed() }
    }

    /// For standard error.
    pub fn for_stderr() -> Style {
        Style { colored: io::stderr().is_terminal() && allowed() }
    }

    /// Whether colors are used.
    pub fn is_colored(self) -> bool {
        self.colored
    }

    /// Appends text in this paint.
    pub fn push(self, out: &mut String, paint: Paint, text: &str) {
        if !self.colored || text.is_empty() || paint == Paint::Plain {
            out.push_str(text);
            return;
        }
        out.push_str(code(paint));
        out.push_str(text);
        out.push_str(END);
    }

    /// The text in this paint.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 12);
        self.push(&mut out, paint, text);
        out
    }
}

/// Colors are disabled by any non-empty value (<https://no-color.org>).
fn allowed() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !terminal_is_dumb()
}

/// Whether the terminal takes nothing but text.
pub fn terminal_is_dumb() -> bool {
    env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// All codes that our own output may contain.
pub(super) const CODES: [&str; 7] = [
    END,
    code(Paint::Error),
    code(Paint::Warning),
    code(Paint::Hint),
    code(Paint::Strong),
    code(Paint::Dim),
    code(Paint::Instruction),
];

/// Ends a color.
const END: &str = "\x1b[0m";

const fn code(paint: Paint) -> &'static str {
    match paint {
        Paint::Plain => "",
        Paint::Error => "\x1b[1;31m",
        Paint::Warning => "\x1b[1;33m",
        Paint::Hint => "\x1b[1;36m",
        Paint::Strong => "\x1b[1m",
        Paint::Dim => "\x1b[2m",
        Paint::Instruction => "\x1b[36m",
    }
}
