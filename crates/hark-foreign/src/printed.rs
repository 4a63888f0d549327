//! Converts the bytes that a call prints into text: whole lines while it runs, and everything at its end.

use std::str;

/// A longer line is handed on in parts.
const LINE_BYTES_MAX: usize = 1 << 16;

/// Output of a call that has not been handed on.
#[derive(Debug, Default)]
pub struct Printed {
    bytes: Vec<u8>,
    /// Whether nothing was added since the last look. Then an incomplete line is shown as well, such as a progress bar.
    is_quiet: bool,
}

impl Printed {
    /// Takes more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.is_quiet = false;
    }

    /// Hands on complete lines, or an incomplete one that was already there at the last look.
    pub fn hand_on_lines(&mut self, output: &mut dyn FnMut(String)) {
        let end = match self.bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(index) => index + 1,
            None if self.is_quiet || self.bytes.len() >= LINE_BYTES_MAX => complete_characters(&self.bytes),
            None => 0,
        };
        self.is_quiet = true;
        if end > 0 {
            let rest = self.bytes.split_off(end);
            output(String::from_utf8_lossy(&self.bytes).into_owned());
            self.bytes = rest;
        }
    }

    /// Hands on everything.
    pub fn hand_on_all(self, output: &mut dyn FnMut(String)) {
        if !self.bytes.is_empty() {
            output(
                String::from_utf8(self.bytes)
                    .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
            );
        }
    }
}

/// The length without an incomplete character at the end.
fn complete_characters(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(parts: &[&[u8]]) -> Vec<String> {
        let mut texts = Vec::new();
        let mut printed = Printed::default();
        for part in parts {
            if !part.is_empty() {
                printed.add(part);
            }
            printed.hand_on_lines(&mut |text| texts.push(text));
        }
        printed.hand_on_all(&mut |text| texts.push(format!("end:{text}")));
        texts
    }

    #[test]
    fn lines_are_handed_on_whole() {
        assert_eq!(looks(&[b"a\nb", b"c\n", b"d"]), ["a\n", "bc\n", "end:d"]);
    }

    #[test]
    fn a_line_that_does_not_go_on_is_shown_at_the_second_look() {
        assert_eq!(looks(&[b"50%", b"", b"\n"]), ["50%", "\n"]);
    }

    #[test]
    fn a_line_without_an_end_is_not_gathered_for_ever() {
        let part = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(looks(&[&part, b"y"]), [String::from_utf8(part.clone()).unwrap(), "end:y".into()]);
    }

    #[test]
    fn a_character_is_not_cut() {
        assert_eq!(looks(&[b"a\xe2\x98", b"", b"\x83"]), ["a", "end:\u{2603}"]);
    }

    #[test]
    fn what_is_no_utf_8_is_marked() {
        assert_eq!(looks(&[b"a\xff\n"]), ["a\u{fffd}\n"]);
    }
}
