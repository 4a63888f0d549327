//! The operations of register code, which is made from portable instructions and never stored.
//!
//! Operands named `to`, `from`, `left`, `right`, ... are registers of the current window. `consume` says which operands
//! die here: the first operand by bit 0, the second by bit 1, the third by bit 2. A consumed register is left without
//! anything counted. `base` is the first of several consecutive arguments and the destination of the result. `target`
//! is the index of an operation.

use hark_bytecode::Operator;
use hark_bytecode::builtins::Builtin;

/// A register's index in its window.
pub type Register = u32;

/// One operation, in 16 bytes.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs, reason = "the head of this file says what the operands mean")]
pub enum Operation {
    Nop,
    Copy {
        to: Register,
        from: Register,
    },
    Take {
        to: Register,
        from: Register,
    },
    Load {
        to: Register,
        constant: u32,
    },
    LoadInteger {
        to: Register,
        value: i32,
    },
    /// The local, if there is one (not `u32::MAX`) and its flag is set; else the constant; else (`u32::MAX`) an error.
    LoadOptional {
        to: Register,
        local: Register,
        constant: u32,
    },
    Drop {
        register: Register,
    },
    /// Drops all locals except those in the code's set number `kept`.
    DropAllBut {
        kept: u32,
    },
    /// Moves consecutive values to a range that does not overlap.
    TakeRow {
        to: Register,
        from: Register,
        count: u32,
    },

    Add {
        consume: u8,
        to: Register,
        left: Register,
        right: Register,
    },
    Subtract {
        consume: u8,
        to: Register,
        left: Register,
        right: Register,
    },
    Multiply {
        consume: u8,
        to: Register,
        left: Register,
        right: Register,
    },
    Divide {
        consume: u8,
        to: Register,
        left: Register,
        right: Register,
    },
    Modulo {
        consume: u8,
        to: Register,
        left: Register,
        right: Register,
    },
    AddInteger {
        consume: u8,
        to: Register,
        left: Register,
        right: i32,
    },
    SubtractInteger {
        consume: u8,
        to: Register,
        left: Register,
        right: i32,
    },
    MultiplyInteger {
        consume: u8,
        to: Register,
        left: Register,
        right: i32,
    },
    DivideInteger {
        consume: u8,
        to: Register,
        left: Register,
        right: i32,
    },
    ModuloInteger {
        consume: u8,
        to: Register,
        left: Register,
        right: i32,
    },
    AddConstant {
        consume: u8,
        to: Register,
        left: Register,
        constant: u32,
    },
    SubtractConstant {
        consume: u8,
        to: Register,
        left: Register,
        constant: u32,
    },
    MultiplyConstant {
        consume: u8,
        to: Register,
        left: Register,
        constant: u32,
    },
    DivideConstant {
        consume: u8,
        to: Register,
        left: Register,
        constant: u32,
    },
    ConstantAdd {
        consume: u8,
        to: Register,
        constant: u32,
        right: Register,
    },
    ConstantSubtract {
        consume: u8,
        to: Register,
        constant: u32,
        right: Register,
    },
    ConstantMultiply {
        consume: u8,
        to: Register,
        constant: u32,
        right: Register,
    },
    ConstantDivide {
        consume: u8,
        to: Register,
        constant: u32,
        right: Register,
    },
    Compare {
        consume: u8,
        operator: Operator,
        to: Register,
        left: Register,
        right: Register,
    },
    CompareInteger {
        consume: u8,
        operator: Operator,
        to: Register,
        left: Register,
        right: i32,
    },
    Negate {
        consume: u8,
        to: Register,
        from: Register,
    },
    Not {
        consume: u8,
        to: Register,
        from: Register,
    },
    /// The right operand of `&&` or `||` must be a boolean.
    CheckBoolean {
        operator: Operator,
        register: Register,
    },

    Jump {
        target: u32,
    },
    /// A self tail call: the jump to the function's start.
    Repeat {
        target: u32,
    },
    /// A `Take` followed by a `Repeat`, the usual case.
    TakeAndRepeat {
        to: Register,
        from: Register,
        target: u32,
    },
    /// A `Repeat` in a counting loop: many iterations may be executed before the jump.
    RepeatCounting {
        target: u32,
    },
    JumpIf {
        consume: u8,
        condition: Register,
        target: u32,
    },
    JumpUnless {
        consume: u8,
        condition: Register,
        target: u32,
    },
    And {
        register: Register,
        target: u32,
    },
    Or {
        register: Register,
        target: u32,
    },
    JumpEmpty {
        consume: u8,
        register: Register,
        target: u32,
    },
    JumpEqual {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpNotEqual {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpLess {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpLessOrEqual {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpGreater {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpGreaterOrEqual {
        consume: u8,
        left: Register,
        right: Register,
        target: u32,
    },
    JumpEqualInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpNotEqualInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpLessInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpLessOrEqualInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpGreaterInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpGreaterOrEqualInteger {
        consume: u8,
        left: Register,
        right: i32,
        target: u32,
    },
    JumpEqualConstant {
        consume: u8,
        left: Register,
        constant: u32,
        target: u32,
    },
    JumpLessConstant {
        consume: u8,
        left: Register,
        constant: u32,
        target: u32,
    },
    JumpGreaterConstant {
        consume: u8,
        left: Register,
        constant: u32,
        target: u32,
    },

    First {
        consume: u8,
        to: Register,
        list: Register,
    },
    Rest {
        consume: u8,
        to: Register,
        list: Register,
    },
    /// A `Rest` fused with the `First` that follows, if the list dies: this avoids a second reference to it.
    RestAndFirst {
        rest: Register,
        list: Register,
        first: Register,
    },
    Nth {
        consume: u8,
        to: Register,
        list: Register,
        index: Register,
    },
    Length {
        consume: u8,
        to: Register,
        of: Register,
    },
    Append {
        consume: u8,
        to: Register,
        list: Register,
        item: Register,
    },
    Get {
        consume: u8,
        to: Register,
        hash: Register,
        key: Register,
    },
    /// The hash, key and value are consecutive, starting at `base`.
    Set {
        base: Register,
    },
    Nullp {
        consume: u8,
        to: Register,
        from: Register,
    },

    CallFunction {
        base: Register,
        function: u32,
    },
    CallValue {
        consume: u8,
        base: Register,
        count: u32,
        callee: Register,
    },
    /// Makes the closure of the code's site with this index.
    Close {
        to: Register,
        site: u32,
    },
    /// Destructures a value by the code's pattern with this index: its parts are consecutive, starting at `base`, the
    /// first name's last.
    Unpack {
        from: Register,
        base: Register,
        pattern: u32,
    },
    CallForeign {
        base: Register,
        count: u32,
        foreign: u32,
    },
    CallBuiltin {
        builtin: Builtin,
        base: Register,
        count: u32,
    },
    /// Starts a thread that calls the constant.
    Spawn {
        base: Register,
        count: u32,
        callee: u32,
    },
    /// Starts a thread that calls the value after its arguments.
    SpawnValue {
        base: Register,
        count: u32,
    },
    Wait {
        consume: u8,
        to: Register,
        from: Register,
    },
    Return {
        consume: u8,
        from: Register,
    },
    ReturnConstant {
        constant: u32,
    },
}

const _: () = assert!(std::mem::size_of::<Operation>() == 16);

/// The first operand dies.
pub const CONSUME_FIRST: u8 = 1;
/// The second operand dies.
pub const CONSUME_SECOND: u8 = 2;
