//! One steady time for all processes that lease threads of a file.
//!
//! Each process's steady time begins with what the clock shows when it starts. If the clock was set between the starts of two,
//! each would take the other's leases for ones that have run out, or that never do. So the first one since the machine's start
//! writes its offset down, and the others take it over: `servers/shared.clock` has the machine's boot id and the offset.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{private, server};
use crate::surroundings::System;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// So much of the file is read at most.
const BYTES_MAX: usize = 128;

/// Gives this process the steady time that others of this folder have, or them its own.
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

/// The offset that was written down since the machine was started last.
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
        assert_eq!(offset_in(&text[..text.len() - 2], "one\n"), None, "it was cut off");
        assert_eq!(offset_in("", "one\n"), None);
    }
}
