//! Room for commits at the end of the write-ahead log.
//!
//! Syncing a file that has grown makes the file system write its own journal as well, which takes about as long as the data
//! itself. So the log is made longer in advance, with zeros, and most commits overwrite bytes that the file already has.
//! SQLite takes the log up to the first frame whose checksum does not fit, and zeros are no such frame.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::private;

/// A log that is shorter has no commit in it: its first bytes are SQLite's to write.
const LOG_BYTES_MIN: u64 = 32 + 24 + 512;

/// By how much a log is made longer: by as much as it has, within these bounds.
const ROOM_BYTES_MIN: u64 = 64 << 10;
const ROOM_BYTES_MAX: u64 = 256 << 10;

/// Where the log ends if it could not be made longer. It is not tried again: the disk may be full.
const NEVER: u64 = u64::MAX;

/// How far the log was made longer.
#[derive(Debug, Default)]
pub(super) struct LogRoom {
    end: AtomicU64,
}

impl LogRoom {
    /// Makes room in a log that has grown since this was done, and has this length. Only for whoever holds SQLite's lock
    /// for writing, so that nobody else appends to the log or truncates it meanwhile.
    pub fn make(&self, log: &Path, length: u64) {
        let end = self.end.load(Ordering::Relaxed);
        if end != NEVER && length != end {
            let end = extend(log).unwrap_or(NEVER);
            self.end.store(end, Ordering::Relaxed);
        }
    }
}

/// Appends zeros to a log. Answers where it ends then.
fn extend(log: &Path) -> io::Result<u64> {
    let log: File = private::open_to_write(log)?;
    // What the caller knows of it is from before it had the lock.
    let length = log.metadata()?.len();
    if length < LOG_BYTES_MIN {
        return Ok(length);
    }
    let room = length.clamp(ROOM_BYTES_MIN, ROOM_BYTES_MAX);
    log.write_all_at(&vec![0; room as usize], length)?;
    Ok(length + room)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_log_that_has_grown_gets_zeros_behind_what_it_has() {
        let folder = std::env::temp_dir().join(format!("hark-log-room-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.db-wal");
        let length = || fs::metadata(&path).unwrap().len();
        let room = LogRoom::default();
        fs::write(&path, [1; 32]).unwrap();
        room.make(&path, 32);
        assert_eq!(length(), 32, "it has no commit yet");
        fs::write(&path, [1; 5_000]).unwrap();
        room.make(&path, 5_000);
        assert_eq!(length(), 5_000 + ROOM_BYTES_MIN);
        let bytes = fs::read(&path).unwrap();
        assert!(bytes[..5_000].iter().all(|byte| *byte == 1) && bytes[5_000..].iter().all(|byte| *byte == 0));
        room.make(&path, length());
        assert_eq!(length(), 5_000 + ROOM_BYTES_MIN, "there is room");
        let large = 10 * ROOM_BYTES_MAX;
        fs::write(&path, vec![1; large as usize]).unwrap();
        room.make(&path, large);
        assert_eq!(length(), large + ROOM_BYTES_MAX);
        fs::remove_file(&path).unwrap();
        room.make(&path, large);
        assert!(!path.exists());
        fs::write(&path, [1; 5_000]).unwrap();
        room.make(&path, 5_000);
        assert_eq!(length(), 5_000, "it is not tried again");
        fs::remove_dir_all(&folder).unwrap();
    }
}
