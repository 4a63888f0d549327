//! The pickles of objects, each kept once for a session under its hash, and counted by the contents that name it.
//!
//! A count changes whenever a content comes or goes that names the pickle, so counts stand apart from the bytes: SQLite
//! writes a row as a whole. A large pickle is a file beside the database, which would write it twice. Its worker has written
//! the file; here it gets a second name, within the transaction that names it first.
//!
//! **Invariant: a file is there as long as its row.** It has its name, and is on the disk, before the row is committed. What
//! removes the row enters the file among those to be removed, in the same transaction; after that nothing can name it, as
//! no name is given twice. A process that dies in between leaves a file too many, which [`remove_strays`] finds.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hark_machine::limits::FILE_BYTES_MIN;
use hark_machine::{Pickle, PickleHash};
use rusqlite::{Connection, OptionalExtension, ffi, params};

use super::private;

/// The folder with the files, beside the database. Folders whose names begin so are of processes that run Python.
pub(super) const FOLDER: &str = "pickles";

/// How long a file stays that is not needed any more: whoever looks at the session may have read its row just before.
pub(super) const UNNEEDED_SECONDS: i64 = 10;

/// The bytes of a pickle of a session, if they can be read, and whether they are in a file.
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

/// So many more contents name this pickle. It is written if it is not there.
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

/// So many fewer contents name this pickle, a negative number. It is removed if these were the last.
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

/// Removes the files whose rows have been gone for so many seconds, outside of any transaction. What cannot be removed stays
/// for the next time.
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

/// Removes the files that no row names, which processes have left that died. It is called within a transaction that writes: nobody
/// else is about to enter one.
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

/// Makes a file of a pickle that stays; answers its name.
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
    // Across file systems there is no second name, and then it is copied.
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

/// As SQLite says it of its own file.
fn failed(error: io::Error) -> rusqlite::Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)
        }
        _ => rusqlite::Error::ToSqlConversionFailure(Box::new(error)),
    }
}
