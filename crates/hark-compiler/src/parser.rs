//! Tokens to a tree.
//!
//! `parse_x` may find nothing; `expect_x` must find it. A mistake is reported where it is found; what is being parsed
//! is given up, and parsing goes on behind the next `;`, at the `}` that closes the body, or at the next item.

mod attribute;
mod expression;
mod item;

use hark_bytecode::Span;

use crate::ast::{Body, Expression, Node, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::{Token, TokenKind};

/// A mistake that was reported already.
#[derive(Debug)]
struct Reported;

type Parsed<T> = Result<T, Reported>;

/// Parses a program, as far as it goes.
pub(crate) fn parse<'t>(text: &'t str, tokens: &[Token], diagnostics: &mut Vec<Diagnostic>) -> Program<'t> {
    let mut parser = Parser { text, tokens, at: 0, depth: 0, body_end: None, program: Program::default(), diagnostics };
    parser.parse_items();
    parser.program
}

struct Parser<'t, 'a> {
    text: &'t str,
    tokens: &'a [Token],
    at: usize,
    depth: u32,
    /// The index behind the last `}` that closed a body.
    body_end: Option<usize>,
    program: Program<'t>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

impl<'t> Parser<'t, '_> {
    fn token(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn kind(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn kind_ahead(&self, count: usize) -> &TokenKind {
        let index = (self.at + count).min(self.tokens.len() - 1);
        &self.tokens[index].kind
    }

    fn span(&self) -> Span {
        self.token().span
    }

    /// The place of the token before.
    fn span_before(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn text_of(&self, span: Span) -> &'t str {
        &self.text[span.start as usize..span.end as usize]
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        if *self.kind() != TokenKind::End {
            self.at += 1;
        }
        span
    }

    fn is_at(&self, kind: &TokenKind) -> bool {
        self.kind() == kind
    }

    fn parse_token(&mut self, kind: &TokenKind) -> bool {
        let found = self.is_at(kind);
        if found {
            self.advance();
        }
        found
    }

    /// Whether a name that is written so comes next.
    fn is_at_word(&self, word: &str) -> bool {
        *self.kind() == TokenKind::Name && self.text_of(self.span()) == word
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        Reported
    }

    fn error(&mut self, code: Code, message: impl Into<String>, span: Span) -> Reported {
        self.report(Diagnostic::error(code, message, span))
    }

    /// Reports that something else was expected than what comes next.
    fn unexpected(&mut self, wanted: &str) -> Reported {
        if *self.kind() == TokenKind::Mistake {
            // The lexer has said what is wrong.
            return Reported;
        }
        let found = self.describe();
        let span = self.span();
        self.error(Code::UnexpectedToken, format!("expected {wanted}, but found {found}"), span)
    }

    /// The next token, as a message names it.
    fn describe(&self) -> String {
        match self.kind() {
            TokenKind::End => "the end of the program".to_owned(),
            TokenKind::String(_) => "a string".to_owned(),
            TokenKind::OpenAttribute => "an attribute".to_owned(),
            _ => {
                let text = self.text_of(self.span());
                let end = text.char_indices().nth(40).map_or(text.len(), |(end, _)| end);
                format!("`{}`", &text[..end])
            }
        }
    }

    fn expect_token(&mut self, kind: &TokenKind, wanted: &str) -> Parsed<Span> {
        if self.is_at(kind) {
            return Ok(self.advance());
        }
        let text = self.text_of(self.span());
        if *kind == TokenKind::Name && TokenKind::keyword(text).is_some() {
            let message = format!("expected {wanted}, but `{text}` is a word of the language");
            let reserved = Diagnostic::error(Code::ReservedWord, message, self.span());
            return Err(self.report(reserved.with_hint("choose another name")));
        }
        Err(self.unexpected(wanted))
    }

    /// The end of something that was opened.
    fn expect_close(&mut self, kind: &TokenKind, symbol: &str, opened: Span) -> Parsed<Span> {
        if self.is_at(kind) {
            return Ok(self.advance());
        }
        if *self.kind() == TokenKind::Mistake {
            return Err(Reported);
        }
        let (found, span) = (self.describe(), self.span());
        let message = format!("expected `,` or `{symbol}`, but found {found}");
        let unclosed = Diagnostic::error(Code::Unclosed, message, span).with_label(opened, "opened here");
        Err(self.report(unclosed))
    }

    fn add(&mut self, expression: Expression<'t>, span: Span) -> NodeId {
        self.program.nodes.push(Node { expression, span });
        NodeId((self.program.nodes.len() - 1) as u32)
    }

    /// `{ a; b; c }`, with what it belongs to for messages.
    fn expect_body(&mut self, owner: &str) -> Parsed<Body> {
        if !self.is_at(&TokenKind::OpenBrace) {
            return Err(self.unexpected(&format!("`{{` and the body of {owner}")));
        }
        let open = self.advance();
        let mut body = Vec::new();
        let mut is_empty = true;
        loop {
            match self.kind() {
                TokenKind::Semicolon => {
                    self.advance();
                }
                TokenKind::CloseBrace => break,
                TokenKind::End | TokenKind::Fn => {
                    if self.text_was_swallowed() {
                        return Err(Reported);
                    }
                    let unclosed = Diagnostic::error(Code::Unclosed, format!("the body of {owner} has no end"), open);
                    let place = self.span();
                    return Err(self.report(unclosed.with_label(place, "expected `}` before this")));
                }
                _ => {
                    is_empty = false;
                    match self.expect_statement() {
                        Ok(statement) => body.push(statement),
                        Err(Reported) => self.skip_statement(),
                    }
                }
            }
        }
        let close = self.advance();
        self.body_end = Some(self.at);
        if is_empty {
            let empty = Diagnostic::error(Code::EmptyBody, format!("the body of {owner} is empty"), open.to(close));
            return Err(self.report(empty.with_hint("a body has a value: write `null` if it does not matter")));
        }
        Ok(body)
    }

    /// An expression and its `;`, where one is needed.
    fn expect_statement(&mut self) -> Parsed<NodeId> {
        let statement = if self.is_at(&TokenKind::If) { self.expect_if()? } else { self.expect_expression()? };
        let ends_with_body = self.body_end == Some(self.at);
        match self.kind() {
            TokenKind::Semicolon => {
                self.advance();
            }
            TokenKind::CloseBrace | TokenKind::End => {}
            TokenKind::Mistake => return Err(Reported),
            _ if ends_with_body => {}
            _ if self.begins_expression() => {
                let place = self.span_before();
                let missing = Diagnostic::error(Code::MissingSemicolon, "expected `;` after this expression", place);
                self.report(missing.with_hint("separate the expressions of a body with `;`"));
            }
            _ => return Err(self.unexpected("`;` or `}` after an expression")),
        }
        Ok(statement)
    }

    /// Whether a string or comment without an end may have swallowed what is missing here.
    fn text_was_swallowed(&self) -> bool {
        let swallows = |code| matches!(code, Code::UnterminatedString | Code::UnterminatedComment);
        self.diagnostics.iter().any(|diagnostic| swallows(diagnostic.code))
    }

    /// Skips the rest of a statement that has a mistake in it, with its `;`.
    fn skip_statement(&mut self) {
        let mut open = 0u32;
        loop {
            match self.kind() {
                TokenKind::End | TokenKind::Fn => return,
                TokenKind::Semicolon if open == 0 => {
                    self.advance();
                    return;
                }
                TokenKind::CloseBrace if open == 0 => return,
                TokenKind::OpenBrace => open += 1,
                TokenKind::CloseBrace => open -= 1,
                _ => {}
            }
            self.advance();
        }
    }
}
