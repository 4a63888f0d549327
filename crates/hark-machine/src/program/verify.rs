//! The operands of each operation, and the proof that all of them are in bounds. The interpreter relies on it for its
//! unchecked accesses.

use hark_bytecode::Executable;

use super::operation::{Operation, Register};
use super::{Code, Counting};

/// The role of an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A register that is read (and may be cleared).
    Read,
    /// The register of the result.
    Write,
    /// The first of several consecutive registers that are read; the first one receives the result.
    Row(u32),
    /// An operation.
    Target,
    /// A constant, which must exist.
    Constant,
    /// A function of the program.
    Function,
    /// An import of the program.
    Foreign,
    /// A local that has a flag, or `u32::MAX`.
    Flagged,
    /// A set of locals; all others are cleared.
    Kept,
    /// A place where a closure is made, with its captures.
    Site,
    /// A pattern.
    Pattern,
}

/// Calls `see` for each operand.
pub(super) fn visit(operation: &mut Operation, mut see: impl FnMut(Role, &mut u32)) {
    use Operation as O;
    use Role::{Constant, Flagged, Foreign, Function, Kept, Pattern, Read, Row, Site, Target, Write};
    match operation {
        O::Nop => {}
        O::Copy { to, from } | O::Take { to, from } => {
            see(Read, from);
            see(Write, to);
        }
        O::Load { to, constant } => {
            see(Constant, constant);
            see(Write, to);
        }
        O::LoadInteger { to, .. } => see(Write, to),
        O::LoadOptional { to, local, constant } => {
            if *local != u32::MAX {
                see(Flagged, local);
            }
            if *constant != u32::MAX {
                see(Constant, constant);
            }
            see(Write, to);
        }
        O::DropAllBut { kept } => see(Kept, kept),
        O::TakeRow { to, from, count } => {
            see(Row(*count), from);
            see(Row(*count), to);
        }
        O::Drop { register } | O::CheckBoolean { register, .. } => see(Read, register),
        O::Add { to, left, right, .. }
        | O::Subtract { to, left, right, .. }
        | O::Multiply { to, left, right, .. }
        | O::Divide { to, left, right, .. }
        | O::Modulo { to, left, right, .. }
        | O::Compare { to, left, right, .. }
        | O::Nth { to, list: left, index: right, .. }
        | O::Append { to, list: left, item: right, .. }
        | O::Get { to, hash: left, key: right, .. } => {
            see(Read, left);
            see(Read, right);
            see(Write, to);
        }
        O::AddInteger { to, left, .. }
        | O::SubtractInteger { to, left, .. }
        | O::MultiplyInteger { to, left, .. }
        | O::DivideInteger { to, left, .. }
        | O::ModuloInteger { to, left, .. }
        | O::CompareInteger { to, left, .. }
        | O::Negate { to, from: left, .. }
        | O::Not { to, from: left, .. }
        | O::First { to, list: left, .. }
        | O::Rest { to, list: left, .. }
        | O::Length { to, of: left, .. }
        | O::Nullp { to, from: left, .. }
        | O::Wait { to, from: left, .. } => {
            see(Read, left);
            see(Write, to);
        }
        O::RestAndFirst { rest, list, first } => {
            see(Read, list);
            see(Write, rest);
            see(Write, first);
        }
        O::AddConstant { to, left, constant, .. }
        | O::SubtractConstant { to, left, constant, .. }
        | O::MultiplyConstant { to, left, constant, .. }
        | O::DivideConstant { to, left, constant, .. }
        | O::ConstantAdd { to, right: left, constant, .. }
        | O::ConstantSubtract { to, right: left, constant, .. }
        | O::ConstantMultiply { to, right: left, constant, .. }
        | O::ConstantDivide { to, right: left, constant, .. } => {
            see(Read, left);
            see(Constant, constant);
            see(Write, to);
        }
        O::Jump { target } | O::Repeat { target } | O::RepeatCounting { target } => see(Target, target),
        O::TakeAndRepeat { to, from, target } => {
            see(Read, from);
            see(Read, to);
            see(Target, target);
        }
        O::JumpIf { condition: register, target, .. }
        | O::JumpUnless { condition: register, target, .. }
        | O::And { register, target }
        | O::Or { register, target }
        | O::JumpEmpty { register, target, .. }
        | O::JumpEqualInteger { left: register, target, .. }
        | O::JumpNotEqualInteger { left: register, target, .. }
        | O::JumpLessInteger { left: register, target, .. }
        | O::JumpLessOrEqualInteger { left: register, target, .. }
        | O::JumpGreaterInteger { left: register, target, .. }
        | O::JumpGreaterOrEqualInteger { left: register, target, .. } => {
            see(Read, register);
            see(Target, target);
        }
        O::JumpEqual { left, right, target, .. }
        | O::JumpNotEqual { left, right, target, .. }
        | O::JumpLess { left, right, target, .. }
        | O::JumpLessOrEqual { left, right, target, .. }
        | O::JumpGreater { left, right, target, .. }
        | O::JumpGreaterOrEqual { left, right, target, .. } => {
            see(Read, left);
            see(Read, right);
            see(Target, target);
        }
        O::JumpEqualConstant { left, constant, target, .. }
        | O::JumpLessConstant { left, constant, target, .. }
        | O::JumpGreaterConstant { left, constant, target, .. } => {
            see(Read, left);
            see(Constant, constant);
            see(Target, target);
        }
        O::CallFunction { base, function } => {
            see(Function, function);
            see(Row(0), base);
        }
        O::Close { to, site } => {
            see(Site, site);
            see(Write, to);
        }
        O::Unpack { from, base, pattern } => {
            see(Pattern, pattern);
            see(Read, from);
            see(Row(0), base);
        }
        O::CallValue { base, count, callee, .. } => {
            see(Read, callee);
            see(Row(*count), base);
        }
        O::SpawnValue { base, count } => see(Row(count.saturating_add(1)), base),
        O::CallForeign { base, count, foreign } => {
            see(Foreign, foreign);
            see(Row(*count), base);
        }
        O::Set { base } => see(Row(3), base),
        O::CallBuiltin { base, count, .. } => see(Row(*count), base),
        O::Spawn { base, count, callee } => {
            see(Constant, callee);
            see(Row(*count), base);
        }
        O::Return { from, .. } => see(Read, from),
        O::ReturnConstant { constant } => see(Constant, constant),
    }
}

