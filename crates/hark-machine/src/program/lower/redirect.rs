//! Redirects results to the registers where they are needed, instead of moving them there.

use super::{Entry, Lowering};
use crate::program::operation::Register;
use crate::program::stack::Place;
use crate::program::{Form, verify};

impl Lowering<'_> {
    /// If the last operation wrote this value to `from`, changes it to write to `to`.
    pub(super) fn redirect_last(&mut self, from: Register, to: Register) -> bool {
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

    /// Redirects arguments of a self tail call to the parameters' registers, if nothing reads the parameter between the
    /// operation and the jump.
    pub(super) fn redirect_arguments(&mut self, count: usize) {
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
            // All later layouts must refer to the value by the same node, which is changed below.
            if self.made_before[layout as usize] > made_at + 1 {
                continue;
            }
            verify::set_result(&mut self.operations[made_at], to);
            // In all later layouts the value is in the parameter's register.
            self.layouts.move_top(layout, Place::Register(to));
            self.stack[parameter].0 = Entry::Local { register: to, is_last: false };
            self.own_below = self.own_below.min(parameter);
            self.unchanged_below = self.unchanged_below.min(parameter);
        }
    }

    /// The operation of this block that wrote the value in `own`, if none after it touches `own` or `to`.
    pub(super) fn made_at(&self, own: Register, to: Register) -> Option<usize> {
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
}
