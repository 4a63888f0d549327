//! Commands about programs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::labels::LabelChoice;
use super::options::{CallChoice, ConcurrencyChoice, ConcurrencyName, ConfigFile, StorageChoice};

/// `hark run`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark hello.hk                 run main()
  hark sums.hk -f add 3 -4      run add(\"3\", \"-4\")
  hark sums.hk --args '[1, {}]' run main(1, {}): arguments that are not strings
  hark -q --json sums.hk        a machine-readable report
  hark sums.hk -- --not-hark    everything after `--` is an argument
  hark -s sqlite sums.hk        keep the session, so that it survives a crash: see `hark resume`
  hark -s sqlite --key order-17 order.hk 17
                                start it once; the second time, print its result
  hark -e 'print(6 * 7)'        run the body of a function, or a program of definitions
  generate | hark -             run the program on standard input

Exit status: 0 finished, 1 broken, 2 rejected or an invalid command line, 130 or 143 interrupted.")]
pub struct Run {
    /// The program; `-` is standard input. Default: `hark_file` in hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub call: CallChoice,
    /// The program itself, in place of FILE: definitions, or else the body of `main`
    #[arg(short = 'e', long = "execute", value_name = "TEXT", allow_hyphen_values = true)]
    pub text: Option<String>,
    /// Print only the program's output and its result
    #[arg(short, long)]
    pub quiet: bool,
    /// Show no status line on the terminal
    #[arg(long)]
    pub no_progress: bool,
    /// Print one JSON object: status, result, output, errors, diagnostics
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub storage: StorageChoice,
    #[command(flatten)]
    pub labels: LabelChoice,
    #[command(flatten)]
    pub concurrency: ConcurrencyChoice,
    /// Start the session, print its id, and leave it to `hark worker` or `hark resume`
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub config: ConfigFile,
    /// Save, drop and reload each thread wherever it may stop (for tests of Hark itself)
    #[arg(long, hide = true, value_name = "WHERE")]
    pub suspend_at: Option<SuspendAt>,
    /// The random seed of `--suspend-at instructions`
    #[arg(long, hide = true, value_name = "NUMBER", default_value_t = 0)]
    pub seed: u64,
}

impl Run {
    /// With `-e` there is no FILE: the word in its place is the first argument.
    pub fn with_text_as_program(mut self) -> Run {
        if self.text.is_some()
            && let Some(first) = self.file.take()
        {
            self.call.words.insert(0, first.into_os_string());
        }
        self
    }
}

/// Where threads are suspended, for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SuspendAt {
    /// At each effect.
    Effects,
    /// After each instruction; after some of them beyond the first 10,000, or if threads are large.
    Instructions,
}

/// `hark asm`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark asm hello.hk
  hark asm hello.hk --json | jq '.functions[].name'")]
pub struct Asm {
    /// The program. Default: `hark_file` in hark.toml
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
  hark check *.hk lib/*.hk      all of these; the exit status is the worst one
  hark check --json hello.hk | jq '.diagnostics[].message'

Exit status: 0 if the program can run, 2 if it is rejected.")]
pub struct Check {
    /// The programs; `-` is standard input. Default: `hark_file` in hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object; for several programs a list of objects with their `file`
    #[arg(long)]
    pub json: bool,
    /// Do not print the last line, which counts them
    #[arg(short, long)]
    pub quiet: bool,
    /// Do not check imported Python functions, and do not start Python
    #[arg(long)]
    pub no_python: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark test`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark test                     the cases of all programs in the project
  hark test shop.hk lib         those of a file and of a folder
  hark test -k refund           those with `refund` in their name

A case is a line `//! f(1) => 2` of a program, or a function `test_...` without parameters.

Exit status: 0 all passed, 1 one failed, 2 an invalid command line, or nothing to test.")]
pub struct Test {
    /// Programs, and folders of programs. Default: all programs in the project
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::AnyPath)]
    pub files: Vec<PathBuf>,
    /// Run only the cases that contain this text in `FILE: NAME`
    #[arg(short = 'k', long = "filter", value_name = "SUBSTRING")]
    pub filter: Option<String>,
    /// List the cases without running them
    #[arg(long)]
    pub list: bool,
    /// Print only the failed cases and the summary
    #[arg(short, long)]
    pub quiet: bool,
    /// Stop after the first failed case
    #[arg(long)]
    pub fail_fast: bool,
    /// The time limit of a case, in real time
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub timeout: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Also write the results to this file, as JUnit XML
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub junit: Option<PathBuf>,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// A duration greater than zero.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0);
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or_else(|| "must be a number of seconds greater than 0".to_owned())
}

/// `hark init`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark init                     in this folder
  hark init shop && cd shop && hark")]
pub struct Init {
    /// The folder; it is created if it does not exist
    #[arg(value_name = "FOLDER", default_value = ".", value_hint = clap::ValueHint::DirPath)]
    pub folder: PathBuf,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// `hark sync`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark sync                     create .venv, or update it
  hark sync --clear             create it again

It uses `uv` if it is installed, otherwise Python's own `venv` and `pip`.

Exit status: 0 all packages are installed, 1 a package cannot be installed, 2 no requirements or no working Python.")]
pub struct Sync {
    /// Create .venv again, even if it exists
    #[arg(long)]
    pub clear: bool,
    /// Print only errors
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub config: ConfigFile,
}

/// `hark bench`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark bench hello.hk -s sqlite --sessions 1000 --concurrency 32
  hark bench sums.hk -f add 3 4 --json

The sessions stay in their storage, like any others.")]
pub struct Bench {
    /// The program. Default: `hark_file` in hark.toml
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub call: CallChoice,
    /// How many sessions to run
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub sessions: u64,
    /// How many of them to run at a time
    #[arg(long = "concurrency", value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub at_a_time: u64,
    /// What runs the sessions' threads
    #[arg(short = 'c', value_name = "KIND", default_value = "threads")]
    pub invoker: ConcurrencyName,
    #[command(flatten)]
    pub storage: StorageChoice,
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `hark doc`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark doc\n  hark doc slice")]
pub struct Doc {
    /// The builtin to show
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// `hark explain`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark explain HK0012\n  hark explain timeout")]
pub struct Explain {
    /// The code shown in brackets after `error`, or the kind of a runtime error
    #[arg(value_name = "TOPIC")]
    pub topic: String,
}

/// `hark completions`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  hark completions bash > ~/.local/share/bash-completion/completions/hark
  hark completions zsh > ~/.zfunc/_hark
  hark completions fish > ~/.config/fish/completions/hark.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `hark help`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  hark help\n  hark help run")]
pub struct Help {
    /// The command
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}
