//! A row as a single byte string, for storages that store one value per key.
//!
//! The encoding is the stamp, then numbered fields (1 due, 2 seal, 3 listing, 4 summary, 5 content, 6 priority, 7 place), and
//! a 0. Fields of later releases will have other numbers.

use std::borrow::Cow;
use std::num::NonZeroU64;

use hark_bytecode::wire::{Reader, WireError, Writer};

use super::{DueNumber, Listing, Row};
use crate::codec::read_place;
use crate::id::Stamp;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

const MAGIC: [u8; 4] = *b"HkRo";
const VERSION: u8 = 1;

const END: u8 = 0;
const DUE: u8 = 1;
const SEAL: u8 = 2;
const LISTING: u8 = 3;
const SUMMARY: u8 = 4;
const CONTENT: u8 = 5;
const PRIORITY: u8 = 6;
const PLACE: u8 = 7;

/// The error of bytes that are not a row.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// They are damaged.
    #[error("a row cannot be read: {0}")]
    Wire(#[from] WireError),
    /// The row has a field that this release does not know.
    #[error("a row has field {0}, which this release does not know; use the release that wrote it, or a later one")]
    UnknownField(u8),
}

impl From<RowError> for StorageError {
    fn from(error: RowError) -> StorageError {
        StorageError::Permanent(error.to_string())
    }
}

impl Row {
    /// Encodes the row.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.unsigned(self.stamp.0.get());
        if let Some(due) = self.due {
            writer.byte(DUE);
            writer.unsigned(due.get());
        }
        writer.byte(SEAL);
        writer.unsigned(self.seal.into());
        if let Some(Listing { state, ended }) = &self.listing {
            writer.byte(LISTING);
            writer.string(state);
            writer.byte(ended.is_some().into());
            writer.unsigned(ended.unwrap_or_default().0);
        }
        if !self.summary.is_empty() {
            writer.byte(SUMMARY);
            writer.string(&self.summary);
        }
        if !self.content.is_empty() {
            writer.byte(CONTENT);
            writer.bytes(&self.content);
        }
        if self.priority != 0 {
            writer.byte(PRIORITY);
            writer.signed(self.priority.into());
        }
        if !self.place.is_default() {
            writer.byte(PLACE);
            writer.string(&self.place.to_string());
        }
        writer.byte(END);
        writer.seal(MAGIC, VERSION)
    }

    /// Decodes a row.
    ///
    /// # Errors
    /// If the bytes are damaged, or from a later release.
    pub fn from_bytes(bytes: &[u8]) -> Result<Row, RowError> {
        let (mut reader, _) = Reader::open(bytes, "row", MAGIC, VERSION)?;
        let stamp = NonZeroU64::new(reader.unsigned()?).ok_or_else(|| reader.invalid("a version"))?;
        let mut row = Row::of_version(Stamp(stamp));
        loop {
            match reader.byte()? {
                END => break,
                DUE => row.due = Some(DueNumber::new(reader.unsigned()?)),
                SEAL => row.seal = reader.unsigned32()?,
                LISTING => {
                    let state = Cow::Owned(reader.string()?.to_owned());
                    let (has_ended, ended) = (reader.byte()? == 1, Timestamp(reader.unsigned()?));
                    row.listing = Some(Listing { state, ended: has_ended.then_some(ended) });
                }
                SUMMARY => reader.string()?.clone_into(&mut row.summary),
                CONTENT => row.content = reader.bytes()?.to_vec(),
                PRIORITY => row.priority = reader.signed32()?,
                PLACE => row.place = read_place(&mut reader)?,
                other => return Err(RowError::UnknownField(other)),
            }
        }
        reader.finish()?;
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    fn row() -> Row {
        Row {
            stamp: Stamp(NonZeroU64::MAX),
            due: Some(DueNumber::last_at(Timestamp(5))),
            priority: i32::MIN,
            place: Place::new("gpu".parse().expect("a pool"), Some(2_048)),
            seal: u32::MAX,
            listing: Some(Listing { state: "running".into(), ended: Some(Timestamp(7)) }),
            summary: "{}".to_owned(),
            content: vec![1, 2, 3],
        }
    }

    #[test]
    fn a_row_is_read_as_it_was_written() {
        let least = Row {
            due: None,
            priority: 0,
            place: Place::default(),
            listing: None,
            summary: String::new(),
            content: Vec::new(),
            ..row()
        };
        let running = Row { listing: Some(Listing { state: "running".into(), ended: None }), ..row() };
        for row in [row(), least, running] {
            assert_eq!(Row::from_bytes(&row.to_bytes()).unwrap(), row);
        }
    }

    #[test]
    fn damage_and_later_releases_are_told_apart() {
        let bytes = row().to_bytes();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            assert!(matches!(Row::from_bytes(&damaged), Err(RowError::Wire(_))), "{at}");
        }
        let mut writer = Writer::new();
        writer.unsigned(1);
        writer.byte(8);
        let error = Row::from_bytes(&writer.seal(MAGIC, VERSION)).unwrap_err();
        assert!(error.to_string().contains("field 8"), "{error}");
    }
}
