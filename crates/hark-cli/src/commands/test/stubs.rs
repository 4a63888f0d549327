//! Stubs of a program's imports.
//!
//! A stub that returns a value or raises an exception replaces only the Python function: the import's attributes still
//! apply to its calls. A stub that calls a function of the program is compiled as a function with the import's name and
//! attributes.

use std::collections::HashMap;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use hark_backends::VirtualTime;
use hark_bytecode::{Binding, Executable, ForeignIndex, Source, Sources, Span};
use hark_compiler::{Code, Diagnostic, nearest};
use hark_engine::foreign::{Answer, CallSink};
use hark_engine::{Call, CallError, CallId, Foreign, SessionId};
use hark_foreign::check_arguments;
use hark_machine::{Error, Value, python_data};

use super::lines::{Act, Line, Stub};
use crate::failure::Problem;
use crate::program::Compiled;
use crate::render::Severity;

/// The replies of stubs, by import.
pub type Answers = HashMap<ForeignIndex, Reply>;

/// The reply of a stub.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A value.
    Value(Value),
    /// An error of kind `python`.
    Error { message: String, data: Value },
}

impl Reply {
    /// The reply to a call, after checking that Python could receive its arguments.
    fn to(&self, executable: &Executable, call: &Call) -> Result<Value, Error> {
        let foreign = &executable.foreign[call.foreign.0 as usize];
        let described = hark_foreign::described(&foreign.name, &foreign.module, &foreign.function);
        check_arguments(&described, &call.arguments, foreign.attributes.kwargs)?;
        match self {
            Reply::Value(value) => Ok(value.clone()),
            Reply::Error { message, data } => Err(Error::new("python", message.as_str()).with_data(data.clone())),
        }
    }
}

/// The foreign functions of a case: stubs, and Python for the rest. While Python works, the virtual clock advances with
/// real time.
pub struct Stubbed {
    /// The replies of the stubs.
    pub answers: Arc<Answers>,
    /// Calls the other functions.
    pub python: Arc<dyn Foreign>,
    /// The clock of the case.
    pub time: Arc<VirtualTime>,
}

impl Foreign for Stubbed {
    fn call(&self, executable: &Executable, call: Call, events: CallSink, answer: Answer) {
        match self.answers.get(&call.foreign) {
            Some(reply) => answer(reply.to(executable, &call).map_err(CallError::from)),
            None => {
                let real = self.time.begin_real();
                let answer: Answer = Box::new(move |outcome| {
                    answer(outcome);
                    // Released last, so that the thread runs before the clock jumps.
                    drop(real);
                });
                self.python.call(executable, call, events, answer);
            }
        }
    }

    fn calls_at_a_time(&self) -> usize {
        self.python.calls_at_a_time()
    }

    fn cancel(&self, session: &SessionId) {
        self.python.cancel(session);
    }

    fn cancel_call(&self, call: &CallId) {
        self.python.cancel_call(call);
    }

    fn leave_nothing(&self) {
        self.python.leave_nothing();
    }
}

/// The errors in stubs for the imports of a program.
pub fn problems(stubs: &[Line<Stub>], executable: &Executable) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut known: HashMap<ForeignIndex, u32> = HashMap::new();
    for line in stubs {
        let stub = &line.content;
        let Some(index) = import_of(executable, &stub.name) else {
            problems.push(no_import(executable, stub));
            continue;
        };
        if let Some(first) = known.insert(index, line.number) {
            let message = format!("`{}` already has a stub in line {first}", stub.name);
            problems.push(Problem { severity: Severity::Error, message, span: line.span, hint: None });
        } else if let Act::Call { function, span } = &stub.act
            && let Err((message, hint)) = substitute(executable, index, function)
        {
            problems.push(Problem { severity: Severity::Error, message, span: *span, hint });
        }
    }
    problems
}

/// A program in which functions replace the imports whose stubs call a function.
pub struct Substituted {
    /// Its source text.
    pub text: String,
    /// The spans of these imports in the original text, in order, and the lengths of their replacements.
    places: Vec<(Span, u32)>,
}

