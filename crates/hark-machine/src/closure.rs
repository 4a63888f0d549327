//! Function values that hold what was around them when they were made.

use hark_bytecode::FunctionIndex;

use crate::value::Value;

/// A lambda with the values of its captures.
#[derive(Debug, Clone)]
pub struct ClosureBody {
    function: FunctionIndex,
    /// As many as the function has captures; nothing where a name was not bound when the closure was made.
    captures: Box<[Option<Value>]>,
}

impl ClosureBody {
    /// This function with these captures, of which there must be as many as the function has.
    pub(crate) fn new(function: FunctionIndex, captures: Box<[Option<Value>]>) -> ClosureBody {
        ClosureBody { function, captures }
    }

    /// The lambda.
    pub fn function(&self) -> FunctionIndex {
        self.function
    }

    /// What it has captured, in the order of the function's captures.
    pub fn captures(&self) -> &[Option<Value>] {
        &self.captures
    }

    /// Moves the values that hold others out; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        let values = self.captures.iter_mut().flatten();
        into.extend(values.filter(|value| value.holds_values()).map(std::mem::take));
    }
}
