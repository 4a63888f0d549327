//! Commands on stored sessions.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use hark_engine::Pool;

use super::labels::Tag;
use super::options::{ConcurrencyChoice, ConfigFile, Kept, KeptStorage, StorageChoice};

/// `hark sessions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark sessions
  hark sessions --state broken --limit 5
  hark sessions --since 2d --function order --argument 4711
  hark sessions --tag customer=acme
  hark sessions --json | jq -r '.[].session'")]
pub struct Sessions {
    /// Only sessions in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<StateName>,
    /// Only sessions that started with this function
    #[arg(short, long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only sessions with this text in one of their arguments (in its first 200 characters)
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub argument: Option<String>,
    /// Only sessions started within this time: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE")]
    pub since: Option<String>,
    /// Only sessions started before this time
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Only sessions with this tag, with any value or with this one; may be repeated to require several tags
    #[arg(long = "tag", value_name = "NAME[=VALUE]", value_parser = Tag::wanted)]
    pub tags: Vec<Tag>,
    /// List at most this many
    #[arg(long, value_name = "NUMBER", value_parser = whole_number)]
    pub limit: Option<usize>,
    /// Print only ids, one per line
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// The states of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateName {
    /// It is being served.
    Running,
    /// It is unfinished and not being served.
    Suspended,
    /// It has finished.
    Finished,
    /// One of its threads failed with an uncaught error.
    Broken,
    /// `hark cancel` has told its threads to stop, but not all have stopped.
    Cancelling,
    /// It was cancelled.
    Cancelled,
    /// It is being exported to a file.
    Moving,
    /// It was moved to another storage.
    Moved,
    /// It is being imported from a file, or the import was interrupted.
    Importing,
}

/// `hark show`
#[derive(Debug, Args)]
pub struct OfSession {
    /// The session: its key, or a prefix of its id. Default: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark promises`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark promises                 of all unfinished sessions
  hark promises 01a1fd87-1c     of this one
  hark promises -q              only what `hark resolve` and `hark fail` take

The first column is the argument of `hark resolve` and `hark fail`.")]
pub struct Promises {
    /// The session: its key, or a prefix of its id. Default: all unfinished sessions
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Print only the FUTURE_IDs, whole
    #[arg(long, short, conflicts_with = "json")]
    pub quiet: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark cancel`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark cancel 01a1fd87-1c       once its threads have cleaned up
  hark cancel --now 01a1fd87-1c at once")]
pub struct Cancel {
    /// The session: its key, or a prefix of its id
    #[arg(value_name = "ID")]
    pub id: String,
    /// End it immediately, without letting its threads clean up
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark resume`, `hark retry`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark resume                   continue all unfinished sessions until they have ended
  hark resume 01a1fd87-1c       continue this one
  hark retry                    continue the newest session from where it failed")]
pub struct GoOn {
    /// The session: its key, or a prefix of its id. Default: all unfinished sessions (`retry`: the newest)
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Print only output, results and errors
    #[arg(long, short)]
    pub quiet: bool,
    /// Show no status line on the terminal
    #[arg(long)]
    pub no_progress: bool,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    #[command(flatten)]
    pub kept: Kept,
}

/// The options of a supervisor's worker process.
#[derive(Debug, Args)]
pub struct WorkerProcess {
    /// The project's folder
    #[arg(long)]
    pub project: PathBuf,
    #[command(flatten)]
    pub storage: StorageChoice,
    /// The number of the server that it works for; without it threads are leased, and assigned to it one by one
    #[arg(long)]
    pub server: Option<i64>,
    /// How many Python functions it calls at a time
    #[arg(long)]
    pub python_workers: usize,
    /// The pools that it serves
    #[arg(long = "pool")]
    pub pools: Vec<Pool>,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark stdout`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark stdout                   of the newest session
  hark stdout 01a1fd87-1c       of this one
  hark stdout --follow          keep printing until the session ends
  hark stdout --raw > copy.txt  as `hark run` would print it")]
pub struct Stdout {
    /// The session: its key, or a prefix of its id. Default: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Print new output as it arrives, until the session ends
    #[arg(long)]
    pub follow: bool,
    /// Print only the output, unchanged, even if it is not safe for a terminal
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark events`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark events                   of the newest session, thread by thread
  hark events --unified         in order of time")]
pub struct Events {
    /// The session: its key, or a prefix of its id. Default: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// In order of time instead of thread by thread
    #[arg(short, long)]
    pub unified: bool,
    /// Print new events as they arrive, until the session ends
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark timeline`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark timeline                 of the newest session
  hark timeline --follow        redraw until the session ends
  hark timeline --limit 1000 > chart.txt
  hark timeline -o chart.html   a page for the browser: zoom, search, details")]
pub struct Timeline {
    /// The session: its key, or a prefix of its id. Default: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Redraw it on the terminal until the session ends; in a pipe, draw it at the end
    #[arg(long)]
    pub follow: bool,
    /// Draw at most this many threads, preferring those that have not ended. Default: 100, or 20,000 with `-o`
    #[arg(long, value_name = "NUMBER", value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Write it to this file, as a self-contained page for the browser; `-` is standard output
    #[arg(short, long, value_name = "FILE.html", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["follow", "json"])]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub kept: Kept,
}

fn whole_number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "must be a whole number".to_owned())
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "must be a positive integer".to_owned())
}

/// `hark resolve`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark resolve 01a1fd87-.../promise/51ab... '{\"approved\": true}'
  hark resolve 01a1fd87-.../mail/17 '\"sent\"'     what future(\"mail\", 17) waits for")]
pub struct Resolve {
    /// The result of `future_id`, or SESSION/NAME/ID
    #[arg(value_name = "FUTURE_ID")]
    pub future: String,
    /// The value; `-` reads it from standard input
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub value: String,
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark fail`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark fail 01a1fd87-.../mail/17 'nobody answered'")]
pub struct Fail {
    /// The result of `future_id`, or SESSION/NAME/ID
    #[arg(value_name = "FUTURE_ID")]
    pub future: String,
    /// The error message
    #[arg(value_name = "MESSAGE", allow_hyphen_values = true)]
    pub message: String,
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark worker`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark worker                   in the project's folder; Ctrl-C stops it
  hark worker -q 2>> failures.log
  hark worker --pool gpu        runs what is in this pool, where several processes share a session

It logs a line when a session starts, resumes after another process has left it, is retried, and ends.")]
pub struct Worker {
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    /// Run threads and calls of this pool; repeatable. `default` is the pool of all others. Default: `pools` in
    /// hark.toml, else only that one
    #[arg(long = "pool", value_name = "NAME")]
    pub pools: Vec<Pool>,
    /// Log only failures
    #[arg(short, long)]
    pub quiet: bool,
}

/// `hark export`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark export 01a1fd87-1c > session.hark     move it; it is then gone here
  hark export 01a1fd87-1c --copy > copy.hark for inspection only: a session must not be continued twice")]
pub struct Export {
    /// The session: its key, or a prefix of its id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Keep the session in its storage
    #[arg(long)]
    pub copy: bool,
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark import`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark import session.hark && hark resume")]
pub struct Import {
    /// The file written by `hark export`; `-` is standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark prune`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark prune --older-than 7d")]
pub struct Prune {
    /// Delete sessions that ended longer ago than this: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE")]
    pub older_than: String,
    #[command(flatten)]
    pub kept: Kept,
}
