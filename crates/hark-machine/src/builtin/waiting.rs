//! Waiting for Futures with `any` and `await_for`, and cancelling them.

use hark_bytecode::builtins::Builtin;

use super::argument::wrong_type;
use super::control::seconds_of;
use super::{Outcome, Result, first, flow, is_empty};
use crate::effect::{Awaited, Cancelled, Until};
use crate::error::Error;
use crate::value::Value;
use crate::wait;

pub(super) fn any(items: &Value) -> Result<Outcome> {
    if items.as_list().is_none() {
        return Err(wrong_type("any", "a list", items));
    }
    match wait::any(items, Until::Any) {
        Some(wait) => Ok(Outcome::Wait(wait)),
        None if is_empty(items) => Err(Error::of_value("`any`: the list is empty")),
        None => Ok(Outcome::Value(Value::list(vec![Value::Integer(0), first(items)?]))),
    }
}

pub(super) fn await_for(value: &mut Value, seconds: &Value) -> Result<Outcome> {
    let seconds = seconds_of("await_for", seconds)?;
    match wait::all(value, seconds.is_finite().then_some(seconds)) {
        Some(wait) => Ok(Outcome::Wait(wait)),
        None => Ok(Outcome::Value(std::mem::take(value))),
    }
}

pub(super) fn cancel(future: &Value) -> Result<Outcome> {
    Ok(Outcome::Cancel(Cancelled::Future(match future {
        Value::Future(thread) => Awaited::Thread(*thread),
        Value::Promise(id) => Awaited::Promise(String::clone(id)),
        other => return Err(wrong_type("cancel", "a future", other)),
    })))
}

/// The result of a builtin that waited, from the answer.
pub(crate) fn answered(builtin: Builtin, arguments: &[Value], answer: Value) -> Result<Value> {
    match (builtin, arguments) {
        (Builtin::Any | Builtin::FirstDone, [items]) => wait::any_answered(items, &answer),
        (Builtin::AwaitFor, [value, _]) => wait::all_answered(value, answer),
        (Builtin::WaitFor, _) => Ok(flow::waited(&answer)),
        _ => Ok(answer),
    }
}
