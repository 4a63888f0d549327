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
