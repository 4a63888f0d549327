//! Checks whether the database's files still have their names while they are in use.
//!
//! Data written to a removed or replaced file is lost when the file is closed. This applies to the log as well as to
//! the database. Processes with different indexes of the log do not see each other's locks and overwrite each other's
//! pages.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};

/// The suffixes of the log and its index.
const LOG_ENDINGS: [&str; 2] = ["-wal", "-shm"];

/// Device and inode. They identify a file among all existing ones, and an open file exists.
type Identity = Option<(u64, u64)>;

/// The files that this process has open.
#[derive(Default)]
pub(super) struct OpenFiles {
    /// The database comes first.
    files: Vec<(PathBuf, Identity)>,
    database_bytes: AtomicU64,
}

impl OpenFiles {
    /// The open database, its log and the log's index, which SQLite keeps open from a connection's first query on. An
    /// unused database has neither log nor index.
    pub fn of(path: &Path, is_still: bool) -> OpenFiles {
        let beside: &[&str] = if is_still { &[] } else { &LOG_ENDINGS };
        let paths = [path.to_path_buf()].into_iter().chain(beside.iter().map(|ending| with_ending(path, ending)));
        let files = paths.map(|path| (path.clone(), look_at(&path).map(|(identity, _)| identity))).collect();
        OpenFiles { files, database_bytes: AtomicU64::new(0) }
    }

    /// The first of these files that no longer has its name.
    pub fn find_removed(&self) -> Option<&Path> {
        let removed = self.files.iter().enumerate().find(|(index, (path, identity))| {
            let found = look_at(path);
            if let (0, Some((_, length))) = (*index, found) {
                self.database_bytes.store(length, Ordering::Relaxed);
            }
            found.map(|(identity, _)| identity) != *identity
        });
        removed.map(|(_, (path, _))| path.as_path())
    }

    /// The size of the database at the last check, without the contents of its log.
    pub fn database_bytes(&self) -> u64 {
        self.database_bytes.load(Ordering::Relaxed)
    }
}

/// The path of this database's log.
pub(super) fn log_path(path: &Path) -> PathBuf {
    with_ending(path, LOG_ENDINGS[0])
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(ending);
    PathBuf::from(path)
}

/// The identity and size of the file with this name. Does not query its times: the system would then have to give the
/// next write a distinct time, which the next sync would have to write to disk.
fn look_at(path: &Path) -> Option<((u64, u64), u64)> {
    let wanted = StatxFlags::INO | StatxFlags::SIZE;
    let file = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
    Some(((makedev(file.stx_dev_major, file.stx_dev_minor), file.stx_ino), file.stx_size))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
