//! A storage in a single SQLite file.
//!
//! Write-ahead log, `synchronous=FULL`: a commit that has returned is on disk. Commits of several threads that are
//! ready at the same time share one transaction and one fsync (`group`). A process that serves sessions holds a lock
//! that the system releases when the process dies, and listens on a socket for news from other processes (`server`).

mod catalog;
mod change;
mod clock;
mod coverage;
mod database;
mod dying;
mod group;
mod in_place;
mod leases;
mod numbers;
mod pickles;
mod private;
mod readers;
mod row;
mod server;
mod servers;
mod session;
mod shortage;
mod space;
mod wal;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hark_engine::rows::{Part, RowChange};
use hark_engine::{Catalog, Encoded, SessionId, SessionStorage, Space, Storage, StorageError, Tenure};
use hark_machine::Program;
use hark_machine::limits::FILE_BYTES_MIN;

use catalog::SqliteRows;
use change::Owner;
use database::Database;
use group::Group;
pub use group::Work;
use leases::Leasing;
use numbers::Numbers;
use pickles::UNNEEDED_SECONDS;
use server::{Owned, Server};

/// The name of the file in its folder.
pub const FILE_NAME: &str = "hark.db";

/// The default time that a process may stall before others take over its sessions. If it ends, they notice at once.
pub const LEASE: Duration = Duration::from_secs(10);

/// A storage in a single file in a folder.
pub struct SqliteStorage {
    shared: Arc<Shared>,
    /// The storage of records on top of the rows, created on demand.
    encoded: OnceLock<Encoded>,
}

/// Shared by sessions, catalog and committers.
struct Shared {
    database: Database,
    group: Group,
    /// Whether this process has seen large pickles, so that files may have to be removed.
    has_pickle_files: AtomicBool,
    folder: PathBuf,
    lease: Duration,
    /// This process as a server of the file, created on demand.
    server: OnceLock<Server>,
    /// For a process that runs threads for a server: that server, and the numbers of its threads.
    serves: Option<Supervision>,
    /// How threads are leased, if they are.
    leases: Option<Leasing>,
}

/// The server for which this process runs threads, and the source of thread numbers.
struct Supervision {
    server: i64,
    numbers: Numbers,
}

impl SqliteStorage {
    /// Opens the file for a process that runs threads for this server, together with other processes.
    ///
    /// # Errors
    /// As for [`SqliteStorage::open`].
    pub fn open_for_server(folder: &Path, server: i64) -> Result<SqliteStorage, StorageError> {
        let path = folder.join(FILE_NAME);
        if !server::has_server(folder, server) {
            let path = path.display();
            return Err(StorageError::Permanent(format!("`{path}` is no longer the file of server {server:x}")));
        }
        let database = Database::open(&path)?;
        let numbers = server::numbers(folder, server)?;
        SqliteStorage::with(folder, database, Some(Supervision { server, numbers }))
    }

    /// The number of this process among the servers of the file.
    ///
    /// # Errors
    /// If it cannot be registered.
    pub fn server_number(&self) -> Result<i64, StorageError> {
        self.shared.server_number()
    }

    /// Opens the file in this folder. Creates both if they do not exist.
    ///
    /// # Errors
    /// If they cannot be created, opened or written to, or if the file is not a database of this release.
    pub fn open(folder: &Path) -> Result<SqliteStorage, StorageError> {
        SqliteStorage::with(folder, Database::open(&folder.join(FILE_NAME))?, None)
    }

    fn with(folder: &Path, mut database: Database, serves: Option<Supervision>) -> Result<SqliteStorage, StorageError> {
        let writer = database.connect_writer()?;
        database.note_files(&writer)?;
        let group = Group::new(writer);
        let folder = folder.to_path_buf();
        let (lease, server) = (LEASE, OnceLock::new());
        Ok(SqliteStorage {
            shared: Arc::new(Shared {
                database,
                group,
                has_pickle_files: AtomicBool::new(false),
                folder,
                lease,
                server,
                serves,
                leases: None,
            }),
            encoded: OnceLock::new(),
        })
    }

