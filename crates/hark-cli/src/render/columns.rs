//! Fitting text into a terminal's columns.

use std::env;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// The columns of a terminal that does not tell how many it has.
const COLUMNS: usize = 80;

/// How many columns standard output has; None if it is no terminal.
pub fn of_stdout() -> Option<usize> {
    io::stdout().is_terminal().then(|| columns_of(io::stdout()))
}

/// How many rows standard output has; None if it is no terminal, or one that does not tell.
pub fn rows_of_stdout() -> Option<usize> {
    let told = rustix::termios::tcgetwinsize(io::stdout()).map_or(0, |size| usize::from(size.ws_row));
    Some(told).filter(|rows| *rows > 0 && io::stdout().is_terminal())
}

fn columns_of(terminal: impl AsFd) -> usize {
    let told = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_col));
    let named = || env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    Some(told).filter(|told| *told > 0).or_else(named).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// A text in so many columns at most; if it needs more, its end is an ellipsis.
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

/// A text in exactly so many columns: cut, or with spaces behind it.
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
