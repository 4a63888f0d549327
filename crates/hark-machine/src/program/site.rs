//! What a closure takes with it where it is made.

use hark_bytecode::{FunctionIndex, NameIndex};

use super::operation::Register;

/// A place in the code where a closure is made.
#[derive(Debug)]
pub(crate) struct CloseSite {
    pub function: FunctionIndex,
    /// For each capture of the function.
    pub captured: Box<[Captured]>,
}

/// What a capture gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Captured {
    /// Nothing: the name is bound nowhere here.
    Nothing,
    /// The value of a local, which dies with this use if `dies`.
    Local { local: Register, dies: bool },
    /// The same, if its flag says that it is bound.
    Flagged { local: Register, flag: Register, dies: bool },
    /// It cannot be made without this name, which is not bound for certain: the local and its flag, if there are any.
    Needed { name: NameIndex, local: Option<(Register, Register)>, dies: bool },
}

impl CloseSite {
    /// Whether all its registers are among the first so many.
    pub fn is_inside(&self, registers: Register) -> bool {
        self.captured.iter().all(|captured| match *captured {
            Captured::Nothing | Captured::Needed { local: None, .. } => true,
            Captured::Local { local, .. } => local < registers,
            Captured::Flagged { local, flag, .. } | Captured::Needed { local: Some((local, flag)), .. } => {
                local < registers && flag < registers
            }
        })
    }
}
