//! The captures of closures.

use hark_bytecode::{FunctionIndex, NameIndex};

use super::operation::Register;

/// A place in the code where a closure is made.
#[derive(Debug)]
pub(crate) struct CloseSite {
    pub function: FunctionIndex,
    /// One for each capture of the function.
    pub captured: Box<[Captured]>,
}

/// The source of a captured value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Captured {
    /// Nothing: the name is not bound in this function.
    Nothing,
    /// A local, which dies with this use if `dies`.
    Local { local: Register, dies: bool },
    /// A local, if its flag says that it is bound.
    Flagged { local: Register, flag: Register, dies: bool },
    /// A name that the closure requires but that may be unbound: the local and its flag, if any.
    Needed { name: NameIndex, local: Option<(Register, Register)>, dies: bool },
}

impl CloseSite {
    /// Whether all its registers are below this number.
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
