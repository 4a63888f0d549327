//! Errors as values: bound by `catch` and raised again by `error`.
//!
//! `{"kind", "message", "data", "trace"}`, after retries with `"tries"`; each item of the trace is `{"thread",
//! "function", "file", "line"}`. The language's own code sees additional keys, from which it decides what to retry.

use std::sync::Arc;

use hark_bytecode::{Executable, Span};

use crate::error::{Error, Retries, TraceFrame};
use crate::hash::{HashBody, Key};
use crate::limits::{THREADS_MAX, TRACE_FRAMES_MAX};
use crate::program::Program;
use crate::value::Value;

/// The kind of error that ends a session in which no thread can continue. No thread raises it, so none can catch it.
const DEADLOCK: &str = "deadlock";

/// The key of the Python classes, visible only to the language's own code.
const CLASSES: &str = "%classes";

/// The key of the span where the error was raised, likewise internal.
const PLACE: &str = "%place";

/// The constants that caught errors are built from, made when the first error is caught.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    kind: Key,
    message: Key,
    data: Key,
    trace: Key,
    tries: Key,
    classes: Key,
    place: Key,
    thread: Key,
    function: Key,
    file: Key,
    line: Key,
    /// The kinds of errors that the machine itself raises, except for rare ones.
    kinds: Vec<Value>,
    /// The path of each file.
    paths: Vec<Value>,
    /// The offsets of each file's lines.
    lines: Vec<Vec<u32>>,
}

impl Vocabulary {
    /// The vocabulary of this program.
    pub fn new(executable: &Executable) -> Vocabulary {
        let key = |name: &str| Key::new(Value::string(name)).expect("a string is a key");
        let files = executable.sources.files();
        let starts = |text: &str| hark_bytecode::line_starts(text).map(|start| start as u32).collect();
        Vocabulary {
            kind: key("kind"),
            message: key("message"),
            data: key("data"),
            trace: key("trace"),
            tries: key("tries"),
            classes: key(CLASSES),
            place: key(PLACE),
            thread: key("thread"),
            function: key("function"),
            file: key("file"),
            line: key("line"),
            kinds: ["error", "type", "index", "value", "zero", "arity", "name"].map(Value::string).into(),
            paths: files.iter().map(|file| Value::string(&*file.source.path)).collect(),
            lines: files.iter().map(|file| starts(&file.source.text)).collect(),
        }
    }

    fn frame(&self, frame: &TraceFrame, executable: &Executable) -> Value {
        let offset = frame.span.start;
        let (path, line) = match executable.sources.index_at(offset) {
            Some(file) => {
                let within = offset - executable.sources.files()[file].start;
                (self.paths[file].clone(), self.lines[file].partition_point(|start| *start <= within))
            }
            None => (Value::string(""), 0),
        };
        hash(vec![
            (self.thread.clone(), Value::Integer(frame.thread as i64)),
            (self.function.clone(), Value::string(&*frame.function)),
            (self.file.clone(), path),
            (self.line.clone(), Value::Integer(line as i64)),
        ])
    }
}

fn hash(entries: Vec<(Key, Value)>) -> Value {
    Value::Hash(triomphe::Arc::new(HashBody::of_few(entries)))
}

/// A trace as a value for `catch`.
pub(crate) fn trace_value(trace: &[TraceFrame], program: &Program) -> Value {
    let excess = trace.len().saturating_sub(TRACE_FRAMES_MAX);
    let head = if excess == 0 { trace.len() } else { TRACE_FRAMES_MAX / 2 };
    let shown = trace[..head].iter().chain(&trace[head + excess..]);
    Value::list(shown.map(|frame| program.vocabulary().frame(frame, program.executable())).collect())
}

/// The details of an error that only the language's own code receives.
pub(crate) struct NativeDetails {
    /// Where it was raised.
    pub place: Option<Span>,
}

/// An error as a value for `catch`; `native` adds the details for the language's own code.
pub(crate) fn value(error: Error, trace: Value, native: Option<NativeDetails>, program: &Program) -> Value {
    let words = program.vocabulary();
    let kind = words.kinds.iter().find(|kind| kind.as_str() == Some(&error.kind));
    let mut entries = vec![
        (words.kind.clone(), kind.cloned().unwrap_or_else(|| Value::string(&*error.kind))),
        (words.message.clone(), Value::string(&*error.message)),
        (words.data.clone(), error.data),
        (words.trace.clone(), trace),
    ];
    if let Some(retries) = error.retries {
        let Retries { tries, classes } = *retries;
        let shown = [(&words.tries, tries), (&words.classes, if native.is_some() { classes } else { Value::Null })];
        let given = shown.into_iter().filter(|(_, value)| !matches!(value, Value::Null));
        entries.extend(given.map(|(key, value)| (key.clone(), value)));
    }
    if let Some(Span { start, end }) = native.and_then(|native| native.place) {
        let place = [start, end].map(|offset| Value::Integer(offset.into()));
        entries.push((words.place.clone(), Value::list(place.into())));
    }
    hash(entries)
}

/// The data of an error of kind `python`: the name of the exception's class (or of another failure), the exception's
/// arguments, and Python's traceback.
pub fn python_data(type_name: &str, arguments: Vec<Value>, traceback: &str) -> Value {
    let parts =
        [("type", Value::string(type_name)), ("args", Value::list(arguments)), ("traceback", Value::string(traceback))];
    hash(parts.map(|(name, value)| (Key::new(Value::string(name)).expect("a string is a key"), value)).into())
}

