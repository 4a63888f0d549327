//! Values: literals, names, lists, hashes, and expressions with bodies.

use hark_bytecode::{Attributes, Literal, Span};

use super::foreign::FUNCTION_VALUE;
use super::{IF, Parsed, Parser, Reported};
use crate::ast::{Expression, Function, Name, NodeId};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::ARGUMENTS_MAX;
use crate::token::TokenKind;

impl<'t> Parser<'t, '_> {
    pub(super) fn expect_primary(&mut self) -> Parsed<NodeId> {
        let span = self.span();
        let expression = match self.kind().clone() {
            TokenKind::Name if self.is_at_try() => return self.expect_try(),
            TokenKind::Name => Expression::Name(self.text_of(span)),
            TokenKind::True => Expression::Literal(Literal::Boolean(true)),
            TokenKind::False => Expression::Literal(Literal::Boolean(false)),
            TokenKind::Null => Expression::Literal(Literal::Null),
            TokenKind::Integer(value) => Expression::Literal(Literal::Integer(value)),
            TokenKind::BigInteger(value) => Expression::Literal(Literal::BigInteger(value)),
            TokenKind::Float(value) => Expression::Literal(Literal::Float(value)),
            TokenKind::String(value) => Expression::Literal(Literal::String(value)),
            TokenKind::OpenParenthesis => return self.expect_parenthesized(),
            TokenKind::OpenBracket => {
                self.advance();
                let items = self.expect_list(&TokenKind::CloseBracket, "]", span)?;
                return Ok(self.add(Expression::List(items), span.to(self.span_before())));
            }
            TokenKind::OpenBrace => return self.expect_hash(),
            TokenKind::If => return self.expect_if(),
            TokenKind::Lambda => return self.expect_lambda(),
            TokenKind::Fn | TokenKind::Else | TokenKind::Operator(_) | TokenKind::Pipe => {
                return Err(self.refuse_primary());
            }
            _ => return Err(self.unexpected("an expression")),
        };
        self.advance();
        Ok(self.add(expression, span))
    }

    #[cold]
    pub(super) fn refuse_primary(&mut self) -> Reported {
        let span = self.span();
        let (message, hint) = match *self.kind() {
            TokenKind::Else => (
                "`else` without an `if` before it".to_owned(),
                "there must be no `;` between the `}` of an `if` and its `else`",
            ),
            TokenKind::Operator(operator) => {
                let message = format!("`{}` needs a value on its left", operator.symbol());
                if let Some(hint) = self.foreign_hint() {
                    return self.report(Diagnostic::error(Code::UnexpectedToken, message, span).with_hint(hint));
                }
                (message, "an operator alone is a value only as an argument, a list item or the right side of `=`")
            }
            TokenKind::Pipe => ("`|>` needs a value on its left".to_owned(), "`x |> f(y)` is the call `f(x, y)`"),
            _ => ("a function cannot be defined here".to_owned(), FUNCTION_VALUE),
        };
        self.report(Diagnostic::error(Code::UnexpectedToken, message, span).with_hint(hint))
    }

    fn expect_parenthesized(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        let inner = self.expect_expression()?;
        if !self.is_at(&TokenKind::CloseParenthesis) {
            return Err(self.refuse_unclosed_parenthesis(open));
        }
        let close = self.advance();
        self.piped = self.piped.filter(|pipe| *pipe != inner);
        // In messages, parentheses count as part of the expression. A name keeps its own span, by which it is looked up
        // and reported.
        if !matches!(self.program.node(inner).expression, Expression::Name(_)) {
            self.program.nodes[inner.0 as usize].span = open.to(close);
        }
        Ok(inner)
    }

    #[cold]
    fn refuse_unclosed_parenthesis(&mut self, open: Span) -> Reported {
        if self.kind().is_mistake() {
            return Reported;
        }
        let message = format!("expected `)`, but found {}", self.describe());
        let unclosed = Diagnostic::error(Code::Unclosed, message, self.span()).with_label(open, "opened here");
        let hint = match self.kind() {
            TokenKind::Comma if self.is_before_arrow() => Some(FUNCTION_VALUE.to_owned()),
            TokenKind::Comma => Some("a list is written `[a, b]`".to_owned()),
            _ => self.foreign_hint().or_else(|| self.side_by_side_hint()),
        };
        self.report(Diagnostic { hint, ..unclosed })
    }

    /// Parses comma-separated values up to and including the closing token.
    pub(super) fn expect_list(&mut self, close: &TokenKind, symbol: &str, open: Span) -> Parsed<Vec<NodeId>> {
        let mut items = Vec::new();
        while !self.is_at(close) {
            let item = match self.parse_operator_value() {
                Some(item) => item,
                None => self.expect_expression()?,
            };
            items.push(item);
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        self.expect_close(close, symbol, open)?;
        self.limit(items.len(), open)?;
        Ok(items)
    }

    pub(super) fn limit(&mut self, count: usize, open: Span) -> Parsed<()> {
        if count <= ARGUMENTS_MAX {
            return Ok(());
        }
        let message = format!("{count} is too many here: at most {ARGUMENTS_MAX} are allowed");
        let large = Diagnostic::error(Code::TooLarge, message, open.to(self.span_before()));
        Err(self.report(large.with_hint("read large data at run time, for example with a Python function")))
    }

    fn expect_hash(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        let mut items = Vec::new();
        while !self.is_at(&TokenKind::CloseBrace) {
            let before = self.diagnostics.total();
            let key = self.expect_expression();
            if key.is_err() && (self.is_at(&TokenKind::Assign) || self.kind_before() == Some(&TokenKind::Assign)) {
                let hint = "a `:` stands between a key and its value: `{\"a\": 1}`";
                self.diagnostics.amend_since(before, |mistake| mistake.hint = Some(hint.to_owned()));
            }
            let key = key?;
            if !self.is_at(&TokenKind::Colon) {
                return Err(self.refuse_hash(open));
            }
            self.advance();
            let value = self.expect_expression()?;
            items.extend([key, value]);
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        let close = self.expect_close(&TokenKind::CloseBrace, "}", open)?;
        self.limit(items.len(), open)?;
        Ok(self.add(Expression::Hash(items), open.to(close)))
    }

    #[cold]
    fn refuse_hash(&mut self, open: Span) -> Reported {
        if !matches!(self.kind(), TokenKind::Semicolon | TokenKind::Comma | TokenKind::CloseBrace) {
            return self.unexpected("`:` after the key of a hash");
        }
        let found = (self.at, self.braces);
        self.skip_braces();
        if self.is_at(&TokenKind::Assign) {
            return self.refuse_hash_pattern(open.to(self.span_before()));
        }
        if self.tokens[found.0].kind == TokenKind::Comma {
            (self.at, self.braces) = found;
            return self.unexpected("`:` after the key of a hash");
        }
        let bad = Diagnostic::error(Code::UnexpectedToken, "a `{` here begins a hash, not a body", open);
        self.report(bad.with_hint("a hash is written `{key: value}`"))
    }

    /// `if c { a } else if d { b } else { e }`
    pub(super) fn expect_if(&mut self) -> Parsed<NodeId> {
        let start = self.span();
        let mut branches = Vec::new();
        let mut otherwise = None;
        loop {
            self.advance();
            let condition = self.expect_expression()?;
            branches.push((condition, self.expect_body(IF)?));
            if !self.parse_token(&TokenKind::Else) {
                break;
            }
            if !self.is_at(&TokenKind::If) {
                otherwise = Some(self.expect_body("`else`")?);
                break;
            }
        }
        let span = start.to(self.span_before());
        Ok(self.add(Expression::If { branches, otherwise }, span))
    }

    fn expect_lambda(&mut self) -> Parsed<NodeId> {
        let start = self.advance();
        let name = Name { text: "lambda", span: start };
        let parameters = self.expect_parameters("`lambda`")?;
        let around = self.damage.take();
        let body = self.expect_body("`lambda`");
        let damage = std::mem::replace(&mut self.damage, around);
        let body = body?;
        let span = start.to(self.span_before());
        let function = Function { name, parameters, body, attributes: Attributes::default(), span, damage };
        Ok(self.add(Expression::Lambda(Box::new(function)), span))
    }

    /// `(a, b)`
    pub(super) fn expect_parameters(&mut self, owner: &str) -> Parsed<Vec<Name<'t>>> {
        let open = self.expect_token(&TokenKind::OpenParenthesis, &format!("`(` and the parameters of {owner}"))?;
        let mut parameters: Vec<Name<'t>> = Vec::new();
        while !self.is_at(&TokenKind::CloseParenthesis) {
            if matches!(self.kind(), TokenKind::OpenBracket | TokenKind::OpenBrace) {
                return Err(self.refuse_parameter_pattern());
            }
            let span = self.expect_token(&TokenKind::Name, "the name of a parameter")?;
            parameters.push(Name { text: self.text_of(span), span });
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        let before = self.diagnostics.total();
        let closed = self.expect_close(&TokenKind::CloseParenthesis, ")", open);
        if let (Err(Reported), Some(hint)) = (&closed, self.parameter_hint()) {
            self.diagnostics.amend_since(before, |mistake| mistake.hint = Some(hint.to_owned()));
        }
        closed?;
        self.limit(parameters.len(), open)?;
        Ok(parameters)
    }
}
