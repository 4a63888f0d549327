//! Words that are not valid names. In an import they may be Python names; anywhere else each is an error.
//!
//! They are reported after parsing, because only then is it known which of them are Python names, and which aliases the
//! program has for them.

use unicode_ident::{is_xid_continue, is_xid_start};

use super::{Parsed, Parser};
use crate::ast::Name;
use crate::diagnostic::{Code, Diagnostic};
use crate::habits;
use crate::token::TokenKind;

impl<'t> Parser<'t, '_> {
    /// Expects a Python name, which may be a word or a keyword of Hark.
    pub(super) fn expect_python_name(&mut self, wanted: &str) -> Parsed<Name<'t>> {
        let span = self.span();
        let text = self.text_of(span);
        if let TokenKind::String(_) = self.kind() {
            let plain = text.trim_matches(['"', '\'']);
            self.program.presumed.insert(plain);
            let quoted = Diagnostic::error(Code::BadImport, format!("{wanted} is written without quotes"), span);
            return Err(self.report(quoted.with_hint(format!("write `{plain}`"))));
        }
        let is_word = self.is_at(&TokenKind::Word);
        if is_word && !is_python_name(text) {
            // The error itself is reported with the words.
            return Err(self.unexpected(wanted));
        }
        if is_word {
            self.python_names.push(self.at);
        }
        if is_word || TokenKind::keyword(text).is_some() {
            self.advance();
            return Ok(Name { text, span });
        }
        let span = self.expect_token(&TokenKind::Name, wanted)?;
        Ok(Name { text: self.text_of(span), span })
    }

    /// Reports the words that are not Python names.
    pub(super) fn report_words(&mut self) {
        let mut python_names = std::mem::take(&mut self.python_names).into_iter().peekable();
        for (at, token) in self.tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Word) {
            if python_names.next_if_eq(&at).is_some() {
                continue;
            }
            let word = self.text_of(token.span);
            let hint = match self.aliases.get(word) {
                Some(Some(alias)) => format!("the import names it `{alias}`"),
                // The missing alias has been reported at the import.
                Some(None) => continue,
                None => match at.checked_sub(1).map(|before| self.text_of(self.tokens[before].span)) {
                    // `raise ValueError("x")`
                    Some(before @ ("raise" | "throw" | "class" | "new" | "except"))
                        if habits::advice(word).is_none() =>
                    {
                        habits::advice(before).unwrap_or_default().to_owned()
                    }
                    _ if self.is_string_after(at) => {
                        habits::string_prefix(word).map_or_else(|| hint(word), str::to_owned)
                    }
                    _ => hint(word),
                },
            };
            let message = format!("`{word}` cannot be a name");
            self.diagnostics.push(Diagnostic::error(Code::UnexpectedCharacter, message, token.span).with_hint(hint));
        }
    }

    /// Whether a string follows this token without a space.
    fn is_string_after(&self, at: usize) -> bool {
        let (token, next) = (&self.tokens[at], self.tokens.get(at + 1));
        next.is_some_and(|next| matches!(next.kind, TokenKind::String(_)) && next.span.start == token.span.end)
    }
}

/// Whether a text consists of Python identifiers separated by dots.
fn is_python_name(text: &str) -> bool {
    text.split('.').all(|part| {
        let mut characters = part.chars();
        characters.next().is_some_and(|first| first == '_' || is_xid_start(first)) && characters.all(is_xid_continue)
    })
}

fn hint(word: &str) -> String {
    let lower = word.to_lowercase();
    if TokenKind::keyword(&lower).is_some() {
        return format!("did you mean `{lower}`?");
    }
    match habits::advice(&lower) {
        Some(advice) => advice.to_owned(),
        None => "names begin with `a` to `z` or `_`, and go on with letters, digits, `_`, `?` and `.`".to_owned(),
    }
}
