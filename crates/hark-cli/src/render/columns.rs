//! Fits text into the width of a terminal.

use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The width of a terminal that does not report one.
const COLUMNS: usize = 80;

/// The width of standard output; None if it is not a terminal.
pub fn of_stdout() -> Option<usize> {
    io::stdout().is_terminal().then(|| of_terminal(io::stdout()))
}

/// The height of standard output; None if it is not a terminal, or does not report one.
pub fn rows_of_stdout() -> Option<usize> {
    let told = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    Some(told).filter(|rows| *rows > 0 && io::stdout().is_terminal())
}

/// How many columns a terminal has.
pub fn of_terminal(terminal: impl AsFd) -> usize {
    let told = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_col));
    let named = || env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    Some(told).filter(|told| *told > 0).or_else(named).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// A text, cut to this width; a cut text ends with an ellipsis.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut left = columns.saturating_sub(1);
    for character in text.chars() {
        let width = character.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        out.push(character);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A text of exactly this width: cut, or padded with spaces.
pub fn padded(text: &str, columns: usize) -> String {
    let mut out = cut(text, columns);
    let missing = columns.saturating_sub(out.width());
    out.extend(std::iter::repeat_n(' ', missing));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_their_width() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("茶茶茶", 4), "茶…");
        assert_eq!(cut("茶茶茶", 5), "茶茶…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(padded("ab", 4), "ab  ");
        assert_eq!(padded("茶茶茶", 4), "茶… ");
    }
}