    /// Sets how long this process may stall before its sessions are taken over. Must be called before the storage is
    /// used.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> SqliteStorage {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.lease = lease;
        }
        self
    }

    /// Leases threads, so that any process with this file may run threads of any session. Must be called before the
    /// storage is used.
    #[must_use]
    pub fn with_leased_threads(mut self) -> SqliteStorage {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.leases = Some(Leasing::new(&shared.folder, shared.lease));
        }
        self
    }

    /// Whether nothing can be written because the folder is read-only.
    pub fn is_still(&self) -> bool {
        self.shared.database.is_still()
    }

    /// Checks that the file was not removed or replaced.
    ///
    /// # Errors
    /// If it was.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        self.shared.check_in_place()
    }

    /// The folder with the file.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Whether there is a file in this folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE_NAME).exists()
    }

    fn encoded(&self) -> &Encoded {
        self.encoded.get_or_init(|| Encoded::new(Arc::new(SqliteRows(self.shared.clone()))))
    }

    /// The amount of work of all commits so far.
    pub fn work(&self) -> Work {
        self.shared.group.work()
    }
}

impl Storage for SqliteStorage {
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        self.encoded().session(id, program)
    }

    fn space(&self) -> &dyn Space {
        &*self.shared
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        self.encoded().catalog()
    }

    fn tenure(&self) -> Tenure<'_> {
        self.encoded().tenure()
    }

    fn scratch_folder(&self) -> Option<&Path> {
        Some(&self.shared.folder)
    }
}

impl Shared {
    /// Removes the files of large pickles that have been unused for this many seconds. Failures are retried later.
    fn remove_pickle_files(&self, seconds: i64) {
        self.group.between(|connection| drop(pickles::remove_files(connection, seconds)));
    }

    /// Records that a change refers to large pickles, which are stored as files.
    fn note_pickle_files(&self, change: &RowChange) {
        let is_large = |part: &Part| matches!(part, Part::Pickle(pickle) if pickle.length() >= FILE_BYTES_MIN);
        if change.parts.iter().filter_map(|change| change.part.as_ref()).any(is_large) {
            self.has_pickle_files.store(true, Ordering::Relaxed);
        }
    }

    /// Removes unneeded files after a commit, unless there have been no large pickles.
    fn remove_unneeded_files(&self) {
        if self.has_pickle_files.load(Ordering::Relaxed) {
            self.remove_pickle_files(UNNEEDED_SECONDS);
        }
    }

    /// The server on whose behalf this process writes to sessions.
    fn owner(&self) -> Result<Owner, StorageError> {
        match self.leases {
            Some(_) => Ok(Owner::OfAll(self.server.get().map(Server::number))),
            None => self.server_number().map(Owner::Server),
        }
    }

    /// The number of the server that this process is, or for which it runs threads.
    fn server_number(&self) -> Result<i64, StorageError> {
        match &self.serves {
            Some(supervision) => Ok(supervision.server),
            None => Ok(self.server()?.number()),
        }
    }

    /// Checks that file and lock are where others look for them.
    fn check_in_place(&self) -> Result<(), StorageError> {
        match self.server.get() {
            Some(server) if !server.is_in_place() => Err(self.database.removed()),
            _ => self.database.check_in_place(),
        }
    }

    fn server(&self) -> Result<&Server, StorageError> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        // The folder may have been removed since the file was opened.
        let owned = if self.leases.is_some() { Owned::Threads } else { Owned::Sessions };
        let server = Server::new(&self.folder, self.lease, owned)
            .map_err(|error| self.database.check_in_place().err().unwrap_or(error))?;
        Ok(self.server.get_or_init(|| server))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicU64;
    use std::{env, fs, process};

    use hark_engine::conformance::check_rows;
    use hark_engine::rows::RowStorage;

    use super::*;

    fn check(open: impl Fn(&Path) -> SqliteStorage) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let made = Mutex::new(Vec::new());
        check_rows(&|| -> Arc<dyn RowStorage> {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            // In memory, if that can be: very many changes are written.
            let memory = Path::new("/dev/shm");
            let parent = if memory.is_dir() { memory.to_path_buf() } else { env::temp_dir() };
            let folder = parent.join(format!("hark-rows-{}-{number}", process::id()));
            let _ = fs::remove_dir_all(&folder);
            let storage = open(&folder);
            let rows = Arc::new(SqliteRows(storage.shared.clone()));
            made.lock().unwrap().push((folder, storage));
            rows
        });
        for (folder, storage) in made.into_inner().unwrap() {
            drop(storage);
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn the_file_is_a_storage_of_rows() {
        check(|folder| SqliteStorage::open(folder).unwrap());
        check(|folder| SqliteStorage::open(folder).unwrap().with_leased_threads());
    }
}
