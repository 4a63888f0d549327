//! Source lines with carets under the places of a notice.
//!
//! A line is cut around its places, and only the shown part is read: a line may have 50 MB.

use hark_bytecode::Span;
use unicode_width::UnicodeWidthChar;

use super::escape::{self, is_harmful};
use super::lines::{FileLines, Lines};
use super::notice::Label;
use super::style::{Paint, Style};

/// The maximum number of characters shown of a line.
const SHOWN_CHARACTERS_MAX: usize = 140;
/// The number of characters before a place in a line that has to be cut.
const LEAD_CHARACTERS: usize = 40;
/// Marks a cut.
const CUT: &str = "...";
const TAB_WIDTH: usize = 4;

/// A place within one line.
#[derive(Debug, Clone, Copy)]
struct Mark<'a> {
    line: usize,
    start: usize,
    /// Invariant: at least `start`, and within the line.
    end: usize,
    text: &'a str,
    is_primary: bool,
}

/// Draws `--> file:line:column` of the first label, then each line of that file that has labels, in the order of the
/// text; then the same, with `:::`, for each other file.
pub fn draw_places(labels: &[Label<'_>], lines: &Lines<'_>, paint: Paint, style: Style, out: &mut String) {
    let marked = marked_files(labels, lines);
    let last_line = |marked: &Marked<'_>| marked.marks.last().map_or(0, |mark| mark.line);
    let width = marked.iter().map(last_line).max().unwrap_or(0).to_string().len();
    for (index, each) in marked.iter().enumerate() {
        let file = lines.file(each.file);
        let place = file.location(each.first);
        let arrow = if index == 0 { "-->" } else { ":::" };
        style.push(out, Paint::Dim, &format!("{:width$} {arrow}", ""));
        out.push_str(&format!(" {}:{}:{}\n", escape::line(file.path()), place.line, place.column));
        draw_marks(&each.marks, file, Gutter { width, style }, paint, out);
    }
}

/// A file with its marks, in the order of the text.
struct Marked<'a> {
    file: usize,
    /// The start of its first label.
    first: u32,
    marks: Vec<Mark<'a>>,
}

/// The files of the labels. The file of the first label comes first.
fn marked_files<'a>(labels: &[Label<'a>], lines: &Lines<'_>) -> Vec<Marked<'a>> {
    let mut marked: Vec<Marked<'a>> = Vec::new();
    for (index, label) in labels.iter().enumerate() {
        let Some((file, span)) = lines.in_file(label.span) else { continue };
        let mark = mark_of(&Label { span, text: label.text }, index == 0, lines.file(file));
        match marked.iter_mut().find(|each| each.file == file) {
            Some(each) => each.marks.push(mark),
            None => marked.push(Marked { file, first: span.start, marks: vec![mark] }),
        }
    }
    marked.iter_mut().for_each(|each| each.marks.sort_by_key(|mark| (mark.line, mark.start, mark.end)));
    marked
}

fn draw_marks(marks: &[Mark<'_>], lines: &FileLines<'_>, gutter: Gutter, paint: Paint, out: &mut String) {
    let mut previous = None;
    let mut rest = marks;
    while let Some(head) = rest.first() {
        let (together, later) = rest.split_at(how_many_fit(rest, lines));
        if previous.is_some_and(|line| head.line > line + 1) {
            gutter.style.push(out, Paint::Dim, CUT);
            out.push('\n');
        }
        Excerpt::new(together, lines).draw(gutter, paint, out);
        previous = Some(head.line);
        rest = later;
    }
}

/// The line where a span begins, cut and escaped as it would be drawn.
pub fn excerpt(span: Span, lines: &Lines<'_>) -> String {
    let Some((file, span)) = lines.in_file(span) else { return String::new() };
    let lines = lines.file(file);
    Excerpt::new(&[mark_of(&Label { span, text: "" }, true, lines)], lines).shown
}

/// A label that spans several lines is marked to the end of its first line.
fn mark_of<'a>(label: &Label<'a>, is_primary: bool, lines: &FileLines<'_>) -> Mark<'a> {
    let line = lines.location(label.span.start).line as usize;
    let (line_start, line_end) = lines.range(line);
    let start = lines.boundary(label.span.start).clamp(line_start, line_end);
    let end = lines.boundary(label.span.end).clamp(start, line_end);
    Mark { line, start, end, text: label.text, is_primary }
}

/// The number of marks, at least one, that are in the line of the first one and near enough for one excerpt.
fn how_many_fit(marks: &[Mark<'_>], lines: &FileLines<'_>) -> usize {
    let Some(first) = marks.first() else { return 0 };
    let (start, end) = lines.range(first.line);
    let reach = if end - start <= SHOWN_CHARACTERS_MAX {
        end
    } else {
        forward(lines, first.start, end, SHOWN_CHARACTERS_MAX - LEAD_CHARACTERS - 1)
    };
    marks.iter().take_while(|mark| mark.line == first.line && mark.start <= reach).count().max(1)
}

/// The column of line numbers on the left.
#[derive(Clone, Copy)]
struct Gutter {
    width: usize,
    style: Style,
}

impl Gutter {
    fn push(self, out: &mut String, number: &str) {
        self.style.push(out, Paint::Dim, &format!(" {number:>width$} |", width = self.width));
    }
}

/// The shown part of a line, made printable.
struct Excerpt<'a> {
    marks: &'a [Mark<'a>],
    shown: String,
    /// The start and end column of each mark.
    columns: Vec<(usize, usize)>,
}

