//! The parser: from tokens to the syntax tree.
//!
//! `parse_x` may find nothing; `expect_x` must find it. An error is reported where it is found; the current construct
//! is abandoned, and parsing continues after the next `;`, at the `}` that closes the body, or at the next item. So
//! that one mistake causes one error, only one error is reported per token, and the names that abandoned code may have
//! bound are recorded.

mod attribute;
mod call;
mod catch;
mod expression;
mod foreign;
mod import;
mod item;
mod module;
mod pattern;
mod recovery;
mod text;
mod value;
mod word;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use hark_bytecode::Span;

use crate::ast::{Body, Expression, Node, NodeId, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::habits;
use crate::limits::NESTING_MAX;
use crate::token::{Token, TokenKind};

/// The owner of an `if` body, for messages.
const IF: &str = "`if`";

/// The owner of a `try` body, for messages.
const TRY: &str = "`try`";

/// A syntax error that has been reported.
#[derive(Debug)]
struct Reported;

type Parsed<T> = Result<T, Reported>;

/// What a text contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Functions and imports.
    Items,
    /// The same, or only the body of `main`.
    ItemsOrBody,
}

/// Parses a file, as far as possible. `base` is its offset within the program.
pub(crate) fn parse<'t>(
    text: &'t str,
    form: Form,
    base: u32,
    tokens: &[Token],
    diagnostics: &mut Diagnostics,
) -> Program<'t> {
    let mut parser = Parser {
        text,
        base: base as usize,
        tokens,
        at: 0,
        depth: 0,
        braces: 0,
        body_end: None,
        piped: None,
        reported_at: None,
        damage: None,
        searched: 0..0,
        python_names: Vec::new(),
        aliases: HashMap::new(),
        program: Program::default(),
        diagnostics,
    };
    if form == Form::Items || parser.begins_program() {
        parser.parse_items();
    } else {
        parser.parse_main();
    }
    parser.report_words();
    parser.program
}

struct Parser<'t, 'a> {
    text: &'t str,
    /// The offset of the file within the program.
    base: usize,
    tokens: &'a [Token],
    at: usize,
    depth: u32,
    /// The number of open `{`.
    braces: usize,
    /// The index after the last `}` that closed a body.
    body_end: Option<usize>,
    /// The call made by the last pipe, unless it is in parentheses.
    piped: Option<NodeId>,
    /// The token at which the last error was reported.
    reported_at: Option<usize>,
    /// In the innermost function: the names assigned by statements that were abandoned, if any were.
    damage: Option<HashSet<&'t str>>,
    /// The tokens last searched for such names.
    searched: Range<usize>,
    /// The indexes of tokens that are Python names in imports, in order.
    python_names: Vec<usize>,
    /// The program's names for Python functions; `None` if the import lacks a required alias.
    aliases: HashMap<&'t str, Option<&'t str>>,
    program: Program<'t>,
    diagnostics: &'a mut Diagnostics,
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

    /// The span of the previous token.
    fn span_before(&self) -> Span {
        self.tokens[self.at.saturating_sub(1)].span
    }

    fn text_of(&self, span: Span) -> &'t str {
        &self.text[span.start as usize - self.base..span.end as usize - self.base]
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        match self.kind() {
            TokenKind::End => return span,
            TokenKind::OpenBrace => self.braces += 1,
            TokenKind::CloseBrace => self.braces = self.braces.saturating_sub(1),
            _ => {}
        }
        self.at += 1;
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

    /// Whether the next token is the name `word`.
    fn is_at_word(&self, word: &str) -> bool {
        *self.kind() == TokenKind::Name && self.text_of(self.span()) == word
    }

    fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        self.reported_at = Some(self.at);
        Reported
    }

    fn error(&mut self, code: Code, message: impl Into<String>, span: Span) -> Reported {
        self.report(Diagnostic::error(code, message, span))
    }

    /// Reports that the next token is not the expected one.
    fn unexpected(&mut self, wanted: &str) -> Reported {
        if self.kind().is_mistake() {
            // The lexer has reported the error.
            return Reported;
        }
        let message = format!("expected {wanted}, but found {}", self.describe());
        let unexpected = Diagnostic::error(Code::UnexpectedToken, message, self.span());
        let hint = self.foreign_hint();
        self.report(Diagnostic { hint, ..unexpected })
    }

    /// A description of the next token for messages.
    fn describe(&self) -> String {
        match self.kind() {
            TokenKind::End => "the end of the program".to_owned(),
            TokenKind::String(_) => "a string".to_owned(),
            TokenKind::OpenAttribute => "an attribute".to_owned(),
            _ => format!("`{}`", self.text_of(self.span())),
        }
    }

    fn expect_token(&mut self, kind: &TokenKind, wanted: &str) -> Parsed<Span> {
        if self.is_at(kind) {
            return Ok(self.advance());
        }
        let text = self.text_of(self.span());
        if *kind == TokenKind::Name && TokenKind::keyword(text).is_some() {
            let message = format!("expected {wanted}, but `{text}` is a reserved word");
            let reserved = Diagnostic::error(Code::ReservedWord, message, self.span());
            return Err(self.report(reserved.with_hint("choose another name")));
        }
        Err(self.unexpected(wanted))
    }

    /// Expects the token that closes a bracket.
    fn expect_close(&mut self, kind: &TokenKind, symbol: &str, opened: Span) -> Parsed<Span> {
        if self.is_at(kind) {
            return Ok(self.advance());
        }
        if self.kind().is_mistake() {
            return Err(Reported);
        }
        let (found, span) = (self.describe(), self.span());
        let message = format!("expected `,` or `{symbol}`, but found {found}");
        let mut unclosed = Diagnostic::error(Code::Unclosed, message, span).with_label(opened, "opened here");
        if self.is_at(&TokenKind::OpenParenthesis) && self.body_end == Some(self.at) {
            unclosed.hint = Some("to call the lambda, put it into parentheses: `(lambda (x) { ... })(1)`".to_owned());
        } else {
            unclosed.hint = self.foreign_hint().or_else(|| self.side_by_side_hint());
        }
        Err(self.report(unclosed))
    }

    fn add(&mut self, expression: Expression<'t>, span: Span) -> NodeId {
        self.program.nodes.push(Node { expression, span });
        NodeId((self.program.nodes.len() - 1) as u32)
    }

    /// Parses something one level deeper, if the nesting limit allows it.
    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= NESTING_MAX {
            return Err(self.refuse_depth());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    /// Parses `{ a; b; c }`. `owner` names the construct in messages.
    fn expect_body(&mut self, owner: &str) -> Parsed<Body> {
        if !self.is_at(&TokenKind::OpenBrace) {
            let before = self.diagnostics.total();
            let reported = self.unexpected(&format!("`{{` and the body of {owner}"));
            if let Some(hint) = self.body_hint(owner) {
                self.diagnostics.amend_since(before, |mistake| mistake.hint = Some(hint.clone()));
            }
            return Err(reported);
        }
        self.deeper(|parser| parser.expect_body_here(owner))
    }

    fn expect_body_here(&mut self, owner: &str) -> Parsed<Body> {
        let open = self.advance();
        let mut body = Vec::new();
        let mut is_empty = true;
        let mut holds_function = false;
        loop {
            match self.kind() {
                TokenKind::Semicolon => {
                    self.advance();
                }
                TokenKind::CloseBrace => break,
                TokenKind::Fn if !self.begins_line() => {
                    is_empty = false;
                    holds_function = true;
                    self.refuse_nested_function();
                }
                // Then the `fn` was not a nested function: the `}` before it is missing, which has been reported.
                TokenKind::End | TokenKind::Fn if holds_function => return Err(Reported),
                TokenKind::End | TokenKind::Fn => return Err(self.refuse_unclosed_body(owner, open)),
                TokenKind::Else if owner == IF && !self.is_behind_semicolon() => {
                    self.refuse_unclosed_branch(open);
                    return Ok(body);
                }
                TokenKind::Name if owner == TRY && self.is_at_catch() => {
                    self.refuse_unclosed_branch(open);
                    return Ok(body);
                }
                TokenKind::Name if self.is_at_catch() => {
                    is_empty = false;
                    self.refuse_lonely_catch();
                }
                _ => {
                    is_empty = false;
                    let (start, braces) = (self.at, self.braces);
                    match self.expect_statement() {
                        Ok(statement) => body.push(statement),
                        Err(Reported) => self.give_up_statement(start, braces),
                    }
                }
            }
        }
        let close = self.advance();
        self.body_end = Some(self.at);
        if is_empty {
            let empty = Diagnostic::error(Code::EmptyBody, format!("the body of {owner} is empty"), open.to(close));
            self.report(empty.with_hint("a body has a value: write `null` if it does not matter"));
        }
        Ok(body)
    }

    /// Parses an expression and its `;`, where one is required.
    fn expect_statement(&mut self) -> Parsed<NodeId> {
        let statement = match self.kind() {
            TokenKind::If => self.expect_if()?,
            TokenKind::Name if self.is_at_try() => self.expect_try()?,
            _ => self.expect_expression()?,
        };
        let ends_with_body = self.body_end == Some(self.at);
        match self.kind() {
            TokenKind::Semicolon => {
                self.advance();
            }
            // `expect_body` handles these tokens.
            TokenKind::CloseBrace | TokenKind::End | TokenKind::Fn | TokenKind::Else => {}
            kind if kind.is_mistake() => return Err(Reported),
            TokenKind::Name if self.is_at_catch() => {}
            _ if ends_with_body && self.begins_expression() => self.doubt_separation(),
            _ => self.refuse_continuation(statement, ends_with_body)?,
        }
        Ok(statement)
    }
}
