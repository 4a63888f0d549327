//! Unchecked access to registers and code: the only unsafe code of the machine.
//!
//! A [`Window`] represents the registers of the running record, a [`Cursor`] a position in its code. They are sound
//! because [`verify`](crate::program) has proved that the code stays within its window, and because a window is created
//! only if all its registers exist. Every register always holds a valid value.
#![expect(unsafe_code, reason = "checked access costs 1.3 to 1.8 times the time; the verifier proves it needless")]

use std::marker::PhantomData;
use std::ptr;

use crate::program::Code;
use crate::program::operation::{Operation, Register};
use crate::value::Value;

/// The registers of the running record.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    first: *mut Value,
}

/// A position in verified code, with its constants.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'p> {
    next: *const Operation,
    first: *const Operation,
    constants: *const Value,
    /// The code outlives the cursor.
    code: PhantomData<&'p Code>,
}

impl Window {
    /// The window that begins at `base`.
    ///
    /// # Panics
    /// If the registers do not hold the whole window of this code.
    #[inline(always)]
    pub fn new(registers: &mut [Value], base: usize, code: &Code) -> Window {
        assert!(base + code.registers as usize <= registers.len(), "the window must exist");
        // SAFETY: `base` is in bounds, as just checked.
        Window { first: unsafe { registers.as_mut_ptr().add(base) } }
    }

    /// The value in a register.
    #[inline(always)]
    pub fn get(&self, register: Register) -> &Value {
        // SAFETY: the verifier proved that the index is below the window's size, and `new` that the window exists. The
        // registers are neither moved nor freed while a window is in use: code that grows them makes a new window.
        unsafe { &*self.first.add(register as usize) }
    }

    /// The value in a register, for writing.
    #[inline(always)]
    pub fn get_mut(&mut self, register: Register) -> &mut Value {
        // SAFETY: as for `get`; `&mut self` rules out other references.
        unsafe { &mut *self.first.add(register as usize) }
    }

    /// Consecutive registers, for writing.
    #[inline(always)]
    pub fn row<const COUNT: usize>(&mut self, first: Register) -> &mut [Value; COUNT] {
        // SAFETY: as for `get_mut`; the verifier proved that the whole row is below the window's size.
        unsafe { &mut *self.first.add(first as usize).cast() }
    }

    /// Sets a register that holds nothing counted: its previous value was taken by its last use.
    #[inline(always)]
    pub fn set(&mut self, register: Register, value: Value) {
        let slot = self.get_mut(register);
        debug_assert!(!slot.is_counted(), "register {register} still holds {slot:?}");
        // SAFETY: leaking the old value is sound, and as it owns nothing, nothing leaks.
        unsafe { ptr::write(slot, value) };
    }

    /// Copies a register. Integers and floats are copied by tag and payload: a 16-byte load right after two narrower
    /// stores would stall on store forwarding.
    #[inline(always)]
    pub fn copy(&mut self, to: Register, from: Register) {
        match *self.get(from) {
            Value::Integer(value) => self.set(to, Value::Integer(value)),
            Value::Float(value) => self.set(to, Value::Float(value)),
            Value::Function(function) => self.set(to, Value::Function(function)),
            ref other => {
                let value = other.clone();
                self.set(to, value);
            }
        }
    }

    /// Moves a register, which keeps nothing counted. Lists are also moved by their parts, because `rest` stores only
    /// one of them.
    #[inline(always)]
    pub fn take(&mut self, to: Register, from: Register) {
        match *self.get(from) {
            Value::Integer(value) => self.set(to, Value::Integer(value)),
            Value::Float(value) => self.set(to, Value::Float(value)),
            Value::Function(function) => self.set(to, Value::Function(function)),
            Value::List(start, _) => self.take_list(to, from, start),
            _ => {
                let value = std::mem::take(self.get_mut(from));
                self.set(to, value);
            }
        }
    }

    /// Moves a list and sets its start. Other values are not moved.
    #[inline(always)]
    pub fn take_list(&mut self, to: Register, from: Register, start: u32) {
        let slot = self.get_mut(from);
        if let Value::List(_, body) = slot {
            // SAFETY: the body is moved, not copied: the source is overwritten without being dropped.
            let body = unsafe {
                let body = ptr::read(body);
                ptr::write(slot, Value::Null);
                body
            };
            self.set(to, Value::List(start, body));
        }
    }

    /// Drops the value in a register if it is counted.
    #[inline(always)]
    pub fn clear(&mut self, register: Register) {
        let slot = self.get_mut(register);
        if slot.is_counted() {
            *slot = Value::Null;
        }
    }

    /// Drops the value in a register if it is counted and dies here.
    #[inline(always)]
    pub fn clear_if(&mut self, dies: bool, register: Register) {
        if dies {
            self.clear(register);
        }
    }

    /// Drops the counted values in consecutive registers.
    #[inline(always)]
    pub fn clear_row(&mut self, first: Register, count: u32) {
        (first..first + count).for_each(|register| self.clear(register));
    }

    /// The window that starts at one of this window's registers, for a callee.
    #[inline(always)]
    pub fn inner(&self, base: Register) -> Window {
        // SAFETY: the verifier proved that the index is below the window's size; the caller checks that the registers
        // reach to the end of the callee's window before anything is read there.
        Window { first: unsafe { self.first.add(base as usize) } }
    }

    /// The inverse of [`inner`](Window::inner): the caller's window, in which this window starts at `base`.
    #[inline(always)]
    pub fn outer(&self, base: Register) -> Window {
        // SAFETY: this window starts `base` registers after the caller's, in the same registers.
        Window { first: unsafe { self.first.sub(base as usize) } }
    }
}

impl<'p> Cursor<'p> {
    /// A cursor at an operation of this code.
    ///
    /// # Panics
    /// If there is no such operation.
    #[inline(always)]
    pub fn new(code: &'p Code, operation: usize) -> Cursor<'p> {
        assert!(operation < code.operations.len(), "the operation must exist");
        let first = code.operations.as_ptr();
        // SAFETY: the index is in bounds, as just checked.
        Cursor { next: unsafe { first.add(operation) }, first, constants: code.constants.as_ptr(), code: PhantomData }
    }

    /// The operation at the cursor.
    #[inline(always)]
    pub fn operation(&self) -> &'p Operation {
        // SAFETY: the verifier proved that no path leaves the code, which outlives the cursor.
        unsafe { &*self.next }
    }

    /// Moves to the next operation.
    #[inline(always)]
    pub fn advance(&mut self) {
        // SAFETY: code ends with a jump or return, so there is a next operation wherever this is called.
        self.next = unsafe { self.next.add(1) };
    }

    /// Jumps to another operation.
    #[inline(always)]
    pub fn jump(&mut self, target: u32) {
        // SAFETY: the verifier proved that every target is an operation of this code.
        self.next = unsafe { self.first.add(target as usize) };
    }

    /// The index of the operation at the cursor.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        // SAFETY: both point into the same code.
        unsafe { self.next.offset_from(self.first) as u32 }
    }

    /// A constant of this code.
    #[inline(always)]
    pub fn constant(&self, index: u32) -> &'p Value {
        // SAFETY: the verifier proved that the index is in bounds.
        unsafe { &*self.constants.add(index as usize) }
    }
}
