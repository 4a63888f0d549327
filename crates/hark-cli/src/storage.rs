//! The storages of a project's sessions.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hark_backends::storage::sqlite::{SqliteStorage, Work};
use hark_engine::{MemoryStorage, SessionId, Storage, StorageError};

use crate::args::{KeptStorage, StorageChoice, StorageName};
use crate::config::Tenure;
use crate::failure::Failure;
use crate::project::Project;
use crate::trust;

/// A storage whose sessions outlive this process.
#[derive(Clone)]
pub enum Kept {
    /// A file in a folder.
    Sqlite(Arc<SqliteStorage>),
}

/// The place of a storage that outlives this process.
pub enum Address {
    /// A file in this folder.
    Folder(PathBuf),
}

impl Address {
    /// Opens it, with the project's settings.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self, project: &Project) -> Result<Kept, Failure> {
        match self {
            Address::Folder(folder) => open_file(project, folder),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Folder(folder) => folder.display().fmt(formatter),
        }
    }
}

impl Kept {
    /// The storage, for an engine.
    pub fn shared(&self) -> Arc<dyn Storage> {
        match self {
            Kept::Sqlite(file) => file.clone(),
        }
    }

    /// The folder for output that cannot be written yet.
    pub fn folder(&self) -> PathBuf {
        match self {
            Kept::Sqlite(file) => file.folder().to_path_buf(),
        }
    }

    /// Checks that the storage has not been replaced since it was opened, for example by moving the file away.
    ///
    /// # Errors
    /// If it has been replaced.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        match self {
            Kept::Sqlite(file) => file.check_in_place(),
        }
    }

    /// The work done by this process so far.
    pub fn work(&self) -> Work {
        match self {
            Kept::Sqlite(file) => file.work(),
        }
    }
}

impl Deref for Kept {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        match self {
            Kept::Sqlite(file) => &**file,
        }
    }
}

/// The storage of a new session: from the command line, else from `hark.toml`, else memory, which is None.
///
/// # Errors
/// If it cannot be opened.
pub fn for_new_session(project: &Project, asked: &StorageChoice) -> Result<Option<Kept>, Failure> {
    match asked.name.or(project.settings.storage).unwrap_or(StorageName::Memory) {
        StorageName::Memory => Ok(None),
        StorageName::Sqlite => open_file(project, &data_dir(project, asked.data_dir.as_deref())?).map(Some),
    }
}

/// Opens the file in this folder, with the project's settings.
///
/// # Errors
/// If it cannot be opened.
fn open_file(project: &Project, folder: &Path) -> Result<Kept, Failure> {
    let file = SqliteStorage::open(folder).map_err(failure)?;
    let file = file.with_lease(project.settings.lease);
    Ok(Kept::Sqlite(Arc::new(match project.settings.tenure {
        Tenure::Sessions => file,
        Tenure::Threads => file.with_leased_threads(),
    })))
}

/// The storage for an engine: this one, or new memory.
pub fn or_memory(kept: Option<&Kept>) -> Arc<dyn Storage> {
    kept.map_or_else(|| Arc::<MemoryStorage>::default() as Arc<dyn Storage>, Kept::shared)
}

/// The storage searched for sessions: the file in the folder given on the command line, else in `data_dir`. None if
/// nothing has ever been stored there.
///
/// # Errors
/// If it cannot be opened, or is memory.
pub fn of_kept_sessions(project: &Project, asked: &KeptStorage) -> Result<Option<Kept>, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so none can be found"));
    }
    let folder = data_dir(project, asked.data_dir.as_deref())?;
    if !SqliteStorage::exists(&folder) {
        return Ok(None);
    }
    open_file(project, &folder).map(Some)
}

/// The place of the storage that a worker serves, or a session is imported into. It need not exist yet.
///
/// # Errors
/// If it is memory.
pub fn address(project: &Project, asked: &KeptStorage) -> Result<Address, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so a worker cannot serve them"));
    }
    data_dir(project, asked.data_dir.as_deref()).map(Address::Folder)
}

/// The failure that a session does not exist.
pub fn no_session(id: &str) -> Failure {
    Failure::usage(format!("there is no session `{id}`")).with_hint("`hark sessions` lists the existing ones")
}

/// The failure for an error of the storage.
pub fn failure(error: StorageError) -> Failure {
    Failure::Storage(error.to_string())
}

/// The session id at the beginning of a text, and the rest after a slash.
pub fn split_future_id(text: &str) -> Option<(SessionId, &str)> {
    text.split_once('/').map(|(session, rest)| (SessionId::from_text(session), rest))
}

/// The folder of the stored sessions. The owner of a folder given on the command line is not checked.
fn data_dir(project: &Project, named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return std::path::absolute(named)
            .map_err(|error| Failure::usage(format!("`{}` is not a folder: {error}", named.display())));
    }
    let folder = project.folder.join(&project.settings.data_dir);
    trust::check_kept(&folder)?;
    Ok(folder)
}
