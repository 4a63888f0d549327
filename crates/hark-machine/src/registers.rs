//! Unchecked access to registers and code: the one place of the machine that is not safe Rust by itself.
//!
//! A [`Window`] stands for the registers of the running record, a [`Cursor`] for its code. Both are made from code
//! that [`verify`](crate::program) has proved to stay inside, and for a window that is as large as the code says; that
//! is what makes the accesses sound. Every register always holds a valid value.
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

/// A place in verified code, with its constants.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'p> {
    next: *const Operation,
    first: *const Operation,
    constants: *const Value,
    /// The code that it stands in outlives it.
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
        // SAFETY: `base` lies inside, as was just checked.
        Window { first: unsafe { registers.as_mut_ptr().add(base) } }
    }

    /// The value in a register.
    #[inline(always)]
    pub fn get(&self, register: Register) -> &Value {
        // SAFETY: the verifier proved the index below the window's size, and `new` that the window exists. The
        // registers are neither moved nor freed while a window is in use: every growth makes a new one.
        unsafe { &*self.first.add(register as usize) }
    }

    /// The value in a register, to change.
    #[inline(always)]
    pub fn get_mut(&mut self, register: Register) -> &mut Value {
        // SAFETY: as for `get`; `&mut self` keeps other references from living at the same time.
        unsafe { &mut *self.first.add(register as usize) }
    }

    /// The values in some registers in a row, to change.
    #[inline(always)]
    pub fn row<const COUNT: usize>(&mut self, first: Register) -> &mut [Value; COUNT] {
        // SAFETY: as for `get_mut`; the verifier proved the whole row to be below the window's size.
        unsafe { &mut *self.first.add(first as usize).cast() }
    }

    /// Puts a value into a register. Whatever was there died at its last use, which left nothing counted behind.
    #[inline(always)]
    pub fn set(&mut self, register: Register, value: Value) {
        let slot = self.get_mut(register);
        debug_assert!(!slot.is_counted(), "register {register} still holds {slot:?}");
        // SAFETY: not to drop the old value is always sound; it owns nothing, so nothing is leaked either.
        unsafe { ptr::write(slot, value) };
    }

    /// A copy of what is in a register. Integers and floats are moved by their tag: a copy of all 16 bytes right after
    /// they were stored in parts would wait for the store.
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

    /// Moves what is in a register; it is left without anything counted. Lists are moved by their parts too, as `rest`
    /// stores but one of them.
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

    /// Moves a list, which is seen from element `start` on then. What is not a list is not moved.
    #[inline(always)]
    pub fn take_list(&mut self, to: Register, from: Register, start: u32) {
        let slot = self.get_mut(from);
        if let Value::List(_, body) = slot {
            // SAFETY: the body is moved, not copied: where it was is overwritten without being dropped.
            let body = unsafe {
                let body = ptr::read(body);
                ptr::write(slot, Value::Null);
                body
            };
            self.set(to, Value::List(start, body));
        }
    }

    /// Empties a register if what is there is counted.
    #[inline(always)]
    pub fn clear(&mut self, register: Register) {
        let slot = self.get_mut(register);
        if slot.is_counted() {
            *slot = Value::Null;
        }
    }

    /// The same, if the value dies.
    #[inline(always)]
    pub fn clear_if(&mut self, dies: bool, register: Register) {
        if dies {
            self.clear(register);
        }
    }

    /// Empties some registers in a row.
    #[inline(always)]
    pub fn clear_row(&mut self, first: Register, count: u32) {
        (first..first + count).for_each(|register| self.clear(register));
    }

    /// The window that begins at one of this window's registers, where a callee's will be.
    #[inline(always)]
    pub fn inner(&self, base: Register) -> Window {
        // SAFETY: the verifier proved the index below the window's size; the caller checks that the registers reach
        // to the end of the callee's window before anything is read there.
        Window { first: unsafe { self.first.add(base as usize) } }
    }

    /// The window that this one is [`inner`](Window::inner) to: the caller's, which this one's first register is `base` of.
    #[inline(always)]
    pub fn outer(&self, base: Register) -> Window {
        // SAFETY: this window was made from that one by the same distance, or lies in the same registers so far behind it.
        Window { first: unsafe { self.first.sub(base as usize) } }
    }
}

impl<'p> Cursor<'p> {
    /// Stands before an operation of this code.
    ///
    /// # Panics
    /// If there is no such operation.
    #[inline(always)]
    pub fn new(code: &'p Code, operation: usize) -> Cursor<'p> {
        assert!(operation < code.operations.len(), "the operation must exist");
        let first = code.operations.as_ptr();
        // SAFETY: the index was just checked.
        Cursor { next: unsafe { first.add(operation) }, first, constants: code.constants.as_ptr(), code: PhantomData }
    }

    /// The operation here.
    #[inline(always)]
    pub fn operation(&self) -> &'p Operation {
        // SAFETY: the verifier proved that no way leaves the code, which outlives the cursor.
        unsafe { &*self.next }
    }

    /// Goes on to the next operation.
    #[inline(always)]
    pub fn advance(&mut self) {
        // SAFETY: as code ends with a jump or return, there is a next one wherever this is called.
        self.next = unsafe { self.next.add(1) };
    }

    /// Goes to another operation.
    #[inline(always)]
    pub fn jump(&mut self, target: u32) {
        // SAFETY: the verifier proved every target to be an operation of this code.
        self.next = unsafe { self.first.add(target as usize) };
    }

    /// The index of the operation here.
    #[inline(always)]
    pub fn index(&self) -> u32 {
        // SAFETY: both point into the same code.
        unsafe { self.next.offset_from(self.first) as u32 }
    }

    /// A constant of this code.
    #[inline(always)]
    pub fn constant(&self, index: u32) -> &'p Value {
        // SAFETY: the verifier proved that it exists.
        unsafe { &*self.constants.add(index as usize) }
    }
}
