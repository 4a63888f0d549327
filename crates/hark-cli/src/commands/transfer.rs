//! `hark export`, `hark import`

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::{ImportError, SessionState, import as import_session};

use super::FINISHED;
use super::kept::{Store, outside_failure};
use crate::args::{Export, Import};
use crate::failure::Failure;
use crate::output;
use crate::project;
use crate::storage;

/// Takes a session out of its storage, as a file on standard output.
///
/// # Errors
/// If there is none, someone runs it, or it cannot be written.
pub fn export(wanted: &Export) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.storage, &wanted.config)?;
    let summary = store.find(wanted.id.as_deref())?;
    let id = &summary.id;
    let runs = summary.record.state == SessionState::Running;
    if summary.record.state == SessionState::Moved {
        return Err(Failure::usage(format!("session {id} was moved before")));
    }
    if runs {
        // Nobody else begins to run it while it is read.
        let claimed = store.catalog()?.claim(Some(id)).map_err(storage::failure)?;
        if claimed.is_empty() {
            return Err(Failure::usage(format!("session {id} is running")).with_hint("stop what runs it first"));
        }
    }
    let session = store.outside(id)?;
    let bytes = session.export().map_err(outside_failure)?;
    let mut out = io::stdout().lock();
    out.write_all(&bytes).and_then(|()| out.flush()).map_err(Failure::Output)?;
    if wanted.copy {
        store.catalog()?.release(Some(id)).map_err(storage::failure)?;
    } else {
        session.set_moved().map_err(outside_failure)?;
    }
    Ok(FINISHED)
}

/// Puts a session from a file into a storage, where it can be resumed.
///
/// # Errors
/// If the file is damaged, or the session is there already.
pub fn import(wanted: &Import) -> Result<u8, Failure> {
    let bytes = read(&wanted.file)?;
    let project = project::load_here(wanted.config.path.as_deref())?;
    let folder = storage::folder_to_serve(&project, wanted.storage.name)?;
    let kept = SqliteStorage::open(&folder).map_err(storage::failure)?;
    let id = import_session(&bytes, &kept, &System).map_err(|error| match error {
        ImportError::Storage(error) => storage::failure(error),
        ImportError::Damaged(_) => Failure::usage(format!("`{}`: {error}", wanted.file.display())),
        ImportError::Exists { .. } => Failure::usage(error.to_string()),
    })?;
    output::write_out(&format!("{id}\n"))?;
    Ok(FINISHED)
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        io::stdin().lock().read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::usage(format!("`{}` cannot be read: {error}", file.display())))?;
    Ok(bytes)
}
