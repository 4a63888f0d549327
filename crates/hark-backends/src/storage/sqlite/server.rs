//! Who serves the file: a lock for each server, which the system frees at its process's death, and a socket on which
//! others tell it that there is news.
//!
//! `servers/NUMBER.lock` and `servers/NUMBER.socket`, beside the database.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hark_engine::StorageError;

const FOLDER: &str = "servers";

/// How often a server looks without being told, if it has no socket.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One who serves the file.
pub(super) struct Server {
    number: i64,
    folder: PathBuf,
    /// Locked as long as this lives.
    lock: File,
    /// None where the system has no such sockets, or the path to it is too long for one.
    socket: Option<UnixDatagram>,
}

impl Server {
    /// Takes a place among those who serve this folder.
    pub fn new(folder: &Path) -> Result<Server, StorageError> {
        let folder = folder.join(FOLDER);
        let make = || -> io::Result<Server> {
            fs::create_dir_all(&folder)?;
            remove_dead(&folder);
            loop {
                let number = random_number();
                let file = match File::create_new(lock_path(&folder, number)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    file => file?,
                };
                file.lock()?;
                if file.metadata()?.nlink() == 0 {
                    continue;
                }
                let socket = UnixDatagram::bind(socket_path(&folder, number)).ok();
                return Ok(Server { number, folder: folder.clone(), lock: file, socket });
            }
        };
        make().map_err(|error| {
            StorageError::Permanent(format!("no session can be served from `{}`: {error}", folder.display()))
        })
    }

    /// Its number, which no other has.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Its lock, which is held as long as any copy of it is open.
    pub fn lock(&self) -> io::Result<File> {
        self.lock.try_clone()
    }

    /// Waits until someone tells it that there is news.
    pub fn wait(&self, at_most: Duration) {
        let Some(socket) = &self.socket else {
            std::thread::sleep(at_most.min(POLL_INTERVAL));
            return;
        };
        // A wait of nothing would be one for ever.
        let at_most = at_most.max(Duration::from_micros(1));
        let mut byte = [0];
        if socket.set_read_timeout(Some(at_most)).and_then(|()| socket.recv(&mut byte)).is_ok() {
            // All that has come is one piece of news.
            let _ = socket.set_nonblocking(true);
            while socket.recv(&mut byte).is_ok() {}
            let _ = socket.set_nonblocking(false);
        }
    }

    /// Ends this server's own wait.
    pub fn ring(&self) {
        tell(&socket_path(&self.folder, self.number));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        remove(&self.folder, self.number);
    }
}

/// Tells all who serve this folder that there is news.
pub(super) fn announce(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder.join(FOLDER)) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "socket") {
            tell(&path);
        }
    }
}

/// Whether this server lives. What a dead one left is removed.
pub(super) fn is_alive(folder: &Path, number: i64) -> bool {
    let folder = folder.join(FOLDER);
    let Ok(file) = File::open(lock_path(&folder, number)) else { return false };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
        Ok(()) => {
            remove(&folder, number);
            false
        }
    }
}

/// Removes what servers left that are no more.
fn remove_dead(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let number = path.file_stem().and_then(|stem| i64::from_str_radix(stem.to_str()?, 16).ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "lock")
            && let Ok(file) = File::open(&path)
            && file.try_lock_shared().is_ok()
        {
            // Under the lock, so that a server that has just made its file sees that it is gone.
            remove(folder, number);
        }
    }
}

/// A message more does no harm where one waits, so a full socket is told enough.
fn tell(socket: &Path) {
    if let Ok(sender) = UnixDatagram::unbound() {
        let _ = sender.set_nonblocking(true);
        let _ = sender.send_to(&[1], socket);
    }
}

fn remove(folder: &Path, number: i64) {
    let _ = fs::remove_file(socket_path(folder, number));
    let _ = fs::remove_file(lock_path(folder, number));
}

fn lock_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.lock"))
}

fn socket_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.socket"))
}

/// From the time and this process's number: whoever has the same finds the file there and takes another.
fn random_number() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mixed = (now.as_nanos() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(std::process::id()) << 32;
    (mixed >> 1) as i64
}
