//! A text that need not define `main`, because it may be the body of `main` itself: `hark -e '6 * 7'`.

use hark_bytecode::{Attributes, Span};

use super::{Parser, Reported};
use crate::ast::{Function, Item, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

impl Parser<'_, '_> {
    /// Whether the text begins with an item, so that it is a whole program.
    pub(super) fn begins_program(&self) -> bool {
        let next = self.kind_ahead(1);
        match self.kind() {
            TokenKind::Fn => *next == TokenKind::Name,
            TokenKind::Async => *next == TokenKind::Fn,
            TokenKind::OpenAttribute => true,
            _ => self.is_at_word("import") && matches!(next, TokenKind::OpenParenthesis | TokenKind::String(_)),
        }
    }

    /// Parses the text as the body of `main`. It ends with the text, not with a `}`.
    pub(super) fn parse_main(&mut self) {
        let mut body = Vec::new();
        let is_empty = self.tokens.iter().all(|token| matches!(token.kind, TokenKind::Semicolon | TokenKind::End));
        while !self.is_at(&TokenKind::End) {
            match self.kind() {
                TokenKind::Semicolon => {
                    self.advance();
                }
                TokenKind::CloseBrace => {
                    let lonely = Diagnostic::error(Code::UnexpectedToken, "`}` without a `{` before it", self.span());
                    self.report(lonely);
                    self.advance();
                }
                TokenKind::Fn if *self.kind_ahead(1) == TokenKind::Name => self.refuse_nested_function(),
                TokenKind::Fn => {
                    let (start, braces) = (self.at, self.braces);
                    self.refuse_primary();
                    self.advance();
                    self.give_up_statement(start, braces);
                }
                TokenKind::Name if self.is_at_catch() => self.refuse_lonely_catch(),
                _ => {
                    let (start, braces) = (self.at, self.braces);
                    match self.expect_statement() {
                        Ok(statement) => body.push(statement),
                        Err(Reported) => self.give_up_statement(start, braces),
                    }
                }
            }
        }
        let start = Span::new(self.base, self.base);
        if is_empty {
            let empty = Diagnostic::error(Code::EmptyBody, "the program is empty", start);
            self.report(empty.with_hint("a body has a value: write `null` if it does not matter"));
        }
        let (name, damage) = (Name { text: "main", span: start }, self.damage.take());
        let (parameters, attributes) = (Vec::new(), Attributes::default());
        self.program.items.push(Item::Function(Function { name, parameters, body, attributes, span: start, damage }));
    }
}
