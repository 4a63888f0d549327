//! What stands at the top level: functions and imports.

use hark_bytecode::Attributes;

use super::{Parsed, Parser, Reported};
use crate::ast::{Function, Import, Item, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::token::TokenKind;

impl<'t> Parser<'t, '_> {
    /// All items up to the end.
    pub(super) fn parse_items(&mut self) {
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Semicolon => {
                    self.advance();
                }
                _ => {
                    let before = self.at;
                    match self.expect_item() {
                        Ok(item) => self.program.items.push(item),
                        Err(Reported) => {
                            if self.at == before {
                                self.advance();
                            }
                            self.skip_to_item();
                        }
                    }
                }
            }
        }
    }

    fn expect_item(&mut self) -> Parsed<Item<'t>> {
        let attributes = self.expect_attributes()?;
        if self.is_at(&TokenKind::Fn) {
            return self.expect_function(attributes).map(Item::Function);
        }
        if self.is_at_word("import") {
            return self.expect_import(attributes).map(Item::Import);
        }
        if *self.kind() == TokenKind::Mistake {
            return Err(Reported);
        }
        let (found, span) = (self.describe(), self.span());
        let message = format!("only `fn` and `import` can stand at the top level, but found {found}");
        let misplaced = Diagnostic::error(Code::TopLevel, message, span);
        Err(self.report(misplaced.with_hint("put it into the body of a function, for example `fn main() { ... }`")))
    }

    /// Skips to where the next item may begin.
    fn skip_to_item(&mut self) {
        let mut open = 0u32;
        loop {
            match self.kind() {
                TokenKind::End | TokenKind::Fn => return,
                TokenKind::OpenAttribute if open == 0 => return,
                TokenKind::Name if open == 0 && self.is_at_word("import") => return,
                TokenKind::OpenBrace => open += 1,
                TokenKind::CloseBrace => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    fn expect_function(&mut self, attributes: Attributes) -> Parsed<Function<'t>> {
        let start = self.advance();
        let span = self.expect_token(&TokenKind::Name, "the name of the function")?;
        let name = Name { text: self.text_of(span), span };
        let owner = format!("`{}`", name.text);
        let parameters = self.expect_parameters(&owner)?;
        // A function with a mistake in its body is a function all the same: its calls are not wrong.
        let body = match self.expect_body(&owner) {
            Ok(body) => body,
            Err(Reported) => {
                self.skip_to_item();
                Vec::new()
            }
        };
        Ok(Function { name, parameters, body, attributes, span: start.to(name.span) })
    }

    /// `import(name, module, num_args)`, `import(name, :python module, num_args, alias)`
    fn expect_import(&mut self, attributes: Attributes) -> Parsed<Import<'t>> {
        let start = self.advance();
        if let TokenKind::String(_) = self.kind() {
            let message = "this release cannot import Hark modules";
            let span = start.to(self.span());
            let refused = Diagnostic::error(Code::NotYet, message, span);
            return Err(self.report(refused.with_hint("`import(name, module, num_args)` imports a Python function")));
        }
        let usage = "an import is written `import(name, module, num_args)` or `import(name, module, num_args, alias)`";
        let parsed = self.expect_import_arguments();
        let (function, module, arity, alias) = match parsed {
            Ok(parsed) => parsed,
            Err(Reported) => {
                if let Some(last) = self.diagnostics.last_mut()
                    && last.hint.is_none()
                {
                    last.code = Code::BadImport;
                    last.hint = Some(usage.to_owned());
                }
                return Err(Reported);
            }
        };
        let span = start.to(self.span_before());
        let is_separated = match self.kind() {
            TokenKind::Semicolon | TokenKind::End => true,
            _ => self.is_at(&TokenKind::Fn) || self.is_at(&TokenKind::OpenAttribute) || self.is_at_word("import"),
        };
        if self.is_at(&TokenKind::Semicolon) {
            self.advance();
        } else if !self.is_at(&TokenKind::End) && is_separated {
            let missing = Diagnostic::error(Code::MissingSemicolon, "expected `;` after this import", span);
            self.report(missing);
        }
        let name = alias.unwrap_or(function);
        Ok(Import { name, function: function.text, module: module.text, arity, attributes, span })
    }

    fn expect_import_arguments(&mut self) -> Parsed<(Name<'t>, Name<'t>, u32, Option<Name<'t>>)> {
        let open = self.expect_token(&TokenKind::OpenParenthesis, "`(`")?;
        let function = self.expect_name("the name of a Python function")?;
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
        let module = self.expect_name("the name of a Python module")?;
        self.expect_token(&TokenKind::Comma, "`,` and the number of arguments")?;
        let arity = match *self.kind() {
            TokenKind::Integer(value) if (0..=i64::from(u16::MAX)).contains(&value) => value as u32,
            _ => return Err(self.unexpected("the number of arguments, as an integer")),
        };
        self.advance();
        let mut alias = None;
        if self.parse_token(&TokenKind::Comma) && !self.is_at(&TokenKind::CloseParenthesis) {
            alias = Some(self.expect_name("what the program calls the function")?);
            self.parse_token(&TokenKind::Comma);
        }
        self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        Ok((function, module, arity, alias))
    }

    fn expect_name(&mut self, wanted: &str) -> Parsed<Name<'t>> {
        let span = self.expect_token(&TokenKind::Name, wanted)?;
        Ok(Name { text: self.text_of(span), span })
    }
}
