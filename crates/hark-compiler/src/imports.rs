//! What the modules that a file imports offer it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use hark_bytecode::Span;

use crate::ast::{Item, Program};
use crate::diagnostic::{Code, Diagnostic};
use crate::limits::COMPARISONS_MAX;
use crate::nearest::nearest;

/// The most names that a hint lists.
const LISTED_MAX: usize = 8;

/// A module, counted in the order in which their files were first read; the main program is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ModuleId(pub usize);

/// What a module offers to those that import it: its own functions, but those whose names begin with `_`.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// The module's file, as the user would write it.
    path: String,
    functions: HashMap<String, Export>,
    /// Names that it has and keeps.
    private: HashSet<String>,
    /// Names that it imports itself.
    imported: HashSet<String>,
    /// Names that something with a mistake in it may have defined.
    presumed: HashSet<String>,
    /// The module could not be read to its end.
    is_cut: bool,
    /// Those of its functions that do something that is seen outside; set when the module was compiled.
    effectful: RefCell<HashSet<String>>,
}

/// A function that a module offers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Export {
    pub parameters: u32,
    pub span: Span,
}

/// The modules that a file imports, by the names that it gives them.
#[derive(Debug, Default)]
pub(crate) struct Imports<'t> {
    modules: HashMap<&'t str, Imported>,
    /// One has no name, which was reported: nobody knows what names were to begin with it.
    pub has_nameless: bool,
    /// How many names were compared so far to find what may be meant.
    comparisons: Cell<usize>,
}

/// A module that a file imports. One that could not be loaded was reported, and may offer anything.
#[derive(Debug, Clone)]
pub(crate) struct Imported {
    pub module: Option<(ModuleId, Rc<Exports>)>,
    /// Where it is given its name.
    pub span: Span,
}

/// What a name means that begins with the name of a module.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Member<'a, 'n> {
    /// This function.
    Function(ModuleId, &'n str, Export),
    /// The module, or this name in it, has a mistake that was reported.
    Presumed,
    /// The module of the first name offers no second one.
    Missing(&'n str, &'n str, &'a Exports),
}

impl Exports {
    /// What this file offers.
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

    /// Remembers which of its functions do something that is seen outside.
    pub fn set_effectful<'t>(&self, names: impl IntoIterator<Item = &'t str>) {
        self.effectful.borrow_mut().extend(names.into_iter().map(str::to_owned));
    }

    /// The module's file, as the user would write it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The names of all functions that it offers.
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
    /// Adds a module under its name, unless that is taken; then gives what has it.
    pub fn insert(&mut self, alias: &'t str, imported: Imported) -> Option<&Imported> {
        if self.modules.contains_key(alias) {
            return self.modules.get(alias);
        }
        self.modules.insert(alias, imported);
        None
    }

    /// What a name means, if it begins with a module's. Since the names of modules may have dots themselves, the longest
    /// that offers something counts.
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

    /// Whether this name, which means the function `member` of a module, does something that is seen outside.
    pub fn is_effectful(&self, name: &str, member: &str) -> bool {
        let alias = name.strip_suffix(member).and_then(|alias| alias.strip_suffix('.'));
        let imported = alias.and_then(|alias| self.modules.get(alias));
        let exports = imported.and_then(|imported| imported.module.as_ref());
        exports.is_some_and(|(_, exports)| exports.effectful.borrow().contains(member))
    }

    /// What to say of a name that a module does not offer.
    pub fn explain_missing(&self, name: &str, span: Span) -> Option<Diagnostic> {
        let Some(Member::Missing(alias, member, exports)) = self.member(name) else { return None };
        let path = &exports.path;
        let unknown = |message: String| Diagnostic::error(Code::UnknownName, message, span);
        if exports.private.contains(member) {
            let hint = "what begins with `_` can only be used in its own file";
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
