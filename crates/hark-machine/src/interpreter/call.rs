//! Calls, except for the plain call of a Hark function, which the loop handles itself.

use hark_bytecode::{ForeignIndex, FunctionIndex, Operator, Passing, Span};

use super::{Exit, slow};
use crate::builtin::{self, Outcome};
use crate::closure::ClosureBody;
use crate::display::function_name;
use crate::effect::{Effect, ForeignCall, Host};
use crate::error::Error;
use crate::limits::{RECORDS_MAX, REGISTERS_MAX};
use crate::number::{self, article};
use crate::program::operation::{CONSUME_FIRST, Operation, Register};
use crate::program::{Code, Program};
use crate::registers::Window;
use crate::thread::{Record, State, Thread};
use crate::value::Value;
use crate::wait;

/// Makes a thread's first call. Returns an effect if the call is already complete or must wait.
pub(super) fn begin(thread: &mut Thread, program: &Program, host: &mut impl Host) -> Result<Option<Effect>, Exit> {
    let (callee, arguments) = match &mut thread.state {
        State::Running => return Ok(None),
        State::Ended(value) => return Ok(Some(Effect::Finished(std::mem::take(value)))),
        State::Calling(callee, arguments) => (callee, arguments),
    };
    let function = match callee {
        Value::Function(function) => Some(*function),
        Value::Closure(closure) => Some(closure.function()),
        _ => None,
    };
    if let Some(function) = function {
        let (id, code) = program.entry(function.0);
        let count = arguments.len() as u32;
        if code.arguments != count && !may_differ(program, function, count) {
            return Err(wrong_function_count(program, function, count).into());
        }
        let mut registers = std::mem::take(arguments);
        if takes_list(program, function) {
            registers = vec![Value::list(registers)];
        }
        registers.resize(code.registers as usize, Value::Null);
        if let Value::Closure(closure) = callee {
            bind_captures(Window::new(&mut registers, 0, code), code, closure);
        }
        thread.registers = registers;
        thread.records.push(Record { code: id, operation: 0, base: 0 });
        thread.state = State::Running;
        return Ok(None);
    }
    if let Some(answer) = thread.answer.take() {
        let answer = answer.map_err(Exit::Failed)?;
        let answer = match callee {
            Value::Builtin(builtin) => builtin::answered(*builtin, arguments, answer)?,
            _ => answer,
        };
        thread.state = State::Ended(Value::Null);
        return Ok(Some(Effect::Finished(answer)));
    }
    match call_other(callee, arguments, program, host) {
        Ok((value, _)) => {
            thread.state = State::Ended(Value::Null);
            Ok(Some(Effect::Finished(value)))
        }
        Err(Exit::Effect(effect)) => Ok(Some(effect)),
        Err(failed) => Err(failed),
    }
}

/// Copies a closure's captures into its window, after the parameters.
#[inline]
pub(super) fn bind_captures(mut window: Window, code: &Code, closure: &ClosureBody) {
    for (local, captured) in (code.parameters..).zip(closure.captures()) {
        if let Some(value) = captured {
            window.set(local, value.clone());
        }
        if !code.flagged.is_empty() && code.flagged.binary_search(&local).is_ok() {
            let flag = local + code.analysis.locals.len() as u32;
            window.set(flag, Value::Boolean(captured.is_some()));
        }
    }
}

/// Copies a closure's captures into its window, which begins at `base` of the caller's. The closure is in a register of
/// the caller that the first capture may overwrite.
#[inline]
pub(super) fn hand_over(window: Window, base: Register, callee: Register, consume: u8, code: &Code) {
    let mut caller = window.outer(base);
    if consume & CONSUME_FIRST != 0 {
        if let Value::Closure(closure) = std::mem::take(caller.get_mut(callee)) {
            bind_captures(window, code, &closure);
        }
    } else if let Value::Closure(closure) = caller.get(callee) {
        bind_captures(window, code, closure);
    }
}

/// Whether an operation may stop the thread for an answer.
fn takes_answer(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Wait { .. }
            | Operation::CallForeign { .. }
            | Operation::CallBuiltin { .. }
            | Operation::CallValue { .. }
    )
}

/// The number of operations that place arguments before the operation that the answer is for. A restored thread stands
/// before them, because the portable program has no such operations.
pub(super) fn operations_before_answer(thread: &Thread, program: &Program) -> u64 {
    let (Some(Ok(_)), Some(record)) = (&thread.answer, thread.records.last()) else { return 0 };
    let code = program.code(record.code);
    let instruction = code.points[record.operation as usize].instruction;
    let rest = code.operations[record.operation as usize..].iter().zip(&code.points[record.operation as usize..]);
    let mut same = rest.take_while(|(_, point)| point.instruction == instruction);
    same.position(|(operation, _)| takes_answer(operation)).unwrap_or(0) as u64
}

