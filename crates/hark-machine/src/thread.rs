//! The whole state of a thread, as data. None of it lives on the native stack.

use hark_bytecode::builtins::Builtin;
use hark_bytecode::{Attributes, FunctionIndex, Instruction, Passing, Span};

use crate::display::short_texts;
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
    /// The windows of all records; they overlap where arguments are passed.
    pub(crate) registers: Vec<Value>,
    /// The activation records, innermost last.
    pub(crate) records: Vec<Record>,
    /// The trace of the last error that the thread has caught.
    pub(crate) cached_trace: Option<Box<CachedTrace>>,
    /// The `ACALL` that started it, if any.
    pub(crate) started_at: Option<u32>,
    /// The answer to the effect that the thread stopped at.
    pub(crate) answer: Option<Result<Value, Box<Error>>>,
}

/// The phase of a thread.
#[derive(Debug)]
pub(crate) enum State {
    /// It is about to make its first call.
    Calling(Value, Vec<Value>),
    /// It has records.
    Running,
    /// It has ended with this value.
    Ended(Value),
}

/// A cached trace, which the next error is likely to share.
#[derive(Debug)]
pub(crate) struct CachedTrace {
    /// The position of each record in the trace.
    pub steps: Vec<(CodeId, u32)>,
    /// The trace value given to `catch`.
    pub value: Value,
}

/// An active call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub code: CodeId,
    /// The current operation: not done yet in the innermost record, the call in the others.
    pub operation: u32,
    /// The index of its first register.
    pub base: u32,
}

impl Thread {
    /// A thread that is about to call `callee`.
    pub fn new(callee: Value, arguments: Vec<Value>) -> Thread {
        let state = State::Calling(callee, arguments);
        Thread { state, registers: Vec::new(), records: Vec::new(), cached_trace: None, started_at: None, answer: None }
    }

    /// A thread started by an `ACALL` of the program. Errors of a builtin that it calls are reported there.
    pub(crate) fn started_at(instruction: u32, callee: Value, arguments: Vec<Value>) -> Thread {
        Thread { started_at: Some(instruction), ..Thread::new(callee, arguments) }
    }

    /// Runs until an effect stops it or the fuel is used up: one unit for each call and each iteration, and one for
    /// each 64 bytes printed at a time.
    pub fn run(&mut self, program: &Program, fuel: u32, host: &mut impl Host) -> Effect {
        interpreter::run::<_, false>(self, program, fuel, Limit::Operations(0), host)
    }

    /// Runs at most this many portable instructions, then stops as out of fuel. A fused operation counts as one.
    pub fn run_instructions(&mut self, program: &Program, instructions: u64, host: &mut impl Host) -> Effect {
        interpreter::run::<_, true>(self, program, u32::MAX, Limit::Instructions(instructions), host)
    }

    /// Prepares a failed thread to continue from where it failed. If the language's own retries had given up, they
    /// start anew instead of failing again at once.
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

    /// Answers the effect that the thread stopped at. The thread continues with its next run.
    pub fn resume(&mut self, value: Value) {
        self.answer = Some(Ok(value));
    }

    /// Answers the effect that the thread stopped at with an error, which the next run raises there.
    pub fn fail(&mut self, error: Error) {
        self.answer = Some(Err(Box::new(error)));
    }

    /// Prepends this thread's frames to the trace of an error in the answer.
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

    /// The number of activation records.
    pub fn depth(&self) -> usize {
        self.records.len()
    }

    /// Whether it is an attempt of another thread's call.
    pub fn is_try(&self, program: &Program) -> bool {
        let function = match (&self.state, self.records.first()) {
            (State::Calling(Value::Function(function), _), _) => *function,
            (State::Calling(Value::Closure(closure), _), _) => closure.function(),
            (State::Running, Some(record)) => program.function_of(record.code),
            _ => return false,
        };
        program.executable().functions[function.0 as usize].is_try
    }

    /// The `#[priority]` of the innermost function that has one, or of its callee if it has not begun.
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

    /// The attributes of the function or import that it begins with, if it has not begun.
    pub fn callee_attributes<'p>(&self, program: &'p Program) -> Option<&'p Attributes> {
        let executable = program.executable();
        let of = |function: FunctionIndex| &executable.functions[function.0 as usize].attributes;
        match &self.state {
            State::Calling(Value::Function(function), _) => Some(of(*function)),
            State::Calling(Value::Closure(closure), _) => Some(of(closure.function())),
            State::Calling(Value::Foreign(foreign), _) => Some(&executable.foreign[foreign.0 as usize].attributes),
            _ => None,
        }
    }

    /// Whether it has not begun and only calls an import.
    pub fn calls_import(&self, program: &Program) -> bool {
        match &self.state {
            State::Calling(Value::Foreign(_), _) => true,
            State::Calling(Value::Function(function), _) => {
                let function = &program.executable().functions[function.0 as usize];
                // An import with attributes has a wrapper that takes its arguments as a list.
                function.foreign.is_some() || matches!(function.passing, Passing::AsList { .. })
            }
            _ => false,
        }
    }

    /// The number of registers, used or not.
    pub fn registers(&self) -> usize {
        self.registers.len()
    }

    /// The name of the function that it began with, as long as that is its only record.
    pub fn function_name(&self, program: &Program) -> String {
        let executable = program.executable();
        match (&self.state, self.records.first()) {
            (State::Calling(callee, _), _) => crate::display::function_name(callee, executable).to_owned(),
            (_, Some(record)) => executable.functions[program.function_of(record.code).0 as usize].name.to_string(),
            _ => String::new(),
        }
    }

    /// The arguments of the function that it is about to begin with, as text of so many characters at most. Those of an
    /// attempt of another thread's call are its captures.
    pub fn shown_arguments(&self, program: &Program, characters: usize) -> String {
        let executable = program.executable();
        match &self.state {
            State::Calling(Value::Closure(closure), _) if self.is_try(program) => {
                let arguments: Vec<Value> = closure.captures().iter().flatten().cloned().collect();
                short_texts(&arguments, executable, characters)
            }
            State::Calling(_, arguments) => short_texts(arguments, executable, characters),
            _ => String::new(),
        }
    }

    /// The current stack trace, outermost record first, and how many records were left out of the middle. The
    /// language's own code, which has no place in the program, is left out as well.
    pub fn stack(&self, program: &Program, thread: u64) -> (Vec<TraceFrame>, u64) {
        let executable = program.executable();
        let started_at = || {
            let span = self.started_at.and_then(|instruction| executable.spans.get(instruction as usize));
            span.copied().unwrap_or_default()
        };
        if let State::Calling(callee, _) = &self.state {
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

    /// The current place in the innermost record that belongs to the program.
    pub(crate) fn innermost_place(&self, program: &Program) -> Option<Span> {
        let record = self.records.iter().rev().find(|record| record.is_shown(program))?;
        let instruction = program.code(record.code).points[record.operation as usize].instruction;
        program.executable().spans.get(instruction as usize).copied()
    }

    /// The records in a trace, those without a place included: all, or as many as needed from either end.
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

impl Record {
    /// Whether it belongs to the program and not to the language.
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
