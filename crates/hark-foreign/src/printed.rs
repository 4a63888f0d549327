//! Converts the bytes that a call prints into text: whole lines while it runs, and everything at its end.

use std::str;

/// A longer line is handed on in parts.
const LINE_BYTES_MAX: usize = 1 << 16;

/// A line that is incomplete at so many looks in a row is shown, such as a progress bar. Python writes the end of a line
/// separately, and a busy machine may let it wait between the two for longer than from one look to the next.
const PATIENCE: u32 = 10;

/// Output of a call that has not been handed on.
#[derive(Debug, Default)]
pub struct Printed {
    bytes: Vec<u8>,
    /// At how many looks the last line was incomplete.
    looks: u32,
}

impl Printed {
    /// Takes more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Hands on complete lines, or one that has been incomplete for long.
    pub fn hand_on_lines(&mut self, output: &mut dyn FnMut(String)) {
        self.looks = if self.bytes.is_empty() { 0 } else { self.looks + 1 };
        let end = match self.bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(index) => index + 1,
            None if self.looks >= PATIENCE || self.bytes.len() >= LINE_BYTES_MAX => complete_characters(&self.bytes),
            None => 0,
        };
        if end > 0 {
            let rest = self.bytes.split_off(end);
            output(String::from_utf8_lossy(&self.bytes).into_owned());
            self.bytes = rest;
            self.looks = 0;
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
    fn the_end_of_a_line_is_waited_for() {
        assert_eq!(looks(&[b"hi", b"", b"", b"\n"]), ["hi\n"]);
    }

    #[test]
    fn a_line_that_does_not_go_on_is_shown() {
        let mut parts = [b"".as_slice(); PATIENCE as usize + 1];
        parts[0] = b"50%";
        parts[PATIENCE as usize] = b"\n";
        assert_eq!(looks(&parts), ["50%", "\n"]);
    }

    #[test]
    fn a_line_that_is_written_over_is_shown_now_and_then() {
        let parts = [b"\r%".as_slice(); 2 * PATIENCE as usize];
        let shown = "\r%".repeat(PATIENCE as usize);
        assert_eq!(looks(&parts), [shown.clone(), shown]);
    }

    #[test]
    fn a_line_without_an_end_is_not_gathered_for_ever() {
        let part = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(looks(&[&part, b"y"]), [String::from_utf8(part.clone()).unwrap(), "end:y".into()]);
    }

    #[test]
    fn a_character_is_not_cut() {
        let mut parts = [b"".as_slice(); PATIENCE as usize + 1];
        parts[0] = b"a\xe2\x98";
        parts[PATIENCE as usize] = b"\x83";
        assert_eq!(looks(&parts), ["a", "end:\u{2603}"]);
    }

    #[test]
    fn what_is_no_utf_8_is_marked() {
        assert_eq!(looks(&[b"a\xff\n"]), ["a\u{fffd}\n"]);
    }
}