/// Completes the operation that the thread stopped at, if there is an answer.
///
/// # Errors
/// If the answer is an error. The operation has not happened then.
pub(super) fn take_answer(thread: &mut Thread, program: &Program) -> Result<(), Box<Error>> {
    let Some(answer) = thread.answer.take().transpose()? else { return Ok(()) };
    let Some(record) = thread.records.last_mut() else { return Ok(()) };
    let window = &mut thread.registers[record.base as usize..];
    // Before operands are cleared: if the answer does not fit, the operation fails and must leave them.
    let (value, to) = match program.code(record.code).operations[record.operation as usize] {
        Operation::Wait { consume, to, from } => {
            let value = wait::all_answered(&window[from as usize], answer)?;
            if consume != 0 {
                window[from as usize] = Value::Null;
            }
            (value, to)
        }
        Operation::CallForeign { base, count, .. } => {
            window[base as usize..][..count as usize].fill(Value::Null);
            (answer, base)
        }
        Operation::CallBuiltin { builtin, base, count } => {
            let arguments = &mut window[base as usize..][..count as usize];
            let value = builtin::answered(builtin, arguments, answer)?;
            arguments.fill(Value::Null);
            (value, base)
        }
        Operation::CallValue { consume, base, count, callee } => {
            let builtin = match window[callee as usize] {
                Value::Builtin(builtin) => Some(builtin),
                _ => None,
            };
            let arguments = &mut window[base as usize..][..count as usize];
            let value = match builtin {
                Some(builtin) => builtin::answered(builtin, arguments, answer)?,
                None => answer,
            };
            arguments.fill(Value::Null);
            if consume != 0 {
                window[callee as usize] = Value::Null;
            }
            (value, base)
        }
        // No other operation waits for an answer, so this one is not for the thread.
        _ => return Ok(()),
    };
    window[to as usize] = value;
    record.operation += 1;
    Ok(())
}

/// Grows the registers to at least this number.
#[cold]
#[inline(never)]
pub(super) fn grow(registers: &mut Vec<Value>, needed: usize) -> Result<(), Error> {
    if needed > REGISTERS_MAX {
        return Err(too_deep());
    }
    let length = registers.len();
    // Doubles at first; later grows by less, because a thread may use most of a gigabyte.
    let step = if length < 1 << 20 { length } else { length / 8 };
    let wanted = needed.max(length + step).min(REGISTERS_MAX);
    registers.reserve_exact(wanted - length);
    registers.resize(wanted, Value::Null);
    Ok(())
}

/// Grows the record stack.
#[cold]
#[inline(never)]
pub(super) fn grow_records(records: &mut Vec<Record>) -> Result<(), Error> {
    let length = records.len();
    if length >= RECORDS_MAX {
        return Err(too_deep());
    }
    records.reserve_exact(length.clamp(4, RECORDS_MAX - length));
    Ok(())
}

fn too_deep() -> Error {
    Error::new("stack", "call stack too deep: does the recursion have an end?")
}

/// Whether a function accepts this number of arguments although it differs from the number of parameters.
#[cold]
pub(super) fn may_differ(program: &Program, function: FunctionIndex, count: u32) -> bool {
    let function = &program.executable().functions[function.0 as usize];
    match function.passing {
        Passing::Each => false,
        Passing::LastOptional => count as usize + 1 == function.parameters.len(),
        Passing::AsList { most } => count <= most,
    }
}

/// Whether a function takes its arguments as one list.
pub(super) fn takes_list(program: &Program, function: FunctionIndex) -> bool {
    matches!(program.executable().functions[function.0 as usize].passing, Passing::AsList { .. })
}

/// Gathers the arguments, possibly none, into one list.
#[cold]
pub(super) fn gather(arguments: &mut [Value], count: u32) {
    let list = Value::list(arguments[..count as usize].iter_mut().map(std::mem::take).collect());
    if let Some(first) = arguments.first_mut() {
        *first = list;
    }
}

#[cold]
pub(super) fn wrong_function_count(program: &Program, function: FunctionIndex, count: u32) -> Error {
    let function = &program.executable().functions[function.0 as usize];
    let parameters = function.parameters.len();
    let wanted = match function.passing {
        Passing::Each => parameters.to_string(),
        Passing::LastOptional => format!("{} to {parameters}", parameters - 1),
        Passing::AsList { most } => format!("at most {most}"),
    };
    builtin::arity_error(&function.name, &wanted, count as usize)
}

/// Checks that a value can be called.
pub(super) fn check_callable(callee: &Value) -> Result<(), Error> {
    match callee {
        Value::Function(_) | Value::Closure(_) | Value::Foreign(_) | Value::Builtin(_) | Value::Operator(_) => Ok(()),
        other => Err(Error::of_type(format!("{} cannot be called", article(other.type_name())))),
    }
}