/// Whether the error bypasses all handlers: nothing that a session does can end its deadlock.
pub(crate) fn is_deadlock(error: &Error) -> bool {
    &*error.kind == DEADLOCK
}

/// The error raised by `error(hash)`, if the hash has a message.
pub(crate) fn raised_again(error: &HashBody) -> Option<Error> {
    let get = |key: &str| error.iter().find(|(known, _)| known.as_str() == Some(key)).map(|(_, value)| value);
    let message = get("message")?.as_str()?;
    let kind = match get("kind") {
        None | Some(Value::Null) => "error",
        Some(Value::String(kind)) if kind.as_str() == DEADLOCK => {
            let what = "a deadlock concerns the whole session, so no thread can raise one";
            return Some(Error::of_value(format!("`error` got the kind \"{DEADLOCK}\", but {what}")));
        }
        Some(Value::String(kind)) => kind.as_str(),
        Some(other) => {
            let type_name = crate::number::article(other.type_name());
            return Some(Error::of_type(format!("`error` needs a string as the error's kind, but got {type_name}")));
        }
    };
    let mut raised = Error::new(kind, message);
    raised.data = get("data").cloned().unwrap_or_default();
    let tries = get("tries").filter(|tries| tries.as_list().is_some()).cloned().unwrap_or_default();
    raised.set_retries(Retries { tries, classes: Value::Null });
    raised.caught_trace = get("trace").filter(|trace| is_trace(trace)).cloned();
    Some(raised)
}

/// An error value made by the language's own code.
pub(crate) fn error_value(kind: &str, message: &str) -> Value {
    let entry =
        |key: &str, value: &str| (Key::new(Value::string(key)).expect("a string is a key"), Value::string(value));
    hash(vec![entry("kind", kind), entry("message", message)])
}

/// The error that the language's own code raises again, with all details it received.
pub(crate) fn raised_with_details(error: &HashBody) -> Option<Error> {
    let raised = raised_again(error)?;
    let get = |key: &str| error.iter().find(|(known, _)| known.as_str() == Some(key)).map(|(_, value)| value);
    let mut raised = raised.with_classes(get(CLASSES).cloned().unwrap_or_default());
    raised.caught_place = get(PLACE).and_then(Value::as_list).and_then(|place| {
        let mut offsets = place.iter().map(|offset| match offset {
            Value::Integer(offset) => u32::try_from(*offset).ok(),
            _ => None,
        });
        Some(Span { start: offsets.next()??, end: offsets.next()?? })
    });
    Some(raised)
}

/// Sets the frames of an error that is raised again from its trace value. Its place may be known more precisely than
/// the line.
pub(crate) fn set_frames(error: &mut Error, executable: &Executable) {
    let Some(trace) = error.caught_trace.take() else { return };
    (error.trace, error.omitted) = frames(&trace, executable);
    let line = |span: Span| {
        let (source, place) = executable.sources.location(span.start)?;
        Some((&*source.path, place.line))
    };
    if let (Some(place), Some(last)) = (error.caught_place, error.trace.last_mut())
        && line(place).is_some_and(|known| line(last.span) == Some(known))
    {
        last.span = place;
    }
}

/// Whether a value is a trace as made for `catch`.
fn is_trace(value: &Value) -> bool {
    let Some(frames) = value.as_list() else { return false };
    !frames.is_empty() && frames.len() <= TRACE_FRAMES_MAX && frames.iter().all(|frame| parts(frame).is_some())
}

/// The thread, function, file and line of a trace item.
fn parts(frame: &Value) -> Option<(u64, &str, &str, u64)> {
    let Value::Hash(body) = frame else { return None };
    let mut entries = body.iter();
    let mut part = |name: &str| entries.next().filter(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value);
    let number = |value: &Value| match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    let thread = number(part("thread")?).filter(|thread| *thread < THREADS_MAX)?;
    Some((thread, part("function")?.as_str()?, part("file")?.as_str()?, number(part("line")?)?))
}

/// The frames of a caught error's trace. A frame has only its line, so its span is empty. Frames of files outside the
/// program are left out.
fn frames(trace: &Value, executable: &Executable) -> (Vec<TraceFrame>, u64) {
    let frames = trace.as_list().into_iter().flat_map(|frames| frames.iter().collect::<Vec<_>>());
    let (mut known, mut omitted) = (Vec::new(), 0);
    for (thread, function, path, line) in frames.filter_map(parts) {
        match start_of_line(path, line, executable) {
            Some(span) => known.push(TraceFrame { thread, function: Arc::from(function), span }),
            None => omitted += 1,
        }
    }
    (known, omitted)
}

/// The span at which a line's text begins, after the indentation.
fn start_of_line(path: &str, line: u64, executable: &Executable) -> Option<Span> {
    let file = executable.sources.files().iter().find(|file| &*file.source.path == path)?;
    let index = usize::try_from(line).ok()?.checked_sub(1)?;
    let start = hark_bytecode::line_starts(&file.source.text).nth(index)?;
    let text = file.source.line(u32::try_from(line).ok()?);
    let indent = text.len() - text.trim_start().len();
    let start = file.start as usize + start + indent;
    Some(Span::new(start, start))
}
