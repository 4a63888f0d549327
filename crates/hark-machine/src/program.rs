//! A program as the machine executes it: the portable executable, and register code made from it on the first call.

mod analysis;
mod counting;
mod fuse;
pub(crate) mod handlers;
mod lower;
pub(crate) mod operation;
mod site;
mod stack;
mod verify;

use std::collections::HashMap;
use std::sync::OnceLock;

use hark_bytecode::{
    Attributes, Executable, ExecutableError, ExecutableHash, FunctionIndex, Global, LocalSet, Pattern,
};

use crate::caught::Vocabulary;
use crate::value::Value;
use analysis::Analysis;
pub(crate) use counting::{Counting, Term};
use handlers::Handlers;
use operation::Operation;
pub(crate) use site::{Captured, CloseSite};
pub(crate) use stack::{Place, StackLayouts};

/// A program, ready to run.
#[derive(Debug)]
pub struct Program {
    executable: Executable,
    /// The global meaning of each name.
    globals: Vec<Option<Global>>,
    hash: OnceLock<ExecutableHash>,
    vocabulary: OnceLock<Vocabulary>,
    has_limits: bool,
    has_priorities: bool,
    has_places: bool,
    has_tries: bool,
    form: Form,
    fused: Vec<OnceLock<Code>>,
    /// Made when a thread must continue inside a fused operation.
    plain: Vec<OnceLock<Code>>,
}

/// How closely the register code follows the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Optimized: some instructions vanish, others are fused.
    Fused,
    /// At least one operation per instruction, so that a thread can stop between any two.
    Plain,
}

/// The register code of one function.
#[derive(Debug)]
pub(crate) struct Code {
    pub parameters: u32,
    /// The number of arguments of a plain call: as many as there are parameters. For a function that takes its
    /// arguments as a list, a number that no call has.
    pub arguments: u32,
    pub operations: Vec<Operation>,
    /// The portable state at each operation. Invariant: as long as `operations`, and sorted.
    pub points: Vec<Point>,
    pub constants: Vec<Value>,
    /// The number of registers of a record.
    pub registers: u32,
    /// The locals with a flag that says whether they are bound. The flag of local `n` is register `n` plus the number
    /// of locals.
    pub flagged: Vec<u32>,
    /// The sets of locals kept by `DropAllBut` operations.
    pub kept: Vec<LocalSet>,
    /// The places where closures are made.
    pub sites: Vec<CloseSite>,
    /// The destructuring patterns.
    pub patterns: Vec<std::sync::Arc<Pattern>>,
    /// The error handlers.
    pub handlers: Handlers,
    pub layouts: StackLayouts,
    /// The first operation of each block, by its first instruction. (The end of the preceding block may have the same
    /// instruction, but is not part of this block.)
    pub starts: HashMap<u32, u32>,
    /// The number of operations before those reached only by errors. Both parts are in the order of the portable code.
    pub usual: usize,
    /// The summary of its loop, if that only counts.
    pub counting: Option<Counting>,
    pub analysis: Analysis,
}

/// The state of the portable machine before an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// The next portable instruction.
    pub instruction: u32,
    /// Where the values of the portable data stack are.
    pub stack: stack::LayoutId,
}

/// A function in one of the two forms. Invariant: the ids of all fused forms come before those of all plain forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeId(pub u32);

impl Code {
    /// The first operation exactly at this portable instruction, if there is one.
    pub fn operation_at(&self, instruction: u32) -> Option<usize> {
        if let Some(start) = self.starts.get(&instruction) {
            let point = self.points.get(*start as usize)?;
            return (point.instruction == instruction).then_some(*start as usize);
        }
        let (usual, rare) = self.points.split_at(self.usual);
        let place_in = |points: &[Point]| {
            let index = points.partition_point(|point| point.instruction < instruction);
            points.get(index).filter(|point| point.instruction == instruction).map(|_| index)
        };
        place_in(usual).or_else(|| place_in(rare).map(|index| self.usual + index))
    }

    /// Whether a portable instruction begins at this operation: a thread that is saved here and restored continues at
    /// this operation or a later one.
    pub fn begins_instruction(&self, operation: usize) -> bool {
        let instruction = self.points[operation].instruction;
        let before = operation.checked_sub(1).and_then(|before| self.points.get(before));
        before.is_none_or(|before| before.instruction != instruction)
            || self.starts.get(&instruction).is_some_and(|start| *start as usize == operation)
    }
}

