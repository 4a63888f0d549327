//! Strings: UTF-8 with a cached number of code points.

use compact_str::{CompactString, ToCompactString};

/// The body of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Up to 24 bytes are stored inline; most keys and words fit.
    text: CompactString,
    /// Invariant: the number of code points of `text`.
    characters: usize,
}

impl Text {
    /// A text; counts its code points.
    pub fn new(text: impl Into<CompactString>) -> Text {
        let text = text.into();
        let characters = text.chars().count();
        Text { text, characters }
    }

    /// The digits of an integer.
    pub fn of_integer(value: i64) -> Text {
        let text = value.to_compact_string();
        Text { characters: text.len(), text }
    }

    /// The text as a string slice.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The number of code points.
    #[inline]
    pub fn length(&self) -> usize {
        self.characters
    }

    /// A text with a known number of code points.
    pub(crate) fn counted(text: impl Into<CompactString>, characters: usize) -> Text {
        let text = text.into();
        debug_assert_eq!(text.chars().count(), characters);
        Text { text, characters }
    }

    /// The code points from an index up to but not including another, which is at most the length.
    pub(crate) fn part(&self, from: usize, to: usize) -> Text {
        let (start, end) = if self.is_ascii() {
            (from, to)
        } else {
            let start = self.byte_of(0, from);
            (start, self.byte_of(start, to - from))
        };
        Text { text: self.text[start..end].into(), characters: to - from }
    }

    /// Whether every code point is a single byte.
    #[inline]
    pub(crate) fn is_ascii(&self) -> bool {
        self.text.len() == self.characters
    }

    /// The byte offset of the code point that is `count` code points after the one at byte `start`.
    fn byte_of(&self, start: usize, count: usize) -> usize {
        self.text[start..].char_indices().nth(count).map_or(self.text.len(), |(byte, _)| start + byte)
    }

    /// The text repeated.
    pub(crate) fn repeat(&self, times: usize) -> Text {
        Text { text: self.text.as_str().repeat(times).into(), characters: self.characters * times }
    }

    /// Appends another text.
    #[inline]
    pub fn push(&mut self, other: &Text) {
        self.text.push_str(&other.text);
        self.characters += other.characters;
    }

    /// The concatenation of both texts.
    pub fn join(&self, other: &Text) -> Text {
        let mut text = CompactString::with_capacity(self.text.len() + other.text.len());
        text.push_str(&self.text);
        text.push_str(&other.text);
        Text { text, characters: self.characters + other.characters }
    }
}

/// Whether a character is white space as in Python, which includes the four ASCII separators.
#[inline]
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}
