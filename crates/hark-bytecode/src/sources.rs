//! The files of a program in one address space, so that a single offset identifies a file and a position in it.

use crate::{Location, Source, Span};

/// The files that a program was compiled from, the main one first. A [`Span`] counts bytes over all of them. One byte
/// between two files belongs to neither, so that the end of a file differs from the beginning of the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Invariant: sorted by `start`, and no two overlap.
    files: Vec<SourceFile>,
}

/// A file and its place in the common address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// The file's name and text.
    pub source: Source,
    /// The offset of its first byte.
    pub start: u32,
}

impl Sources {
    /// Appends a file and returns its offset. Returns `None` and adds nothing if the offsets would not fit 32 bits.
    pub fn push(&mut self, source: Source) -> Option<u32> {
        let start = self.next_start()?;
        let end = start.checked_add(u32::try_from(source.text.len()).ok()?)?;
        if end == Span::NOWHERE.start {
            return None;
        }
        self.files.push(SourceFile { source, start });
        Some(start)
    }

    fn next_start(&self) -> Option<u32> {
        match self.files.last() {
            None => Some(0),
            // `push` has checked that the end fits.
            Some(last) => (last.start + last.source.text.len() as u32).checked_add(1),
        }
    }

    /// All files, the main one first.
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// The path of the main file.
    pub fn main_path(&self) -> &str {
        self.files.first().map_or("", |file| &file.source.path)
    }

    /// The index of the file that contains an offset. An offset beyond all files means the last one, but
    /// [`Span::NOWHERE`] is in no file.
    pub fn index_at(&self, offset: u32) -> Option<usize> {
        if offset == Span::NOWHERE.start {
            return None;
        }
        self.files.partition_point(|file| file.start <= offset).checked_sub(1)
    }

    /// The file that contains an offset, and the line and column there.
    pub fn location(&self, offset: u32) -> Option<(&Source, Location)> {
        let SourceFile { source, start } = &self.files[self.index_at(offset)?];
        Some((source, source.location(offset - start)))
    }
}

impl From<Source> for Sources {
    /// A program of one file. A file of 4 GB or more cannot be addressed and is left out.
    fn from(source: Source) -> Sources {
        let mut sources = Sources::default();
        sources.push(source);
        sources
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_belongs_to_one_file() {
        let mut sources = Sources::from(Source::new("main.hk", "ab\nc"));
        assert_eq!(sources.push(Source::new("empty.hk", "")), Some(5));
        assert_eq!(sources.push(Source::new("lib/é.hk", "é\nf")), Some(6));
        let places: Vec<String> = (0..12)
            .map(|offset| {
                let (source, place) = sources.location(offset).unwrap();
                format!("{}:{}:{}", source.path, place.line, place.column)
            })
            .collect();
        let main = ["main.hk:1:1", "main.hk:1:2", "main.hk:1:3", "main.hk:2:1", "main.hk:2:2", "empty.hk:1:1"];
        let lib = ["lib/é.hk:1:1", "lib/é.hk:1:1", "lib/é.hk:1:2", "lib/é.hk:2:1", "lib/é.hk:2:2", "lib/é.hk:2:2"];
        assert_eq!(places, [main, lib].concat());
        assert_eq!(sources.main_path(), "main.hk");
        assert_eq!(sources.location(u32::MAX - 1).map(|(source, _)| &*source.path), Some("lib/é.hk"));
        assert_eq!(sources.location(Span::NOWHERE.start), None);
    }

    #[test]
    fn no_file_has_no_places() {
        assert_eq!(Sources::default().location(3), None);
        assert_eq!(Sources::default().main_path(), "");
    }
}
