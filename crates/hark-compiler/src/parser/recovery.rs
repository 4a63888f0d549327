//! Error recovery: reports structural errors, and finds the place to continue parsing.

use std::ops::Range;

use hark_bytecode::{BYTE_ORDER_MARK, LINE_BREAKS};

use super::{Code, Diagnostic, NESTING_MAX, NodeId, Parsed, Parser, Reported, Span, TokenKind, habits};
use crate::ast::Expression;

impl<'t> Parser<'t, '_> {
    /// Abandons the file: the end of a construct this deep cannot be found reliably.
    #[cold]
    pub(super) fn refuse_depth(&mut self) -> Reported {
        let message = format!("this is nested more than {NESTING_MAX} levels deep");
        let deep = Diagnostic::error(Code::TooDeep, message, self.span());
        self.at = self.tokens.len() - 1;
        self.program.is_cut = true;
        self.report(deep.with_hint("give parts of it names, or make them functions"))
    }

    #[cold]
    pub(super) fn refuse_unclosed_body(&mut self, owner: &str, open: Span) -> Reported {
        if self.reported_at == Some(self.at) || self.diagnostics.text_was_swallowed() {
            return Reported;
        }
        let unclosed = Diagnostic::error(Code::Unclosed, format!("the body of {owner} has no end"), open);
        let place = self.span();
        self.report(unclosed.with_label(place, "expected `}` before this"))
    }

    /// Whether the next token is at the very beginning of a line. Such an `fn` is a top-level function, and the body
    /// before it lacks its `}`; any other `fn` is a nested function.
    pub(super) fn begins_line(&self) -> bool {
        let before = &self.text[..self.span().start as usize - self.base];
        before.chars().next_back().is_none_or(|last| last == BYTE_ORDER_MARK || LINE_BREAKS.contains(&last))
    }

    /// Whether a function begins here, unless `fn` was meant as a name or caused the last reported error.
    fn begins_function(&self) -> bool {
        let is_named = *self.kind_ahead(1) == TokenKind::Name && self.reported_at != Some(self.at);
        self.is_at(&TokenKind::Fn) && (is_named || self.begins_line())
    }

    /// Parses a function inside a body to its end, so that nothing in it is reported again.
    #[cold]
    pub(super) fn refuse_nested_function(&mut self) {
        if !self.begins_function() {
            let (start, braces) = (self.at, self.braces);
            self.refuse_primary();
            self.give_up_statement(start, braces);
            return;
        }
        let nested = Diagnostic::error(Code::UnexpectedToken, "a function cannot be defined in a body", self.span());
        self.report(nested.with_hint("is a `}` missing before it? inside a body, write `lambda (x) { ... }`"));
        self.damage.get_or_insert_default();
        let name = self.text_of(self.tokens[self.at + 1].span);
        self.program.presumed.insert(name);
        drop(self.deeper(|parser| parser.expect_function(Default::default())));
    }

    /// Reports an expression that is followed by neither `;` nor the end of the body.
    #[cold]
    pub(super) fn refuse_continuation(&mut self, statement: NodeId, ends_with_body: bool) -> Parsed<()> {
        if let Expression::Name("try") = self.program.node(statement).expression {
            let message = format!("expected `{{` and the body of `try`, but found {}", self.describe());
            let bad = Diagnostic::error(Code::UnexpectedToken, message, self.span());
            return Err(self.report(bad.with_hint("write `try { ... } catch e { ... }`")));
        }
        if self.is_at(&TokenKind::OpenBrace)
            && let Some(word) = self.word_of_function()
        {
            let text = self.text_of(word);
            let foreign = Diagnostic::error(Code::UnknownName, format!("nothing named `{text}` is known here"), word);
            return Err(self.report(foreign.with_hint(habits::advice(text).unwrap_or_default())));
        }
        if !self.begins_expression() {
            if ends_with_body && matches!(self.kind(), TokenKind::Operator(_) | TokenKind::Assign | TokenKind::Pipe) {
                let is_try = matches!(self.program.node(statement).expression, Expression::Try { .. });
                let word = if is_try { "try" } else { "if" };
                let message = format!(
                    "a statement that begins with `{word}` ends at its last `}}`, but {} follows",
                    self.describe()
                );
                let continued = Diagnostic::error(Code::UnexpectedToken, message, self.span());
                return Err(self.report(continued.with_hint(format!("put the whole `{word}` into parentheses"))));
            }
            let before = self.diagnostics.total();
            let reported = self.unexpected("`;` or `}` after an expression");
            if let (TokenKind::Colon, Expression::Name(name)) = (self.kind(), &self.program.node(statement).expression)
            {
                self.damage.get_or_insert_default().insert(name);
                let hint = "a variable is assigned without a type: `x = 1`";
                self.diagnostics.amend_since(before, |mistake| mistake.hint = Some(hint.to_owned()));
            }
            if self.is_at(&TokenKind::Comma) {
                let hint = "a list is made by `[a, b]`, and taken apart by `[a, b] = value`";
                self.diagnostics.amend_since(before, |mistake| mistake.hint = Some(hint.to_owned()));
            }
            return Err(reported);
        }
        let node = self.program.node(statement);
        if let Expression::Name(word) = node.expression
            && let Some(advice) = habits::advice(word)
        {
            let message = format!("nothing named `{word}` is known here");
            let foreign = Diagnostic::error(Code::UnknownName, message, node.span);
            return Err(self.report(foreign.with_hint(advice)));
        }
        let place = self.span_before();
        let is_adjacent = place.end == self.span().start;
        let missing = Diagnostic::error(Code::MissingSemicolon, "expected `;` after this expression", place);
        let missing = missing.with_label(self.span(), "another expression begins here");
        if let Some(hint) = self.side_by_side_hint() {
            let is_one_value =
                self.is_adjacent() || matches!(self.text_of(self.span()), "if" | "and" | "or" | "is" | "in" | "not");
            let reported = self.report(missing.with_hint(hint));
            return if is_one_value { Err(reported) } else { Ok(()) };
        }
        self.report(missing.with_hint(match self.kind() {
            TokenKind::OpenBracket if is_adjacent => {
                "an item of a list is `nth(l, 0)`, that of a hash `get(h, \"key\")`"
            }
            _ => "separate the expressions of a body with `;`",
        }));
        Ok(())
    }

    /// Abandons a statement with an error, and records the names that it may have bound.
    pub(super) fn give_up_statement(&mut self, start: usize, braces: usize) {
        self.skip_statement(braces);
        // An enclosing statement may be abandoned as well, but its tokens are searched only once.
        let end = self.at;
        let inner = match start <= self.searched.start && self.searched.end <= end {
            true => self.searched.clone(),
            false => end..end,
        };
        let names = [self.bound_in(start..inner.start), self.bound_in(inner.end..end)];
        self.damage.get_or_insert_default().extend(names.into_iter().flatten());
        self.searched = start..end;
    }

    /// `braces` is the number of open braces before the statement. Braces opened by the statement are closed first,
    /// except when the error is at a `;`: then a `}` is more likely to be missing.
    fn skip_statement(&mut self, braces: usize) {
        let braces = if self.is_at(&TokenKind::Semicolon) { self.braces } else { braces };
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Fn if self.begins_line() || self.braces <= braces && self.begins_function() => return,
                TokenKind::Semicolon if self.braces <= braces => {
                    self.advance();
                    return;
                }
                TokenKind::CloseBrace if self.braces <= braces => return,
                _ => {}
            }
            self.advance();
        }
    }

    /// Skips to the end of the innermost block.
    pub(super) fn skip_braces(&mut self) {
        let around = self.braces.saturating_sub(1);
        while self.braces > around
            && !self.is_at(&TokenKind::End)
            && !(self.is_at(&TokenKind::Fn) && self.begins_line())
        {
            self.advance();
        }
    }

    /// Whether an `else` follows the `};` of an `if`, where `;` is not allowed.
    pub(super) fn is_behind_semicolon(&self) -> bool {
        let before = self.tokens[..self.at].last_chunk::<2>();
        before.is_some_and(|[end, last]| end.kind == TokenKind::CloseBrace && last.kind == TokenKind::Semicolon)
    }

    #[cold]
    pub(super) fn refuse_unclosed_branch(&mut self, open: Span) {
        if self.reported_at != Some(self.at) {
            let message = format!("expected `}}` before this {}", self.describe());
            let unclosed = Diagnostic::error(Code::Unclosed, message, self.span());
            self.report(unclosed.with_label(open, "opened here"));
        }
        self.braces = self.braces.saturating_sub(1);
    }

    /// Skips to a possible start of the next item.
    pub(super) fn skip_to_item(&mut self) {
        let mut open = 0u32;
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Fn if self.begins_line() || open == 0 && self.begins_function() => return,
                TokenKind::OpenAttribute if open == 0 => return,
                TokenKind::Name if open == 0 && self.is_at_word("import") => return,
                TokenKind::OpenBrace => open += 1,
                TokenKind::CloseBrace => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    /// The names that these tokens may bind: by `=`, alone or in a list or hash, or in a `catch`.
    pub(super) fn bound_in(&self, tokens: Range<usize>) -> Vec<&'t str> {
        let mut bound = Vec::new();
        // The names in brackets so far, and their number at each open bracket.
        let (mut listed, mut open) = (Vec::new(), Vec::new());
        let tokens = &self.tokens[tokens];
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1).map(|next| &next.kind);
            let is_assigned = next == Some(&TokenKind::Assign);
            // `a, b = value`
            let is_enumerated = next == Some(&TokenKind::Comma) && open.is_empty();
            match token.kind {
                TokenKind::Name => {
                    let name = self.text_of(token.span);
                    let is_error = at > 0 && self.text_of(tokens[at - 1].span) == "catch";
                    if is_assigned || is_enumerated || is_error {
                        bound.push(name);
                    } else if !open.is_empty() {
                        listed.push(name);
                    }
                }
                TokenKind::OpenParenthesis | TokenKind::OpenBracket | TokenKind::OpenBrace => open.push(listed.len()),
                TokenKind::CloseParenthesis | TokenKind::CloseBracket | TokenKind::CloseBrace => {
                    let first = open.pop().unwrap_or_default();
                    if is_assigned {
                        bound.extend(listed.drain(first..));
                    } else if open.is_empty() {
                        listed.clear();
                    }
                }
                _ => {}
            }
        }
        bound
    }
}
