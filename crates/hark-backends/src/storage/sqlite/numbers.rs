//! Thread numbers where several processes start threads of one session.
//!
//! They are in a file beside the server's lock, `servers/NUMBER.threads`: at eight times the number of a session's row, one
//! past the last number that was reserved. It need not outlive the server, as whoever takes the session over sees in the
//! database which numbers are in use; so it is never synced. Kept in the database they would be commits without a sync
//! there, after which a power cut leaves what looks like damage.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hark_engine::StorageError;

use super::private;

const NUMBER_BYTES: u64 = 8;

/// The numbers of all sessions of a server, as one of its worker processes reaches them.
pub(super) struct Numbers(Mutex<File>);

impl Numbers {
    /// In this file, which is made if it does not exist.
    pub fn open(path: &Path) -> io::Result<Numbers> {
        let file = match private::make_file(path) {
            // The server's other workers have it, too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => private::open_to_write(path)?,
            made => made?,
        };
        Ok(Numbers(Mutex::new(file)))
    }

    /// Reserves so many numbers of the session in this row, and gives the first. `used` tells one past the greatest that
    /// the database has; it is asked at first, and by whoever reserves none.
    pub fn reserve(
        &self,
        row: i64,
        count: u64,
        used: impl FnOnce() -> Result<u64, StorageError>,
    ) -> Result<u64, StorageError> {
        // The lock is the process's, so its threads take turns before.
        let file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.lock().map_err(failed)?;
        let reserved = reserve(&file, row, count, used);
        // It goes with the process at the latest.
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
        assert_eq!(processes[0].reserve(4, 1, || Ok(0)), Ok(0), "another session's");
        assert_eq!(processes[1].reserve(4, 1, || unreachable!()), Ok(1));
        assert_eq!(processes[1].reserve(4, 0, || Ok(9)), Ok(9), "others have started some");
        assert_eq!(processes[0].reserve(4, 1, || unreachable!()), Ok(9));
        fs::remove_file(&path).unwrap();
    }
}
