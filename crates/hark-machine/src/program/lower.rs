//! From the portable listing to register code, one function at a time.
//!
//! The data stack is run symbolically: a pushed local or constant costs nothing until something needs it. What must
//! be in a register of its own goes to the one that belongs to its height on the stack, so that arguments stand in a
//! row and become the callee's first registers. Where ways meet, everything is in its own register.
//!
//! Each value's last use takes it out of its register. So a record holds nothing when it returns, and what has one
//! owner is changed in place.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use hark_bytecode::{Executable, Function, FunctionIndex, Global, Instruction, Literal, LocalSet, NameIndex, Pattern};

use super::analysis::{self, Analysis, Stale, Use, analyze};
use super::handlers::Handlers;
use super::operation::{CONSUME_FIRST, CONSUME_SECOND, Operation, Register};
use super::site::{Captured, CloseSite};
use super::stack::{EMPTY, LayoutId, Place, StackLayouts};
use super::{Code, Counting, Form, Point, counting, fuse, verify};
use crate::value::Value;

/// Beyond this height values are put into their registers at once, so that a long list literal costs no more for
/// each of its items than a short one. Only a callee stays what it is until the call right behind it.
const SYMBOLIC_HEIGHT_MAX: usize = 24;

/// A value of the data stack while code is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// In the register of its height.
    Own,
    /// In a local; `is_last` if this is the last use of it.
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
    /// The locals that are read where they may be unbound; a local's flag is as many registers after it as there
    /// are locals.
    flagged: Vec<u32>,
    /// What the operations that drop many locals keep.
    kept: Vec<LocalSet>,
    sites: Vec<CloseSite>,
    patterns: Vec<Arc<Pattern>>,
    layouts: StackLayouts,
    /// For each node of the layouts, how many operations there were when it was made.
    made_before: Vec<usize>,
    pub stack: Vec<(Entry, LayoutId)>,
    /// Invariant: the entries of the stack below this height are in their own registers.
    own_below: usize,
    /// The stacks that blocks begin with, by their height, as far as they were needed. All blocks share them: each with
    /// its own took memory that grew with the square of a long list's length.
    beginnings: Vec<(Entry, LayoutId)>,
    /// Invariant: the entries of the stack below this height are those of `beginnings`.
    unchanged_below: usize,
    own_base: Register,
    /// The block and the portable instruction that are being lowered.
    block: usize,
    at: u32,
    /// For each operation, whether its `target` is a portable instruction that must become an operation's index.
    unresolved: Vec<usize>,
    starts: HashMap<u32, u32>,
    counting: Option<Counting>,
    /// Operations before this one may not be changed any more: some jump leads here.
    pub barrier: usize,
}

