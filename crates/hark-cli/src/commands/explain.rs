//! `hark explain CODE`

use super::FINISHED;
use crate::args::Explain;
use crate::failure::Failure;
use crate::output;

/// Prints what an error code means, an example, and what helps.
///
/// # Errors
/// If there is no such code, or standard output cannot be written to.
pub fn explain(wanted: &Explain) -> Result<u8, Failure> {
    let Some(code) = hark_compiler::Code::from_text(&wanted.code) else {
        return Err(Failure::usage(format!("there is no error code `{}`", wanted.code))
            .with_hint("a code stands in brackets after `error` or `warning`, such as HK0012"));
    };
    output::write_out(code.explanation())?;
    Ok(FINISHED)
}
