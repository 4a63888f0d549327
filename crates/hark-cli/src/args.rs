//! The command line: what may stand on it, and what stands on this one.
//!
//! `hark FILE` means `hark run FILE`, with options on either side of FILE. So the first word that is no option decides:
//! if it names a command it is moved to the front, else `run` is put there. The parser then has nothing to guess.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "hark",
    version,
    about = "Runs Hark programs: written as if for one computer, run on many.",
    override_usage = "hark [OPTIONS] [FILE] [ARG]...\n       hark COMMAND",
    after_help = EXAMPLES,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program on this computer (the same as `hark FILE`)
    Run(Run),
    /// Print a program's bytecode
    Asm(Asm),
    /// Print everything that is wrong with a program, without running it
    Check(Check),
    /// Make a new project in this folder: hark.toml, service.hk, src, .gitignore
    Init(Init),
    /// List the sessions that are kept
    Sessions(Sessions),
    /// Show one session whole: its threads, what they wait for, its result and errors
    Show(OfSession),
    /// Print what a session printed
    Stdout(Stdout),
    /// Print what happened in a session
    Events(Events),
    /// Go on with unfinished sessions
    Resume(GoOn),
    /// End a session
    Cancel(OfSession),
    /// Have a broken session go on from where it failed
    Retry(GoOn),
    /// Give a promise its value
    Resolve(Resolve),
    /// Fail a promise
    Fail(Fail),
    /// Serve all sessions until it is told to stop
    Worker(Worker),
    /// Take a session out of its storage, as a file on standard output
    Export(Export),
    /// Put a session from a file into a storage
    Import(Import),
    /// Forget sessions that ended long ago
    Prune(Prune),
    /// Measure how fast sessions of a program run
    Bench(Bench),
    /// Run threads for a supervisor
    #[command(hide = true)]
    WorkerProcess(WorkerProcess),
    /// Explain an error code
    Explain(Explain),
    /// Print a completion script for a shell
    Completions(Completions),
}

const EXAMPLES: &str = "\
Examples:
  hark hello.hk                 run main() of hello.hk
  hark sums.hk -f add 3 4       run add(\"3\", \"4\")
  hark                          run the project in this folder (see hark.toml)
  hark -s sqlite hello.hk       keep the session in a file, so that no crash loses it
  hark resume                   go on with all unfinished sessions
  hark check hello.hk           look for mistakes, run nothing
  hark COMMAND -h               more about a command";

/// `hark run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark hello.hk                 run main()
  hark sums.hk -f add 3 -4      run add(\"3\", \"-4\")
  hark -q --json sums.hk        a report for programs to read
  hark sums.hk -- --not-hark    what follows `--` is an argument
  hark -s sqlite sums.hk        keep the session, so that no crash loses it: see `hark resume`

Exit status: 0 finished, 1 broken, 2 rejected or a wrong command line, 130 or 143 interrupted.")]
pub struct Run {
    /// The program. Without it: `hark_file` of hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Arguments of the function; it gets them as strings
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub arguments: Vec<OsString>,
    /// The function to call: one of the program's or an import
    #[arg(short, long, value_name = "FUNCTION", default_value = "main")]
    pub function: String,
    /// Print only what the program prints, and its result
    #[arg(short, long)]
    pub quiet: bool,
    /// Print one JSON object: status, result, output, errors, diagnostics
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub storage: StorageChoice,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    /// Start the session, print its id, and leave it to `hark worker` or `hark resume`
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub config: ConfigFile,
    /// Write down, drop and read back each thread wherever it may stop (for tests of Hark itself)
    #[arg(long, hide = true, value_name = "WHERE")]
    pub suspend_at: Option<SuspendAt>,
    /// What `--suspend-at instructions` draws its places from
    #[arg(long, hide = true, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
}

/// Where threads are suspended for the sake of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuspendAt {
    /// At each effect.
    Effects,
    /// After each instruction; past the first 10,000 at random ones.
    Instructions,
}

/// Where sessions are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorageName {
    /// In this process, for as long as it runs.
    Memory,
    /// In one file, `hark.db` in the project's data_dir.
    Sqlite,
}

