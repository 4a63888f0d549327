//! Where a project's sessions are kept, according to the command line and `hark.toml`.

mod kept;

use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "dynamodb")]
use hark_backends::storage::dynamodb::{self, Advice, DynamoSettings};
use hark_engine::{MemoryStorage, SessionId, Storage, StorageError};

#[cfg(feature = "dynamodb")]
use crate::age;
use crate::args::{Asked, KeptStorage, StorageChoice, StorageName};
#[cfg(feature = "lambda")]
use crate::deployed;
use crate::failure::Failure;
use crate::place::Place;
use crate::project::Project;
use crate::trust;
pub use kept::{Address, Kept};

/// The storage of a new session: from the command line, else from `hark.toml`, else memory, which is None.
///
/// # Errors
/// If it cannot be opened, or only the functions of an instance start sessions there.
pub fn for_new_session(project: &Project, choice: &StorageChoice) -> Result<Option<Kept>, Failure> {
    check_starts_here(project, choice)?;
    let asked = choice.asked();
    match address_of(project, name_of_new(project, asked), asked)? {
        Some(address) => address.open(project).map(Some),
        None => Ok(None),
    }
}

/// Checks that this command may start a session in the storage of new ones, whatever program it is of.
///
/// # Errors
/// If only the functions of an instance start sessions there.
pub fn check_starts_here(project: &Project, choice: &StorageChoice) -> Result<(), Failure> {
    let asked = choice.asked();
    if name_of_new(project, asked).is_run_by_functions() {
        let failure =
            Failure::usage("the functions of an instance run their own copy of the project, as it was deployed");
        let invoke = Place::of(project, asked).start();
        return Err(failure.with_hint(match asked.name {
            Some(_) => format!("`{invoke}` starts a session there; without `-s lambda` it is run here"),
            None => {
                format!("`{invoke}` starts a session there, as `storage` in hark.toml says; `-s memory` runs it here")
            }
        }));
    }
    Ok(())
}

/// Which storage a command that starts a session means.
fn name_of_new(project: &Project, asked: Asked<'_>) -> StorageName {
    asked.name.or(project.settings.storage).unwrap_or(StorageName::Memory)
}

/// A storage for an engine.
pub fn or_memory(kept: Option<&Kept>) -> Arc<dyn Storage> {
    kept.map_or_else(|| Arc::<MemoryStorage>::default() as Arc<dyn Storage>, Kept::shared)
}

/// The storage in which a command looks for sessions. None if nothing was ever kept there.
///
/// # Errors
/// If it cannot be opened, or keeps no sessions.
pub fn of_kept_sessions(project: &Project, choice: &KeptStorage) -> Result<Option<Kept>, Failure> {
    let address = address(project, choice, "none can be found")?;
    if !address.exists() {
        return Ok(None);
    }
    address.open(project).map(Some)
}

/// The place of the sessions that a command serves, or leaves to others. There need not be any yet.
///
/// # Errors
/// If sessions are kept in memory; `so` says what that means for the command.
pub fn address(project: &Project, choice: &KeptStorage, so: &str) -> Result<Address, Failure> {
    let asked = choice.asked();
    let address = address_of(project, name_of_kept(project, asked), asked)?;
    address.ok_or_else(|| Failure::usage(format!("sessions in memory end with their process, so {so}")))
}

/// The storage for a command on kept sessions: the one on the command line; a file, if the command line names a folder;
/// the one in `hark.toml`, unless that is memory; else a file.
pub fn name_of_kept(project: &Project, asked: Asked<'_>) -> StorageName {
    let lasting = project.settings.storage.filter(|name| *name != StorageName::Memory && asked.data_dir.is_none());
    asked.name.or(lasting).unwrap_or(StorageName::Sqlite)
}

/// The place of a storage; None for memory.
fn address_of(project: &Project, name: StorageName, asked: Asked<'_>) -> Result<Option<Address>, Failure> {
    if asked.ttl.is_some() && !name.is_remote() {
        let failure = Failure::usage("`--ttl` needs a storage that removes sessions by itself");
        return Err(failure.with_hint("with `-s dynamodb` it does; elsewhere `hark prune` removes them"));
    }
    #[cfg(feature = "lambda")]
    if asked.instance.is_some() && name != StorageName::Lambda {
        return Err(Failure::usage("`--uuid` names an instance on AWS Lambda, and `-s` another storage")
            .with_hint("leave one of them out"));
    }
    Ok(match name {
        StorageName::Memory => None,
        StorageName::Sqlite => Some(Address::Folder(data_dir(project, asked.data_dir)?)),
        #[cfg(feature = "dynamodb")]
        StorageName::Dynamodb => Some(Address::Table(table(project, asked)?)),
        #[cfg(feature = "lambda")]
        StorageName::Lambda => {
            Some(Address::Instance(deployed::expect(project, asked.instance)?, instance_table(project, asked)))
        }
    })
}

/// The settings of the table.
#[cfg(feature = "dynamodb")]
fn table(project: &Project, asked: Asked<'_>) -> Result<DynamoSettings, Failure> {
    if asked.data_dir.is_some() {
        let failure = Failure::usage("`--data-dir` names the folder of a file, and sessions are kept in DynamoDB here");
        return Err(failure.with_hint("add `-s sqlite`"));
    }
    let (told, place) = (&project.settings.dynamodb, Place::of(project, asked));
    let ttl = asked.ttl.map(age::parse).transpose()?;
    if ttl.is_some_and(|ttl| ttl.is_zero()) {
        let failure = Failure::usage("`--ttl` is 0: the session would be removed at once");
        return Err(failure.with_hint("without `--ttl` and `ttl` in hark.toml it stays until `hark prune` removes it"));
    }
    Ok(DynamoSettings {
        table: told.table.clone().unwrap_or_else(|| dynamodb::TABLE.to_owned()),
        endpoint: told.endpoint.clone(),
        region: told.region.clone(),
        profile: told.profile.clone(),
        bucket: told.bucket.clone(),
        bucket_endpoint: told.bucket_endpoint.clone(),
        ttl: ttl.or(told.ttl),
        lease: project.settings.lease.unwrap_or(dynamodb::LEASE),
        advice: Advice { make: place.command("storage init"), check: place.command("storage check"), function: None },
    })
}

/// The settings of an instance's table, without its name. It is in the project's account, wherever the project's other
/// table may be.
#[cfg(feature = "lambda")]
fn instance_table(project: &Project, asked: Asked<'_>) -> DynamoSettings {
    let (told, place) = (&project.settings.dynamodb, Place::of(project, asked));
    DynamoSettings {
        region: told.region.clone(),
        profile: told.profile.clone(),
        ttl: told.ttl,
        lease: project.settings.lease.unwrap_or(dynamodb::LEASE),
        advice: Advice {
            make: place.instance_command("deploy"),
            check: place.command("storage check"),
            function: None,
        },
        ..DynamoSettings::default()
    }
}

/// The failure that a session does not exist.
pub fn no_session(id: &str) -> Failure {
    Failure::usage(format!("there is no session `{id}`"))
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
