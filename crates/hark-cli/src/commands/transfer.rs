//! `hark export`, `hark import`

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use hark_backends::System;
use hark_bytecode::Executable;
use hark_engine::outside::{ExportError, OutsideError};

use hark_engine::{ExportedSession, ImportError, SessionId, import as import_session};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::kept::{Store, outside_failure};
use super::{FINISHED, moving};
use crate::args::{Export, Import};
use crate::failure::Failure;
use crate::output;
use crate::place::{Place, quoted};
use crate::project;
use crate::render::escape;
use crate::storage;

/// Moves a session out of its storage, to a file on standard output.
///
/// # Errors
/// If there is no such session, a process serves it, or it cannot be written.
pub fn export(wanted: &Export) -> Result<u8, Failure> {
    if !wanted.copy {
        check_output(wanted)?;
    }
    let store = Store::existing(&wanted.storage, &wanted.config)?;
    let id = store.find(Some(&wanted.id))?.id;
    let session = store.outside(&id)?;
    let exported = if wanted.copy { session.export_copy(write) } else { session.export(write) };
    exported.map_err(|error| match error {
        ExportError::Write(error) => Failure::Storage(format!(
            "session {id} cannot be written to standard output: {error}; it remains in its storage"
        )),
        ExportError::Changed => Failure::Storage(format!(
            "session {id} was changed by another process, which believed this one dead; it remains in its storage, and the \
             exported file must not be used"
        )),
        ExportError::Refused(OutsideError::Served) => {
            Failure::usage(format!("session {id} is running")).with_hint("stop the process that runs it first")
        }
        ExportError::Refused(OutsideError::WrongState(state)) => {
            moving::explained(Failure::usage(format!("session {id} {}", state.predicate())), &session)
        }
        ExportError::Refused(other) => outside_failure(other),
    })?;
    Ok(FINISHED)
}

/// Refuses, before anything is done, a standard output that would not keep what is written to it.
fn check_output(wanted: &Export) -> Result<(), Failure> {
    let out = io::stdout();
    let refuse = |why: &str| {
        let failure = Failure::usage(format!("{why}: a session that is moved there would be lost"));
        let project = project::load_here(wanted.config.path.as_deref())?;
        let export = Place::of(&project, wanted.storage.asked()).command(&format!("export {}", quoted(&wanted.id)));
        Err(failure.with_hint(format!("write it to a file: `{export} > FILE`")))
    };
    if out.is_terminal() {
        return refuse("standard output is a terminal");
    }
    let file = out.as_fd().try_clone_to_owned().map(File::from).and_then(|file| file.metadata());
    match file {
        Err(_) => return refuse("standard output is closed"),
        // If it was closed at the start, Rust's runtime has replaced it with /dev/null.
        Ok(file) if file.file_type().is_char_device() => return refuse("standard output does not keep data"),
        Ok(_) => {}
    }
    // A pipe without a reader.
    let mut polled = [PollFd::new(&out, PollFlags::OUT)];
    let is_broken =
        poll(&mut polled, Some(&Timespec::default())).is_ok() && polled[0].revents().contains(PollFlags::ERR);
    if is_broken { refuse("nobody reads standard output") } else { Ok(()) }
}

/// Writes to standard output. If that is a file, syncs it to the disk.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()?;
    let file = File::from(out.as_fd().try_clone_to_owned()?);
    if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
}

/// Imports a session from a file into a storage, where it can be resumed. Resuming runs its program, so the user is
/// shown the Python functions that it calls and, if there is a terminal, asked for confirmation.
///
/// # Errors
/// If the file is damaged, the session already exists, or the user declines.
pub fn import(wanted: &Import) -> Result<u8, Failure> {
    let bytes = read(&wanted.file)?;
    let project = project::load_here(wanted.config.path.as_deref())?;
    project.tell_warnings();
    let address = storage::address(&project, &wanted.storage, "there is no importing one")?;
    let refused = |error: ImportError| match error {
        ImportError::Storage(error) => storage::failure(error),
        ImportError::Damaged(_) => Failure::usage(format!("`{}`: {error}", wanted.file.display())),
        ImportError::KeyTaken { .. } => {
            let prune = Place::of(&project, wanted.storage.asked()).command("prune");
            Failure::usage(error.to_string())
                .with_hint(format!("`{prune}` deletes sessions that are over, with their keys"))
        }
        ImportError::Exists { .. } | ImportError::Removed(_) => Failure::usage(error.to_string()),
    };
    let exported = ExportedSession::read(&bytes).map_err(refused)?;
    output::tell(&what_it_calls(exported.id(), exported.program().executable()));
    let can_ask = wanted.file.as_os_str() != "-" && io::stdin().is_terminal() && io::stderr().is_terminal();
    if can_ask && !wanted.yes && !agrees()? {
        return Err(Failure::undone("the session was not imported"));
    }
    let kept = address.open(&project)?;
    let id = import_session(exported, &*kept, &System).map_err(refused)?;
    output::write_out(&format!("{id}\n"))?;
    Ok(FINISHED)
}

/// The Python functions that a session may call, by module. Empty if there are none.
fn what_it_calls(id: &SessionId, executable: &Executable) -> String {
    let mut modules: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for foreign in &executable.foreign {
        modules.entry(&foreign.module).or_default().insert(&foreign.function);
    }
    if modules.is_empty() {
        return String::new();
    }
    let mut out = format!("session {id} calls these Python functions, with arguments that it chooses itself:\n");
    for (module, functions) in modules {
        let functions: Vec<_> = functions.into_iter().map(escape::line).collect();
        out.push_str(&format!("  {}: {}\n", escape::line(module), functions.join(", ")));
    }
    out
}

fn agrees() -> Result<bool, Failure> {
    output::tell("continuing it means running its program with your permissions; import it? [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .map_err(|error| Failure::usage(format!("standard input cannot be read: {error}")))?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
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