/// Calls a value other than a Hark function. Returns its result and the number of bytes printed.
pub(super) fn call_other(
    callee: &Value,
    arguments: &mut [Value],
    program: &Program,
    host: &mut impl Host,
) -> Result<(Value, usize), Exit> {
    match callee {
        Value::Builtin(builtin) => {
            let (minimum, maximum) = builtin.arity();
            if arguments.len() < minimum as usize || arguments.len() > maximum as usize {
                return Err(builtin::wrong_count(*builtin, arguments.len()).into());
            }
            match builtin::call(*builtin, arguments, program.executable(), host)? {
                Outcome::Value(value) => Ok((value, 0)),
                Outcome::Printed(value, bytes) => Ok((value, bytes)),
                Outcome::Sleep(seconds) => Err(Exit::Effect(Effect::Sleep(seconds))),
                Outcome::Wait(wait) => Err(Exit::Effect(Effect::Await(wait))),
                Outcome::Call(call) => Err(Exit::Effect(Effect::Call(call))),
                Outcome::Cancel(what) => Err(Exit::Effect(Effect::Cancel(what))),
                Outcome::Take(take) => Err(Exit::Effect(Effect::Take(take))),
            }
        }
        Value::Foreign(index) => {
            let most = program.executable().foreign[index.0 as usize].arity;
            if arguments.len() > most as usize {
                let name = function_name(callee, program.executable());
                return Err(builtin::arity_error(name, &format!("at most {most}"), arguments.len()).into());
            }
            Err(foreign(index.0, arguments))
        }
        Value::Operator(operator) => {
            if arguments.len() != operator.arity() as usize {
                let wanted = operator.arity().to_string();
                return Err(builtin::arity_error(operator.symbol(), &wanted, arguments.len()).into());
            }
            Ok((apply(*operator, arguments)?, 0))
        }
        other => Err(check_callable(other).err().unwrap_or_else(|| Error::of_type("it cannot be called")).into()),
    }
}

/// Applies an operator to operands in call order, the left one first.
fn apply(operator: Operator, operands: &mut [Value]) -> Result<Value, Error> {
    match (operator, operands) {
        (Operator::Not, [value]) => Ok(Value::Boolean(!value.is_truthy())),
        (Operator::Add, [left, right]) => slow::add(left, right),
        (operator @ (Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo), [left, right]) => {
            number::arithmetic(operator, left, right)
        }
        (operator, [left, right]) => slow::holds(operator, left, right).map(Value::Boolean),
        (operator, operands) => {
            Err(builtin::arity_error(operator.symbol(), &operator.arity().to_string(), operands.len()))
        }
    }
}

/// The effect of a Python function call.
pub(super) fn foreign(index: u32, arguments: &[Value]) -> Exit {
    Exit::Effect(Effect::Call(ForeignCall {
        foreign: ForeignIndex(index),
        arguments: arguments.to_vec(),
        timeout: None,
        is_again: false,
    }))
}

/// The instruction to report as the start of a thread: this one, or, in the language's own code, which has no place,
/// the innermost call that has one.
#[inline]
pub(super) fn place_of(thread: &Thread, program: &Program, instruction: u32) -> u32 {
    let has_place = |instruction: &u32| program.executable().spans[*instruction as usize] != Span::NOWHERE;
    if has_place(&instruction) {
        return instruction;
    }
    let calls = thread.records.iter().rev();
    let mut calls = calls.map(|record| program.code(record.code).points[record.operation as usize].instruction);
    calls.find(has_place).or(thread.started_at).unwrap_or(instruction)
}

/// Starts a thread that makes this call.
pub(super) fn spawn(
    callee: &Value,
    arguments: &mut [Value],
    instruction: u32,
    program: &Program,
    host: &mut impl Host,
) -> Result<u64, Error> {
    let function = match callee {
        Value::Function(function) => Some(*function),
        Value::Closure(closure) => Some(closure.function()),
        _ => None,
    };
    if function.is_some_and(|function| program.executable().functions[function.0 as usize].is_try)
        && !host.may_start_try()
    {
        return Err(too_deep());
    }
    let arguments: Vec<Value> = match function {
        // The arguments become the thread's first registers; reserve room for the rest as well.
        Some(function) => {
            let registers = program.entry(function.0).1.registers as usize;
            let mut window = Vec::with_capacity(registers.max(arguments.len()));
            window.extend(arguments.iter_mut().map(std::mem::take));
            window
        }
        None => arguments.iter_mut().map(std::mem::take).collect(),
    };
    Ok(host.spawn(Thread::started_at(instruction, callee.clone(), arguments)))
}
