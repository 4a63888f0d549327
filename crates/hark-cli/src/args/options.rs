//! Options that are shared by several commands.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

/// The storages for sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageName {
    /// Memory of this process, lost when it ends.
    Memory,
    /// A file, `hark.db` in the project's data_dir.
    Sqlite,
    /// In a DynamoDB table, which many machines share.
    #[cfg(feature = "dynamodb")]
    Dynamodb,
    /// In the table of an instance on AWS Lambda, whose functions run the sessions.
    #[cfg(feature = "lambda")]
    Lambda,
}

impl StorageName {
    /// Whether it is reached over a network.
    pub fn is_remote(self) -> bool {
        match self {
            StorageName::Memory | StorageName::Sqlite => false,
            #[cfg(feature = "dynamodb")]
            StorageName::Dynamodb => true,
            #[cfg(feature = "lambda")]
            StorageName::Lambda => true,
        }
    }

    /// Whether AWS Lambda functions run its sessions, and not the commands.
    pub fn is_run_by_functions(self) -> bool {
        #[cfg(feature = "lambda")]
        return self == StorageName::Lambda;
        #[cfg(not(feature = "lambda"))]
        false
    }
}

/// The command line's options for the place of sessions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// The storage.
    pub name: Option<StorageName>,
    /// The folder of a file.
    pub data_dir: Option<&'a Path>,
    /// How long after its start a session is removed.
    pub ttl: Option<&'a str>,
    /// The name of an instance on AWS Lambda.
    pub instance: Option<&'a str>,
}

impl StorageChoice {
    /// What it says.
    pub fn asked(&self) -> Asked<'_> {
        let asked = Asked { name: self.name, data_dir: self.data_dir.as_deref(), ..Asked::default() };
        #[cfg(feature = "dynamodb")]
        let asked = Asked { ttl: self.ttl.as_deref(), ..asked };
        asked
    }
}

impl KeptStorage {
    /// What it says.
    pub fn asked(&self) -> Asked<'_> {
        let asked = Asked { name: self.name, data_dir: self.data_dir.as_deref(), ..Asked::default() };
        #[cfg(feature = "lambda")]
        let asked = self.instance.asked(asked);
        asked
    }
}

/// The requested storage of a new session.
#[derive(Debug, Args)]
pub struct StorageChoice {
    /// Where to keep the session. Default: `storage` in hark.toml, else memory
    #[arg(id = "storage", short = 's', long = "storage", value_name = "STORAGE")]
    pub name: Option<StorageName>,
    /// The folder of the file with stored sessions. Default: `data_dir` in hark.toml, else .hark
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// With `-s dynamodb`: remove the session this long after its start, whatever its state: 12h, 7d. Without it: `ttl` of hark.toml, else never
    #[cfg(feature = "dynamodb")]
    #[arg(long, value_name = "AGE")]
    pub ttl: Option<String>,
}

/// The requested instance on AWS Lambda.
#[cfg(feature = "lambda")]
#[derive(Debug, Args)]
pub struct InstanceChoice {
    /// The instance on AWS Lambda that `hark deploy` has created: the same as `-s lambda`
    #[arg(long, conflicts_with_all = ["storage", "data_dir"])]
    pub deployed: bool,
    /// The instance with this name. Default: the one that was deployed last from this folder
    #[arg(long, value_name = "NAME", conflicts_with = "data_dir")]
    pub uuid: Option<String>,
}

#[cfg(feature = "lambda")]
impl InstanceChoice {
    /// The same with these options. A name means an instance, if no other storage is named.
    fn asked<'a>(&'a self, asked: Asked<'a>) -> Asked<'a> {
        let is_meant = self.deployed || self.uuid.is_some();
        let name = asked.name.or(is_meant.then_some(StorageName::Lambda));
        Asked { name, instance: self.uuid.as_deref(), ..asked }
    }
}

/// The requested storage, for commands on stored sessions.
#[derive(Debug, Args)]
pub struct KeptStorage {
    /// Where the sessions are kept. Without it: `storage` of hark.toml unless that is memory, else sqlite. `memory` is refused: sessions there end with their process
    #[arg(id = "storage", short = 's', long = "storage", value_name = "STORAGE")]
    pub name: Option<StorageName>,
    /// The folder of the file with stored sessions. Default: `data_dir` in hark.toml, else .hark
    #[arg(long, value_name = "FOLDER", value_hint = clap::ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    #[cfg(feature = "lambda")]
    #[command(flatten)]
    pub instance: InstanceChoice,
}

/// The invokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConcurrencyName {
    /// Threads of this process, one per core of the machine.
    Threads,
    /// Processes on this machine that share the storage.
    Processes,
}

/// The requested invoker.
#[derive(Debug, Args)]
pub struct ConcurrencyChoice {
    /// What runs the sessions' threads
    #[arg(id = "invoker", short = 'c', long = "concurrency", value_name = "KIND", default_value = "threads")]
    pub name: ConcurrencyName,
}

/// The function to call and its arguments.
#[derive(Debug, Args)]
pub struct CallChoice {
    /// Arguments of the function, passed as strings
    #[arg(value_name = "ARG")]
    pub words: Vec<OsString>,
    /// The arguments as a JSON list, if they are not strings; `-` reads it from standard input
    #[arg(id = "args", long = "args", value_name = "JSON", conflicts_with = "words")]
    pub json: Option<String>,
    /// The function to call: a function of the program or an import
    #[arg(short, long, value_name = "FUNCTION", default_value = "main")]
    pub function: String,
}

/// The level of Hark's own log: events of this or higher severity are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Errors.
    Error,
    /// Losses, after which work is done again.
    Warn,
    /// The begin and end of sessions and processes.
    Info,
    /// Steps and calls.
    Debug,
    /// Transactions.
    Trace,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Human-readable lines.
    Text,
    /// A JSON object per line.
    Json,
}

/// The options of Hark's own log.
#[derive(Debug, Args)]
pub struct LogChoice {
    /// Log Hark's own work on standard error. Default: the environment variable HARK_LOG, else off
    #[arg(id = "log", long = "log", value_name = "LEVEL")]
    pub level: Option<LogLevel>,
    /// The format of the log. Default: HARK_LOG_FORMAT, else text
    #[arg(id = "log_format", long = "log-format", value_name = "FORMAT")]
    pub format: Option<LogFormat>,
}

/// The settings file to use, and the log options.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// Use this settings file instead of the nearest hark.toml; its folder is the project
    #[arg(long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: Option<PathBuf>,
    #[command(flatten)]
    pub log: LogChoice,
}

/// Where stored sessions are searched for, and how they are shown.
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
