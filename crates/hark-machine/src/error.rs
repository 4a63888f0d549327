//! Runtime errors.

use std::sync::Arc;

use hark_bytecode::Span;

use crate::value::Value;

/// An error raised by a thread, with its trace.
#[derive(Debug, Clone)]
pub struct Error {
    /// `"error"`, `"python"`, `"type"`, `"index"`, `"value"`, `"zero"`, `"name"`, `"arity"`, `"limit"`, `"stack"`, ...
    pub kind: Arc<str>,
    /// A description for people.
    pub message: Arc<str>,
    /// Details for programs: the data given to `error`, or Python's traceback.
    pub data: Value,
    /// Details about retries; boxed because few errors have any and errors are returned often.
    pub retries: Option<Box<Retries>>,
    /// The place where it was raised and the calls waiting for it, the outermost frame first.
    pub trace: Vec<TraceFrame>,
    /// How many frames were left out of the middle of the trace.
    pub omitted: u64,
    /// The trace value of a caught error that is raised again. It takes the place of `trace` until the error leaves its
    /// thread.
    pub(crate) caught_trace: Option<Value>,
    /// The span where it was raised first, if the language's own code has caught it and raises it again.
    pub(crate) caught_place: Option<Span>,
}

/// One activation record in a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceFrame {
    /// The number of the thread.
    pub thread: u64,
    /// The function.
    pub function: Arc<str>,
    /// The call in it, or the failing expression.
    pub span: Span,
}

/// An error's details about retries.
#[derive(Debug, Clone, Default)]
pub struct Retries {
    /// After retries, the message of each attempt as a list; else null.
    pub tries: Value,
    /// Details of a Python exception for retries, hidden from programs: `[classes, after]`, the names of its class and
    /// base classes, and the delay in seconds after which it asks to be retried, or null. Null if it is not a Python
    /// exception.
    pub classes: Value,
}

impl Error {
    /// The details about retries.
    pub fn retries(&self) -> Retries {
        self.retries.as_deref().cloned().unwrap_or_default()
    }

    /// Sets the details about retries.
    pub fn set_retries(&mut self, retries: Retries) {
        let is_empty = matches!((&retries.tries, &retries.classes), (Value::Null, Value::Null));
        self.retries = (!is_empty).then(|| Box::new(retries));
    }

    /// An error with an empty trace.
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

    /// Sets the error's data.
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Error {
        self.data = data;
        self
    }

    /// A foreign call that was lost without an exception. The data has the form of an exception's, with this name
    /// instead of the class, and no arguments and traceback.
    pub fn of_python(type_name: &str, message: impl Into<Arc<str>>) -> Error {
        Error::new("python", message).with_data(crate::caught::python_data(type_name, Vec::new(), ""))
    }

    /// Sets the details of a Python exception for retries.
    #[must_use]
    pub fn with_classes(mut self, classes: Value) -> Error {
        self.set_retries(Retries { classes, ..self.retries() });
        self
    }

    /// An argument of a wrong type.
    pub fn of_type(message: impl Into<Arc<str>>) -> Error {
        Error::new("type", message)
    }

    /// A value that would be larger than allowed.
    pub fn limit(message: impl Into<Arc<str>>) -> Error {
        Error::new("limit", message)
    }

    /// An index without an element.
    pub fn of_index(message: impl Into<Arc<str>>) -> Error {
        Error::new("index", message)
    }

    /// An argument of the right type with an invalid value.
    pub fn of_value(message: impl Into<Arc<str>>) -> Error {
        Error::new("value", message)
    }
}
