//! The binary `hark`.

use std::process::ExitCode;

fn main() -> ExitCode {
    hark_cli::main()
}
