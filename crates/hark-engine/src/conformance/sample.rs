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

/// A program of a function for each depth: that of depth 0 answers 1, and each other one starts two threads that call the one before
/// it, and returns the sum of what these come to.
pub fn forking(depth: u32) -> Arc<Program> {
    let (first, plus) = (NameIndex(depth + 1), NameIndex(depth + 2));
    let name = |depth: u32| -> Arc<str> { format!("of_depth_{depth}").into() };
    let mut functions = Vec::new();
    let mut code = Vec::new();
    for level in 0..=depth {
        let start = code.len() as u32;
        match level.checked_sub(1).map(NameIndex) {
            None => code.push(Instruction::PushValue(Literal::Integer(1))),
            Some(before) => code.extend([
                Instruction::PushBinding(before),
                Instruction::AsyncCall(0),
                Instruction::Bind(first),
                Instruction::Pop,
                Instruction::PushBinding(before),
                Instruction::AsyncCall(0),
                Instruction::Wait,
                Instruction::PushBinding(first),
                Instruction::Wait,
                Instruction::PushBinding(plus),
                Instruction::Call(2),
            ]),
        }
        code.push(Instruction::Return);
        functions.push(Function { name: name(level), start, end: code.len() as u32, ..Function::default() });
    }
    let executable = Executable {
        sources: Source::new("suite.hk", "").into(),
        names: (0..=depth).map(name).chain(["first".into(), "+".into()]).collect(),
        functions,
        foreign: Vec::new(),
        bindings: (0..=depth).map(|level| (NameIndex(level), Binding::Function(FunctionIndex(level)))).collect(),
        spans: vec![Span::default(); code.len()],
        code,
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
