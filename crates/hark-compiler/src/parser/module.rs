//! Imports of Hark modules: `import "lib/text.hk";` and `import("lib/text.hk", alias);`.

use std::sync::Arc;

use hark_bytecode::Span;

use super::{Parsed, Parser};
use crate::ast::{ModuleImport, Name};
use crate::diagnostic::{Code, Diagnostic};
use crate::lexer::is_name;
use crate::token::TokenKind;

/// The file extension of modules.
const EXTENSION: &str = ".hk";

impl<'t> Parser<'t, '_> {
    /// Whether the import of a Hark module comes next: its path is a string, unlike anything in a Python import.
    pub(super) fn is_at_module_import(&self) -> bool {
        let is_string = |count| matches!(self.kind_ahead(count), TokenKind::String(_));
        let is_call = *self.kind_ahead(1) == TokenKind::OpenParenthesis;
        let is_of_python =
            *self.kind_ahead(5) == TokenKind::Comma && matches!(self.kind_ahead(6), TokenKind::Integer(_));
        self.is_at_word("import") && !is_of_python && (is_string(1) || is_call && is_string(2))
    }

    pub(super) fn expect_module_import(&mut self) -> Parsed<ModuleImport<'t>> {
        self.advance();
        if self.is_at(&TokenKind::OpenParenthesis) {
            return self.expect_named_module();
        }
        let (path, path_span) = self.expect_path()?;
        if self.is_at_word("as") {
            let hint = format!("`import({}, name);` gives it another name", self.text_of(path_span));
            let wrong = Diagnostic::error(Code::BadImport, "`as` means nothing here", self.span());
            return Err(self.report(wrong.with_hint(hint)));
        }
        let alias = self.own_name(&path, path_span);
        self.expect_import_end()?;
        Ok(ModuleImport { path, path_span, alias })
    }

    fn expect_named_module(&mut self) -> Parsed<ModuleImport<'t>> {
        let open = self.advance();
        let (path, path_span) = self.expect_path()?;
        if self.is_at(&TokenKind::CloseParenthesis) {
            let text = self.text_of(path_span);
            let hint = format!("write `import({text}, name);`, or `import {text};`");
            let missing = Diagnostic::error(Code::BadImport, "this import gives the module no name", path_span);
            return Err(self.report(missing.with_hint(hint)));
        }
        self.expect_token(&TokenKind::Comma, "`,` and the name of the module here")?;
        let alias = self.expect_name("the name of the module here")?;
        self.parse_token(&TokenKind::Comma);
        self.expect_close(&TokenKind::CloseParenthesis, ")", open)?;
        self.expect_import_end()?;
        Ok(ModuleImport { path, path_span, alias: Some(alias) })
    }

    fn expect_path(&mut self) -> Parsed<(Arc<str>, Span)> {
        let TokenKind::String(path) = self.kind().clone() else { return Err(self.unexpected("the path of a module")) };
        if path.is_empty() {
            return Err(self.error(Code::BadImport, "the path of this module is empty", self.span()));
        }
        Ok((path, self.advance()))
    }

    /// The module's name derived from its file name, if that is a valid name.
    fn own_name(&self, path: &str, span: Span) -> Option<Name<'t>> {
        let written = self.text_of(span);
        let inside = written.get(1..written.len() - 1).filter(|inside| *inside == path)?;
        let file = inside.rsplit('/').next().unwrap_or(inside);
        let text = file.strip_suffix(EXTENSION)?;
        (is_name(text) && TokenKind::keyword(text).is_none() && !text.contains(|each| !is_of_name(each)))
            .then_some(Name { text, span })
    }
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '?' | '.')
}
