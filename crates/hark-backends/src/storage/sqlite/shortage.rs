//! What has run out, where the file cannot be used for that.

use std::fs::File;
use std::io;
use std::path::Path;

use hark_engine::{Shortage, StorageError};
use rusqlite::ErrorCode;

/// How many descriptors SQLite may need at once to open the file: for it, its log and the log's index, and for the folder.
const FILES_OF_CONNECTION: usize = 4;

/// What this error of the system means for a file: that something has run out, or what `otherwise` says.
pub(super) fn of_io(path: &Path, error: &io::Error, otherwise: impl FnOnce() -> StorageError) -> StorageError {
    Shortage::of(error).map_or_else(otherwise, |shortage| exhausted(path, shortage))
}

/// The same for an error of SQLite. It does not tell why it cannot open a file, so that is tried.
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
