//! Number literals: `42`, `1_000`, `0xff`, `1.5`, `1.`, `.5`, `1e10`. As in Python, `_` is allowed between digits.

use std::borrow::Cow;
use std::sync::Arc;

use num_bigint::BigInt;

use super::Lexer;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::DIGITS_MAX;
use crate::token::TokenKind;

/// The value of a malformed number. It is valid wherever a number is, also in attributes, so that it causes no further
/// errors.
const STAND_IN: TokenKind = TokenKind::Integer(1);

impl Lexer<'_> {
    pub(super) fn number(&mut self, start: usize) -> TokenKind {
        if let Some(radix) = self.radix() {
            return self.integer_with_prefix(radix, start);
        }
        self.skip_digits(10);
        let mut is_float = false;
        if self.peek() == Some('.') {
            is_float = true;
            self.advance();
            if self.peek().is_some_and(|character| character.is_ascii_digit()) {
                self.skip_digits(10);
            }
        }
        if self.has_exponent() {
            is_float = true;
            self.advance();
            if matches!(self.peek(), Some('+' | '-')) {
                self.advance();
            }
            self.skip_digits(10);
        }
        if let Some(mistake) = self.refuse_appendage(start) {
            return mistake;
        }
        let text = without_underscores(&self.text[start..self.at]);
        if is_float {
            // Rust's float syntax is a superset of ours.
            return text.parse().map_or(STAND_IN, TokenKind::Float);
        }
        if text.len() > 1 && text.starts_with('0') {
            let plain = text.trim_start_matches('0');
            let plain = if plain.is_empty() { "0" } else { plain };
            let hint = format!("write `{plain}`");
            let message = format!("the integer `{}` begins with `0`", &self.text[start..self.at]);
            self.report(Diagnostic::error(Code::BadNumber, message, self.span_from(start)).with_hint(hint));
            return STAND_IN;
        }
        match text.parse::<i64>() {
            Ok(value) => TokenKind::Integer(value),
            Err(_) => self.big_integer(&text, 10, start),
        }
    }

    /// The base given by the prefix of an integer, if any.
    fn radix(&self) -> Option<u32> {
        match self.text.as_bytes().get(self.at..self.at + 2)? {
            [b'0', b'x' | b'X'] => Some(16),
            [b'0', b'o' | b'O'] => Some(8),
            [b'0', b'b' | b'B'] => Some(2),
            _ => None,
        }
    }

    /// `0xff`, `0o17`, `0b101`
    fn integer_with_prefix(&mut self, radix: u32, start: usize) -> TokenKind {
        self.at += 2;
        let first = self.at;
        // A `_` may also follow the prefix.
        if self.peek() == Some('_') && self.peek_second().is_some_and(|second| second.is_digit(radix)) {
            self.advance();
        }
        self.skip_digits(radix);
        if let Some(mistake) = self.refuse_appendage(start) {
            return mistake;
        }
        if self.at == first {
            let message = format!("`{}` is not a number", &self.text[start..self.at]);
            self.error(Code::BadNumber, message, start);
            return STAND_IN;
        }
        let digits = without_underscores(&self.text[first..self.at]);
        match i64::from_str_radix(&digits, radix) {
            Ok(value) => TokenKind::Integer(value),
            Err(_) => self.big_integer(&digits, radix, start),
        }
    }

    /// Skips digits, and single `_` between them.
    fn skip_digits(&mut self, radix: u32) {
        self.skip_while(|character| character.is_digit(radix));
        while self.peek() == Some('_') && self.peek_second().is_some_and(|second| second.is_digit(radix)) {
            self.advance();
            self.skip_while(|character| character.is_digit(radix));
        }
    }

    /// Reports characters attached to a number, such as a suffix.
    fn refuse_appendage(&mut self, start: usize) -> Option<TokenKind> {
        let end = self.at;
        self.skip_while(|character| character.is_alphanumeric() || matches!(character, '_' | '.' | '?'));
        if self.at == end {
            return None;
        }
        let message = format!("`{}` is not a number", &self.text[start..self.at]);
        self.error(Code::BadNumber, message, start);
        Some(STAND_IN)
    }

    /// Whether an `e` with digits follows, which is part of the number.
    fn has_exponent(&self) -> bool {
        let mut rest = self.text[self.at..].chars();
        if !matches!(rest.next(), Some('e' | 'E')) {
            return false;
        }
        match rest.next() {
            Some('+' | '-') => rest.next().is_some_and(|character| character.is_ascii_digit()),
            Some(character) => character.is_ascii_digit(),
            None => false,
        }
    }

    fn big_integer(&mut self, digits: &str, radix: u32, start: usize) -> TokenKind {
        if digits.len() > DIGITS_MAX {
            self.error(Code::TooLarge, format!("an integer has more than {DIGITS_MAX} digits"), start);
            return STAND_IN;
        }
        BigInt::parse_bytes(digits.as_bytes(), radix).map_or(STAND_IN, |value| TokenKind::BigInteger(Arc::new(value)))
    }
}

fn without_underscores(text: &str) -> Cow<'_, str> {
    if text.contains('_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) }
}
