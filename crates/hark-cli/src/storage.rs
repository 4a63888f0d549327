//! Where a project's sessions are kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::{MemoryStorage, SessionId, Storage, StorageError};

use crate::args::{KeptStorage, StorageChoice, StorageName};
use crate::config::Tenure;
use crate::failure::Failure;
use crate::project::Project;
use crate::trust;

/// The storage that a session is started in: what the command line says, else `hark.toml`, else memory. None is memory.
///
/// # Errors
/// If it cannot be opened.
pub fn for_new_session(project: &Project, asked: &StorageChoice) -> Result<Option<Arc<SqliteStorage>>, Failure> {
    match asked.name.or(project.settings.storage).unwrap_or(StorageName::Memory) {
        StorageName::Memory => Ok(None),
        StorageName::Sqlite => open(project, &data_dir(project, asked.data_dir.as_deref())?).map(Some),
    }
}

/// The file in this folder, as the project's settings want it used.
///
/// # Errors
/// If it cannot be opened.
pub fn open(project: &Project, folder: &Path) -> Result<Arc<SqliteStorage>, Failure> {
    let file = SqliteStorage::open(folder).map_err(failure)?;
    let file = file.with_lease(project.settings.lease);
    Ok(Arc::new(match project.settings.tenure {
        Tenure::Sessions => file,
        Tenure::Threads => file.with_leased_threads(),
    }))
}

/// A storage for an engine.
pub fn or_memory(file: Option<Arc<SqliteStorage>>) -> Arc<dyn Storage> {
    match file {
        Some(file) => file,
        None => Arc::<MemoryStorage>::default(),
    }
}

/// The storage that sessions are looked for in: the file in the folder that the command line names, else in `data_dir`. None if nothing was ever kept there.
///
/// # Errors
/// If it cannot be opened, or keeps no sessions.
pub fn of_kept_sessions(project: &Project, asked: &KeptStorage) -> Result<Option<Arc<SqliteStorage>>, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so there are none to look for"));
    }
    let folder = data_dir(project, asked.data_dir.as_deref())?;
    if !SqliteStorage::exists(&folder) {
        return Ok(None);
    }
    open(project, &folder).map(Some)
}

/// The folder whose sessions a worker serves; they may still be to come.
///
/// # Errors
/// If sessions are not to last.
pub fn folder_to_serve(project: &Project, asked: &KeptStorage) -> Result<PathBuf, Failure> {
    if asked.name == Some(StorageName::Memory) {
        return Err(Failure::usage("sessions in memory end with their process, so a worker cannot serve them"));
    }
    data_dir(project, asked.data_dir.as_deref())
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
