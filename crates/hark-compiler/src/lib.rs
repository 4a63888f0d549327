//! The compiler: from text to an [`Executable`] or diagnostics.
//!
//! The stages, in reading order: `lexer` (text to tokens), `parser` (tokens to `ast`), `globals` and `scope` (name
//! resolution), `generate` (portable instructions), `flow` (which names are bound where) and `closures` (captures).
//! `modules` runs them for each file of a program; `link` combines the files with the parts of `prelude` that they use.
//! Every stage reports errors as [`Diagnostic`]s and continues, so that a single run finds many errors. This crate is
//! pure: it touches no file, clock or thread.

mod ast;
mod closures;
mod diagnostic;
mod documentation;
mod effects;
mod flow;
mod gates;
mod generate;
mod globals;
mod habits;
mod imports;
mod lexer;
pub mod limits;
mod link;
mod modules;
mod nearest;
mod parser;
mod prelude;
mod scope;
mod token;

use hark_bytecode::{Executable, Sources};

pub use diagnostic::{Code, Diagnostic, Label, Severity};
pub use documentation::{Documented, Subject, documentation};
pub use modules::{Files, LoadError, Located, Main};
pub use nearest::nearest;
pub use parser::Form;

/// The result of a compilation.
#[derive(Debug)]
pub struct Compilation {
    /// The program, unless a diagnostic is an error.
    pub executable: Option<Executable>,
    /// Errors and warnings, in source order.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, to which the diagnostics' spans refer.
    pub sources: Sources,
}

/// Compiles a single-file program. `path` is its name in diagnostics and traces. Imports of modules fail.
pub fn compile(path: &str, text: &str) -> Compilation {
    compile_with(Main { path, file: None, text, form: Form::Items }, &mut modules::NoFiles)
}

/// Compiles a program that may import modules from `files`.
pub fn compile_with(main: Main<'_>, files: &mut dyn Files) -> Compilation {
    modules::compile(main, files)
}
