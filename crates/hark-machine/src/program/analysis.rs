//! Data-flow analysis of a function's locals in the portable code: where each is definitely bound, and where it is read
//! for the last time. Jumps lead forward, so one pass over the basic blocks in each direction is enough.
//!
//! An error may lead from any instruction in a handler's range to the handler. So the locals that the handler reads are
//! live throughout the range, even where they are bound again, and only those bound at the start of the range are
//! definitely bound in the handler.

use std::collections::HashMap;

use hark_bytecode::{
    Executable, ExecutableError, Function, FunctionIndex, HandlerIndex, Instruction, LocalSet, NameIndex,
};

/// A basic block: entered only at its start and left only at its end.
#[derive(Debug)]
pub(crate) struct Block {
    pub start: u32,
    pub end: u32,
    /// The height of the data stack at the start.
    pub height: u32,
    successors: Vec<usize>,
    /// The block that handles errors raised in this one.
    handler: Option<usize>,
    /// The locals that are live at the start.
    pub live_in: LocalSet,
    /// The locals that may hold a value at the start although they are dead.
    pub stale: Stale,
}

/// Locals to be dropped at the start of a block.
#[derive(Debug)]
pub(crate) enum Stale {
    /// These locals, in order.
    Some(Vec<u32>),
    /// Possibly all that are not live there.
    Many,
}

/// Longer lists of stale locals are replaced by `Many`: in a chain of conditions, each block may have to drop
/// everything that the others need.
const STALE_LISTED_MAX: usize = 24;

/// Properties of a read or a binding of a local.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Use {
    /// Whether the local's value is not read afterwards.
    pub is_last: bool,
    /// Whether there is a path to here on which the local is unbound.
    pub may_be_unbound: bool,
}

/// The analysis of one function.
#[derive(Debug)]
pub(crate) struct Analysis {
    pub locals: Vec<NameIndex>,
    pub register_of: HashMap<NameIndex, u32>,
    /// Only reachable blocks, in the order of the code.
    pub blocks: Vec<Block>,
    /// One for each instruction of the function; meaningful for `PUSHB` and `BIND` of a local.
    pub uses: Vec<Use>,
    /// The captures of each `CLOSE`: the local that each capture of the lambda reads, if the function has one of that
    /// name.
    pub captured: HashMap<u32, Vec<Option<(u32, Use)>>>,
    /// The maximum height of the data stack.
    pub height_max: u32,
}

/// The first instruction after the code that binds the parameters.
pub(super) fn body_start(function: &Function) -> u32 {
    function.start + 2 * function.parameters.len() as u32
}

/// Checks that each function begins by binding each of its parameters once, that captures have distinct names that are
/// not parameters, and that jumps lead forward. The exception is a `JUMP` to the function's start, which uses fuel; a
/// function with captures must not do that, because it would lose them. The executable must be verified.
pub(super) fn verify_shapes(executable: &Executable) -> Result<(), ExecutableError> {
    for function in &executable.functions {
        let bad = |what: &str| Err(ExecutableError(format!("function {}: {what}", function.name)));
        if function.foreign.is_some() && !function.parameters.is_empty() {
            return bad("an import binds no parameters");
        }
        let mut seen = std::collections::HashSet::new();
        for (position, name) in function.parameters.iter().rev().enumerate() {
            let at = function.start as usize + 2 * position;
            if executable.code.get(at..at + 2) != Some(&[Instruction::Bind(*name), Instruction::Pop]) {
                return bad("its parameters are not bound");
            }
            if !seen.insert(*name) {
                return bad("two parameters have one name");
            }
        }
        if function.captures.iter().any(|capture| !seen.insert(capture.name)) {
            return bad("a capture has a name that is taken");
        }
        let body = body_start(function);
        if body >= function.end {
            return bad("it has no body");
        }
        for at in body..function.end {
            let instruction = &executable.code[at as usize];
            let may_repeat = function.foreign.is_none()
                && function.captures.is_empty()
                && matches!(instruction, Instruction::Jump(_));
            let is_proper = jump_target(at, instruction)
                .is_none_or(|target| target > at || (may_repeat && target == function.start));
            if !is_proper {
                return bad("a jump leads backwards");
            }
        }
    }
    Ok(())
}

