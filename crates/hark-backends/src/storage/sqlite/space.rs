//! The records that belong to no session.

use std::num::NonZeroU64;
use std::ops::Range;

use hark_engine::{Outcome, Space, SpaceCommit, SpaceKey, SpaceRecord, Stamp, StorageError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Shared;
use super::change::stamp_number;

/// The checksum of a record, because SQLite does not notice wrong bits.
fn seal(key: &[u8], content: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&key.len().to_le_bytes());
    hasher.update(key);
    hasher.update(content);
    i64::from(hasher.finalize())
}

/// A record from the columns `key, stamp, checksum, content`.
fn record_from(row: &Row<'_>) -> rusqlite::Result<(SpaceKey, SpaceRecord)> {
    let (key, stamp, checksum, content): (SpaceKey, i64, i64, Vec<u8>) =
        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    let is_whole = checksum == seal(&key, &content);
    match NonZeroU64::new(stamp as u64).filter(|_| is_whole) {
        Some(stamp) => Ok((key, SpaceRecord { stamp: Stamp(stamp), content })),
        None => Err(rusqlite::Error::IntegralValueOutOfRange(1, stamp)),
    }
}

impl Space for Shared {
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError> {
        self.read_space(|connection| {
            let sql = "SELECT key, stamp, checksum, content FROM space WHERE key = ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let read = |key: &SpaceKey| statement.query_row([key], record_from).optional();
            let found: rusqlite::Result<Vec<_>> = keys.iter().map(read).collect();
            Ok(found?.into_iter().map(|found| found.map(|(_, record)| record)).collect())
        })
    }

    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.read_space(|connection| {
            let sql =
                "SELECT key, stamp, checksum, content FROM space WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_map(params![range.start, range.end, limit], record_from)?.collect()
        })
    }

    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError> {
        self.group
            .alone(&self.database, |connection| make(connection, commit).map_err(|error| self.database.error(&error)))
    }
}

impl Shared {
    fn read_space<T>(&self, read: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StorageError> {
        self.database.read(|connection| read(connection).map_err(|error| self.database.error(&error)))
    }
}

/// Makes a change within a transaction, if its expectations hold.
fn make(connection: &Connection, commit: &SpaceCommit) -> rusqlite::Result<Outcome> {
    let mut statement = connection.prepare_cached("SELECT stamp FROM space WHERE key = ?1")?;
    for (key, expected) in &commit.expect {
        let found: Option<i64> = statement.query_row([key], |row| row.get(0)).optional()?;
        if found != expected.map(stamp_number) {
            return Ok(Outcome::Conflict);
        }
    }
    let mut statement = connection.prepare_cached("REPLACE INTO space VALUES (?1, ?2, ?3, ?4)")?;
    for (key, content) in &commit.put {
        let checksum = seal(key, content);
        statement.execute(params![key, stamp_number(commit.stamp), checksum, content])?;
    }
    let mut statement = connection.prepare_cached("DELETE FROM space WHERE key = ?1")?;
    for key in &commit.delete {
        statement.execute([key])?;
    }
    Ok(Outcome::Done)
}
