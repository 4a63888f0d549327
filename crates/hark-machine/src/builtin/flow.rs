//! The internals of retries and timeouts, used by the prelude: `native.call` and others, which no program can name.

use hark_bytecode::{Executable, float_text};

use super::argument::{integer, list, number_text, text, wrong_type};
use super::control::seconds_of;
use super::{Outcome, Result, arity_error};
use crate::caught;
use crate::display::function_name;
use crate::effect::{ForeignCall, Host, TriesAgain, Until, Wait};
use crate::error::Error;
use crate::value::Value;
use crate::wait;

/// `native.call(import, arguments, seconds, is_again)`: calls an import with a list of arguments and a timeout in
/// seconds, or null. If it `is_again`, it counts as another attempt of the thread's last call.
pub(super) fn call(arguments: &[Value], executable: &Executable) -> Result<Outcome> {
    let [callee, arguments, seconds, is_again] = arguments else { return Err(arity_error("%call", "4", 0)) };
    let Value::Foreign(foreign) = callee else { return Err(wrong_type("%call", "an import", callee)) };
    let arguments: Vec<Value> = list("%call", arguments)?.iter().cloned().collect();
    let most = executable.foreign[foreign.0 as usize].arity;
    if arguments.len() > most as usize {
        return Err(arity_error(function_name(callee, executable), &format!("at most {most}"), arguments.len()));
    }
    let timeout = match seconds {
        Value::Null => None,
        seconds => Some(seconds_of("%call", seconds)?),
    };
    Ok(Outcome::Call(ForeignCall { foreign: *foreign, arguments, timeout, is_again: is_again.is_truthy() }))
}

/// `native.wait_for(future, seconds)`: the Future's value in a list, or null after a timeout.
pub(super) fn wait_for(future: &Value, seconds: &Value) -> Result<Outcome> {
    let Some(awaited) = wait::awaited(future) else { return Err(wrong_type("%wait_for", "a future", future)) };
    let timeout = Some(seconds_of("%wait_for", seconds)?).filter(|seconds| seconds.is_finite());
    Ok(Outcome::Wait(Wait { until: Until::Any, timeout, ..Wait::one(awaited) }))
}

/// The result of [`wait_for`], from the answer.
pub(super) fn waited(answer: &Value) -> Value {
    let value = answer.as_list().and_then(|answer| answer.get(1).cloned());
    value.map_or(Value::Null, |value| Value::list(vec![value]))
}

/// `native.first_done(threads)`: the index and value of a Future in a list, once one has a value or has failed. If it has
/// failed, its error is raised.
pub(super) fn first_done(threads: &Value) -> Result<Outcome> {
    wait::any(threads, Until::One).map(Outcome::Wait).ok_or_else(|| wrong_type("%first_done", "futures", threads))
}

/// `native.raise(error)`: raises a caught error with all its internal details.
pub(super) fn raise(error: &Value) -> Error {
    let raised = if let Value::Hash(error) = error { caught::raised_with_details(error) } else { None };
    raised.unwrap_or_else(|| wrong_type("%raise", "an error", error))
}

/// `native.timed_out(f, seconds)`: the error of a call that exceeded its timeout.
pub(super) fn timed_out(callee: &Value, seconds: &Value, executable: &Executable) -> Value {
    let name = function_name(callee, executable);
    let length = match seconds {
        Value::Float(seconds) if seconds.fract() == 0.0 && seconds.abs() < 1e15 => (*seconds as i64).to_string(),
        Value::Float(seconds) => float_text(*seconds),
        other => number_text(other),
    };
    let unit = if length == "1" { "second" } else { "seconds" };
    caught::error_value("timeout", &format!("`{name}` did not end within {length} {unit}"))
}

/// `native.tries_again(f, [attempt, attempts], seconds, message)`: reports a retry for the history.
pub(super) fn tries_again(arguments: &[Value], executable: &Executable, host: &mut impl Host) -> Result<Value> {
    let [callee, attempts, seconds, message] = arguments else { return Err(arity_error("%tries_again", "4", 0)) };
    let number = |index: usize| {
        let number = list("%tries_again", attempts)?.get(index).cloned().unwrap_or_default();
        Ok(u32::try_from(integer("%tries_again", "an integer", &number)?).unwrap_or(u32::MAX))
    };
    host.tries_again(TriesAgain {
        function: function_name(callee, executable).to_owned(),
        attempt: number(0)?,
        attempts: number(1)?,
        seconds: seconds_of("%tries_again", seconds)?,
        message: text("%tries_again", "a string", message)?.as_str().to_owned(),
    });
    Ok(Value::Null)
}
