//! `hark resume`, `hark retry`

#[cfg(feature = "lambda")]
mod functions;
mod held;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use hark_backends::System;
use hark_bytecode::Executable;
use hark_engine::outside::{Outside, OutsideError};
use hark_engine::{
    Filter, Invoker, Observer, Options, OutputItem, Report, Scope, SessionId, SessionState, Status, Storage, Summary,
};
use hark_machine::Value;

use super::kept::{Store, can_be_resumed, outside_failure, shown_state};
use super::progress::{Progress, SESSIONS_MAX, Watched};
use super::unserved::{self, Pooled};
use super::{BROKEN, FINISHED, changed, moving};
use crate::args::GoOn;
use crate::failure::Failure;
use crate::output::{self, Stream};
use crate::place::Place;
use crate::project::Project;
use crate::render::{Lines, Paint, Style, draw_errors};
use crate::report;
use crate::session::{self, Serving};
use crate::signals::Interruption;
use crate::storage;
use held::Held;

/// The maximum number of sessions whose programs are compared with their files.
const LOOKED_AT_MAX: usize = 1_000;

/// Continues all unfinished sessions, or one, until they have ended.
///
/// # Errors
/// If there is no such session, or another process serves it.
pub fn resume(wanted: &GoOn) -> Result<u8, Failure> {
    let store = match Store::open_or_place(&wanted.kept.storage, &wanted.kept.config)? {
        Ok(store) => store,
        Err(place) => return nothing(wanted, &place),
    };
    let only = match &wanted.id {
        Some(id) => {
            let summary = store.find(Some(id))?;
            let is_by_functions = summary.record.state == SessionState::Running && store.storage.is_run_by_functions();
            let may_be_left = shown_state(&summary) == "running" && store.storage.lease_of_the_lost().is_some();
            let is_left = shown_state(&summary) == "running" && !is_run_elsewhere(&store, &summary.id)?;
            if !can_be_resumed(&summary) && !may_be_left && !is_left && !is_by_functions {
                let failure = Failure::usage(format!("session {} is {}", summary.id, shown_state(&summary)));
                if let Some(note) = moving::note(&store.outside(&summary.id)?) {
                    return Err(failure.with_hint(note));
                }
                let why = match summary.is_served {
                    true => "another process serves it",
                    false => "only a suspended session can be resumed",
                };
                let notes = unserved::notes(&*store.storage, &[summary.id], &store.place);
                return Err(failure.with_hint([why.to_owned()].into_iter().chain(notes).collect::<Vec<_>>().join("; ")));
            }
            Some(summary.id)
        }
        None => None,
    };
    #[cfg(feature = "lambda")]
    if store.storage.is_run_by_functions() {
        return functions::resume(wanted, &store, only.as_ref());
    }
    go_on(wanted, store, only.as_ref())
}

/// Continues a broken session from where its broken threads failed.
///
/// # Errors
/// If there is no such session, or it is not broken.
pub fn retry(wanted: &GoOn) -> Result<u8, Failure> {
    let store = Store::existing(&wanted.kept.storage, &wanted.kept.config)?;
    let summary = store.find(wanted.id.as_deref())?;
    let retry = |session: &Outside<'_>| session.retry().map_err(|error| refused(error, session, &summary));
    #[cfg(feature = "lambda")]
    if store.storage.is_run_by_functions() {
        return functions::go_on(wanted, &store, &summary.id, retry);
    }
    retry(&store.outside(&summary.id)?)?;
    if is_run_elsewhere(&store, &summary.id)? {
        return leave_to_worker(wanted, &store, &summary.id);
    }
    go_on(wanted, store, Some(&summary.id))
}

/// The failure of a retry.
fn refused(error: OutsideError, session: &Outside<'_>, summary: &Summary) -> Failure {
    match error {
        OutsideError::WrongState(state) => {
            let is = if state == SessionState::Running {
                format!("is {}", shown_state(summary))
            } else {
                state.predicate().to_owned()
            };
            let failure = Failure::usage(format!("session {} {is}", summary.id));
            moving::explained(failure.with_hint("only a broken session can be retried"), session)
        }
        other => outside_failure(other),
    }
}

fn is_run_elsewhere(store: &Store, id: &SessionId) -> Result<bool, Failure> {
    session::is_run_elsewhere(&*store.storage, id).map_err(storage::failure)
}

/// Lists sessions that others continue, as JSON.
fn write_left(ids: &[SessionId]) -> Result<(), Failure> {
    report::write_list(|json| {
        ids.iter().try_for_each(|id| {
            json.open('{')?;
            json.entry("session", id.as_str())?;
            json.entry("state", "running")?;
            json.close('}')
        })
    })
}

/// The worker that serves the session has been notified.
fn leave_to_worker(wanted: &GoOn, store: &Store, id: &SessionId) -> Result<u8, Failure> {
    if wanted.kept.json {
        write_left(std::slice::from_ref(id))?;
    } else if !wanted.quiet {
        output::write_out(&format!("a worker continues {id}\n"))?;
        tell_all(&unserved::notes(&*store.storage, std::slice::from_ref(id), &store.place));
    }
    Ok(FINISHED)
}

