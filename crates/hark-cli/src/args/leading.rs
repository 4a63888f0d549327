//! Options before the command, which itself may be omitted.

use std::ffi::{OsStr, OsString};

/// Puts the command first. If there is none, inserts `run`.
pub(super) fn with_command_first(mut arguments: Vec<OsString>, definition: &clap::Command) -> Vec<OsString> {
    let options = leading_options(arguments.get(1..).unwrap_or_default(), definition);
    let first = options + 1;
    let asks_for_help = arguments[1.min(arguments.len())..first]
        .iter()
        .any(|option| ["-h", "--help", "-V", "--version"].iter().any(|wanted| option == wanted));
    if asks_for_help {
        return arguments;
    }
    let is_command = |word: &OsString| definition.get_subcommands().any(|command| word == command.get_name());
    let command = if arguments.get(first).is_some_and(is_command) { arguments.remove(first) } else { "run".into() };
    arguments.insert(1.min(arguments.len()), command);
    arguments
}

/// The number of leading words that are options or their values.
pub(super) fn leading_options(words: &[OsString], definition: &clap::Command) -> usize {
    let mut count = 0;
    while let Some(word) = words.get(count) {
        if !word.as_encoded_bytes().starts_with(b"-") || word == "--" || word == "-" {
            break;
        }
        count += if takes_next_word(word, definition) { 2 } else { 1 };
    }
    count.min(words.len())
}

/// Whether a word is an option whose value is the next word.
pub(super) fn takes_next_word(option: &OsStr, definition: &clap::Command) -> bool {
    let Some(option) = option.to_str() else { return false };
    if let Some(long) = option.strip_prefix("--") {
        return takes_value(definition, |known| known.get_long() == Some(long));
    }
    // In `-qf`, the value of `f` is the next word; in `-fmain`, the value follows directly.
    let Some(letters) = option.strip_prefix('-') else { return false };
    let mut letters = letters.chars();
    letters.find(|letter| takes_value(definition, |known| known.get_short() == Some(*letter))).is_some()
        && letters.next().is_none()
}

/// Whether a matching option of any command has a value.
fn takes_value(definition: &clap::Command, is_meant: impl Fn(&clap::Arg) -> bool) -> bool {
    let mut options = definition.get_subcommands().flat_map(clap::Command::get_arguments);
    options.any(|known| !known.is_positional() && is_meant(known) && known.get_action().takes_values())
}
