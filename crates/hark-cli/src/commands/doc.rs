//! `hark doc [NAME]`

use std::fmt::Write;

use hark_bytecode::shortened;
use hark_compiler::{Documented, Subject, documentation, nearest};

use super::FINISHED;
use crate::args::Doc;
use crate::failure::Failure;
use crate::output;

/// The width of the signatures in the list of all builtins.
const SIGNATURE_WIDTH: usize = 30;

/// Prints the documentation of a builtin; without a name, a list of all builtins.
///
/// # Errors
/// If there is no such builtin, or standard output cannot be written to.
pub fn doc(wanted: &Doc) -> Result<u8, Failure> {
    let subjects = documentation();
    let Some(name) = &wanted.name else {
        output::write_out(&list(&subjects))?;
        return Ok(FINISHED);
    };
    let functions = || subjects.iter().flat_map(|subject| &subject.functions);
    let Some(function) = functions().find(|function| function.name == name) else {
        let hint = match nearest(name, functions().map(|function| function.name)) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "`hark doc` lists all builtins".to_owned(),
        };
        return Err(Failure::usage(format!("there is no builtin `{}`", shortened(name))).with_hint(hint));
    };
    output::write_out(&page(function))?;
    Ok(FINISHED)
}

fn list(subjects: &[Subject]) -> String {
    let mut text = String::new();
    for subject in subjects {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{}", subject.title);
        for function in &subject.functions {
            let signature = function.signatures.last().copied().unwrap_or(function.name);
            _ = writeln!(text, "  {signature:SIGNATURE_WIDTH$}  {}", function.summary());
        }
        text.push('\n');
    }
    text + "`hark doc NAME` shows the documentation of one of them.\n"
}

fn page(function: &Documented) -> String {
    let mut text = String::new();
    for signature in &function.signatures {
        _ = writeln!(text, "{signature}");
    }
    _ = writeln!(text, "\n{}\n", function.plain_text());
    for example in &function.examples {
        _ = writeln!(text, "  {example}");
    }
    text
}
