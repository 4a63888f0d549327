//! Errors in the command line. They repeat the user's words, which may come from an untrusted source.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

use super::escape;
use super::style::Style;

/// The codes used by the parser: reset, bold, underlined, red, green, yellow.
const CODES: [&str; 6] = ["\x1b[0m", "\x1b[1m", "\x1b[4m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];

/// Draws an error of the parser in the parser's own form, with the user's words escaped.
pub fn draw_command_line(mut error: clap::Error, style: Style) -> String {
    let words: Vec<String> = error.context().filter_map(|(_, value)| word(value)).collect();
    let context: Vec<(ContextKind, ContextValue)> =
        error.context().map(|(kind, value)| (kind, escaped(kind, value, &words))).collect();
    for (kind, value) in context {
        error.insert(kind, value);
    }
    let text = error.render();
    if style.is_colored() {
        escape::whole_with(&text.ansi().to_string(), &CODES).into_owned()
    } else {
        escape::whole(&text.to_string(), false).into_owned()
    }
}

/// The value if it is a word of the user.
fn word(value: &ContextValue) -> Option<String> {
    match value {
        ContextValue::String(text) => Some(text.clone()),
        _ => None,
    }
}

fn escaped(kind: ContextKind, value: &ContextValue, words: &[String]) -> ContextValue {
    let tip = |tip: &StyledStr| escaped_tip(tip, words);
    match value {
        ContextValue::String(text) => ContextValue::String(escape::line(text).into_owned()),
        ContextValue::Strings(texts) => {
            ContextValue::Strings(texts.iter().map(|text| escape::line(text).into_owned()).collect())
        }
        // The usage has several lines, and contains no words of the user.
        ContextValue::StyledStr(text) if kind != ContextKind::Usage => ContextValue::StyledStr(tip(text)),
        ContextValue::StyledStrs(texts) => ContextValue::StyledStrs(texts.iter().map(tip).collect()),
        other => other.clone(),
    }
}

/// Escapes the user's words in a tip, which is a single, already painted line. Escape sequences in the words would
/// otherwise pass as the parser's own paint.
fn escaped_tip(tip: &StyledStr, words: &[String]) -> StyledStr {
    let text = words.iter().fold(tip.ansi().to_string(), |text, word| text.replace(&**word, &escape::line(word)));
    StyledStr::from(escape::whole_with(&text, &CODES).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(words: &[&str], style: Style) -> String {
        let words = std::iter::once("hark").chain(words.iter().copied()).map(Into::into);
        draw_command_line(crate::args::parse(words.collect()).expect_err("a wrong line"), style)
    }

    #[test]
    fn words_are_escaped_and_the_rest_is_painted() {
        let nasty = "--x\x1b[31m\x1b[2J\u{9b}\u{202e}\r\nerror: forged";
        let shown = "--x\\x1b[31m\\x1b[2J\\x9b\\u{202e}\\r\\nerror: forged";
        let plain = drawn(&["run", nasty], Style::PLAIN);
        let first = format!("error: unexpected argument '{shown}' found\n\n  tip: to pass '{shown}' as a value");
        assert!(plain.starts_with(&first), "{plain}");
        let colored = drawn(&["run", nasty], Style::COLORED);
        let first = format!("\x1b[1m\x1b[31merror:\x1b[0m unexpected argument '\x1b[33m{shown}\x1b[0m' found\n");
        assert!(colored.starts_with(&first), "{colored:?}");
        assert!(colored.contains(&format!("'\x1b[33m{shown}\x1b[0m' as a value")), "{colored:?}");
        let unpainted = CODES.iter().fold(colored, |text, code| text.replace(code, ""));
        assert_eq!(unpainted, plain);
    }

    #[test]
    fn values_are_escaped_and_cut() {
        let plain = drawn(&["sessions", "--state", "\x1b[2J"], Style::PLAIN);
        assert!(plain.starts_with("error: invalid value '\\x1b[2J' for '--state <STATE>'\n"), "{plain}");
        let plain = drawn(&["sessions", "--limit", &"9".repeat(100_000)], Style::PLAIN);
        assert!(plain.contains("99... (96000 more characters)' for '--limit <NUMBER>'"), "{plain}");
        assert!(plain.len() < 10_000);
    }
}
