//! One call of a Python function, as the pool takes it.

use std::time::Duration;

use hark_engine::{CallError, Unwanted};
use hark_machine::{Error, Value};

use crate::queue::Rate;

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
    /// How far the tries before it said that the call is, as JSON.
    pub progress: Option<String>,
    /// The call's name, which stays the same over its tries. What stands before the first `/` is the session.
    pub id: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// How long it may run, from when a worker takes it.
    pub timeout: Option<Duration>,
    /// Of calls that wait those with a higher one go first.
    pub priority: i32,
    /// How many calls like it may begin within a time.
    pub rate: Option<Rate>,
    /// Becomes true, for ever, when nobody wants the answer any more.
    pub unwanted: Unwanted,
}

/// How messages name a Python function that the program calls `name`.
pub fn described(name: &str, module: &str, function: &str) -> String {
    let whole = format!("{module}.{function}");
    if name == function || name == whole { format!("`{whole}`") } else { format!("`{name}` (`{whole}`)") }
}

impl Call {
    /// How messages name the function.
    pub fn described(&self) -> String {
        described(&self.name, &self.module, &self.function)
    }

    /// Whose call it is.
    pub fn session(&self) -> &str {
        session_of(&self.id)
    }

    /// An error of kind `python` that begins with the function, with this in place of an exception's class.
    pub fn failure(&self, type_name: &str, problem: &str) -> Error {
        Error::of_python(type_name, format!("{} {problem}", self.described()))
    }

    /// It could not be made, as something has run out.
    pub fn not_made(&self, why: &str) -> CallError {
        CallError::NotMade(format!("cannot call {}: {why}", self.described()))
    }

    /// The error of a call that ran for longer than it may.
    pub fn timed_out(&self) -> Error {
        let seconds = self.timeout.unwrap_or_default().as_secs_f64();
        let unit = if seconds == 1.0 { "second" } else { "seconds" };
        Error::new("timeout", format!("{} did not end within {seconds} {unit}", self.described()))
    }

    /// The error of a call that was given up from this side.
    pub fn cancelled(&self) -> Error {
        Error::new("cancelled", format!("the call of {} was cancelled", self.described()))
    }
}

/// The session of the call with this id.
pub fn session_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(session, _)| session)
}
