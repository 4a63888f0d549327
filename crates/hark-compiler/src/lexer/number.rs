//! Numbers: `42`, `1.5`, `1.`, `1e10`.

use std::sync::Arc;

use num_bigint::BigInt;

use super::Lexer;
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::DIGITS_MAX;
use crate::token::TokenKind;

/// What stands for a number with a mistake in it, so that the mistake has no consequences: it fits wherever a number
/// does, also in an attribute.
const STAND_IN: TokenKind = TokenKind::Integer(1);

impl Lexer<'_> {
    pub(super) fn number(&mut self, start: usize) -> TokenKind {
        self.skip_while(|character| character.is_ascii_digit());
        let mut is_float = false;
        if self.peek() == Some('.') {
            is_float = true;
            self.advance();
            self.skip_while(|character| character.is_ascii_digit());
        }
        if self.has_exponent() {
            is_float = true;
            self.advance();
            if matches!(self.peek(), Some('+' | '-')) {
                self.advance();
            }
            self.skip_while(|character| character.is_ascii_digit());
        }
        // What sticks to a number was meant as a part of it.
        let end = self.at;
        self.skip_while(|character| character.is_alphanumeric() || matches!(character, '_' | '.' | '?'));
        let text = &self.text[start..self.at];
        if self.at > end {
            let message = format!("`{text}` is not a number");
            self.error(Code::BadNumber, message, start);
            return STAND_IN;
        }
        if is_float {
            // Rust's grammar of floats holds all of ours.
            return text.parse().map_or(STAND_IN, TokenKind::Float);
        }
        if text.len() > 1 && text.starts_with('0') {
            let plain = text.trim_start_matches('0');
            let plain = if plain.is_empty() { "0" } else { plain };
            let hint = format!("write `{plain}`");
            let message = format!("the integer `{text}` begins with `0`");
            self.report(Diagnostic::error(Code::BadNumber, message, self.span_from(start)).with_hint(hint));
            return STAND_IN;
        }
        match text.parse::<i64>() {
            Ok(value) => TokenKind::Integer(value),
            Err(_) => self.big_integer(text, start),
        }
    }

    /// Whether an `e` with digits follows, and so belongs to the number.
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

    fn big_integer(&mut self, text: &str, start: usize) -> TokenKind {
        if text.len() > DIGITS_MAX {
            self.error(Code::TooLarge, format!("an integer has more than {DIGITS_MAX} digits"), start);
            return STAND_IN;
        }
        text.parse::<BigInt>().map_or(STAND_IN, |value| TokenKind::BigInteger(Arc::new(value)))
    }
}
