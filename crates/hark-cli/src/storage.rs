//! Where a project's sessions are kept.

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

/// Where a storage is that outlives this process.
pub enum Address {
    /// A file in this folder.
    Folder(PathBuf),
}

impl Address {
    /// Opens it, as the project's settings want it used.
    ///
    /// # Errors
    /// If that cannot be done.
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
    /// For an engine.
    pub fn shared(&self) -> Arc<dyn Storage> {
        match self {
            Kept::Sqlite(file) => file.clone(),
        }
    }

    /// The folder for output of its sessions that cannot be shown yet.
    pub fn folder(&self) -> PathBuf {
        match self {
            Kept::Sqlite(file) => file.folder().to_path_buf(),
        }
    }

    /// Whether it is still what it was when it was opened: nobody has moved the file away, for example.
    ///
    /// # Errors
    /// If it is not.
    pub fn check_in_place(&self) -> Result<(), StorageError> {
        match self {
            Kept::Sqlite(file) => file.check_in_place(),
        }
    }

    /// What this process has asked of it so far.
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

/// The storage that a session is started in: what the command line says, else `hark.toml`, else memory. None is memory.
///
/// # Errors
/// If it cannot be opened.
pub fn for_new_session(project: &Project, asked: &StorageChoice) -> Result<Option<Kept>, Failure> {
    match asked.name.or(project.settings.storage).unwrap_or(StorageName::Memory) {
        StorageName::Memory => Ok(None),
        StorageName::Sqlite => open_file(project, &data_dir(project, asked.data_dir.as_deref())?).map(Some),
    }
}

/// The file in this folder, as the project's settings want it used.
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

/// A storage for an engine.
pub fn or_memory(kept: Option<&Kept>) -> Arc<dyn Storage> {
    kept.map_or_else(|| Arc::<MemoryStorage>::default() as Arc<dyn Storage>, Kept::shared)
}

/// The storage that sessions are looked for in: the file in the folder that the command line names, else in `data_dir`. None if nothing was ever kept there.
///
/// # Errors
/// If it cannot be opened, or keeps no sessions.
pub fn of_kept_sessions(project: &Project, asked: &KeptStorage) -> Result<Option<Kept>, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so there are none to look for"));
    }
    let folder = data_dir(project, asked.data_dir.as_deref())?;
    if !SqliteStorage::exists(&folder) {
        return Ok(None);
    }
    open_file(project, &folder).map(Some)
}

/// Where the sessions are that a worker serves, or into which one is imported. There need not be any yet.
///
/// # Errors
/// If sessions are not to last.
pub fn address(project: &Project, asked: &KeptStorage) -> Result<Address, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so a worker cannot serve them"));
    }
    data_dir(project, asked.data_dir.as_deref()).map(Address::Folder)
}

/// There is no such session.
pub fn no_session(id: &str) -> Failure {
    Failure::usage(format!("there is no session `{id}`")).with_hint("`hark sessions` shows those that there are")
}

/// What went wrong in the storage, for the user.
pub fn failure(error: StorageError) -> Failure {
    Failure::Storage(error.to_string())
}

/// The id of a session that a text begins with, and what follows it after a slash.
pub fn split_future_id(text: &str) -> Option<(SessionId, &str)> {
    text.split_once('/').map(|(session, rest)| (SessionId::from_text(session), rest))
}

/// The folder that sessions are kept in. One that the command line names may be anybody's.
fn data_dir(project: &Project, named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return std::path::absolute(named)
            .map_err(|error| Failure::usage(format!("`{}` is no folder: {error}", named.display())));
    }
    let folder = project.folder.join(&project.settings.data_dir);
    trust::check_kept(&folder)?;
    Ok(folder)
}
