//! One call of a Python function, as the pool takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hark_engine::CallError;
use hark_machine::{Error, Value};

/// A call that is to be made.
#[derive(Debug, Clone)]
pub struct Call {
    /// The Python module, dotted.
    pub module: String,
    /// The attribute of that module, dotted.
    pub function: String,
    /// What the program calls it.
    pub name: String,
    /// Whether a last argument that is a hash is keyword arguments.
    pub takes_keywords: bool,
    /// The arguments.
    pub arguments: Vec<Value>,
    /// The call's name, which stays the same over its tries. What stands before the first `/` is the session.
    pub id: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// Becomes true, for ever, when nobody wants the answer any more.
    pub unwanted: Arc<AtomicBool>,
}

impl Call {
    /// How messages name the function.
    pub fn described(&self) -> String {
        let whole = format!("{}.{}", self.module, self.function);
        if self.name == self.function || self.name == whole {
            format!("`{whole}`")
        } else {
            format!("`{}` (`{whole}`)", self.name)
        }
    }

    /// Whose call it is.
    pub fn session(&self) -> &str {
        self.id.split_once('/').map_or(&self.id, |(session, _)| session)
    }

    /// Whether it is not to begin any more.
    pub fn is_unwanted(&self) -> bool {
        self.unwanted.load(Ordering::Acquire)
    }

    /// An error of kind `python` that begins with the function.
    pub fn failure(&self, problem: &str) -> Error {
        Error::new("python", format!("{} {problem}", self.described()))
    }

    /// It could not be made, as something has run out.
    pub fn not_made(&self, why: &str) -> CallError {
        CallError::NotMade(format!("cannot call {}: {why}", self.described()))
    }

    /// The error of a call that was given up from this side.
    pub fn cancelled(&self) -> Error {
        Error::new("cancelled", format!("the call of {} was cancelled", self.described()))
    }
}
