//! A call of a Python function, as the pool takes it.

use std::time::Duration;

use hark_engine::{CallError, Unwanted};
use hark_machine::{Error, Value};

use crate::queue::Rate;

/// A call to make.
#[derive(Debug, Clone)]
pub struct Call {
    /// The Python module, dotted.
    pub module: String,
    /// The attribute of that module, dotted.
    pub function: String,
    /// The function's name in the program.
    pub name: String,
    /// Whether a hash as last argument means keyword arguments.
    pub takes_keywords: bool,
    /// The arguments.
    pub arguments: Vec<Value>,
    /// The last progress that earlier tries reported, as JSON.
    pub progress: Option<String>,
    /// The call's id, the same for all its tries. The part before the first `/` is the session.
    pub id: String,
    /// The number of the try, from 1.
    pub attempt: u32,
    /// The time limit, counted from when a worker takes the call.
    pub timeout: Option<Duration>,
    /// Whether that is what is left of an invocation, and the program allows more.
    pub ends_with_process: bool,
    /// Waiting calls with a higher priority go first.
    pub priority: i32,
    /// How many calls with this rate may begin within its period.
    pub rate: Option<Rate>,
    /// Set, permanently, when the result is no longer wanted.
    pub unwanted: Unwanted,
}

/// How messages name a Python function that is called `name` in the program.
pub fn described(name: &str, module: &str, function: &str) -> String {
    let whole = format!("{module}.{function}");
    if name == function || name == whole { format!("`{whole}`") } else { format!("`{name}` (`{whole}`)") }
}

impl Call {
    /// How messages name the function.
    pub fn described(&self) -> String {
        described(&self.name, &self.module, &self.function)
    }

    /// The session that makes the call.
    pub fn session(&self) -> &str {
        session_of(&self.id)
    }

    /// An error of kind `python` whose message begins with the function. `type_name` stands in for the class of an
    /// exception.
    pub fn failure(&self, type_name: &str, problem: &str) -> Error {
        Error::of_python(type_name, format!("{} {problem}", self.described()))
    }

    /// The call could not be made because a resource has run out.
    pub fn not_made(&self, why: &str) -> CallError {
        CallError::NotMade(format!("cannot call {}: {why}", self.described()))
    }

    /// The error of a call that exceeded its time limit.
    pub fn timed_out(&self) -> Error {
        let (name, seconds) = (self.described(), self.timeout.unwrap_or_default().as_secs_f64());
        let message = if self.ends_with_process {
            let rounded = (seconds * 10.0).round() / 10.0;
            format!(
                "{name} did not end within the {rounded} s that its invocation had left; `#[timeout]` before the import, or a \
                 longer `lambda_timeout`, gives it more time"
            )
        } else {
            let unit = if seconds == 1.0 { "second" } else { "seconds" };
            format!("{name} did not end within {seconds} {unit}")
        };
        Error::new("timeout", message)
    }

    /// The error of a call cancelled by Hark.
    pub fn cancelled(&self) -> Error {
        Error::new("cancelled", format!("the call of {} was cancelled", self.described()))
    }
}

/// The session of the call with this id.
pub fn session_of(id: &str) -> &str {
    id.split_once('/').map_or(id, |(session, _)| session)
}
