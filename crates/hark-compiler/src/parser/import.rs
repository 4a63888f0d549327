//! Imports of Python functions. The names of the function and its module are arbitrary Python names; the alias is a
//! name of the program.

use hark_bytecode::Attributes;

use super::{Parsed, Parser, Reported};
use crate::ast::{Import, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::is_name;
use crate::limits::IMPORT_ARGUMENTS_MAX;
use crate::token::TokenKind;

const USAGE: &str = "an import is written `import(name, module, num_args)` or `import(name, module, num_args, alias)`";

/// The parts of an import between its parentheses.
struct Parts<'t> {
    function: Name<'t>,
    module: Name<'t>,
    arity: u32,
    alias: Option<Name<'t>>,
}

impl<'t> Parser<'t, '_> {
    /// `import(name, module, num_args)`, `import(name, :python module, num_args, alias)`
    pub(super) fn expect_import(&mut self, attributes: Attributes) -> Parsed<Import<'t>> {
        let start = self.advance();
        let before = self.diagnostics.total();
        let parsed = self.expect_import_parts();
        self.diagnostics.amend_since(before, |mistake| {
            if mistake.code != Code::TooLarge {
                mistake.code = Code::BadImport;
            }
            mistake.hint.get_or_insert_with(|| USAGE.to_owned());
        });
        let parts = parsed?;
        let span = start.to(self.span_before());
        self.expect_import_end()?;
        let is_usable = is_name(parts.function.text) && TokenKind::keyword(parts.function.text).is_none();
        let name = parts.alias.or(is_usable.then_some(parts.function));
        self.aliases.insert(parts.function.text, name.map(|name| name.text));
        let Some(name) = name else { return Err(self.refuse_nameless(&parts)) };
        let Parts { function, module, arity, .. } = parts;
        let (function, module) = (function.text, module.text);
        Ok(Import { name, function, module, arity, attributes, span })
    }

    /// Expects the `;` after an import.
    pub(super) fn expect_import_end(&mut self) -> Parsed<()> {
        match self.kind() {
            TokenKind::Semicolon | TokenKind::End => {}
            kind if kind.is_mistake() => return Err(Reported),
            _ => {
                let missing =
                    Diagnostic::error(Code::MissingSemicolon, "expected `;` after this import", self.span_before());
                self.report(missing);
            }
        }
        Ok(())
    }

    /// Reports an import without an alias whose Python name is not a valid name.
    fn refuse_nameless(&mut self, parts: &Parts<'t>) -> Reported {
        let Parts { function, module, arity, .. } = parts;
        let message = format!("`{}` cannot be a name of this program", function.text);
        let hint = match function.text.len() + module.text.len() {
            0..=80 => {
                let alias = alias_of(function.text);
                format!("give it another one: `import({}, {}, {arity}, {alias})`", function.text, module.text)
            }
            _ => format!("give it another one, as the fourth argument; {USAGE}"),
        };
        self.report(Diagnostic::error(Code::NeedsAlias, message, function.span).with_hint(hint))
    }

    fn expect_import_parts(&mut self) -> Parsed<Parts<'t>> {
        if self.is_at(&TokenKind::Name) {
            let module = self.text_of(self.span());
            let message = format!("expected `(`, but found `{module}`");
            let bad = Diagnostic::error(Code::BadImport, message, self.span());
            let hint =
                format!("each function of a Python module is imported by itself: `import(name, {module}, num_args);`");
            return Err(self.report(bad.with_hint(hint)));
        }
        let open = self.expect_token(&TokenKind::OpenParenthesis, "`(`")?;
        let function = self.expect_python_name("the name of a Python function")?;
        self.expect_token(&TokenKind::Comma, "`,` and the Python module")?;
        if self.is_at(&TokenKind::Colon) {
            let colon = self.advance();
            let label = self.expect_name("`python` after `:`")?;
            if label.text != "python" || label.span.start != colon.end {
                let span = colon.to(label.span);
                let unknown = Diagnostic::error(Code::BadImport, "only Python functions can be imported so", span);
                return Err(self.report(unknown.with_hint("write `:python`, or leave it out")));
            }
        }
        let module = self.expect_python_name("the name of a Python module")?;
        self.expect_token(&TokenKind::Comma, "`,` and the number of arguments")?;
        let arity = self.expect_arity()?;
        let mut alias = None;
        if self.parse_token(&TokenKind::Comma) && !self.is_at(&TokenKind::CloseParenthesis) {
            alias = Some(self.expect_name("what the program calls the function")?);
            self.parse_token(&TokenKind::Comma);
        }
        self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        Ok(Parts { function, module, arity, alias })
    }

    fn expect_arity(&mut self) -> Parsed<u32> {
        let TokenKind::Integer(value) = *self.kind() else {
            return Err(self.unexpected("the number of arguments, as an integer"));
        };
        let span = self.advance();
        match u32::try_from(value) {
            Ok(value) if value <= IMPORT_ARGUMENTS_MAX => Ok(value),
            _ => {
                let message = format!("an import takes at most {IMPORT_ARGUMENTS_MAX} arguments");
                Err(self.error(Code::TooLarge, message, span))
            }
        }
    }

    pub(super) fn expect_name(&mut self, wanted: &str) -> Parsed<Name<'t>> {
        let span = self.expect_token(&TokenKind::Name, wanted)?;
        Ok(Name { text: self.text_of(span), span })
    }
}

/// Derives a valid name from that of a Python function: `HTTPServer.start_All` becomes `start_all`.
pub(super) fn alias_of(function: &str) -> String {
    let last = function.rsplit('.').next().unwrap_or(function);
    let letters: Vec<char> = last.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let mut alias = String::with_capacity(last.len() + 4);
    for (at, letter) in letters.iter().enumerate() {
        let follows_small = at > 0 && (letters[at - 1].is_ascii_lowercase() || letters[at - 1].is_ascii_digit());
        let begins_word = at > 0
            && letters[at - 1].is_ascii_uppercase()
            && letters.get(at + 1).is_some_and(|next| next.is_ascii_lowercase());
        if letter.is_ascii_uppercase() && (follows_small || begins_word) {
            alias.push('_');
        }
        alias.push(letter.to_ascii_lowercase());
    }
    if !is_name(&alias) {
        return format!("python_{alias}").trim_end_matches('_').to_owned();
    }
    if TokenKind::keyword(&alias).is_some() {
        alias.push('_');
    }
    alias
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alias_is_spelled_as_names_are() {
        let aliases = [
            ("Area", "area"),
            ("Item.load", "load"),
            ("HTTPServer", "http_server"),
            ("shapes.LoadAll", "load_all"),
            ("MAX_SIZE", "max_size"),
            ("Vec2D", "vec2_d"),
            ("null", "null_"),
            ("Lambda", "lambda_"),
            ("größe", "gre"),
            ("Ωmega", "mega"),
            ("Ω", "python"),
            ("Ω2", "python_2"),
        ];
        for (function, alias) in aliases {
            assert_eq!(alias_of(function), alias, "{function}");
            assert!(is_name(alias) && TokenKind::keyword(alias).is_none(), "{alias}");
        }
    }
}
