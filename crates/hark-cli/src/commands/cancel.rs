//! `hark cancel`
//!
//! Cancels all threads of the session, so that they can clean up. The process that serves the session runs them
//! meanwhile. If there is none, or only processes that serve other pools, this process does so, except where AWS Lambda
//! functions run the threads. When their time is over, the session is ended at once, as with `--now`.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::outside::{Outside, OutsideError};
use hark_engine::{Observer, OutputItem, Report, Scope, SessionId, SessionState, Status, Tenure};

use super::kept::{Store, outside_failure};
use super::{FINISHED, moving};
use crate::args::{Cancel, ConcurrencyName};
use crate::failure::Failure;
use crate::output;
use crate::session::{self, Serving};
use crate::signals::{self, Interruption};
use crate::storage;

/// How long a session may take to end after the time in which its threads may clean up.
const END_TIME: Duration = Duration::from_secs(2);

/// How often to check whether another process has ended the session, in a file and over a network.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const REMOTE_LOOK_EVERY: Duration = Duration::from_millis(250);

/// After this time, a message on the terminal says what the command waits for.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// Ends a session.
///
/// # Errors
/// If the session does not exist, or is over.
pub fn cancel(wanted: &Cancel) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.kept.storage, &wanted.kept.config)?;
    let id = store.find(Some(&wanted.id))?.id;
    let session = store.outside(&id)?;
    if wanted.now {
        session.cancel_now().map_err(|error| refused(error, &session))?;
    } else {
        session.cancel().map_err(|error| refused(error, &session))?;
        let interruption = Interruption::default();
        wait_for_end(&store, &id, &interruption)?;
        if let Some(status) = interruption.exit_status() {
            let again = store.place.command(&format!("cancel {id}"));
            output::tell(&format!("session {id} is cancelling; `{again}` continues\n"));
            return Ok(status);
        }
        end_rest(&session)?;
    }
    output::write_out(&match wanted.kept.json {
        true => format!("{{\"session\": \"{id}\", \"state\": \"cancelled\"}}\n"),
        false => format!("cancelled {id}\n"),
    })?;
    Ok(FINISHED)
}

fn refused(error: OutsideError, session: &Outside<'_>) -> Failure {
    let id = session.id();
    match error {
        OutsideError::WrongState(state) if state.is_over() => {
            Failure::usage(format!("session {id} is over: it is {}", state.name()))
        }
        OutsideError::WrongState(state) => {
            moving::explained(Failure::usage(format!("session {id} {}", state.predicate())), session)
        }
        other => outside_failure(other),
    }
}

/// Ends a session whose threads have not ended by themselves.
fn end_rest(session: &Outside<'_>) -> Result<(), Failure> {
    match session.cancel_now() {
        Ok(()) => {
            output::tell("it did not end in time; the rest of its cleanup was skipped\n");
            Ok(())
        }
        Err(OutsideError::WrongState(SessionState::Cancelled)) => Ok(()),
        Err(error) => Err(refused(error, session)),
    }
}

/// Waits until the session has ended, its time is over, or a signal arrives.
fn wait_for_end(store: &Store, id: &SessionId, interruption: &Interruption) -> Result<(), Failure> {
    let grace = store.project.settings.cancel_grace;
    // A process that seems to hold the session may be lost. Its threads can clean up once its lease has expired.
    let lease = match store.storage.tenure() {
        Tenure::Leases(leases) => leases.lease(),
        _ => Duration::ZERO,
    };
    let until = Instant::now() + lease + grace + END_TIME;
    let pause = if store.storage.is_remote() { REMOTE_LOOK_EVERY } else { LOOK_EVERY };
    let watched = interruption.watch(|| {});
    watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
    let seconds = grace.as_secs_f64();
    let now = store.place.command(&format!("cancel --now {id}"));
    let text = format!("its threads have {seconds} seconds to clean up; `{now}` ends them\n");
    let _alarm = match io::stderr().is_terminal() {
        true => Some(alarm(TELL_AFTER, move || output::tell(&text))?),
        false => None,
    };
    while Instant::now() < until && interruption.exit_status().is_none() {
        let summary = store.find(Some(id.as_str()))?;
        if summary.record.state.is_over() {
            break;
        }
        let is_run_elsewhere = store.storage.is_run_by_functions()
            || session::is_run_elsewhere(&*store.storage, id).map_err(storage::failure)?;
        if !is_run_elsewhere {
            serve(store, id, until, interruption)?;
        }
        signals::sleep(pause, interruption);
    }
    Ok(())
}

/// Runs the session's threads to their ends, unless another process has taken it first.
fn serve(store: &Store, id: &SessionId, until: Instant, interruption: &Interruption) -> Result<(), Failure> {
    let invoker =
        session::invoker(&store.project, Some(&store.storage), ConcurrencyName::Threads, &session::default_pool())?;
    let options = session::options(&store.project);
    let mut serving = Serving::new(&store.project, store.storage.shared(), invoker, true, options, interruption)?;
    let has_ended = Arc::new(AtomicBool::new(false));
    let end = {
        let (has_ended, invoker) = (has_ended.clone(), serving.ports.invoker.clone());
        move || {
            has_ended.store(true, Ordering::Release);
            invoker.nudge();
        }
    };
    let failure = Arc::new(OnceLock::new());
    let on_end: Arc<dyn Fn(Report) + Send + Sync> = {
        let (end, failure) = (end.clone(), failure.clone());
        Arc::new(move |report| {
            if report.status == Status::Suspended
                && let Some(each) = report.errors.into_iter().next()
            {
                let _ = failure.set(each.error.message.to_string());
            }
            end();
        })
    };
    // The output is stored with the session.
    let observer: Arc<dyn Observer> = Arc::new(|_: &[OutputItem]| {});
    let resumed = serving.engine.resume(Some(id), &observer, &on_end).map_err(storage::failure)?;
    if !resumed.is_empty() {
        serving.attend(Scope::Own)?;
        let cancel = serving.engine.cancel_handle();
        let _alarm = alarm(until.saturating_duration_since(Instant::now()), move || {
            cancel.cancel();
            end();
        })?;
        serving.ports.invoker.serve(&has_ended);
    }
    serving.end()?;
    match failure.get() {
        Some(why) => Err(Failure::undone(format!("session {id} cannot continue: {why}"))
            .with_hint(format!("`{}` ends it at once", store.place.command(&format!("cancel --now {id}"))))),
        None => Ok(()),
    }
}

/// Calls `what` after this time, unless the returned sender is dropped before. The waiting thread ends with the
/// process.
fn alarm(after: Duration, what: impl FnOnce() + Send + 'static) -> Result<Sender<()>, Failure> {
    let (disarm, disarmed) = mpsc::channel();
    let wait = move || {
        if disarmed.recv_timeout(after) == Err(RecvTimeoutError::Timeout) {
            what();
        }
    };
    let waiting = thread::Builder::new().name("alarm".to_owned()).spawn(wait);
    waiting.map_err(|error| Failure::system("cannot start a thread", &error))?;
    Ok(disarm)
}
