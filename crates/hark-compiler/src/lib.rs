//! Text in, an [`Executable`] or diagnostics out.
//!
//! The way of a program, and the order to read in: `lexer` (text to tokens), `parser` (tokens to `ast`),
//! `scope` (what names mean), `generate` (to portable instructions), `flow` (what may be read before it is
//! bound). Every stage reports what is wrong as [`Diagnostic`]s and goes on, so that one run finds many mistakes.
//! This crate is pure: it touches no file, clock or thread.

mod ast;
mod diagnostic;
mod flow;
mod generate;
mod habits;
mod lexer;
pub mod limits;
mod nearest;
mod parser;
mod scope;
mod token;

use diagnostic::Diagnostics;
use hark_bytecode::{Executable, Source, Sources};

pub use diagnostic::{Code, Diagnostic, Label, Severity};
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

/// Compiles the text of a program. `path` is what diagnostics and traces will call it.
pub fn compile(path: &str, text: &str) -> Compilation {
    let mut sources = Sources::default();
    if text.len() > limits::SOURCE_BYTES_MAX || sources.push(Source::new(path, text)).is_none() {
        let message = format!("the program is longer than {} bytes", limits::SOURCE_BYTES_MAX);
        let start = hark_bytecode::Span::new(0, 0);
        let diagnostics = vec![Diagnostic::error(Code::TooLarge, message, start)];
        return Compilation { executable: None, diagnostics, sources: Source::new(path, "").into() };
    }
    let mut diagnostics = Diagnostics::default();
    let tokens = lexer::tokenize(text, 0, &mut diagnostics);
    let program = parser::parse(text, 0, &tokens, &mut diagnostics);
    drop(tokens);
    let executable = (!program.is_cut).then(|| generate::generate(&program, sources.clone(), &mut diagnostics));
    let executable = executable.filter(|_| !diagnostics.has_errors());
    Compilation { executable, diagnostics: diagnostics.finish(), sources }
}
