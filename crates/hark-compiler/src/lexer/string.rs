//! String literals, with Python's escapes.

use super::Lexer;
use super::aliases::alias;
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

impl Lexer<'_> {
    pub(super) fn string(&mut self, start: usize, quote: char) -> TokenKind {
        self.advance();
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find([quote, '\\', '\n', '\r']);
            let plain = plain.unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some('\\') => self.escape(&mut text),
                Some(character) if character == quote => {
                    self.advance();
                    return TokenKind::String(text.into());
                }
                _ => {
                    let span = self.span(start, self.at.min(start + 1));
                    let unterminated = Diagnostic::error(Code::UnterminatedString, "this string has no end", span);
                    let hint =
                        format!("close it with `{quote}` on the same line; a line break inside is written `\\n`");
                    self.report(unterminated.with_hint(hint));
                    return TokenKind::Mistake;
                }
            }
        }
    }

    fn escape(&mut self, text: &mut String) {
        let start = self.at;
        self.advance();
        let Some(kind) = self.advance() else { return };
        match kind {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'v' => text.push('\u{b}'),
            '\\' | '"' | '\'' => text.push(kind),
            // As in Python, a backslash at the end of a line continues it.
            '\n' => {}
            '\r' => {
                if self.peek() == Some('\n') {
                    self.advance();
                }
            }
            '0'..='7' => self.octal(kind, text),
            'x' => self.hexadecimal(2, start, text),
            'u' => self.hexadecimal(4, start, text),
            'U' => self.hexadecimal(8, start, text),
            'N' => self.named(start, text),
            other => {
                text.push('\\');
                text.push(other);
                let span = self.span_from(start);
                let message = format!("`\\{}` is not an escape sequence and is kept as written", other.escape_debug());
                let unknown = Diagnostic::warning(Code::UnknownEscape, message, span);
                self.report(unknown.with_hint("write `\\\\` for a backslash"));
            }
        }
    }

    fn octal(&mut self, first: char, text: &mut String) {
        let mut value = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|character| character.to_digit(8)) else { break };
            value = value * 8 + digit;
            self.advance();
        }
        text.extend(char::from_u32(value));
    }

    fn hexadecimal(&mut self, digits: usize, start: usize, text: &mut String) {
        let Some(value) = self.digits(digits) else {
            self.error(Code::BadEscape, format!("this escape needs {digits} hexadecimal digits"), start);
            return;
        };
        match char::from_u32(value) {
            Some(character) => text.push(character),
            None if (0xd800..0xe000).contains(&value) => self.surrogate(value, start),
            None => self.error(Code::BadEscape, "there is no character beyond `\\U0010ffff`", start),
        }
    }

    fn digits(&mut self, count: usize) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            value = value << 4 | self.peek()?.to_digit(16)?;
            self.advance();
        }
        Some(value)
    }

    /// Reports a surrogate. A pair of them is a single error, and the hint shows the character it means.
    fn surrogate(&mut self, high: u32, start: usize) {
        let after = self.at;
        let mut hint = "write the character itself, or one `\\U` escape with eight digits".to_owned();
        if (0xd800..0xdc00).contains(&high) && self.text[after..].starts_with("\\u") {
            self.at += 2;
            match self.digits(4) {
                Some(low @ 0xdc00..0xe000) => {
                    let value = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                    hint = format!("write `\\U{value:08x}`");
                }
                _ => self.at = after,
            }
        }
        let span = self.span_from(start);
        self.report(Diagnostic::error(Code::BadEscape, "a surrogate is not a character", span).with_hint(hint));
    }

    fn named(&mut self, start: usize, text: &mut String) {
        let rest = &self.text[self.at..];
        let is_part = |character: char| character.is_ascii_alphanumeric() || matches!(character, ' ' | '-' | '_');
        let name = rest.strip_prefix('{').map(|rest| &rest[..rest.find(|next| !is_part(next)).unwrap_or(rest.len())]);
        let Some(name) = name.filter(|name| rest[1 + name.len()..].starts_with('}')) else {
            let bad = "`\\N` needs the name of a character in braces";
            let bad = Diagnostic::error(Code::BadEscape, bad, self.span_from(start));
            self.report(bad.with_hint("for example `\\N{BULLET}`"));
            return;
        };
        self.at += name.len() + 2;
        match named_character(name) {
            Some(character) => text.push(character),
            None => self.error(Code::BadEscape, format!("no character is named `{name}`"), start),
        }
    }
}

/// The character with this name or alias, in any case, as in Python.
fn named_character(name: &str) -> Option<char> {
    if let Some(character) = alias(name) {
        return Some(character);
    }
    // The library ignores missing and doubled spaces in names; Python does not.
    let character = unicode_names2::character(name)?;
    let official = unicode_names2::name(character)?.to_string();
    official.eq_ignore_ascii_case(name).then_some(character)
}
