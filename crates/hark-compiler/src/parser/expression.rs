//! Expressions, by precedence climbing.

use hark_bytecode::{Attributes, LINE_BREAKS, Literal, Operator, Span};

use super::{IF, Parsed, Parser, Reported};
use crate::ast::{Expression, Function, Name, NodeId};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::ARGUMENTS_MAX;
use crate::token::TokenKind;

/// How tightly operators bind, loosest first: `async` `=` `||` `&&` `== !=` `<= >=` `< >` `!` `+ -` `* / %` `await`.
mod precedence {
    pub const ANY: u8 = 0;
    pub const ASSIGN: u8 = 2;
    pub const OR: u8 = 4;
    pub const AND: u8 = 6;
    pub const EQUAL: u8 = 8;
    pub const ORDER_OR_EQUAL: u8 = 10;
    pub const ORDER: u8 = 12;
    pub const NOT: u8 = 14;
    pub const SUM: u8 = 16;
    pub const PRODUCT: u8 = 18;
    pub const AWAIT: u8 = 20;
}

fn binary_precedence(operator: Operator) -> u8 {
    match operator {
        Operator::Or => precedence::OR,
        Operator::And => precedence::AND,
        Operator::Equal | Operator::NotEqual => precedence::EQUAL,
        Operator::LessOrEqual | Operator::GreaterOrEqual => precedence::ORDER_OR_EQUAL,
        Operator::Less | Operator::Greater => precedence::ORDER,
        Operator::Not => precedence::NOT,
        Operator::Add | Operator::Subtract => precedence::SUM,
        Operator::Multiply | Operator::Divide | Operator::Modulo => precedence::PRODUCT,
    }
}

