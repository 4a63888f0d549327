//! Standard output and standard error, without the panics of `println!`.

mod overflow;
mod patient;
pub mod status;
mod stream;

use std::io::{self, Write};

use patient::Patient;
pub use stream::Stream;

use crate::failure::Failure;
use crate::render::{Style, escape};

/// Writes text for people to standard output.
///
/// # Errors
/// If the reader has gone, or the disk is full.
pub fn write_out(text: &str) -> Result<(), Failure> {
    write_raw(&escape::whole(text, Style::for_stdout().is_colored()))
}

/// Writes a program's output or result to standard output, unchanged.
///
/// # Errors
/// If the reader has gone, or the disk is full.
pub fn write_raw(text: &str) -> Result<(), Failure> {
    let mut out = Patient(io::stdout().lock());
    let bytes = text.as_bytes();
    status::beside(bytes, || out.write_all(bytes).and_then(|()| out.flush())).map_err(Failure::Output)
}

/// Prints a message to standard error. Errors are ignored, because they could not be reported.
pub fn tell(text: &str) {
    tell_drawn(&told(text));
}

/// Like `tell`, for a text that is already painted and escaped.
pub fn tell_drawn(text: &str) {
    let _ = Patient(io::stderr().lock()).write_all(text.as_bytes());
}

/// A message, escaped.
pub fn told(text: &str) -> String {
    escape::whole(text, Style::for_stderr().is_colored()).into_owned()
}
