//! Calls, specialized by what is known about the callee.

use hark_bytecode::{Instruction, Passing};

use super::{Entry, Lowering};
use crate::program::operation::Operation;
use crate::value::Value;

impl Lowering<'_> {
    /// The topmost value, if it is known at compile time.
    pub(in crate::program) fn known_callee(&self) -> Option<&Value> {
        match self.stack.last() {
            Some((Entry::Constant(constant), _)) => self.constants.get(*constant as usize),
            _ => None,
        }
    }

    pub(super) fn call(&mut self, count: u32, at: u32, block_end: u32) -> u32 {
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
                let called = &self.executable.functions[function.0 as usize];
                let takes_list = matches!(called.passing, Passing::AsList { .. });
                if called.parameters.len() == count as usize && called.foreign.is_none() && !takes_list {
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

    pub(super) fn call_value(&mut self, count: u32) {
        let base = self.arguments(count);
        let top = self.stack.len() - 1;
        // A local is called without being moved.
        let operand = self.operand(top);
        let (callee, dies) = self.in_register(operand, top);
        self.emit(Operation::CallValue { consume: u8::from(dies), base, count, callee });
        self.replace(count + 1);
    }
}
