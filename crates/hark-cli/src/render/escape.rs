//! Escapes foreign text for a terminal: names, messages and paths may contain escape sequences, line breaks that forge
//! a line, and marks that change the direction of text.
//!
//! All output goes through here, except the output of the program itself. Very long texts are also cut; `--json` has
//! them in full.

use std::borrow::Cow;

use super::style;

/// The maximum number of characters shown of a name or message.
const TEXT_CHARACTERS_MAX: usize = 4_000;

/// The indentation of all lines of a text but the first, so that they cannot pass for lines of Hark itself.
const INDENT: &str = "  ";

/// Whether a terminal would interpret the character, or the text around it would look different from what it is.
pub fn is_harmful(character: char) -> bool {
    matches!(
        character,
        // Direction marks, line and paragraph separators, and invisible characters.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}'
    ) || character.is_control()
}

/// Escapes text within a line, such as a name or a path.
pub fn line(text: &str) -> Cow<'_, str> {
    cut_and_escaped(text, |_| false)
}

/// Escapes a line printed by a program. Tabs remain, and the line is not cut.
pub fn printed_line(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character == '\t')
}

/// Escapes a text that may have several lines, such as a message.
pub fn lines(text: &str) -> Cow<'_, str> {
    let text = cut_and_escaped(text, |character| matches!(character, '\n' | '\t'));
    if text.contains('\n') { Cow::Owned(text.replace('\n', &format!("\n{INDENT}"))) } else { text }
}

/// The beginning of a text, and the number of omitted characters.
pub fn cut(text: &str, characters_max: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters_max) {
        Some((end, _)) => {
            let more = text[end..].chars().count();
            let noun = if more == 1 { "character" } else { "characters" };
            Cow::Owned(format!("{}... ({more} more {noun})", &text[..end]))
        }
        None => Cow::Borrowed(text),
    }
}

/// A complete output text, with our own colors in it. This is the last check, for parts that were not escaped before.
pub fn whole(text: &str, is_colored: bool) -> Cow<'_, str> {
    whole_with(text, if is_colored { &style::CODES } else { &[] })
}

/// The same for a text that may contain these codes only.
pub fn whole_with<'a>(text: &'a str, codes: &[&str]) -> Cow<'a, str> {
    let is_kept = |character: char| matches!(character, '\n' | '\t');
    if codes.is_empty() {
        return escaped(text, is_kept);
    }
    let mut parts = text.split('\x1b');
    let mut out = escaped(parts.next().unwrap_or_default(), is_kept).into_owned();
    for part in parts {
        let code = codes.iter().find(|code| part.starts_with(&code[1..]));
        let rest = part.strip_prefix(code.map_or("", |code| &code[1..])).unwrap_or(part);
        out.push_str(code.unwrap_or(&"\\x1b"));
        out.push_str(&escaped(rest, is_kept));
    }
    Cow::Owned(out)
}

fn cut_and_escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    match cut(text, TEXT_CHARACTERS_MAX) {
        Cow::Borrowed(text) => escaped(text, is_kept),
        Cow::Owned(text) => Cow::Owned(escaped(&text, is_kept).into_owned()),
    }
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character: char| is_harmful(character) && !is_kept(character);
    let Some(first) = text.find(is_escaped) else { return Cow::Borrowed(text) };
    let mut out = text[..first].to_owned();
    for character in text[first..].chars() {
        match character {
            character if !is_escaped(character) => out.push(character),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if u32::from(character) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(character))),
            character => out.push_str(&format!("\\u{{{:x}}}", u32::from(character))),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_TITLE: &str = "a\x1b]0;owned\x07b\u{9b}2J\x7f";

    #[test]
    fn nothing_reaches_the_terminal() {
        assert_eq!(line(WINDOW_TITLE), "a\\x1b]0;owned\\x07b\\x9b2J\\x7f");
        assert_eq!(line("one\ntwo\r\tthree"), "one\\ntwo\\r\\tthree");
        assert_eq!(line("\u{202e}txt\u{2066}\u{e0041}"), "\\u{202e}txt\\u{2066}\\u{e0041}");
        assert!(matches!(line("Grüße, 世界, 🦀, 👩‍💻"), Cow::Borrowed(_)));
        assert_eq!(printed_line("\t10%\r20%"), "\t10%\\r20%");
    }

    #[test]
    fn a_second_line_is_seen_to_be_one() {
        assert_eq!(lines("no\nerror: all is lost\x1b[2J"), "no\n  error: all is lost\\x1b[2J");
    }

    #[test]
    fn what_is_very_long_is_cut() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äöü... (1 more character)");
        let long = "\n".repeat(TEXT_CHARACTERS_MAX + 1_000);
        assert!(line(&long).ends_with("\\n... (1000 more characters)"));
        assert_eq!(line(&long).len(), 2 * TEXT_CHARACTERS_MAX + "... (1000 more characters)".len());
        assert_eq!(lines(&long).matches('\n').count(), TEXT_CHARACTERS_MAX);
        assert_eq!(printed_line(&"x".repeat(99_999)).len(), 99_999);
    }

    #[test]
    fn our_colors_stay_and_no_others() {
        let text = "\x1b[1;31merror\x1b[0m: \x1b[31mred\x1b[2J\x1b\n\r";
        assert_eq!(whole(text, true), "\x1b[1;31merror\x1b[0m: \\x1b[31mred\\x1b[2J\\x1b\n\\r");
        assert_eq!(whole("a\x1b[0mb", false), "a\\x1b[0mb");
    }
}
