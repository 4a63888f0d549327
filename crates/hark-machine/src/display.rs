//! The text form of values: what `print` shows.

use hark_bytecode::{Executable, float_text, string_text};

use crate::list::List;
use crate::value::Value;

/// A value's text: a string as it is, everything else as a literal of the language.
pub fn text_of(value: &Value, executable: &Executable) -> String {
    match value {
        Value::String(text) => text.as_str().to_owned(),
        other => literal_text(other, executable),
    }
}

/// What is still to be written of the containers that are open.
enum Open<'a> {
    List(List<'a>, usize),
    Hash(&'a crate::hash::HashBody, usize),
}

/// A value's text as a literal, with strings in quotes. Nesting has no limit.
pub fn literal_text(value: &Value, executable: &Executable) -> String {
    if !value.is_container() {
        return atom_text(value, executable);
    }
    let mut text = String::new();
    let mut open = Vec::new();
    begin(value, executable, &mut text, &mut open);
    while let Some(container) = open.pop() {
        match container {
            Open::List(list, index) => match list.get(index) {
                Some(item) => {
                    text.push_str(if index > 0 { ", " } else { "" });
                    open.push(Open::List(list, index + 1));
                    begin(item, executable, &mut text, &mut open);
                }
                None => text.push(']'),
            },
            Open::Hash(hash, index) => match hash.entry(index) {
                Some((key, item)) => {
                    text.push_str(if index > 0 { ", " } else { "" });
                    text.push_str(&atom_text(key, executable));
                    text.push_str(": ");
                    open.push(Open::Hash(hash, index + 1));
                    begin(item, executable, &mut text, &mut open);
                }
                None => text.push('}'),
            },
        }
    }
    text
}

fn begin<'a>(value: &'a Value, executable: &Executable, text: &mut String, open: &mut Vec<Open<'a>>) {
    match value {
        Value::List(start, body) => {
            text.push('[');
            open.push(Open::List(List::new(*start, body), 0));
        }
        Value::Hash(body) => {
            text.push('{');
            open.push(Open::Hash(body, 0));
        }
        atom => text.push_str(&atom_text(atom, executable)),
    }
}

fn atom_text(value: &Value, executable: &Executable) -> String {
    match value {
        Value::Null | Value::List(..) | Value::Hash(_) => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::BigInteger(value) => value.to_string(),
        Value::Float(value) => float_text(*value),
        Value::String(text) => string_text(text.as_str()),
        Value::Future(number) => format!("<future {number}>"),
        Value::Promise(id) => format!("<future {id}>"),
        function => format!("<fn {}>", function_name(function, executable)),
    }
}

/// What a function value is called.
pub fn function_name<'a>(value: &Value, executable: &'a Executable) -> &'a str {
    match value {
        Value::Function(index) => executable.functions.get(index.0 as usize).map_or("?", |function| &function.name),
        Value::Foreign(index) => executable.foreign.get(index.0 as usize).map_or("?", |foreign| &foreign.name),
        Value::Builtin(builtin) => builtin.name(),
        Value::Operator(operator) => operator.symbol(),
        _ => "?",
    }
}
