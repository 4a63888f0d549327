//! The JSON parser: strict, except for Python's additional numbers. Nesting is unlimited.

use triomphe::Arc;

use crate::builtin::Result;
use crate::builtin::argument::{quoted, text};
use crate::error::Error;
use crate::hash::{HashBody, Key};
use crate::limits::{HASH_LENGTH_MAX, LIST_LENGTH_MAX};
use crate::list::ListBody;
use crate::parse::{IntegerText, integer_from};
use crate::value::Value;

/// Parses a JSON text. The last value of a key wins.
pub(in crate::builtin) fn decode(json: &Value) -> Result<Value> {
    let json = text("json_decode", "a string", json)?.as_str();
    let mut reader = Reader { text: json, at: 0 };
    reader.whole().map_err(|fault| fault.explained(json))
}

/// A syntax error and its position.
struct Fault {
    what: String,
    at: usize,
    kind: &'static str,
}

impl Fault {
    fn explained(self, text: &str) -> Error {
        let before = &text[..self.at];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Error::new(self.kind, format!("`json_decode`: {} at line {line}, column {column}", self.what))
    }
}

type Read<T> = std::result::Result<T, Fault>;

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

/// An open container.
enum Open {
    List(ListBody, usize),
    /// The key of the next value.
    Hash(HashBody, Key, usize),
}

impl<'t> Reader<'t> {
    fn whole(&mut self) -> Read<Value> {
        let mut open: Vec<Open> = Vec::new();
        self.skip_blanks();
        loop {
            // A value begins here.
            let mut value = match self.peek() {
                Some(b'[') => {
                    let start = self.at;
                    self.advance();
                    if !self.accept(b']') {
                        open.push(Open::List(ListBody::default(), start));
                        continue;
                    }
                    Value::list(Vec::new())
                }
                Some(b'{') => {
                    let start = self.at;
                    self.advance();
                    if !self.accept(b'}') {
                        let key = self.key(start)?;
                        open.push(Open::Hash(HashBody::default(), key, start));
                        continue;
                    }
                    Value::Hash(Arc::new(HashBody::default()))
                }
                None if !open.is_empty() => return Err(self.unclosed(&open)),
                _ => self.atom()?,
            };
            // The value is complete; close the containers that end with it.
            loop {
                self.skip_blanks();
                let Some(top) = open.pop() else {
                    return if self.at == self.text.len() {
                        Ok(value)
                    } else {
                        Err(self.fault("unexpected text after the value"))
                    };
                };
                match self.put(value, top)? {
                    Put::More(top) => {
                        open.push(top);
                        break;
                    }
                    Put::Whole(container) => value = container,
                    Put::AtEnd(top) => {
                        open.push(top);
                        return Err(self.unclosed(&open));
                    }
                }
            }
        }
    }

    /// Adds a value to its container and reads the following punctuation.
    fn put(&mut self, value: Value, top: Open) -> Read<Put> {
        match top {
            Open::List(mut list, start) => {
                if list.len() >= LIST_LENGTH_MAX {
                    return Err(self.too_large(format!("a list has more than {LIST_LENGTH_MAX} elements")));
                }
                list.push(value);
                match self.peek() {
                    Some(b']') => {
                        self.at += 1;
                        Ok(Put::Whole(Value::List(0, Arc::new(list))))
                    }
                    Some(b',') => {
                        self.advance();
                        Ok(Put::More(Open::List(list, start)))
                    }
                    None => Ok(Put::AtEnd(Open::List(list, start))),
                    Some(_) => Err(self.fault("expected `,` or `]`")),
                }
            }
            Open::Hash(mut hash, key, start) => {
                if hash.len() >= HASH_LENGTH_MAX {
                    return Err(self.too_large(format!("an object has more than {HASH_LENGTH_MAX} keys")));
                }
                hash.insert(key, value);
                match self.peek() {
                    Some(b'}') => {
                        self.at += 1;
                        Ok(Put::Whole(Value::Hash(Arc::new(hash))))
                    }
                    Some(b',') => {
                        self.advance();
                        let key = self.key(start)?;
                        Ok(Put::More(Open::Hash(hash, key, start)))
                    }
                    None => Err(self.unclosed_at("object", start)),
                    Some(_) => Err(self.fault("expected `,` or `}`")),
                }
            }
        }
    }

