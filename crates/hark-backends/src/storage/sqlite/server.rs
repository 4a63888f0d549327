//! The servers of the file. Each has a lock, which the system releases when its process dies, and a socket on which
//! others tell it that there is news.
//!
//! `servers/NUMBER.lock` and `servers/NUMBER.socket` are beside the database. The lock contains the time until which
//! the server is assumed to be alive: a stopped server, or one that is swapped out for ever, keeps its lock but does
//! not renew this *lease*. The process's id follows, to detect that the process was killed but has not ended yet.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hark_engine::{Announcement, StorageError};

use super::dying::is_dying;
use super::numbers::Numbers;
use super::{coverage, private, shortage};
use crate::surroundings::random;

pub(super) const FOLDER: &str = "servers";

/// The messages of other processes to a server, and of a server to itself.
const NEWS: [u8; 1] = [1];
const OWN_RING: [u8; 1] = [2];

/// How often a server without a socket checks for news.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The interval and number of attempts to get a turn: five seconds in total.
const TURN_INTERVAL: Duration = Duration::from_millis(1);
const TURN_LOOKS: u32 = 5_000;

/// The interval and duration of the wait for the end of a killed process.
const DEATH_INTERVAL: Duration = Duration::from_millis(2);
const DEATH_MAX: Duration = Duration::from_secs(60);

/// What a server owns, according to the setting `tenure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owned {
    Sessions = 1,
    Threads = 2,
}

impl Owned {
    fn name(self) -> &'static str {
        match self {
            Owned::Sessions => "sessions",
            Owned::Threads => "threads",
        }
    }
}

/// A server of the file.
pub(super) struct Server {
    number: i64,
    folder: PathBuf,
    /// `None` if the system has no such sockets, or the path is too long for one.
    socket: Option<UnixDatagram>,
    renewal: Renewal,
}

/// The thread that holds a server's lock and renews its lease, as long as this value exists.
struct Renewal {
    /// Whether it was renewed too late.
    has_lapsed: Arc<AtomicBool>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Renewal {
    /// Renews the lease four times before it would expire.
    fn new(lock: File, lease: Duration, owned: Owned) -> io::Result<Renewal> {
        renew(&lock, lease)?;
        lock.write_all_at(&process::id().to_le_bytes(), PROCESS_AT)?;
        lock.write_all_at(&[owned as u8], OWNED_AT)?;
        let (end, ended) = mpsc::channel();
        let has_lapsed = Arc::new(AtomicBool::new(false));
        let lapse = has_lapsed.clone();
        let renewing = move || {
            let mut renewed = monotonic();
            while ended.recv_timeout(lease / 4) == Err(RecvTimeoutError::Timeout) {
                // A full disk is no problem, because the length does not change. After any other failure, others take
                // over the sessions, which is harmless.
                let _ = renew(&lock, lease);
                let now = monotonic();
                if now.saturating_sub(renewed) >= lease {
                    lapse.store(true, Ordering::Release);
                }
                renewed = now;
            }
        };
        let thread = thread::Builder::new().name("hark-lease".to_owned()).spawn(renewing)?;
        Ok(Renewal { has_lapsed, thread: Some((end, thread)) })
    }

    fn end(&mut self) {
        if let Some((end, thread)) = self.thread.take() {
            drop(end);
            // A panic has already been reported.
            let _ = thread.join();
        }
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.end();
    }
}

impl Server {
    /// Registers a server of this folder, until it is dropped or stalls for longer than its lease. Servers that are alive
    /// at the same time must have the same tenure.
    pub fn new(folder: &Path, lease: Duration, owned: Owned) -> Result<Server, StorageError> {
        // No other server can register between the check and the end.
        let _turn = turn(folder);
        let folder = folder.join(FOLDER);
        if owns_otherwise(&folder, owned) {
            let (folder, owned) = (folder.display(), owned.name());
            return Err(StorageError::Permanent(format!(
                "a process that serves `{folder}` has another `tenure` than `{owned}`; all must have the same"
            )));
        }
        let make = || -> io::Result<Server> {
            private::make_folder(&folder)?;
            remove_dead(&folder);
            loop {
                // Positive, because it becomes part of a file name.
                let number = (random() >> 1) as i64;
                let file = match private::make_file(&lock_path(&folder, number)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                    file => file?,
                };
                file.lock()?;
                if file.metadata()?.nlink() == 0 {
                    continue;
                }
                let socket = UnixDatagram::bind(socket_path(&folder, number)).ok();
                if socket.is_some() {
                    private::make_private(&socket_path(&folder, number))?;
                }
                let renewal = Renewal::new(file, lease, owned)?;
                return Ok(Server { number, folder: folder.clone(), socket, renewal });
            }
        };
        make().map_err(|error| {
            let otherwise =
                || StorageError::Permanent(format!("no session can be served from `{}`: {error}", folder.display()));
            shortage::of_io(&folder, &error, otherwise)
        })
    }

