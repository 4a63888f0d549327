//! Promises: Futures that are resolved from outside the program.

use hark_bytecode::{Executable, shortened};
use triomphe::Arc;

use super::Result;
use super::argument::wrong_type;
use crate::display::whole_text;
use crate::effect::Host;
use crate::error::Error;
use crate::value::Value;

/// A promise with a unique name.
pub(super) fn promise(host: &mut impl Host) -> Value {
    Value::Promise(Arc::new(format!("promise/{:016x}", host.random())))
}

/// The promise with this name and id. A name cannot contain `/`, so the combination is unambiguous.
pub(super) fn future(name: &Value, id: &Value, executable: &Executable) -> Result<Value> {
    let (name, id) = (part(name, "name", executable)?, part(id, "id", executable)?);
    if name.contains('/') {
        return Err(Error::of_value(format!(
            "`future` needs a name without `/`, not `{}`; an id may have some",
            shortened(&name)
        )));
    }
    Ok(Value::Promise(Arc::new(format!("{name}/{id}"))))
}

fn part(value: &Value, role: &str, executable: &Executable) -> Result<String> {
    match value {
        Value::String(_) | Value::Integer(_) | Value::BigInteger(_) | Value::Float(_) => {
            whole_text("future", value, executable)
        }
        other => Err(wrong_type("future", &format!("a string or number as its {role}"), other)),
    }
}

/// The id of a promise outside its session.
pub(super) fn future_id(future: &Value, host: &impl Host) -> Result<Value> {
    match future {
        Value::Promise(id) => Ok(Value::string(format!("{}/{id}", host.session()))),
        Value::Future(thread) => Err(Error::of_value(format!(
            "`future_id` needs a future that something outside resolves, but this one is resolved by thread {thread}"
        ))),
        other => Err(wrong_type("future_id", "a future", other)),
    }
}
