//! The portable instructions. This file is their specification.
//!
//! A thread has a *data stack* and a chain of *activation records*. Each record holds the bindings of one call, its
//! caller, and the place of the call. Distances are relative to the instruction that follows the jump.
//!
//! An error that an instruction raises goes to the innermost handler of the record's function whose range holds that
//! instruction (see [`Handler`](crate::Handler)); if there is none, to the record's caller, as raised by its `CALL`; if
//! there is no caller, the thread ends with it.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::{ForeignIndex, FunctionIndex, NameIndex, Pattern};

/// One portable instruction. Stack effects are written `before -- after`, the top on the right.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// `PUSHV v` — `-- v`. Raises nothing.
    PushValue(Literal),
    /// `PUSHB name` — `-- v`, where `v` is what the name is bound to: in this record, else in the program, else
    /// the builtin or operator. Raises `name` if it is none of these.
    PushBinding(NameIndex),
    /// `BIND name` — `v -- v`. Binds the name in this record.
    Bind(NameIndex),
    /// `POP` — `v --`.
    Pop,
    /// `CALL n` — `a1 .. an f -- result`. A Hark function gets a new activation record. Directly after the
    /// `PUSHB` of an operator the left operand is uppermost: `right left op -- result`; `-` with one operand negates.
    /// If `f` may be called with one argument less, and is, its last parameter is `null`.
    /// Raises `type` if `f` is no function, `arity` if it does not take `n` arguments, and what `f` raises.
    Call(u32),
    /// `ACALL n` — `a1 .. an f -- future`. A new thread is created that makes the call.
    AsyncCall(u32),
    /// `WAIT 0` — `v -- value`. A Future that has no value suspends the thread before this instruction. Any other
    /// value stays as it is. Raises the error of a Future that failed.
    Wait,
    /// `JUMP d`. A jump to the start of the function is a tail call of itself: the record's bindings are cleared.
    Jump(i32),
    /// `JUMPIF d` — `v --`. Jumps unless `v` is `false` or `null`.
    JumpIf(i32),
    /// `AND d` — `false -- false` and jumps; `true --` and goes on. Raises `type` for anything else.
    And(i32),
    /// `OR d` — `true -- true` and jumps; `false --` and goes on. Raises `type` for anything else.
    Or(i32),
    /// `CLOSE #n` — `-- f`. A function value of the lambda `#n`, with the values that its captures have in this record
    /// now. One that is not bound here is not captured. Raises `name` if that is one that the lambda is certain to have.
    Close(FunctionIndex),
    /// `UNPACK pattern` — `v -- v xn .. x1`, what the pattern's names stand for in `v`, the first name's uppermost. Raises
    /// `type` where the pattern has a list and the value has none, `value` where that list has another length.
    Unpack(Arc<Pattern>),
    /// `RETURN` — `v --` here, `-- v` in the caller. Without a caller the thread ends with `v`.
    Return,
}

/// A value that stands in the program text.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// An integer of 64 bits.
    Integer(i64),
    /// An integer that does not fit 64 bits.
    BigInteger(Arc<BigInt>),
    /// A 64-bit float.
    Float(f64),
    /// A string.
    String(Arc<str>),
    /// A `lambda`, which is a function of the program.
    Function(FunctionIndex),
    /// An import, where its name stands for what calls it.
    Foreign(ForeignIndex),
}
