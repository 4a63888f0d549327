//! What goes wrong while a program runs.

use std::sync::Arc;

use hark_bytecode::Span;

use crate::value::Value;

/// An error that a thread raised, and the way it took.
#[derive(Debug, Clone)]
pub struct Error {
    /// `"error"`, `"python"`, `"type"`, `"index"`, `"value"`, `"zero"`, `"name"`, `"arity"`, `"limit"`, `"stack"`, ...
    pub kind: Arc<str>,
    /// What went wrong, for people.
    pub message: Arc<str>,
    /// More, for programs: the data given to `error`, Python's traceback.
    pub data: Value,
    /// What concerns retries; errors are returned often, and few have any.
    pub retries: Option<Box<Retries>>,
    /// Where it was raised and who waited for that, the outermost frame first.
    pub trace: Vec<TraceFrame>,
    /// How many frames were left out of the trace's middle.
    pub omitted: u64,
    /// The trace that a caught error came with, which is raised again. It stands for `trace` until the error leaves its
    /// thread.
    pub(crate) caught_trace: Option<Value>,
    /// Where it was raised first, if the language's own code has caught it and raises it again.
    pub(crate) caught_place: Option<Span>,
}

/// One activation record on an error's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFrame {
    /// The number of the thread.
    pub thread: u64,
    /// The function.
    pub function: Arc<str>,
    /// The call in it, or the place that failed.
    pub span: Span,
}

/// What an error has for retries and from them.
#[derive(Debug, Clone, Default)]
pub struct Retries {
    /// After retries, the message of each try, as a list; else null.
    pub tries: Value,
    /// What a retry has to know of a Python exception, and nobody else sees: `[classes, after]`, the names of its class
    /// and their bases, and in how many seconds it asks to be tried again, or null. Null if it is no Python exception.
    pub classes: Value,
}

impl Error {
    /// What concerns retries.
    pub fn retries(&self) -> Retries {
        self.retries.as_deref().cloned().unwrap_or_default()
    }

    /// Sets what concerns retries.
    pub fn set_retries(&mut self, retries: Retries) {
        let is_empty = matches!((&retries.tries, &retries.classes), (Value::Null, Value::Null));
        self.retries = (!is_empty).then(|| Box::new(retries));
    }

    /// An error without a trace so far.
    pub fn new(kind: &str, message: impl Into<Arc<str>>) -> Error {
        Error {
            kind: kind.into(),
            message: message.into(),
            data: Value::Null,
            retries: None,
            trace: Vec::new(),
            omitted: 0,
            caught_trace: None,
            caught_place: None,
        }
    }

    /// The same with data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Error {
        self.data = data;
        self
    }

    /// A foreign call that did not come to its end, though nothing was raised. Its data is that of an exception, with this
    /// in place of its class, and neither arguments nor a traceback.
    pub fn of_python(type_name: &str, message: impl Into<Arc<str>>) -> Error {
        Error::new("python", message).with_data(crate::caught::python_data(type_name, Vec::new(), ""))
    }

    /// The error with what a retry has to know of a Python exception.
    #[must_use]
    pub fn with_classes(mut self, classes: Value) -> Error {
        self.set_retries(Retries { classes, ..self.retries() });
        self
    }

    /// A wrong type.
    pub fn of_type(message: impl Into<Arc<str>>) -> Error {
        Error::new("type", message)
    }

    /// Something that would be larger than it may be.
    pub fn limit(message: impl Into<Arc<str>>) -> Error {
        Error::new("limit", message)
    }

    /// A place where there is nothing.
    pub fn of_index(message: impl Into<Arc<str>>) -> Error {
        Error::new("index", message)
    }

    /// A right type with a wrong value.
    pub fn of_value(message: impl Into<Arc<str>>) -> Error {
        Error::new("value", message)
    }
}
