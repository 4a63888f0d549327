//! A common steady time for all processes that lease threads of a file.
//!
//! The steady time of a process starts with the clock's time at its start. If the clock is set between the starts of
//! two processes, each could consider the other's leases expired, or never expired. So the first process saves its
//! offset in `servers/shared.clock`, with the machine's boot id, and later ones adopt it. All of them hold a shared lock
//! on the file. A process that gets an exclusive lock is the only one alive: it ignores the saved offset, because the
//! clock may have been wrong when that was saved.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{private, server};
use crate::surroundings::System;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The maximum number of bytes read from the file.
const BYTES_MAX: usize = 128;

/// A process's part in the common steady time, for as long as it exists.
pub(super) struct SharedClock {
    _lock: File,
}

impl SharedClock {
    /// Adopts the steady time of the other processes of this folder, or saves this process's offset for them.
    pub fn join(folder: &Path) -> io::Result<SharedClock> {
        let folder = folder.join(server::FOLDER);
        private::make_folder(&folder)?;
        let boot = fs::read_to_string(BOOT_ID)?;
        let (lock, offset) = agree(&folder.join("shared.clock"), &boot, System::steady_offset())?;
        System::set_steady_offset(offset);
        Ok(SharedClock { _lock: lock })
    }
}

/// The offset shared by all processes that hold the file; this process's own if there is no other.
fn agree(path: &Path, boot: &str, own: i64) -> io::Result<(File, i64)> {
    let file = match private::make_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => private::open_to_write(path)?,
        made => made?,
    };
    loop {
        if file.try_lock().is_ok() {
            file.set_len(0)?;
            file.write_all_at(text_of(boot, own).as_bytes(), 0)?;
        }
        // Another process may have got the exclusive lock in between, and replaced the offset.
        file.lock_shared()?;
        let mut bytes = [0; BYTES_MAX];
        let length = file.read_at(&mut bytes, 0)?;
        if let Some(offset) = offset_in(&String::from_utf8_lossy(&bytes[..length]), boot) {
            return Ok((file, offset));
        }
        // The writer was killed before it had written everything.
        file.unlock()?;
    }
}

fn text_of(boot: &str, offset: i64) -> String {
    format!("{} {offset}\n", boot.trim())
}

/// The saved offset, if it was saved since the machine's last start.
fn offset_in(text: &str, boot: &str) -> Option<i64> {
    let (known, offset) = text.strip_suffix('\n')?.split_once(' ')?;
    offset.parse().ok().filter(|_| known == boot.trim())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_offset_is_of_one_start_of_the_machine() {
        let text = text_of("one\n", -5_000_000);
        assert_eq!(offset_in(&text, "one\n"), Some(-5_000_000));
        assert_eq!(offset_in(&text, "other\n"), None);
        assert_eq!(offset_in(&text[..text.len() - 2], "one\n"), None, "it is incomplete");
        assert_eq!(offset_in("", "one\n"), None);
    }

    #[test]
    fn the_first_of_those_alive_decides() {
        let path = std::env::temp_dir().join(format!("hark-clock-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let (first, offset) = agree(&path, "one", -20).unwrap();
        assert_eq!(offset, -20);
        let (second, offset) = agree(&path, "one", 0).unwrap();
        assert_eq!(offset, -20);
        drop(first);
        assert_eq!(agree(&path, "one", 0).unwrap().1, -20, "the second one still goes by it");
        drop(second);
        // A child forked by another test inherits this process's locks until it executes its program.
        let is_alone = || agree(&path, "one", 0).unwrap().1 == 0;
        let waits = (0..1000).take_while(|_| !is_alone()).map(|_| thread::sleep(Duration::from_millis(10))).count();
        assert!(waits < 1000, "nobody does any more");
        fs::remove_file(&path).unwrap();
    }
}
