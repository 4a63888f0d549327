//! Where errors go in a function's register code.

use hark_bytecode::{Executable, Function, HandlerIndex, Instruction, LocalSet};

use super::analysis::Analysis;
use super::operation::Register;

/// The handlers of a function.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    index: HandlerIndex,
    /// For each handler of the function, unless nothing that can be reached leads to it.
    catches: Vec<Option<Catch>>,
}

/// Where a record goes on after an error.
#[derive(Debug)]
pub(crate) struct Catch {
    /// The operation.
    pub target: u32,
    /// The register that the error is put into. Those from it on hold nothing else.
    pub register: Register,
    /// The locals that are read from there on. The others hold nothing.
    pub live: LocalSet,
    /// Whether the error is looked at.
    pub needs_error: bool,
}

impl Handlers {
    /// Those of a function whose stack begins at `own_base`. `starts` gives a block's first operation.
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

    /// Where an error goes that this instruction raises.
    #[inline]
    pub fn catch(&self, instruction: u32) -> Option<&Catch> {
        if self.catches.is_empty() {
            return None;
        }
        self.catches[self.index.innermost(instruction)?].as_ref()
    }

    /// All that can be reached.
    pub fn catches(&self) -> impl Iterator<Item = &Catch> {
        self.catches.iter().flatten()
    }
}

/// Whether the code at a handler looks at the error: it may drop it at once, with or without a name that nobody reads.
fn is_read(executable: &Executable, function: &Function, analysis: &Analysis, target: u32) -> bool {
    match &executable.code[target as usize] {
        Instruction::Pop => false,
        Instruction::Bind(_) if analysis.uses[(target - function.start) as usize].is_last => {
            !matches!(executable.code.get(target as usize + 1), Some(Instruction::Pop))
        }
        _ => true,
    }
}
