//! Expressions, by precedence climbing.

use hark_bytecode::{Literal, Operator, Span};

use super::{Parsed, Parser, Reported};
use crate::ast::{Expression, Name, NodeId};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

/// The precedence of operators, loosest first: `async` `=` `|>` `||` `&&` `== !=` `<= >=` `< >` `!` `+ -` `* / %`
/// `await`.
pub(super) mod precedence {
    pub const ANY: u8 = 0;
    pub const ASSIGN: u8 = 2;
    pub const PIPE: u8 = 4;
    pub const OR: u8 = 6;
    pub const AND: u8 = 8;
    pub const EQUAL: u8 = 10;
    pub const ORDER_OR_EQUAL: u8 = 12;
    pub const ORDER: u8 = 14;
    pub const NOT: u8 = 16;
    pub const SUM: u8 = 18;
    pub const PRODUCT: u8 = 20;
    pub const AWAIT: u8 = 22;
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
            | TokenKind::Pipe
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

    /// Parses an expression of operators with at least this precedence.
    pub(super) fn expect_operand(&mut self, least: u8) -> Parsed<NodeId> {
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
                TokenKind::Pipe if precedence::PIPE >= least => left = self.expect_pipe(left)?,
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
            _ if matches!(operator, Operator::Equal | Operator::NotEqual) => format!("write `{symbol}`"),
            Expression::Name(name) => format!("write `{name} = {name} {symbol} ...`"),
            _ => "only a name can be assigned to".to_owned(),
        };
        self.report(bad.with_hint(hint))
    }

    /// `name = value`, or `[a, b] = value`.
    fn expect_assignment(&mut self, left: NodeId) -> Parsed<NodeId> {
        match self.program.node(left).expression {
            Expression::Name(text) => {
                let name = Name { text, span: self.span_of(left) };
                let value = self.expect_assigned()?;
                let span = name.span.to(self.span_of(value));
                Ok(self.add(Expression::Assign { name, value }, span))
            }
            Expression::List(_) => {
                let (pattern, names) = self.expect_pattern(left)?;
                let value = self.expect_assigned()?;
                let span = self.span_of(left).to(self.span_of(value));
                Ok(self.add(Expression::Unpack { pattern, names, value }, span))
            }
            _ => Err(self.refuse_assignment(left)),
        }
    }

    /// The `=` and its right side.
    fn expect_assigned(&mut self) -> Parsed<NodeId> {
        self.advance();
        match self.parse_operator_value() {
            Some(value) => Ok(value),
            None => self.expect_operand(precedence::ASSIGN),
        }
    }

    /// Parses an operator used as a value: `fold(+, l, 0)`.
    pub(super) fn parse_operator_value(&mut self) -> Option<NodeId> {
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
            TokenKind::Async => self.expect_async(),
            _ => self.expect_call(),
        }
    }

    /// Adds a unary operator. A minus before a number is part of the literal.
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
}
