//! Where threads are leased, each process announces which threads it takes.
//!
//! The announcement is `servers/NUMBER.coverage`, beside the process's lock. Its first line lists the process's pools, or is
//! `*` for all pools. Then follows `*` for all sessions, or a line for each session. The file is replaced atomically, so
//! that no process reads a part of it. It is never synced, because it is valid only while the process is alive.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hark_engine::{Announcement, Coverage, Pool, Pools, SessionId};

use super::private;

const ALL: &str = "*";

/// Replaces the file.
pub(super) fn write(path: &Path, announcement: &Announcement) -> io::Result<()> {
    let pools = match &announcement.pools {
        Pools::All => ALL.to_owned(),
        Pools::Only(pools) => pools.iter().map(Pool::to_string).collect::<Vec<String>>().join(" "),
    };
    let sessions = match &announcement.coverage {
        Coverage::All => ALL.to_owned(),
        Coverage::Only(sessions) => sessions.iter().map(|session| format!("{session}\n")).collect(),
    };
    let text = format!("{pools}\n{sessions}");
    let new = path.with_extension("coverage-new");
    // Only this process writes it; an earlier attempt may have failed.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = private::make_file(&new).and_then(|mut file| file.write_all(text.as_bytes()));
    written.and_then(|()| fs::rename(&new, path)).inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Reads the file. None if the process has not announced anything.
pub(super) fn read(path: &Path) -> Option<Announcement> {
    let text = io::read_to_string(private::open_file(path).ok()?).ok()?;
    let (pools, sessions) = text.split_once('\n')?;
    let pools = match pools {
        ALL => Pools::All,
        names => names.split(' ').filter_map(|name| name.parse::<Pool>().ok()).collect(),
    };
    let coverage = match sessions {
        ALL => Coverage::All,
        sessions => Coverage::Only(sessions.lines().map(SessionId::from_text).collect()),
    };
    Some(Announcement { coverage, pools })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_it_was_last_written() {
        let path = std::env::temp_dir().join(format!("hark-coverage-{}.coverage", std::process::id()));
        let _ = fs::remove_file(&path);
        assert_eq!(read(&path), None);
        let ids = ["0000000000000001", "0000000000000002"].map(SessionId::from_text);
        let pools = |names: &[&str]| names.iter().map(|name| name.parse::<Pool>().unwrap()).collect();
        for pools in [Pools::All, pools(&["default"]), pools(&["gpu", "default"]), pools(&[])] {
            for coverage in [Coverage::All, Coverage::Only(ids.to_vec()), Coverage::Only(Vec::new())] {
                let announcement = Announcement { coverage, pools: pools.clone() };
                write(&path, &announcement).unwrap();
                assert_eq!(read(&path), Some(announcement));
            }
        }
        fs::remove_file(&path).unwrap();
    }
}
