//! `hark completions SHELL`

use super::FINISHED;
use crate::args::{self, Completions};
use crate::failure::Failure;
use crate::output;

/// Prints the script that makes a shell complete `hark`'s command lines.
///
/// # Errors
/// If standard output cannot be written to.
pub fn completions(wanted: &Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut args::definition(), "hark", &mut script);
    output::write_raw(&String::from_utf8_lossy(&script))?;
    Ok(FINISHED)
}
