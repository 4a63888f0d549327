//! The command line `hark`, which connects all parts.
//!
//! It is a library so that a program for another platform can be short: [`run_on`] is `hark run` with another storage
//! and invoker.
//!
//! A reading order: `args` (the command line), `project` (its files), `program` (compiling them), `commands`, `session`
//! (which connects machine, engine and ports), and below them `render` (output for people) and `report` (output for
//! programs).

mod age;
mod args;
mod commands;
mod config;
#[cfg(feature = "lambda")]
mod deployed;
mod entry;
mod failure;
#[cfg(feature = "lambda")]
mod instance;
mod log;
mod modules;
mod output;
mod place;
mod process;
mod program;
mod project;
mod python;
mod render;
mod report;
mod session;
mod signals;
mod storage;
mod trust;
mod value;

use std::env;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hark_engine::{Invoker, Storage};

use args::Command;
use failure::Failure;
use render::Style;

/// The storage of sessions, and the invoker of their threads.
pub struct Platform {
    /// Stores the sessions.
    pub storage: Arc<dyn Storage>,
    /// Runs their threads.
    pub invoker: Arc<dyn Invoker>,
}

/// Opens the platform of the project in this folder. The error is a message.
pub type OpenPlatform = dyn Fn(&Path) -> Result<Platform, String>;

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    main_with(None)
}

/// Like `main`, for a custom platform, which stores and runs the sessions. Of the commands that need a storage, only
/// `run` is supported.
pub fn run_on(platform: &OpenPlatform) -> ExitCode {
    main_with(Some(platform))
}

fn main_with(platform: Option<&OpenPlatform>) -> ExitCode {
    if let Some(status) = hark_foreign::guard::run_if_asked() {
        return status;
    }
    if let Some(status) = process::run_as_first() {
        return status;
    }
    process::prepare();
    #[cfg(feature = "lambda")]
    if let Some(status) = run_as_function() {
        return status;
    }
    let command = match args::parse(env::args_os().collect()) {
        Ok(command) => command,
        Err(error) => return explain_command_line(error),
    };
    if let Some(choice) = command.log()
        && let Err(failure) = log::start(choice)
    {
        return ExitCode::from(explain_failure(failure, &command));
    }
    let done = do_command(&command, platform);
    ExitCode::from(done.unwrap_or_else(|failure| explain_failure(failure, &command)))
}

/// Runs AWS Lambda functions, if this process was started for that.
#[cfg(feature = "lambda")]
fn run_as_function() -> Option<ExitCode> {
    let words: Vec<_> = env::args_os().collect();
    let done = commands::lambda::is_asked(&words).then(|| commands::lambda::run(&words))?;
    Some(ExitCode::from(done.unwrap_or_else(|failure| {
        output::tell(&failure.drawn(Style::for_stderr()));
        failure.exit_status()
    })))
}

fn do_command(command: &Command, platform: Option<&OpenPlatform>) -> Result<u8, Failure> {
    match command {
        Command::Run(wanted) => commands::run::run(wanted, platform),
        Command::Asm(wanted) => commands::asm::asm(wanted),
        Command::Check(wanted) => commands::check::check(wanted),
        Command::Test(wanted) => commands::test::test(wanted),
        Command::Init(wanted) => commands::init::init(wanted),
        Command::Sync(wanted) => commands::sync::sync(wanted),
        #[cfg(feature = "lambda")]
        Command::Deploy(wanted) => commands::deploy::deploy(wanted),
        #[cfg(feature = "lambda")]
        Command::Destroy(wanted) => commands::destroy::destroy(wanted),
        #[cfg(feature = "lambda")]
        Command::Invoke(wanted) => commands::invoke::invoke(wanted),
        #[cfg(feature = "lambda")]
        Command::Logs(wanted) => commands::logs::logs(wanted),
        #[cfg(feature = "lambda")]
        Command::Info(wanted) => commands::info::info(wanted),
        Command::Doc(wanted) => commands::doc::doc(wanted),
        Command::Explain(wanted) => commands::explain::explain(wanted),
        Command::Completions(wanted) => commands::completions::completions(wanted),
        // The parser has handled it.
        Command::Help(_) => Ok(commands::FINISHED),
        Command::Version => {
            output::write_out(concat!("hark ", env!("CARGO_PKG_VERSION"), "\n")).map(|()| commands::FINISHED)
        }
        // These would search Hark's own storage for sessions.
        _ if platform.is_some() => Err(Failure::usage("this program can only `run`, on a platform of its own")),
        Command::Sessions(wanted) => commands::sessions::sessions(wanted),
        Command::Show(wanted) => commands::show::show(wanted),
        Command::Promises(wanted) => commands::promises::promises(wanted),
        Command::Stdout(wanted) => commands::history::stdout(wanted),
        Command::Events(wanted) => commands::history::events(wanted),
        Command::Timeline(wanted) => commands::timeline::timeline(wanted),
        Command::Resume(wanted) => commands::resume::resume(wanted),
        Command::Retry(wanted) => commands::resume::retry(wanted),
        Command::Cancel(wanted) => commands::cancel::cancel(wanted),
        Command::Resolve(wanted) => commands::outside::resolve(wanted),
        Command::Fail(wanted) => commands::outside::fail(wanted),
        Command::Worker(wanted) => commands::worker::worker(wanted),
        Command::Export(wanted) => commands::transfer::export(wanted),
        Command::Import(wanted) => commands::transfer::import(wanted),
        Command::Prune(wanted) => commands::prune::prune(wanted),
        Command::Storage(wanted) => commands::storage::storage(wanted),
        Command::Bench(wanted) => commands::bench::bench(wanted),
        Command::WorkerProcess(wanted) => commands::worker::worker_process(wanted),
    }
}

/// Reports why a command failed, in the requested form. Returns the exit status.
fn explain_failure(failure: Failure, command: &Command) -> u8 {
    let mut failure = failure;
    if let Some(file) = command.reported_file().filter(|_| failure.is_refusal())
        && let Err(worse) = report::write_refused(&failure, &file)
    {
        failure = worse;
    }
    output::tell(&failure.drawn(Style::for_stderr()));
    failure.exit_status()
}

/// Prints help, the version, or an error in the command line.
fn explain_command_line(error: clap::Error) -> ExitCode {
    let status = u8::try_from(error.exit_code()).unwrap_or(2);
    if error.use_stderr() {
        output::tell_drawn(&render::draw_command_line(error, Style::for_stderr()));
        return ExitCode::from(status);
    }
    // Help and version contain no user input, so nothing must be escaped.
    match error.print() {
        Ok(()) => ExitCode::from(status),
        Err(fault) => {
            let failure = Failure::Output(fault);
            output::tell(&failure.drawn(Style::for_stderr()));
            ExitCode::from(failure.exit_status())
        }
    }
}