fn tell_all(notes: &[String]) {
    notes.iter().for_each(|note| output::tell(&format!("{note}\n")));
}

fn nothing(wanted: &GoOn, place: &Place) -> Result<u8, Failure> {
    if let Some(id) = &wanted.id {
        return Err(Failure::usage(format!("there is no session `{id}`: there is no file `{}`", place.store())));
    }
    if wanted.kept.json {
        output::write_out("[]\n")?;
    } else if !wanted.quiet {
        output::write_out(&format!("no sessions to resume in {}\n", place.store()))?;
    }
    Ok(FINISHED)
}

/// Collects the sessions' reports.
struct Ends {
    reports: Mutex<Vec<Report>>,
    expected: Mutex<Option<usize>>,
    /// The sessions that other processes continue.
    left: Mutex<Vec<SessionId>>,
    all: AtomicBool,
    invoker: Arc<dyn Invoker>,
}

impl Ends {
    fn add(&self, report: Report) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
        self.look();
    }

    fn expect(&self, count: usize) {
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = Some(count);
        self.look();
    }

    /// This many of the expected reports will not come.
    fn expect_fewer(&self, count: usize) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        *expected = expected.map(|expected| expected.saturating_sub(count));
        drop(expected);
        self.look();
    }

    fn leave(&self, id: &SessionId) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).push(id.clone());
        self.expect_fewer(1);
    }

    fn look(&self) {
        let expected = *self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.reports.lock().unwrap_or_else(PoisonError::into_inner).len();
        if expected.is_some_and(|expected| count >= expected) {
            self.all.store(true, Ordering::Release);
            self.invoker.nudge();
        }
    }
}

/// Takes sessions and serves them until they have ended.
fn go_on(wanted: &GoOn, store: Store, only: Option<&SessionId>) -> Result<u8, Failure> {
    let interruption = Interruption::default();
    let Store { project, storage, place } = store;
    let mut progress = Progress::prepare(!wanted.quiet && !wanted.kept.json && !wanted.no_progress);
    let options = Options { keep_output: wanted.kept.json, ..session::options(&project) };
    let invoker = session::invoker(&project, Some(&storage), wanted.concurrency.name, &session::default_pool())?;
    let mut serving = Serving::new(&project, storage.shared(), invoker, true, options, &interruption)?;
    let ends = Arc::new(Ends {
        reports: Mutex::default(),
        expected: Mutex::default(),
        left: Mutex::default(),
        all: AtomicBool::new(false),
        invoker: serving.ports.invoker.clone(),
    });
    let cancel = serving.engine.cancel_handle();
    let stream = Arc::new(Stream::new(storage.folder(), move || cancel.cancel()));
    let observer: Arc<dyn Observer> = if wanted.kept.json {
        Arc::new(|_: &[OutputItem]| {})
    } else {
        let stream = stream.clone();
        Arc::new(move |items: &[OutputItem]| items.iter().for_each(|item| stream.print(&item.text)))
    };
    let on_end: Arc<dyn Fn(Report) + Send + Sync> = {
        let ends = ends.clone();
        Arc::new(move |report| ends.add(report))
    };
    let held = Held::find(&storage, only)?;
    let resumed = match only {
        Some(_) if !held.sessions.is_empty() => Vec::new(),
        _ => serving.engine.resume(only, &observer, &on_end).map_err(storage::failure)?,
    };
    if !wanted.quiet && !wanted.kept.json {
        tell_changed(&project, &*storage, &resumed);
        if !held.sessions.is_empty() {
            output::tell(&format!("{}\n", held.note()));
        }
    }
    serving.attend(Scope::Own)?;
    let (shared, watched) = (storage.shared(), resumed.clone());
    progress.watch(move || Some(watch(&*shared, &watched)));
    let pools = (!wanted.quiet && !wanted.kept.json).then(|| {
        let watched = resumed.clone();
        unserved::Watch::start(storage.shared(), place.clone(), move |storage| Pooled::among(storage, &watched))
    });
    ends.expect(resumed.len() + held.sessions.len());
    let engine = serving.engine.clone();
    let resume_one = move |id: &SessionId| Ok(!engine.resume(Some(id), &observer, &on_end)?.is_empty());
    let watch = held.watch(storage.shared(), ends.clone(), serving.interrupted.clone(), resume_one)?;
    serving.ports.invoker.serve(&ends.all);
    // The panic hook has reported a panic.
    let _ = watch.join();
    let ended = serving.end();
    drop(pools);
    drop(progress);
    stream.close().map_err(Failure::Output)?;
    let mut reports = std::mem::take(&mut *ends.reports.lock().unwrap_or_else(PoisonError::into_inner));
    reports.sort_by(|one, other| one.session.cmp(&other.session));
    // A session's own failure is in its report, but the loss of the whole storage while it waited is not.
    if reports.iter().any(|report| report.status == Status::Suspended && report.errors.is_empty()) {
        ended?;
    }
    if let Some(status) = interruption.exit_status().filter(|_| reports.is_empty()) {
        return Ok(status);
    }
    let store = Store { project, storage, place };
    if let Some(id) = only.filter(|_| reports.is_empty()) {
        // A worker has taken it first.
        return leave_to_worker(wanted, &store, id);
    }
    let left = std::mem::take(&mut *ends.left.lock().unwrap_or_else(PoisonError::into_inner));
    show(wanted, &store, &reports, &left)?;
    Ok(exit_status(&reports, &interruption))
}

