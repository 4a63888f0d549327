//! Sessions in one SQLite file.
//!
//! Write-ahead log, `synchronous=FULL`: a commit that has returned is on the disk. Commits of many threads that are ready
//! together share one transaction and one fsync (`group`). Whoever serves sessions holds a lock that the system frees at
//! its death, and listens on a socket for what other processes write (`server`).

mod catalog;
mod change;
mod clock;
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
use server::Server;

/// The file's name in its folder.
pub const FILE_NAME: &str = "hark.db";

/// How long a process may be still, unless it is said, before others take over its sessions. That it is gone they notice
/// at once.
pub const LEASE: Duration = Duration::from_secs(10);

/// Keeps sessions in one file of a folder.
pub struct SqliteStorage {
    shared: Arc<Shared>,
    /// The same as a storage of records; made when it is needed first.
    encoded: OnceLock<Encoded>,
}

/// What sessions, catalog and committers share.
struct Shared {
    database: Database,
    group: Group,
    /// This process has seen large pickles, so that files may be left to be removed.
    has_pickle_files: AtomicBool,
    folder: PathBuf,
    lease: Duration,
    /// This process's place among those who serve the file; made when it is needed first.
    server: OnceLock<Server>,
    /// For a process that runs threads for a server: which, and what numbers of threads are taken from together.
    serves: Option<Supervision>,
    /// How it leases threads, if it does.
    leases: Option<Leasing>,
}

/// What a process has that runs threads for a server.
struct Supervision {
    server: i64,
    numbers: Numbers,
}

impl SqliteStorage {
    /// Opens the file for a process that runs threads for this server, together with others.
    ///
    /// # Errors
    /// As for [`SqliteStorage::open`].
    pub fn open_for_server(folder: &Path, server: i64) -> Result<SqliteStorage, StorageError> {
        let path = folder.join(FILE_NAME);
        if !server::has_server(folder, server) {
            let path = path.display();
            return Err(StorageError::Permanent(format!("`{path}` is not the file of server {server:x} any more")));
        }
        let database = Database::open(&path)?;
        let numbers = server::numbers(folder, server)?;
        SqliteStorage::with(folder, database, Some(Supervision { server, numbers }))
    }

    /// This process's number among those who serve the file.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn server_number(&self) -> Result<i64, StorageError> {
        self.shared.server_number()
    }

    /// Opens the file in this folder; both are made if they do not exist.
    ///
    /// # Errors
    /// If they cannot be made, opened or written to, or the file is no database of this release.
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

    /// The same; this process's sessions may be taken over when it has been still for so long. It must not have been used
    /// before.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> SqliteStorage {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.lease = lease;
        }
        self
    }

    /// The same; threads are leased, so that any process with this file runs threads of any session. It must not have been
    /// used before.
    #[must_use]
    pub fn with_leased_threads(mut self) -> SqliteStorage {
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            shared.leases = Some(Leasing::new(&shared.folder, shared.lease));
            // Without, leases are as exact as the clocks were when the processes began.
            let _ = clock::share(&shared.folder);
        }
        self
    }

    /// Whether nothing can be written here: the folder is read-only.
    pub fn is_still(&self) -> bool {
        self.shared.database.is_still()
    }

    /// Sees to it that nobody has removed the file, or put another one in its place.
    ///
    /// # Errors
    /// If someone has.
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

    /// How much work the commits were so far.
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
    /// Removes the files of large pickles that nothing has named for so many seconds. What fails is done another time.
    fn remove_pickle_files(&self, seconds: i64) {
        self.group.between(|connection| drop(pickles::remove_files(connection, seconds)));
    }

    /// A change that names large pickles makes files of them.
    fn note_pickle_files(&self, change: &RowChange) {
        let is_large = |part: &Part| matches!(part, Part::Pickle(pickle) if pickle.length() >= FILE_BYTES_MIN);
        if change.parts.iter().filter_map(|change| change.part.as_ref()).any(is_large) {
            self.has_pickle_files.store(true, Ordering::Relaxed);
        }
    }

    /// The same after a commit, which has left none where there are no large pickles.
    fn remove_unneeded_files(&self) {
        if self.has_pickle_files.load(Ordering::Relaxed) {
            self.remove_pickle_files(UNNEEDED_SECONDS);
        }
    }

    /// For whom this process writes to sessions.
    fn owner(&self) -> Result<Owner, StorageError> {
        match self.leases {
            Some(_) => Ok(Owner::OfAll(self.server.get().map(Server::number))),
            None => self.server_number().map(Owner::Server),
        }
    }

    /// The number of the server that this process is, or runs threads for.
    fn server_number(&self) -> Result<i64, StorageError> {
        match &self.serves {
            Some(supervision) => Ok(supervision.server),
            None => Ok(self.server()?.number()),
        }
    }

    /// Sees to it that file and lock are where others look for them.
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
        let server = Server::new(&self.folder, self.lease)
            .map_err(|error| self.database.check_in_place().err().unwrap_or(error))?;
        Ok(self.server.get_or_init(|| server))
    }
}