/// The storage that is asked for.
#[derive(Debug, Args)]
pub struct StorageChoice {
    /// Where sessions are kept. Without it: `storage` of hark.toml
    #[arg(id = "storage", short = 's', long = "storage", value_name = "STORAGE")]
    pub name: Option<StorageName>,
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

/// Which `hark.toml` is meant.
#[derive(Debug, Args)]
pub struct ConfigFile {
    /// The settings to use instead of the nearest hark.toml; its folder is the project
    #[arg(long = "config", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub path: Option<PathBuf>,
}

/// `hark asm`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark asm hello.hk
  hark asm hello.hk --json | jq '.functions[].name'")]
pub struct Asm {
    /// The program. Without it: `hark_file` of hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark check`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark check hello.hk
  hark check --json hello.hk | jq '.diagnostics[].message'

Exit status: 0 if the program can run, 2 if it is rejected.")]
pub struct Check {
    /// The program. Without it: `hark_file` of hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print no last line that counts them
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark init`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark init                     in this folder
  hark init shop && cd shop && hark")]
pub struct Init {
    /// The folder; it is made if there is none
    #[arg(value_name = "FOLDER", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub folder: PathBuf,
    /// Print only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where kept sessions are looked for, and how they are shown.
#[derive(Debug, Args)]
pub struct Kept {
    #[command(flatten)]
    pub storage: StorageChoice,
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `hark sessions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark sessions
  hark sessions --state broken --limit 5
  hark sessions --json | jq -r '.[].session'")]
pub struct Sessions {
    /// Only those in this state
    #[arg(long, value_name = "STATE")]
    pub state: Option<StateName>,
    /// So many at most
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
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
    /// It was ended from outside.
    Cancelled,
    /// It is in another storage now.
    Moved,
}

/// `hark show`, `cancel`
#[derive(Debug, Args)]
pub struct OfSession {
    /// The session: the beginning of its id is enough. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
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
    /// The session: the beginning of its id is enough. Without it: all that are unfinished (`retry`: the newest)
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
    /// The number of the server that it works for
    #[arg(long)]
    pub server: i64,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark stdout`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark stdout                   of the newest session
  hark stdout 01a1fd87-1c       of this one
  hark stdout --follow          go on until the session ends")]
pub struct Stdout {
    /// The session: the beginning of its id is enough. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Go on as it comes, until the session ends
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark events`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark events                   of the newest session, thread by thread
  hark events --unified         in the order in which it happened")]
pub struct Events {
    /// The session: the beginning of its id is enough. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// In the order in which it happened, not thread by thread
    #[arg(short, long)]
    pub unified: bool,
    /// Go on as it comes, until the session ends
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub kept: Kept,
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
    /// The value
    #[arg(value_name = "JSON", allow_hyphen_values = true)]
    pub value: String,
    #[command(flatten)]
    pub storage: StorageChoice,
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
    pub storage: StorageChoice,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark worker`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark worker                   in the project's folder; Ctrl-C stops it")]
pub struct Worker {
    #[command(flatten)]
    pub storage: StorageChoice,
    #[command(flatten)]
    pub config: ConfigFile,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    /// Print only what went wrong
    #[arg(short, long)]
    pub quiet: bool,
}

/// `hark export`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark export 01a1fd87-1c > session.hark     here it is moved then
  hark export --copy > copy.hark             to look at only: two must not go on with one session")]
pub struct Export {
    /// The session: the beginning of its id is enough. Without it: the newest
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// Leave the session where it is
    #[arg(long)]
    pub copy: bool,
    #[command(flatten)]
    pub storage: StorageChoice,
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
    #[command(flatten)]
    pub storage: StorageChoice,
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

/// `hark bench`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark bench hello.hk -s sqlite --sessions 1000 --concurrency 32
  hark bench sums.hk -f add 3 4 --json

The sessions stay where they are kept, as any others.")]
pub struct Bench {
    /// The program. Without it: `hark_file` of hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    /// Arguments of the function; it gets them as strings
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub arguments: Vec<OsString>,
    /// The function to call: one of the program's or an import
    #[arg(short, long, value_name = "FUNCTION", default_value = "main")]
    pub function: String,
    /// How many sessions to run
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub sessions: u64,
    /// How many of them at a time
    #[arg(long = "concurrency", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub at_a_time: u64,
    /// What runs the sessions' threads
    #[arg(short = 'c', value_name = "KIND", default_value = "threads")]
    pub invoker: ConcurrencyName,
    #[command(flatten)]
    pub kept: Kept,
}

/// `hark explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark explain HK0012")]
pub struct Explain {
    /// The code that stands in brackets after `error`
    #[arg(value_name = "CODE")]
    pub code: String,
}

/// `hark completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark completions bash > ~/.local/share/bash-completion/completions/hark
  hark completions zsh > ~/.zfunc/_hark
  hark completions fish > ~/.config/fish/completions/hark.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// Reads a command line, the program's own name first.
///
/// # Errors
/// If it is a wrong one, or asks for help or the version; the error knows what to print and how to exit.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let cli = Cli::try_parse_from(with_command_first(arguments))?;
    Ok(cli.command.unwrap_or(Command::Run(cli.run)))
}

/// The parser, as completions describe it.
pub fn definition() -> clap::Command {
    Cli::command()
}

impl Command {
    /// The file whose report is wanted as JSON, if one is.
    pub fn reported_file(&self) -> Option<String> {
        let (json, file) = match self {
            Command::Run(wanted) => (wanted.json, &wanted.file),
            Command::Asm(wanted) => (wanted.json, &wanted.file),
            Command::Check(wanted) => (wanted.json, &wanted.file),
            _ => return None,
        };
        json.then(|| file.as_ref().map(|path| path.display().to_string()).unwrap_or_default())
    }
}

/// The names that are commands where a file could stand.
const COMMANDS: [&str; 21] = [
    "run",
    "asm",
    "check",
    "init",
    "sessions",
    "show",
    "stdout",
    "events",
    "resume",
    "cancel",
    "retry",
    "resolve",
    "fail",
    "worker",
    "export",
    "import",
    "prune",
    "bench",
    "worker-process",
    "explain",
    "completions",
];

/// The command that was probably meant by a file that does not exist.
pub fn nearest_command(word: &str) -> Option<&'static str> {
    hark_compiler::nearest(word, COMMANDS)
}

fn with_command_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let options = leading_options(arguments.get(1..).unwrap_or_default());
    let first = options + 1;
    let asks_for_help = arguments[1.min(arguments.len())..first]
        .iter()
        .any(|option| ["-h", "--help", "-V", "--version"].iter().any(|wanted| option == wanted));
    if asks_for_help {
        return arguments;
    }
    let is_command = arguments.get(first).is_some_and(|word| COMMANDS.iter().any(|command| word == command));
    let command = if is_command { arguments.remove(first) } else { "run".into() };
    arguments.insert(1.min(arguments.len()), command);
    arguments
}

/// How many words, options and their values, stand before the first that is neither.
fn leading_options(words: &[OsString]) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        if !word.as_encoded_bytes().starts_with(b"-") || word == "--" {
            break;
        }
        count += if takes_next_word(word) { 2 } else { 1 };
    }
    count.min(words.len())
}

