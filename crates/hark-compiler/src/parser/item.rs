//! Top-level items: functions and imports.

use hark_bytecode::{Attributes, Span};

use super::{Parsed, Parser, Reported};
use crate::ast::{Function, Item, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::habits;
use crate::token::{Token, TokenKind};

impl<'t> Parser<'t, '_> {
    /// Parses all items of the file.
    pub(super) fn parse_items(&mut self) {
        loop {
            match self.kind() {
                TokenKind::End => return,
                TokenKind::Semicolon => {
                    self.advance();
                }
                _ => {
                    let before = self.at;
                    if let Err(Reported) = self.expect_item() {
                        self.give_up_item(before);
                    }
                }
            }
        }
    }

    /// Abandons a malformed item and records the names that it would have bound, so that their uses are not reported.
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
        let named = skipped.windows(2).filter(|pair| pair[0].kind == TokenKind::Fn && pair[1].kind == TokenKind::Name);
        let names: Vec<&str> = named.map(|pair| self.text_of(pair[1].span)).collect();
        self.program.presumed.extend(names);
        // `def f(x): ...`, `async def f(x): ...`
        let definition = match skipped {
            [first, rest @ ..] if first.kind == TokenKind::Async => rest,
            _ => skipped,
        };
        if let [word, name, ..] = definition
            && name.kind == TokenKind::Name
            && habits::advice(self.text_of(word.span)).is_some()
        {
            let name = self.text_of(name.span);
            self.program.presumed.insert(name);
        }
        let bound = self.bound_in(start..self.at);
        self.program.presumed.extend(bound);
    }

    /// Adds the next item to the program.
    fn expect_item(&mut self) -> Parsed<()> {
        let attributes = self.expect_attributes()?;
        if self.is_at(&TokenKind::Fn) {
            let function = self.expect_function(attributes)?;
            self.program.items.push(Item::Function(function));
            return Ok(());
        }
        if self.is_at(&TokenKind::Async) && *self.kind_ahead(1) == TokenKind::Fn {
            let bad = Diagnostic::error(Code::TopLevel, "a function is defined without `async`", self.span());
            self.report(bad.with_hint("any function can run in a thread of its own: it is called by `async f(x)`"));
            self.advance();
            return self.expect_item();
        }
        self.refuse_python_import()?;
        if self.is_at_module_import() {
            let module = self.expect_module_import()?;
            self.program.modules.push(module);
            return Ok(());
        }
        if self.is_at_word("import") {
            let import = self.expect_import(attributes)?;
            self.program.items.push(Item::Import(import));
            return Ok(());
        }
        if self.kind().is_mistake() {
            return Err(Reported);
        }
        let (found, span) = (self.describe(), self.span());
        let next = self.tokens.get(self.at + 1).map_or("", |next| self.text_of(next.span));
        let message = format!("only `fn` and `import` can stand at the top level, but found {found}");
        let misplaced = Diagnostic::error(Code::TopLevel, message, span);
        if *self.kind_ahead(1) == TokenKind::Word && habits::advice(self.text_of(span)).is_some() {
            // `class Order`: do not also report that the class name is not a valid name.
            self.python_names.push(self.at + 1);
        }
        let is_variable = habits::is_of_variables(self.text_of(span)) || *self.kind_ahead(1) == TokenKind::Assign;
        Err(self.report(
            misplaced.with_hint(match self.kind() {
                TokenKind::CloseBrace => "there is no open `{` to close",
                TokenKind::Name if is_variable => {
                    "there are no variables outside of functions: write `fn name() { value }`, and call it by `name()`"
                }
                TokenKind::Async => habits::advice(next)
                    .unwrap_or("put it into the body of a function, for example `fn main() { ... }`"),
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
        // A function with an error in its body still exists, so calls of it are not reported.
        let body = match body {
            Ok(body) => body,
            Err(Reported) if self.at == first => return Err(Reported),
            Err(Reported) => {
                damage.get_or_insert_default();
                Vec::new()
            }
        };
        let span = start.to(name.span);
        Ok(Function { name, parameters, body, attributes, span, damage })
    }
}
