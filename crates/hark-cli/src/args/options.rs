//! Options that several commands have.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageName {
    /// In this process, for as long as it runs.
    Memory,
    /// In one file, `hark.db` in the project's data_dir.
    Sqlite,
}

/// The storage that is asked for, for a session that is started.
#[derive(Debug, Args)]
pub struct StorageChoice {
    /// Where the session is kept. Without it: `storage` of hark.toml, else memory
    #[arg(id = "storage", short = 's', long = "storage", value_name = "STORAGE")]
    pub name: Option<StorageName>,
    /// Where the file with kept sessions is. Without it: `data_dir` of hark.toml, else .hark
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

/// The storage that is asked for, by a command on sessions that are kept.
#[derive(Debug, Args)]
pub struct KeptStorage {
    /// Where the sessions are kept: `sqlite`, whatever hark.toml says. `memory` is refused: sessions there end with their process
    #[arg(id = "storage", short = 's', long = "storage", value_name = "STORAGE")]
    pub name: Option<StorageName>,
    /// Where the file with kept sessions is. Without it: `data_dir` of hark.toml, else .hark
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
}

/// What runs a session's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConcurrencyName {
    /// Threads of this process, as many as the machine has cores.
    Threads,
    /// Processes of this machine, which share the storage.
    Processes,
}

/// The invoker that is asked for.
#[derive(Debug, Args)]
pub struct ConcurrencyChoice {
    /// What runs the sessions' threads
    #[arg(id = "invoker", short = 'c', long = "concurrency", value_name = "KIND", default_value = "threads")]
    pub name: ConcurrencyName,
}

/// Which function is called, and with what.
#[derive(Debug, Args)]
pub struct CallChoice {
    /// Arguments of the function; it gets them as strings
    #[arg(value_name = "ARG")]
    pub words: Vec<OsString>,
    /// The arguments as a JSON list, for those that are no strings; `-` reads it from standard input
    #[arg(id = "args", long = "args", value_name = "JSON", conflicts_with = "words")]
    pub json: Option<String>,
    /// The function to call: one of the program's or an import
    #[arg(short, long, value_name = "FUNCTION", default_value = "main")]
    pub function: String,
}

/// How much is told of what Hark does itself: this, and all that is more urgent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// What should not be.
    Error,
    /// What was lost, and is done again.
    Warn,
    /// What begins and ends.
    Info,
    /// Each step and call.
    Debug,
    /// Each transaction.
    Trace,
}

/// The form in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// An object in each line.
    Json,
}

/// What is told of what Hark does itself.
#[derive(Debug, Args)]
pub struct LogChoice {
    /// Tell on standard error what Hark does itself. Without it: the environment's HARK_LOG, else off
    #[arg(id = "log", long = "log", value_name = "LEVEL")]
    pub level: Option<LogLevel>,
    /// In which form. Without it: HARK_LOG_FORMAT, else text
    #[arg(id = "log_format", long = "log-format", value_name = "FORMAT")]
    pub format: Option<LogFormat>,
}

/// Which `hark.toml` is meant, and what is told of the work.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The settings to use instead of the nearest hark.toml; its folder is the project
    #[arg(long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogChoice,
}

/// Where kept sessions are looked for, and how they are shown.
#[derive(Debug, Args)]
pub struct Kept {
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
