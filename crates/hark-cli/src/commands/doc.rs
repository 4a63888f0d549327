//! `hark doc [NAME]`

use std::fmt::Write;

use hark_bytecode::shortened;
use hark_compiler::{Documented, Subject, documentation, nearest};
use unicode_width::UnicodeWidthStr;

use super::FINISHED;
use crate::args::Doc;
use crate::failure::Failure;
use crate::output;
use crate::render::wrap;

/// The width of the signatures in the list of all builtins.
const SIGNATURE_WIDTH: usize = 30;

/// From this width on, summaries are beside the signatures.
const WIDTH_OF_COLUMNS_MIN: usize = 70;

/// Prints the documentation of a builtin; without a name, a list of all builtins.
///
/// # Errors
/// If there is no such builtin, or standard output cannot be written to.
pub fn doc(wanted: &Doc) -> Result<u8, Failure> {
    let subjects = documentation();
    let width = wrap::width_of_stdout().unwrap_or(usize::MAX);
    let Some(name) = &wanted.name else {
        output::write_out(&list(&subjects, width))?;
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
    output::write_out(&page(function, width))?;
    Ok(FINISHED)
}

fn list(subjects: &[Subject], width: usize) -> String {
    // On a narrow terminal, a summary is on a line of its own.
    let indent = if width < WIDTH_OF_COLUMNS_MIN { 6 } else { SIGNATURE_WIDTH + 4 };
    let mut text = String::new();
    for subject in subjects {
        // Writing to a string cannot fail.
        _ = writeln!(text, "{}", subject.title);
        for function in &subject.functions {
            let signature = function.signatures.last().copied().unwrap_or(function.name);
            if indent > SIGNATURE_WIDTH {
                _ = write!(text, "  {signature:SIGNATURE_WIDTH$}  ");
            } else {
                _ = write!(text, "  {signature}\n{:indent$}", "");
            }
            let begun = indent + signature.width().saturating_sub(SIGNATURE_WIDTH);
            wrap::push_words(&function.summary(), begun, indent, width, &mut text);
            text.push('\n');
        }
        text.push('\n');
    }
    text + "`hark doc NAME` shows the documentation of one of them.\n"
}

fn page(function: &Documented, width: usize) -> String {
    let mut text = String::new();
    for signature in &function.signatures {
        _ = writeln!(text, "{signature}");
    }
    let description = function.plain_text();
    let description = if width == usize::MAX { description + "\n" } else { wrap::page(&description, width) };
    _ = writeln!(text, "\n{description}");
    for example in &function.examples {
        _ = writeln!(text, "  {example}");
    }
    text
}
