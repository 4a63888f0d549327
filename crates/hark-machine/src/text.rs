//! Strings: UTF-8 with a cached number of code points.

use std::fmt;

use compact_str::{CompactString, ToCompactString};

/// The body of a string.
#[derive(Clone)]
pub struct Text {
    /// The free room, then the text. Up to 24 bytes are stored inline; most keys and words fit.
    buffer: CompactString,
    /// Bytes at the start of `buffer` that are not part of the text, so that a string can be built from its front. All
    /// other strings have none.
    ///
    /// Invariant: these bytes are ASCII, so that the text may begin at each of them.
    room: u32,
    /// Invariant: the number of code points of the text.
    characters: u32,
}

impl Text {
    /// A text; counts its code points.
    pub fn new(text: impl Into<CompactString>) -> Text {
        let text = text.into();
        let characters = text.chars().count();
        Text::of(text, characters)
    }

    /// The digits of an integer.
    pub fn of_integer(value: i64) -> Text {
        let text = value.to_compact_string();
        let characters = text.len();
        Text::of(text, characters)
    }

    fn of(buffer: CompactString, characters: usize) -> Text {
        let characters = u32::try_from(characters).expect("a string has at most `STRING_BYTES_MAX` bytes");
        Text { buffer, room: 0, characters }
    }

    /// The text as a string slice.
    #[inline(always)]
    pub fn as_str(&self) -> &str {
        // Almost no text has room, and a slice costs more than this comparison.
        if self.room == 0 { &self.buffer } else { &self.buffer[self.room as usize..] }
    }

    /// The number of code points.
    #[inline]
    pub fn length(&self) -> usize {
        self.characters as usize
    }

    /// A text with a known number of code points.
    pub(crate) fn counted(text: impl Into<CompactString>, characters: usize) -> Text {
        let text = text.into();
        debug_assert_eq!(text.chars().count(), characters);
        Text::of(text, characters)
    }

    /// The code points from an index up to but not including another, which is at most the length.
    pub(crate) fn part(&self, from: usize, to: usize) -> Text {
        let (start, end) = if self.is_ascii() {
            (from, to)
        } else {
            let start = self.byte_of(0, from);
            (start, self.byte_of(start, to - from))
        };
        Text::of(self.as_str()[start..end].into(), to - from)
    }

    /// Whether every code point is a single byte.
    #[inline]
    pub(crate) fn is_ascii(&self) -> bool {
        self.as_str().len() == self.length()
    }

    /// The byte offset of the code point that is `count` code points after the one at byte `start`.
    fn byte_of(&self, start: usize, count: usize) -> usize {
        let text = self.as_str();
        text[start..].char_indices().nth(count).map_or(text.len(), |(byte, _)| start + byte)
    }

    /// The text repeated.
    pub(crate) fn repeat(&self, times: usize) -> Text {
        Text::of(self.as_str().repeat(times).into(), self.length() * times)
    }

    /// Appends another text.
    #[inline]
    pub fn push(&mut self, other: &Text) {
        self.buffer.push_str(other.as_str());
        self.characters += other.characters;
    }

    /// Puts another text in front of this one. The amortized time is proportional to the length of the other text.
    pub(crate) fn push_front(&mut self, other: &Text) {
        let more = other.as_str();
        if more.len() > self.room as usize {
            self.make_front_room(more.len());
        }
        let end = self.room as usize;
        self.room -= more.len() as u32;
        self.buffer.replace_range(self.room as usize..end, more);
        self.characters += other.characters;
    }

    /// Makes room for `wanted` bytes, and more in proportion to the length of the text.
    #[cold]
    fn make_front_room(&mut self, wanted: usize) {
        let text = self.as_str();
        let room = wanted + text.len() / 2;
        let mut buffer = "\0".repeat(room);
        buffer.reserve_exact(text.len());
        buffer.push_str(text);
        self.buffer = buffer.into();
        self.room = room as u32;
    }

    /// The concatenation of both texts.
    pub fn join(&self, other: &Text) -> Text {
        let (front, back) = (self.as_str(), other.as_str());
        let mut text = CompactString::with_capacity(front.len() + back.len());
        text.push_str(front);
        text.push_str(back);
        Text { buffer: text, room: 0, characters: self.characters + other.characters }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Text) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(out)
    }
}

/// Whether a character is white space as in Python, which includes the four ASCII separators.
#[inline]
pub(crate) fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step once copied the whole text.
    #[test]
    fn a_text_moves_seldom_while_it_grows_at_its_front() {
        let (mut text, piece) = (Text::new("end"), Text::new("é"));
        let (mut moves, mut place) = (0, text.as_str().as_bytes().as_ptr_range().end);
        for _ in 0..100_000 {
            text.push_front(&piece);
            let now = text.as_str().as_bytes().as_ptr_range().end;
            moves += usize::from(now != place);
            place = now;
        }
        assert_eq!(text, Text::new("é".repeat(100_000) + "end"));
        assert_eq!(text.length(), 100_003);
        assert!(moves < 50, "it moved {moves} times");
    }

    #[test]
    fn the_room_in_front_is_no_part_of_a_text() {
        let mut text = Text::new("cdé");
        text.push_front(&Text::new("b"));
        text.push_front(&Text::new("a"));
        text.push_front(&Text::new("☃"));
        text.push(&Text::new("!"));
        assert!(text.room > 0);
        assert_eq!(text.as_str(), "☃abcdé!");
        assert_eq!((text.length(), text.is_ascii()), (7, false));
        assert_eq!(text.part(0, 3).as_str(), "☃ab");
        assert_eq!(text.part(4, 7).as_str(), "dé!");
        assert_eq!(text.repeat(2).as_str(), "☃abcdé!☃abcdé!");
        assert_eq!(text.join(&text).as_str(), "☃abcdé!☃abcdé!");
        assert_eq!(text, Text::new("☃abcdé!"));
        assert_eq!(format!("{text:?}"), "\"☃abcdé!\"");
    }
}
