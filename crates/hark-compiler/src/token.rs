//! The tokens of a program.

use std::sync::Arc;

use hark_bytecode::{Operator, Span};
use num_bigint::BigInt;

/// A token and its span.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// The kind of a token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    Name,
    Fn,
    Lambda,
    If,
    Else,
    Async,
    Await,
    True,
    False,
    Null,
    Integer(i64),
    BigInteger(Arc<BigInt>),
    Float(f64),
    String(Arc<str>),
    Operator(Operator),
    Assign,
    /// `|>`
    Pipe,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    OpenBrace,
    CloseBrace,
    Comma,
    Semicolon,
    Colon,
    /// `#[`
    OpenAttribute,
    /// A word that is not a valid name, such as `Image`. In an import it may be a Python name; anywhere else it is an
    /// error, which is reported after parsing.
    Word,
    /// Text for which the lexer has reported an error. It is accepted in place of a value.
    Mistake,
    End,
}

impl TokenKind {
    /// Whether an error is reported here elsewhere, so that the parser reports none.
    pub fn is_mistake(&self) -> bool {
        matches!(self, TokenKind::Mistake | TokenKind::Word)
    }

    /// The keyword with this text.
    pub fn keyword(text: &str) -> Option<TokenKind> {
        Some(match text {
            "fn" => TokenKind::Fn,
            "lambda" => TokenKind::Lambda,
            "if" => TokenKind::If,
            "else" => TokenKind::Else,
            "async" => TokenKind::Async,
            "await" => TokenKind::Await,
            "true" => TokenKind::True,
            "false" => TokenKind::False,
            "null" => TokenKind::Null,
            _ => return None,
        })
    }
}
