//! A whole compiled program.

use std::sync::Arc;

use crate::builtins::Builtin;
use crate::{Attributes, Instruction, Literal, Operator, Sources, Span};

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
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name; `lambda` for a `lambda`.
    pub name: Arc<str>,
    /// The names of its parameters. Its code begins with `BIND`, `POP` for each, the last one first.
    pub parameters: Vec<NameIndex>,
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

    /// Checks every index and jump, so that a machine may rely on them.
    ///
    /// # Errors
    /// If anything points outside, a function does not end in `RETURN` or `JUMP`, or stack heights disagree where
    /// paths meet.
    pub fn verify(&self) -> Result<(), ExecutableError> {
        let bad = |what: String| Err(ExecutableError(what));
        if self.spans.len() != self.code.len() {
            return bad("spans and instructions differ in number".into());
        }
        for (name, binding) in &self.bindings {
            let inside = match binding {
                Binding::Function(function) => (function.0 as usize) < self.functions.len(),
                Binding::Foreign(foreign) => (foreign.0 as usize) < self.foreign.len(),
                Binding::Builtin(_) => true,
            };
            if !inside || name.0 as usize >= self.names.len() {
                return bad("a binding points outside".into());
            }
        }
        if let Some(foreign) = self.foreign.iter().find(|foreign| foreign.arity > FOREIGN_ARITY_MAX) {
            return bad(format!("import {} takes too many arguments", foreign.name));
        }
        let mut next = 0;
        for function in &self.functions {
            if function.start != next || function.end <= function.start || function.end as usize > self.code.len() {
                return bad(format!("function {} has no proper place in the code", function.name));
            }
            next = function.end;
            if function.foreign.is_some_and(|foreign| foreign.0 as usize >= self.foreign.len())
                || function.parameters.iter().any(|name| name.0 as usize >= self.names.len())
            {
                return bad(format!("function {} points outside", function.name));
            }
            for at in function.start..function.end {
                self.verify_operands(function, at)?;
            }
            self.verify_heights(function)?;
        }
        if next as usize != self.code.len() {
            return bad("code outside of every function".into());
        }
        Ok(())
    }

    /// Checks what an instruction mentions, whether any path leads to it or not.
    fn verify_operands(&self, function: &Function, at: u32) -> Result<(), ExecutableError> {
        let bad = |what: &str| Err(ExecutableError(format!("instruction {at}: {what}")));
        match &self.code[at as usize] {
            Instruction::PushValue(Literal::Function(index)) if index.0 as usize >= self.functions.len() => {
                bad("no such function")
            }
            Instruction::PushBinding(name) | Instruction::Bind(name) if name.0 as usize >= self.names.len() => {
                bad("no such name")
            }
            Instruction::Jump(distance)
            | Instruction::JumpIf(distance)
            | Instruction::And(distance)
            | Instruction::Or(distance)
                if !(i64::from(function.start)..i64::from(function.end)).contains(&target(at, *distance)) =>
            {
                bad("a jump leads out of its function")
            }
            _ => Ok(()),
        }
    }

    /// Follows every path through a function, with the height of the stack at each instruction.
    fn verify_heights(&self, function: &Function) -> Result<(), ExecutableError> {
        let bad = |at: u32, what: &str| Err(ExecutableError(format!("instruction {at}: {what}")));
        let (start, end) = (function.start, function.end);
        let mut heights: Vec<Option<u32>> = vec![None; (end - start) as usize];
        let entry =
            if function.foreign.is_some() { self.foreign_arity(function) } else { function.parameters.len() as u32 };
        let mut open = vec![(start, entry)];
        while let Some((at, height)) = open.pop() {
            if at >= end {
                return bad(at, "a path leaves its function");
            }
            let known = &mut heights[(at - start) as usize];
            match known {
                Some(known) if *known == height => continue,
                Some(_) => return bad(at, "paths meet with stacks of different heights"),
                None => *known = Some(height),
            }
            let need = |count: u32| if height < count { bad(at, "the stack is too low") } else { Ok(()) };
            // Inside of the function, as was checked before.
            let target = |distance: i32| target(at, distance) as u32;
            match &self.code[at as usize] {
                Instruction::PushValue(_) | Instruction::PushBinding(_) => open.push((at + 1, height + 1)),
                Instruction::Bind(_) => {
                    need(1)?;
                    open.push((at + 1, height));
                }
                Instruction::Pop => {
                    need(1)?;
                    open.push((at + 1, height - 1));
                }
                Instruction::Call(count) | Instruction::AsyncCall(count) => {
                    let Some(operands) = count.checked_add(1) else { return bad(at, "too many arguments") };
                    need(operands)?;
                    open.push((at + 1, height - count));
                }
                Instruction::Wait => {
                    need(1)?;
                    open.push((at + 1, height));
                }
                Instruction::Jump(distance) => open.push((target(*distance), height)),
                Instruction::JumpIf(distance) => {
                    need(1)?;
                    open.push((target(*distance), height - 1));
                    open.push((at + 1, height - 1));
                }
                Instruction::And(distance) | Instruction::Or(distance) => {
                    need(1)?;
                    open.push((target(*distance), height));
                    open.push((at + 1, height - 1));
                }
                Instruction::Return => {
                    if height != 1 {
                        return bad(at, "a return needs exactly one value");
                    }
                }
            }
        }
        Ok(())
    }

    fn foreign_arity(&self, function: &Function) -> u32 {
        function.foreign.map_or(0, |foreign| self.foreign[foreign.0 as usize].arity)
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

/// Where a jump leads: distances count from the instruction behind it.
fn target(at: u32, distance: i32) -> i64 {
    i64::from(at) + 1 + i64::from(distance)
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