/// The target of a jump instruction.
pub(super) fn jump_target(at: u32, instruction: &Instruction) -> Option<u32> {
    match instruction {
        Instruction::Jump(distance)
        | Instruction::JumpIf(distance)
        | Instruction::And(distance)
        | Instruction::Or(distance) => Some((i64::from(at) + 1 + i64::from(*distance)) as u32),
        _ => None,
    }
}

/// Analyzes one function. The executable must be verified.
pub(super) fn analyze(executable: &Executable, function: &Function) -> Analysis {
    let locals = find_locals(executable, function);
    let register_of: HashMap<NameIndex, u32> =
        locals.iter().enumerate().map(|(index, name)| (*name, index as u32)).collect();
    let handlers = HandlerIndex::new(function).expect("the executable is verified");
    let (blocks, height_max) = find_blocks(executable, function, &handlers, locals.len());
    let uses = vec![Use::default(); (function.end - function.start) as usize];
    let captured = find_captured(executable, function, &register_of);
    let mut analysis = Analysis { locals, register_of, blocks, uses, captured, height_max };
    analysis.find_bound(executable, function);
    analysis.find_live(executable, function);
    analysis
}

/// The locals: the parameters, the captures, then all other names that the code binds.
fn find_locals(executable: &Executable, function: &Function) -> Vec<NameIndex> {
    let mut locals = function.parameters.clone();
    locals.extend(function.captures.iter().map(|capture| capture.name));
    let mut seen: std::collections::HashSet<NameIndex> = locals.iter().copied().collect();
    for instruction in &executable.code[body_start(function) as usize..function.end as usize] {
        if let Instruction::Bind(name) = instruction
            && seen.insert(*name)
        {
            locals.push(*name);
        }
    }
    locals
}

/// The captures of each `CLOSE`, with their uses still to be determined.
fn find_captured(
    executable: &Executable,
    function: &Function,
    register_of: &HashMap<NameIndex, u32>,
) -> HashMap<u32, Vec<Option<(u32, Use)>>> {
    let closes = (function.start..function.end).filter_map(|at| match executable.code[at as usize] {
        Instruction::Close(lambda) => Some((at, lambda)),
        _ => None,
    });
    let locals = |lambda: FunctionIndex| {
        let captures = executable.functions[lambda.0 as usize].captures.iter();
        captures.map(|capture| register_of.get(&capture.name).map(|local| (*local, Use::default()))).collect()
    };
    closes.map(|(at, lambda)| (at, locals(lambda))).collect()
}

/// The height of the stack after an instruction that continues with the next one.
fn height_after(instruction: &Instruction, height: u32) -> u32 {
    match instruction {
        Instruction::PushValue(_) | Instruction::PushBinding(_) | Instruction::Close(_) => height + 1,
        Instruction::Unpack(pattern) => height + pattern.names() as u32,
        Instruction::Pop | Instruction::JumpIf(_) | Instruction::And(_) | Instruction::Or(_) => height - 1,
        Instruction::Call(count) | Instruction::AsyncCall(count) => height - count,
        Instruction::Bind(_) | Instruction::Wait | Instruction::Jump(_) | Instruction::Return => height,
    }
}

