//! Jumps, returns, and self tail calls, whose arguments become the parameters.

use hark_bytecode::{Instruction, LocalSet};

use super::{Entry, Lowering, Operand, SYMBOLIC_HEIGHT_MAX};
use crate::program::operation::{Operation, Register};
use crate::program::{Counting, Form, counting, verify};

impl Lowering<'_> {
    pub(super) fn jump(&mut self, at: u32, distance: i32) {
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
            self.falls_through = self.form == Form::Fused && self.next_start == Some(target);
            if !self.falls_through {
                self.jump_to(target);
            }
            self.leave_block();
        }
    }

    pub(super) fn jump_to(&mut self, target: u32) {
        self.emit_jump(Operation::Jump { target });
    }

    /// Emits an operation whose target is a portable instruction.
    pub(in crate::program) fn emit_jump(&mut self, operation: Operation) {
        self.unresolved.push(self.operations.len());
        self.emit(operation);
    }

    pub(super) fn jump_if(&mut self, target: u32) {
        let top = self.stack.len() - 1;
        self.materialize_between(0, top);
        let operand = self.operand(top);
        let (condition, dies) = self.in_register(operand, top);
        self.emit_jump(Operation::JumpIf { consume: u8::from(dies), condition, target });
        self.pop();
    }

    /// Drops the values kept for a handler, at the end of a record or before a self tail call.
    pub(super) fn drop_kept(&mut self) {
        if self.analysis.blocks[self.block].has_handler() {
            self.materialize_all();
            let kept = self.kept.len() as u32;
            self.kept.push(LocalSet::empty(self.analysis.locals.len()));
            self.emit(Operation::DropAllBut { kept });
        }
    }

    pub(super) fn lower_return(&mut self) {
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
    pub(super) fn repeat(&mut self) {
        self.drop_kept();
        let count = self.function.parameters.len();
        // The other arguments are consecutive and are moved to the parameters together, once nothing reads those any
        // more.
        let single = count.min(SYMBOLIC_HEIGHT_MAX);
        self.redirect_arguments(single);
        for parameter in 0..single {
            let to = parameter as Register;
            // Save the parameter's value for later arguments that read it.
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

    pub(super) fn end_repeat(&mut self) {
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
                // The combined operation keeps the point of the `Take`, because it does both or nothing.
                self.operations.pop();
                self.operations.push(Operation::TakeAndRepeat { to, from, target: 0 });
            }
            _ => self.emit(Operation::Repeat { target: 0 }),
        }
    }

    /// The summary of the loop that ends in this block, if it only counts. The comparison at the start of the function
    /// must be its condition.
    pub(super) fn find_counting(&self) -> Option<Counting> {
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
}
