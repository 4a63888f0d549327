//! Operators and builtins with operations of their own, and operations fused with the jump that follows.

use std::collections::HashSet;

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Instruction, Operator};

use super::Form;
use super::lower::{Lowering, Operand};
use super::operation::{CONSUME_FIRST, Operation, Register};
use crate::value::Value;

/// Two operands: the left one in a register, the right one in a register, a small integer or a constant.
struct Pair {
    consume: u8,
    left: Register,
    right: Right,
}

enum Right {
    Register(Register),
    Integer(i32),
    Constant(u32),
}

/// Fuses pairs of operations into the first one. The second one stays in place as a fallback. `bounds` are operations
/// that are not fused with their predecessors.
pub(super) fn join_neighbors(operations: &mut [Operation], bounds: &HashSet<u32>) {
    for at in (1..operations.len()).filter(|at| !bounds.contains(&(*at as u32))) {
        if let [Operation::Rest { consume: 0, to: rest, list }, Operation::First { consume, to: first, list: same }] =
            operations[at - 1..=at]
            && (list == same && rest != list && first != rest && consume & CONSUME_FIRST != 0)
        {
            operations[at - 1] = Operation::RestAndFirst { rest, list, first };
        }
    }
}

impl Lowering<'_> {
    /// Lowers an operator applied to its operands, the left one on top; returns the next instruction, or `None` if the
    /// number of operands is wrong.
    pub(super) fn operate(&mut self, operator: Operator, count: u32, at: u32, block_end: u32) -> Option<u32> {
        let callee = self.stack.len() - 1;
        match (operator, count) {
            (Operator::Not, 1) => {
                if let Some(target) = self.jump_behind(at, block_end) {
                    self.operand_and_jump(|consume, condition| Operation::JumpUnless { consume, condition, target });
                    return Some(at + 2);
                }
                self.one_operand(|consume, to, from| Operation::Not { consume, to, from });
            }
            (Operator::Subtract, 1) => self.one_operand(|consume, to, from| Operation::Negate { consume, to, from }),
            (Operator::And | Operator::Or, 2) => self.both_boolean(operator),
            (Operator::Not, _) | (_, 0 | 1 | 3..) => return None,
            (Operator::Equal | Operator::NotEqual, 2)
            | (Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual, 2) => {
                if let Some(target) = self.jump_behind(at, block_end) {
                    self.materialize_below(callee - 2);
                    self.compare_and_jump(operator, target);
                    return Some(at + 2);
                }
                let Pair { consume, left, right } = self.pair(self.form == Form::Fused, false);
                let to = self.own(callee - 2);
                self.emit(match right {
                    Right::Register(right) => Operation::Compare { consume, operator, to, left, right },
                    Right::Integer(right) => Operation::CompareInteger { consume, operator, to, left, right },
                    Right::Constant(_) => return None,
                });
                self.replace(3);
            }
            (_, 2) => self.arithmetic(operator),
        }
        Some(at + 1)
    }

    /// The target of a `JUMPIF` that follows in the same block.
    fn jump_behind(&self, at: u32, block_end: u32) -> Option<u32> {
        if self.form == Form::Plain {
            return None;
        }
        match self.next_in_block(at, block_end) {
            Some(Instruction::JumpIf(distance)) => Some((i64::from(at) + 2 + i64::from(*distance)) as u32),
            _ => None,
        }
    }

    fn materialize_below(&mut self, height: usize) {
        self.materialize_between(0, height);
    }

    /// A call with one argument, fused with the jump that follows. All its operations belong to the call instruction,
    /// because the callee stays on the stack until it is done.
    fn operand_and_jump(&mut self, operation: impl Fn(u8, Register) -> Operation) {
        let height = self.stack.len() - 2;
        self.materialize_below(height);
        let operand = self.operand(height);
        let (register, dies) = self.in_register(operand, height);
        self.emit_jump(operation(u8::from(dies), register));
        self.pop();
        self.pop();
    }

    fn one_operand(&mut self, operation: impl Fn(u8, Register, Register) -> Operation) {
        let height = self.stack.len() - 2;
        let operand = self.operand(height);
        let (from, dies) = self.in_register(operand, height);
        let to = self.own(height);
        self.emit(operation(u8::from(dies), to, from));
        self.replace(2);
    }

    /// `&&` and `||` as functions: the compiler emits `true && b`, so that only `b` must be checked.
    fn both_boolean(&mut self, operator: Operator) {
        let left = self.stack.len() - 2;
        let right = left - 1;
        let neutral = matches!(operator, Operator::And);
        let is_neutral = match self.operand(left) {
            Operand::Constant(constant) => {
                matches!(self.constants[constant as usize], Value::Boolean(value) if value == neutral)
            }
            Operand::Register { .. } => false,
        };
        if is_neutral && self.form == Form::Fused {
            let operand = self.operand(right);
            if !matches!(operand, Operand::Register { .. }) {
                self.materialize(right);
            }
            let Operand::Register { register, .. } = self.operand(right) else { return };
            self.emit(Operation::CheckBoolean { operator, register });
            self.pop();
            self.pop();
        } else {
            let pair = self.pair(false, false);
            let Right::Register(right_register) = pair.right else { return };
            let to = self.own(right);
            self.emit(Operation::Compare {
                consume: pair.consume,
                operator,
                to,
                left: pair.left,
                right: right_register,
            });
            self.replace(3);
        }
    }

    /// The operands below the operator, the left one on top.
    fn pair(&mut self, takes_integer: bool, takes_constant: bool) -> Pair {
        let left_height = self.stack.len() - 2;
        let right_height = left_height - 1;
        let heights = [left_height, right_height];
        let mut left = self.operand(left_height);
        if let Operand::Constant(_) = left {
            self.materialize(left_height);
            left = self.operand(left_height);
        }
        let mut right = self.operand(right_height);
        if let Operand::Constant(constant) = right {
            match self.constants[constant as usize] {
                Value::Integer(value) if takes_integer && i32::try_from(value).is_ok() => {
                    let (left, dies) = self.settled(left, left_height, &heights);
                    return Pair { consume: u8::from(dies), left, right: Right::Integer(value as i32) };
                }
                Value::Integer(_) | Value::Float(_) if takes_constant => {
                    let (left, dies) = self.settled(left, left_height, &heights);
                    return Pair { consume: u8::from(dies), left, right: Right::Constant(constant) };
                }
                _ => {
                    self.materialize(right_height);
                    right = self.operand(right_height);
                }
            }
        }
        let (left, left_dies) = self.settled(left, left_height, &heights);
        let (right, right_dies) = self.settled(right, right_height, &heights);
        Pair { consume: Self::consume(left_dies, right_dies), left, right: Right::Register(right) }
    }

    fn settled(&mut self, operand: Operand, height: usize, heights: &[usize]) -> (Register, bool) {
        match self.settle(operand, height, heights) {
            Operand::Register { register, dies } => (register, dies),
            Operand::Constant(_) => (self.own(height), true),
        }
    }

    fn arithmetic(&mut self, operator: Operator) {
        let left_height = self.stack.len() - 2;
        let to = self.own(left_height - 1);
        if let Some(operation) = self.constant_left(operator, left_height, to) {
            self.emit(operation);
            self.replace(3);
            return;
        }
        let is_modulo = operator == Operator::Modulo;
        let right_is_zero = self.right_is_zero();
        let Pair { consume, left, right } = self.pair(!right_is_zero, !is_modulo);
        let operation = match (operator, right) {
            (Operator::Add, Right::Register(right)) => Operation::Add { consume, to, left, right },
            (Operator::Subtract, Right::Register(right)) => Operation::Subtract { consume, to, left, right },
            (Operator::Multiply, Right::Register(right)) => Operation::Multiply { consume, to, left, right },
            (Operator::Divide, Right::Register(right)) => Operation::Divide { consume, to, left, right },
            (_, Right::Register(right)) => Operation::Modulo { consume, to, left, right },
            (Operator::Add, Right::Integer(right)) => Operation::AddInteger { consume, to, left, right },
            (Operator::Subtract, Right::Integer(right)) => Operation::SubtractInteger { consume, to, left, right },
            (Operator::Multiply, Right::Integer(right)) => Operation::MultiplyInteger { consume, to, left, right },
            (Operator::Divide, Right::Integer(right)) => Operation::DivideInteger { consume, to, left, right },
            (_, Right::Integer(right)) => Operation::ModuloInteger { consume, to, left, right },
            (Operator::Add, Right::Constant(constant)) => Operation::AddConstant { consume, to, left, constant },
            (Operator::Subtract, Right::Constant(constant)) => {
                Operation::SubtractConstant { consume, to, left, constant }
            }
            (Operator::Multiply, Right::Constant(constant)) => {
                Operation::MultiplyConstant { consume, to, left, constant }
            }
            (_, Right::Constant(constant)) => Operation::DivideConstant { consume, to, left, constant },
        };
        self.emit(operation);
        self.replace(3);
    }

    /// Division by the literal zero takes the general path, which raises the error.
    fn right_is_zero(&mut self) -> bool {
        match self.operand(self.stack.len() - 3) {
            Operand::Constant(constant) => matches!(self.constants[constant as usize], Value::Integer(0)),
            Operand::Register { .. } => false,
        }
    }

    fn constant_left(&mut self, operator: Operator, left_height: usize, to: Register) -> Option<Operation> {
        let Operand::Constant(constant) = self.operand(left_height) else { return None };
        if !matches!(self.constants[constant as usize], Value::Integer(_) | Value::Float(_)) {
            return None;
        }
        let right_height = left_height - 1;
        let operand @ Operand::Register { .. } = self.operand(right_height) else { return None };
        let make = match operator {
            Operator::Add => |consume, to, constant, right| Operation::ConstantAdd { consume, to, constant, right },
            Operator::Subtract => {
                |consume, to, constant, right| Operation::ConstantSubtract { consume, to, constant, right }
            }
            Operator::Multiply => {
                |consume, to, constant, right| Operation::ConstantMultiply { consume, to, constant, right }
            }
            Operator::Divide => {
                |consume, to, constant, right| Operation::ConstantDivide { consume, to, constant, right }
            }
            _ => return None,
        };
        let (right, dies) = self.settled(operand, right_height, &[left_height, right_height]);
        Some(make(Self::consume(false, dies), to, constant, right))
    }

    fn compare_and_jump(&mut self, operator: Operator, target: u32) {
        let has_constant = matches!(operator, Operator::Equal | Operator::Less | Operator::Greater);
        let Pair { consume, left, right } = self.pair(true, has_constant);
        let operation = match (operator, right) {
            (Operator::Equal, Right::Register(right)) => Operation::JumpEqual { consume, left, right, target },
            (Operator::NotEqual, Right::Register(right)) => Operation::JumpNotEqual { consume, left, right, target },
            (Operator::Less, Right::Register(right)) => Operation::JumpLess { consume, left, right, target },
            (Operator::LessOrEqual, Right::Register(right)) => {
                Operation::JumpLessOrEqual { consume, left, right, target }
            }
            (Operator::Greater, Right::Register(right)) => Operation::JumpGreater { consume, left, right, target },
            (_, Right::Register(right)) => Operation::JumpGreaterOrEqual { consume, left, right, target },
            (Operator::Equal, Right::Integer(right)) => Operation::JumpEqualInteger { consume, left, right, target },
            (Operator::NotEqual, Right::Integer(right)) => {
                Operation::JumpNotEqualInteger { consume, left, right, target }
            }
            (Operator::Less, Right::Integer(right)) => Operation::JumpLessInteger { consume, left, right, target },
            (Operator::LessOrEqual, Right::Integer(right)) => {
                Operation::JumpLessOrEqualInteger { consume, left, right, target }
            }
            (Operator::Greater, Right::Integer(right)) => {
                Operation::JumpGreaterInteger { consume, left, right, target }
            }
            (_, Right::Integer(right)) => Operation::JumpGreaterOrEqualInteger { consume, left, right, target },
            (Operator::Equal, Right::Constant(constant)) => {
                Operation::JumpEqualConstant { consume, left, constant, target }
            }
            (Operator::Less, Right::Constant(constant)) => {
                Operation::JumpLessConstant { consume, left, constant, target }
            }
            (_, Right::Constant(constant)) => Operation::JumpGreaterConstant { consume, left, constant, target },
        };
        self.emit_jump(operation);
        (0..3).for_each(|_| self.pop());
    }

    /// Lowers a call of a builtin; returns the next instruction, or `None` if the number of arguments is wrong.
    pub(super) fn call_builtin(&mut self, builtin: Builtin, count: u32, at: u32, block_end: u32) -> Option<u32> {
        let (minimum, maximum) = builtin.arity();
        if count < minimum || count > maximum {
            return None;
        }
        if builtin == Builtin::Nullp
            && let Some(target) = self.jump_behind(at, block_end)
        {
            self.operand_and_jump(|consume, register| Operation::JumpEmpty { consume, register, target });
            return Some(at + 2);
        }
        match (builtin, count) {
            (Builtin::First, 1) => self.one_operand(|consume, to, list| Operation::First { consume, to, list }),
            (Builtin::Rest, 1) => self.one_operand(|consume, to, list| Operation::Rest { consume, to, list }),
            (Builtin::Length, 1) => self.one_operand(|consume, to, of| Operation::Length { consume, to, of }),
            (Builtin::Nullp, 1) => self.one_operand(|consume, to, from| Operation::Nullp { consume, to, from }),
            (Builtin::Nth, 2) => {
                self.two_operands(|consume, to, list, index| Operation::Nth { consume, to, list, index });
            }
            (Builtin::Append, 2) => {
                self.two_operands(|consume, to, list, item| Operation::Append { consume, to, list, item });
            }
            (Builtin::Get, 2) => self.two_operands(|consume, to, hash, key| Operation::Get { consume, to, hash, key }),
            (Builtin::Set, 3) => {
                let base = self.arguments(count);
                self.emit(Operation::Set { base });
                self.replace(count + 1);
            }
            _ => {
                let base = self.arguments(count);
                self.emit(Operation::CallBuiltin { builtin, base, count });
                self.replace(count + 1);
            }
        }
        Some(at + 1)
    }

    /// Two arguments below the callee, the second one on top.
    fn two_operands(&mut self, operation: impl Fn(u8, Register, Register, Register) -> Operation) {
        let second_height = self.stack.len() - 2;
        let first_height = second_height - 1;
        for height in [first_height, second_height] {
            if let Operand::Constant(_) = self.operand(height) {
                self.materialize(height);
            }
        }
        let heights = [first_height, second_height];
        let (first, second) = (self.operand(first_height), self.operand(second_height));
        let (first, first_dies) = self.settled(first, first_height, &heights);
        let (second, second_dies) = self.settled(second, second_height, &heights);
        let to = self.own(first_height);
        self.emit(operation(Self::consume(first_dies, second_dies), to, first, second));
        self.replace(3);
    }
}
