//! A program and what a session of it is about, for suites and tests.

use std::sync::Arc;

use hark_bytecode::{Binding, Executable, Function, FunctionIndex, Instruction, Literal, NameIndex, Source, Span};
use hark_machine::Program;

use crate::record::About;
use crate::surroundings::Timestamp;

/// A program of one function.
pub fn program() -> Arc<Program> {
    let source = Source::new("suite.hk", "fn main() { null }");
    let main = Function { name: "main".into(), end: 2, ..Function::default() };
    let executable = Executable {
        sources: source.into(),
        names: vec!["main".into()],
        functions: vec![main],
        foreign: Vec::new(),
        bindings: vec![(NameIndex(0), Binding::Function(FunctionIndex(0)))],
        code: vec![Instruction::PushValue(Literal::Null), Instruction::Return],
        spans: vec![Span::default(); 2],
    };
    Arc::new(Program::new(executable).expect("the program is sound"))
}

/// A session of it.
pub fn about() -> Arc<About> {
    Arc::new(About {
        program: "00".into(),
        file: "suite.hk".into(),
        function: "main".into(),
        arguments: vec!["\"a\"".into()],
        started: Timestamp(5),
        ..About::default()
    })
}