impl<'a> Excerpt<'a> {
    fn new(marks: &'a [Mark<'a>], lines: &FileLines<'_>) -> Excerpt<'a> {
        let (line_start, line_end) = lines.range(marks[0].line);
        let (start, end) = if line_end - line_start <= SHOWN_CHARACTERS_MAX {
            (line_start, line_end)
        } else {
            let start = backward(lines, line_start, marks[0].start, LEAD_CHARACTERS);
            (start, forward(lines, start, line_end, SHOWN_CHARACTERS_MAX))
        };
        let mut shown = String::new();
        let mut column = 0;
        if start > line_start {
            shown.push_str(CUT);
            column = CUT.len();
        }
        let mut columns = vec![(usize::MAX, usize::MAX); marks.len()];
        for (at, character) in lines.text(start, end).char_indices() {
            note_columns(marks, &mut columns, start + at, column);
            column += push_printable(&mut shown, character);
        }
        note_columns(marks, &mut columns, end, column);
        if end < line_end {
            shown.push_str(CUT);
        }
        // Marks that reach beyond the excerpt end with it.
        for (first, past) in &mut columns {
            *first = (*first).min(column);
            *past = (*past).min(column).max(*first + 1);
        }
        Excerpt { marks, shown, columns }
    }

    fn draw(&self, gutter: Gutter, paint: Paint, out: &mut String) {
        gutter.push(out, &self.marks[0].line.to_string());
        out.push_str(format!(" {}", self.shown).trim_end());
        out.push('\n');
        self.draw_carets(gutter, paint, out);
        self.draw_texts(gutter, paint, out);
    }

    /// Draws the row of carets, followed by the text of the last mark.
    fn draw_carets(&self, gutter: Gutter, paint: Paint, out: &mut String) {
        gutter.push(out, "");
        out.push(' ');
        let end = self.columns.iter().map(|(_, past)| *past).max().unwrap_or(0);
        let mut row = vec![Caret::None; end];
        for (mark, (first, past)) in self.marks.iter().zip(&self.columns) {
            let caret = if mark.is_primary { Caret::Primary } else { Caret::Secondary };
            row[*first..*past].iter_mut().for_each(|cell| *cell = (*cell).max(caret));
        }
        for stretch in row.chunk_by(|left, right| left == right) {
            let text = stretch[0].symbol().repeat(stretch.len());
            gutter.style.push(out, stretch[0].paint(paint), &text);
        }
        if let Some(mark) = self.marks.last().filter(|mark| !mark.text.is_empty()) {
            out.push(' ');
            gutter.style.push(out, paint_of(mark, paint), &escape::line(mark.text));
        }
        out.push('\n');
    }

    /// Draws the texts of the other marks, a row each, from right to left.
    fn draw_texts(&self, gutter: Gutter, paint: Paint, out: &mut String) {
        for index in (0..self.marks.len() - 1).rev().filter(|index| !self.marks[*index].text.is_empty()) {
            gutter.push(out, "");
            out.push(' ');
            let mut column = 0;
            let mut open: Vec<usize> = (0..index).filter(|left| !self.marks[*left].text.is_empty()).collect();
            open.retain(|left| self.columns[*left].0 < self.columns[index].0);
            for left in open {
                let at = self.columns[left].0;
                if at >= column {
                    out.push_str(&" ".repeat(at - column));
                    gutter.style.push(out, paint_of(&self.marks[left], paint), "|");
                    column = at + 1;
                }
            }
            out.push_str(&" ".repeat(self.columns[index].0 - column));
            gutter.style.push(out, paint_of(&self.marks[index], paint), &escape::line(self.marks[index].text));
            out.push('\n');
        }
    }
}

