//! Strings: UTF-8 with the number of code points at hand.

use compact_str::{CompactString, ToCompactString};

/// The body of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Up to 24 bytes stand here, without another allocation: most keys and words are no longer.
    text: CompactString,
    /// Invariant: the number of code points of `text`.
    characters: usize,
}

impl Text {
    /// A text, whose characters are counted now.
    pub fn new(text: impl Into<CompactString>) -> Text {
        let text = text.into();
        let characters = text.chars().count();
        Text { text, characters }
    }

    /// An integer's digits.
    pub fn of_integer(value: i64) -> Text {
        let text = value.to_compact_string();
        Text { characters: text.len(), text }
    }

    /// Its characters.
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How many code points it has.
    #[inline]
    pub fn length(&self) -> usize {
        self.characters
    }

    /// A text of which it is known how many code points it has.
    pub(crate) fn counted(text: impl Into<CompactString>, characters: usize) -> Text {
        let text = text.into();
        debug_assert_eq!(text.chars().count(), characters);
        Text { text, characters }
    }

    /// The code points from an index to before another, which is at most the length.
    pub(crate) fn part(&self, from: usize, to: usize) -> Text {
        let (start, end) = if self.is_ascii() {
            (from, to)
        } else {
            let start = self.byte_of(0, from);
            (start, self.byte_of(start, to - from))
        };
        Text { text: self.text[start..end].into(), characters: to - from }
    }

    /// Whether each code point is one byte.
    #[inline]
    pub(crate) fn is_ascii(&self) -> bool {
        self.text.len() == self.characters
    }

    /// Where the code point begins that is so many after the one that begins at a byte.
    fn byte_of(&self, start: usize, count: usize) -> usize {
        self.text[start..].char_indices().nth(count).map_or(self.text.len(), |(byte, _)| start + byte)
    }

    /// This text so many times.
    pub(crate) fn repeat(&self, times: usize) -> Text {
        Text { text: self.text.as_str().repeat(times).into(), characters: self.characters * times }
    }

    /// Adds another text at the end.
    #[inline]
    pub fn push(&mut self, other: &Text) {
        self.text.push_str(&other.text);
        self.characters += other.characters;
    }

    /// This text and then the other, as a new one.
    pub fn join(&self, other: &Text) -> Text {
        let mut text = CompactString::with_capacity(self.text.len() + other.text.len());
        text.push_str(&self.text);
        text.push_str(&other.text);
        Text { text, characters: self.characters + other.characters }
    }
}

/// Whether a character is white space, as Python has it: also the four separators of ASCII.
#[inline]
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}
