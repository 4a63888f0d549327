//! The error handlers of a function's register code.

use hark_bytecode::{Executable, Function, HandlerIndex, Instruction, LocalSet};

use super::analysis::Analysis;
use super::operation::Register;

/// The handlers of a function.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    index: HandlerIndex,
    /// One for each handler of the function; `None` if no reachable instruction leads to it.
    catches: Vec<Option<Catch>>,
}

/// How a record continues after an error.
#[derive(Debug)]
pub(crate) struct Catch {
    /// The operation to continue with.
    pub target: u32,
    /// The register for the error. Later registers are empty then.
    pub register: Register,
    /// The locals that are read from there on. All others are empty.
    pub live: LocalSet,
    /// Whether the handler uses the error.
    pub needs_error: bool,
}

impl Handlers {
    /// The handlers of a function whose stack begins at register `own_base`. `starts` maps blocks to their first
    /// operations.
    pub fn new(
        executable: &Executable,
        function: &Function,
        analysis: &Analysis,
        own_base: Register,
        starts: impl Fn(u32) -> Option<u32>,
    ) -> Handlers {
        if function.handlers.is_empty() {
            return Handlers::default();
        }
        let catches = function.handlers.iter().map(|handler| {
            let block = &analysis.blocks[analysis.block_of(handler.target)?];
            Some(Catch {
                target: starts(handler.target)?,
                register: own_base + handler.height,
                live: block.live_in.clone(),
                needs_error: is_read(executable, function, analysis, handler.target),
            })
        });
        let catches = catches.collect();
        Handlers { index: HandlerIndex::new(function).expect("the executable is verified"), catches }
    }

    /// The handler for an error raised by this instruction.
    #[inline]
    pub fn catch(&self, instruction: u32) -> Option<&Catch> {
        if self.catches.is_empty() {
            return None;
        }
        self.catches[self.index.innermost(instruction)?].as_ref()
    }

    /// All reachable handlers.
    pub fn catches(&self) -> impl Iterator<Item = &Catch> {
        self.catches.iter().flatten()
    }
}

/// Whether the handler's code uses the error: it may drop it at once, or bind it to a name that is never read.
fn is_read(executable: &Executable, function: &Function, analysis: &Analysis, target: u32) -> bool {
    match &executable.code[target as usize] {
        Instruction::Pop => false,
        Instruction::Bind(_) if analysis.uses[(target - function.start) as usize].is_last => {
            !matches!(executable.code.get(target as usize + 1), Some(Instruction::Pop))
        }
        _ => true,
    }
}
