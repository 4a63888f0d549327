//! The command line: its grammar, and the parsed command.
//!
//! `hark FILE` means `hark run FILE`, with options on either side of FILE. So the first word that is not an option
//! decides: if it is the name of a command, it is moved to the front, otherwise `run` is inserted there. This leaves no
//! ambiguity to the parser.

#[cfg(feature = "lambda")]
mod deploy;
mod labels;
mod leading;
mod negative;
mod options;
mod program;
mod session;
mod storage;
mod suggest;

use std::ffi::OsString;

use clap::{Args as _, CommandFactory, FromArgMatches, Parser, Subcommand};

#[cfg(feature = "lambda")]
pub use deploy::*;
pub use labels::*;
pub use options::*;
pub use program::*;
pub use session::*;
pub use storage::*;

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
    /// The command, if one is given.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    run: Run,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program on this computer (the same as `hark FILE`)
    Run(Run),
    /// Print a program's bytecode
    Asm(Asm),
    /// Report all errors and warnings of a program, without running it
    Check(Check),
    /// Run the test cases of programs: their `//!` lines, and functions named `test_...`
    Test(Test),
    /// Create a new project in this folder: hark.toml, service.hk, src, requirements.txt, .gitignore
    Init(Init),
    /// Create the project's Python environment, .venv, from its requirements.txt
    Sync(Sync),
    /// List the stored sessions
    Sessions(Sessions),
    /// Show a session in detail: its threads, what they wait for, its result and errors
    Show(OfSession),
    /// List the promises that sessions wait for, since when, and the waiting threads
    Promises(Promises),
    /// Print the output of a session
    Stdout(Stdout),
    /// Print the history of a session
    Events(Events),
    /// Draw when each thread of a session ran, called, waited and slept
    Timeline(Timeline),
    /// Continue unfinished sessions
    Resume(GoOn),
    /// End a session, once its threads have cleaned up
    Cancel(Cancel),
    /// Continue a broken session from where it failed
    Retry(GoOn),
    /// Resolve a promise with a value
    Resolve(Resolve),
    /// Fail a promise
    Fail(Fail),
    /// Serve all sessions until stopped
    Worker(Worker),
    /// Move a session out of its storage, to a file on standard output
    Export(Export),
    /// Import a session from a file into a storage
    Import(Import),
    /// Delete sessions that ended long ago
    Prune(Prune),
    /// Prepare or check the storage of sessions
    Storage(StorageCommand),
    /// Measure how fast sessions of a program run
    Bench(Bench),
    /// Run threads for a supervisor
    #[command(hide = true)]
    WorkerProcess(WorkerProcess),
    /// Deploy the project to AWS Lambda
    #[cfg(feature = "lambda")]
    Deploy(Deploy),
    /// Start a session of the deployed project on AWS Lambda
    #[cfg(feature = "lambda")]
    Invoke(Invoke),
    /// Show the parts of the deployed project on AWS
    #[cfg(feature = "lambda")]
    Info(Info),
    /// Print the logs of the deployed project's functions
    #[cfg(feature = "lambda")]
    Logs(Logs),
    /// Remove everything that `hark deploy` has created
    #[cfg(feature = "lambda")]
    Destroy(Destroy),
    /// Show the documentation of a builtin, or list all builtins
    Doc(Doc),
    /// Explain an error code, or a kind of runtime error
    Explain(Explain),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print help, or the help of a command
    Help(Help),
    /// Print the version
    Version,
}

