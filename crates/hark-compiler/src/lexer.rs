//! The lexer: from text to tokens.

mod aliases;
mod number;
mod string;

use hark_bytecode::{BYTE_ORDER_MARK, LINE_BREAKS, Operator, Span};
use unicode_ident::{is_xid_continue, is_xid_start};

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::token::{Token, TokenKind};

/// Splits a text into tokens; the last one is always `End`. `base` is the offset of the file within the program.
pub(crate) fn tokenize(text: &str, base: u32, diagnostics: &mut Diagnostics) -> Vec<Token> {
    let mut lexer = Lexer { text, base: base as usize, at: 0, diagnostics };
    // Neither a byte order mark nor a `#!` line has a meaning in the language.
    if text.starts_with(BYTE_ORDER_MARK) {
        lexer.at = BYTE_ORDER_MARK.len_utf8();
    }
    if text[lexer.at..].starts_with("#!") {
        lexer.skip_line();
    }
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next_token();
        let is_end = token.kind == TokenKind::End;
        tokens.push(token);
        if is_end {
            return tokens;
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    /// The offset of the file within the program.
    base: usize,
    /// Invariant: at the first byte of a character.
    at: usize,
    diagnostics: &'a mut Diagnostics,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.text[self.at..].chars().nth(1)
    }

    fn advance(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.at += character.len_utf8();
        Some(character)
    }

    fn skip_while(&mut self, wanted: impl Fn(char) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.find(|character| !wanted(character)).unwrap_or(rest.len());
    }

    fn skip_line(&mut self) {
        self.skip_while(|character| !LINE_BREAKS.contains(&character));
    }

    fn span_from(&self, start: usize) -> Span {
        self.span(start, self.at)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.base + start, self.base + end)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Reports an error about the text read since `start`.
    fn error(&mut self, code: Code, message: impl Into<String>, start: usize) {
        self.report(Diagnostic::error(code, message, self.span_from(start)));
    }

    fn next_token(&mut self) -> Token {
        self.skip_space();
        let start = self.at;
        let Some(first) = self.peek() else { return Token { kind: TokenKind::End, span: self.span_from(start) } };
        let kind = match first {
            '0'..='9' => self.number(start),
            '.' if self.peek_second().is_some_and(|second| second.is_ascii_digit()) => self.number(start),
            '"' | '\'' => self.string(start, first),
            _ if first == '_' || is_xid_start(first) => self.word(start),
            _ => match self.symbol() {
                Some(kind) => kind,
                None => return self.unexpected(start),
            },
        };
        Token { kind, span: self.span_from(start) }
    }

    fn skip_space(&mut self) {
        loop {
            self.skip_while(|character| character.is_ascii_whitespace() || character == '\u{b}');
            let rest = &self.text[self.at..];
            if rest.starts_with("//") {
                self.skip_line();
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let start = self.at;
                match comment.find("*/") {
                    Some(end) => self.at += 2 + end + 2,
                    None => {
                        self.at = self.text.len();
                        let span = self.span(start, start + 2);
                        let unterminated =
                            Diagnostic::error(Code::UnterminatedComment, "this comment has no end", span);
                        self.report(unterminated.with_hint("close it with `*/`"));
                    }
                }
            } else {
                return;
            }
        }
    }

    fn word(&mut self, start: usize) -> TokenKind {
        // Fast path: nearly all words are ASCII names.
        let rest = &self.text.as_bytes()[start..];
        let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'?' | b'.');
        self.at = start + rest.iter().position(|byte| !is_in_name(byte)).unwrap_or(rest.len());
        if self.peek().is_some_and(|character| !character.is_ascii()) {
            self.skip_while(|character| matches!(character, '_' | '?' | '.') || is_xid_continue(character));
        }
        let word = &self.text[start..self.at];
        match TokenKind::keyword(word) {
            Some(keyword) => keyword,
            None if is_name(word) => TokenKind::Name,
            None => TokenKind::Word,
        }
    }

    fn symbol(&mut self) -> Option<TokenKind> {
        let first = self.peek()?;
        let second = self.peek_second();
        let (length, kind) = match (first, second) {
            ('=', Some('=')) => (2, TokenKind::Operator(Operator::Equal)),
            ('!', Some('=')) => (2, TokenKind::Operator(Operator::NotEqual)),
            ('<', Some('=')) => (2, TokenKind::Operator(Operator::LessOrEqual)),
            ('>', Some('=')) => (2, TokenKind::Operator(Operator::GreaterOrEqual)),
            ('&', Some('&')) => (2, TokenKind::Operator(Operator::And)),
            ('|', Some('|')) => (2, TokenKind::Operator(Operator::Or)),
            ('|', Some('>')) => (2, TokenKind::Pipe),
            ('#', Some('[')) => (2, TokenKind::OpenAttribute),
            ('=', _) => (1, TokenKind::Assign),
            ('!', _) => (1, TokenKind::Operator(Operator::Not)),
            ('<', _) => (1, TokenKind::Operator(Operator::Less)),
            ('>', _) => (1, TokenKind::Operator(Operator::Greater)),
            ('+', _) => (1, TokenKind::Operator(Operator::Add)),
            ('-', _) => (1, TokenKind::Operator(Operator::Subtract)),
            ('*', _) => (1, TokenKind::Operator(Operator::Multiply)),
            ('/', _) => (1, TokenKind::Operator(Operator::Divide)),
            ('%', _) => (1, TokenKind::Operator(Operator::Modulo)),
            ('(', _) => (1, TokenKind::OpenParenthesis),
            (')', _) => (1, TokenKind::CloseParenthesis),
            ('[', _) => (1, TokenKind::OpenBracket),
            (']', _) => (1, TokenKind::CloseBracket),
            ('{', _) => (1, TokenKind::OpenBrace),
            ('}', _) => (1, TokenKind::CloseBrace),
            (',', _) => (1, TokenKind::Comma),
            (';', _) => (1, TokenKind::Semicolon),
            (':', _) => (1, TokenKind::Colon),
            _ => return None,
        };
        self.at += length;
        Some(kind)
    }

    /// Reports characters that begin no token; a run of them is a single error.
    fn unexpected(&mut self, start: usize) -> Token {
        let first = self.advance().unwrap_or_default();
        self.skip_while(|character| character == first);
        let message = format!("the character `{}` means nothing here", first.escape_debug());
        let before = self.text[..start].chars().next_back();
        let after = self.text[start + first.len_utf8()..].chars().next();
        let hint = match first {
            '.' if before.is_some_and(|before| matches!(before, ')' | ']' | '}' | '"' | '\'')) => Some(METHODS),
            '\\' if after.is_none_or(|after| LINE_BREAKS.contains(&after)) => {
                Some("an expression may continue on the next line without a sign")
            }
            '?' if after == Some('?') => {
                Some("a value in place of `null` is chosen by `if x == null { y } else { x }`")
            }
            _ => character_hint(first),
        };
        let hint = hint.map(str::to_owned);
        let span = self.span_from(start);
        self.report(Diagnostic { hint, ..Diagnostic::error(Code::UnexpectedCharacter, message, span) });
        Token { kind: TokenKind::Mistake, span }
    }
}

/// Whether a word that is not a keyword is a name: `[a-z_][a-zA-Z0-9_?.]*`.
pub(crate) fn is_name(word: &str) -> bool {
    word.is_ascii() && word.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
}

/// The hint for a dot that is not part of a name.
const METHODS: &str = "there are no methods: write `f(x)`, or `x |> f()`; the value of a key is `get(x, \"key\")`";

fn character_hint(character: char) -> Option<&'static str> {
    Some(match character {
        '&' => "did you mean `&&`?",
        '|' => "did you mean `||` or `|>`?",
        '?' => "a choice is written `if c { a } else { b }`",
        '\\' => "a function value is written `lambda (x) { ... }`",
        '@' => "attributes are written `#[retry(attempts: 3)]`, before an `fn` or `import`",
        '.' => "lists are joined by `+`, hashes by `merge(a, b)`",
        '#' => "comments begin with `//`, attributes with `#[`",
        '\u{201c}' | '\u{201d}' | '\u{2018}' | '\u{2019}' | '`' => "strings are written in `\"` or `'`",
        '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{200b}' | '\u{feff}' => "it looks like a space: write a plain one",
        _ => return None,
    })
}