/// Opens the first of these sessions for the status line. Sessions that cannot be opened are left out.
fn watch(storage: &dyn Storage, sessions: &[SessionId]) -> Watched {
    let some = sessions.iter().take(SESSIONS_MAX);
    let opened = some.filter_map(|id| Outside::open(storage, &System, id).ok());
    Watched::kept(opened.map(Outside::into_records).collect(), sessions.len())
}

/// Reports, once per program, that its files have changed. Programs that cannot be read are reported when they are run.
fn tell_changed(project: &Project, storage: &dyn Storage, sessions: &[SessionId]) {
    let Some(catalog) = storage.catalog() else { return };
    let mut told = HashSet::new();
    for id in sessions.iter().take(LOOKED_AT_MAX) {
        let Ok(Some((_, record))) = catalog.record(id) else { continue };
        let hash = &record.about.program;
        if told.insert(hash.clone())
            && let Ok(executable) = catalog.program(hash)
            && let Some(note) = changed::note(project, &executable)
        {
            output::tell(&format!("{note}\n"));
        }
    }
}

fn show(wanted: &GoOn, store: &Store, reports: &[Report], left: &[SessionId]) -> Result<(), Failure> {
    let programs = programs_of(store, reports);
    let pairs = || reports.iter().zip(programs.iter().map(|program| &**program));
    if wanted.kept.json {
        return report::write_list(|json| {
            for (each, program) in pairs() {
                json.open('{')?;
                report::write_report(each, program, json)?;
                report::write_no_diagnostics(json)?;
                json.close('}')?;
            }
            Ok(())
        });
    }
    if !wanted.quiet {
        if reports.is_empty() && left.is_empty() {
            output::write_out(&format!("no sessions to resume in {}\n", store.place.store()))?;
            tell_all(&unserved::notes(&*store.storage, &running(store)?, &store.place));
            tell_all(&moving::lines(store)?);
            return Ok(());
        }
        left.iter().try_for_each(|id| output::write_out(&format!("a worker continues {id}\n")))?;
    }
    for (each, program) in pairs() {
        let style = Style::for_stderr();
        let mut out = String::new();
        if !wanted.quiet {
            let more = match each.status {
                Status::Suspended => {
                    format!("; {}", session::who_continues(&*store.storage, &each.session, &store.place))
                }
                Status::Broken => {
                    let retry = store.place.command(&format!("retry {}", each.session));
                    format!("; `{retry}` continues from where it failed, with its original program")
                }
                _ => String::new(),
            };
            let state = format!("session {} {}{more}", each.session, each.status);
            out.push_str(&format!("{}\n", style.paint(Paint::Dim, &state)));
        }
        let lines = Lines::new(&program.sources);
        let errors = each.errors.iter().chain(&each.cancelled).map(|each| &each.error);
        draw_errors(errors, program, &lines, style, &mut out);
        output::tell(&out);
        if let Some(result) = each.result.as_ref().filter(|result| !matches!(result, Value::Null)) {
            output::write_raw(&format!("{}\n", hark_machine::text_of(result, program)))?;
        }
    }
    Ok(())
}

/// The sessions that run, in other processes.
fn running(store: &Store) -> Result<Vec<SessionId>, Failure> {
    let running = Filter { state: Some(SessionState::Running), limit: Some(SESSIONS_MAX), ..Filter::default() };
    let listed = store.catalog()?.list(&running).map_err(storage::failure)?;
    Ok(listed.into_iter().flatten().map(|summary| summary.id).collect())
}

/// The program of each session; an empty one if it cannot be read, which its report tells.
fn programs_of(store: &Store, reports: &[Report]) -> Vec<Rc<Executable>> {
    let mut known: HashMap<String, Rc<Executable>> = HashMap::new();
    let mut program = |report: &Report| {
        let catalog = store.catalog().ok()?;
        let (_, record) = catalog.record(&report.session).ok()??;
        let hash = &record.about.program;
        if let Some(program) = known.get(hash) {
            return Some(program.clone());
        }
        let program = Rc::new(catalog.program(hash).ok()?);
        known.insert(hash.clone(), program.clone());
        Some(program)
    };
    reports.iter().map(|report| program(report).unwrap_or_default()).collect()
}

fn exit_status(reports: &[Report], interruption: &Interruption) -> u8 {
    if let Some(status) = interruption.exit_status() {
        return status;
    }
    let is_well = |report: &Report| report.status == Status::Finished && report.errors.is_empty();
    if reports.iter().all(is_well) { FINISHED } else { BROKEN }
}
