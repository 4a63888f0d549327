//! The functions of the prelude that are written in Hark, in `prelude.hk`. A program that uses none of them does not pay
//! for them: their names are in a table here, and the file is only compiled when one is called for.

use std::rc::Rc;

use hark_bytecode::Executable;

use crate::diagnostic::Diagnostics;
use crate::imports::Imports;
use crate::{generate, lexer, parser};

/// What the names of builtins begin with in `prelude.hk` that no program can name.
pub(crate) const NATIVE: &str = "native.";

const TEXT: &str = include_str!("prelude.hk");

/// The names and the numbers of arguments of all functions, sorted by name. A test compares them with the file.
const FUNCTIONS: [(&str, u32); 12] = [
    ("all?", 2),
    ("any?", 2),
    ("count", 2),
    ("each", 2),
    ("filter", 2),
    ("find", 2),
    ("flat_map", 2),
    ("group_by", 2),
    ("map", 2),
    ("reduce", 3),
    ("sort_by", 2),
    ("update", 3),
];

/// How many arguments a function of this name takes, if there is one.
pub(crate) fn arity(name: &str) -> Option<u32> {
    let found = FUNCTIONS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    Some(FUNCTIONS[found].1)
}

/// The names of all functions.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// The whole file, compiled.
pub(crate) fn compiled() -> Executable {
    let mut diagnostics = Diagnostics::default();
    let tokens = lexer::tokenize(TEXT, 0, &mut diagnostics);
    let mut program = parser::parse(TEXT, 0, &tokens, &mut diagnostics);
    // The builtins that only this file can name.
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
        assert_eq!(defined, FUNCTIONS.map(|(name, arity)| (name.to_owned(), arity)));
    }
}