/// Whether an option's value is the word after it.
fn takes_next_word(option: &OsStr) -> bool {
    match option.as_encoded_bytes() {
        [b'-', b'-', long @ ..] => matches!(
            long,
            b"function" | b"config" | b"storage" | b"suspend-at" | b"seed" | b"sessions" | b"concurrency"
        ),
        // In `-qf`, `f` is the last one; in `-fmain`, its value follows at once.
        [b'-', short @ ..] => {
            let takes = |letter: &u8| matches!(letter, b'f' | b's' | b'c');
            short.iter().position(takes) == Some(short.len().wrapping_sub(1))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        let words = std::iter::once("hark").chain(line.split_whitespace()).map(OsString::from);
        parse(words.collect()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// File, function, arguments.
    fn run(line: &str) -> (String, String, Vec<OsString>) {
        let Command::Run(run) = parsed(line) else { panic!("{line} is not `run`") };
        (run.file.unwrap_or_default().display().to_string(), run.function, run.arguments)
    }

    fn expect(file: &str, function: &str, arguments: &[&str]) -> (String, String, Vec<OsString>) {
        (file.into(), function.into(), arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_parser_is_sound() {
        definition().debug_assert();
        let known: Vec<String> = definition().get_subcommands().map(|each| each.get_name().to_owned()).collect();
        assert_eq!(known, COMMANDS);
    }

    #[test]
    fn a_file_means_run() {
        assert_eq!(run("x.hk"), expect("x.hk", "main", &[]));
        assert_eq!(run("run x.hk"), expect("x.hk", "main", &[]));
        assert_eq!(run(""), expect("", "main", &[]));
        assert_eq!(run("x.hk a b -f g c"), expect("x.hk", "g", &["a", "b", "c"]));
        assert_eq!(run("-f g x.hk a"), expect("x.hk", "g", &["a"]));
        assert_eq!(run("-qf g x.hk a"), expect("x.hk", "g", &["a"]));
        assert_eq!(run("-fg x.hk"), expect("x.hk", "g", &[]));
        assert_eq!(run("--function=g --config hark.toml x.hk"), expect("x.hk", "g", &[]));
        assert_eq!(run("--json -q x.hk -f g"), expect("x.hk", "g", &[]));
    }

    #[test]
    fn negative_numbers_and_what_follows_dashes_are_arguments() {
        assert_eq!(run("x.hk -5 -1.5 -1e3"), expect("x.hk", "main", &["-5", "-1.5", "-1e3"]));
        assert_eq!(run("x.hk -- -f g --json"), expect("x.hk", "main", &["-f", "g", "--json"]));
        assert_eq!(run("x.hk -f g -- -- a"), expect("x.hk", "g", &["--", "a"]));
        assert_eq!(run("-- x.hk -q"), expect("x.hk", "main", &["-q"]));
    }

    #[test]
    fn files_and_arguments_may_be_called_like_commands() {
        assert_eq!(run("run run"), expect("run", "main", &[]));
        assert_eq!(run("./run asm"), expect("./run", "main", &["asm"]));
        assert_eq!(run("-f check x.hk check"), expect("x.hk", "check", &["check"]));
        assert_eq!(run("-- asm"), expect("asm", "main", &[]));
    }

    #[test]
    fn options_may_stand_before_the_command() {
        let Command::Check(check) = parsed("--json -q check x.hk") else { panic!("not check") };
        assert!(check.json && check.quiet);
        let Command::Asm(asm) = parsed("--config other.toml asm x.hk") else { panic!("not asm") };
        assert_eq!(asm.config.path, Some("other.toml".into()));
    }

    #[test]
    fn wrong_lines_are_refused() {
        let refused = |line: &str| {
            let words = std::iter::once("hark").chain(line.split_whitespace()).map(OsString::from);
            parse(words.collect()).expect_err(line).exit_code()
        };
        assert_eq!(refused("x.hk --jsn"), 2);
        assert_eq!(refused("-f"), 2);
        assert_eq!(refused("explain"), 2);
        assert_eq!(refused("--help"), 0);
        assert_eq!(refused("x.hk -h"), 0);
        assert_eq!(refused("--version"), 0);
    }
}
