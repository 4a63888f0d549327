//! Writes JSON incrementally.
//!
//! Nothing is collected first: a report may contain a million output items, and a value may be nested a million levels
//! deep, so neither a tree nor recursion is possible.

use std::io::{self, Write};

use hark_bytecode::float_text;

/// A JSON text being written. The caller must open and close brackets in order.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    /// Whether a comma is needed before the next value.
    follows_value: bool,
}

impl<W: Write> Json<W> {
    /// A text written to `out`.
    pub fn new(out: W) -> Json<W> {
        Json { out, follows_value: false }
    }

    /// Opens an object or list with `{` or `[`.
    pub fn open(&mut self, bracket: char) -> io::Result<()> {
        self.comma()?;
        self.follows_value = false;
        write!(self.out, "{bracket}")
    }

    /// Closes an object or list with `}` or `]`.
    pub fn close(&mut self, bracket: char) -> io::Result<()> {
        self.follows_value = true;
        write!(self.out, "{bracket}")
    }

    /// The name of the next value in an object.
    pub fn key(&mut self, key: &str) -> io::Result<()> {
        self.string(key)?;
        self.follows_value = false;
        self.out.write_all(b": ")
    }

    /// A name and a string.
    pub fn entry(&mut self, key: &str, value: &str) -> io::Result<()> {
        self.key(key)?;
        self.string(value)
    }

    /// A name and a string, or `null`.
    pub fn entry_or_null(&mut self, key: &str, value: Option<&str>) -> io::Result<()> {
        match value {
            Some(value) => self.entry(key, value),
            None => self.entry_of(key, "null"),
        }
    }

    /// A name and a number, `true`, `false` or `null`.
    pub fn entry_of(&mut self, key: &str, value: impl std::fmt::Display) -> io::Result<()> {
        self.key(key)?;
        self.atom(value)
    }

    /// A number, `true`, `false` or `null`.
    pub fn atom(&mut self, value: impl std::fmt::Display) -> io::Result<()> {
        self.comma()?;
        self.follows_value = true;
        write!(self.out, "{value}")
    }

    /// A float. Values that JSON cannot represent are written like Python's `json` does.
    pub fn float(&mut self, value: f64) -> io::Result<()> {
        if value.is_finite() {
            self.atom(float_text(value))
        } else if value.is_nan() {
            self.atom("NaN")
        } else {
            self.atom(if value > 0.0 { "Infinity" } else { "-Infinity" })
        }
    }

    /// A string.
    pub fn string(&mut self, text: &str) -> io::Result<()> {
        self.comma()?;
        self.follows_value = true;
        self.out.write_all(b"\"")?;
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
            self.out.write_all(&rest.as_bytes()[..at])?;
            match rest.as_bytes()[at] {
                b'"' => self.out.write_all(b"\\\"")?,
                b'\\' => self.out.write_all(b"\\\\")?,
                b'\n' => self.out.write_all(b"\\n")?,
                b'\r' => self.out.write_all(b"\\r")?,
                b'\t' => self.out.write_all(b"\\t")?,
                control => write!(self.out, "\\u{control:04x}")?,
            }
            rest = &rest[at + 1..];
        }
        self.out.write_all(rest.as_bytes())?;
        self.out.write_all(b"\"")
    }

    /// Ends the text with a line break.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn comma(&mut self) -> io::Result<()> {
        if self.follows_value { self.out.write_all(b", ") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_between() {
        let mut json = Json::new(Vec::new());
        json.open('{').unwrap();
        json.entry("a", "x").unwrap();
        json.key("b").unwrap();
        json.open('[').unwrap();
        json.close(']').unwrap();
        json.key("c").unwrap();
        json.open('[').unwrap();
        json.atom(1).unwrap();
        json.open('{').unwrap();
        json.close('}').unwrap();
        json.atom("null").unwrap();
        json.close(']').unwrap();
        json.entry_of("d", true).unwrap();
        json.close('}').unwrap();
        let text = String::from_utf8(json.finish().unwrap()).unwrap();
        assert_eq!(text, "{\"a\": \"x\", \"b\": [], \"c\": [1, {}, null], \"d\": true}\n");
    }

    #[test]
    fn strings_are_escaped() {
        let mut json = Json::new(Vec::new());
        json.string("\u{0}\"\\\n\r\t\u{1f}\u{7f}é☃😀").unwrap();
        let text = String::from_utf8(json.finish().unwrap()).unwrap();
        assert_eq!(text, "\"\\u0000\\\"\\\\\\n\\r\\t\\u001f\u{7f}é☃😀\"\n");
    }

    #[test]
    fn floats_are_those_of_python() {
        let written = |value| {
            let mut json = Json::new(Vec::new());
            json.float(value).unwrap();
            String::from_utf8(json.finish().unwrap()).unwrap()
        };
        assert_eq!(written(4.0), "4.0\n");
        assert_eq!(written(1e16), "1e+16\n");
        assert_eq!(written(f64::NAN), "NaN\n");
        assert_eq!(written(f64::INFINITY), "Infinity\n");
        assert_eq!(written(f64::NEG_INFINITY), "-Infinity\n");
    }
}
