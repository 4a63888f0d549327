//! Negative numbers among a program's arguments, which the parser would mistake for options: `-.5`, `-inf`, `-1_000`.
//!
//! They are marked before parsing and unmarked afterwards. The mark is a byte that cannot occur in a command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Command;
use super::leading::takes_next_word;

const MARK: u8 = 0;

/// The commands that take arguments for a program.
const COMMANDS: [&str; 3] = ["run", "bench", "invoke"];

/// Marks negative numbers after the command, except after `--` and where they are the value of an option.
pub(super) fn mark(arguments: &mut [OsString], definition: &clap::Command) {
    if !arguments.get(1).is_some_and(|command| COMMANDS.iter().any(|known| command == known)) {
        return;
    }
    let mut is_value = false;
    for word in arguments.iter_mut().skip(2).take_while(|word| *word != "--") {
        if !is_value && is_negative(word) {
            let mut marked = vec![MARK];
            marked.extend_from_slice(word.as_bytes());
            *word = OsString::from_vec(marked);
        } else {
            is_value = !is_value && takes_next_word(word, definition);
        }
    }
}

/// Removes the marks.
pub(super) fn unmark(command: &mut Command) {
    let (file, arguments) = match command {
        Command::Run(run) => (run.file.as_mut(), &mut run.call.words),
        Command::Bench(bench) => (bench.file.as_mut(), &mut bench.call.words),
        #[cfg(feature = "lambda")]
        Command::Invoke(invoke) => (None, &mut invoke.call.words),
        _ => return,
    };
    if let Some(file) = file {
        *file = without_mark(file.as_os_str()).into();
    }
    arguments.iter_mut().for_each(|word| *word = without_mark(word));
}

fn without_mark(word: &OsStr) -> OsString {
    let bytes = word.as_bytes();
    OsStr::from_bytes(bytes.strip_prefix(&[MARK]).unwrap_or(bytes)).to_owned()
}

/// Whether the word starts like a negative number, which no option does, or is a special number such as `-inf`.
fn is_negative(word: &OsStr) -> bool {
    match word.as_bytes() {
        [b'-', b'.', digit, ..] | [b'-', digit, ..] if digit.is_ascii_digit() => true,
        [b'-', name @ ..] => ["inf", "infinity", "nan"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_options() {
        for word in ["-.5", "-5", "-1.5e-3", "-1_000", "-0x1f", "-inf", "-Infinity", "-NaN", "-5.", "-2026-01-01"] {
            assert!(is_negative(OsStr::new(word)), "{word}");
        }
        for word in ["-", "--", "-q", "-.", "-.x", "-f", "5", "--5", "-info", ""] {
            assert!(!is_negative(OsStr::new(word)), "{word}");
        }
    }
}
