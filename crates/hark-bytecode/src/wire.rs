//! The primitives of Hark's binary formats: what is written byte by byte, here and in the machine's snapshots.
//!
//! Unsigned integers are LEB128 varints, signed ones zig-zagged first, floats their IEEE bits in little endian, byte
//! strings a length and the bytes. A sealed document is a magic of four bytes, a version byte, the content and the
//! CRC-32 of all that.

use std::fmt;

/// Bytes that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The bytes end too early.
    #[error("it ends too early, at byte {0}")]
    Truncated(usize),
    /// The bytes do not have the meaning they should.
    #[error("{what} is not valid, at byte {at}")]
    Invalid {
        /// What was being read.
        what: &'static str,
        /// Where it began.
        at: usize,
    },
    /// It does not begin with the magic of this kind of document.
    #[error("it is no {0}")]
    NotThis(&'static str),
    /// It was written by a later version.
    #[error("it has format version {found}, and this release reads up to {known}; use a newer one")]
    Version {
        /// The version it has.
        found: u8,
        /// The newest that can be read.
        known: u8,
    },
    /// The checksum does not fit the content.
    #[error("its checksum does not fit: it was damaged")]
    Checksum,
}

/// Gathers bytes.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// One byte.
    pub fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// An unsigned integer as a varint.
    pub fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// A signed integer, zig-zagged.
    pub fn signed(&mut self, value: i64) {
        self.unsigned(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A float's bits.
    pub fn float(&mut self, value: f64) {
        self.bytes.extend_from_slice(&value.to_bits().to_le_bytes());
    }

    /// A length and the bytes.
    pub fn bytes(&mut self, value: &[u8]) {
        self.unsigned(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A string, as its UTF-8 bytes.
    pub fn string(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// Bytes as they are, without their length.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// What was written, as it is.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What was written, as a document with its kind, version and checksum.
    pub fn seal(self, magic: [u8; 4], version: u8) -> Vec<u8> {
        let mut document = Vec::with_capacity(self.bytes.len() + 9);
        document.extend_from_slice(&magic);
        document.push(version);
        document.extend_from_slice(&self.bytes);
        document.extend_from_slice(&crc32fast::hash(&document).to_le_bytes());
        document
    }
}

/// Reads what a [`Writer`] wrote. Never panics, whatever the bytes.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads from the first of these bytes.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Opens a document of this kind: checks magic, version and checksum, and stands before its content.
    ///
    /// # Errors
    /// If it is no such document, of a later version, or damaged. Also gives the version that it has.
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

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error about what began at this byte.
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

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned integer.
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

    /// An unsigned integer of 32 bits.
    pub fn unsigned32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.unsigned()?).map_err(|_| self.invalid("an integer"))
    }

    /// A signed integer.
    pub fn signed(&mut self) -> Result<i64, WireError> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A signed integer of 32 bits.
    pub fn signed32(&mut self) -> Result<i32, WireError> {
        i32::try_from(self.signed()?).map_err(|_| self.invalid("an integer"))
    }

    /// A float.
    pub fn float(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    /// So many bytes as they are, without their length.
    pub fn array<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], WireError> {
        self.take(COUNT)?.try_into().map_err(|_| self.invalid("an array"))
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = self.unsigned()?;
        let length = usize::try_from(length).map_err(|_| self.invalid("a length"))?;
        self.take(length)
    }

    /// A string.
    pub fn string(&mut self) -> Result<&'a str, WireError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.invalid("a string"))
    }

    /// How many items follow, each of at least one byte. Guards against lengths that no memory could hold.
    pub fn count(&mut self) -> Result<usize, WireError> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => Err(self.invalid("a count")),
        }
    }

    /// Checks that nothing is left.
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