/// The caret under a column. The primary one wins where marks overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Caret {
    None,
    Secondary,
    Primary,
}

impl Caret {
    fn symbol(self) -> &'static str {
        match self {
            Caret::None => " ",
            Caret::Secondary => "-",
            Caret::Primary => "^",
        }
    }

    fn paint(self, primary: Paint) -> Paint {
        if self == Caret::Primary { primary } else { Paint::Hint }
    }
}

fn paint_of(mark: &Mark<'_>, primary: Paint) -> Paint {
    if mark.is_primary { primary } else { Paint::Hint }
}

/// Records the columns of the marks that begin or end at this offset.
fn note_columns(marks: &[Mark<'_>], columns: &mut [(usize, usize)], at: usize, column: usize) {
    for (mark, (first, past)) in marks.iter().zip(columns) {
        if mark.start == at {
            *first = column;
        }
        if mark.end == at {
            *past = column;
        }
    }
}

/// Adds a character in printable form and returns its width.
fn push_printable(out: &mut String, character: char) -> usize {
    match character {
        '\t' => {
            out.push_str(&" ".repeat(TAB_WIDTH));
            TAB_WIDTH
        }
        // One column wide, so that columns can still be counted.
        harmful if is_harmful(harmful) => {
            out.push('\u{fffd}');
            1
        }
        character => match character.width() {
            None => {
                out.push('\u{fffd}');
                1
            }
            Some(width) => {
                out.push(character);
                width
            }
        },
    }
}

/// The offset `characters` before `from`, but not before `start`.
fn backward(lines: &FileLines<'_>, start: usize, from: usize, characters: usize) -> usize {
    lines.text(start, from).char_indices().rev().take(characters).last().map_or(from, |(at, _)| start + at)
}

/// The offset `characters` after `from`, but not after `end`.
fn forward(lines: &FileLines<'_>, from: usize, end: usize, characters: usize) -> usize {
    lines.text(from, end).char_indices().nth(characters).map_or(end, |(at, _)| from + at)
}

#[cfg(test)]
mod tests {
    use hark_bytecode::{Source, Sources};

    use super::*;
    use crate::render::{Notice, Severity, draw_notice};

    /// Draws an error with these labels.
    fn drawn(text: &str, places: &[(Span, &str)], style: Style) -> String {
        drawn_of(&Sources::from(Source::new("service.hk", text)), places, style)
    }

    fn drawn_of(sources: &Sources, places: &[(Span, &str)], style: Style) -> String {
        let labels = places.iter().map(|(span, text)| Label { span: *span, text }).collect();
        let notice =
            Notice { severity: Severity::Error, code: "HK0012".into(), message: "bad", labels, hint: Some("better") };
        let mut out = String::new();
        draw_notice(&notice, &Lines::new(sources), style, &mut out);
        out
    }

    fn find(text: &str, piece: &str) -> Span {
        let start = text.find(piece).unwrap();
        Span::new(start, start + piece.len())
    }

    #[test]
    fn a_place_has_carets_and_a_label() {
        let text = "fn main() {\n  print(lenght(items))\n}\n";
        let expected = "error[HK0012]: bad\n --> service.hk:2:9\n 2 |   print(lenght(items))\n   |         ^^^^^^ called here\n\
                        hint: better\n";
        let drawn = drawn(text, &[(find(text, "lenght"), "called here")], Style::PLAIN);
        assert_eq!(drawn, expected.replace(" -->", "  -->"));
    }

    #[test]
    fn second_places_come_in_the_order_of_the_text() {
        let text = "fn f(a, b, a) { a }\n\n\nfn f() { 1 }\n";
        let places = [
            (Span::new(text.rfind("f()").unwrap(), text.rfind("f()").unwrap() + 1), "defined again"),
            (Span::new(3, 4), "first defined here"),
            (Span::new(5, 6), "and a parameter"),
        ];
        let expected = "error[HK0012]: bad\n  --> service.hk:4:4\n 1 | fn f(a, b, a) { a }\n   |    - - and a parameter\n\
            \x20  |    first defined here\n...\n 4 | fn f() { 1 }\n   |    ^ defined again\nhint: better\n";
        assert_eq!(drawn(text, &places, Style::PLAIN), expected);
    }

    #[test]
    fn places_in_several_files_are_shown_file_by_file() {
        let mut sources = Sources::from(Source::new("main.hk", "fn main() {\n  t.f(1)\n}\n"));
        let start = sources.push(Source::new("lib/t.hk", "\n".repeat(99) + "fn f() { 1 }\n")).unwrap() as usize + 99;
        let places = [(Span::new(14, 20), "called here"), (Span::new(start + 3, start + 4), "defined here")];
        let expected = "error[HK0012]: bad\n    --> main.hk:2:3\n   2 |   t.f(1)\n     |   ^^^^^^ called here\n    ::: \
            lib/t.hk:100:4\n 100 | fn f() { 1 }\n     |    - defined here\nhint: better\n";
        assert_eq!(drawn_of(&sources, &places, Style::PLAIN), expected);
    }

    #[test]
    fn texts_of_one_line_do_not_cross() {
        let text = "one two three";
        let places = [(find(text, "two"), "B"), (find(text, "one"), "A"), (find(text, "three"), "C")];
        let expected = "error[HK0012]: bad\n  --> service.hk:1:5\n 1 | one two three\n   | --- ^^^ ----- C\n   | |   B\n   | A\n\
            hint: better\n";
        assert_eq!(drawn(text, &places, Style::PLAIN), expected);
    }

    #[test]
    fn tabs_and_wide_and_hidden_characters_keep_carets_in_place() {
        let text = "\tprint(\"日本\u{202e}\u{7}e\u{301}\", x)";
        let drawn = drawn(text, &[(find(text, "x"), "")], Style::PLAIN);
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows[2], " 1 |     print(\"日本\u{fffd}\u{fffd}e\u{301}\", x)");
        assert_eq!(rows[3], "   |                      ^");
    }

    #[test]
    fn a_long_line_is_cut_around_its_places() {
        let text = format!("{}bad{}", "a".repeat(20_000_000), "é".repeat(10_000_000));
        let far = text.len() - 2;
        let places = [(find(&text, "bad"), "here"), (Span::new(far, far + 2), "and here")];
        let drawn = drawn(&text, &places, Style::PLAIN);
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows[1], "  --> service.hk:1:20000001");
        assert_eq!(rows[2], format!(" 1 | ...{}bad{}...", "a".repeat(40), "é".repeat(97)));
        assert_eq!(rows[3], format!("   | {}^^^ here", " ".repeat(43)));
        assert_eq!(rows[4], format!(" 1 | ...{}", "é".repeat(41)));
        assert_eq!(rows[5], format!("   | {}- and here", " ".repeat(43)));
        assert_eq!(rows.len(), 7);
    }

    #[test]
    fn a_place_longer_than_the_excerpt_is_marked_to_its_end() {
        let text = format!("x = \"{}\";", "a".repeat(1000));
        let drawn = drawn(&text, &[(Span::new(4, 1006), "this")], Style::PLAIN);
        let rows: Vec<&str> = drawn.lines().collect();
        assert_eq!(rows[2], format!(" 1 | x = \"{}...", "a".repeat(135)));
        assert_eq!(rows[3], format!("   |     {} this", "^".repeat(136)));
    }

    #[test]
    fn ends_of_the_text_have_a_caret() {
        let at_end = "  --> service.hk:2:1\n 2 |\n   | ^ ends here\n";
        assert!(drawn("fn f() {\n", &[(Span::new(9, 9), "ends here")], Style::PLAIN).contains(at_end));
        let empty = "  --> service.hk:1:1\n 1 |\n   | ^ nothing\n";
        assert!(drawn("", &[(Span::new(0, 0), "nothing")], Style::PLAIN).contains(empty));
        let beyond = drawn("é", &[(Span::new(1, 99), "odd")], Style::PLAIN);
        assert!(beyond.contains(" 1 | é\n   | ^ odd\n"), "{beyond}");
    }

    #[test]
    fn several_lines_are_marked_on_the_first() {
        let text = "x = [1,\n 2];";
        assert!(drawn(text, &[(Span::new(4, 11), "list")], Style::PLAIN).contains(" 1 | x = [1,\n   |     ^^^ list\n"));
    }

    #[test]
    fn color_adds_nothing_but_color() {
        let text = "one two three";
        let places = [(find(text, "two"), "B"), (find(text, "one"), "A")];
        let colored = drawn(text, &places, Style::COLORED);
        assert!(colored.contains("\x1b[1;31m^^^\x1b[0m"));
        let mut plain = colored;
        for code in ["\x1b[0m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[1;36m", "\x1b[1m", "\x1b[2m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, drawn(text, &places, Style::PLAIN));
    }
}
