//! "Did you mean": the option that a misspelled one is nearest to.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use hark_compiler::nearest;

use super::leading::{leading_options, with_command_first};

/// Adds the nearest option to an error about an unknown one. The parser does so itself for many options of the command,
/// but not for short words, nor for `--version`, which `run` does not have, nor for long options with a single dash.
pub(super) fn with_nearest_option(
    mut error: clap::Error,
    arguments: &[OsString],
    definition: &clap::Command,
) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else { return error };
    let Some(name) = misspelled(unknown, arguments) else { return error };
    let arranged = with_command_first(arguments.to_vec(), definition);
    let command = command_of(&arranged, definition);
    let mut known: Vec<&str> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
    known.push("help");
    let options = leading_options(arguments.get(1..).unwrap_or_default(), definition);
    if arguments.iter().skip(1).take(options).any(|word| option_name(word) == Some(name)) {
        known.push("version");
    }
    if let Some(near) = nearest(name, known) {
        let near = format!("--{near}");
        error.insert(ContextKind::SuggestedArg, ContextValue::String(near));
        // It proposes to pass the word as a value.
        error.remove(ContextKind::Suggested);
    }
    error
}

/// The name of the misspelled option. The parser takes a long option with a single dash for letters, and names the
/// first one that it does not know.
fn misspelled<'a>(unknown: &'a str, arguments: &'a [OsString]) -> Option<&'a str> {
    if let Some(name) = unknown.strip_prefix("--") {
        return Some(name);
    }
    let letter = unknown.strip_prefix('-')?;
    let names = arguments.iter().filter(|word| !word.as_encoded_bytes().starts_with(b"--")).filter_map(option_name);
    names.into_iter().find(|name| name.contains(letter))
}

/// The name in `--name`, `-name` or `--name=value`.
fn option_name(word: &OsString) -> Option<&str> {
    let word = word.to_str()?;
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    Some(name.split('=').next().unwrap_or(name))
}

/// The command that a line is for, which comes first in it.
fn command_of<'a>(arranged: &[OsString], definition: &'a clap::Command) -> &'a clap::Command {
    let mut command = definition;
    for word in arranged.iter().skip(1) {
        let Some(inner) = word.to_str().and_then(|word| command.find_subcommand(word)) else { break };
        command = inner;
    }
    command
}
