//! The symbolic stack: the location and the last use of each value.

use std::ops::Range;

use super::{Entry, Lowering, Operand, SYMBOLIC_HEIGHT_MAX};
use crate::program::operation::{Operation, Register};
use crate::program::stack::{EMPTY, LayoutId, Place};
use crate::value::Value;

impl Lowering<'_> {
    /// The register of this height.
    pub(in crate::program) fn own(&self, height: usize) -> Register {
        self.own_base + height as Register
    }

    pub(super) fn place(&self, entry: Entry, height: usize) -> Place {
        match entry {
            Entry::Own => Place::Register(self.own(height)),
            Entry::Local { register, .. } => Place::Register(register),
            Entry::Constant(constant) => Place::Constant(constant),
        }
    }

    pub(super) fn layout(&self) -> LayoutId {
        self.stack.last().map_or(EMPTY, |(_, layout)| *layout)
    }

    pub(in crate::program) fn push(&mut self, entry: Entry) {
        let height = self.stack.len();
        let layout = self.add_layout(self.layout(), self.place(entry, height));
        if entry == Entry::Own && self.own_below == height {
            self.own_below += 1;
        }
        self.stack.push((entry, layout));
    }

    pub(super) fn add_layout(&mut self, below: LayoutId, place: Place) -> LayoutId {
        self.made_before.push(self.operations.len());
        self.layouts.push(below, place)
    }

    pub(in crate::program) fn pop(&mut self) {
        self.truncate(self.stack.len() - 1);
    }

    /// Pops values and pushes one that is in its own register.
    pub(in crate::program) fn replace(&mut self, count: u32) {
        self.truncate(self.stack.len() - count as usize);
        self.push(Entry::Own);
    }

    pub(super) fn truncate(&mut self, height: usize) {
        self.stack.truncate(height);
        self.own_below = self.own_below.min(height);
        self.unchanged_below = self.unchanged_below.min(height);
    }

    /// Marks all values of the stack as unneeded.
    pub(super) fn leave_block(&mut self) {
        self.truncate(self.unchanged_below);
    }

    /// Records that a value has moved.
    pub(super) fn set_entry(&mut self, height: usize, entry: Entry) {
        self.stack[height].0 = entry;
        self.changed(height);
    }

    /// Rebuilds the layouts from a height on, after values have moved.
    pub(super) fn changed(&mut self, from: usize) {
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

    /// The heights whose values may be in locals.
    pub(super) fn symbolic_heights(&self) -> Range<usize> {
        let height = self.stack.len();
        // Above that height only values pushed by the current instruction are.
        let end = if height - self.own_below > SYMBOLIC_HEIGHT_MAX { SYMBOLIC_HEIGHT_MAX } else { height };
        self.own_below..end.max(self.own_below)
    }

    /// If another value of the stack is in the same local, its use becomes the last one.
    pub(super) fn hand_on_last(&mut self, local: Register, except: usize) -> bool {
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

    /// Loads a value into the register of its height.
    pub(in crate::program) fn materialize(&mut self, height: usize) {
        let entry = self.stack[height].0;
        if entry != Entry::Own {
            self.load_entry(entry, self.own(height), height);
            self.set_entry(height, Entry::Own);
        }
    }

    /// Loads the values in a range of heights into their registers.
    pub(in crate::program) fn materialize_between(&mut self, from: usize, below: usize) {
        for height in from.max(self.own_below)..below {
            self.materialize(height);
        }
    }

    pub(super) fn materialize_all(&mut self) {
        self.materialize_between(0, self.stack.len());
    }

    /// In the plain form, loads all values except an operator on top, which stays a constant until the call that
    /// follows.
    pub(super) fn materialize_plain(&mut self) {
        let keeps = matches!(self.known_callee(), Some(Value::Operator(_)));
        self.materialize_between(0, self.stack.len() - usize::from(keeps));
    }

    /// The value at this height as an operand, and whether it dies with this use.
    pub(in crate::program) fn operand(&mut self, height: usize) -> Operand {
        match self.stack[height].0 {
            Entry::Own => Operand::Register { register: self.own(height), dies: true },
            Entry::Constant(constant) => Operand::Constant(constant),
            Entry::Local { register, is_last } => Operand::Register { register, dies: is_last },
        }
    }

    /// Settles the last uses among the operands of one operation: a value that another stack entry needs does not die.
    pub(in crate::program) fn settle(&mut self, operand: Operand, height: usize, operands: &[usize]) -> Operand {
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

    /// Makes an operand a register; a constant is loaded into the register of its height.
    pub(in crate::program) fn in_register(&mut self, operand: Operand, height: usize) -> (Register, bool) {
        match self.settle(operand, height, &[height]) {
            Operand::Register { register, dies } => (register, dies),
            Operand::Constant(_) => {
                self.materialize(height);
                (self.own(height), true)
            }
        }
    }

    pub(super) fn load(&mut self, to: Register, constant: u32) {
        let operation = match self.constants[constant as usize] {
            Value::Integer(value) if i32::try_from(value).is_ok() => Operation::LoadInteger { to, value: value as i32 },
            _ => Operation::Load { to, constant },
        };
        self.emit(operation);
    }
}
