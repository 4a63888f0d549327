//! What stands at the top level: functions and imports.

use hark_bytecode::{Attributes, Span};

use super::{Parsed, Parser, Reported};
use crate::ast::{Function, Import, Item, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::habits;
use crate::limits::IMPORT_ARGUMENTS_MAX;
use crate::token::{Token, TokenKind};

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
                        Err(Reported) => self.give_up_item(before),
                    }
                }
            }
        }
    }

    /// What an item with a mistake would have bound is not unknown elsewhere.
    fn give_up_item(&mut self, start: usize) {
        if self.at == start {
            self.advance();
        }
        self.skip_to_item();
        let tokens = self.tokens;
        let skipped = &tokens[start..self.at];
        let is_import = |token: &Token| token.kind == TokenKind::Name && self.text_of(token.span) == "import";
        if skipped.iter().any(is_import) {
            let names = skipped.iter().filter(|token| token.kind == TokenKind::Name);
            let names: Vec<&str> = names.map(|token| self.text_of(token.span)).collect();
            self.program.presumed.extend(names);
        }
        // `def f(x): ...`
        if let [word, name, ..] = skipped
            && name.kind == TokenKind::Name
            && habits::advice(self.text_of(word.span)).is_some()
        {
            let name = self.text_of(name.span);
            self.program.presumed.insert(name);
        }
        let assigned: Vec<&str> = self.assigned_in(start..self.at).collect();
        self.program.presumed.extend(assigned);
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
        Err(self.report(
            misplaced.with_hint(match self.kind() {
                TokenKind::CloseBrace => "there is no `{` that this would close",
                _ => habits::advice(self.text_of(span))
                    .unwrap_or("put it into the body of a function, for example `fn main() { ... }`"),
            }),
        ))
    }

    /// `fn name(parameter, ...) { body }`
    pub(super) fn expect_function(&mut self, attributes: Attributes) -> Parsed<Function<'t>> {
        let start = self.advance();
        let span = self.expect_token(&TokenKind::Name, "the name of the function")?;
        let name = Name { text: self.text_of(span), span };
        match self.expect_function_rest(start, name, attributes) {
            Ok(function) => Ok(function),
            Err(Reported) => {
                self.program.presumed.insert(name.text);
                Err(Reported)
            }
        }
    }

    fn expect_function_rest(&mut self, start: Span, name: Name<'t>, attributes: Attributes) -> Parsed<Function<'t>> {
        let owner = format!("`{}`", name.text);
        let parameters = self.expect_parameters(&owner)?;
        let first = self.at;
        let around = self.damage.take();
        let body = self.expect_body(&owner);
        let mut damage = std::mem::replace(&mut self.damage, around);
        // A function with a mistake in its body is a function all the same: its calls are not wrong.
        let body = match body {
            Ok(body) => body,
            Err(Reported) if self.at == first => return Err(Reported),
            Err(Reported) => {
                damage.get_or_insert_default();
                Vec::new()
            }
        };
        Ok(Function { name, parameters, body, attributes, span: start.to(name.span), damage })
    }

    /// `import(name, module, num_args)`, `import(name, :python module, num_args, alias)`
    fn expect_import(&mut self, attributes: Attributes) -> Parsed<Import<'t>> {
        let start = self.advance();
        if let TokenKind::String(_) = self.kind() {
            let message = "this release cannot import Hark modules";
            let span = start.to(self.span());
            self.presume_module();
            let refused = Diagnostic::error(Code::NotYet, message, span);
            return Err(self.report(refused.with_hint("`import(name, module, num_args)` imports a Python function")));
        }
        let usage = "an import is written `import(name, module, num_args)` or `import(name, module, num_args, alias)`";
        let before = self.diagnostics.total();
        let parsed = self.expect_import_arguments();
        self.diagnostics.amend_since(before, |mistake| {
            if mistake.code != Code::TooLarge {
                mistake.code = Code::BadImport;
            }
            mistake.hint.get_or_insert_with(|| usage.to_owned());
        });
        let (function, module, arity, alias) = parsed?;
        let span = start.to(self.span_before());
        match self.kind() {
            TokenKind::Semicolon | TokenKind::End => {}
            TokenKind::Mistake => return Err(Reported),
            _ => {
                let missing =
                    Diagnostic::error(Code::MissingSemicolon, "expected `;` after this import", self.span_before());
                self.report(missing);
            }
        }
        let name = alias.unwrap_or(function);
        Ok(Import { name, function: function.text, module: module.text, arity, attributes, span })
    }

    /// What `import "lib/text.hk"` would define begins with `text.`.
    fn presume_module(&mut self) {
        let file = self.text_of(self.span()).trim_matches(['"', '\'']);
        let name = file.rsplit('/').next().unwrap_or(file);
        self.program.presumed.insert(name.strip_suffix(".hk").unwrap_or(name));
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
        let arity = self.expect_arity()?;
        let mut alias = None;
        if self.parse_token(&TokenKind::Comma) && !self.is_at(&TokenKind::CloseParenthesis) {
            alias = Some(self.expect_name("what the program calls the function")?);
            self.parse_token(&TokenKind::Comma);
        }
        self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        Ok((function, module, arity, alias))
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

    fn expect_name(&mut self, wanted: &str) -> Parsed<Name<'t>> {
        let span = self.expect_token(&TokenKind::Name, wanted)?;
        Ok(Name { text: self.text_of(span), span })
    }
}
