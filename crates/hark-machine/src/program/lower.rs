//! Lowering: translates a function from portable instructions to register code.
//!
//! The data stack is executed symbolically: pushing a local or constant emits nothing until it is needed. A value that
//! needs a register of its own gets the one of its stack height, so that arguments are consecutive and become the
//! callee's first registers. Where paths meet, every value is in its own register.
//!
//! The last use of a value takes it out of its register. So a record holds nothing when it returns, and a value with
//! one owner is changed in place.

mod call;
mod close;
mod emit;
mod jump;
mod push;
mod redirect;
mod symbolic;

use std::collections::HashMap;
use std::sync::Arc;

use hark_bytecode::{Executable, Function, FunctionIndex, Global, Instruction, LocalSet, NameIndex, Passing, Pattern};

use super::analysis::{self, Analysis, Stale, Use, analyze};
use super::handlers::Handlers;
use super::operation::{Operation, Register};
use super::site::CloseSite;
use super::stack::{LayoutId, StackLayouts};
use super::{Code, Counting, Form, Point, fuse, verify};
use crate::value::Value;

/// Above this height values are loaded into their registers at once, so that a long list literal costs no more per item
/// than a short one. Only a callee stays symbolic until the call that follows it.
const SYMBOLIC_HEIGHT_MAX: usize = 24;

/// A value on the symbolic data stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// In the register of its height.
    Own,
    /// In a local; `is_last` if this is the local's last use.
    Local { register: Register, is_last: bool },
    /// A constant.
    Constant(u32),
}

/// An operand of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Register { register: Register, dies: bool },
    Constant(u32),
}

pub(super) struct Lowering<'a> {
    executable: &'a Executable,
    globals: &'a [Option<Global>],
    function: &'a Function,
    pub form: Form,
    analysis: &'a Analysis,
    pub operations: Vec<Operation>,
    points: Vec<Point>,
    pub constants: Vec<Value>,
    global_constants: HashMap<NameIndex, u32>,
    /// The locals that are read where they may be unbound. The flag of local `n` is register `n` plus the number of
    /// locals.
    flagged: Vec<u32>,
    /// The sets of locals kept by `DropAllBut` operations.
    kept: Vec<LocalSet>,
    sites: Vec<CloseSite>,
    patterns: Vec<Arc<Pattern>>,
    layouts: StackLayouts,
    /// For each layout, the number of operations when it was made.
    made_before: Vec<usize>,
    pub stack: Vec<(Entry, LayoutId)>,
    /// Invariant: the entries of the stack below this height are in their own registers.
    own_below: usize,
    /// The stack at the start of a block, up to the greatest height needed so far. It is shared by all blocks: with
    /// separate copies, memory was quadratic in the length of a long list literal.
    beginnings: Vec<(Entry, LayoutId)>,
    /// Invariant: the entries of the stack below this height are those of `beginnings`.
    unchanged_below: usize,
    own_base: Register,
    /// The block and the portable instruction being lowered.
    block: usize,
    /// The start of the block that is lowered next.
    next_start: Option<u32>,
    /// Whether the block ends with a jump to the next block, which needs no operation.
    falls_through: bool,
    /// The number of operations before those reached only by errors.
    usual: usize,
    at: u32,
    /// The operations whose `target` is still a portable instruction and must be resolved to an operation.
    unresolved: Vec<usize>,
    starts: HashMap<u32, u32>,
    counting: Option<Counting>,
    /// Operations before this one must not be changed, because a jump leads here.
    pub barrier: usize,
}