impl<'t> Parser<'t, '_> {
    /// An expression.
    pub(super) fn expect_expression(&mut self) -> Parsed<NodeId> {
        self.expect_operand(precedence::ANY)
    }

    /// Whether an expression may begin with the next token.
    pub(super) fn begins_expression(&self) -> bool {
        match self.kind() {
            TokenKind::Operator(operator) => matches!(operator, Operator::Subtract | Operator::Not),
            TokenKind::Else
            | TokenKind::Fn
            | TokenKind::Assign
            | TokenKind::CloseParenthesis
            | TokenKind::CloseBracket
            | TokenKind::CloseBrace
            | TokenKind::Comma
            | TokenKind::Semicolon
            | TokenKind::Colon
            | TokenKind::OpenAttribute
            | TokenKind::Word
            | TokenKind::Mistake
            | TokenKind::End => false,
            _ => true,
        }
    }

    /// An expression of operators that bind at least so tightly.
    fn expect_operand(&mut self, least: u8) -> Parsed<NodeId> {
        self.deeper(|parser| parser.expect_operand_here(least))
    }

    fn expect_operand_here(&mut self, least: u8) -> Parsed<NodeId> {
        let mut left = self.expect_prefix()?;
        loop {
            match *self.kind() {
                TokenKind::Operator(operator) if operator != Operator::Not => {
                    let precedence = binary_precedence(operator);
                    if precedence < least {
                        return Ok(left);
                    }
                    self.advance();
                    if self.is_at(&TokenKind::Assign) {
                        return Err(self.refuse_compound_assignment(left, operator));
                    }
                    let right = self.expect_operand(precedence + 1)?;
                    let span = self.span_of(left).to(self.span_of(right));
                    left = self.add(Expression::Binary { operator, left, right }, span);
                }
                TokenKind::Assign if precedence::ASSIGN >= least => left = self.expect_assignment(left)?,
                _ => return Ok(left),
            }
        }
    }

    pub(super) fn span_of(&self, node: NodeId) -> Span {
        self.program.node(node).span
    }

    #[cold]
    fn refuse_compound_assignment(&mut self, left: NodeId, operator: Operator) -> Reported {
        let symbol = operator.symbol();
        let bad = Diagnostic::error(Code::BadAssignment, format!("there is no `{symbol}=`"), self.span());
        let hint = match self.program.node(left).expression {
            Expression::Name(name) => format!("write `{name} = {name} {symbol} ...`"),
            _ => "only a name can be assigned to".to_owned(),
        };
        self.report(bad.with_hint(hint))
    }

    fn expect_assignment(&mut self, left: NodeId) -> Parsed<NodeId> {
        let name = match self.program.node(left).expression {
            Expression::Name(text) => Name { text, span: self.span_of(left) },
            _ => {
                let span = self.span_of(left);
                let bad = Diagnostic::error(Code::BadAssignment, "only a name can be assigned to", span);
                return Err(self.report(bad.with_hint("to compare two values, write `==`")));
            }
        };
        self.advance();
        let value = match self.parse_operator_value() {
            Some(value) => value,
            None => self.expect_operand(precedence::ASSIGN)?,
        };
        let span = name.span.to(self.span_of(value));
        Ok(self.add(Expression::Assign { name, value }, span))
    }

    /// An operator where a whole value is expected: `fold(+, l, 0)`.
    fn parse_operator_value(&mut self) -> Option<NodeId> {
        let TokenKind::Operator(operator) = *self.kind() else { return None };
        let stands_alone = matches!(
            self.kind_ahead(1),
            TokenKind::Comma
                | TokenKind::CloseParenthesis
                | TokenKind::CloseBracket
                | TokenKind::CloseBrace
                | TokenKind::Semicolon
                | TokenKind::End
        );
        if !stands_alone {
            return None;
        }
        let span = self.advance();
        Some(self.add(Expression::Operator(operator), span))
    }

    fn expect_prefix(&mut self) -> Parsed<NodeId> {
        let start = self.span();
        match *self.kind() {
            TokenKind::Operator(operator @ (Operator::Subtract | Operator::Not)) => {
                self.advance();
                let tightness = if operator == Operator::Not { precedence::SUM } else { precedence::PRODUCT };
                let operand = self.expect_operand(tightness)?;
                Ok(self.add_unary(operator, operand, start))
            }
            TokenKind::Await => {
                self.advance();
                let operand = self.expect_operand(precedence::AWAIT + 1)?;
                let span = start.to(self.span_of(operand));
                Ok(self.add(Expression::Await(operand), span))
            }
            TokenKind::Async => {
                self.advance();
                if !self.begins_expression() && !self.kind().is_mistake() {
                    return Err(self.refuse_async_of_nothing(start));
                }
                let operand = self.expect_operand(precedence::ANY)?;
                self.make_async(operand, start)
            }
            _ => self.expect_call(),
        }
    }

    /// A minus before a number belongs to it.
    fn add_unary(&mut self, operator: Operator, operand: NodeId, start: Span) -> NodeId {
        let span = start.to(self.span_of(operand));
        let negated = match &self.program.node(operand).expression {
            Expression::Literal(Literal::Integer(value)) => value.checked_neg().map(Literal::Integer),
            Expression::Literal(Literal::Float(value)) => Some(Literal::Float(-value)),
            Expression::Literal(Literal::BigInteger(value)) => {
                let negated = -num_bigint::BigInt::clone(value);
                Some(match i64::try_from(&negated) {
                    Ok(small) => Literal::Integer(small),
                    Err(_) => Literal::BigInteger(negated.into()),
                })
            }
            _ => None,
        };
        match negated.filter(|_| operator == Operator::Subtract) {
            Some(literal) => self.add(Expression::Literal(literal), span),
            None => self.add(Expression::Unary { operator, operand }, span),
        }
    }

    #[cold]
    fn refuse_async_of_nothing(&mut self, start: Span) -> Reported {
        let message = format!("`async` needs a call after it, but found {}", self.describe());
        let lonely = Diagnostic::error(Code::AsyncNeedsCall, message, start);
        self.report(lonely.with_hint("`async f(x)` starts `f(x)` in a new thread"))
    }

    fn make_async(&mut self, operand: NodeId, start: Span) -> Parsed<NodeId> {
        let span = start.to(self.span_of(operand));
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
    fn refuse_async(&mut self, operand: NodeId, span: Span) -> Reported {
        let bad = Diagnostic::error(Code::AsyncNeedsCall, "`async` needs a call after it", span);
        let leftmost = self.leftmost(operand);
        let bad = match &self.program.node(leftmost).expression {
            Expression::Call { is_async: false, .. } if leftmost != operand => {
                let call = self.text_of(self.span_of(leftmost));
                let rest = self.text_of(Span { start: self.span_of(leftmost).end, end: span.end });
                // A hint of many lines helps nobody.
                match call.len() + rest.len() {
                    0..=80 => bad.with_hint(format!("write `(async {call}){rest}`")),
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

    /// The operand that an expression of operators begins with.
    fn leftmost(&self, mut node: NodeId) -> NodeId {
        while let Expression::Binary { left, .. } = self.program.node(node).expression {
            // Parentheses begin before what is in them.
            if self.span_of(left).start != self.span_of(node).start {
                break;
            }
            node = left;
        }
        node
    }

    /// A value, or the call of a name.
    fn expect_call(&mut self) -> Parsed<NodeId> {
        let is_name = *self.kind() == TokenKind::Name;
        let is_parenthesized = *self.kind() == TokenKind::OpenParenthesis;
        let mut value = self.expect_primary()?;
        if is_name && self.is_at(&TokenKind::OpenParenthesis) {
            value = self.expect_arguments(value)?;
        } else if !is_parenthesized {
            return Ok(value);
        }
        // On a line of its own, a parenthesis is a new expression whose `;` is missing before it.
        while self.is_at(&TokenKind::OpenParenthesis) && !self.is_on_new_line() {
            self.refuse_call_of_value(value);
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

    fn is_on_new_line(&self) -> bool {
        let between = Span { start: self.span_before().end, end: self.span().start };
        self.text_of(between).contains(LINE_BREAKS)
    }

    #[cold]
    fn refuse_call_of_value(&mut self, value: NodeId) {
        let message = "this release calls functions by their names only";
        let refused = Diagnostic::error(Code::NotYet, message, self.span_of(value));
        self.report(refused.with_hint("give it a name first: `f = ...; f(x)`"));
    }

    /// Values with commas between, up to the closing token, which is taken too.
    fn expect_list(&mut self, close: &TokenKind, symbol: &str, open: Span) -> Parsed<Vec<NodeId>> {
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

    fn limit(&mut self, count: usize, open: Span) -> Parsed<()> {
        if count <= ARGUMENTS_MAX {
            return Ok(());
        }
        let message = format!("these are {count} in a row, and {ARGUMENTS_MAX} is the most");
        let large = Diagnostic::error(Code::TooLarge, message, open.to(self.span_before()));
        Err(self.report(large.with_hint("read large data at run time, for example with a Python function")))
    }

    fn expect_primary(&mut self) -> Parsed<NodeId> {
        let span = self.span();
        let expression = match self.kind().clone() {
            TokenKind::Name => return self.expect_name_or_try(),
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
            TokenKind::Fn | TokenKind::Else | TokenKind::Operator(_) => return Err(self.refuse_primary()),
            _ => return Err(self.unexpected("an expression")),
        };
        self.advance();
        Ok(self.add(expression, span))
    }

    #[cold]
    fn refuse_primary(&mut self) -> Reported {
        let span = self.span();
        let (message, hint) = match *self.kind() {
            TokenKind::Else => (
                "`else` without an `if` before it".to_owned(),
                "no `;` stands between the `}` of an `if` and its `else`",
            ),
            TokenKind::Operator(operator) => {
                let message = format!("`{}` needs a value on its left", operator.symbol());
                (message, "an operator alone is a value only as an argument, a list item or the right side of `=`")
            }
            _ => ("a function cannot be defined here".to_owned(), "a function value is written `lambda (x) { ... }`"),
        };
        self.report(Diagnostic::error(Code::UnexpectedToken, message, span).with_hint(hint))
    }

    fn expect_name_or_try(&mut self) -> Parsed<NodeId> {
        if self.is_at_word("try") && *self.kind_ahead(1) == TokenKind::OpenBrace {
            return Err(self.refuse_try());
        }
        let span = self.advance();
        let name = self.text_of(span);
        Ok(self.add(Expression::Name(name), span))
    }

    /// `try { a } catch e { b }` is read to its end, so that nothing of it is reported twice.
    fn refuse_try(&mut self) -> Reported {
        let start = self.advance();
        let message = "this release cannot catch errors with `try`";
        let refused = Diagnostic::error(Code::NotYet, message, start);
        let reported = self.report(refused.with_hint("an error ends its thread, and those who await it"));
        let read = self.expect_body("`try`").and_then(|_| {
            if self.is_at_word("catch") {
                self.advance();
                self.expect_token(&TokenKind::Name, "a name for the error")?;
                self.expect_body("`catch`")?;
            }
            Ok(())
        });
        drop(read);
        reported
    }

    fn expect_parenthesized(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        let inner = self.expect_expression()?;
        if !self.is_at(&TokenKind::CloseParenthesis) {
            return Err(self.refuse_unclosed_parenthesis(open));
        }
        let close = self.advance();
        // The parentheses count as a part of it in messages. A name keeps its own place, which is what it is looked up
        // and reported by.
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
        self.report(Diagnostic::error(Code::Unclosed, message, self.span()).with_label(open, "opened here"))
    }

    fn expect_hash(&mut self) -> Parsed<NodeId> {
        let open = self.advance();
        let mut items = Vec::new();
        while !self.is_at(&TokenKind::CloseBrace) {
            let key = self.expect_expression()?;
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
        if !matches!(self.kind(), TokenKind::Semicolon | TokenKind::CloseBrace) {
            return self.unexpected("`:` after the key of a hash");
        }
        let bad = Diagnostic::error(Code::UnexpectedToken, "a `{` here begins a hash, not a body", open);
        self.skip_braces();
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
            let span = self.expect_token(&TokenKind::Name, "the name of a parameter")?;
            parameters.push(Name { text: self.text_of(span), span });
            if !self.parse_token(&TokenKind::Comma) {
                break;
            }
        }
        self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        self.limit(parameters.len(), open)?;
        Ok(parameters)
    }
}
