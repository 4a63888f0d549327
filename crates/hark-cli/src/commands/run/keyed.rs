//! A session that was already started under the same key. Its output and result are shown as if this command had
//! started it; if no process serves it, this command does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_engine::outside::Outside;
use hark_engine::{
    About, Catalog, HistoryReader, LogEntry, Observer, OutputItem, Report, Scope, SessionId, SessionRecord,
    SessionState, Storage, Surroundings,
};

use crate::commands::kept::{outside_failure, shown_call};
use crate::failure::Failure;
use crate::place::{Place, quoted};
use crate::session::{self, Serving, Session};
use crate::storage;

/// How often a session served by another process is checked.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// The maximum number of characters of a call in a message.
const CALL_CHARACTERS_MAX: usize = 100;

/// Follows a session to its end, passing its output to `show`, and returns its report.
///
/// # Errors
/// If the storage fails.
pub fn follow(
    session: &Session,
    id: &SessionId,
    show: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let catalog = catalog_of(&*session.storage, id)?;
    let outside = Outside::open(&*session.storage, &System, id).map_err(outside_failure)?;
    let mut history = HistoryReader::new(outside.records());
    let mut server: Option<Server> = None;
    loop {
        // Checked before the history is read: output added after the check is read in the next round.
        let is_over = record_of(catalog, id)?.state.is_over() || server.as_ref().is_some_and(Server::has_ended);
        while let Some(page) = history.page().map_err(storage::failure)? {
            page.into_iter().filter_map(LogEntry::into_printed).try_for_each(|item| show(&item.text))?;
        }
        // A session served by this process is ended by the same signal.
        if is_over || server.is_none() && session.interruption.exit_status().is_some() {
            break;
        }
        if server.is_none() && !session::is_run_elsewhere(&*session.storage, id).map_err(storage::failure)? {
            server = Server::start(session, id)?;
        }
        thread::sleep(LOOK_INTERVAL);
    }
    if let Some(server) = server {
        server.end()?;
    }
    let is_served = session.storage.tenure().is_served_elsewhere(id, System.steady_now()).map_err(storage::failure)?;
    outside.report(is_served).map_err(outside_failure)
}

fn record_of(catalog: &dyn Catalog, id: &SessionId) -> Result<SessionRecord, Failure> {
    let found = catalog.record(id).map_err(storage::failure)?;
    found.map(|(_, record)| record).ok_or_else(|| Failure::usage(format!("session {id} was removed meanwhile")))
}

fn catalog_of<'s>(storage: &'s dyn Storage, id: &SessionId) -> Result<&'s dyn Catalog, Failure> {
    storage.catalog().ok_or_else(|| storage::no_session(id.as_str()))
}

/// Checks that a session is the one this command would have started, which is described by `own`.
///
/// # Errors
/// If it is not, or has been moved to another storage.
pub fn check(storage: &dyn Storage, own: &About, id: &SessionId, place: &Place) -> Result<(), Failure> {
    let record = record_of(catalog_of(storage, id)?, id)?;
    let known = &record.about;
    let key = own.labels.key.as_deref().unwrap_or_default();
    let failure = if let Some(other) = other_call(known, own) {
        other
    } else if known.program != own.program {
        let what = if known.file == own.file { "has changed since" } else { "is a different program" };
        Failure::usage(format!("the key `{key}` belongs to a session of `{}`; `{}` {what}", known.file, own.file))
    } else if record.state == SessionState::Moved {
        return Err(Failure::usage(format!("the session with the key `{key}` was moved to another storage")));
    } else {
        return Ok(());
    };
    let show = place.command(&format!("show {}", quoted(key)));
    Err(failure.with_hint(format!("`{show}` shows that session; a new session needs a different key")))
}

/// The failure that the session with a key was started with another call than that of `own`, if it was.
pub fn other_call(known: &About, own: &About) -> Option<Failure> {
    if (&known.function, &known.arguments_hash) == (&own.function, &own.arguments_hash) {
        return None;
    }
    let key = own.labels.key.as_deref().unwrap_or_default();
    let [known, own] = [known, own].map(|about| shown_call(about, CALL_CHARACTERS_MAX));
    let message = format!("the key `{key}` belongs to a session that was started with `{known}`, not `{own}`");
    Some(Failure::usage(message))
}

/// An engine that serves the session while this thread shows it.
struct Server {
    serving: Serving,
    has_ended: Arc<AtomicBool>,
    work: thread::JoinHandle<()>,
}

impl Server {
    /// Takes the session. Returns None if another process has taken it first.
    fn start(session: &Session, id: &SessionId) -> Result<Option<Server>, Failure> {
        let options = session::options(&session.project);
        let (storage, invoker) = (session.storage.clone(), session.invoker.clone());
        let mut serving =
            Serving::new(&session.project, storage, invoker.clone(), true, options, &session.interruption)?;
        let has_ended = Arc::new(AtomicBool::new(false));
        let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
        let on_end: Arc<dyn Fn(Report) + Send + Sync> = {
            let (has_ended, invoker) = (has_ended.clone(), invoker.clone());
            Arc::new(move |_| {
                has_ended.store(true, Ordering::Release);
                invoker.nudge();
            })
        };
        if serving.engine.resume(Some(id), &observer, &on_end).map_err(storage::failure)?.is_empty() {
            serving.end()?;
            return Ok(None);
        }
        serving.attend(Scope::Own)?;
        let ended = has_ended.clone();
        let serve = move || invoker.serve(&ended);
        let work = thread::Builder::new().name("serving".to_owned()).spawn(serve);
        let work = work.map_err(|error| Failure::system("cannot start a thread", &error))?;
        Ok(Some(Server { serving, has_ended, work }))
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    fn end(self) -> Result<(), Failure> {
        // The panic hook has already reported a panic of the thread.
        let _ = self.work.join();
        self.serving.end()
    }
}
