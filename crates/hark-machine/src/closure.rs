//! Function values with captured variables.

use hark_bytecode::FunctionIndex;

use crate::value::Value;

/// A lambda with the values of its captures.
#[derive(Debug, Clone)]
pub struct ClosureBody {
    function: FunctionIndex,
    /// As many as the function has captures; `None` for a variable that was unbound when the closure was made.
    captures: Box<[Option<Value>]>,
}

impl ClosureBody {
    /// A closure of this function. There must be as many values as the function has captures.
    pub(crate) fn new(function: FunctionIndex, captures: Box<[Option<Value>]>) -> ClosureBody {
        ClosureBody { function, captures }
    }

    /// The lambda.
    pub fn function(&self) -> FunctionIndex {
        self.function
    }

    /// The captured values, in the order of the function's captures.
    pub fn captures(&self) -> &[Option<Value>] {
        &self.captures
    }

    /// Moves out the values that hold other values; see [`crate::drop`].
    pub(crate) fn take_containers(&mut self, into: &mut Vec<Value>) {
        let values = self.captures.iter_mut().flatten();
        into.extend(values.filter(|value| value.holds_values()).map(std::mem::take));
    }
}