/// Replaces the imports whose stubs call a function with functions, which keep the attributes of the imports. Returns
/// None if there is no such stub.
pub fn substituted(stubs: &[Line<Stub>], executable: &Executable, text: &str) -> Option<Substituted> {
    let place = |line: &Line<Stub>| {
        let Act::Call { function, .. } = &line.content.act else { return None };
        let index = import_of(executable, &line.content.name)?;
        let (span, parameters) = substitute(executable, index, function).ok()?;
        let parameters = parameters.join(", ");
        // Keep the line breaks, so that line numbers do not change.
        let breaks = text.get(span.start as usize..span.end as usize)?.chars().filter(|each| "\r\n".contains(*each));
        let breaks: String = breaks.collect();
        Some((span, format!("fn {}({parameters}) {{ {function}({parameters}) }}{breaks}", line.content.name)))
    };
    let mut functions: Vec<(Span, String)> = stubs.iter().filter_map(place).collect();
    functions.sort_by_key(|(span, _)| span.start);
    let mut substituted = Substituted { text: text.to_owned(), places: Vec::new() };
    // Replace from the last to the first, so that the remaining offsets stay valid.
    for (span, function) in functions.iter().rev() {
        substituted.text.replace_range(span.start as usize..span.end as usize, function);
        substituted.places.insert(0, (*span, u32::try_from(function.len()).ok()?));
    }
    (!functions.is_empty()).then_some(substituted)
}

impl Substituted {
    /// Blanks each `#[kwargs]` that the compiler rejects before a function that replaces an import: a Hark function
    /// takes the hash as an ordinary argument. Offsets do not change. Returns whether there was one.
    pub fn blank_kwargs(&mut self, compiled: &Compiled) -> bool {
        let misplaced = compiled.diagnostics.iter().filter(|diagnostic| diagnostic.code == Code::BadAttribute);
        let attributes: Vec<Range<usize>> = misplaced.filter_map(|each| self.attribute_around(each.span())).collect();
        for range in &attributes {
            let blank = |each: char| if "\r\n".contains(each) { each } else { ' ' };
            let blanks = self.text[range.clone()].chars().map(blank).collect::<String>();
            self.text.replace_range(range.clone(), &blanks);
        }
        !attributes.is_empty()
    }

    /// The range of the attribute `kwargs` whose name is at this span.
    fn attribute_around(&self, name: Span) -> Option<Range<usize>> {
        let (start, end) = (name.start as usize, name.end as usize);
        if self.text.get(start..end)? != "kwargs" {
            return None;
        }
        let begin = self.text[..start].rfind("#[")?;
        let close = self.text[end..].find(']')?;
        Some(begin..end + close + 1)
    }

    /// Gives a program compiled from the substituted text the spans of the original; the code of a replacement gets the
    /// span of its import.
    pub fn restore(&self, executable: &mut Executable, original: &Source) {
        let mut sources = Sources::from(original.clone());
        for file in executable.sources.files().iter().skip(1) {
            // These files usually fit after the original text as well; if one does not, its places are not shown.
            let _ = sources.push(file.source.clone());
        }
        executable.sources = sources;
        let of_imports = executable.foreign.iter_mut().flat_map(|foreign| foreign.attributes.spans_mut());
        let of_functions = executable
            .functions
            .iter_mut()
            .flat_map(|function| iter::once(&mut function.span).chain(function.attributes.spans_mut()));
        of_imports.chain(of_functions).chain(&mut executable.spans).for_each(|span| *span = self.original(*span));
    }

    /// The compile errors that exist only in the substituted text: calls that omit arguments.
    pub fn problems(&self, compiled: &Compiled) -> Vec<Problem> {
        let errors =
            compiled.diagnostics.iter().filter(|diagnostic| diagnostic.severity == hark_compiler::Severity::Error);
        let problem = |error: &Diagnostic| Problem {
            severity: Severity::Error,
            message: error.message.clone(),
            span: self.original(error.span()),
            hint: Some("calls of an import that is replaced by a function must have all its arguments".to_owned()),
        };
        errors.map(problem).collect()
    }