impl Program {
    /// Prepares a program for execution.
    ///
    /// # Errors
    /// If the executable is malformed, which our compiler never produces.
    pub fn new(executable: Executable) -> Result<Program, ExecutableError> {
        Program::with_form(executable, Form::Fused)
    }

    /// Prepares a program in the given form.
    ///
    /// # Errors
    /// As for [`Program::new`].
    pub fn with_form(executable: Executable, form: Form) -> Result<Program, ExecutableError> {
        executable.verify()?;
        analysis::verify_shapes(&executable)?;
        let slots = || executable.functions.iter().map(|_| OnceLock::new()).collect();
        let (fused, plain) = (slots(), slots());
        // Wrapper functions have the attributes of their imports.
        let has =
            |attribute: fn(&Attributes) -> bool| executable.functions.iter().any(|each| attribute(&each.attributes));
        let has_limits = has(|attributes| attributes.limit.is_some() || attributes.rate.is_some());
        let has_priorities = has(|attributes| attributes.priority.is_some());
        let has_place = |attributes: &Attributes| attributes.pool.is_some() || attributes.memory_megabytes.is_some();
        let has_places = has(has_place) || executable.foreign.iter().any(|import| has_place(&import.attributes));
        let has_tries = executable.functions.iter().any(|function| function.is_try);
        Ok(Program {
            globals: executable.globals(),
            hash: OnceLock::new(),
            vocabulary: OnceLock::new(),
            has_limits,
            has_priorities,
            has_places,
            has_tries,
            form,
            fused,
            plain,
            executable,
        })
    }

    /// The portable program.
    pub fn executable(&self) -> &Executable {
        &self.executable
    }

    /// Whether some function or import has a `#[limit]` or `#[rate]`.
    pub fn has_limits(&self) -> bool {
        self.has_limits
    }

    /// Whether some function or import has a `#[priority]`.
    pub fn has_priorities(&self) -> bool {
        self.has_priorities
    }

    /// Whether some function or import has a `#[pool]` or `#[memory]`.
    pub fn has_places(&self) -> bool {
        self.has_places
    }

    /// Whether some function may run in a thread that is an attempt of another thread's call.
    pub fn has_tries(&self) -> bool {
        self.has_tries
    }

    /// The hash that identifies the executable.
    pub fn hash(&self) -> &ExecutableHash {
        self.hash.get_or_init(|| self.executable.hash())
    }

    /// The constants that caught errors are built from.
    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| Vocabulary::new(&self.executable))
    }

    /// The first bytes of the hash, by which a snapshot identifies its program.
    pub(crate) fn fingerprint(&self) -> u64 {
        let hash = self.hash().0;
        u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
    }

    /// The code for a call of this function.
    #[inline(always)]
    pub(crate) fn entry(&self, function: u32) -> (CodeId, &Code) {
        let id = match self.form {
            Form::Fused => CodeId(function),
            Form::Plain => self.plain_id(FunctionIndex(function)),
        };
        (id, self.code(id))
    }

    /// The code with this id, made on first use.
    #[inline(always)]
    pub(crate) fn code(&self, id: CodeId) -> &Code {
        let index = id.0 as usize;
        match self.fused.get(index) {
            Some(slot) => match slot.get() {
                Some(code) => code,
                None => self.make(id),
            },
            None => self.make(id),
        }
    }

    #[cold]
    #[inline(never)]
    fn make(&self, id: CodeId) -> &Code {
        let function = self.function_of(id);
        let index = function.0 as usize;
        if (id.0 as usize) < self.fused.len() {
            self.fused[index].get_or_init(|| lower::lower(&self.executable, &self.globals, function, Form::Fused))
        } else {
            self.plain[index].get_or_init(|| lower::lower(&self.executable, &self.globals, function, Form::Plain))
        }
    }

    pub(crate) fn fused_id(&self, function: FunctionIndex) -> CodeId {
        CodeId(function.0)
    }

    pub(crate) fn plain_id(&self, function: FunctionIndex) -> CodeId {
        CodeId(function.0 + self.fused.len() as u32)
    }

    /// The function of this code.
    pub(crate) fn function_of(&self, id: CodeId) -> FunctionIndex {
        FunctionIndex(id.0 % self.fused.len() as u32)
    }

    /// The code ids to try when a thread continues at an instruction, the preferred one first.
    pub(crate) fn codes_to_resume(&self, function: FunctionIndex) -> [CodeId; 2] {
        match self.form {
            Form::Fused => [self.fused_id(function), self.plain_id(function)],
            Form::Plain => [self.plain_id(function), self.plain_id(function)],
        }
    }
}
