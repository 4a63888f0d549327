//! Pushes, pops and bindings: which values stay symbolic and which are loaded at once.

use hark_bytecode::{Instruction, Literal, NameIndex};

use super::{Entry, Lowering, SYMBOLIC_HEIGHT_MAX};
use crate::program::Form;
use crate::program::operation::{Operation, Register};
use crate::value::Value;

impl Lowering<'_> {
    pub(super) fn push_literal(&mut self, literal: &Literal) {
        let constant = self.constant(Value::from(literal));
        self.push_entry(Entry::Constant(constant));
    }

    pub(super) fn push_binding(&mut self, name: NameIndex) {
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

    /// Pushes a symbolic value. In the plain form, and above the symbolic height, it is loaded into its register at
    /// once. The load belongs to the point before the push, whose layout does not have the value yet.
    pub(super) fn push_entry(&mut self, entry: Entry) {
        let height = self.stack.len();
        let value = match entry {
            Entry::Constant(constant) => Some(&self.constants[constant as usize]),
            _ => None,
        };
        let stays = match self.form {
            // An operator stays a constant until the call that follows, which must recognize it.
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

    /// Whether the next instruction calls the value that this one pushes.
    pub(super) fn is_before_call(&self) -> bool {
        let next = self.executable.code.get(self.at as usize + 1);
        matches!(next, Some(Instruction::Call(_) | Instruction::AsyncCall(_)))
    }

    /// Loads a value that is, or is about to be, at `height` into a register.
    pub(super) fn load_entry(&mut self, entry: Entry, to: Register, height: usize) {
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

    /// A read that may fail is emitted at once.
    pub(super) fn push_optional(&mut self, local: Register, constant: Option<u32>, is_last: bool) {
        let to = self.own(self.stack.len());
        self.emit(Operation::LoadOptional { to, local, constant: constant.unwrap_or(u32::MAX) });
        if is_last {
            self.emit(Operation::Drop { register: local });
        }
        self.push(Entry::Own);
    }

    pub(super) fn bind(&mut self, name: NameIndex) {
        let Some(&local) = self.analysis.register_of.get(&name) else { return };
        if self.used().is_last {
            return;
        }
        let top = self.stack.len() - 1;
        // Values on the stack below keep the old value.
        for height in self.symbolic_heights().filter(|height| *height < top) {
            if matches!(self.stack[height].0, Entry::Local { register, .. } if register == local) {
                self.materialize(height);
            }
        }
        // Otherwise the old value was taken by its last use.
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
            // Before the move: a thread that stops between the two repeats both.
            self.set_flag(local, true);
        }
        if !is_there {
            self.load_entry(entry, local, top);
        }
        self.pop();
        self.push(Entry::Local { register: local, is_last: false });
    }

    /// The value also stays in its own register, like all values at this height.
    pub(super) fn bind_far_up(&mut self, local: Register, top: usize) {
        self.materialize(top);
        if self.flagged.binary_search(&local).is_ok() {
            self.set_flag(local, true);
        }
        self.emit(Operation::Copy { to: local, from: self.own(top) });
    }

    pub(super) fn pop_value(&mut self) {
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
}
