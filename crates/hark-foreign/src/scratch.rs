//! The folder for the pickles of large objects. Workers read and write these files directly, so their contents do not
//! pass through this process.
//!
//! Each file belongs to one [`Pickle`](hark_machine::Pickle) and is removed with it; the folder is removed with the
//! pool and the last of its files. A process that is killed leaves its folder behind. The next process that creates a
//! folder beside it removes it, because its lock is free.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hark_machine::PickleFile;

/// The prefix of the folders' names.
const NAME_START: &str = "pickles-";

/// The prefix of files that no worker writes to any more.
const TAKEN_START: &str = "taken-";

/// How often creating a folder is attempted if other processes remove it before it is locked.
const TRIES: u32 = 5;

/// A folder that belongs to this process.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    /// Locked as long as the folder is in use.
    _lock: File,
    /// The next number of a worker or file.
    numbers: AtomicU64,
}

impl Scratch {
    /// Creates a folder inside `parent`, which only this user can change.
    ///
    /// # Errors
    /// If it cannot be created, or the file system does not support locks. Objects are then sent without files.
    pub fn new(parent: &Path) -> io::Result<Scratch> {
        remove_abandoned(parent);
        let mut tries = 0;
        loop {
            if let Some((folder, lock)) = make(parent)? {
                return Ok(Scratch { folder, _lock: lock, numbers: AtomicU64::new(0) });
            }
            tries += 1;
            if tries == TRIES {
                return Err(io::ErrorKind::ResourceBusy.into());
            }
        }
    }

    /// The files of a new worker.
    pub fn for_worker(self: &Arc<Self>) -> WorkerFiles {
        WorkerFiles { scratch: self.clone(), worker: self.next_number() }
    }

    /// Removes the folder although it may still be in use.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.folder);
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The files that a worker writes or is given to read.
#[derive(Debug)]
pub struct WorkerFiles {
    scratch: Arc<Scratch>,
    worker: u64,
}

impl WorkerFiles {
    /// The path prefix of the files that the worker writes; the number of the file follows.
    pub fn path_start(&self) -> PathBuf {
        self.scratch.folder.join(self.name_start())
    }

    /// Takes over the worker's file with this number, which must have this length.
    ///
    /// # Errors
    /// If there is no such file, or its length differs.
    pub fn take(&self, number: usize, length: usize) -> io::Result<Box<dyn PickleFile>> {
        let file = self.new_file();
        fs::rename(self.scratch.folder.join(format!("{}{number}", self.name_start())), &file.path)?;
        if file.path.symlink_metadata()?.len() != length as u64 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Box::new(file))
    }

    /// Writes a file for the worker to read.
    ///
    /// # Errors
    /// If that fails, for example because the disk is full. No file is left then.
    pub fn write(&self, bytes: &[u8]) -> io::Result<Box<dyn PickleFile>> {
        let file = self.new_file();
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file.path)?.write_all(bytes)?;
        Ok(Box::new(file))
    }

    /// Removes the files that a lost worker has left.
    pub fn remove_left(&self) {
        let start = self.name_start();
        for entry in fs::read_dir(&self.scratch.folder).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&start)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn name_start(&self) -> String {
        format!("{}-", self.worker)
    }

    fn new_file(&self) -> ScratchFile {
        let path = self.scratch.folder.join(format!("{TAKEN_START}{}", self.scratch.next_number()));
        ScratchFile { path, scratch: self.scratch.clone() }
    }
}

#[derive(Debug)]
struct ScratchFile {
    path: PathBuf,
    /// Keeps the folder as long as this file.
    #[expect(dead_code, reason = "it is there to be dropped after the file")]
    scratch: Arc<Scratch>,
}

impl PickleFile for ScratchFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(&self.path)?))
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A new folder and its lock, unless another process has removed it as abandoned.
fn make(parent: &Path) -> io::Result<Option<(PathBuf, File)>> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = parent.join(format!("{NAME_START}{}-{number}", process::id()));
    match DirBuilder::new().mode(0o700).create(&folder) {
        // An earlier process with this pid has left it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        made => made?,
    }
    let lock = match File::open(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if lock.try_lock().is_err() {
        return Ok(None);
    }
    let found = folder.symlink_metadata().map(|found| found.ino()).ok();
    Ok((found == Some(lock.metadata()?.ino())).then_some((folder, lock)))
}

/// Removes the folders of processes that have ended.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_scratch = entry.file_name().to_str().is_some_and(|name| name.starts_with(NAME_START));
        if is_scratch
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    fn parent(name: &str) -> PathBuf {
        let parent = env::temp_dir().join(format!("hark-scratch-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&parent);
        fs::create_dir(&parent).unwrap();
        parent
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn files_go_with_their_owners_and_the_folder_with_the_last() {
        let parent = parent("owners");
        let scratch = Arc::new(Scratch::new(&parent).unwrap());
        let files = scratch.for_worker();
        let folder = scratch.folder.clone();
        let path = |number: u32| format!("{}{number}", files.path_start().display());
        fs::write(path(1), "by a worker").unwrap();
        fs::write(path(2), "never told of").unwrap();
        fs::write(path(3), "short").unwrap();
        let taken = files.take(1, 11).unwrap();
        assert!(files.take(3, 6).is_err());
        assert!(files.take(4, 0).is_err());
        let written = files.write(b"by this process").unwrap();
        assert_eq!(count(&folder), 3);
        files.remove_left();
        assert_eq!(count(&folder), 2);
        let mut text = String::new();
        taken.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "by a worker");
        drop((scratch, files, taken));
        assert_eq!(fs::read(written.path()).unwrap(), b"by this process");
        drop(written);
        assert_eq!(count(&parent), 0);
        fs::remove_dir(parent).unwrap();
    }

    #[test]
    fn what_is_abandoned_is_removed_and_what_is_in_use_stays() {
        let parent = parent("abandoned");
        fs::create_dir(parent.join("pickles-1-0")).unwrap();
        fs::write(parent.join("pickles-1-0/taken-3"), "left").unwrap();
        let first = Scratch::new(&parent).unwrap();
        let second = Scratch::new(&parent).unwrap();
        assert_eq!(count(&parent), 2);
        drop((first, second));
        assert_eq!(count(&parent), 0);
        fs::remove_dir(parent).unwrap();
    }
}
