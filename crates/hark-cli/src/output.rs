//! Standard output and standard error, without the panics of `println!`.

mod overflow;
mod patient;
mod stream;

use std::io::{self, Write};

use patient::Patient;
pub use stream::Stream;

use crate::failure::Failure;
use crate::render::{Style, escape};

/// Writes to standard output what a person is to read.
///
/// # Errors
/// If nobody reads it, or the disk is full.
pub fn write_out(text: &str) -> Result<(), Failure> {
    write_raw(&escape::whole(text, Style::for_stdout().is_colored()))
}

/// Writes to standard output what a program has printed, or came to, as it is.
///
/// # Errors
/// If nobody reads it, or the disk is full.
pub fn write_raw(text: &str) -> Result<(), Failure> {
    let mut out = Patient(io::stdout().lock());
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// Tells the user something. If nobody listens, there is nobody to tell that either.
pub fn tell(text: &str) {
    tell_drawn(&told(text));
}

/// The same with a text that others have painted, and escaped.
pub fn tell_drawn(text: &str) {
    let _ = Patient(io::stderr().lock()).write_all(text.as_bytes());
}

/// A message as it is told.
pub fn told(text: &str) -> String {
    escape::whole(text, Style::for_stderr().is_colored()).into_owned()
}
