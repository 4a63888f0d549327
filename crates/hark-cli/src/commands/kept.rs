//! Opening a storage and finding its sessions, for the commands on stored sessions.

use hark_backends::System;
use hark_engine::outside::{Outside, OutsideError};
use hark_engine::{About, Catalog, Filter, Listed, SessionId, SessionState, Summary, Timestamp, session_of};

use super::sessions::shown_name;
#[cfg(feature = "lambda")]
use crate::args::InstanceChoice;
use crate::args::{ConfigFile, KeptStorage};
use crate::failure::Failure;
use crate::place::Place;
use crate::project::{self, Project};
use crate::storage::{self, Kept};

/// The maximum number of sessions listed for an ambiguous id.
const SHOWN_MAX: usize = 5;

/// A project and the storage of its sessions.
pub struct Store {
    pub project: Project,
    pub storage: Kept,
    pub place: Place,
}

impl Store {
    /// Opens it. Returns None if nothing has ever been stored there.
    pub fn open(choice: &KeptStorage, config: &ConfigFile) -> Result<Option<Store>, Failure> {
        Store::open_or_place(choice, config).map(Result::ok)
    }

    /// Opens it. If nothing has ever been stored there, returns its place.
    pub fn open_or_place(choice: &KeptStorage, config: &ConfigFile) -> Result<Result<Store, Place>, Failure> {
        let project = project::load_here(config.path.as_deref())?;
        project.tell_warnings();
        let found = storage::of_kept_sessions(&project, choice)?;
        let place = Place::of(&project, choice.asked());
        Ok(match found {
            Some(storage) => Ok(Store { project, storage, place }),
            None => Err(place),
        })
    }

    /// The sessions of an instance on AWS Lambda: of this one, or the project's.
    #[cfg(feature = "lambda")]
    pub fn of_instance(name: Option<&str>, config: &ConfigFile) -> Result<Store, Failure> {
        let instance = InstanceChoice { deployed: true, uuid: name.map(str::to_owned) };
        Store::existing(&KeptStorage { name: None, data_dir: None, instance }, config)
    }

    /// Like `open`, but fails if there are no sessions.
    pub fn existing(choice: &KeptStorage, config: &ConfigFile) -> Result<Store, Failure> {
        Store::open_or_place(choice, config)?.map_err(|place| {
            Failure::usage(format!("there are no sessions: there is no file `{}`", place.store()))
                .with_hint(format!("`{}` starts one; `-s dynamodb` looks in a table", place.start()))
        })
    }

    pub fn catalog(&self) -> Result<&dyn Catalog, Failure> {
        self.storage.catalog().ok_or_else(|| Failure::usage("this storage does not keep sessions"))
    }

    /// The session with this key or id prefix; without one, the newest.
    ///
    /// # Errors
    /// If there is no such session, or there are several. An empty id is refused, although every id begins with it: it
    /// comes from an unset variable of a shell.
    pub fn find(&self, id: Option<&str>) -> Result<Summary, Failure> {
        if id == Some("") {
            let list = self.place.command("sessions");
            return Err(Failure::usage("the id of the session is empty")
                .with_hint(format!("is a shell variable not set? `{list}` lists the existing ids")));
        }
        let keyed =
            id.map(|key| session_of(self.storage.space(), key)).transpose().map_err(storage::failure)?.flatten();
        let named = keyed.as_ref().map(SessionId::as_str).or(id);
        let limit = if id.is_some() { SHOWN_MAX + 1 } else { 1 };
        let filter = Filter { prefix: named.map(str::to_owned), limit: Some(limit), ..Filter::default() };
        let mut found = self.catalog()?.list(&filter).map_err(storage::failure)?;
        let (store, list) = (self.place.quoted_store(), self.place.command("sessions"));
        match (found.len(), id) {
            (1, _) => found.remove(0).map_err(|damaged| storage::failure(damaged.error)),
            (0, None) => Err(Failure::usage(format!("there are no sessions in {store}"))
                .with_hint(format!("`{}` starts one", self.place.start()))),
            (0, Some(id)) => Err(Failure::usage(format!("there is no session `{id}` in {store}"))
                .with_hint(format!("`{list}` lists the existing ones"))),
            (_, id) => {
                let more = if found.len() > SHOWN_MAX { "\n..." } else { "" };
                let shown: String = found.iter().take(SHOWN_MAX).map(shown_among_several).collect();
                let id = id.unwrap_or_default();
                Err(Failure::usage(format!("several session ids begin with `{id}`:{shown}{more}"))
                    .with_hint(format!("give more characters of the id; `{list}` shows all sessions")))
            }
        }
    }

    /// A session, to read or change from outside.
    pub fn outside(&self, id: &SessionId) -> Result<Outside<'_>, Failure> {
        Outside::open(&*self.storage, &System, id).map_err(|error| match error {
            OutsideError::NoSession(_) => {
                let list = self.place.command("sessions");
                outside_failure(error).with_hint(format!("`{list}` lists the existing ones"))
            }
            error => outside_failure(error),
        })
    }
}

/// A line for one of several matching sessions.
fn shown_among_several(listed: &Listed) -> String {
    match listed {
        Ok(summary) => {
            let function = shown_name(&summary.record.about.function);
            format!("\n{} {function}, {}", summary.id, shown_state(summary))
        }
        Err(damaged) => format!("\n{}, damaged", damaged.id),
    }
}

/// The message for an error of an access from outside.
pub fn outside_failure(error: OutsideError) -> Failure {
    match error {
        OutsideError::NoSession(id) => storage::no_session(id.as_str()),
        OutsideError::Storage(error) => storage::failure(error),
        other => Failure::usage(other.to_string()),
    }
}

/// The displayed state of a session: a running one is "cancelling" if it has been cancelled and "suspended" if it is
/// not being served; one whose export was interrupted has the state from before.
pub fn shown_state(summary: &Summary) -> &'static str {
    match state_of(summary) {
        SessionState::Running if summary.record.cancelling.is_some() => "cancelling",
        SessionState::Running if !summary.is_served => "suspended",
        state => state.name(),
    }
}

/// Whether a session is unfinished and not being served.
pub fn can_be_resumed(summary: &Summary) -> bool {
    state_of(summary) == SessionState::Running && !summary.is_served
}

fn state_of(summary: &Summary) -> SessionState {
    match summary.record.state {
        SessionState::Moving if !summary.is_served => summary.record.as_before_move().state,
        state => state,
    }
}

/// The call that started a session, shortened to this many characters.
pub fn shown_call(about: &About, characters_max: usize) -> String {
    shortened(&format!("{}({})", about.function, about.arguments.join(", ")), characters_max)
}

/// A text, shortened to this many characters, the last of which is an ellipsis.
pub fn shortened(text: &str, characters_max: usize) -> String {
    if text.chars().nth(characters_max).is_none() {
        return text.to_owned();
    }
    text.chars().take(characters_max.saturating_sub(1)).chain(['…']).collect()
}

/// The time between two timestamps, human-readable.
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
