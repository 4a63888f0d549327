//! The type of a value, and its text.

use hark_bytecode::Executable;
use triomphe::Arc;

use super::Result;
use crate::display::whole_text;
use crate::text::Text;
use crate::value::Value;

/// `nullp`: true for `null` and for empty values.
#[inline]
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::List(start, body) => *start as usize == body.len(),
        Value::Hash(body) => body.is_empty(),
        Value::String(text) => text.length() == 0,
        _ => false,
    }
}

pub(super) fn type_of(value: &Value) -> Value {
    Value::string(value.type_name())
}

pub(super) fn to_string(value: &mut Value, executable: &Executable) -> Result<Value> {
    Ok(match value {
        Value::String(_) => std::mem::take(value),
        Value::Integer(value) => Value::String(Arc::new(Text::of_integer(*value))),
        other => Value::string(whole_text("to_string", other, executable)?),
    })
}
