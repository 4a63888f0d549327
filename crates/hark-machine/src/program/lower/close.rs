//! Closures and destructuring.

use std::sync::Arc;

use hark_bytecode::{FunctionIndex, Pattern};

use super::{Entry, Lowering};
use crate::program::operation::{Operation, Register};
use crate::program::site::{Captured, CloseSite};

impl Lowering<'_> {
    pub(super) fn close(&mut self, lambda: FunctionIndex) {
        let executable = self.executable;
        let captures = &executable.functions[lambda.0 as usize].captures;
        let analysis = self.analysis;
        let locals = analysis.locals.len() as Register;
        let read = &analysis.captured[&self.at];
        let captured = captures.iter().zip(read).map(|(capture, read)| match *read {
            None if capture.is_certain => Captured::Needed { name: capture.name, local: None, dies: false },
            None => Captured::Nothing,
            Some((local, used)) => {
                let dies = used.is_last && !self.hand_on_last(local, usize::MAX);
                let flag = local + locals;
                match used.may_be_unbound {
                    false => Captured::Local { local, dies },
                    true if capture.is_certain => {
                        Captured::Needed { name: capture.name, local: Some((local, flag)), dies }
                    }
                    true => Captured::Flagged { local, flag, dies },
                }
            }
        });
        let captured = captured.collect();
        let site = self.sites.len() as u32;
        self.sites.push(CloseSite { function: lambda, captured });
        let to = self.own(self.stack.len());
        self.emit(Operation::Close { to, site });
        self.push(Entry::Own);
    }

    /// The destructured value stays on the stack; its parts are pushed above it.
    pub(super) fn unpack(&mut self, pattern: &Arc<Pattern>) {
        let top = self.stack.len() - 1;
        if matches!(self.stack[top].0, Entry::Constant(_)) {
            self.materialize(top);
        }
        let from = match self.stack[top].0 {
            Entry::Local { register, .. } => register,
            _ => self.own(top),
        };
        let base = self.own(top + 1);
        let number = self.patterns.len() as u32;
        self.patterns.push(Arc::clone(pattern));
        self.emit(Operation::Unpack { from, base, pattern: number });
        for _ in 0..pattern.names() {
            self.push(Entry::Own);
        }
    }

    pub(super) fn spawn(&mut self, count: u32) {
        let top = self.stack.len() - 1;
        let base = self.arguments(count);
        match self.stack[top].0 {
            Entry::Constant(callee) => self.emit(Operation::Spawn { base, count, callee }),
            _ => {
                self.materialize(top);
                self.emit(Operation::SpawnValue { base, count });
            }
        }
        self.replace(count + 1);
    }

    /// Places the arguments below the callee in consecutive registers; returns the first one.
    pub(in crate::program) fn arguments(&mut self, count: u32) -> Register {
        let callee = self.stack.len() - 1;
        let first = callee - count as usize;
        self.materialize_between(first, callee);
        self.own(first)
    }
}
