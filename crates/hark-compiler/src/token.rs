//! The words of a program.

use std::sync::Arc;

use hark_bytecode::{Operator, Span};
use num_bigint::BigInt;

/// A word and its place.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// What a word is.
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
    /// A word that cannot be a name of the program, such as `Image`. An import may speak of a Python function by it;
    /// anywhere else it is a mistake, which the parser reports when it has seen everything.
    Word,
    /// Where the lexer has already reported a mistake. It may stand for a value.
    Mistake,
    End,
}

impl TokenKind {
    /// Whether a mistake is reported here by someone else: nothing is said about what comes next.
    pub fn is_mistake(&self) -> bool {
        matches!(self, TokenKind::Mistake | TokenKind::Word)
    }

    /// The keyword that is written so.
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
