//! Which sessions' threads a process takes that leases threads, as others see it.
//!
//! `servers/NUMBER.coverage` is beside the process's lock. It contains `*` for all sessions, or else a line for each session.
//! The file is replaced as a whole, so that no process reads a part of it, and is never synced: it counts only while the
//! process lives.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hark_engine::{Coverage, SessionId};

use super::private;

const ALL: &str = "*";

/// Replaces the file.
pub(super) fn write(path: &Path, coverage: &Coverage) -> io::Result<()> {
    let text = match coverage {
        Coverage::All => ALL.to_owned(),
        Coverage::Only(sessions) => sessions.iter().map(|session| format!("{session}\n")).collect(),
    };
    let new = path.with_extension("coverage-new");
    // Only this process writes it; it may have failed before.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = private::make_file(&new).and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Reads the file. A process that has not announced anything has none.
pub(super) fn read(path: &Path) -> Option<Coverage> {
    let text = io::read_to_string(private::open_file(path).ok()?).ok()?;
    Some(match text.as_str() {
        ALL => Coverage::All,
        text => Coverage::Only(text.lines().map(SessionId::from_text).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coverage_is_read_as_it_was_last_written() {
        let path = std::env::temp_dir().join(format!("hark-coverage-{}.coverage", std::process::id()));
        let _ = fs::remove_file(&path);
        assert_eq!(read(&path), None);
        let ids = ["0000000000000001", "0000000000000002"].map(SessionId::from_text);
        for coverage in [Coverage::All, Coverage::Only(ids.to_vec()), Coverage::Only(Vec::new())] {
            write(&path, &coverage).unwrap();
            assert_eq!(read(&path), Some(coverage));
        }
        fs::remove_file(&path).unwrap();
    }
}
