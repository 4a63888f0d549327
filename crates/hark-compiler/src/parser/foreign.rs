//! Syntax from other languages: where parsing fails, the surrounding tokens reveal which construct was meant, and the
//! hint gives the equivalent in Hark.

use hark_bytecode::{Operator, Span};

use super::import::alias_of;
use super::{IF, Parsed, Parser, Reported};
use crate::diagnostic::{Code, Diagnostic};
use crate::habits;
use crate::token::{Token, TokenKind};

/// Longer code is not repeated in hints.
const QUOTED_BYTES_MAX: usize = 40;

/// The number of tokens examined on either side of an error, which bounds the cost of garbage input.
const SEARCHED_MAX: usize = 64;

pub(super) const FUNCTION_VALUE: &str = "a function value is written `lambda (x) { ... }`";

const CHOICE: &str = "a choice is written `if c { a } else { b }`";

impl<'t> Parser<'t, '_> {
    /// The kind of the previous token.
    pub(super) fn kind_before(&self) -> Option<&TokenKind> {
        self.at.checked_sub(1).map(|before| &self.tokens[before].kind)
    }

    /// Whether there is no space between the previous token and the next one.
    pub(super) fn is_adjacent(&self) -> bool {
        self.at > 0 && self.span_before().end == self.span().start
    }

    /// A hint for the next token, which is not valid here.
    #[cold]
    pub(super) fn foreign_hint(&self) -> Option<String> {
        let text = self.text_of(self.span());
        let hint = match (self.kind_before(), self.kind()) {
            (Some(TokenKind::Assign), TokenKind::Operator(Operator::Greater)) if self.is_adjacent() => FUNCTION_VALUE,
            (Some(TokenKind::Operator(Operator::Multiply)), TokenKind::Operator(Operator::Multiply)) => {
                "a power is `pow(a, b)`"
            }
            (Some(TokenKind::Operator(Operator::Add)), TokenKind::Operator(Operator::Add)) if self.is_adjacent() => {
                "to increment a variable, write `x = x + 1`"
            }
            (Some(TokenKind::Operator(Operator::Less)), TokenKind::Operator(Operator::Greater)) => "write `!=`",
            (
                Some(TokenKind::Operator(Operator::Less | Operator::Greater)),
                TokenKind::Operator(Operator::Less | Operator::Greater),
            ) => "there are no bitwise operators: to shift a number, multiply it by `pow(2, n)`",
            (Some(TokenKind::OpenParenthesis | TokenKind::Comma), TokenKind::Operator(Operator::Multiply)) => {
                "a call lists its arguments; a function that takes any number of values gets a list"
            }
            (Some(TokenKind::OpenParenthesis), TokenKind::CloseParenthesis) if self.is_arrow_ahead(1) => FUNCTION_VALUE,
            (Some(TokenKind::CloseParenthesis), TokenKind::OpenBrace) if self.word_of_function().is_some() => {
                FUNCTION_VALUE
            }
            (Some(TokenKind::Lambda), _) => "a function value is written `lambda (x) { x + 1 }`",
            (_, TokenKind::Name) if text == "for" && self.is_inside_brackets() => {
                "to make a list from another, write `map(items, lambda (x) { ... })`; `filter` selects items"
            }
            (_, TokenKind::If | TokenKind::Else) => CHOICE,
            (_, TokenKind::Name) => return habits::advice(text).map(str::to_owned),
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Whether `=>` follows after this many tokens.
    fn is_arrow_ahead(&self, tokens: usize) -> bool {
        *self.kind_ahead(tokens) == TokenKind::Assign
            && *self.kind_ahead(tokens + 1) == TokenKind::Operator(Operator::Greater)
    }

    /// Whether the next token is in the parameters of `(a, b) => ...`.
    pub(super) fn is_before_arrow(&self) -> bool {
        let is_parameter = |token: &Token| matches!(token.kind, TokenKind::Name | TokenKind::Comma);
        let parameters =
            self.tokens[self.at..].iter().take(SEARCHED_MAX).take_while(|token| is_parameter(token)).count();
        *self.kind_ahead(parameters) == TokenKind::CloseParenthesis && self.is_arrow_ahead(parameters + 1)
    }

    /// Where the previous token ends the parameters of `function (a, b)`, the first word.
    pub(super) fn word_of_function(&self) -> Option<Span> {
        let mut depth = 0u32;
        let before = self.tokens[..self.at].iter().rev().take(SEARCHED_MAX);
        let mut outer = before.skip_while(|token| {
            match token.kind {
                TokenKind::CloseParenthesis => depth += 1,
                TokenKind::OpenParenthesis => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth > 0
        });
        let word = outer.nth(1).filter(|word| word.kind == TokenKind::Name)?;
        matches!(self.text_of(word.span), "function" | "def" | "func" | "fun").then_some(word.span)
    }

    fn is_inside_brackets(&self) -> bool {
        let mut depth = 0u32;
        for token in self.tokens[..self.at].iter().rev().take(SEARCHED_MAX) {
            match token.kind {
                TokenKind::CloseBracket | TokenKind::CloseParenthesis => depth += 1,
                TokenKind::OpenBracket | TokenKind::OpenParenthesis if depth == 0 => return true,
                TokenKind::OpenBracket | TokenKind::OpenParenthesis => depth -= 1,
                TokenKind::Semicolon | TokenKind::CloseBrace => return false,
                _ => {}
            }
        }
        false
    }

    /// A hint for a token after a parameter that is neither `,` nor `)`.
    #[cold]
    pub(super) fn parameter_hint(&self) -> Option<&'static str> {
        Some(match self.kind() {
            TokenKind::Assign => {
                "a parameter has no default value: define a second function that calls this one with it"
            }
            TokenKind::Colon => "a parameter is written without a type",
            _ => return None,
        })
    }

    /// A hint for a token where the `{` of a body is expected.
    #[cold]
    pub(super) fn body_hint(&self, owner: &str) -> Option<String> {
        if self.begins_expression()
            && owner == IF
            && let Some(hint) = self.side_by_side_hint()
        {
            return Some(hint);
        }
        let hint = match (self.kind(), self.kind_ahead(1)) {
            (TokenKind::Operator(Operator::Subtract), TokenKind::Operator(Operator::Greater)) => {
                "the return type of a function is not written"
            }
            (TokenKind::Assign, TokenKind::Operator(Operator::Greater)) => {
                "the body is written in `{` and `}`, without `=>`"
            }
            _ if owner == IF => "the body is written in braces: `if c { a } else { b }`",
            _ => "the body is written in `{` and `}`",
        };
        Some(hint.to_owned())
    }

    /// A hint for two adjacent expressions, the first of which ends at the previous token.
    #[cold]
    pub(super) fn side_by_side_hint(&self) -> Option<String> {
        let text = self.text_of(self.span());
        if matches!(self.kind(), TokenKind::Name) && matches!(text, "and" | "or" | "is" | "in" | "not" | "then") {
            let next = self.tokens.get(self.at + 1).map_or("", |next| self.text_of(next.span));
            let hint = match (text, next) {
                ("is", "not") => "write `!=`",
                ("not", "in") => {
                    "to test whether a list, string or hash does not contain something, write `!contains(x, y)`"
                }
                ("in" | "not", _) => {
                    "to test whether a list, string or hash contains something, write `contains(x, y)`"
                }
                ("then", _) => CHOICE,
                _ => return habits::advice(text).map(str::to_owned),
            };
            return Some(hint.to_owned());
        }
        if self.is_on_new_line() {
            return None;
        }
        if *self.kind() == TokenKind::If && self.is_choice() {
            return Some(CHOICE.to_owned());
        }
        if let (Some(TokenKind::String(before)), TokenKind::String(next)) = (self.kind_before(), self.kind())
            && self.is_adjacent()
            && (before.is_empty() || next.is_empty())
        {
            return Some("there are no strings in three quotes: a line break in a string is `\\n`".to_owned());
        }
        if self.kind_before() != Some(&TokenKind::Name) {
            return None;
        }
        let name = self.text_of(self.span_before());
        if matches!(self.kind(), TokenKind::String(_)) && self.is_adjacent() {
            return habits::string_prefix(name).map(str::to_owned).or_else(|| self.call_hint(name));
        }
        let is_argument = matches!(
            self.kind(),
            TokenKind::String(_)
                | TokenKind::Integer(_)
                | TokenKind::BigInteger(_)
                | TokenKind::Float(_)
                | TokenKind::Name
                | TokenKind::True
                | TokenKind::False
                | TokenKind::Null
        );
        let is_assigned = *self.kind_ahead(1) == TokenKind::Assign;
        if is_argument && !is_assigned { self.call_hint(name) } else { None }
    }

    fn call_hint(&self, name: &str) -> Option<String> {
        let argument = self.text_of(self.span());
        if let Some(advice) = habits::advice(name) {
            return Some(advice.to_owned());
        }
        let is_all = matches!(self.kind_ahead(1), TokenKind::Semicolon | TokenKind::CloseBrace | TokenKind::End);
        Some(match name.len() + argument.len() {
            0..=QUOTED_BYTES_MAX if !is_all => format!("a call has parentheses: `{name}({argument} ...)`"),
            0..=QUOTED_BYTES_MAX => format!("a call has parentheses: `{name}({argument})`"),
            _ => "a call has parentheses: `f(x)`".to_owned(),
        })
    }

    /// Whether an `else` follows this `if` in the same statement, without a body: `1 if c else 2`.
    fn is_choice(&self) -> bool {
        for token in self.tokens[self.at..].iter().take(SEARCHED_MAX) {
            match token.kind {
                TokenKind::Else => return true,
                TokenKind::OpenBrace | TokenKind::CloseBrace | TokenKind::Semicolon | TokenKind::End => return false,
                _ => {}
            }
        }
        false
    }

    /// Reports `from module import name`; the hint gives the equivalent imports.
    pub(super) fn refuse_python_import(&mut self) -> Parsed<()> {
        let is_one = self.is_at_word("from")
            && matches!(self.kind_ahead(1), TokenKind::Name | TokenKind::Word)
            && *self.kind_ahead(2) == TokenKind::Name
            && self.text_of(self.tokens[self.at + 2].span) == "import";
        if !is_one {
            return Ok(());
        }
        let module = self.text_of(self.tokens[self.at + 1].span);
        let bad = Diagnostic::error(Code::BadImport, "a Python function is not imported like this", self.span());
        let name = self.tokens.get(self.at + 3).map_or("", |name| self.text_of(name.span));
        let hint = match self.kind_ahead(3) {
            _ if name.len() + module.len() > QUOTED_BYTES_MAX => "import(name, module, 1);".to_owned(),
            TokenKind::Name => format!("import({name}, {module}, 1);"),
            TokenKind::Word => format!("import({name}, {module}, 1, {});", alias_of(name)),
            _ => format!("import(name, {module}, 1);"),
        };
        let hint = format!("with the number of its arguments: `{hint}`");
        self.report(bad.with_hint(hint));
        while matches!(self.kind(), TokenKind::Name | TokenKind::Word | TokenKind::Comma) {
            match self.kind() {
                TokenKind::Name => drop(self.program.presumed.insert(self.text_of(self.span()))),
                TokenKind::Word => self.python_names.push(self.at),
                _ => {}
            }
            self.advance();
            if self.is_on_new_line() {
                break;
            }
        }
        Err(Reported)
    }
}