    fn original(&self, span: Span) -> Span {
        if span == Span::NOWHERE {
            return span;
        }
        // The growth of the text before this place.
        let mut longer = 0;
        for (import, length) in &self.places {
            let begin = i64::from(import.start) + longer;
            if i64::from(span.end) <= begin {
                break;
            }
            if i64::from(span.start) < begin + i64::from(*length) {
                return *import;
            }
            longer += i64::from(*length) - i64::from(import.end - import.start);
        }
        let moved = |offset: u32| u32::try_from(i64::from(offset) - longer).unwrap_or(offset);
        Span { start: moved(span.start), end: moved(span.end) }
    }
}

/// The replies of the stubs that do not call a function.
pub fn answers(stubs: &[Line<Stub>], executable: &Executable) -> Answers {
    let answer = |line: &Line<Stub>| {
        let index = import_of(executable, &line.content.name)?;
        match &line.content.act {
            Act::Give(value) => Some((index, Reply::Value(value.clone()))),
            Act::Raise { class, message } => Some((index, raised(executable, index, class.as_deref(), message))),
            Act::Call { .. } => None,
        }
    };
    stubs.iter().filter_map(answer).collect()
}

/// The import with this name in the program.
fn import_of(executable: &Executable, name: &str) -> Option<ForeignIndex> {
    let place = executable.foreign.iter().position(|foreign| &*foreign.name == name)?;
    u32::try_from(place).ok().map(ForeignIndex)
}

fn no_import(executable: &Executable, stub: &Stub) -> Problem {
    let names: Vec<&str> = executable.foreign.iter().map(|foreign| &*foreign.name).collect();
    let hint = match nearest(&stub.name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it does not import any Python functions".to_owned(),
        None => format!("its imports are {}", names.join(", ")),
    };
    let message = format!("the program does not import a Python function `{}`", stub.name);
    Problem { severity: Severity::Error, message, span: stub.name_span, hint: Some(hint) }
}

/// The message and the hint of a problem.
type Complaint = (String, Option<String>);

/// The span of an import to be replaced with a function, and the function's parameters.
fn substitute<'e>(
    executable: &'e Executable,
    index: ForeignIndex,
    name: &str,
) -> Result<(Span, Vec<&'e str>), Complaint> {
    let foreign = &executable.foreign[index.0 as usize];
    let own = || {
        let own = executable.bindings.iter().filter(|(_, binding)| matches!(binding, Binding::Function(_)));
        own.map(|(name, _)| executable.name(*name))
    };
    let Some(Binding::Function(function)) = executable.binding(name) else {
        let hint = nearest(name, own()).map(|near| format!("did you mean `{near}`?"));
        return Err((format!("there is no function `{name}` in this file"), hint));
    };
    let parameters = &executable.functions[function.0 as usize].parameters;
    if parameters.len() != foreign.arity as usize {
        let message = format!(
            "`{name}` takes {}, but `{}` is imported with {}",
            counted(parameters.len()),
            foreign.name,
            counted(foreign.arity as usize)
        );
        return Err((
            message,
            Some("a function that replaces an import must have the same number of parameters".to_owned()),
        ));
    }
    let import = executable.functions.iter().find(|function| function.foreign == Some(index));
    match import.filter(|import| executable.sources.index_at(import.span.start) == Some(0)) {
        Some(import) => Ok((import.span, parameters.iter().map(|name| executable.name(*name)).collect())),
        None => {
            let message = format!("`{}` is imported by another file", foreign.name);
            Err((message, Some("a function can replace only imports of its own file".to_owned())))
        }
    }
}

fn counted(count: usize) -> String {
    format!("{count} argument{}", if count == 1 { "" } else { "s" })
}

/// The error that a Python function's exception would be for the program.
fn raised(executable: &Executable, index: ForeignIndex, class: Option<&str>, message: &str) -> Reply {
    let foreign = &executable.foreign[index.0 as usize];
    let class = class.unwrap_or("Exception");
    let described = hark_foreign::described(&foreign.name, &foreign.module, &foreign.function);
    let data = python_data(class, vec![Value::string(message)], &format!("{class}: {message}\n"));
    Reply::Error { message: format!("{described} raised {class}: {message}"), data }
}