/// Lowers a function of a verified executable.
pub(super) fn lower(executable: &Executable, globals: &[Option<Global>], own_index: FunctionIndex, form: Form) -> Code {
    let function = &executable.functions[own_index.0 as usize];
    let analysis = analyze(executable, function);
    let flagged = find_flagged(executable, function, &analysis);
    let own_base = (analysis.locals.len() * if flagged.is_empty() { 1 } else { 2 }) as Register;
    let mut lowering = Lowering {
        executable,
        globals,
        function,
        form,
        analysis: &analysis,
        operations: Vec::new(),
        points: Vec::new(),
        constants: Vec::new(),
        global_constants: HashMap::new(),
        flagged,
        kept: Vec::new(),
        sites: Vec::new(),
        patterns: Vec::new(),
        layouts: StackLayouts::default(),
        made_before: Vec::new(),
        stack: Vec::new(),
        own_below: 0,
        beginnings: Vec::new(),
        unchanged_below: 0,
        own_base,
        block: 0,
        next_start: None,
        falls_through: false,
        usual: 0,
        at: 0,
        unresolved: Vec::new(),
        starts: HashMap::new(),
        counting: None,
        barrier: 0,
    };
    lowering.lower_function();
    let Lowering {
        mut operations,
        points,
        constants,
        flagged,
        kept,
        sites,
        patterns,
        layouts,
        unresolved,
        starts,
        counting,
        usual,
        ..
    } = lowering;
    for index in unresolved {
        resolve_target(&mut operations[index], &starts);
    }
    if form == Form::Fused {
        let has_handlers = !function.handlers.is_empty();
        let bounds = starts.values().copied().filter(|_| has_handlers).collect();
        fuse::join_neighbors(&mut operations, &bounds);
    }
    let handlers = Handlers::new(executable, function, &analysis, own_base, |at| starts.get(&at).copied());
    // A window has room for a call's result at least.
    let registers = own_base + analysis.height_max + 1;
    let parameters = function.parameters.len() as u32;
    let code = Code {
        parameters,
        arguments: if matches!(function.passing, Passing::AsList { .. }) { u32::MAX } else { parameters },
        operations,
        points,
        constants,
        registers,
        flagged,
        kept,
        sites,
        patterns,
        handlers,
        layouts,
        starts,
        usual,
        counting,
        analysis,
    };
    verify::verify(&code, executable);
    code
}

/// The locals that are read where they may be unbound.
fn find_flagged(executable: &Executable, function: &Function, analysis: &Analysis) -> Vec<u32> {
    let mut flagged = Vec::new();
    for block in &analysis.blocks {
        for at in block.start..block.end {
            if let Instruction::PushBinding(name) = &executable.code[at as usize]
                && let Some(&local) = analysis.register_of.get(name)
                && analysis.uses[(at - function.start) as usize].may_be_unbound
            {
                flagged.push(local);
            }
        }
    }
    let captured = analysis.captured.values().flatten().flatten();
    flagged.extend(captured.filter(|(_, used)| used.may_be_unbound).map(|(local, _)| *local));
    flagged.sort_unstable();
    flagged.dedup();
    flagged
}

fn resolve_target(operation: &mut Operation, starts: &HashMap<u32, u32>) {
    if let Some(target) = verify::target(operation) {
        verify::set_target(operation, starts[&target]);
    }
}

