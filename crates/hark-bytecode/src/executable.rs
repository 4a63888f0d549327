//! A whole compiled program.

use std::sync::Arc;

use crate::builtins::Builtin;
use crate::{Attributes, Handler, Instruction, Literal, Operator, Sources, Span};

/// An index into [`Executable::functions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionIndex(pub u32);

/// An index into [`Executable::foreign`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignIndex(pub u32);

/// An index into [`Executable::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameIndex(pub u32);

/// A compiled program: immutable, and named by the hash of its encoding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Executable {
    /// What it was compiled from.
    pub sources: Sources,
    /// Every name that an instruction mentions, each once.
    pub names: Vec<Arc<str>>,
    /// The functions in the order of their code; imports have one too.
    pub functions: Vec<Function>,
    /// The imported Python functions.
    pub foreign: Vec<Foreign>,
    /// What the top level binds, in the order of the text.
    pub bindings: Vec<(NameIndex, Binding)>,
    /// All instructions, function after function.
    pub code: Vec<Instruction>,
    /// For each instruction, the text it came from. Invariant: as long as `code`.
    pub spans: Vec<Span>,
}

/// One function's stretch of the code.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Its name; `lambda` for a `lambda`.
    pub name: Arc<str>,
    /// The names of its parameters. Its code begins with `BIND`, `POP` for each, the last one first.
    pub parameters: Vec<NameIndex>,
    /// How it gets its arguments.
    pub passing: Passing,
    /// Whether it is the language's own, also where it stands for a function of the program: it does not show in traces,
    /// and its handlers get all that there is of an error.
    pub is_native: bool,
    /// Whether a thread that begins with it is one try of a call that another thread makes, with all that this one has taken.
    pub is_try: bool,
    /// The names that a lambda takes from around it. A record of the function begins with those bound that the closure
    /// has values for.
    pub captures: Vec<Capture>,
    /// Where errors go that its instructions raise; of nested ranges the innermost first.
    pub handlers: Vec<Handler>,
    /// The import that it wraps, if it does.
    pub foreign: Option<ForeignIndex>,
    /// Its first instruction.
    pub start: u32,
    /// One past its last instruction.
    pub end: u32,
    /// Where it is defined.
    pub span: Span,
    /// How its calls are to be run.
    pub attributes: Attributes,
}

/// How a function gets the arguments of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Passing {
    /// Each is a parameter.
    #[default]
    Each,
    /// The last one may be left out, and is `null` then. Only functions of the language do that.
    LastOptional,
    /// All are one list, its only parameter. It stands for an import, whose calls may have fewer arguments.
    AsList {
        /// How many they may be.
        most: u32,
    },
}

/// A name that a lambda takes from around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// The name, the same inside and around.
    pub name: NameIndex,
    /// It is bound wherever the closure is made.
    pub is_certain: bool,
}

/// An imported Python function.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// What the program calls it.
    pub name: Arc<str>,
    /// The Python module, dotted.
    pub module: Arc<str>,
    /// The attribute of that module.
    pub function: Arc<str>,
    /// The most arguments it may be called with.
    pub arity: u32,
    /// How its calls are to be run.
    pub attributes: Attributes,
}

/// What a top-level name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A Hark function.
    Function(FunctionIndex),
    /// A Python function.
    Foreign(ForeignIndex),
    /// A builtin: a module means it by a name that the main program has taken.
    Builtin(Builtin),
}

/// The most arguments of an import.
pub const FOREIGN_ARITY_MAX: u32 = u16::MAX as u32;

/// A program that no compiler of ours wrote: some index or jump leads outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid executable: {0}")]
pub struct ExecutableError(pub String);

impl Executable {
    /// What the top level binds this name to.
    pub fn binding(&self, name: &str) -> Option<Binding> {
        self.bindings.iter().find(|(bound, _)| &*self.names[bound.0 as usize] == name).map(|(_, binding)| *binding)
    }

    /// The text of a name.
    pub fn name(&self, index: NameIndex) -> &str {
        &self.names[index.0 as usize]
    }

    /// The function that an instruction belongs to.
    pub fn function_at(&self, instruction: u32) -> Option<FunctionIndex> {
        let index = self.functions.partition_point(|function| function.end <= instruction);
        (index < self.functions.len()).then_some(FunctionIndex(index as u32))
    }

    /// The import that a function stands for, if it does: it takes its arguments as a list.
    pub fn wrapped_import(&self, function: FunctionIndex) -> Option<ForeignIndex> {
        let function = &self.functions[function.0 as usize];
        let mut code = self.code[function.start as usize..function.end as usize].iter();
        match function.passing {
            Passing::AsList { .. } => code.find_map(|instruction| match instruction {
                Instruction::PushValue(Literal::Foreign(index)) => Some(*index),
                _ => None,
            }),
            Passing::Each | Passing::LastOptional => None,
        }
    }

    /// For each name, what it means where no record binds it: the program's own, else the builtin or operator.
    pub fn globals(&self) -> Vec<Option<Global>> {
        let mut globals: Vec<Option<Global>> = self
            .names
            .iter()
            .map(|name| {
                let operator = || Operator::from_symbol(name).map(Global::Operator);
                Builtin::from_name(name).map(Global::Builtin).or_else(operator)
            })
            .collect();
        for (name, binding) in &self.bindings {
            globals[name.0 as usize] = Some(match binding {
                Binding::Function(function) => Global::Function(*function),
                Binding::Foreign(foreign) => Global::Foreign(*foreign),
                Binding::Builtin(builtin) => Global::Builtin(*builtin),
            });
        }
        globals
    }
}

/// What a name means where no record binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// A function of the program.
    Function(FunctionIndex),
    /// An import of the program.
    Foreign(ForeignIndex),
    /// A builtin of the language.
    Builtin(Builtin),
    /// An operator of the language.
    Operator(Operator),
}