    /// Its unique number.
    pub fn number(&self) -> i64 {
        self.number
    }

    /// Whether its lock still has its name.
    pub fn is_in_place(&self) -> bool {
        is_known(&self.folder, self.number)
    }

    /// Announces to other processes which threads it takes.
    pub fn announce(&self, announcement: &Announcement) -> Result<(), StorageError> {
        coverage::write(&coverage_path(&self.folder, self.number), announcement).map_err(|error| {
            let otherwise =
                || StorageError::Permanent(format!("nothing can be written to `{}`: {error}", self.folder.display()));
            shortage::of_io(&self.folder, &error, otherwise)
        })
    }

    /// Whether it has stalled for longer than its lease since the last call.
    pub fn has_lapsed(&self) -> bool {
        self.renewal.has_lapsed.swap(false, Ordering::AcqRel)
    }

    /// Waits until another process announces news. Returns whether another process may have news.
    pub fn wait(&self, at_most: Duration) -> bool {
        let Some(socket) = &self.socket else {
            thread::sleep(at_most.min(POLL_INTERVAL));
            return true;
        };
        // A timeout of zero would mean no timeout.
        let at_most = at_most.max(Duration::from_micros(1));
        let mut byte = [0];
        let mut has_news = false;
        if socket.set_read_timeout(Some(at_most)).and_then(|()| socket.recv(&mut byte)).is_ok() {
            has_news = byte != OWN_RING;
            // All messages so far are the same piece of news.
            let _ = socket.set_nonblocking(true);
            while socket.recv(&mut byte).is_ok() {
                has_news |= byte != OWN_RING;
            }
            let _ = socket.set_nonblocking(false);
        }
        has_news
    }

    /// Ends this server's own wait.
    pub fn ring(&self) {
        tell(&socket_path(&self.folder, self.number), OWN_RING);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread would keep the lock.
        self.renewal.end();
        remove(&self.folder, self.number);
    }
}

/// Takes a turn among processes that check the file without serving it and those that start to serve it. So no process
/// mistakes ongoing writes for damage, and only one creates the file. The turn ends when the value is dropped. If it
/// would take very long, because a process was stopped during its turn, the caller continues without.
pub(super) fn turn(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    for _ in 0..TURN_LOOKS {
        match folder.try_lock() {
            Ok(()) => return Some(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(TURN_INTERVAL),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Tells all servers of this folder that there is news.
pub(super) fn announce(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder.join(FOLDER)) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "socket") {
            tell(&path, NEWS);
        }
    }
}

/// Whether this server is alive and its lease has not expired. Removes the files of a dead one.
pub(super) fn is_alive(folder: &Path, number: i64) -> bool {
    let folder = folder.join(FOLDER);
    let file = match private::open_file(&lock_path(&folder, number)) {
        Ok(file) => file,
        // If this fails for another reason, such as too few descriptors, its sessions must not be taken over.
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => !has_run_out(&file),
        Err(TryLockError::Error(_)) => true,
        Ok(()) => {
            remove(&folder, number);
            false
        }
    }
}

/// Whether this folder has, or had, a server with this number.
pub(super) fn has_server(folder: &Path, number: i64) -> bool {
    is_known(&folder.join(FOLDER), number)
}

/// The thread numbers shared by the worker processes of a server.
pub(super) fn numbers(folder: &Path, number: i64) -> Result<Numbers, StorageError> {
    let path = numbers_path(&folder.join(FOLDER), number);
    Numbers::open(&path).map_err(|error| {
        let path = path.display();
        StorageError::Permanent(format!("`{path}` cannot be opened: {error}"))
    })
}

/// The thread numbers shared by all processes that serve this folder.
pub(super) fn shared_numbers(folder: &Path) -> Result<Numbers, StorageError> {
    let folder = folder.join(FOLDER);
    let path = folder.join("shared.threads");
    private::make_folder(&folder).and_then(|()| Numbers::open(&path)).map_err(|error| {
        let path = path.display();
        StorageError::Permanent(format!("`{path}` cannot be opened: {error}"))
    })
}

/// The servers of this folder that are alive.
pub(super) fn all_alive(folder: &Path) -> Vec<i64> {
    let Ok(entries) = fs::read_dir(folder.join(FOLDER)) else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| {
        let path = entry.path();
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        path.file_stem().filter(|_| is_lock).and_then(|stem| i64::from_str_radix(stem.to_str()?, 16).ok())
    });
    let numbers: Vec<i64> = numbers.collect();
    numbers.into_iter().filter(|number| is_alive(folder, *number)).collect()
}

/// The last announcement of this server.
pub(super) fn announced(folder: &Path, number: i64) -> Option<Announcement> {
    coverage::read(&coverage_path(&folder.join(FOLDER), number))
}

/// Whether any server of this folder is alive. Waits for killed processes to end.
pub(super) fn is_any_alive(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder.join(FOLDER)) else { return false };
    let is_lock = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lock");
    // Checks all of them: there may be a dying one behind a live one.
    entries.flatten().map(|entry| entry.path()).filter(is_lock).filter(|path| is_held(path)).count() > 0
}

