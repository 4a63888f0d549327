//! Whether the database's files still have their names while they are in use.
//!
//! What is written to a file that was removed, or whose name another file has taken, is lost once it is closed. That goes
//! for the log as for the file itself. Processes that have different indexes of the log do not see each other's locks, and
//! write over each other's pages.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the names of the log and of its index end with.
const LOG_ENDINGS: [&str; 2] = ["-wal", "-shm"];

/// Device and inode: they tell a file from any other that exists at the same time, and one that is open exists.
type Identity = Option<(u64, u64)>;

/// The files that a process has open.
#[derive(Default)]
pub(super) struct OpenFiles(Vec<(PathBuf, Identity)>);

impl OpenFiles {
    /// The database that is open, and unless it is still, its log and the log's index, which SQLite keeps open from a
    /// connection's first look at the database on.
    pub fn of(path: &Path, is_still: bool) -> OpenFiles {
        let beside: &[&str] = if is_still { &[] } else { &LOG_ENDINGS };
        let paths = [path.to_path_buf()].into_iter().chain(beside.iter().map(|ending| with_ending(path, ending)));
        OpenFiles(paths.map(|path| (path.clone(), identity_of(&path))).collect())
    }

    /// The first of them that has lost its name.
    pub fn find_removed(&self) -> Option<&Path> {
        let removed = self.0.iter().find(|(path, identity)| identity_of(path) != *identity);
        removed.map(|(path, _)| path.as_path())
    }
}

/// The name of the log that belongs to this database.
pub(super) fn log_path(path: &Path) -> PathBuf {
    with_ending(path, LOG_ENDINGS[0])
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(ending);
    PathBuf::from(path)
}

fn identity_of(path: &Path) -> Identity {
    fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_lost_its_name_is_found() {
        let folder = std::env::temp_dir().join(format!("hark-in-place-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.db");
        for (ending, is_still, is_noticed) in [("", false, true), ("-wal", false, true), ("-shm", false, true)]
            .into_iter()
            .chain([("", true, true), ("-wal", true, false), ("-shm", true, false)])
        {
            let names = ["", "-wal", "-shm"].map(|ending| with_ending(&path, ending));
            names.iter().for_each(|name| fs::write(name, "").unwrap());
            let open = OpenFiles::of(&path, is_still);
            let held: Vec<fs::File> = names.iter().map(|name| fs::File::open(name).unwrap()).collect();
            assert_eq!(open.find_removed(), None);
            let name = with_ending(&path, ending);
            let found = is_noticed.then_some(name.as_path());
            fs::remove_file(&name).unwrap();
            assert_eq!(open.find_removed(), found, "{ending} is removed");
            fs::write(&name, "").unwrap();
            assert_eq!(open.find_removed(), found, "{ending} is replaced");
            drop(held);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