    /// A key and its colon, in the object that began at `start`.
    fn key(&mut self, start: usize) -> Read<Key> {
        match self.peek() {
            Some(b'"') => {}
            None => return Err(self.unclosed_at("object", start)),
            Some(_) => return Err(self.fault("expected a key in double quotes")),
        }
        let key = self.string()?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.fault("expected `:`"));
        }
        self.advance();
        Key::new(key).map_err(|_| self.fault("expected a key"))
    }

    fn atom(&mut self) -> Read<Value> {
        match self.peek() {
            Some(b'"') => return self.string(),
            Some(b'-' | b'0'..=b'9') if !self.rest().starts_with("-Infinity") => return self.number(),
            _ => {}
        }
        let words = [
            ("null", Value::Null),
            ("true", Value::Boolean(true)),
            ("false", Value::Boolean(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        for (word, value) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.fault("expected a value"))
    }

    fn number(&mut self) -> Read<Value> {
        let start = self.at;
        let mut is_float = false;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            is_float = true;
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            is_float = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if is_float {
            return text.parse().map(Value::Float).map_err(|_| self.fault("expected a number"));
        }
        match integer_from(text) {
            IntegerText::Integer(value) => Ok(value),
            IntegerText::TooLong => Err(self.too_large("an integer has too many digits".to_owned())),
            IntegerText::Other => Err(self.fault("expected a number")),
        }
    }

    /// One or more digits.
    fn digits(&mut self) -> Read<()> {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        if count > 0 { Ok(()) } else { Err(self.fault("expected a digit")) }
    }

    fn string(&mut self) -> Read<Value> {
        let start = self.at;
        self.at += 1;
        let mut decoded = String::new();
        let text = self.text;
        loop {
            let rest = &text[self.at..];
            let Some(length) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') else {
                self.at = start;
                return Err(self.fault("unterminated string starting"));
            };
            let (plain, special) = (&rest[..length], rest.as_bytes()[length]);
            self.at += length;
            match special {
                b'"' => {
                    self.at += 1;
                    if decoded.is_empty() {
                        return Ok(Value::string(plain));
                    }
                    decoded.push_str(plain);
                    return Ok(Value::string(decoded));
                }
                b'\\' => {
                    decoded.push_str(plain);
                    decoded.push(self.escape()?);
                }
                _ => return Err(self.fault("unescaped control character")),
            }
        }
    }

    fn escape(&mut self) -> Read<char> {
        let character = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(),
            _ => return Err(self.fault("unknown escape")),
        };
        self.at += 2;
        Ok(character)
    }

    /// `\uxxxx`, or a pair of them for a character outside the BMP.
    fn unicode_escape(&mut self) -> Read<char> {
        let unit = |at: usize| {
            let digits = self.text.as_bytes().get(at..at + 6)?.strip_prefix(b"\\u")?;
            digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
        };
        let Some(first) = unit(self.at) else { return Err(self.fault("`\\u` without four hexadecimal digits")) };
        let (code, length) = match (first, unit(self.at + 6)) {
            (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) => {
                (0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
            }
            (first, _) => (first, 6),
        };
        let Some(character) = char::from_u32(code) else {
            let escape = quoted(&self.rest()[..6]);
            return Err(self.fault(&format!("unpaired surrogate {escape}")));
        };
        self.at += length;
        Ok(character)
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Skips a byte and the white space after it.
    fn advance(&mut self) {
        self.at += 1;
        self.skip_blanks();
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Skips this byte if it is next; returns whether it was.
    fn accept(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn fault(&self, what: &str) -> Fault {
        Fault { what: what.to_owned(), at: self.at, kind: "value" }
    }

    fn too_large(&self, what: String) -> Fault {
        Fault { what, at: self.at, kind: "limit" }
    }

    fn unclosed(&self, open: &[Open]) -> Fault {
        match open.last() {
            Some(Open::List(_, start)) => self.unclosed_at("list", *start),
            Some(Open::Hash(_, _, start)) => self.unclosed_at("object", *start),
            None => self.fault("expected a value"),
        }
    }

    fn unclosed_at(&self, what: &str, start: usize) -> Fault {
        Fault { what: format!("unclosed {what} starting"), at: start, kind: "value" }
    }
}

/// What follows a value in a container.
enum Put {
    /// The container has another value.
    More(Open),
    /// The container is complete.
    Whole(Value),
    /// The text ends prematurely.
    AtEnd(Open),
}