/// Whether this lock is held by a process that is not about to end.
fn is_held(path: &Path) -> bool {
    let file = match private::open_file(path) {
        Ok(file) => file,
        Err(error) => return error.kind() != io::ErrorKind::NotFound,
    };
    let begun = Instant::now();
    while file.try_lock_shared().is_err() {
        let mut process = [0; 4];
        let is_told = file.read_exact_at(&mut process, PROCESS_AT).is_ok();
        if !is_told || !is_dying(u32::from_le_bytes(process)) || begun.elapsed() > DEATH_MAX {
            return true;
        }
        thread::sleep(DEATH_INTERVAL);
    }
    false
}

/// Removes the files of dead servers.
fn remove_dead(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let number = path.file_stem().and_then(|stem| i64::from_str_radix(stem.to_str()?, 16).ok());
        if let Some(number) = number
            && path.extension().is_some_and(|extension| extension == "lock")
            && let Ok(file) = private::open_file(&path)
            && file.try_lock_shared().is_ok()
        {
            // While holding the lock, so that a server that has just created the file notices its removal.
            remove(folder, number);
        }
    }
}

/// Whether a live server of this folder has another tenure.
fn owns_otherwise(folder: &Path, owned: Owned) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "lock")).any(|path| {
        let Ok(file) = private::open_file(&path) else { return false };
        let mut byte = [0];
        let is_other = file.read_exact_at(&mut byte, OWNED_AT).is_ok() && byte != [owned as u8];
        is_other && !has_run_out(&file) && is_held(&path)
    })
}

/// The offset of the process's id in a lock file.
const PROCESS_AT: u64 = 8;

/// The offset of what the server owns.
const OWNED_AT: u64 = 12;

/// Writes the time until which a server is assumed to be alive.
fn renew(lock: &File, lease: Duration) -> io::Result<()> {
    let until = monotonic() + lease;
    lock.write_all_at(&u64::try_from(until.as_millis()).unwrap_or(u64::MAX).to_le_bytes(), 0)
}

/// Whether a lease has expired. A lease that was never written has not: the server has just started.
fn has_run_out(lock: &File) -> bool {
    let mut until = [0; 8];
    lock.read_exact_at(&mut until, 0).is_ok() && u128::from(u64::from_le_bytes(until)) < monotonic().as_millis()
}

/// The time of a clock that is shared by all processes and stops while the computer sleeps.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Sends a message. If the socket is full, messages are already waiting, so errors are ignored.
fn tell(socket: &Path, what: [u8; 1]) {
    if let Ok(sender) = UnixDatagram::unbound() {
        let _ = sender.set_nonblocking(true);
        let _ = sender.send_to(&what, socket);
    }
}

fn remove(folder: &Path, number: i64) {
    let _ = fs::remove_file(socket_path(folder, number));
    let _ = fs::remove_file(numbers_path(folder, number));
    let _ = fs::remove_file(coverage_path(folder, number));
    let _ = fs::remove_file(lock_path(folder, number));
}

fn is_known(folder: &Path, number: i64) -> bool {
    lock_path(folder, number).exists()
}

fn lock_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.lock"))
}

fn numbers_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.threads"))
}

fn coverage_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.coverage"))
}

fn socket_path(folder: &Path, number: i64) -> PathBuf {
    folder.join(format!("{number:016x}.socket"))
}
