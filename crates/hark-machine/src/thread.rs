//! Everything that a thread is, as data. Nothing of it lives on the native stack.

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Executable, FunctionIndex, Instruction, Span};

use crate::effect::{Effect, Host};
use crate::error::{Error, TraceFrame};
use crate::interpreter::{self, Limit};
use crate::limits::TRACE_FRAMES_MAX;
use crate::program::{CodeId, Program};
use crate::value::Value;

/// One thread of a program.
#[derive(Debug)]
pub struct Thread {
    pub(crate) state: State,
    /// The windows of all records, overlapping where arguments are passed.
    pub(crate) registers: Vec<Value>,
    /// The activation records, the innermost last.
    pub(crate) records: Vec<Record>,
    /// The trace of the last error that it has caught.
    pub(crate) known_trace: Option<Box<KnownTrace>>,
    /// The `ACALL` that made it, if one did.
    pub(crate) started_at: Option<u32>,
    /// What the world answered to the effect that the thread stopped at.
    pub(crate) answer: Option<Result<Value, Box<Error>>>,
}

/// How far a thread is.
#[derive(Debug)]
pub(crate) enum State {
    /// It is about to make its first call.
    Calling(Value, Vec<Value>),
    /// It has records.
    Running,
    /// It came to its end with this value.
    Ended(Value),
}

/// A trace that the next error may have, too.
#[derive(Debug)]
pub(crate) struct KnownTrace {
    /// For each record that it shows, where it stood.
    pub steps: Vec<(CodeId, u32)>,
    /// What the `catch` got.
    pub value: Value,
}

/// One call under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub code: CodeId,
    /// The operation that it stands at: not done yet in the innermost record, the call in the others.
    pub operation: u32,
    /// Its first register.
    pub base: u32,
}

impl Thread {
    /// A thread that is about to call `callee`.
    pub fn new(callee: Value, arguments: Vec<Value>) -> Thread {
        let state = State::Calling(callee, arguments);
        Thread { state, registers: Vec::new(), records: Vec::new(), known_trace: None, started_at: None, answer: None }
    }

    /// The same for an `ACALL` of the program, which is where a builtin that it calls is placed.
    pub(crate) fn started_at(instruction: u32, callee: Value, arguments: Vec<Value>) -> Thread {
        Thread { started_at: Some(instruction), ..Thread::new(callee, arguments) }
    }

    /// Runs until an effect stops it, or until so much fuel is used: one unit for each call and each repetition, and
    /// one for each 64 bytes that are printed together.
    pub fn run(&mut self, program: &Program, fuel: u32, host: &mut impl Host) -> Effect {
        interpreter::run::<_, false>(self, program, fuel, Limit::Operations(0), host)
    }

    /// Runs at most so many portable instructions; stops as out of fuel after the last. What is done together counts
    /// as one.
    pub fn run_instructions(&mut self, program: &Program, instructions: u64, host: &mut impl Host) -> Effect {
        interpreter::run::<_, true>(self, program, u32::MAX, Limit::Instructions(instructions), host)
    }

    /// The thread has failed and is to go on from there. Where the language's own code had given up, it does not fail at
    /// once again, but begins anew.
    pub fn retry(&mut self, program: &Program) {
        let Some(record) = self.records.last() else { return };
        let at = program.code(record.code).points[record.operation as usize].instruction as usize;
        let executable = program.executable();
        let called = at.checked_sub(1).and_then(|before| executable.code.get(before));
        if let (Some(Instruction::PushBinding(name)), Some(Instruction::Call(1))) = (called, executable.code.get(at))
            && executable.name(*name) == Builtin::GiveUp.name()
        {
            self.resume(Value::Null);
        }
    }

    /// Gives the value that the thread stopped for. It goes on with its next run.
    pub fn resume(&mut self, value: Value) {
        self.answer = Some(Ok(value));
    }

    /// What the thread stopped for failed: this error is raised there, with its next run.
    pub fn fail(&mut self, error: Error) {
        self.answer = Some(Err(Box::new(error)));
    }

    /// Puts this thread's frames in front of the trace of an error that the world has answered with.
    pub(crate) fn trace_answer(&mut self, program: &Program, thread: u64) {
        if !matches!(self.answer, Some(Err(_))) {
            return;
        }
        let (mut trace, omitted) = self.stack(program, thread);
        if let Some(Err(error)) = &mut self.answer {
            trace.append(&mut error.trace);
            error.trace = trace;
            error.omitted += omitted;
        }
    }

    /// The error that its next run raises.
    pub fn given_error(&self) -> Option<&Error> {
        self.answer.as_ref().and_then(|answer| answer.as_ref().err()).map(|error| &**error)
    }

