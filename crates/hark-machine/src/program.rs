//! A program as the machine runs it: the portable executable, and register code made from it when first called.

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
    /// What each name means where no record binds it.
    globals: Vec<Option<Global>>,
    hash: OnceLock<ExecutableHash>,
    vocabulary: OnceLock<Vocabulary>,
    has_limits: bool,
    has_priorities: bool,
    has_tries: bool,
    form: Form,
    fused: Vec<OnceLock<Code>>,
    /// Made where a thread must go on at a place that lies inside of a fused operation.
    plain: Vec<OnceLock<Code>>,
}

/// How closely the register code follows the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As fast as we can: some instructions vanish, some are done together.
    Fused,
    /// An operation for each instruction at least, so that a thread can stop between any two.
    Plain,
}

/// The register code of one function.
#[derive(Debug)]
pub(crate) struct Code {
    pub parameters: u32,
    /// As many arguments as there are parameters, each for one of them; of a function that takes them as a list, more than
    /// any call has.
    pub arguments: u32,
    pub operations: Vec<Operation>,
    /// Where each operation stands in the portable program. Invariant: as long as `operations`, and sorted.
    pub points: Vec<Point>,
    pub constants: Vec<Value>,
    /// How many registers a record of this function has.
    pub registers: u32,
    /// The locals that have a flag, which says whether they are bound; a local's flag is as many registers after it
    /// as there are locals.
    pub flagged: Vec<u32>,
    /// The locals that the operations which drop many keep.
    pub kept: Vec<LocalSet>,
    /// Where closures are made.
    pub sites: Vec<CloseSite>,
    /// What values are taken apart by.
    pub patterns: Vec<std::sync::Arc<Pattern>>,
    /// Where its errors go.
    pub handlers: Handlers,
    pub layouts: StackLayouts,
    /// For each instruction that a block begins with, its first operation. (What brings the block before it to its end
    /// stands at the same instruction, but is not for those who come another way.)
    pub starts: HashMap<u32, u32>,
    /// How many operations there are before those that only errors lead to. Both parts are in the order of the portable code.
    pub usual: usize,
    /// What its loop comes to, if it only counts.
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

/// Which code of which function. Invariant: functions first in their fused, then in their plain form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CodeId(pub u32);

impl Code {
    /// The first operation that stands exactly before this portable instruction, if there is one.
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

    /// Whether a portable instruction begins with this operation: a thread that is written down here and read back
    /// stands at this operation again, or further on.
    pub fn begins_instruction(&self, operation: usize) -> bool {
        let instruction = self.points[operation].instruction;
        let before = operation.checked_sub(1).and_then(|before| self.points.get(before));
        before.is_none_or(|before| before.instruction != instruction)
            || self.starts.get(&instruction).is_some_and(|start| *start as usize == operation)
    }
}

impl Program {
    /// Makes a program ready to run.
    ///
    /// # Errors
    /// If the executable is not sound, which no compiler of ours makes.
    pub fn new(executable: Executable) -> Result<Program, ExecutableError> {
        Program::with_form(executable, Form::Fused)
    }

    /// The same in a given form.
    ///
    /// # Errors
    /// As for [`Program::new`].
    pub fn with_form(executable: Executable, form: Form) -> Result<Program, ExecutableError> {
        executable.verify()?;
        analysis::verify_shapes(&executable)?;
        let slots = || executable.functions.iter().map(|_| OnceLock::new()).collect();
        let (fused, plain) = (slots(), slots());
        // The functions that imports are called by have the attributes of these.
        let has =
            |attribute: fn(&Attributes) -> bool| executable.functions.iter().any(|each| attribute(&each.attributes));
        let has_limits = has(|attributes| attributes.limit.is_some() || attributes.rate.is_some());
        let has_priorities = has(|attributes| attributes.priority.is_some());
        let has_tries = executable.functions.iter().any(|function| function.is_try);
        Ok(Program {
            globals: executable.globals(),
            hash: OnceLock::new(),
            vocabulary: OnceLock::new(),
            has_limits,
            has_priorities,
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

    /// Whether threads of it may be tries of calls.
    pub fn has_tries(&self) -> bool {
        self.has_tries
    }

    /// The portable program's name.
    pub fn hash(&self) -> &ExecutableHash {
        self.hash.get_or_init(|| self.executable.hash())
    }

    /// What caught errors are made of.
    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        self.vocabulary.get_or_init(|| Vocabulary::new(&self.executable))
    }

    /// The first bytes of the hash: what a snapshot names its program by.
    pub(crate) fn fingerprint(&self) -> u64 {
        let hash = self.hash().0;
        u64::from_le_bytes([hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7]])
    }

    /// The code that a call of this function runs.
    #[inline(always)]
    pub(crate) fn entry(&self, function: u32) -> (CodeId, &Code) {
        let id = match self.form {
            Form::Fused => CodeId(function),
            Form::Plain => self.plain_id(FunctionIndex(function)),
        };
        (id, self.code(id))
    }

    /// The code with this id, made now if it is the first time.
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

    /// The function whose code this is.
    pub(crate) fn function_of(&self, id: CodeId) -> FunctionIndex {
        FunctionIndex(id.0 % self.fused.len() as u32)
    }

    /// Which forms to try when a thread goes on at some instruction, the preferred one first.
    pub(crate) fn codes_to_resume(&self, function: FunctionIndex) -> [CodeId; 2] {
        match self.form {
            Form::Fused => [self.fused_id(function), self.plain_id(function)],
            Form::Plain => [self.plain_id(function), self.plain_id(function)],
        }
    }
}
