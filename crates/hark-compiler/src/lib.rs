//! Text in, an [`Executable`] or diagnostics out.
//!
//! The way of a program, and the order to read in: `lexer` (text to tokens), `parser` (tokens to `ast`),
//! `globals` and `scope` (what names mean), `generate` (to portable instructions), `flow` (what is bound where) and
//! `closures` (what lambdas take along). `modules` does that for each file of a program, `link` puts them together,
//! with what they use of `prelude`. Every stage reports what is wrong as [`Diagnostic`]s and goes on, so that one run finds
//! many mistakes. This crate is pure: it touches no file, clock or thread.

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

/// What became of a program.
#[derive(Debug)]
pub struct Compilation {
    /// The program, unless some diagnostic is an error.
    pub executable: Option<Executable>,
    /// What is wrong or doubtful, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// The files that were read, which the diagnostics' places are in.
    pub sources: Sources,
}

/// Compiles the text of a program. `path` is what diagnostics and traces will call it. It can import no modules.
pub fn compile(path: &str, text: &str) -> Compilation {
    compile_with(Main { path, file: None, text }, &mut modules::NoFiles)
}

/// Compiles a program with the modules that it imports, which are among these files.
pub fn compile_with(main: Main<'_>, files: &mut dyn Files) -> Compilation {
    modules::compile(main, files)
}
