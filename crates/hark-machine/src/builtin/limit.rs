//! Limits and rates, acquired and released by the code generated for attributes: `%take`, `%start`, `%give_back`.
//!
//! A limit or rate is identified by its name, or by a function or import whose name it has.

use std::sync::Arc;

use hark_bytecode::{Attributes, Executable, ForeignIndex, FunctionIndex, Passing, Span, own_gate_name};

use super::argument::wrong_type;
use super::{Outcome, Result};
use crate::effect::{Host, Take};
use crate::error::Error;
use crate::value::Value;

/// Acquires a limit. `time` is the longest time to wait, or null.
pub(super) fn take(limit: &Value, count: &Value, time: &Value, executable: &Executable) -> Result<Outcome> {
    let (name, count) = (name_of(limit, executable)?, number(count, "limit")?);
    Ok(Outcome::Take(Take { name, count, per: None, seconds: longest(time)? }))
}

pub(super) fn start(
    rate: &Value,
    count: &Value,
    per: &Value,
    time: &Value,
    executable: &Executable,
) -> Result<Outcome> {
    let seconds = seconds(per)?;
    if !(seconds > 0.0 && seconds.is_finite()) {
        return Err(Error::of_value("`rate` needs a time that is more than 0"));
    }
    let (name, count) = (name_of(rate, executable)?, number(count, "rate")?);
    Ok(Outcome::Take(Take { name, count, per: Some(seconds), seconds: longest(time)? }))
}

fn longest(time: &Value) -> Result<Option<f64>> {
    if matches!(time, Value::Null) { Ok(None) } else { seconds(time).map(Some) }
}

fn seconds(time: &Value) -> Result<f64> {
    match time {
        Value::Integer(seconds) => Ok(*seconds as f64),
        Value::Float(seconds) => Ok(*seconds),
        other => Err(wrong_type("rate", "a number of seconds", other)),
    }
}

/// Releases a limit if it was acquired, and returns `value`, the result of the code that held it.
pub(super) fn give_back(
    value: &mut Value,
    limit: &Value,
    was_taken: &Value,
    executable: &Executable,
    host: &mut impl Host,
) -> Result<Value> {
    if *was_taken == Value::Boolean(true) {
        host.give_back(&name_of(limit, executable)?);
    }
    Ok(std::mem::take(value))
}

/// A limit or rate declared by a program.
#[derive(Debug, Clone, PartialEq)]
pub struct DeclaredGate {
    /// How its calls acquire it.
    pub take: Take,
    /// The attribute that declares it.
    pub span: Span,
}

/// All limits and rates of a program, without duplicates.
pub fn declared_gates(executable: &Executable) -> Vec<DeclaredGate> {
    let mut all: Vec<DeclaredGate> = Vec::new();
    for (index, function) in executable.functions.iter().enumerate() {
        let own = || match function.foreign {
            Some(foreign) => foreign_name(foreign, executable),
            None => function_name(FunctionIndex(index as u32), executable),
        };
        let name = |name: &Option<String>| name.as_deref().map_or_else(own, Into::into);
        let Attributes { limit, rate, .. } = &function.attributes;
        let limit = limit.as_ref().map(|limit| (name(&limit.name), limit.count, None, limit.span));
        let rate = rate.as_ref().map(|rate| (name(&rate.name), rate.count, Some(rate.per_seconds), rate.span));
        for (name, count, per, span) in limit.into_iter().chain(rate) {
            let is_known = all.iter().any(|known| known.take.name == name && known.take.per.is_some() == per.is_some());
            // The wrapper of an import is not named like the import itself.
            let is_wrapper = function.foreign.is_none() && matches!(function.passing, Passing::AsList { .. });
            if !is_known && !is_wrapper {
                all.push(DeclaredGate { take: Take { name, count: count.into(), per, seconds: None }, span });
            }
        }
    }
    all
}

fn name_of(limit: &Value, executable: &Executable) -> Result<Arc<str>> {
    match limit {
        Value::Function(function) => Ok(function_name(*function, executable)),
        Value::Closure(closure) => Ok(function_name(closure.function(), executable)),
        Value::Foreign(index) => Ok(foreign_name(*index, executable)),
        _ => limit.as_str().map(Into::into).ok_or_else(|| wrong_type("limit", "a string as its name", limit)),
    }
}

fn foreign_name(index: ForeignIndex, executable: &Executable) -> Arc<str> {
    let foreign = &executable.foreign[index.0 as usize];
    format!("{}.{}", foreign.module, foreign.function).into()
}

/// Module and function. A function of the main program has no module in its name; the program's file serves as the
/// module.
fn function_name(index: FunctionIndex, executable: &Executable) -> Arc<str> {
    let function = &executable.functions[index.0 as usize];
    match executable.sources.index_at(function.span.start) {
        Some(0) => own_gate_name(executable.sources.main_path(), &function.name).into(),
        _ => function.name.clone(),
    }
}

fn number(count: &Value, attribute: &str) -> Result<u64> {
    match count {
        Value::Integer(count) if *count >= 1 => Ok(*count as u64),
        _ => Err(Error::of_value(format!("`{attribute}` needs an integer that is 1 at least"))),
    }
}
