//! Constants and operations.

use hark_bytecode::{Global, NameIndex};

use super::Lowering;
use crate::program::Point;
use crate::program::operation::{CONSUME_FIRST, CONSUME_SECOND, Operation};
use crate::value::Value;

impl Lowering<'_> {
    pub(in crate::program) fn constant(&mut self, value: Value) -> u32 {
        self.constants.push(value);
        (self.constants.len() - 1) as u32
    }

    pub(super) fn global_constant(&mut self, name: NameIndex) -> Option<u32> {
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

    pub(in crate::program) fn emit(&mut self, operation: Operation) {
        self.operations.push(operation);
        self.points.push(Point { instruction: self.at, stack: self.layout() });
    }

    /// The consume bits of two operands.
    pub(in crate::program) fn consume(first: bool, second: bool) -> u8 {
        (u8::from(first) * CONSUME_FIRST) | (u8::from(second) * CONSUME_SECOND)
    }
}