impl Lowering<'_> {
    fn lower_function(&mut self) {
        self.at = analysis::body_start(self.function);
        // The flags of captures are set by the call.
        let (parameters, captures) = (self.function.parameters.len() as u32, self.function.captures.len() as u32);
        for local in self.flagged.clone() {
            if !(parameters..parameters + captures).contains(&local) {
                self.set_flag(local, false);
            }
        }
        let (mut order, usual) = self.order_of_blocks();
        order.push(self.analysis.blocks.len());
        for (position, pair) in order.windows(2).enumerate() {
            if position == usual {
                self.usual = self.operations.len();
            }
            self.next_start = self.analysis.blocks.get(pair[1]).map(|next| next.start);
            self.lower_block(pair[0]);
        }
        if usual + 1 == order.len() {
            self.usual = self.operations.len();
        }
    }

    /// The blocks in the order of their operations, and the number of those before the ones reached only by errors. The
    /// latter are placed last, so that the usual path need not jump around them.
    fn order_of_blocks(&self) -> (Vec<usize>, usize) {
        let blocks = 0..self.analysis.blocks.len();
        if self.form == Form::Plain || self.function.handlers.is_empty() {
            return (blocks.clone().collect(), blocks.end);
        }
        let is_usual = self.analysis.reached_without_errors();
        let (mut order, rare): (Vec<usize>, Vec<usize>) = blocks.partition(|block| is_usual[*block]);
        let usual = order.len();
        order.extend(rare);
        (order, usual)
    }

    fn set_flag(&mut self, local: u32, is_bound: bool) {
        let constant = self.constant(Value::Boolean(is_bound));
        let to = local + self.analysis.locals.len() as Register;
        self.emit(Operation::Load { to, constant });
    }

    fn lower_block(&mut self, index: usize) {
        let block = &self.analysis.blocks[index];
        self.block = index;
        self.at = block.start;
        self.begin_stack(block.height as usize);
        self.starts.insert(block.start, self.operations.len() as u32);
        self.barrier = self.operations.len();
        match &block.stale {
            Stale::Some(locals) => {
                locals.iter().for_each(|local| self.emit(Operation::Drop { register: *local }));
            }
            Stale::Many => {
                let kept = self.kept.len() as u32;
                self.kept.push(block.live_in.clone());
                self.emit(Operation::DropAllBut { kept });
            }
        }
        let mut at = block.start;
        while at < block.end {
            self.at = at;
            let before = self.operations.len();
            at = self.lower_instruction(at, block.end);
            if self.form == Form::Plain {
                self.materialize_plain();
                if self.operations.len() == before {
                    self.emit(Operation::Nop);
                }
            }
        }
        self.at = at;
        let ends = matches!(self.operations.last(), Some(last) if verify::is_end(last))
            && self.operations.len() > self.barrier;
        if !std::mem::take(&mut self.falls_through) && !ends {
            self.materialize_all();
            // A block without operations needs a jump if the block lowered next does not follow it in the portable
            // code.
            if self.next_start != Some(at) {
                self.jump_to(at);
            }
        }
    }

    /// Sets up the stack at a block's start, with each value in its own register. Unchanged lower entries are reused.
    fn begin_stack(&mut self, height: usize) {
        self.truncate(height.min(self.unchanged_below));
        let known = height.min(self.beginnings.len());
        self.stack.extend_from_slice(&self.beginnings[self.stack.len()..known]);
        self.own_below = self.stack.len();
        while self.stack.len() < height {
            self.push(Entry::Own);
        }
        self.beginnings.extend_from_slice(&self.stack[known..]);
        self.unchanged_below = height;
    }

    /// Lowers one instruction, or several that are fused; returns the next one.
    fn lower_instruction(&mut self, at: u32, block_end: u32) -> u32 {
        let executable = self.executable;
        match &executable.code[at as usize] {
            Instruction::PushValue(literal) => self.push_literal(literal),
            Instruction::PushBinding(name) => self.push_binding(*name),
            Instruction::Bind(name) => self.bind(*name),
            Instruction::Pop => self.pop_value(),
            Instruction::Call(count) => return self.call(*count, at, block_end),
            Instruction::AsyncCall(count) => self.spawn(*count),
            Instruction::Wait => {
                let top = self.operand(self.stack.len() - 1);
                let (from, dies) = self.in_register(top, self.stack.len() - 1);
                let to = self.own(self.stack.len() - 1);
                self.emit(Operation::Wait { consume: u8::from(dies), to, from });
                self.replace(1);
            }
            Instruction::Jump(distance) => self.jump(at, *distance),
            Instruction::JumpIf(distance) => {
                let target = self.target(at, *distance);
                self.jump_if(target);
            }
            Instruction::And(distance) | Instruction::Or(distance) => {
                let target = self.target(at, *distance);
                self.materialize_all();
                let register = self.own(self.stack.len() - 1);
                let is_and = matches!(executable.code[at as usize], Instruction::And(_));
                self.emit_jump(if is_and {
                    Operation::And { register, target }
                } else {
                    Operation::Or { register, target }
                });
                self.pop();
            }
            Instruction::Close(lambda) => self.close(*lambda),
            Instruction::Unpack(pattern) => self.unpack(pattern),
            Instruction::Return => self.lower_return(),
        }
        at + 1
    }

    fn target(&self, at: u32, distance: i32) -> u32 {
        (i64::from(at) + 1 + i64::from(distance)) as u32
    }

    fn used(&self) -> Use {
        self.analysis.uses[(self.at - self.function.start) as usize]
    }

    /// The next instruction, if it is in the same block.
    pub fn next_in_block(&self, at: u32, block_end: u32) -> Option<&Instruction> {
        (at + 1 < block_end).then(|| &self.executable.code[at as usize + 1])
    }
}
