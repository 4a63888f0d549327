//! Thread numbers for sessions in which several processes start threads.
//!
//! They are in a file beside the server's lock, `servers/NUMBER.threads`. At eight times the number of a session's row
//! is the next free number. The file need not outlive the server, because its successor finds the numbers in use in the
//! database; so it is never synced. In the database, the numbers would be commits without a sync, which look like
//! damage after a power cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hark_engine::StorageError;

use super::private;

const NUMBER_BYTES: u64 = 8;

/// The numbers of all sessions of a server, as seen by one of its worker processes.
pub(super) struct Numbers(Mutex<File>);

impl Numbers {
    /// Opens this file, or creates it.
    pub fn open(path: &Path) -> io::Result<Numbers> {
        let file = match private::make_file(path) {
            // The server's other workers use it too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => private::open_to_write(path)?,
            made => made?,
        };
        Ok(Numbers(Mutex::new(file)))
    }

    /// Reserves `count` numbers for the session in this row, and returns the first. `used` returns the next free number
    /// according to the database; it is called the first time, and if `count` is 0.
    pub fn reserve(
        &self,
        row: i64,
        count: u64,
        used: impl FnOnce() -> Result<u64, StorageError>,
    ) -> Result<u64, StorageError> {
        // The file lock belongs to the process, so its threads must take turns first.
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().map_err(failed)?;
        let reserved = reserve(&file, row, count, used);
        // The lock is released at the latest when the process ends.
        let _ = file.unlock();
        reserved
    }
}

fn reserve(
    file: &File,
    row: i64,
    count: u64,
    used: impl FnOnce() -> Result<u64, StorageError>,
) -> Result<u64, StorageError> {
    let place = row.unsigned_abs().saturating_mul(NUMBER_BYTES);
    let mut bytes = [0; NUMBER_BYTES as usize];
    let mut next = match file.read_exact_at(&mut bytes, place) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
        Err(error) => return Err(failed(error)),
    };
    if next == 0 || count == 0 {
        next = next.max(used()?);
    }
    file.write_all_at(&next.saturating_add(count).to_le_bytes(), place).map_err(failed)?;
    Ok(next)
}

fn failed(error: io::Error) -> StorageError {
    StorageError::Transient(format!("the numbers of threads cannot be reserved: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;
    use std::fs;
    use std::thread;

    use super::*;

    #[test]
    fn each_number_is_reserved_once() {
        let path = env::temp_dir().join(format!("hark-numbers-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let processes: Vec<Numbers> = (0..2).map(|_| Numbers::open(&path).unwrap()).collect();
        let numbers: Vec<u64> = thread::scope(|scope| {
            let threads = [0, 0, 1, 1].map(|process: usize| {
                let numbers = &processes[process];
                scope.spawn(move || (0..500).map(|_| numbers.reserve(3, 2, || Ok(7)).unwrap()).collect::<Vec<_>>())
            });
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(numbers.iter().copied().collect::<BTreeSet<u64>>(), (0..2_000).map(|n| 7 + 2 * n).collect());
        assert_eq!(processes[0].reserve(4, 1, || Ok(0)), Ok(0), "another session has its own numbers");
        assert_eq!(processes[1].reserve(4, 1, || unreachable!()), Ok(1));
        assert_eq!(processes[1].reserve(4, 0, || Ok(9)), Ok(9), "other processes have started some");
        assert_eq!(processes[0].reserve(4, 1, || unreachable!()), Ok(9));
        fs::remove_file(&path).unwrap();
    }
}
