//! `hark worker`

use std::sync::Arc;

use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::{Engine, Options, Storage};

use super::FINISHED;
use crate::args::Worker;
use crate::failure::Failure;
use crate::output;
use crate::project;
use crate::render::{Paint, Style};
use crate::session::Serving;
use crate::signals::Interruption;
use crate::storage;

/// Serves all sessions until it is told to stop.
///
/// # Errors
/// If the storage cannot be opened.
pub fn worker(wanted: &Worker) -> Result<u8, Failure> {
    let project = project::load_here(wanted.config.path.as_deref())?;
    let folder = storage::folder_to_serve(&project, wanted.storage.name)?;
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::open(&folder).map_err(storage::failure)?);
    let mut serving = Serving::new(&project, storage, true, Options::default(), &Interruption::default())?;
    if !wanted.quiet {
        let text = format!("serving {}; Ctrl-C stops it", folder.display());
        output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, &text)));
    }
    serving.attend(Engine::attend_all)?;
    serving.ports.invoker.serve(&serving.interrupted);
    serving.end();
    Ok(FINISHED)
}
