//! The prelude: functions of the language that are written in Hark, in `prelude.hk`. A program that uses none of them
//! pays nothing: their names are in a table here, and the file is compiled only when one is used.

use std::rc::Rc;

use hark_bytecode::Executable;

use crate::diagnostic::Diagnostics;
use crate::imports::Imports;
use crate::parser::Form;
use crate::{generate, lexer, parser};

/// The prefix in `prelude.hk` of builtins that no program can name.
pub(crate) const NATIVE: &str = "native.";

const TEXT: &str = include_str!("prelude.hk");

/// The names of all functions, with their minimum and maximum number of arguments, sorted by name. A test compares them
/// with the file.
const FUNCTIONS: [(&str, u32, u32); 13] = [
    ("all?", 2, 2),
    ("any?", 2, 2),
    ("count", 2, 2),
    ("each", 2, 2),
    ("filter", 2, 2),
    ("find", 2, 2),
    ("flat_map", 2, 2),
    ("group_by", 2, 2),
    ("map", 2, 2),
    ("map_async", 2, 3),
    ("reduce", 3, 3),
    ("sort_by", 2, 2),
    ("update", 3, 3),
];

/// The minimum and maximum number of arguments of this function, if it exists.
pub(crate) fn arity(name: &str) -> Option<(u32, u32)> {
    let found = FUNCTIONS.binary_search_by_key(&name, |(name, ..)| name).ok()?;
    let (_, fewest, most) = FUNCTIONS[found];
    Some((fewest, most))
}

/// The functions called by attributes, under names that no program can use. In the file they begin with `_`.
const OF_ATTRIBUTES: [(&str, &str); 4] =
    [(RETRY, "_retry"), (RETRY_CALL, "_retry_call"), (WITHIN, "_within"), (ATTEMPT, "_attempt")];

/// Runs a function with `#[retry]`.
pub(crate) const RETRY: &str = "%retry";

/// Calls an import with `#[retry]`.
pub(crate) const RETRY_CALL: &str = "%retry_call";

/// Runs a function with `#[timeout]` only.
pub(crate) const WITHIN: &str = "%within";

/// Runs a function's body for one attempt of a retry.
pub(crate) const ATTEMPT: &str = "%attempt";

/// The name in the file of this function, if it exists.
pub(crate) fn function(name: &str) -> Option<&str> {
    let of_attribute = OF_ATTRIBUTES.iter().find(|(known, _)| *known == name);
    of_attribute.map(|(_, function)| *function).or_else(|| arity(name).map(|_| name))
}

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, ..)| *name)
}

/// The whole file, compiled.
pub(crate) fn compiled() -> Executable {
    let mut diagnostics = Diagnostics::default();
    let tokens = lexer::tokenize(TEXT, 0, &mut diagnostics);
    let mut program = parser::parse(TEXT, Form::Items, 0, &tokens, &mut diagnostics);
    // The builtins that only this file can use.
    program.presumed.insert(NATIVE.trim_end_matches('.'));
    let executable = generate::generate(&program, Rc::new(Imports::default()), &mut diagnostics);
    debug_assert_eq!(diagnostics.total(), 0, "{:?}", diagnostics.finish());
    executable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_file() {
        let executable = compiled();
        let function =
            |function: &hark_bytecode::Function| (function.name.to_string(), function.parameters.len() as u32);
        let mut defined: Vec<(String, u32)> = executable.functions.iter().map(function).collect();
        defined.retain(|(name, _)| !name.starts_with('_') && name != "lambda");
        defined.sort();
        assert_eq!(defined, FUNCTIONS.map(|(name, _, most)| (name.to_owned(), most)));
    }
}
