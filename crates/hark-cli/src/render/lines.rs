//! The line offsets of a program's files, for finding many positions fast.

use std::cell::OnceCell;

use hark_bytecode::{LINE_BREAKS, Location, Source, Sources, Span, line_starts};

/// Code points are counted once per block of this many bytes; finding a column then scans at most two blocks, however
/// long its line.
const BLOCK: usize = 1024;

/// The files of a program, with their line offsets.
#[derive(Debug)]
pub struct Lines<'a> {
    sources: &'a Sources,
    /// One per file. Each is computed when a position in it is requested.
    files: Vec<OnceCell<FileLines<'a>>>,
}

/// A human-readable position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's name, as the user would write it.
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1, in code points.
    pub column: u32,
}

/// A file and its line offsets. All offsets are relative to the file.
#[derive(Debug)]
pub struct FileLines<'a> {
    source: &'a Source,
    /// The offset of each line's first byte. Invariant: ascending, with at least one element.
    starts: Vec<u32>,
    /// The number of code points before each block.
    characters: Vec<u32>,
}

impl<'a> Lines<'a> {
    /// Creates the lines without reading the files.
    pub fn new(sources: &'a Sources) -> Lines<'a> {
        Lines { sources, files: sources.files().iter().map(|_| OnceCell::new()).collect() }
    }

    /// The position of a byte offset in all files. An offset beyond a file means the end of the file.
    pub fn location(&self, offset: u32) -> Place<'a> {
        match self.in_file(Span { start: offset, end: offset }) {
            Some((index, span)) => {
                let file = self.file(index);
                let Location { line, column } = file.location(span.start);
                Place { file: file.path(), line, column }
            }
            None => Place { file: "", line: 1, column: 1 },
        }
    }

    /// The file where a span begins, and the span relative to it; None if there are no files.
    pub fn in_file(&self, span: Span) -> Option<(usize, Span)> {
        let index = self.sources.index_at(span.start)?;
        let start = self.sources.files()[index].start;
        Some((index, Span { start: span.start - start, end: span.end.max(span.start) - start }))
    }

    /// A file, by an index returned by [`in_file`](Lines::in_file).
    pub fn file(&self, index: usize) -> &FileLines<'a> {
        self.files[index].get_or_init(|| FileLines::new(&self.sources.files()[index].source))
    }
}

impl<'a> FileLines<'a> {
    /// Reads the source once.
    pub fn new(source: &'a Source) -> FileLines<'a> {
        let bytes = source.text.as_bytes();
        let starts = line_starts(&source.text).map(|start| start as u32).collect();
        let mut counted = 0;
        let count = |block: &[u8]| {
            let before = counted;
            counted += begun_in(block);
            before
        };
        let characters = bytes.chunks(BLOCK).map(count).collect();
        FileLines { source, starts, characters }
    }

    /// The file's name, as the user gave it.
    pub fn path(&self) -> &'a str {
        &self.source.path
    }

    /// The nearest boundary between characters at or before this offset.
    pub fn boundary(&self, offset: u32) -> usize {
        let mut offset = (offset as usize).min(self.source.text.len());
        while !self.source.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The position of a byte offset. An offset beyond the text means its end.
    pub fn location(&self, offset: u32) -> Location {
        // A byte order mark before the first line belongs to it.
        let offset = self.boundary(offset).max(self.start(1));
        let line = self.starts.partition_point(|start| *start as usize <= offset);
        let start = self.start(line);
        let column = self.characters_before(offset) - self.characters_before(start) + 1;
        Location { line: line as u32, column }
    }

    /// A line's first byte and its end, without the line break; lines count from 1.
    pub fn range(&self, line: usize) -> (usize, usize) {
        let start = self.start(line);
        let end = self.starts.get(line).map_or(self.source.text.len(), |next| *next as usize);
        (start, start + self.source.text[start..end].trim_end_matches(LINE_BREAKS).len())
    }

    /// The text between two offsets on boundaries.
    pub fn text(&self, start: usize, end: usize) -> &'a str {
        &self.source.text[start..end]
    }

    fn start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).map_or(self.source.text.len(), |start| *start as usize)
    }

    fn characters_before(&self, offset: usize) -> u32 {
        let block = offset / BLOCK;
        let before = match self.characters.get(block) {
            Some(before) => *before,
            None => self.characters.last().map_or(0, |last| {
                let start = (self.characters.len() - 1) * BLOCK;
                *last + begun_in(&self.source.text.as_bytes()[start..])
            }),
        };
        let start = (block * BLOCK).min(self.source.text.len());
        before + begun_in(&self.source.text.as_bytes()[start..offset])
    }
}

/// The number of code points that begin in these bytes.
fn begun_in(bytes: &[u8]) -> u32 {
    bytes.iter().filter(|byte| (**byte as i8) >= -0x40).count() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_source() {
        let text = format!("ab\r\n\né{}\rc\n\n", "☃x".repeat(3 * BLOCK));
        let source = Source::new("x.hk", text.as_str());
        let lines = FileLines::new(&source);
        for offset in (0..text.len() as u32 + 3).step_by(7).chain([0, 3, 4, text.len() as u32]) {
            assert_eq!(lines.location(offset), source.location(offset), "offset {offset}");
        }
        assert_eq!(lines.range(1), (0, 2));
        assert_eq!(lines.range(2), (4, 4));
        assert_eq!(lines.range(4), (text.len() - 3, text.len() - 2));
        assert_eq!(lines.range(6), (text.len(), text.len()));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_its_line() {
        let source = Source::new("x.hk", "\u{feff}ab\nc");
        let lines = FileLines::new(&source);
        for offset in 0..8 {
            assert_eq!(lines.location(offset), source.location(offset), "offset {offset}");
        }
        assert_eq!(lines.range(1), (3, 5));
    }

    #[test]
    fn an_empty_text_has_one_line() {
        let source = Source::new("x.hk", "");
        let lines = FileLines::new(&source);
        assert_eq!(lines.location(7), Location { line: 1, column: 1 });
        assert_eq!(lines.range(1), (0, 0));
    }

    #[test]
    fn a_text_that_fills_its_blocks_ends_right() {
        let source = Source::new("x.hk", "x".repeat(2 * BLOCK));
        assert_eq!(FileLines::new(&source).location(u32::MAX).column as usize, 2 * BLOCK + 1);
    }
}
