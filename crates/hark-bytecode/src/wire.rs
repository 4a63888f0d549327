//! The primitives of Hark's binary formats, which executables and the machine's snapshots are built from.
//!
//! Unsigned integers are LEB128 varints, signed ones are zig-zagged first, floats are their IEEE bits in little endian,
//! byte strings are a length and the bytes. A sealed document is a magic of four bytes, a version byte, the content,
//! and the CRC-32 of all of these.

use std::fmt;

/// Why bytes cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The input ended too early, at this offset.
    #[error("it ends too early, at byte {0}")]
    Truncated(usize),
    /// The bytes do not encode a valid value.
    #[error("{what} is not valid, at byte {at}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Its offset.
        at: usize,
    },
    /// The input does not begin with the magic of this kind of document.
    #[error("it is not a valid {0}")]
    NotThis(&'static str),
    /// It was written by a later version.
    #[error("it has format version {found}, and this release reads up to {known}; use a newer one")]
    Version {
        /// The document's version.
        found: u8,
        /// The newest version that can be read.
        known: u8,
    },
    /// The checksum does not match the content.
    #[error("its checksum does not match: it was damaged")]
    Checksum,
}

/// Writes values to a byte buffer.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// Writes one byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Writes an unsigned integer as a varint.
    pub fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Writes a signed integer, zig-zagged.
    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Writes a float's bits.
    pub fn float(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// Writes a length and the bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.unsigned(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Writes a string as its UTF-8 bytes, with their length.
    pub fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Writes bytes without a length.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// The bytes written so far.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The bytes written so far as a document with magic, version and checksum.
    pub fn seal(self, magic: [u8; 4], version: u8) -> Vec<u8> {
        let mut document = Vec::with_capacity(self.bytes.len() + 9);
        document.extend_from_slice(&magic);
        document.push(version);
        document.extend_from_slice(&self.bytes);
        document.extend_from_slice(&crc32fast::hash(&document).to_le_bytes());
        document
    }
}

/// Reads the output of a [`Writer`]. Never panics, whatever the bytes.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Opens a sealed document: checks magic, version and checksum, and returns its version and a reader of its
    /// content.
    ///
    /// # Errors
    /// If it is another kind of document, of a later version, or damaged.
    pub fn open(
        document: &'a [u8],
        kind: &'static str,
        magic: [u8; 4],
        known_version: u8,
    ) -> Result<(Reader<'a>, u8), WireError> {
        let Some(rest) = document.strip_prefix(&magic) else { return Err(WireError::NotThis(kind)) };
        let Some((&found, _)) = rest.split_first() else { return Err(WireError::Truncated(document.len())) };
        let Some((content, checksum)) = document.split_last_chunk::<4>().filter(|(content, _)| content.len() >= 5)
        else {
            return Err(WireError::Truncated(document.len()));
        };
        if crc32fast::hash(content) != u32::from_le_bytes(*checksum) {
            return Err(WireError::Checksum);
        }
        if found > known_version {
            return Err(WireError::Version { found, known: known_version });
        }
        Ok((Reader { bytes: content, at: 5 }, found))
    }

    /// The number of bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error about the value that starts at this offset.
    pub fn invalid(&self, what: &'static str) -> WireError {
        WireError::Invalid { what, at: self.at }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let Some(end) = end else { return Err(WireError::Truncated(self.bytes.len())) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// Reads one byte.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    /// Reads an unsigned integer.
    pub fn unsigned(&mut self) -> Result<u64, WireError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(self.invalid("an integer"));
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.invalid("an integer"))
    }

    /// Reads an unsigned integer of 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.unsigned()?).map_err(|_| self.invalid("an integer"))
    }

    /// Reads a signed integer.
    pub fn signed(&mut self) -> Result<i64, WireError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Reads a signed integer of 32 bits.
    pub fn signed32(&mut self) -> Result<i32, WireError> {
        i32::try_from(self.signed()?).map_err(|_| self.invalid("an integer"))
    }

    /// Reads a float.
    pub fn float(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// Reads a fixed number of bytes without a length.
    pub fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], WireError> {
        self.take(COUNT)?.try_into().map_err(|_| self.invalid("an array"))
    }

    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.unsigned()?;
        let length = usize::try_from(length).map_err(|_| self.invalid("a length"))?;
        self.take(length)
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.invalid("a string"))
    }

    /// Reads the number of items that follow, each of at least one byte. Rejects counts that exceed the remaining
    /// bytes, so that no damaged length can exhaust memory.
    pub fn count(&mut self) -> Result<usize, WireError> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => Err(self.invalid("a count")),
        }
    }

    /// Checks that no bytes are left.
    pub fn finish(self) -> Result<(), WireError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.invalid("the end")) }
    }
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Reader at {} of {}", self.at, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new();
        writer.unsigned(u64::MAX);
        writer.signed(i64::MIN);
        writer.float(-0.0);
        writer.string("é☃");
        let document = writer.seal(*b"test", 3);
        let (mut reader, version) = Reader::open(&document, "test", *b"test", 3).unwrap();
        assert_eq!(version, 3);
        assert_eq!(reader.unsigned(), Ok(u64::MAX));
        assert_eq!(reader.signed(), Ok(i64::MIN));
        assert_eq!(reader.float().unwrap().to_bits(), (-0.0f64).to_bits());
        assert_eq!(reader.string(), Ok("é☃"));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let mut writer = Writer::new();
        writer.string("some content");
        let document = writer.seal(*b"test", 1);
        for bit in 0..document.len() * 8 {
            let mut damaged = document.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Reader::open(&damaged, "test", *b"test", 1).is_err(), "bit {bit}");
        }
    }
}
