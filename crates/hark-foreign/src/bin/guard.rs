//! The guard of Python workers as a separate program, for the tests and examples of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    hark_foreign::guard::run_if_asked().unwrap_or(ExitCode::from(2))
}
