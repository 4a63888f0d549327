//! A small assembler for the portable instructions, so that these tests need no compiler.
//!
//! A line `fn name a b` begins a function, and `import name module arity` an imported one; `label:` marks a place;
//! `JUMP` and its like take a label. The parameters' `BIND` and `POP` are added. What follows `;` is a comment.

use std::collections::HashMap;
use std::sync::Arc;

use hark_bytecode::{
    Attributes, Binding, Executable, Foreign, ForeignIndex, Function, FunctionIndex, Instruction, Literal, NameIndex,
    Source, Span,
};

/// The program that this text describes.
pub fn assemble(text: &str) -> Executable {
    let mut assembler = Assembler::default();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split(';').next().unwrap_or("").split_whitespace().collect();
        assembler.line(&words, number as u32);
    }
    assembler.end_function();
    assembler.executable(text)
}

#[derive(Default)]
struct Assembler {
    names: Vec<Arc<str>>,
    functions: Vec<Function>,
    foreign: Vec<Foreign>,
    bindings: Vec<(NameIndex, Binding)>,
    code: Vec<Instruction>,
    spans: Vec<Span>,
    labels: HashMap<String, usize>,
    jumps: Vec<(usize, String)>,
}

impl Assembler {
    fn line(&mut self, words: &[&str], number: u32) {
        match words {
            [] => {}
            ["import", name, module, arity] => self.import(name, module, arity.parse().unwrap()),
            ["fn", name, parameters @ ..] => self.function(name, parameters),
            [label] if label.ends_with(':') => {
                self.labels.insert(label.trim_end_matches(':').to_owned(), self.code.len());
            }
            _ => {
                let instruction = self.instruction(words);
                self.push(instruction, number);
            }
        }
    }

    fn push(&mut self, instruction: Instruction, number: u32) {
        self.code.push(instruction);
        self.spans.push(Span { start: number, end: number });
    }

    fn name(&mut self, name: &str) -> NameIndex {
        let index = self.names.iter().position(|known| &**known == name).unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        });
        NameIndex(index as u32)
    }

    fn import(&mut self, name: &str, module: &str, arity: u32) {
        let foreign = ForeignIndex(self.foreign.len() as u32);
        self.foreign.push(Foreign {
            name: name.into(),
            module: module.into(),
            function: name.into(),
            arity,
            attributes: Attributes::default(),
        });
        let bound = self.name(name);
        self.bindings.push((bound, Binding::Foreign(foreign)));
        self.open(name, Vec::new(), Some(foreign));
        self.push(Instruction::PushBinding(bound), 0);
        self.push(Instruction::Call(arity), 0);
        self.push(Instruction::Return, 0);
    }

    fn function(&mut self, name: &str, parameters: &[&str]) {
        let bound = self.name(name);
        let parameters: Vec<NameIndex> = parameters.iter().map(|name| self.name(name)).collect();
        self.open(name, parameters.clone(), None);
        self.bindings.push((bound, Binding::Function(FunctionIndex(self.functions.len() as u32 - 1))));
        self.labels.insert(name.to_owned(), self.code.len());
        for parameter in parameters.iter().rev() {
            self.push(Instruction::Bind(*parameter), 0);
            self.push(Instruction::Pop, 0);
        }
    }

    fn open(&mut self, name: &str, parameters: Vec<NameIndex>, foreign: Option<ForeignIndex>) {
        self.end_function();
        self.functions.push(Function {
            name: name.into(),
            parameters,
            foreign,
            start: self.code.len() as u32,
            end: 0,
            span: Span::default(),
            attributes: Attributes::default(),
        });
    }

    fn end_function(&mut self) {
        let end = self.code.len() as u32;
        if let Some(function) = self.functions.last_mut() {
            function.end = end;
        }
        for (at, label) in std::mem::take(&mut self.jumps) {
            let target = *self.labels.get(&label).unwrap_or_else(|| panic!("no label {label}"));
            let distance = target as i32 - at as i32 - 1;
            match &mut self.code[at] {
                Instruction::Jump(to) | Instruction::JumpIf(to) => *to = distance,
                other => panic!("{other:?} does not jump"),
            }
        }
    }

    fn instruction(&mut self, words: &[&str]) -> Instruction {
        match words {
            ["PUSHV", literal @ ..] => Instruction::PushValue(literal_of(&literal.join(" "))),
            ["PUSHB", name] => Instruction::PushBinding(self.name(name)),
            ["BIND", name] => Instruction::Bind(self.name(name)),
            ["POP"] => Instruction::Pop,
            ["CALL", count] => Instruction::Call(count.parse().unwrap()),
            ["ACALL", count] => Instruction::AsyncCall(count.parse().unwrap()),
            ["WAIT"] => Instruction::Wait,
            ["RETURN"] => Instruction::Return,
            ["JUMP", label] => {
                self.jumps.push((self.code.len(), (*label).to_owned()));
                Instruction::Jump(0)
            }
            ["JUMPIF", label] => {
                self.jumps.push((self.code.len(), (*label).to_owned()));
                Instruction::JumpIf(0)
            }
            other => panic!("no instruction {other:?}"),
        }
    }

    fn executable(self, text: &str) -> Executable {
        Executable {
            source: Source::new("test.hk", text),
            names: self.names,
            functions: self.functions,
            foreign: self.foreign,
            bindings: self.bindings,
            code: self.code,
            spans: self.spans,
        }
    }
}

fn literal_of(text: &str) -> Literal {
    match text {
        "null" => Literal::Null,
        "true" => Literal::Boolean(true),
        "false" => Literal::Boolean(false),
        _ if text.starts_with('"') => Literal::String(text.trim_matches('"').into()),
        _ => match text.parse() {
            Ok(integer) => Literal::Integer(integer),
            Err(_) => Literal::Float(text.parse().unwrap()),
        },
    }
}
