//! Calls: direct, in a thread of their own (`async`), and through pipes (`|>`).

use hark_bytecode::{LINE_BREAKS, Literal, Span};

use super::expression::precedence;
use super::{Parsed, Parser, Reported};
use crate::ast::{Expression, NodeId};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

/// Longer code is not repeated in hints.
const QUOTED_BYTES_MAX: usize = 80;

impl<'t> Parser<'t, '_> {
    /// Parses a value and calls of it: `nth(functions, 0)(1)(2)`. A `(` after the `}` of a body begins a new
    /// expression.
    pub(super) fn expect_call(&mut self) -> Parsed<NodeId> {
        let mut value = self.expect_primary()?;
        while self.is_at(&TokenKind::OpenParenthesis) && self.body_end != Some(self.at) {
            self.doubt_call(value);
            value = self.expect_arguments(value)?;
        }
        Ok(value)
    }

    fn expect_arguments(&mut self, callee: NodeId) -> Parsed<NodeId> {
        let open = self.advance();
        let arguments = self.expect_list(&TokenKind::CloseParenthesis, ")", open)?;
        let span = self.span_of(callee).to(self.span_before());
        Ok(self.add(Expression::Call { callee, arguments, is_async: false }, span))
    }

    /// Whether there is a line break between the previous token and the next one.
    pub(super) fn is_on_new_line(&self) -> bool {
        let between = Span { start: self.span_before().end, end: self.span().start };
        self.text_of(between).contains(LINE_BREAKS)
    }

    /// Warns about a `(` that forms a call but was probably not meant to.
    fn doubt_call(&mut self, callee: NodeId) {
        let what = match &self.program.node(callee).expression {
            Expression::Name(_) => return,
            Expression::Literal(Literal::Null) => "`null`",
            Expression::Literal(Literal::Boolean(_)) => "a boolean",
            Expression::Literal(Literal::String(_)) => "a string",
            Expression::Literal(_) => "a number",
            Expression::List(_) => "a list",
            Expression::Hash(_) => "a hash",
            _ if self.is_on_new_line() => {
                let message = "this `(` calls the value of the expression before it";
                let doubt = Diagnostic::warning(Code::DoubtfulCall, message, self.span());
                let doubt = doubt.with_label(self.span_of(callee), "the value that is called");
                let hint = "a line break does not end an expression: separate the two with `;`";
                self.diagnostics.push(doubt.with_hint(hint));
                return;
            }
            _ => return,
        };
        let message = format!("{what} is not a function, so this call will fail");
        let doubt = Diagnostic::warning(Code::DoubtfulCall, message, self.span_of(callee));
        self.diagnostics.push(doubt.with_hint("a call is written `f(x)`; separate expressions with `;`"));
    }

    /// Warns about a `(` that looks like a call but follows the `}` of a body.
    pub(super) fn doubt_separation(&mut self) {
        if *self.kind() == TokenKind::OpenParenthesis && !self.is_on_new_line() {
            let message = "this `(` begins a new expression: after the `}` of a body it is never a call";
            let doubt = Diagnostic::warning(Code::DoubtfulCall, message, self.span());
            let hint = "to call the function, put it into parentheses: `(lambda (x) { ... })(1)`";
            self.diagnostics.push(doubt.with_hint(hint));
        }
    }

    /// `async f(x)`
    pub(super) fn expect_async(&mut self) -> Parsed<NodeId> {
        let start = self.advance();
        // A hash cannot be called, and a body is none here.
        let is_brace = self.is_at(&TokenKind::OpenBrace);
        if is_brace || !self.begins_expression() && !self.kind().is_mistake() {
            return Err(self.refuse_async_of_nothing(start));
        }
        let operand = self.expect_operand(precedence::ANY)?;
        self.make_async(operand, start)
    }

    #[cold]
    fn refuse_async_of_nothing(&mut self, start: Span) -> Reported {
        let message = format!("`async` needs a call after it, but found {}", self.describe());
        let lonely = Diagnostic::error(Code::AsyncNeedsCall, message, start);
        self.report(lonely.with_hint("`async f(x)` starts `f(x)` in a new thread"))
    }

    fn make_async(&mut self, operand: NodeId, start: Span) -> Parsed<NodeId> {
        let span = start.to(self.span_of(operand));
        if self.piped == Some(operand) {
            return Err(self.refuse_async_pipe(operand, span));
        }
        if let Expression::Call { is_async, .. } = &mut self.program.nodes[operand.0 as usize].expression
            && !*is_async
        {
            *is_async = true;
            self.program.nodes[operand.0 as usize].span = span;
            return Ok(operand);
        }
        Err(self.refuse_async(operand, span))
    }

    #[cold]
    fn refuse_async_pipe(&mut self, pipe: NodeId, span: Span) -> Reported {
        let message = "`async` before a pipe does not say which of its calls to start";
        let text = self.text_of(self.span_of(pipe));
        let hint = match text.len() {
            0..=QUOTED_BYTES_MAX => format!("to start the last one, write `async ({text})`"),
            _ => "to start the last one, put the pipe into parentheses: `async (x |> f())`".to_owned(),
        };
        self.report(Diagnostic::error(Code::BadPipe, message, span).with_hint(hint))
    }

    #[cold]
    fn refuse_async(&mut self, operand: NodeId, span: Span) -> Reported {
        let bad = Diagnostic::error(Code::AsyncNeedsCall, "`async` needs a call after it", span);
        let leftmost = self.leftmost(operand);
        let bad = match &self.program.node(leftmost).expression {
            Expression::Call { is_async: false, .. } if leftmost != operand => {
                let call = self.text_of(self.span_of(leftmost));
                let rest = self.text_of(Span { start: self.span_of(leftmost).end, end: span.end });
                match call.len() + rest.len() {
                    0..=QUOTED_BYTES_MAX => bad.with_hint(format!("write `(async {call}){rest}`")),
                    _ => bad.with_hint("put `async` and the call into parentheses: `(async f(1)) + 2`"),
                }
            }
            Expression::Name(name) if leftmost == operand => {
                bad.with_hint(format!("write `async {name}()` to call it"))
            }
            _ => bad.with_hint("`async f(x)` starts `f(x)` in a new thread"),
        };
        self.report(bad)
    }

    /// The leftmost operand of an expression.
    fn leftmost(&self, mut node: NodeId) -> NodeId {
        while let Expression::Binary { left, .. } = self.program.node(node).expression {
            // Parentheses begin before their content.
            if self.span_of(left).start != self.span_of(node).start {
                break;
            }
            node = left;
        }
        node
    }

    /// `x |> f(y)`, which is the call `f(x, y)`.
    pub(super) fn expect_pipe(&mut self, left: NodeId) -> Parsed<NodeId> {
        let symbol = self.advance();
        let right = self.expect_operand(precedence::PIPE + 1)?;
        let span = self.span_of(left).to(self.span_of(right));
        let node = &mut self.program.nodes[right.0 as usize];
        let Expression::Call { arguments, is_async: false, .. } = &mut node.expression else {
            return Err(self.refuse_pipe(left, right));
        };
        arguments.insert(0, left);
        let count = arguments.len();
        node.span = span;
        self.piped = Some(right);
        self.limit(count, symbol)?;
        Ok(right)
    }

    #[cold]
    fn refuse_pipe(&mut self, left: NodeId, right: NodeId) -> Reported {
        let (start, end) = (self.span_of(left), self.span_of(right));
        let bad = Diagnostic::error(Code::BadPipe, "the right side of `|>` must be a call", end);
        let quoted = |span: Span, example: &'static str| match self.text_of(span) {
            text if text.len() <= QUOTED_BYTES_MAX => text,
            _ => example,
        };
        // The operand of `await` or `async` begins after the keyword and a space.
        let call_behind = |word: &str| Span { start: end.start + word.len() as u32, end: end.end };
        let hint = match &self.program.node(right).expression {
            Expression::Await(_) => {
                let call = quoted(call_behind("await"), "f()").trim_start();
                format!("to await the call's value, write `await ({} |> {call})`", quoted(start, "x"))
            }
            Expression::Call { .. } => {
                let call = quoted(call_behind("async"), "f()").trim_start();
                format!("to start the call in a new thread, write `async ({} |> {call})`", quoted(start, "x"))
            }
            Expression::Name(name) => format!("write `{name}()` to call it"),
            Expression::Lambda(_) => "to call a lambda, put it into parentheses: `x |> (lambda (y) { ... })()`".into(),
            Expression::Binary { .. } => {
                "`|>` binds more loosely than operators: put the pipe into parentheses, as in `(x |> f()) + 1`".into()
            }
            _ => "`x |> f(y)` is the call `f(x, y)`".into(),
        };
        self.report(bad.with_hint(hint))
    }
}
