//! Detects errors caused by exhausted resources.

use std::fs::File;
use std::io;
use std::path::Path;

use hark_engine::{Shortage, StorageError};
use rusqlite::ErrorCode;

/// How many descriptors SQLite may need at once to open the file: for the file, its log, the log's index, and the
/// folder.
const FILES_OF_CONNECTION: usize = 4;

/// The meaning of a system error for a file: an exhausted resource, or else the error made by `otherwise`.
pub(super) fn of_io(path: &Path, error: &io::Error, otherwise: impl FnOnce() -> StorageError) -> StorageError {
    Shortage::of(error).map_or_else(otherwise, |shortage| exhausted(path, shortage))
}

/// The same for an SQLite error. SQLite does not report why it could not open a file, so this tries to open it.
pub(super) fn of_sqlite(path: &Path, error: &rusqlite::Error) -> Option<StorageError> {
    let shortage = match error.sqlite_error_code()? {
        ErrorCode::OutOfMemory => Shortage::Memory,
        ErrorCode::CannotOpen | ErrorCode::SystemIoFailure => {
            let opened: io::Result<Vec<File>> = (0..FILES_OF_CONNECTION).map(|_| File::open(path)).collect();
            Shortage::of(&opened.err()?)?
        }
        _ => return None,
    };
    Some(exhausted(path, shortage))
}

fn exhausted(path: &Path, shortage: Shortage) -> StorageError {
    StorageError::Exhausted(format!("`{}` cannot be used: {shortage}; {}", path.display(), shortage.remedy()))
}
