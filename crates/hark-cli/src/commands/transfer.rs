//! `hark export`, `hark import`

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;

use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::outside::OutsideError;
use hark_engine::{ImportError, SessionId, SessionState, import as import_session};

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
    if summary.record.state == SessionState::Running {
        // Nobody else begins to run it while it is read.
        let claimed = store.catalog()?.claim(Some(id)).map_err(storage::failure)?;
        if claimed.is_empty() {
            return Err(Failure::usage(format!("session {id} is running")).with_hint("stop what runs it first"));
        }
    }
    let moves = !wanted.copy && summary.record.state != SessionState::Moved;
    let taken = take_out(&store, id, moves);
    // One that was moved is nobody's already.
    store.catalog()?.release(Some(id)).map_err(storage::failure)?;
    taken.map(|()| FINISHED)
}

/// Writes a session to standard output; only when that has it for certain is it moved here.
fn take_out(store: &Store, id: &SessionId, moves: bool) -> Result<(), Failure> {
    let session = store.outside(id)?;
    let (bytes, version) = session.export().map_err(|error| match error {
        OutsideError::WrongState(_) => {
            let failure = Failure::usage(format!("only a part of session {id} is here: its import was cut off"));
            failure.with_hint("import it once more")
        }
        other => outside_failure(other),
    })?;
    write(&bytes).map_err(|error| {
        let stays = if moves { "; the session stays here" } else { "" };
        Failure::Storage(format!("session {id} cannot be written to standard output: {error}{stays}"))
    })?;
    if moves {
        session.set_moved(version).map_err(|error| match error {
            OutsideError::WrongState(_) => {
                Failure::usage(format!("session {id} has changed while it was written; it stays here"))
            }
            other => outside_failure(other),
        })?;
    }
    Ok(())
}

/// Writes to standard output. A file there is on the disk then.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    let file = File::from(out.as_fd().try_clone_to_owned()?);
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
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
