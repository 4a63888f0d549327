//! What the commands on kept sessions begin with.

use std::sync::Arc;

use hark_backends::System;
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::outside::{Outside, OutsideError};
use hark_engine::{Catalog, SessionId, SessionState, Storage, Summary, Timestamp};

use crate::args::{ConfigFile, KeptStorage};
use crate::failure::Failure;
use crate::project::{self, Project};
use crate::storage;

/// A project and the storage of its sessions.
pub struct Store {
    pub project: Project,
    pub storage: Arc<SqliteStorage>,
}

impl Store {
    /// Opens it; None if nothing was ever kept there.
    pub fn open(choice: &KeptStorage, config: &ConfigFile) -> Result<Option<Store>, Failure> {
        let project = project::load_here(config.path.as_deref())?;
        let found = storage::of_kept_sessions(&project, choice)?;
        Ok(found.map(|storage| Store { project, storage }))
    }

    /// The same where there must be sessions.
    pub fn existing(choice: &KeptStorage, config: &ConfigFile) -> Result<Store, Failure> {
        Store::open(choice, config)?.ok_or_else(|| {
            Failure::usage("there are no sessions here").with_hint("`hark run -s sqlite FILE` starts one")
        })
    }

    pub fn catalog(&self) -> Result<&dyn Catalog, Failure> {
        self.storage.catalog().ok_or_else(|| Failure::usage("this storage keeps no sessions"))
    }

    /// The session that an id means.
    pub fn find(&self, id: Option<&str>) -> Result<Summary, Failure> {
        storage::find(self.catalog()?, id)
    }

    /// A session, to be seen or changed from outside.
    pub fn outside(&self, id: &SessionId) -> Result<Outside<'_>, Failure> {
        Outside::open(&*self.storage, &System, id).map_err(outside_failure)
    }
}

/// What could not be done, for the user.
pub fn outside_failure(error: OutsideError) -> Failure {
    match error {
        OutsideError::NoSession(id) => storage::no_session(id.as_str()),
        OutsideError::Storage(error) => storage::failure(error),
        other => Failure::usage(other.to_string()),
    }
}

/// The state of a session as it is shown: one that is to end is cancelling, one that runs but is served by nobody is
/// suspended, and one whose export was cut off is what it was before.
pub fn shown_state(summary: &Summary) -> &'static str {
    match state_of(summary) {
        SessionState::Running if summary.record.cancelling.is_some() => "cancelling",
        SessionState::Running if !summary.is_served => "suspended",
        state => state.name(),
    }
}

/// Whether a session is unfinished, and nobody serves it.
pub fn can_be_resumed(summary: &Summary) -> bool {
    state_of(summary) == SessionState::Running && !summary.is_served
}

fn state_of(summary: &Summary) -> SessionState {
    match summary.record.state {
        SessionState::Moving if !summary.is_served => summary.record.as_before_move().state,
        state => state,
    }
}

/// How long it was from one time to another, in a form that people read.
pub fn shown_duration(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.since(from).as_secs_f64();
    match seconds {
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..60.0 => format!("{seconds:.2} s"),
        ..3_600.0 => format!("{} min {} s", seconds as u64 / 60, seconds as u64 % 60),
        ..86_400.0 => format!("{} h {} min", seconds as u64 / 3_600, seconds as u64 / 60 % 60),
        _ => format!("{} d {} h", seconds as u64 / 86_400, seconds as u64 / 3_600 % 24),
    }
}