/// Makes the register code of a function of a verified executable.
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
    // A window has room for what a callee finds there: the result at least.
    let registers = own_base + analysis.height_max + 1;
    let parameters = function.parameters.len() as u32;
    let code = Code {
        parameters,
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
        // Those of captures are set by the call.
        let (parameters, captures) = (self.function.parameters.len() as u32, self.function.captures.len() as u32);
        for local in self.flagged.clone() {
            if !(parameters..parameters + captures).contains(&local) {
                self.set_flag(local, false);
            }
        }
        for index in 0..self.analysis.blocks.len() {
            self.lower_block(index);
        }
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
        if !ends {
            self.materialize_all();
            // A block that makes no operation at all needs one for its way on, if the next block is not the next
            // in the code.
            let next = self.analysis.blocks.get(index + 1).map(|next| next.start);
            if next != Some(at) {
                self.jump_to(at);
            }
        }
    }

    /// The stack at a block's start: each value is in its own register. What was there before stays as far as it is so.
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

    /// Lowers one instruction, or a few that are done together; gives the next one.
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

    // Pushes and pops.

    fn push_literal(&mut self, literal: &Literal) {
        let constant = self.constant(Value::from(literal));
        self.push_entry(Entry::Constant(constant));
    }

    fn push_binding(&mut self, name: NameIndex) {
        let Some(&local) = self.analysis.register_of.get(&name) else {
            let entry = self.global_constant(name);
            match entry {
                Some(constant) => self.push_entry(Entry::Constant(constant)),
                None => self.push_optional(u32::MAX, None, false),
            }
            return;
        };
        let used = self.used();
        if used.may_be_unbound {
            let global = self.global_constant(name);
            self.push_optional(local, global, used.is_last);
            return;
        }
        self.push_entry(Entry::Local { register: local, is_last: used.is_last });
    }

    /// Pushes a value that costs nothing until it is needed; but in the plain form, and far up, it is put into its
    /// register at once. The operation that does so stands before the push: its layout is the one without the value.
    fn push_entry(&mut self, entry: Entry) {
        let height = self.stack.len();
        let value = match entry {
            Entry::Constant(constant) => Some(&self.constants[constant as usize]),
            _ => None,
        };
        let stays = match self.form {
            // An operator stays a constant until the call right behind it, which must know it.
            Form::Plain => matches!(value, Some(Value::Operator(_))),
            Form::Fused => {
                let is_function = matches!(value, Some(value) if value.type_name() == "function");
                height < SYMBOLIC_HEIGHT_MAX || is_function && self.is_before_call()
            }
        };
        if stays {
            if self.form == Form::Plain {
                self.emit(Operation::Nop);
            }
            self.push(entry);
        } else {
            self.load_entry(entry, self.own(height), height);
            self.push(Entry::Own);
        }
    }

    /// Whether the next instruction calls what this one pushes.
    fn is_before_call(&self) -> bool {
        let next = self.executable.code.get(self.at as usize + 1);
        matches!(next, Some(Instruction::Call(_) | Instruction::AsyncCall(_)))
    }

    /// Puts a value that is at `height`, or is about to be, into a register.
    fn load_entry(&mut self, entry: Entry, to: Register, height: usize) {
        match entry {
            Entry::Own => {
                let from = self.own(height);
                self.emit(Operation::Take { to, from });
            }
            Entry::Local { register, is_last } => {
                let takes = is_last && !self.hand_on_last(register, height);
                self.emit(if takes {
                    Operation::Take { to, from: register }
                } else {
                    Operation::Copy { to, from: register }
                });
            }
            Entry::Constant(constant) => self.load(to, constant),
        }
    }

    /// A read that may fail happens at once.
    fn push_optional(&mut self, local: Register, constant: Option<u32>, is_last: bool) {
        let to = self.own(self.stack.len());
        self.emit(Operation::LoadOptional { to, local, constant: constant.unwrap_or(u32::MAX) });
        if is_last {
            self.emit(Operation::Drop { register: local });
        }
        self.push(Entry::Own);
    }

    fn bind(&mut self, name: NameIndex) {
        let Some(&local) = self.analysis.register_of.get(&name) else { return };
        if self.used().is_last {
            return;
        }
        let top = self.stack.len() - 1;
        // What is on the stack below keeps the old value.
        for height in self.symbolic_heights().filter(|height| *height < top) {
            if matches!(self.stack[height].0, Entry::Local { register, .. } if register == local) {
                self.materialize(height);
            }
        }
        // Elsewhere the old value was taken out by its last use.
        let is_kept = self.analysis.is_kept(self.block, local);
        let entry = self.stack[top].0;
        let mut is_there = matches!(entry, Entry::Local { register, .. } if register == local);
        if is_kept && !is_there {
            self.emit(Operation::Drop { register: local });
        }
        if self.form == Form::Fused && top >= SYMBOLIC_HEIGHT_MAX {
            self.bind_far_up(local, top);
            return;
        }
        if entry == Entry::Own && !is_kept && self.redirect_last(self.own(top), local) {
            self.set_entry(top, Entry::Local { register: local, is_last: false });
            is_there = true;
        }
        if self.flagged.binary_search(&local).is_ok() {
            // Before the move: a thread that stops between the two does both again.
            self.set_flag(local, true);
        }
        if !is_there {
            self.load_entry(entry, local, top);
        }
        self.pop();
        self.push(Entry::Local { register: local, is_last: false });
    }

    /// The value also stays in its own register, as all do that are so high.
    fn bind_far_up(&mut self, local: Register, top: usize) {
        self.materialize(top);
        if self.flagged.binary_search(&local).is_ok() {
            self.set_flag(local, true);
        }
        self.emit(Operation::Copy { to: local, from: self.own(top) });
    }

    fn pop_value(&mut self) {
        let top = self.stack.len() - 1;
        let entry = self.stack[top].0;
        match entry {
            Entry::Own => {
                let register = self.own(top);
                self.emit(Operation::Drop { register });
            }
            Entry::Local { register, is_last: true } if !self.hand_on_last(register, top) => {
                self.emit(Operation::Drop { register });
            }
            _ => {}
        }
        self.pop();
    }

    // Jumps and returns.

    fn jump(&mut self, at: u32, distance: i32) {
        let target = self.target(at, distance);
        if target == self.function.start {
            self.repeat();
        } else if self.form == Form::Fused
            && self.stack.len() == 1
            && matches!(self.executable.code[target as usize], Instruction::Return)
        {
            self.lower_return();
        } else {
            self.materialize_all();
            self.jump_to(target);
            self.leave_block();
        }
    }

    fn jump_to(&mut self, target: u32) {
        self.emit_jump(Operation::Jump { target });
    }

    /// Emits an operation whose target is a portable instruction.
    pub fn emit_jump(&mut self, operation: Operation) {
        self.unresolved.push(self.operations.len());
        self.emit(operation);
    }

    fn jump_if(&mut self, target: u32) {
        let top = self.stack.len() - 1;
        self.materialize_between(0, top);
        let operand = self.operand(top);
        let (condition, dies) = self.in_register(operand, top);
        self.emit_jump(Operation::JumpIf { consume: u8::from(dies), condition, target });
        self.pop();
    }

    /// Where a record ends, or begins anew, nothing is kept for a handler any more.
    fn drop_kept(&mut self) {
        if self.analysis.blocks[self.block].has_handler() {
            self.materialize_all();
            let kept = self.kept.len() as u32;
            self.kept.push(LocalSet::empty(self.analysis.locals.len()));
            self.emit(Operation::DropAllBut { kept });
        }
    }

    fn lower_return(&mut self) {
        self.drop_kept();
        let operand = self.operand(self.stack.len() - 1);
        match operand {
            Operand::Constant(constant) => self.emit(Operation::ReturnConstant { constant }),
            Operand::Register { register, dies } => {
                self.emit(Operation::Return { consume: u8::from(dies), from: register });
            }
        }
        self.leave_block();
    }

    /// A self tail call: the arguments become the parameters.
    fn repeat(&mut self) {
        self.drop_kept();
        let count = self.function.parameters.len();
        // The others are in a row, and become the other parameters at once, when nothing reads those any more.
        let single = count.min(SYMBOLIC_HEIGHT_MAX);
        self.redirect_arguments(single);
        for parameter in 0..single {
            let to = parameter as Register;
            // What a later argument still reads is kept for it.
            for height in (0..single).filter(|height| *height != parameter) {
                if matches!(self.stack[height].0, Entry::Local { register, .. } if register == to) {
                    self.materialize(height);
                }
            }
            let entry = self.stack[parameter].0;
            if matches!(entry, Entry::Local { register, .. } if register == to) {
                continue;
            }
            self.load_entry(entry, to, parameter);
            self.set_entry(parameter, Entry::Local { register: to, is_last: false });
        }
        if single < count {
            let from = self.own(single);
            self.emit(Operation::TakeRow { to: single as Register, from, count: (count - single) as u32 });
            for (height, (entry, _)) in self.stack.iter_mut().enumerate().skip(single) {
                *entry = Entry::Local { register: height as Register, is_last: false };
            }
            self.changed(single);
        }
        self.end_repeat();
        self.leave_block();
    }

    fn end_repeat(&mut self) {
        if self.form == Form::Fused && self.counting.is_none() {
            self.counting = self.find_counting();
            if self.counting.is_some() {
                self.emit(Operation::RepeatCounting { target: 0 });
                return;
            }
        }
        let last = self.operations.len().checked_sub(1).filter(|last| *last >= self.barrier);
        match last.map(|last| self.operations[last]) {
            Some(Operation::Take { to, from }) if self.form == Form::Fused => {
                // It keeps the point of the `Take`, as it does both or nothing.
                self.operations.pop();
                self.operations.push(Operation::TakeAndRepeat { to, from, target: 0 });
            }
            _ => self.emit(Operation::Repeat { target: 0 }),
        }
    }

    /// What the loop comes to that this block ends, if it only counts: if a comparison that begins the function decides
    /// about this block.
    fn find_counting(&self) -> Option<Counting> {
        if !self.function.handlers.is_empty() {
            return None;
        }
        let (head, body) = (self.operations.first()?, self.operations.get(self.barrier..)?);
        let away = verify::target(head)?;
        let is_jump = self.starts.get(&away) == Some(&(self.barrier as u32));
        if self.barrier == 0 || self.barrier > 1 && !is_jump {
            return None;
        }
        counting::find(head, is_jump, body, self.function.parameters.len() as u32)
    }

    // Calls.

    /// What the topmost value is, if that is known now.
    pub fn known_callee(&self) -> Option<&Value> {
        match self.stack.last() {
            Some((Entry::Constant(constant), _)) => self.constants.get(*constant as usize),
            _ => None,
        }
    }

    fn call(&mut self, count: u32, at: u32, block_end: u32) -> u32 {
        let callee = self.known_callee().cloned();
        let is_symbol =
            at > self.function.start && matches!(self.executable.code[at as usize - 1], Instruction::PushBinding(_));
        match callee {
            Some(Value::Operator(operator)) if is_symbol => {
                if let Some(next) = self.operate(operator, count, at, block_end) {
                    return next;
                }
            }
            Some(Value::Builtin(builtin)) => {
                if let Some(next) = self.call_builtin(builtin, count, at, block_end) {
                    return next;
                }
            }
            Some(Value::Function(function)) => {
                let wanted = self.executable.functions[function.0 as usize].parameters.len();
                if wanted == count as usize && self.executable.functions[function.0 as usize].foreign.is_none() {
                    let base = self.arguments(count);
                    self.emit(Operation::CallFunction { base, function: function.0 });
                    self.replace(count + 1);
                    return at + 1;
                }
            }
            Some(Value::Foreign(foreign)) if count <= self.executable.foreign[foreign.0 as usize].arity => {
                let base = self.arguments(count);
                self.emit(Operation::CallForeign { base, count, foreign: foreign.0 });
                self.replace(count + 1);
                return at + 1;
            }
            _ => {}
        }
        self.call_value(count);
        at + 1
    }

    fn call_value(&mut self, count: u32) {
        let base = self.arguments(count);
        let top = self.stack.len() - 1;
        // A local is called where it is.
        let operand = self.operand(top);
        let (callee, dies) = self.in_register(operand, top);
        self.emit(Operation::CallValue { consume: u8::from(dies), base, count, callee });
        self.replace(count + 1);
    }

    // Closures and patterns.

    fn close(&mut self, lambda: FunctionIndex) {
        let executable = self.executable;
        let captures = &executable.functions[lambda.0 as usize].captures;
        let analysis = self.analysis;
        let locals = analysis.locals.len() as Register;
        let read = &analysis.captured[&self.at];
        let captured = captures.iter().zip(read).map(|(capture, read)| match *read {
            None if capture.is_certain => Captured::Needed { name: capture.name, local: None, dies: false },
            None => Captured::Nothing,
            Some((local, used)) => {
                let dies = used.is_last && !self.hand_on_last(local, usize::MAX);
                let flag = local + locals;
                match used.may_be_unbound {
                    false => Captured::Local { local, dies },
                    true if capture.is_certain => {
                        Captured::Needed { name: capture.name, local: Some((local, flag)), dies }
                    }
                    true => Captured::Flagged { local, flag, dies },
                }
            }
        });
        let captured = captured.collect();
        let site = self.sites.len() as u32;
        self.sites.push(CloseSite { function: lambda, captured });
        let to = self.own(self.stack.len());
        self.emit(Operation::Close { to, site });
        self.push(Entry::Own);
    }

    /// What is taken apart stays on the stack; its parts come on top of it.
    fn unpack(&mut self, pattern: &Arc<Pattern>) {
        let top = self.stack.len() - 1;
        if matches!(self.stack[top].0, Entry::Constant(_)) {
            self.materialize(top);
        }
        let from = match self.stack[top].0 {
            Entry::Local { register, .. } => register,
            _ => self.own(top),
        };
        let base = self.own(top + 1);
        let number = self.patterns.len() as u32;
        self.patterns.push(Arc::clone(pattern));
        self.emit(Operation::Unpack { from, base, pattern: number });
        for _ in 0..pattern.names() {
            self.push(Entry::Own);
        }
    }

    fn spawn(&mut self, count: u32) {
        let top = self.stack.len() - 1;
        let base = self.arguments(count);
        match self.stack[top].0 {
            Entry::Constant(callee) => self.emit(Operation::Spawn { base, count, callee }),
            _ => {
                self.materialize(top);
                self.emit(Operation::SpawnValue { base, count });
            }
        }
        self.replace(count + 1);
    }

    /// Puts the arguments below the callee into a row; gives the first one's register.
    pub fn arguments(&mut self, count: u32) -> Register {
        let callee = self.stack.len() - 1;
        let first = callee - count as usize;
        self.materialize_between(first, callee);
        self.own(first)
    }

    // The symbolic stack.

    /// The register that belongs to this height.
    pub fn own(&self, height: usize) -> Register {
        self.own_base + height as Register
    }

    fn place(&self, entry: Entry, height: usize) -> Place {
        match entry {
            Entry::Own => Place::Register(self.own(height)),
            Entry::Local { register, .. } => Place::Register(register),
            Entry::Constant(constant) => Place::Constant(constant),
        }
    }

    fn layout(&self) -> LayoutId {
        self.stack.last().map_or(EMPTY, |(_, layout)| *layout)
    }

    pub fn push(&mut self, entry: Entry) {
        let height = self.stack.len();
        let layout = self.add_layout(self.layout(), self.place(entry, height));
        if entry == Entry::Own && self.own_below == height {
            self.own_below += 1;
        }
        self.stack.push((entry, layout));
    }

    fn add_layout(&mut self, below: LayoutId, place: Place) -> LayoutId {
        self.made_before.push(self.operations.len());
        self.layouts.push(below, place)
    }

    pub fn pop(&mut self) {
        self.truncate(self.stack.len() - 1);
    }

    /// Pops so many values and pushes one that is in its own register.
    pub fn replace(&mut self, count: u32) {
        self.truncate(self.stack.len() - count as usize);
        self.push(Entry::Own);
    }

    fn truncate(&mut self, height: usize) {
        self.stack.truncate(height);
        self.own_below = self.own_below.min(height);
        self.unchanged_below = self.unchanged_below.min(height);
    }

    /// Nothing of the stack is needed any more.
    fn leave_block(&mut self) {
        self.truncate(self.unchanged_below);
    }

    /// Says that a value is elsewhere now.
    fn set_entry(&mut self, height: usize, entry: Entry) {
        self.stack[height].0 = entry;
        self.changed(height);
    }

    /// Makes the layouts anew from a height on, where values are elsewhere now.
    fn changed(&mut self, from: usize) {
        let mut below = if from == 0 { EMPTY } else { self.stack[from - 1].1 };
        for height in from..self.stack.len() {
            below = self.add_layout(below, self.place(self.stack[height].0, height));
            self.stack[height].1 = below;
        }
        self.unchanged_below = self.unchanged_below.min(from);
        self.own_below = self.own_below.min(from);
        while matches!(self.stack.get(self.own_below), Some((Entry::Own, _))) {
            self.own_below += 1;
        }
    }

    /// The heights where values may be in locals.
    fn symbolic_heights(&self) -> Range<usize> {
        let height = self.stack.len();
        // Further up they are not, but for those that the current instruction has pushed.
        let end = if height - self.own_below > SYMBOLIC_HEIGHT_MAX { SYMBOLIC_HEIGHT_MAX } else { height };
        self.own_below..end.max(self.own_below)
    }

    /// If another value of the stack is in the same local, that one's use is the last now.
    fn hand_on_last(&mut self, local: Register, except: usize) -> bool {
        for height in self.symbolic_heights().rev() {
            if let Entry::Local { register, is_last } = &mut self.stack[height].0
                && *register == local
                && height != except
            {
                *is_last = true;
                return true;
            }
        }
        false
    }

    /// Puts a value into the register of its height.
    pub fn materialize(&mut self, height: usize) {
        let entry = self.stack[height].0;
        if entry != Entry::Own {
            self.load_entry(entry, self.own(height), height);
            self.set_entry(height, Entry::Own);
        }
    }

    /// The same for the values from one height on, below another.
    pub fn materialize_between(&mut self, from: usize, below: usize) {
        for height in from.max(self.own_below)..below {
            self.materialize(height);
        }
    }

    fn materialize_all(&mut self) {
        self.materialize_between(0, self.stack.len());
    }

    /// In the plain form all but an operator on top, which stays a constant until the call right behind it.
    fn materialize_plain(&mut self) {
        let keeps = matches!(self.known_callee(), Some(Value::Operator(_)));
        self.materialize_between(0, self.stack.len() - usize::from(keeps));
    }

    /// The value at this height as an operand, and whether it dies with this use.
    pub fn operand(&mut self, height: usize) -> Operand {
        match self.stack[height].0 {
            Entry::Own => Operand::Register { register: self.own(height), dies: true },
            Entry::Constant(constant) => Operand::Constant(constant),
            Entry::Local { register, is_last } => Operand::Register { register, dies: is_last },
        }
    }

    /// Decides about the operands of one operation together: what another value of the stack needs does not die.
    pub fn settle(&mut self, operand: Operand, height: usize, operands: &[usize]) -> Operand {
        let Operand::Register { register, dies: true } = operand else { return operand };
        if !matches!(self.stack[height].0, Entry::Local { .. }) {
            return operand;
        }
        for other in self.symbolic_heights().rev() {
            if operands.contains(&other) {
                continue;
            }
            if let Entry::Local { register: theirs, is_last } = &mut self.stack[other].0
                && *theirs == register
            {
                *is_last = true;
                return Operand::Register { register, dies: false };
            }
        }
        operand
    }

    /// An operand that must be in a register; a constant is loaded into the one of its height.
    pub fn in_register(&mut self, operand: Operand, height: usize) -> (Register, bool) {
        match self.settle(operand, height, &[height]) {
            Operand::Register { register, dies } => (register, dies),
            Operand::Constant(_) => {
                self.materialize(height);
                (self.own(height), true)
            }
        }
    }

    fn load(&mut self, to: Register, constant: u32) {
        let operation = match self.constants[constant as usize] {
            Value::Integer(value) if i32::try_from(value).is_ok() => Operation::LoadInteger { to, value: value as i32 },
            _ => Operation::Load { to, constant },
        };
        self.emit(operation);
    }

    // Redirecting results.

    /// If the last operation made this value in `from`, lets it make it in `to`.
    fn redirect_last(&mut self, from: Register, to: Register) -> bool {
        if self.form == Form::Plain || self.operations.len() <= self.barrier {
            return false;
        }
        let Some(last) = self.operations.last_mut() else { return false };
        let made_here = verify::result(last) == Some(from);
        if made_here {
            verify::set_result(last, to);
        }
        made_here
    }

    /// Lets arguments of a self tail call be made in the parameters' registers, where nothing reads the parameter
    /// between that operation and the jump.
    fn redirect_arguments(&mut self, count: usize) {
        if self.form == Form::Plain {
            return;
        }
        for parameter in (0..count).rev() {
            let own = self.own(parameter);
            let to = parameter as Register;
            let is_read =
                |height: usize| matches!(self.stack[height].0, Entry::Local { register, .. } if register == to);
            if self.stack[parameter].0 != Entry::Own || self.symbolic_heights().any(is_read) {
                continue;
            }
            let Some(made_at) = self.made_at(own, to) else { continue };
            let layout = self.stack[parameter].1;
            // Each layout since then must know the value by the same node, which is changed below.
            if self.made_before[layout as usize] > made_at + 1 {
                continue;
            }
            verify::set_result(&mut self.operations[made_at], to);
            // In every layout since then the value is in the parameter's register.
            self.layouts.move_top(layout, Place::Register(to));
            self.stack[parameter].0 = Entry::Local { register: to, is_last: false };
            self.own_below = self.own_below.min(parameter);
            self.unchanged_below = self.unchanged_below.min(parameter);
        }
    }

    /// The operation of this block that made the value in `own`, if nothing after it touches `own` or `to`.
    fn made_at(&self, own: Register, to: Register) -> Option<usize> {
        for index in (self.barrier..self.operations.len()).rev() {
            let operation = &self.operations[index];
            if verify::result(operation) == Some(own) {
                return Some(index);
            }
            if verify::touches(operation, own) || verify::touches(operation, to) {
                return None;
            }
        }
        None
    }

    // Constants and operations.

    pub fn constant(&mut self, value: Value) -> u32 {
        self.constants.push(value);
        (self.constants.len() - 1) as u32
    }

    fn global_constant(&mut self, name: NameIndex) -> Option<u32> {
        if let Some(&constant) = self.global_constants.get(&name) {
            return Some(constant);
        }
        let own_name = self.function.foreign.filter(|_| {
            // An import's wrapper calls the import itself.
            *self.executable.name(name) == *self.function.name
        });
        let value = match (own_name, self.globals[name.0 as usize]?) {
            (Some(foreign), _) => Value::Foreign(foreign),
            (None, Global::Function(function)) => Value::Function(function),
            (None, Global::Foreign(foreign)) => Value::Foreign(foreign),
            (None, Global::Builtin(builtin)) => Value::Builtin(builtin),
            (None, Global::Operator(operator)) => Value::Operator(operator),
        };
        let constant = self.constant(value);
        self.global_constants.insert(name, constant);
        Some(constant)
    }

    pub fn emit(&mut self, operation: Operation) {
        self.operations.push(operation);
        self.points.push(Point { instruction: self.at, stack: self.layout() });
    }

    /// The consume bits of two operands.
    pub fn consume(first: bool, second: bool) -> u8 {
        (u8::from(first) * CONSUME_FIRST) | (u8::from(second) * CONSUME_SECOND)
    }
}
