//! Commands about sessions that are kept.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::labels::Tag;
use super::options::{ConcurrencyChoice, ConfigFile, Kept, KeptStorage};

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
    /// Only those in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<StateName>,
    /// Only those that began with this function
    #[arg(short, long, value_name = "NAME")]
    pub function: Option<String>,
    /// Only those with this text in one of their arguments
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub argument: Option<String>,
    /// Only those that were started within this time: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE")]
    pub since: Option<String>,
    /// Only those that were started longer ago
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<String>,
    /// Only those with this tag, whatever its value or with this one; if it is given more than once, with all of them
    #[arg(long = "tag", value_name = "NAME[=VALUE]", value_parser = Tag::wanted)]
    pub tags: Vec<Tag>,
    /// So many at most
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Print nothing but their ids, one a line
    #[arg(short, long, conflicts_with = "json")]
    pub quiet: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// The states that a session can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateName {
    /// Someone serves it.
    Running,
    /// It is unfinished, and nobody serves it.
    Suspended,
    /// It came to its end.
    Finished,
    /// An error left one of its threads.
    Broken,
    /// `hark cancel` has told its threads to stop, and not all have.
    Cancelling,
    /// It was ended from outside.
    Cancelled,
    /// It is being written to a file.
    Moving,
    /// It is in another storage now.
    Moved,
    /// It is being read from a file, or that was cut off.
    Importing,
}

/// `hark show`
#[derive(Debug, Args)]
pub struct OfSession {
    /// The session: its key, or the beginning of its id. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark promises`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark promises                 of all sessions that are not over
  hark promises 01a1fd87-1c     of this one
  hark promises --json | jq -r '.[].future_id'

What stands in the first column is what `hark resolve` and `hark fail` take.")]
pub struct Promises {
    /// The session: its key, or the beginning of its id. Without it: all that are not over
    #[arg(value_name = "ID")]
    pub id: Option<String>,
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
    /// The session: its key, or the beginning of its id
    #[arg(value_name = "ID")]
    pub id: String,
    /// End it at once, so that its threads do not clean up
    #[arg(long)]
    pub now: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark resume`, `hark retry`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark resume                   go on with all unfinished sessions, until they have ended
  hark resume 01a1fd87-1c       with this one
  hark retry                    the newest session, from where it failed")]
pub struct GoOn {
    /// The session: its key, or the beginning of its id. Without it: all that are unfinished (`retry`: the newest)
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Show nothing but the output, the results and errors
    #[arg(long, short)]
    pub quiet: bool,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    #[command(flatten)]
    pub kept: Kept,
}

/// What a worker process of a supervisor is told.
#[derive(Debug, Args)]
pub struct WorkerProcess {
    /// The project's folder
    #[arg(long)]
    pub project: PathBuf,
    /// The folder with the kept sessions
    #[arg(long)]
    pub data_dir: PathBuf,
    /// The number of the server that it works for
    #[arg(long)]
    pub server: i64,
    /// How many Python functions it calls at a time
    #[arg(long)]
    pub python_workers: usize,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark stdout`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark stdout                   of the newest session
  hark stdout 01a1fd87-1c       of this one
  hark stdout --follow          go on until the session ends
  hark stdout --raw > copy.txt  as `hark run` has printed it")]
pub struct Stdout {
    /// The session: its key, or the beginning of its id. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Go on as it comes, until the session ends
    #[arg(long)]
    pub follow: bool,
    /// Print what it printed and nothing else, as it is: what is no text for a terminal, too
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
  hark events --unified         in the order of time")]
pub struct Events {
    /// The session: its key, or the beginning of its id. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// In the order of time, not thread by thread
    #[arg(short, long)]
    pub unified: bool,
    /// Go on as it comes, until the session ends
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
  hark timeline --follow        drawn anew until the session ends
  hark timeline --limit 1000 > chart.txt
  hark timeline -o chart.html   a page for the browser: zoom, search, details")]
pub struct Timeline {
    /// The session: its key, or the beginning of its id. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Draw it again and again on the terminal, until the session ends; in a pipe, draw it then
    #[arg(long)]
    pub follow: bool,
    /// So many threads at most, those first that have not ended: 100, or 20,000 with `-o`
    #[arg(long, value_name = "NUMBER", value_parser = at_least_one)]
    pub limit: Option<usize>,
    /// Write it to this file as a page for the browser, which needs nothing else; `-` is standard output
    #[arg(short, long, value_name = "FILE.html", value_hint = clap::ValueHint::FilePath, conflicts_with_all = ["follow", "json"])]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub kept: Kept,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "it must be a whole number above 0".to_owned())
}

/// `hark resolve`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark resolve 01a1fd87-.../promise/51ab... '{\"approved\": true}'
  hark resolve 01a1fd87-.../mail/17 '\"sent\"'     what future(\"mail\", 17) waits for")]
pub struct Resolve {
    /// What `future_id` gave, or SESSION/NAME/ID
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
    /// What `future_id` gave, or SESSION/NAME/ID
    #[arg(value_name = "FUTURE_ID")]
    pub future: String,
    /// The error's message
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

It logs a line when a session starts, goes on after another process has left it, and ends.")]
pub struct Worker {
    #[command(flatten)]
    pub storage: KeptStorage,
    #[command(flatten)]
    pub config: ConfigFile,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    /// Log only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// `hark export`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark export 01a1fd87-1c > session.hark     here it is moved then
  hark export 01a1fd87-1c --copy > copy.hark to look at only: two must not go on with one session")]
pub struct Export {
    /// The session: its key, or the beginning of its id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Leave the session where it is
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
    /// What `hark export` wrote; `-` is standard input
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: PathBuf,
    /// Do not ask
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
    /// Sessions that ended so long ago: 90s, 30m, 12h, 7d
    #[arg(long, value_name = "AGE")]
    pub older_than: String,
    #[command(flatten)]
    pub kept: Kept,
}
