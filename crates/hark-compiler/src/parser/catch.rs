//! `try { a } catch e { b }`. `try` and `catch` are keywords only in this position; elsewhere they are names.

use super::{Parsed, Parser, TRY};
use crate::ast::{Expression, Name, NodeId};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

impl<'t> Parser<'t, '_> {
    /// Whether a `try` expression comes next: the word before a `{`.
    pub(super) fn is_at_try(&self) -> bool {
        *self.kind_ahead(1) == TokenKind::OpenBrace && self.is_at_word("try")
    }

    /// Whether a `catch` clause comes next, and not a variable of that name.
    pub(super) fn is_at_catch(&self) -> bool {
        let is_named = *self.kind_ahead(1) == TokenKind::Name && *self.kind_ahead(2) == TokenKind::OpenBrace;
        (is_named || *self.kind_ahead(1) == TokenKind::OpenBrace) && self.is_at_word("catch")
    }

    pub(super) fn expect_try(&mut self) -> Parsed<NodeId> {
        let start = self.advance();
        let body = self.expect_body(TRY)?;
        self.expect_catch()?;
        let name = self.expect_error_name()?;
        let handler = self.expect_body("`catch`")?;
        let span = start.to(self.span_before());
        Ok(self.add(Expression::Try { body, name, handler }, span))
    }

    fn expect_catch(&mut self) -> Parsed<()> {
        if self.is_at_word("catch") {
            self.advance();
            return Ok(());
        }
        let wanted = "`catch` after the block of `try`";
        if !self.is_at(&TokenKind::Semicolon) {
            let before = self.diagnostics.total();
            let reported = self.unexpected(wanted);
            self.diagnostics.amend_since(before, |mistake| {
                let hint = "write `catch e { ... }`, or `catch { ... }` if the error does not matter";
                mistake.hint.get_or_insert_with(|| hint.to_owned());
            });
            return Err(reported);
        }
        // If there is only a superfluous `;`, report it and continue as if it were absent.
        let bad = Diagnostic::error(Code::UnexpectedToken, format!("expected {wanted}, but found `;`"), self.span());
        let is_separated =
            *self.kind_ahead(1) == TokenKind::Name && self.text_of(self.tokens[self.at + 1].span) == "catch";
        if !is_separated {
            return Err(self.report(bad.with_hint("an error that is not caught needs no `try`")));
        }
        self.report(bad.with_hint("there must be no `;` between the `}` of a `try` and its `catch`"));
        self.advance();
        self.advance();
        Ok(())
    }

    /// Parses a `catch` without a `try` to its end, so that nothing in it is reported again.
    #[cold]
    pub(super) fn refuse_lonely_catch(&mut self) {
        let lonely = Diagnostic::error(Code::UnexpectedToken, "`catch` without a `try` before it", self.span());
        self.report(lonely.with_hint("it is written `try { ... } catch e { ... }`"));
        self.advance();
        let read = self.expect_error_name().and_then(|name| {
            self.damage.get_or_insert_default().extend(name.map(|name| name.text));
            self.expect_body("`catch`")
        });
        drop(read);
    }

    /// The name of the caught error, if given.
    fn expect_error_name(&mut self) -> Parsed<Option<Name<'t>>> {
        if self.is_at(&TokenKind::OpenBrace) {
            return Ok(None);
        }
        let is_parenthesized = self.is_at(&TokenKind::OpenParenthesis)
            && *self.kind_ahead(1) == TokenKind::Name
            && *self.kind_ahead(2) == TokenKind::CloseParenthesis;
        if is_parenthesized {
            let name = self.text_of(self.tokens[self.at + 1].span);
            let message = "the name of an error is written without parentheses";
            let bad = Diagnostic::error(Code::UnexpectedToken, message, self.span());
            self.report(bad.with_hint(format!("write `catch {name} {{ ... }}`")));
            self.advance();
        }
        let span = self.expect_token(&TokenKind::Name, "a name for the error, or `{`")?;
        if is_parenthesized {
            self.advance();
        }
        Ok(Some(Name { text: self.text_of(span), span }))
    }
}