    /// Whether it has made its first call.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, State::Calling(..))
    }

    /// How many activation records it has.
    pub fn depth(&self) -> usize {
        self.records.len()
    }

    /// Whether it is one try of a call that another thread makes.
    pub fn is_try(&self, program: &Program) -> bool {
        let function = match (&self.state, self.records.first()) {
            (State::Calling(Value::Function(function), _), _) => *function,
            (State::Calling(Value::Closure(closure), _), _) => closure.function(),
            (State::Running, Some(record)) => program.function_of(record.code),
            _ => return false,
        };
        program.executable().functions[function.0 as usize].is_try
    }

    /// The `#[priority]` of the innermost function that has one; of a thread that has not begun, that of what it calls.
    pub fn priority(&self, program: &Program) -> Option<i32> {
        if !program.has_priorities() {
            return None;
        }
        let executable = program.executable();
        let of = |function: FunctionIndex| executable.functions[function.0 as usize].attributes.priority;
        match &self.state {
            State::Calling(Value::Function(function), _) => of(*function),
            State::Calling(Value::Closure(closure), _) => of(closure.function()),
            State::Calling(Value::Foreign(foreign), _) => executable.foreign[foreign.0 as usize].attributes.priority,
            _ => self.records.iter().rev().find_map(|record| of(program.function_of(record.code))),
        }
    }

    /// How many registers it has, whatever is in them.
    pub fn registers(&self) -> usize {
        self.registers.len()
    }

    /// The name of the function that it began with, as long as that is its only one.
    pub fn function_name(&self, program: &Program) -> String {
        let executable = program.executable();
        match (&self.state, self.records.first()) {
            (State::Calling(callee, arguments), _) => {
                crate::display::function_name(shown_callee(callee, arguments, executable), executable).to_owned()
            }
            (_, Some(record)) => {
                let function = &executable.functions[program.function_of(record.code).0 as usize];
                // `_map_async` of the prelude is a part of `map_async`.
                let own = function.name.strip_prefix('_').filter(|_| function.span == Span::NOWHERE);
                own.unwrap_or(&function.name).to_owned()
            }
            _ => String::new(),
        }
    }

    /// Where the thread stands, the outermost record first, and how many records were left out of the middle. The
    /// language's own code is left out, too: it has no place in the program.
    pub fn stack(&self, program: &Program, thread: u64) -> (Vec<TraceFrame>, u64) {
        let executable = program.executable();
        let started_at = || {
            let span = self.started_at.and_then(|instruction| executable.spans.get(instruction as usize));
            span.copied().unwrap_or_default()
        };
        if let State::Calling(callee, arguments) = &self.state {
            let callee = shown_callee(callee, arguments, executable);
            let function = crate::display::function_name(callee, executable).into();
            let span = match callee {
                Value::Function(index) => executable.functions.get(index.0 as usize).map(|function| function.span),
                Value::Foreign(index) => {
                    executable.functions.iter().find(|function| function.foreign == Some(*index)).map(|f| f.span)
                }
                _ => None,
            };
            let span = span.filter(|span| *span != Span::NOWHERE).unwrap_or_else(started_at);
            return (vec![TraceFrame { thread, function, span }], 0);
        }
        let (outer, inner) = self.shown_records(program);
        let omitted = self.records.len() - outer.len() - inner.len();
        let shown = outer.iter().chain(inner).filter(|record| record.is_shown(program));
        let mut frames: Vec<TraceFrame> = shown.map(|record| record.trace_frame(program, thread)).collect();
        if frames.is_empty() {
            let first = self.records.first().map(|record| program.function_of(record.code).0 as usize);
            let defined = first.map(|first| executable.functions[first].span).filter(|span| *span != Span::NOWHERE);
            let span = match (self.started_at, defined) {
                (None, Some(defined)) => defined,
                _ => started_at(),
            };
            frames.push(TraceFrame { thread, function: self.function_name(program).into(), span });
        }
        (frames, omitted as u64)
    }

    /// Where its innermost record stands that is one of the program's own functions.
    pub(crate) fn innermost_place(&self, program: &Program) -> Option<Span> {
        let record = self.records.iter().rev().find(|record| record.is_shown(program))?;
        let instruction = program.code(record.code).points[record.operation as usize].instruction;
        program.executable().spans.get(instruction as usize).copied()
    }

    /// The records that a trace shows, but for those without a place: all, or as many as it needs at either end.
    pub(crate) fn shown_records(&self, program: &Program) -> (&[Record], &[Record]) {
        let records = self.records.as_slice();
        if records.len() <= TRACE_FRAMES_MAX {
            return (records, &[]);
        }
        let is_shown = |(_, record): &(usize, &Record)| record.is_shown(program);
        let nth = TRACE_FRAMES_MAX / 2 - 1;
        let outer = records.iter().enumerate().filter(is_shown).nth(nth).map_or(records.len(), |(at, _)| at + 1);
        let (outer, rest) = records.split_at(outer);
        let inner = rest.iter().enumerate().rev().filter(is_shown).nth(nth).map_or(0, |(at, _)| at);
        (outer, &rest[inner..])
    }
}

/// What a thread is known by that begins with this call: a function of the prelude that calls another one in a thread of its
/// own has that as its first argument.
fn shown_callee<'a>(callee: &'a Value, arguments: &'a [Value], executable: &Executable) -> &'a Value {
    let Value::Function(function) = callee else { return callee };
    let is_of_prelude = executable.functions[function.0 as usize].span == Span::NOWHERE;
    match arguments.first() {
        Some(called @ (Value::Function(_) | Value::Closure(_) | Value::Foreign(_))) if is_of_prelude => called,
        _ => callee,
    }
}

impl Record {
    /// Whether it is one of the program's own functions, and not of the language.
    pub(crate) fn is_shown(&self, program: &Program) -> bool {
        !program.executable().functions[program.function_of(self.code).0 as usize].is_native
    }

    fn trace_frame(&self, program: &Program, thread: u64) -> TraceFrame {
        let executable = program.executable();
        let function = &executable.functions[program.function_of(self.code).0 as usize];
        let code = program.code(self.code);
        let instruction = code.points[self.operation as usize].instruction;
        TraceFrame { thread, function: function.name.clone(), span: executable.spans[instruction as usize] }
    }
}
