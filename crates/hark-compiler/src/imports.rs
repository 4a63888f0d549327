//! The names that a file's imported modules provide.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use hark_bytecode::Span;

use crate::ast::{Item, Program};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::COMPARISONS_MAX;
use crate::nearest::nearest;

/// The maximum number of names listed in a hint.
const LISTED_MAX: usize = 8;

/// A module, numbered in the order in which the files were first read; the main program is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ModuleId(pub usize);

/// The exports of a module: its own functions, except those whose names begin with `_`.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// The module's file, as a user would write it.
    path: String,
    functions: HashMap<String, Export>,
    /// Names that it defines but does not export.
    private: HashSet<String>,
    /// Names that it imports itself.
    imported: HashSet<String>,
    /// Names that malformed code may have defined.
    presumed: HashSet<String>,
    /// Whether parsing the module was abandoned.
    is_cut: bool,
    /// Its functions with side effects; set when the module has been compiled.
    effectful: RefCell<HashSet<String>>,
}

/// An exported function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub parameters: u32,
    pub span: Span,
}

/// The modules imported by a file, by alias.
#[derive(Debug, Default)]
pub(crate) struct Imports<'t> {
    modules: HashMap<&'t str, Imported>,
    /// Whether a module without a name was reported: any unknown name may refer to it.
    pub has_nameless: bool,
    /// The number of comparisons made so far for "did you mean" hints.
    comparisons: Cell<usize>,
}

/// A module imported by a file. If it could not be loaded, which was reported, any member is accepted.
#[derive(Debug, Clone)]
pub(crate) struct Imported {
    pub module: Option<(ModuleId, Rc<Exports>)>,
    /// Where it is named.
    pub span: Span,
}

/// The meaning of a name that begins with a module's alias.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Member<'a, 'n> {
    /// This function.
    Function(ModuleId, &'n str, Export),
    /// The module, or this member, has an error that was reported.
    Presumed,
    /// The module (the first name) does not export the second name.
    Missing(&'n str, &'n str, &'a Exports),
}

impl Exports {
    /// The exports of this file.
    pub fn of(program: &Program<'_>, path: &str) -> Exports {
        let mut exports = Exports { path: path.to_owned(), is_cut: program.is_cut, ..Exports::default() };
        exports.presumed = program.presumed.iter().map(|name| (*name).to_owned()).collect();
        for item in &program.items {
            match item {
                Item::Import(import) => {
                    exports.imported.insert(import.name.text.to_owned());
                }
                Item::Function(function) if function.name.text.starts_with('_') => {
                    exports.private.insert(function.name.text.to_owned());
                }
                Item::Function(function) => {
                    let parameters = function.parameters.len() as u32;
                    let export = Export { parameters, span: function.name.span };
                    exports.functions.entry(function.name.text.to_owned()).or_insert(export);
                }
            }
        }
        let aliases = program.modules.iter().filter_map(|module| module.alias);
        exports.imported.extend(aliases.map(|alias| alias.text.to_owned()));
        exports
    }

    /// Records which of its functions have side effects.
    pub fn set_effectful<'t>(&self, names: impl IntoIterator<Item = &'t str>) {
        self.effectful.borrow_mut().extend(names.into_iter().map(str::to_owned));
    }

    /// The module's file, as a user would write it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names of all exported functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    fn is_presumed(&self, name: &str) -> bool {
        self.is_cut || self.presumed.contains(name)
    }

    fn listed(&self) -> String {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        let quoted: Vec<String> = names.iter().take(LISTED_MAX).map(|name| format!("`{name}`")).collect();
        match names.len().saturating_sub(LISTED_MAX) {
            _ if names.is_empty() => "it offers no functions".to_owned(),
            0 => format!("it offers {}", quoted.join(", ")),
            more => format!("it offers {} and {more} more", quoted.join(", ")),
        }
    }
}

impl<'t> Imports<'t> {
    /// Adds a module under its alias; if that is taken, returns the module that has it.
    pub fn insert(&mut self, alias: &'t str, imported: Imported) -> Option<&Imported> {
        if self.modules.contains_key(alias) {
            return self.modules.get(alias);
        }
        self.modules.insert(alias, imported);
        None
    }

    /// The meaning of a name that begins with a module's alias. Aliases may contain dots, so the longest one with such
    /// a member wins.
    pub fn member<'a, 'n>(&'a self, name: &'n str) -> Option<Member<'a, 'n>> {
        let mut missing = None;
        for (dot, _) in name.rmatch_indices('.') {
            let (alias, member) = (&name[..dot], &name[dot + 1..]);
            let Some(imported) = self.modules.get(alias) else { continue };
            let Some((id, exports)) = &imported.module else { return Some(Member::Presumed) };
            if let Some(export) = exports.functions.get(member) {
                return Some(Member::Function(*id, member, *export));
            }
            if exports.is_presumed(member) {
                return Some(Member::Presumed);
            }
            missing.get_or_insert(Member::Missing(alias, member, exports));
        }
        missing.or_else(|| (self.has_nameless && name.contains('.')).then_some(Member::Presumed))
    }

    /// Whether this name, which means the function `member` of a module, has side effects.
    pub fn is_effectful(&self, name: &str, member: &str) -> bool {
        let alias = name.strip_suffix(member).and_then(|alias| alias.strip_suffix('.'));
        let imported = alias.and_then(|alias| self.modules.get(alias));
        let exports = imported.and_then(|imported| imported.module.as_ref());
        exports.is_some_and(|(_, exports)| exports.effectful.borrow().contains(member))
    }

    /// The error about a name that a module does not export.
    pub fn explain_missing(&self, name: &str, span: Span) -> Option<Diagnostic> {
        let Some(Member::Missing(alias, member, exports)) = self.member(name) else { return None };
        let path = &exports.path;
        let unknown = |message: String| Diagnostic::error(Code::UnknownName, message, span);
        if exports.private.contains(member) {
            let hint = "names that begin with `_` can only be used in their own file";
            return Some(unknown(format!("`{member}` is private to `{path}`")).with_hint(hint));
        }
        if exports.imported.contains(member.split('.').next().unwrap_or(member)) {
            let message = format!("`{member}` is not a function of `{path}`, which only imports it");
            return Some(unknown(message).with_hint("import it here, too"));
        }
        let compared = self.comparisons.get() + exports.functions.len();
        let near = (compared <= COMPARISONS_MAX).then(|| nearest(member, exports.names())).flatten();
        let hint = match near {
            Some(near) => format!("did you mean `{alias}.{near}`?"),
            None => exports.listed(),
        };
        self.comparisons.set(compared);
        Some(unknown(format!("there is no function `{member}` in `{path}`")).with_hint(hint))
    }
}