fn find_blocks(
    executable: &Executable,
    function: &Function,
    handlers: &HandlerIndex,
    locals: usize,
) -> (Vec<Block>, u32) {
    let body = body_start(function);
    let entry_height = match function.foreign {
        Some(foreign) => executable.foreign[foreign.0 as usize].arity,
        None => 0,
    };
    let size = (function.end - function.start) as usize;
    let mut leaders = vec![false; size + 1];
    leaders[(body - function.start) as usize] = true;
    for handler in &function.handlers {
        for at in [handler.start, handler.end, handler.target] {
            leaders[(at - function.start) as usize] = true;
        }
    }
    for at in body..function.end {
        let instruction = &executable.code[at as usize];
        if let Some(target) = jump_target(at, instruction) {
            leaders[(at + 1 - function.start) as usize] = true;
            if target != function.start {
                leaders[(target - function.start) as usize] = true;
            }
        } else if matches!(instruction, Instruction::Return) {
            leaders[(at + 1 - function.start) as usize] = true;
        }
    }
    let mut heights: Vec<Option<u32>> = vec![None; size];
    let mut height_max = entry_height;
    let mut open = vec![(body, entry_height)];
    let mut blocks = Vec::new();
    while let Some((start, height)) = open.pop() {
        let known = &mut heights[(start - function.start) as usize];
        if known.is_some() {
            continue;
        }
        *known = Some(height);
        let handler = handlers.innermost(start).map(|index| &function.handlers[index]);
        if let Some(handler) = handler {
            open.push((handler.target, handler.height + 1));
            height_max = height_max.max(handler.height + 1);
        }
        let (mut at, mut height_now) = (start, height);
        let ends = loop {
            let instruction = &executable.code[at as usize];
            let target = jump_target(at, instruction).filter(|target| *target != function.start);
            if let Some(target) = target {
                // AND and OR jump with their operand still on the stack; JUMPIF pops it first.
                let at_target = match instruction {
                    Instruction::JumpIf(_) => height_now - 1,
                    _ => height_now,
                };
                open.push((target, at_target));
            }
            height_now = height_after(instruction, height_now);
            height_max = height_max.max(height_now);
            at += 1;
            if matches!(instruction, Instruction::Return | Instruction::Jump(_)) {
                break target.into_iter().collect::<Vec<u32>>();
            }
            if leaders[(at - function.start) as usize] {
                open.push((at, height_now));
                break target.into_iter().chain([at]).collect();
            }
        };
        blocks.push((start, at, height, ends, handler.map(|handler| handler.target)));
    }
    blocks.sort_unstable_by_key(|block| block.0);
    let index_of: HashMap<u32, usize> = blocks.iter().enumerate().map(|(index, block)| (block.0, index)).collect();
    let blocks = blocks
        .into_iter()
        .map(|(start, end, height, ends, handler)| Block {
            start,
            end,
            height,
            successors: ends.iter().map(|end| index_of[end]).collect(),
            handler: handler.map(|target| index_of[&target]),
            live_in: LocalSet::empty(locals),
            stale: Stale::Some(Vec::new()),
        })
        .collect();
    (blocks, height_max)
}

/// Intersects the bound locals of a block with those of another path to it.
fn meet(known: &mut Option<LocalSet>, bound: &LocalSet) {
    match known {
        Some(known) => known.intersect(bound),
        unseen => *unseen = Some(bound.clone()),
    }
}

impl Block {
    /// Whether errors raised in it may be caught in this function.
    pub fn has_handler(&self) -> bool {
        self.handler.is_some()
    }
}

impl Stale {
    fn extend(&mut self, more: Vec<u32>) {
        let Stale::Some(known) = self else { return };
        known.extend(more);
        known.sort_unstable();
        known.dedup();
        if known.len() > STALE_LISTED_MAX {
            *self = Stale::Many;
        }
    }
}

impl Analysis {
    fn local_of(&self, instruction: &Instruction) -> Option<u32> {
        match instruction {
            Instruction::PushBinding(name) | Instruction::Bind(name) => self.register_of.get(name).copied(),
            _ => None,
        }
    }

    /// Forward pass: which locals are bound on every path to an instruction.
    fn find_bound(&mut self, executable: &Executable, function: &Function) {
        // The locals bound on all paths to each block that were followed so far.
        let mut bound_in: Vec<Option<LocalSet>> = vec![None; self.blocks.len()];
        bound_in[0] = Some(self.bound_at_start(function));
        for index in 0..self.blocks.len() {
            let Some(mut bound) = bound_in[index].take() else { continue };
            if let Some(handler) = self.blocks[index].handler {
                meet(&mut bound_in[handler], &bound);
            }
            for at in self.blocks[index].start..self.blocks[index].end {
                let instruction = &executable.code[at as usize];
                if let Instruction::Close(_) = instruction {
                    for (local, used) in self.captured.get_mut(&at).into_iter().flatten().flatten() {
                        used.may_be_unbound = !bound.contains(*local);
                    }
                }
                let Some(local) = self.local_of(instruction) else { continue };
                let used = &mut self.uses[(at - function.start) as usize];
                used.may_be_unbound = !bound.contains(local);
                if matches!(instruction, Instruction::Bind(_)) {
                    bound.insert(local);
                }
            }
            for successor in &self.blocks[index].successors {
                meet(&mut bound_in[*successor], &bound);
            }
        }
    }

    /// The parameters and the captures that are certain.
    fn bound_at_start(&self, function: &Function) -> LocalSet {
        let mut bound = LocalSet::empty(self.locals.len());
        let parameters = function.parameters.len();
        (0..parameters as u32).for_each(|parameter| bound.insert(parameter));
        let captures = (parameters as u32..).zip(&function.captures);
        captures.filter(|(_, capture)| capture.is_certain).for_each(|(local, _)| bound.insert(local));
        bound
    }