const EXAMPLES: &str = "\
Examples:
  hark hello.hk                 run main() of hello.hk
  hark sums.hk -f add 3 4       run add(\"3\", \"4\")
  hark                          run the project in this folder (see hark.toml)
  hark -s sqlite hello.hk       keep the session in a file, so that it survives a crash
  hark resume                   continue all unfinished sessions
  hark -e '6 * 7'               run a program given as text
  hark check hello.hk           check for mistakes without running it
  hark COMMAND -h               more about a command";

/// Parses a command line, which starts with the program's own name.
///
/// # Errors
/// If it is invalid, or asks for help or the version. The error contains the text to print and the exit status.
pub fn parse(arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let mut command = match parse_run(&arguments) {
        Some(run) => Command::Run(run),
        None => parse_any(arguments)?,
    };
    negative::unmark(&mut command);
    match command {
        Command::Help(wanted) => help(&wanted),
        Command::Run(run) => Ok(Command::Run(run.with_text_as_program())),
        other => Ok(other),
    }
}

/// `hark help COMMAND` is `hark COMMAND -h`, for which the parser returns help as an error.
fn help(wanted: &Help) -> Result<Command, clap::Error> {
    let mut line: Vec<OsString> = vec!["hark".into()];
    if let Some(command) = &wanted.command {
        let is_known = definition().get_subcommands().any(|known| known.get_name() == command && !known.is_hide_set());
        if !is_known {
            let near = nearest_command(command).map(|near| format!("\n\n  tip: did you mean `hark help {near}`?"));
            let message = format!("there is no command `{command}`{}\n", near.unwrap_or_default());
            let error = clap::Error::raw(clap::error::ErrorKind::InvalidSubcommand, message);
            return Err(error.with_cmd(&definition()));
        }
        line.push(command.into());
    }
    line.push("-h".into());
    parse_any(line)
}

/// Parses a command line that runs a program. Defining all other commands takes a considerable part of a short
/// program's run time, so that is done only if the line may contain one of them or is invalid.
fn parse_run(arguments: &[OsString]) -> Option<Run> {
    let is_command = |word: &OsString| word.to_str().is_some_and(|word| word != "run" && Command::has_subcommand(word));
    if arguments.iter().skip(1).any(is_command) {
        return None;
    }
    let run = Run::augment_args(clap::Command::new("run"));
    let mut definition = clap::Command::new("hark").disable_help_subcommand(true).subcommand(run);
    let matches = read(arguments.to_vec(), &mut definition).ok()?;
    let run = Run::from_arg_matches(matches.subcommand_matches("run")?).ok()?;
    // This happens once per process, and freeing the definition would take longer than parsing.
    std::mem::forget(definition);
    Some(run)
}

fn parse_any(arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let mut definition = definition();
    let matches = read(arguments.clone(), &mut definition)
        .map_err(|error| suggest::with_nearest_option(error, &arguments, &definition))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
    std::mem::forget(definition);
    Ok(cli.command.unwrap_or(Command::Run(cli.run)))
}

fn read(arguments: Vec<OsString>, definition: &mut clap::Command) -> Result<clap::ArgMatches, clap::Error> {
    let mut arguments = leading::with_command_first(arguments, definition);
    negative::mark(&mut arguments, definition);
    definition.try_get_matches_from_mut(arguments)
}

/// The parser. Shell completions are generated from it as well.
pub fn definition() -> clap::Command {
    Cli::command()
}

impl Command {
    /// The log options of the command, if it has any.
    pub fn log(&self) -> Option<&LogChoice> {
        let config = match self {
            Command::Run(wanted) => &wanted.config,
            Command::Asm(wanted) => &wanted.config,
            Command::Check(wanted) => &wanted.config,
            Command::Test(wanted) => &wanted.config,
            Command::Sync(wanted) => &wanted.config,
            #[cfg(feature = "lambda")]
            Command::Deploy(wanted) => &wanted.config,
            #[cfg(feature = "lambda")]
            Command::Destroy(wanted) => &wanted.config,
            #[cfg(feature = "lambda")]
            Command::Invoke(wanted) => &wanted.config,
            #[cfg(feature = "lambda")]
            Command::Logs(wanted) => &wanted.config,
            #[cfg(feature = "lambda")]
            Command::Info(wanted) => &wanted.config,
            Command::Bench(wanted) => &wanted.config,
            Command::Sessions(wanted) => &wanted.kept.config,
            Command::Show(wanted) => &wanted.kept.config,
            Command::Promises(wanted) => &wanted.kept.config,
            Command::Timeline(wanted) => &wanted.kept.config,
            Command::Stdout(wanted) => &wanted.kept.config,
            Command::Events(wanted) => &wanted.kept.config,
            Command::Resume(wanted) | Command::Retry(wanted) => &wanted.kept.config,
            Command::Cancel(wanted) => &wanted.kept.config,
            Command::Prune(wanted) => &wanted.kept.config,
            Command::Storage(wanted) => &wanted.task.kept().config,
            Command::Resolve(wanted) => &wanted.config,
            Command::Fail(wanted) => &wanted.config,
            Command::Worker(wanted) => &wanted.config,
            Command::WorkerProcess(wanted) => &wanted.config,
            Command::Export(wanted) => &wanted.config,
            Command::Import(wanted) => &wanted.config,
            Command::Init(_)
            | Command::Doc(_)
            | Command::Explain(_)
            | Command::Completions(_)
            | Command::Help(_)
            | Command::Version => return None,
        };
        Some(&config.log)
    }

    /// The file whose report is wanted as JSON, if any.
    pub fn reported_file(&self) -> Option<String> {
        let (json, file) = match self {
            Command::Run(wanted) => (wanted.json, wanted.file.as_ref()),
            Command::Asm(wanted) => (wanted.json, wanted.file.as_ref()),
            Command::Check(wanted) => (wanted.json, wanted.files.first()),
            #[cfg(feature = "lambda")]
            Command::Invoke(wanted) => (wanted.json, None),
            _ => return None,
        };
        json.then(|| file.map(|path| path.display().to_string()).unwrap_or_default())
    }
}

/// The command that was probably meant, if a file of this name does not exist.
pub fn nearest_command(word: &str) -> Option<String> {
    let definition = definition();
    let known = definition.get_subcommands().filter(|command| !command.is_hide_set());
    hark_compiler::nearest(word, known.map(clap::Command::get_name)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Command {
        let words = std::iter::once("hark").chain(line.split_whitespace()).map(OsString::from);
        parse(words.collect()).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The file, the function and the arguments.
    fn run(line: &str) -> (String, String, Vec<OsString>) {
        let Command::Run(run) = parsed(line) else { panic!("{line} is not `run`") };
        (run.file.unwrap_or_default().display().to_string(), run.call.function, run.call.words)
    }

    fn expect(file: &str, function: &str, arguments: &[&str]) -> (String, String, Vec<OsString>) {
        (file.into(), function.into(), arguments.iter().map(OsString::from).collect())
    }

    #[test]
    fn the_parser_is_sound() {
        definition().debug_assert();
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
        assert_eq!(run("-q x.hk -.5 -f g -inf"), expect("x.hk", "g", &["-.5", "-inf"]));
        assert_eq!(run("x.hk a -- -.5"), expect("x.hk", "main", &["a", "-.5"]));
        assert_eq!(run("- -.5"), expect("-", "main", &["-.5"]));
        let Command::Bench(bench) = parsed("bench x.hk -.5 --sessions 3") else { panic!("not bench") };
        assert_eq!((bench.call.words, bench.sessions), (vec!["-.5".into()], 3));
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
    fn a_text_stands_in_the_place_of_a_file() {
        let Command::Run(run) = parsed("-e -1 a.hk b -q") else { panic!("not run") };
        assert_eq!((run.text.as_deref(), run.file), (Some("-1"), None));
        assert_eq!(run.call.words, ["a.hk", "b"]);
    }

    #[test]
    fn a_misspelled_option_or_command_has_a_suggestion() {
        let suggestion = |line: &str| {
            let words = std::iter::once("hark").chain(line.split_whitespace()).map(OsString::from);
            let text = parse(words.collect()).expect_err(line).to_string();
            let tips = text
                .lines()
                .filter_map(|line| line.split_once("exists: '"))
                .map(|(_, near)| near.trim_end_matches('\''));
            tips.map(str::to_owned).collect::<Vec<String>>().join(", ")
        };
        for (line, meant) in [
            ("--versoin", "--version"),
            ("-version", "--version"),
            ("-q --verison x.hk", "--version"),
            ("--hlep", "--help"),
            ("--lgo=debug x.hk", "--log"),
            ("x.hk --lgo debug", "--log"),
            ("x.hk -json", "--json"),
            ("run --storge sqlite x.hk", "--storage"),
            ("sessions --stat running", "--state"),
            ("sessions --lgo=info", "--log"),
            ("storage init --lgo=info", "--log"),
            ("storage inti", "init"),
            ("show --log=wran", "warn"),
            // No other command knows them.
            ("run --versoin", ""),
            ("events --detahc", ""),
            ("--zebra", ""),
            ("-z", ""),
        ] {
            assert_eq!(suggestion(line), meant, "{line}");
        }
        for (word, meant) in
            [("verison", "version"), ("rnu", "run"), ("sesions", "sessions"), ("time-line", "timeline")]
        {
            assert_eq!(nearest_command(word).as_deref(), Some(meant));
        }
    }

    #[test]
    fn help_of_a_command_is_what_its_option_prints() {
        let told = |line: &str| {
            let words = std::iter::once("hark").chain(line.split_whitespace()).map(OsString::from);
            let error = parse(words.collect()).expect_err(line);
            (error.exit_code(), error.to_string())
        };
        for command in definition().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert_eq!(told(&format!("help {name}")), told(&format!("{name} -h")), "{name}");
        }
        assert_eq!(told("help"), told("-h"));
        let (status, text) = told("help rnu");
        assert!(status == 2 && text.contains("no command `rnu`") && text.contains("`hark help run`"), "{text}");
        assert!(matches!(parsed("version"), Command::Version));
    }

    /// Each line that can be parsed without the other commands gives the same result as with them.
    #[test]
    fn a_run_is_read_the_same_without_the_other_commands() {
        let lines = [
            "x.hk",
            "run x.hk",
            "",
            "x.hk a b -f g c",
            "-qf g x.hk a",
            "--json -q x.hk -f g",
            "x.hk -5 -1.5 -1e3",
            "run run",
            "-q x.hk -.5 -f g -inf",
            "x.hk -- -f g --json",
            "-- x.hk -q",
            "-s sqlite -c processes x.hk --detach",
            "run -- a",
            "--config=a.toml x.hk",
            "x.hk --suspend-at instructions --seed 7",
            "--data-dir d -s memory x.hk",
        ];
        for line in lines {
            let words: Vec<OsString> = std::iter::once("hark").chain(line.split_whitespace()).map(Into::into).collect();
            let alone = parse_run(&words).unwrap_or_else(|| panic!("{line}: not read"));
            let Ok(Command::Run(any)) = parse_any(words) else { panic!("{line}: refused") };
            assert_eq!(format!("{alone:?}"), format!("{any:?}"), "{line}");
        }
        for line in
            ["check x.hk", "x.hk check", "-f check x.hk", "-h", "x.hk -h", "--version", "x.hk --jsn", "-f", "-- asm"]
        {
            let words: Vec<OsString> = std::iter::once("hark").chain(line.split_whitespace()).map(Into::into).collect();
            assert!(parse_run(&words).is_none(), "{line}");
        }
    }

    #[test]
    fn options_may_stand_before_the_command() {
        let Command::Check(check) = parsed("--json -q check x.hk") else { panic!("not check") };
        assert!(check.json && check.quiet);
        let Command::Asm(asm) = parsed("--config other.toml asm x.hk") else { panic!("not asm") };
        assert_eq!(asm.config.path, Some("other.toml".into()));
    }

    #[test]
    fn every_option_may_stand_before_its_command() {
        let value_of = |option: &clap::Arg| match option.get_possible_values().first() {
            Some(value) => value.get_name().to_owned(),
            None => "7".to_owned(),
        };
        for command in definition().get_subcommands() {
            for option in command.get_arguments().filter(|option| !option.is_positional()) {
                let mut words: Vec<OsString> = vec!["hark".into()];
                words.extend(option.get_long().map(|long| format!("--{long}").into()));
                words.extend(option.get_short().filter(|_| words.len() == 1).map(|short| format!("-{short}").into()));
                if option.get_action().takes_values() {
                    words.push(value_of(option).into());
                }
                words.push(command.get_name().into());
                let sorted = leading::with_command_first(words.clone(), &definition());
                assert_eq!(sorted.get(1), words.last(), "{words:?}");
            }
        }
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
