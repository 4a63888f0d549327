//! Values in `//!` lines, written as JSON or as Hark literals.

use hark_bytecode::{Executable, Instruction};
use hark_compiler::{Severity, compile};
use hark_machine::{HashBody, Key, Value};
use triomphe::Arc;

use crate::value::{from_json, leading_json};

/// Parses a value.
///
/// # Errors
/// If the text is not a value; the message says why.
pub fn value_of(text: &str) -> Result<Value, String> {
    match from_json(text) {
        Ok(value) => Ok(value),
        Err(failure) => hark_literal(text).map_err(|problem| problem.unwrap_or_else(|| failure.message())),
    }
}

/// Parses JSON values that follow each other in a text.
///
/// # Errors
/// If a part of the text is not valid JSON.
pub fn values_of(text: &str) -> Result<Vec<Value>, String> {
    let (mut values, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (value, behind) = leading_json(rest).map_err(|problem| format!("`{rest}` is not valid JSON: {problem}"))?;
        values.push(value);
        rest = behind.trim_start();
    }
    Ok(values)
}

/// Parses a Hark literal. The error is the compiler's message, or None if it would add nothing to the JSON error.
fn hark_literal(text: &str) -> Result<Value, Option<String>> {
    // The line break ends a comment after the literal.
    let compilation = compile("", &format!("fn main() {{ {text}\n}}"));
    let Some(executable) = compilation.executable else {
        let mut errors = compilation.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
        let said =
            errors.next().map(|error| format!("`{text}` is neither JSON nor a literal of Hark: {}", error.message));
        return Err(said);
    };
    folded(&executable)
        .ok_or_else(|| Some(format!("`{text}` is neither JSON nor a literal of Hark, but an expression")))
}

/// The value of a program that only constructs a literal.
fn folded(executable: &Executable) -> Option<Value> {
    let mut stack: Vec<Value> = Vec::new();
    if executable.functions.len() != 1 {
        return None;
    }
    let mut code = executable.code.iter();
    while let Some(instruction) = code.next() {
        match instruction {
            Instruction::PushValue(literal) => match Value::from(literal) {
                Value::Function(_) => return None,
                value => stack.push(value),
            },
            Instruction::PushBinding(name) => {
                let Some(Instruction::Call(count)) = code.next() else { return None };
                let items = stack.split_off(stack.len().checked_sub(*count as usize)?);
                stack.push(container(executable.name(*name), items)?);
            }
            Instruction::Return if code.len() == 0 && stack.len() == 1 => return stack.pop(),
            _ => return None,
        }
    }
    None
}

fn container(constructor: &str, items: Vec<Value>) -> Option<Value> {
    match constructor {
        "list" => Some(Value::list(items)),
        "hash" => {
            let mut body = HashBody::default();
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                body.insert(Key::new(key).ok()?, value);
            }
            Some(Value::Hash(Arc::new(body)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        let value = value_of(text).map(|value| hark_machine::literal_text(&value, &Executable::default()));
        assert_eq!(value.as_deref(), Ok(shown), "{text}");
    }

    #[test]
    fn json_and_literals_are_values() {
        check(r#"{"a": [1, -2.5, "\u00e9", null]}"#, r#"{"a": [1, -2.5, "é", null]}"#);
        check("{1: 'x', true: [1.,],}", r#"{1: "x", true: [1.0]}"#);
        check(r"'\x41'", r#""A""#);
        check("-7", "-7");
        check("NaN", "nan");
        check("4 // a comment", "4");
        check("[]", "[]");
        check("123456789012345678901234567890", "123456789012345678901234567890");
    }

    #[test]
    fn what_is_to_be_computed_is_no_literal() {
        for text in [
            "",
            "1 + 1",
            "x",
            "f()",
            "1 } fn f() { 2",
            "lambda () { 1 }",
            "[list]",
            "[1",
            "first([1])",
            "a = 1",
            "1; 2",
        ] {
            assert!(value_of(text).is_err(), "{text}");
        }
        let said = value_of("yes").unwrap_err();
        assert!(said.starts_with("`yes` is neither JSON nor a literal of Hark: "), "{said}");
    }

    #[test]
    fn several_values_stand_next_to_each_other() {
        assert_eq!(values_of(r#" "a"  "b c" "#), Ok(vec![Value::string("a"), Value::string("b c")]));
        assert_eq!(values_of(""), Ok(vec![]));
        assert!(values_of("\"a").is_err());
    }
}
