//! What stands in for a program's imports.
//!
//! A stub that gives a value or raises takes the place of the Python function alone: what attributes do around its calls
//! happens as ever. One that calls a function of the program is bound to the import's name instead.

use std::collections::HashMap;
use std::sync::Arc;

use hark_backends::VirtualTime;
use hark_bytecode::{Binding, Executable, ForeignIndex};
use hark_compiler::nearest;
use hark_engine::foreign::{Answer, PrintedSink};
use hark_engine::{Call, CallId, Foreign, SessionId};
use hark_machine::{Error, HashBody, Key, Value};

use super::lines::{Act, Line, Stub};
use crate::failure::Problem;
use crate::render::Severity;

/// Calls that stubs answer, by import.
pub type Answers = HashMap<ForeignIndex, Reply>;

/// What a stub answers.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A value.
    Value(Value),
    /// An error of kind `python`.
    Error { message: String, data: Value },
}

/// The functions outside as a case finds them: stubs, and Python for the rest. While Python is at work, real time passes.
pub struct Stubbed {
    /// What is answered here.
    pub answers: Arc<Answers>,
    /// Who answers the rest.
    pub python: Arc<dyn Foreign>,
    /// The case's clock.
    pub time: Arc<VirtualTime>,
}

impl Foreign for Stubbed {
    fn call(&self, executable: &Executable, call: Call, printed: PrintedSink, answer: Answer) {
        match self.answers.get(&call.foreign) {
            Some(Reply::Value(value)) => answer(Ok(value.clone())),
            Some(Reply::Error { message, data }) => {
                answer(Err(Error::new("python", message.as_str()).with_data(data.clone()).into()));
            }
            None => {
                let real = self.time.begin_real();
                let answer: Answer = Box::new(move |outcome| {
                    answer(outcome);
                    // Its thread is to run before the clock jumps.
                    drop(real);
                });
                self.python.call(executable, call, printed, answer);
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
}

/// Puts stubs in the place of a program's imports; answers what else answers calls, or what is wrong with them.
pub fn apply(stubs: &[Line<Stub>], executable: &mut Executable) -> Result<Answers, Vec<Problem>> {
    let (mut answers, mut problems) = (Answers::new(), Vec::new());
    let mut known: HashMap<ForeignIndex, u32> = HashMap::new();
    let mut bound = Vec::new();
    for line in stubs {
        let stub = &line.content;
        let Some(index) = import_of(executable, &stub.name) else {
            problems.push(no_import(executable, stub));
            continue;
        };
        if let Some(first) = known.insert(index, line.number) {
            let message = format!("there is a stub for `{}` already, in line {first}", stub.name);
            problems.push(Problem { severity: Severity::Error, message, span: line.span, hint: None });
            continue;
        }
        match &stub.act {
            Act::Give(value) => drop(answers.insert(index, Reply::Value(value.clone()))),
            Act::Raise { class, message } => {
                drop(answers.insert(index, raised(executable, index, class.as_deref(), message)));
            }
            Act::Call { function, span } => match substitute(executable, index, function) {
                Ok(binding) => bound.push((index, binding)),
                Err((message, hint)) => {
                    problems.push(Problem { severity: Severity::Error, message, span: *span, hint });
                }
            },
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    for (index, binding) in bound {
        for (_, place) in &mut executable.bindings {
            if *place == Binding::Foreign(index) {
                *place = binding;
            }
        }
    }
    Ok(answers)
}

/// The import that the program calls so.
fn import_of(executable: &Executable, name: &str) -> Option<ForeignIndex> {
    let place = executable.foreign.iter().position(|foreign| &*foreign.name == name)?;
    u32::try_from(place).ok().map(ForeignIndex)
}

fn no_import(executable: &Executable, stub: &Stub) -> Problem {
    let names: Vec<&str> = executable.foreign.iter().map(|foreign| &*foreign.name).collect();
    let hint = match nearest(&stub.name, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "it imports no Python functions at all".to_owned(),
        None => format!("its imports are {}", names.join(", ")),
    };
    let message = format!("the program imports no Python function `{}`", stub.name);
    Problem { severity: Severity::Error, message, span: stub.name_span, hint: Some(hint) }
}

/// The function that is called instead of an import.
fn substitute(executable: &Executable, index: ForeignIndex, name: &str) -> Result<Binding, (String, Option<String>)> {
    let foreign = &executable.foreign[index.0 as usize];
    let own = || {
        let own = executable.bindings.iter().filter(|(_, binding)| matches!(binding, Binding::Function(_)));
        own.map(|(name, _)| executable.name(*name))
    };
    let Some(Binding::Function(function)) = executable.binding(name) else {
        let hint = nearest(name, own()).map(|near| format!("did you mean `{near}`?"));
        return Err((format!("there is no function `{name}` in this file"), hint));
    };
    let takes = executable.functions[function.0 as usize].parameters.len();
    if takes != foreign.arity as usize {
        let message = format!(
            "`{name}` takes {}, but `{}` is imported with {}",
            counted(takes),
            foreign.name,
            counted(foreign.arity as usize)
        );
        return Err((message, Some("what stands in for an import takes as many arguments".to_owned())));
    }
    Ok(Binding::Function(function))
}

fn counted(count: usize) -> String {
    format!("{count} argument{}", if count == 1 { "" } else { "s" })
}

/// What a Python function's exception would be to the program.
fn raised(executable: &Executable, index: ForeignIndex, class: Option<&str>, message: &str) -> Reply {
    let foreign = &executable.foreign[index.0 as usize];
    let class = class.unwrap_or("Exception");
    let whole = format!("{}.{}", foreign.module, foreign.function);
    let described = if foreign.name == foreign.function || *foreign.name == *whole {
        format!("`{whole}`")
    } else {
        format!("`{}` (`{whole}`)", foreign.name)
    };
    let mut data = HashBody::default();
    let entries = [
        ("type", Value::string(class)),
        ("args", Value::list(vec![Value::string(message)])),
        ("traceback", Value::string(format!("{class}: {message}\n"))),
    ];
    for (key, value) in entries {
        if let Ok(key) = Key::new(Value::string(key)) {
            data.insert(key, value);
        }
    }
    let data = Value::Hash(triomphe::Arc::new(data));
    Reply::Error { message: format!("{described} raised {class}: {message}"), data }
}
