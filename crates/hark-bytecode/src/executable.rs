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

/// A compiled program: immutable, and identified by the hash of its encoding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Executable {
    /// The source files it was compiled from.
    pub sources: Sources,
    /// Every name that an instruction mentions, without duplicates.
    pub names: Vec<Arc<str>>,
    /// The functions in the order of their code, including a wrapper function for each import.
    pub functions: Vec<Function>,
    /// The imported Python functions.
    pub foreign: Vec<Foreign>,
    /// The top-level bindings, in source order.
    pub bindings: Vec<(NameIndex, Binding)>,
    /// All instructions, one function after the other.
    pub code: Vec<Instruction>,
    /// The source span of each instruction. Invariant: as long as `code`.
    pub spans: Vec<Span>,
}

/// A function: a range of the code, and its properties.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Function {
    /// Its name; `lambda` for a `lambda`.
    pub name: Arc<str>,
    /// The names of its parameters. Its code begins with a `BIND`, `POP` pair for each, in reverse order.
    pub parameters: Vec<NameIndex>,
    /// How it takes its arguments.
    pub passing: Passing,
    /// Whether it belongs to the language and not to the program (also if it wraps a function of the program): traces
    /// leave it out, and its handlers receive an error with all internal details.
    pub is_native: bool,
    /// Whether a thread that begins with it is one attempt of another thread's call, and shares the limits that thread
    /// has acquired.
    pub is_try: bool,
    /// The variables that a lambda captures. A record of the function begins with those bound that have a value in the
    /// closure.
    pub captures: Vec<Capture>,
    /// The error handlers for its instructions; of nested ranges the innermost comes first.
    pub handlers: Vec<Handler>,
    /// The import that it wraps, if any.
    pub foreign: Option<ForeignIndex>,
    /// Its first instruction.
    pub start: u32,
    /// One past its last instruction.
    pub end: u32,
    /// Where it is defined in the source.
    pub span: Span,
    /// How its calls are executed.
    pub attributes: Attributes,
}

/// How a function takes the arguments of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Passing {
    /// Each argument is a parameter.
    #[default]
    Each,
    /// The last argument may be omitted and is `null` then. Only functions of the language use this.
    LastOptional,
    /// All arguments are passed as one list, the only parameter. Used for wrappers of imports, which have optional
    /// arguments.
    AsList {
        /// The maximum number of arguments.
        most: u32,
    },
}

/// A variable that a lambda captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capture {
    /// The name, which is the same inside and outside the lambda.
    pub name: NameIndex,
    /// Whether it is bound on every path to the place where the closure is made.
    pub is_certain: bool,
}

/// An imported Python function.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreign {
    /// The name in the program.
    pub name: Arc<str>,
    /// The dotted name of the Python module.
    pub module: Arc<str>,
    /// The attribute of that module.
    pub function: Arc<str>,
    /// The maximum number of arguments.
    pub arity: u32,
    /// How its calls are executed.
    pub attributes: Attributes,
}

/// The meaning of a top-level name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A Hark function.
    Function(FunctionIndex),
    /// A Python function.
    Foreign(ForeignIndex),
    /// A builtin, under an alias for modules, because the main program has redefined its name.
    Builtin(Builtin),
}

/// The maximum number of arguments of an import.
pub const FOREIGN_ARITY_MAX: u32 = u16::MAX as u32;

/// The executable is malformed: an index or a jump leads outside it. Our compiler never produces one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid executable: {0}")]
pub struct ExecutableError(pub String);

impl Executable {
    /// The top-level binding of this name.
    pub fn binding(&self, name: &str) -> Option<Binding> {
        self.bindings.iter().find(|(bound, _)| &*self.names[bound.0 as usize] == name).map(|(_, binding)| *binding)
    }

    /// The text of a name.
    pub fn name(&self, index: NameIndex) -> &str {
        &self.names[index.0 as usize]
    }

    /// The function that contains an instruction.
    pub fn function_at(&self, instruction: u32) -> Option<FunctionIndex> {
        let index = self.functions.partition_point(|function| function.end <= instruction);
        (index < self.functions.len()).then_some(FunctionIndex(index as u32))
    }

    /// The import that a function wraps, if any: such a function takes its arguments as a list.
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

    /// The global meaning of each name: the program's own binding, else the builtin or operator.
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

/// The meaning of a name that is not bound in a record.
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
