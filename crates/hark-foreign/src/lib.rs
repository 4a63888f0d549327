//! Calls Python functions in worker processes that run the user's own interpreter.
//!
//! Suggested reading order: a [`Call`] and how the engine's port creates one, the [`PythonPool`] that lends workers to
//! calls, a worker (its start, an exchange with it, its output), the guard above it, the protocol's messages and
//! values, and the choice of the interpreter. The other side of the protocol is in the folder `python`. Python never
//! runs inside this process, and no OS thread or process is started before a call needs it.

mod ahead;
mod call;
pub mod check;
mod death;
pub mod guard;
pub mod interpreter;
mod limits;
mod outcome;
mod package;
mod pool;
mod port;
mod printed;
mod progress;
mod protocol;
mod queue;
mod requirements;
mod scratch;
mod values;
mod worker;

pub use call::{Call, described};
pub use interpreter::{Interpreter, Origin};
pub use pool::{PicklePlace, PythonConfig, PythonPool};
pub use queue::Rate;
pub use requirements::package_of;
pub use values::check_arguments;
