//! The binary `hark`: here everything is put together.
//!
//! The order to read in: `args` (the command line), `project` (the files that it means), `program` (compiling them),
//! `commands`, and below them `render` (for people) and `report` (for programs).

mod args;
mod commands;
mod config;
mod failure;
mod output;
mod program;
mod project;
mod render;
mod report;

use std::env;
use std::process::ExitCode;

use args::Command;
use failure::Failure;
use render::Style;

fn main() -> ExitCode {
    let command = match args::parse(env::args_os().collect()) {
        Ok(command) => command,
        Err(error) => return explain_command_line(&error),
    };
    let done = match &command {
        Command::Run(wanted) => commands::run::run(wanted),
        Command::Asm(wanted) => commands::asm::asm(wanted),
        Command::Check(wanted) => commands::check::check(wanted),
        Command::Init(wanted) => commands::init::init(wanted),
        Command::Explain(wanted) => commands::explain::explain(wanted),
        Command::Completions(wanted) => commands::completions::completions(wanted),
    };
    let status = done.unwrap_or_else(|failure| {
        output::tell(&failure.drawn(Style::for_stderr()));
        failure.exit_status()
    });
    ExitCode::from(status)
}

/// Prints help, the version, or what is wrong with the command line.
fn explain_command_line(error: &clap::Error) -> ExitCode {
    match error.print() {
        Err(fault) if !error.use_stderr() => {
            let failure = Failure::Output(fault);
            output::tell(&failure.drawn(Style::for_stderr()));
            ExitCode::from(failure.exit_status())
        }
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}