    /// The parameters and all captures.
    fn held_at_start(&self, function: &Function) -> LocalSet {
        let mut held = LocalSet::empty(self.locals.len());
        let count = function.parameters.len() + function.captures.len();
        (0..count as u32).for_each(|local| held.insert(local));
        held
    }

    /// Backward pass: which locals are read later.
    fn find_live(&mut self, executable: &Executable, function: &Function) {
        for index in (0..self.blocks.len()).rev() {
            let mut live = self.live_at_end(index);
            for at in (self.blocks[index].start..self.blocks[index].end).rev() {
                let instruction = &executable.code[at as usize];
                if let Instruction::Close(_) = instruction {
                    for (local, used) in self.captured.get_mut(&at).into_iter().flatten().flatten() {
                        used.is_last = !live.contains(*local);
                        live.insert(*local);
                    }
                }
                let Some(local) = self.local_of(instruction) else { continue };
                self.uses[(at - function.start) as usize].is_last = !live.contains(local);
                match instruction {
                    Instruction::Bind(_) if self.is_kept(index, local) => {}
                    Instruction::Bind(_) => _ = live.remove(local),
                    _ => live.insert(local),
                }
            }
            self.blocks[index].live_in = live;
        }
        self.find_stale(function);
    }

    /// The locals that are live at the end of a block, including those that its handler reads.
    fn live_at_end(&self, index: usize) -> LocalSet {
        let mut live = match self.blocks[index].handler {
            Some(handler) => self.blocks[handler].live_in.clone(),
            None => LocalSet::empty(self.locals.len()),
        };
        for successor in &self.blocks[index].successors {
            live.unite(&self.blocks[*successor].live_in);
        }
        live
    }

    /// For each block, whether it can be reached without an error.
    pub fn reached_without_errors(&self) -> Vec<bool> {
        let mut reached = vec![false; self.blocks.len()];
        reached[0] = true;
        // Jumps lead forward.
        for (index, block) in self.blocks.iter().enumerate() {
            if reached[index] {
                block.successors.iter().for_each(|successor| reached[*successor] = true);
            }
        }
        reached
    }

    /// Whether the handler of a block reads a local, which must then keep its value throughout the block.
    pub fn is_kept(&self, block: usize, local: u32) -> bool {
        self.blocks[block].handler.is_some_and(|handler| self.blocks[handler].live_in.contains(local))
    }

    /// The block that contains an instruction, if it is reachable.
    pub fn block_of(&self, instruction: u32) -> Option<usize> {
        let index = self.blocks.partition_point(|block| block.end <= instruction);
        self.blocks.get(index).filter(|block| block.start <= instruction).map(|_| index)
    }

    /// Finds values that only one successor of a branch needs; the other one drops them at its start.
    fn find_stale(&mut self, function: &Function) {
        for index in 0..self.blocks.len() {
            // With a single successor and no handler, each value is dropped at its last use.
            if self.blocks[index].successors.len() < 2 && self.blocks[index].handler.is_none() {
                continue;
            }
            let live = self.live_at_end(index);
            for successor in self.blocks[index].successors.clone() {
                let block = &mut self.blocks[successor];
                block.stale.extend(live.without(&block.live_in, STALE_LISTED_MAX + 1));
            }
        }
        // A parameter or capture that is never read is dropped at once.
        let held = self.held_at_start(function);
        let first = &mut self.blocks[0];
        first.stale.extend(held.without(&first.live_in, STALE_LISTED_MAX + 1));
    }

    /// The locals that are live before an instruction. Computed on demand, because only snapshots need it.
    pub fn live_before(&self, executable: &Executable, instruction: u32) -> Option<LocalSet> {
        let index = self.block_of(instruction)?;
        let block = &self.blocks[index];
        let mut live = self.live_at_end(index);
        for at in (instruction..block.end).rev() {
            let read = &executable.code[at as usize];
            let captured = self.captured.get(&at).into_iter().flatten().flatten();
            captured.for_each(|(local, _)| live.insert(*local));
            let Some(local) = self.local_of(read) else { continue };
            match read {
                Instruction::Bind(_) if self.is_kept(index, local) => {}
                Instruction::Bind(_) => _ = live.remove(local),
                _ => live.insert(local),
            }
        }
        Some(live)
    }
}