/// The target of a jump.
pub(super) fn target(operation: &Operation) -> Option<u32> {
    let mut target = None;
    visit(&mut operation.clone(), |role, operand| {
        if role == Role::Target {
            target = Some(*operand);
        }
    });
    target
}

/// Sets the target of a jump.
pub(super) fn set_target(operation: &mut Operation, to: u32) {
    visit(operation, |role, operand| {
        if role == Role::Target {
            *operand = to;
        }
    });
}

/// The register of the result, if it can be redirected.
pub(super) fn result(operation: &Operation) -> Option<Register> {
    let mut result = None;
    visit(&mut operation.clone(), |role, operand| {
        if role == Role::Write {
            result = Some(*operand);
        }
    });
    result
}

/// Redirects the result to another register.
pub(super) fn set_result(operation: &mut Operation, to: Register) {
    visit(operation, |role, operand| {
        if role == Role::Write {
            *operand = to;
        }
    });
}

/// Whether it reads or writes this register.
pub(super) fn touches(operation: &Operation, register: Register) -> bool {
    let mut touches = false;
    visit(&mut operation.clone(), |role, operand| match role {
        Role::Read | Role::Write => touches |= *operand == register,
        Role::Flagged => touches |= *operand == register,
        // A call may use every register from its first argument on.
        Role::Row(_) => touches |= register >= *operand,
        Role::Kept | Role::Site => touches = true,
        Role::Target | Role::Pattern | Role::Constant | Role::Function | Role::Foreign => {}
    });
    touches
}

/// Whether execution never continues with the operation that follows.
pub(super) fn is_end(operation: &Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Return { .. }
            | O::ReturnConstant { .. }
            | O::Jump { .. }
            | O::Repeat { .. }
            | O::TakeAndRepeat { .. }
            | O::RepeatCounting { .. }
    )
}

/// Checks that every register, constant, function and target of the code exists, and that execution cannot run off its
/// end.
///
/// # Panics
/// If not: the lowering has a bug, and running the code would be unsound.
pub(super) fn verify(code: &Code, executable: &Executable) {
    let operations = code.operations.len() as u32;
    assert_eq!(code.points.len(), code.operations.len(), "every operation has a point");
    assert!(code.operations.last().is_some_and(is_end), "code ends with a jump or return");
    let locals = code.analysis.locals.len() as u32;
    for operation in &code.operations {
        visit(&mut operation.clone(), |role, operand| {
            let inside = match role {
                Role::Read | Role::Write => *operand < code.registers,
                Role::Row(count) => {
                    operand.checked_add(count).is_some_and(|end| end.max(*operand + 1) <= code.registers)
                }
                Role::Target => *operand < operations,
                Role::Constant => (*operand as usize) < code.constants.len(),
                Role::Function => (*operand as usize) < executable.functions.len(),
                Role::Foreign => (*operand as usize) < executable.foreign.len(),
                Role::Kept => (*operand as usize) < code.kept.len() && locals <= code.registers,
                Role::Site => code.sites.get(*operand as usize).is_some_and(|site| site.is_inside(code.registers)),
                Role::Pattern => (*operand as usize) < code.patterns.len(),
                Role::Flagged => locals + *operand < code.registers && *operand < locals,
            };
            assert!(inside, "{operation:?} leads outside: {role:?} {operand}");
        });
    }
    for operation in &code.operations {
        if let Operation::Unpack { base, pattern, .. } = operation {
            let names = code.patterns[*pattern as usize].names() as u32;
            assert!(base.checked_add(names).is_some_and(|end| end <= code.registers), "{operation:?} leads outside");
        }
    }
    for catch in code.handlers.catches() {
        assert!(catch.target < operations && catch.register < code.registers, "{catch:?} leads outside");
    }
    for pair in code.operations.windows(2) {
        // The first operation continues after the second.
        let is_pair = !matches!(pair[0], Operation::RestAndFirst { .. }) || matches!(pair[1], Operation::First { .. });
        assert!(is_pair, "{:?} is not followed by what it does too", pair[0]);
    }
    for register in code.counting.iter().flat_map(Counting::registers) {
        assert!(register < code.registers, "{:?} leads outside: {register}", code.counting);
    }
}
