//! Source files and positions in them.

use std::sync::Arc;

/// A source file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The file's name, as given by the user.
    pub path: Arc<str>,
    /// Its whole text.
    pub text: Arc<str>,
}

/// A range of the text in bytes; `end` is exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// A line and column for people: both counted from 1, columns in code points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in code points.
    pub column: u32,
}

impl Span {
    /// The span of code that is built into the language. Traces leave it out.
    pub const NOWHERE: Span = Span { start: u32::MAX, end: u32::MAX };

    /// The span from `start` up to but not including `end`.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl Source {
    /// A source with this name and text.
    pub fn new(path: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Source {
        Source { path: path.into(), text: text.into() }
    }

    /// The line and column of a byte offset. An offset beyond the text means its end.
    pub fn location(&self, offset: u32) -> Location {
        let mut offset = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let lines = (1..).zip(line_starts(&self.text));
        let begun = lines.take_while(|(line, start)| *line == 1 || *start <= offset);
        let (line, start) = begun.last().unwrap_or((1, 0));
        let column = self.text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Location { line, column: column as u32 }
    }

    /// A line of the text (from 1), without its line break.
    pub fn line(&self, line: u32) -> &str {
        let start = line_starts(&self.text).nth(line.saturating_sub(1) as usize).unwrap_or(self.text.len());
        let rest = &self.text[start..];
        &rest[..rest.find(LINE_BREAKS).unwrap_or(rest.len())]
    }
}

/// The characters that end a line. A carriage return with the line feed after it is one line break.
pub const LINE_BREAKS: [char; 2] = ['\n', '\r'];

/// The byte order mark that may start a UTF-8 file. It is not part of the first line.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// The byte offset of each line; there is at least one.
pub fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    let first = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    let bytes = text.as_bytes();
    let is_end = move |at: usize| match bytes[at] {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    };
    std::iter::once(first).chain((0..bytes.len()).filter(move |at| is_end(*at)).map(|at| at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: u32) -> (u32, u32) {
        let Location { line, column } = Source::new("x.hk", text).location(offset);
        (line, column)
    }

    #[test]
    fn every_kind_of_line_end_counts_once() {
        let text = "a\nb\r\nc\rd\r\r\né";
        let source = Source::new("x.hk", text);
        let lines: Vec<&str> = (1..=7).map(|line| source.line(line)).collect();
        assert_eq!(lines, ["a", "b", "c", "d", "", "é", ""]);
        assert_eq!(place(text, 5), (3, 1));
        assert_eq!(place(text, 7), (4, 1));
        assert_eq!(place(text, 99), (6, 2));
    }

    #[test]
    fn a_byte_order_mark_is_no_column() {
        assert_eq!(place("\u{feff}ab\nc", 0), (1, 1));
        assert_eq!(place("\u{feff}ab\nc", 3), (1, 1));
        assert_eq!(place("\u{feff}ab\nc", 4), (1, 2));
        assert_eq!(place("\u{feff}ab\nc", 6), (2, 1));
        assert_eq!(Source::new("x.hk", "\u{feff}ab\nc").line(1), "ab");
        assert_eq!(place("", 3), (1, 1));
    }
}
