//! The portable instructions. This file is their specification.
//!
//! A thread has a *data stack* and a chain of *activation records*. Each record holds the bindings of one call, its
//! caller, and the place of the call. Distances are relative to the instruction that follows the jump.
//!
//! An error goes to the innermost handler of the record's function whose range contains the raising instruction (see
//! [`Handler`](crate::Handler)). Without such a handler it is raised again in the caller, by its `CALL`; without a
//! caller it ends the thread.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::{ForeignIndex, FunctionIndex, NameIndex, Pattern};

/// One portable instruction. Stack effects are written `before -- after`, the top on the right.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// `PUSHV v` — `-- v`. Raises nothing.
    PushValue(Literal),
    /// `PUSHB name` — `-- v`, where `v` is the value bound to the name in this record, else in the program, else the
    /// builtin or operator. Raises `name` if there is none.
    PushBinding(NameIndex),
    /// `BIND name` — `v -- v`. Binds the name in this record.
    Bind(NameIndex),
    /// `POP` — `v --`.
    Pop,
    /// `CALL n` — `a1 .. an f -- result`. A Hark function gets a new activation record. Directly after the `PUSHB` of
    /// an operator the left operand is on top: `right left op -- result`; `-` with one operand negates. A missing last
    /// argument that the function declares optional is `null`. Raises `type` if `f` is not a function, `arity` if it
    /// does not take `n` arguments, and any error that `f` raises.
    Call(u32),
    /// `ACALL n` — `a1 .. an f -- future`. Starts a new thread that makes the call.
    AsyncCall(u32),
    /// `WAIT 0` — `v -- value`. If `v` is a pending Future, suspends the thread before this instruction; if it has
    /// failed, raises its error. A value that is not a Future stays as it is.
    Wait,
    /// `JUMP d`. A jump to the start of the function is a tail call of itself: the record's bindings are cleared.
    Jump(i32),
    /// `JUMPIF d` — `v --`. Jumps unless `v` is `false` or `null`.
    JumpIf(i32),
    /// `AND d` — `false -- false` and jumps; `true --` and continues. Raises `type` for anything else.
    And(i32),
    /// `OR d` — `true -- true` and jumps; `false --` and continues. Raises `type` for anything else.
    Or(i32),
    /// `CLOSE #n` — `-- f`. Makes a closure of the lambda `#n` with the current values of its captures in this record.
    /// Unbound captures are left out. Raises `name` if such a capture is declared certain.
    Close(FunctionIndex),
    /// `UNPACK pattern` — `v -- v xn .. x1`: the parts of `v` that match the pattern's names, the first one on top.
    /// Raises `type` where the pattern has a list and the value does not, `value` where the lengths differ.
    Unpack(Arc<Pattern>),
    /// `RETURN` — `v --` here, `-- v` in the caller. Without a caller it ends the thread with the value `v`.
    Return,
}

/// A constant from the program text.
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
    /// A function without captures, usually a `lambda`.
    Function(FunctionIndex),
    /// An import, used by its wrapper function.
    Foreign(ForeignIndex),
}
