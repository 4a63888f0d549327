//! Wraps texts at the width of a terminal.

use unicode_width::UnicodeWidthStr;

use super::columns;

/// Longer lines are hard to read, even if the terminal has room.
const LINE_MAX: usize = 100;

/// The width at which prose is wrapped for standard output; None if it is not a terminal.
pub fn width_of_stdout() -> Option<usize> {
    columns::of_stdout().map(|columns| columns.min(LINE_MAX))
}

/// Appends words to a line that already has `begun` columns. Further lines are indented. A word that is wider than a line
/// has a line for itself.
pub fn push_words(text: &str, mut begun: usize, indent: usize, width: usize, out: &mut String) {
    let mut is_first = true;
    for word in text.split_whitespace() {
        let gap = usize::from(!is_first);
        if !is_first && begun + gap + word.width() > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', indent));
            begun = indent;
        } else if !is_first {
            out.push(' ');
            begun += gap;
        }
        out.push_str(word);
        begun += word.width();
        is_first = false;
    }
}

/// The additional indentation of the lines in which a line continues.
pub const HANGING_INDENT: usize = 4;

/// Wraps a line that begins after `indent` columns. Spaces within a line stay, because they may be part of a value. A
/// word that is wider than a line is cut. One column is left free at the end, for a comma.
pub fn hanging(text: &str, indent: usize, width: usize) -> String {
    let below = indent + HANGING_INDENT;
    let width = width.saturating_sub(1);
    let mut out = String::with_capacity(text.len());
    let mut begun = indent;
    for (index, word) in text.split(' ').enumerate() {
        let word = columns::cut(word, width.saturating_sub(below));
        let is_first = index == 0;
        if !is_first && begun + 1 + word.width() > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', below));
            begun = below;
        } else if !is_first {
            out.push(' ');
            begun += 1;
        }
        out.push_str(&word);
        begun += word.width();
    }
    out
}

/// Wraps the paragraphs and list items of a page. Headings, examples, tables and indented lines stay as they are.
pub fn page(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut paragraph = String::new();
    let mut is_example = false;
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        let is_kept = is_example || is_fence || line.is_empty() || line.starts_with(['#', '|', ' ', '\t']);
        let continues_item = line.starts_with("  ") && paragraph.starts_with("- ") && !is_example;
        if is_kept && !continues_item {
            flush(&mut paragraph, width, &mut out);
            out.push_str(line);
            out.push('\n');
        } else {
            if line.starts_with("- ") {
                flush(&mut paragraph, width, &mut out);
            }
            paragraph.push_str(line);
            paragraph.push(' ');
        }
        is_example ^= is_fence;
    }
    flush(&mut paragraph, width, &mut out);
    out
}

fn flush(paragraph: &mut String, width: usize, out: &mut String) {
    if !paragraph.is_empty() {
        let indent = if paragraph.starts_with("- ") { 2 } else { 0 };
        push_words(paragraph, 0, indent, width, out);
        out.push('\n');
        paragraph.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_prose_is_wrapped() {
        let text = "# A heading that is long\n\none two\nthree four\n\n- five six\n  seven\n- eight\n\n```hark\nfn main() { 1 + 2 }\n```\nend";
        let wrapped = "# A heading that is long\n\none two\nthree four\n\n- five six\n  seven\n- eight\n\n```hark\nfn main() { 1 + 2 }\n```\nend\n";
        assert_eq!(page(text, 10), wrapped);
        assert_eq!(page("one two\nthree\n", 80), "one two three\n");
        assert_eq!(page("- one two three\n", 9), "- one two\n  three\n");
        assert_eq!(page("abcdefghij kl\n", 4), "abcdefghij\nkl\n");
    }

    #[test]
    fn a_line_continues_below() {
        assert_eq!(hanging("one two three", 0, 80), "one two three");
        assert_eq!(hanging("one two three four", 2, 12), "one two\n      three\n      four");
        assert_eq!(hanging("f(\"a  b\")", 0, 80), "f(\"a  b\")", "a value stays as it is");
        assert_eq!(hanging("thread abcdefghijkl", 0, 12), "thread\n    abcdef…");
    }

    #[test]
    fn words_follow_what_is_there() {
        let mut out = "name  ".to_owned();
        push_words("one two three", 6, 6, 13, &mut out);
        assert_eq!(out, "name  one two\n      three");
    }
}
