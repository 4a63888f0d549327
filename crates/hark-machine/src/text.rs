//! Strings: UTF-8 with the number of code points at hand.

/// The body of a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    text: String,
    /// Invariant: the number of code points of `text`.
    characters: usize,
}

impl Text {
    /// A text, whose characters are counted now.
    pub fn new(text: String) -> Text {
        let characters = text.chars().count();
        Text { text, characters }
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
        let mut text = String::with_capacity(self.text.len() + other.text.len());
        text.push_str(&self.text);
        text.push_str(&other.text);
        Text { text, characters: self.characters + other.characters }
    }
}
