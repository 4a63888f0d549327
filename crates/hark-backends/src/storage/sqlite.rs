//! Sessions in one SQLite file.
//!
//! Write-ahead log, `synchronous=FULL`: a commit that has returned is on the disk. Commits of many threads that are ready
//! together share one transaction and one fsync ([`group`]). Whoever serves sessions holds a lock that the system frees at
//! its death, and listens on a socket for what other processes write ([`server`]).

mod catalog;
mod change;
mod database;
mod group;
mod server;
mod session;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use hark_engine::{Catalog, SessionId, SessionStorage, Storage, StorageError};
use hark_machine::Program;

use database::Database;
use group::Group;
pub use group::Work;
use server::Server;
use session::SqliteSession;

/// The file's name in its folder.
pub const FILE_NAME: &str = "hark.db";

/// Keeps sessions in one file of a folder.
pub struct SqliteStorage {
    shared: Arc<Shared>,
}

/// What sessions, catalog and committers share.
struct Shared {
    database: Database,
    group: Group,
    folder: PathBuf,
    /// This process's place among those who serve the file; made when it is needed first.
    server: OnceLock<Server>,
}

impl SqliteStorage {
    /// Opens the file in this folder; both are made if they do not exist.
    ///
    /// # Errors
    /// If they cannot be made, opened or written to, or the file is no database of this release.
    pub fn open(folder: &Path) -> Result<SqliteStorage, StorageError> {
        let database = Database::open(&folder.join(FILE_NAME))?;
        let group = Group::new(database.connect_writer()?);
        let folder = folder.to_path_buf();
        Ok(SqliteStorage { shared: Arc::new(Shared { database, group, folder, server: OnceLock::new() }) })
    }

    /// Whether there is a file in this folder.
    pub fn exists(folder: &Path) -> bool {
        folder.join(FILE_NAME).exists()
    }

    /// How much work the commits were so far.
    pub fn work(&self) -> Work {
        self.shared.group.work()
    }
}

impl Storage for SqliteStorage {
    fn session(&self, id: &SessionId, program: &Arc<Program>) -> Result<Arc<dyn SessionStorage>, StorageError> {
        Ok(Arc::new(SqliteSession::new(self.shared.clone(), id.clone(), program.clone())))
    }

    fn catalog(&self) -> Option<&dyn Catalog> {
        Some(&*self.shared)
    }
}

impl Shared {
    fn server(&self) -> Result<&Server, StorageError> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let server = Server::new(&self.folder)?;
        Ok(self.server.get_or_init(|| server))
    }
}
