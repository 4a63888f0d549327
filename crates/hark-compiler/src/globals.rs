//! The meaning of global names: the program's functions and imports, then the builtins.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use hark_bytecode::Span;
use hark_bytecode::builtins::Builtin;

use crate::ast::{Item, Program};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::imports::{Imports, Member};
use crate::limits::COMPARISONS_MAX;
use crate::nearest::nearest;
use crate::prelude;

/// A function or import of the program.
#[derive(Debug, Clone, Copy)]
struct Definition {
    arity: Arity,
    span: Span,
}

/// The minimum and maximum number of arguments of a function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arity {
    pub fewest: u32,
    pub most: u32,
}

/// The top-level names.
#[derive(Debug)]
pub(crate) struct Globals<'t> {
    imports: Rc<Imports<'t>>,
    definitions: HashMap<&'t str, Definition>,
    /// Names with malformed definitions: uses of them are not reported.
    presumed: HashSet<&'t str>,
    /// The number of comparisons made so far for "did you mean" hints.
    comparisons: usize,
}

impl<'t> Globals<'t> {
    /// Collects the top-level names and reports duplicates.
    pub fn collect(program: &Program<'t>, imports: Rc<Imports<'t>>, diagnostics: &mut Diagnostics) -> Globals<'t> {
        let presumed = program.presumed.clone();
        let mut globals = Globals { imports, definitions: HashMap::new(), presumed, comparisons: 0 };
        for item in &program.items {
            let (name, arity) = match item {
                Item::Function(function) => {
                    let count = function.parameters.len() as u32;
                    (function.name, Arity { fewest: count, most: count })
                }
                Item::Import(import) => (import.name, Arity { fewest: 0, most: import.arity }),
            };
            let definition = Definition { arity, span: name.span };
            if let Some(first) = globals.definitions.get(name.text) {
                let message = format!("`{}` is defined twice", name.text);
                let twice = Diagnostic::error(Code::DuplicateDefinition, message, name.span);
                diagnostics.push(twice.with_label(first.span, "first defined here").with_hint("rename one of them"));
                // Calls may mean either definition.
                globals.presumed.insert(name.text);
                continue;
            }
            globals.definitions.insert(name.text, definition);
            if let Some(Member::Function(_, _, export)) = globals.imports.member(name.text) {
                let message = format!("`{}` is defined here and in an imported module", name.text);
                let twice = Diagnostic::error(Code::DuplicateDefinition, message, name.span);
                diagnostics.push(twice.with_label(export.span, "the module's").with_hint("rename one of them"));
            }
        }
        globals
    }

    /// Whether the program defines the name.
    pub fn defines(&self, name: &str) -> bool {
        self.definitions.contains_key(name)
    }

    /// Whether the program or the language knows the name.
    pub fn knows(&self, name: &str) -> bool {
        self.defines(name)
            || self.is_presumed(name)
            || Builtin::from_name(name).is_some()
            || prelude::arity(name).is_some()
            || matches!(self.imports.member(name), Some(Member::Function(..) | Member::Presumed))
    }

    /// The error about a missing member of a module, if the module is known.
    pub fn explain_missing(&self, name: &str, span: Span) -> Option<Diagnostic> {
        self.imports.explain_missing(name, span)
    }

    /// Whether the name, or the module before its first dot, has a malformed definition.
    fn is_presumed(&self, name: &str) -> bool {
        let module = name.split_once('.').map_or(name, |(module, _)| module);
        self.presumed.contains(name) || self.presumed.contains(module)
    }

    /// The number of arguments taken by the function of this name, and where it is defined.
    pub fn arity(&self, name: &str) -> Option<(Arity, Option<Span>)> {
        if self.is_presumed(name) {
            return None;
        }
        match (self.definitions.get(name), self.imports.member(name)) {
            (Some(definition), _) => Some((definition.arity, Some(definition.span))),
            (None, Some(Member::Function(_, _, export))) => {
                Some((Arity { fewest: export.parameters, most: export.parameters }, Some(export.span)))
            }
            _ => {
                let arity = Builtin::from_name(name).map(Builtin::arity).or_else(|| prelude::arity(name));
                arity.map(|(fewest, most)| (Arity { fewest, most }, None))
            }
        }
    }

    /// The known name most similar to this one, among those of the program, the language and these `variables`.
    pub fn nearest(&mut self, name: &str, variables: &HashMap<&'t str, u32>) -> Option<&'t str> {
        self.comparisons += variables.len() + self.definitions.len();
        if self.comparisons > COMPARISONS_MAX {
            return None;
        }
        let known = variables.keys().chain(self.definitions.keys()).copied();
        let language = Builtin::all().map(Builtin::name).chain(prelude::names());
        nearest(name, known.chain(language.map(|name| -> &'t str { name })))
    }
}
