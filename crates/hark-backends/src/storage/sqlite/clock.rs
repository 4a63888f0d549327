//! A common steady time for all processes that lease threads of a file.
//!
//! The steady time of a process starts with the clock's time at its start. If the clock is set between the starts of
//! two processes, each could consider the other's leases expired, or never expired. So the first process since the
//! machine's start saves its offset, and the others adopt it: `servers/shared.clock` contains the machine's boot id and
//! the offset.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{private, server};
use crate::surroundings::System;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The maximum number of bytes read from the file.
const BYTES_MAX: usize = 128;

/// Adopts the steady time of the other processes of this folder, or saves this process's offset for them.
pub(super) fn share(folder: &Path) -> io::Result<()> {
    let boot = fs::read_to_string(BOOT_ID)?;
    let folder = folder.join(server::FOLDER);
    private::make_folder(&folder)?;
    let path = folder.join("shared.clock");
    let file = match private::make_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => private::open_to_write(&path)?,
        made => made?,
    };
    file.lock()?;
    let mut bytes = [0; BYTES_MAX];
    let length = file.read_at(&mut bytes, 0)?;
    match offset_in(&String::from_utf8_lossy(&bytes[..length]), &boot) {
        Some(offset) => System::set_steady_offset(offset),
        None => {
            file.set_len(0)?;
            file.write_all_at(text_of(&boot, System::steady_offset()).as_bytes(), 0)?;
        }
    }
    file.unlock()
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
    use super::*;

    #[test]
    fn an_offset_is_of_one_start_of_the_machine() {
        let text = text_of("one\n", -5_000_000);
        assert_eq!(offset_in(&text, "one\n"), Some(-5_000_000));
        assert_eq!(offset_in(&text, "other\n"), None);
        assert_eq!(offset_in(&text[..text.len() - 2], "one\n"), None, "it is incomplete");
        assert_eq!(offset_in("", "one\n"), None);
    }
}
