//! The pickles of objects, each kept once for a session under its hash, and counted by the contents that name it.
//!
//! A count changes whenever a content comes or goes that names the pickle, so counts stand apart from the bytes: SQLite
//! writes a row as a whole.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hark_machine::{Pickle, PickleHash, PickleSource};
use rusqlite::{Connection, OptionalExtension, params};

/// How many bytes of a pickle are in one row.
const PART_BYTES: usize = 1 << 20;

/// So many pickles are remembered before those that nobody holds any more are forgotten.
const FORGOTTEN_MIN: usize = 64;

/// The pickles that this process holds, so that none of them is read again.
#[derive(Default)]
pub(super) struct HeldPickles(Mutex<HashMap<PickleHash, Weak<Pickle>>>);

impl HeldPickles {
    pub fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash)?.upgrade()
    }

    pub fn add(&self, pickle: &Arc<Pickle>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= FORGOTTEN_MIN && held.len() == held.capacity() {
            held.retain(|_, pickle| pickle.strong_count() > 0);
        }
        held.insert(pickle.hash(), Arc::downgrade(pickle));
    }
}

/// The pickles of a session in the file.
pub(super) struct StoredPickles<'a> {
    pub connection: &'a Connection,
    pub session: i64,
    pub held: &'a HeldPickles,
}

impl StoredPickles<'_> {
    fn read(&self, hash: &PickleHash) -> rusqlite::Result<Vec<u8>> {
        let sql = "SELECT content FROM pickle_part WHERE session = ?1 AND hash = ?2 ORDER BY part";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.session, hash.0])?;
        let mut bytes = Vec::new();
        while let Some(row) = rows.next()? {
            bytes.extend_from_slice(row.get_ref(0)?.as_blob()?);
        }
        Ok(bytes)
    }
}

impl PickleSource for StoredPickles<'_> {
    /// What cannot be read, or has another hash, is as good as missing.
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        if let Some(held) = self.held.find(hash) {
            return Some(held);
        }
        let pickle = Arc::new(Pickle::new(self.read(hash).ok()?));
        if pickle.hash() != *hash {
            return None;
        }
        self.held.add(&pickle);
        Some(pickle)
    }
}

/// One more content names this pickle. It is written if it is the first.
pub(super) fn count_in(connection: &Connection, session: i64, pickle: &Pickle) -> rusqlite::Result<()> {
    let hash = pickle.hash().0;
    let sql = "UPDATE pickle SET uses = uses + 1 WHERE session = ?1 AND hash = ?2";
    if connection.prepare_cached(sql)?.execute(params![session, hash])? > 0 {
        return Ok(());
    }
    connection.prepare_cached("INSERT INTO pickle VALUES (?1, ?2, 1)")?.execute(params![session, hash])?;
    let mut insert = connection.prepare_cached("INSERT INTO pickle_part VALUES (?1, ?2, ?3, ?4)")?;
    let bytes = pickle.bytes().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    for (part, bytes) in bytes.chunks(PART_BYTES).enumerate() {
        insert.execute(params![session, hash, part as i64, bytes])?;
    }
    Ok(())
}

/// One content less names this pickle. It is removed if that was the last.
pub(super) fn count_out(connection: &Connection, session: i64, hash: PickleHash) -> rusqlite::Result<()> {
    let sql = "UPDATE pickle SET uses = uses - 1 WHERE session = ?1 AND hash = ?2 RETURNING uses";
    let left: Option<i64> =
        connection.prepare_cached(sql)?.query_row(params![session, hash.0], |row| row.get(0)).optional()?;
    if left.is_some_and(|left| left <= 0) {
        for sql in [
            "DELETE FROM pickle WHERE session = ?1 AND hash = ?2",
            "DELETE FROM pickle_part WHERE session = ?1 AND hash = ?2",
        ] {
            connection.prepare_cached(sql)?.execute(params![session, hash.0])?;
        }
    }
    Ok(())
}
