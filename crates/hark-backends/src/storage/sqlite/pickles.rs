//! The pickles of objects. Each is kept once per session under its hash, with a count of the contents that refer to it.
//!
//! A count changes whenever a content that refers to the pickle is added or removed. Counts are in a separate table
//! from the bytes, because SQLite always writes whole rows. A large pickle is a file beside the database, which would
//! write it twice. A worker has written the file; here it gets a second name, within the transaction that first refers
//! to it.
//!
//! **Invariant: the file exists as long as its row.** It has its name, and is on disk, before the row is committed.
//! Deleting the row records the file as removable in the same transaction; after that nothing can refer to it, because
//! names are never reused. A process that dies in between leaves a stray file, which [`remove_strays`] finds.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hark_machine::limits::FILE_BYTES_MIN;
use hark_machine::{Pickle, PickleHash};
use rusqlite::{Connection, OptionalExtension, ffi, params};

use super::private;

/// The folder of the files, beside the database. Folders with this prefix belong to processes that run Python.
pub(super) const FOLDER: &str = "pickles";

/// How long an unneeded file is kept, because a reader of the session may just have read its row.
pub(super) const UNNEEDED_SECONDS: i64 = 10;

/// The bytes of a session's pickle if they can be read, and whether they are in a file.
pub(super) fn read(
    connection: &Connection,
    session: i64,
    hash: PickleHash,
) -> rusqlite::Result<Option<(Option<Vec<u8>>, bool)>> {
    let sql = "SELECT file, content FROM pickle LEFT JOIN pickle_content USING (session, hash)
        WHERE session = ?1 AND hash = ?2";
    let found: Option<(Option<String>, Option<Vec<u8>>)> = connection
        .prepare_cached(sql)?
        .query_row(params![session, hash.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found.map(|(file, content)| match file {
        Some(file) => (fs::read(folder_of(connection).join(file)).ok(), true),
        None => (content, false),
    }))
}

/// Adds references to a pickle. Writes the pickle if it does not exist.
pub(super) fn count_in(connection: &Connection, session: i64, pickle: &Pickle, uses: i64) -> rusqlite::Result<()> {
    let hash = pickle.hash().0;
    let sql = "UPDATE pickle SET uses = uses + ?3 WHERE session = ?1 AND hash = ?2";
    if connection.prepare_cached(sql)?.execute(params![session, hash, uses])? > 0 {
        return Ok(());
    }
    let file = if pickle.length() >= FILE_BYTES_MIN {
        Some(keep_file(&folder_of(connection), pickle).map_err(failed)?)
    } else {
        let bytes = pickle.bytes().map_err(failed)?;
        let sql = "INSERT INTO pickle_content VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![session, hash, bytes])?;
        None
    };
    connection
        .prepare_cached("INSERT INTO pickle VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![session, hash, uses, file])
        .map(drop)
}

/// Removes references to a pickle (`uses` is negative). Removes the pickle with its last reference.
pub(super) fn count_out(connection: &Connection, session: i64, hash: PickleHash, uses: i64) -> rusqlite::Result<()> {
    let sql = "UPDATE pickle SET uses = uses + ?3 WHERE session = ?1 AND hash = ?2 RETURNING uses";
    let left: Option<i64> =
        connection.prepare_cached(sql)?.query_row(params![session, hash.0, uses], |row| row.get(0)).optional()?;
    if left.is_some_and(|left| left <= 0) {
        for sql in [
            "DELETE FROM pickle WHERE session = ?1 AND hash = ?2",
            "DELETE FROM pickle_content WHERE session = ?1 AND hash = ?2",
        ] {
            connection.prepare_cached(sql)?.execute(params![session, hash.0])?;
        }
    }
    Ok(())
}

/// Removes the files whose rows have been gone for this many seconds. Must be called outside of transactions. Files
/// that cannot be removed are kept for the next time.
pub(super) fn remove_files(connection: &Connection, seconds: i64) -> rusqlite::Result<()> {
    let removed: Vec<String> = connection
        .prepare_cached("SELECT file FROM pickle_removed WHERE since <= unixepoch() - ?1")?
        .query_map([seconds], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let folder = folder_of(connection);
    for file in removed {
        match fs::remove_file(folder.join(&file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => drop(connection.prepare_cached("DELETE FROM pickle_removed WHERE file = ?1")?.execute([file])?),
        }
    }
    Ok(())
}

/// Removes files without a row, left by processes that died. Must be called within a write transaction, so that no
/// other process is about to insert a row.
pub(super) fn remove_strays(connection: &Connection) -> rusqlite::Result<()> {
    let folder = folder_of(connection);
    let Ok(found) = fs::read_dir(&folder) else { return Ok(()) };
    let named: HashSet<String> = connection
        .prepare_cached("SELECT file FROM pickle WHERE file IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for entry in found.flatten() {
        if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Creates a permanent file for a pickle and returns its name.
fn keep_file(folder: &Path, pickle: &Pickle) -> io::Result<String> {
    if !folder.is_dir() {
        private::make_folder(folder)?;
        File::open(folder.parent().unwrap_or(folder))?.sync_all()?;
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let name = format!("{:032x}", u128::from_le_bytes(random));
    let path = folder.join(&name);
    let kept = keep_at(&path, pickle).and_then(|()| File::open(folder)?.sync_all());
    kept.inspect_err(|_| drop(fs::remove_file(&path)))?;
    Ok(name)
}

fn keep_at(path: &Path, pickle: &Pickle) -> io::Result<()> {
    // There are no hard links across file systems; then the file is copied.
    if pickle.file().is_some_and(|file| fs::hard_link(file.path(), path).is_ok()) {
        return File::open(path)?.sync_all();
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&pickle.bytes()?)?;
    file.sync_all()
}

fn folder_of(connection: &Connection) -> PathBuf {
    let file = Path::new(connection.path().unwrap_or_default());
    file.with_file_name(FOLDER)
}

/// Converts the error to the one that SQLite would report for its own file.
fn failed(error: io::Error) -> rusqlite::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
        }
        _ => rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
    }
}
