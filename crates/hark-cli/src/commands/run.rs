//! `hark run FILE`, or `hark FILE`

pub(super) mod keyed;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use hark_backends::System;
use hark_bytecode::Executable;
use hark_compiler::{Code, Diagnostic, Form};
use hark_engine::{
    Disagreement, Engine, GateKind, Keyed, OutputItem, Report, SessionId, Status, Storage, Surroundings, SuspendAt,
};
use hark_machine::{Program, text_of};

use super::progress::{Progress, Watched};
use super::unserved::{self, Pooled};
use super::{BROKEN, FINISHED};
use crate::args::{self, Run};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::output::{self, Stream};
use crate::place::Place;
use crate::program::Compiled;
use crate::project::{self, Project};
use crate::render::{Lines, Paint, Style, draw_errors, escape};
use crate::report;
use crate::session::{self, Session};
use crate::signals::Interruption;
use crate::storage::{self, Kept};
use crate::{OpenPlatform, Platform};

/// Compiles a program, calls a function, and shows the outcome.
///
/// # Errors
/// If the program cannot be started, or standard output cannot be written to.
pub fn run(wanted: &Run, platform: Option<&OpenPlatform>) -> Result<u8, Failure> {
    let started = Instant::now();
    let config = wanted.config.path.as_deref();
    if wanted.call.json.as_deref() == Some("-") && wanted.file.as_deref().is_some_and(|file| file.as_os_str() == "-") {
        return Err(Failure::usage("both the program and its arguments are to be read from standard input")
            .with_hint("write one of them into a file, or as text: `-e TEXT`, `--args JSON`"));
    }
    let mut loaded = match &wanted.text {
        Some(text) => project::load_text("<command line>", text.clone(), Form::ItemsOrBody, config)?,
        None => project::load(wanted.file.as_deref(), config)?,
    };
    if !wanted.quiet {
        loaded.project.tell_warnings();
    }
    if platform.is_none() {
        storage::check_starts_here(&loaded.project, &wanted.storage)?;
    }
    let mut compiled = Compiled::for_storage(&mut loaded, wanted.storage.asked().name);
    let Some(executable) = compiled.executable.take() else { return reject(wanted, &compiled) };
    if !wanted.quiet && !wanted.json {
        compiled.tell(Style::for_stderr());
    }
    let entry = Entry::new(&executable, &wanted.call)?;
    let program = Program::new(executable).map_err(|error| Failure::usage(error.to_string()))?;
    let place = Place::of(&loaded.project, wanted.storage.asked());
    let (Platform { storage, invoker }, folder) = match platform {
        Some(open) => (open(&loaded.project.folder).map_err(Failure::Storage)?, None),
        None => own_platform(&loaded.project, wanted)?,
    };
    if !wanted.labels.is_empty() && storage.catalog().is_none() {
        let failure = Failure::usage(
            "`--key` and `--tag` need a storage that keeps sessions: one in memory cannot be found again",
        );
        let run = place.file_command("run -s sqlite FILE");
        return Err(failure.with_hint(format!("`{run}` keeps the session in a file")));
    }
    let labels = wanted.labels.labels().map_err(Failure::usage)?;
    let disagreements = disagreements(&*storage, &program)?;
    if !wanted.quiet && !wanted.json {
        output::tell(&compiled.drawn_each(&disagreements, Style::for_stderr()));
    }
    compiled.add(disagreements);
    let session = Session {
        program: Arc::new(program),
        entry,
        labels,
        storage,
        invoker,
        project: loaded.project,
        suspend_at: suspend_at(wanted),
        interruption: Interruption::default(),
    };
    if wanted.detach {
        return detach(&session, &place, wanted.json);
    }
    if wanted.json {
        run_for_report(&session, &place, &compiled)
    } else {
        let progress = Progress::prepare(!wanted.quiet && !wanted.no_progress);
        run_for_people(&session, folder, &place, wanted.quiet, progress, started)
    }
}

/// The platform chosen by the command line and `hark.toml`, and the folder of the stored sessions, if they are in a file.
fn own_platform(project: &Project, wanted: &Run) -> Result<(Platform, Option<PathBuf>), Failure> {
    let kept = storage::for_new_session(project, &wanted.storage)?;
    let invoker = session::invoker(project, kept.as_ref(), wanted.concurrency.name, &session::default_pool())?;
    let folder = kept.as_ref().and_then(Kept::folder);
    Ok((Platform { storage: storage::or_memory(kept.as_ref()), invoker }, folder))
}

/// Warnings for limits and rates that other programs of this storage define differently.
fn disagreements(storage: &dyn Storage, program: &Program) -> Result<Vec<Diagnostic>, Failure> {
    let found = hark_engine::disagreements(storage.space(), program.executable()).map_err(storage::failure)?;
    let warnings = found.into_iter().map(|found| {
        let Disagreement { gate, span, bound, other, place } = found;
        let kind = match gate.kind {
            GateKind::Limit => "limit",
            GateKind::Rate => "rate",
        };
        let elsewhere = if place.is_empty() { "in another program".to_owned() } else { format!("at {place}") };
        let message = format!("the {kind} `{}` is {bound} here, but {other} {elsewhere}", gate.name);
        let warning = Diagnostic::warning(Code::LimitDisagreement, message, span);
        warning.with_hint("the number given by the program that was started last applies to all of them")
    });
    Ok(warnings.collect())
}

/// Starts a session for other processes to run.
fn detach(session: &Session, place: &Place, json: bool) -> Result<u8, Failure> {
    if session.storage.catalog().is_none() {
        let failure =
            Failure::usage("`--detach` needs a storage that keeps sessions: no other process can run one in memory");
        let run = place.file_command("run -s sqlite --detach FILE");
        return Err(failure.with_hint(format!("`{run}` keeps the session in a file")));
    }
    let id = match session.leave_to_others()? {
        Keyed::New(id) => id,
        Keyed::Known(id) => {
            check_known(session, &id, place)?;
            id
        }
    };
    output::write_out(&if json { format!("{{\"session\": \"{id}\"}}\n") } else { format!("{id}\n") })?;
    Ok(FINISHED)
}

/// Checks that the session with the key is the one that this command would have started.
fn check_known(session: &Session, id: &SessionId, place: &Place) -> Result<(), Failure> {
    keyed::check(&*session.storage, &session.start().about(System.now()), id, place)
}

fn suspend_at(wanted: &Run) -> SuspendAt {
    match wanted.suspend_at {
        None => SuspendAt::Never,
        Some(args::SuspendAt::Effects) => SuspendAt::Effects,
        Some(args::SuspendAt::Instructions) => SuspendAt::Instructions { seed: wanted.seed },
    }
}

fn reject(wanted: &Run, compiled: &Compiled) -> Result<u8, Failure> {
    if wanted.json {
        report::write_rejected(compiled)?;
    } else {
        compiled.tell(Style::for_stderr());
    }
    Err(Failure::Rejected)
}

fn run_for_report(session: &Session, place: &Place, compiled: &Compiled) -> Result<u8, Failure> {
    let report = match session.run(true, |_, _| {}, |_| Arc::new(|_: &[OutputItem]| {}))? {
        Keyed::New(report) => report,
        Keyed::Known(id) => {
            check_known(session, &id, place)?;
            keyed::follow(session, &id, &mut |_| Ok(()))?
        }
    };
    report::write_session(&report, session.program.executable(), compiled)?;
    Ok(exit_status(&report, &session.interruption))
}

/// Shows output as it arrives (buffered in the folder of a stored session if necessary), then the result or the errors,
/// and the elapsed time.
fn run_for_people(
    session: &Session,
    overflow: Option<PathBuf>,
    place: &Place,
    quiet: bool,
    mut progress: Progress,
    started: Instant,
) -> Result<u8, Failure> {
    let program = &session.program;
    let mut stream = None;
    let announces = !quiet && session.storage.catalog().is_some();
    let dim = |text: String| output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, &text)));
    let mut pools = None;
    let begun = |id: &SessionId, engine: &Arc<Engine>| {
        watch(&mut progress, session, id, Some(engine));
        pools = Pooled::new(&*session.storage, id, program)
            .filter(|_| !quiet)
            .map(|pooled| unserved::Watch::start(session.storage.clone(), place.clone(), |_| vec![pooled]));
        if announces {
            let key = session.labels.key.as_ref().map(|key| format!(", {key}")).unwrap_or_default();
            dim(format!("session {id}{}", escape::line(&key)));
        }
    };
    let ran = session.run(false, begun, |cancel| {
        let to = Arc::new(Stream::new(overflow, move || cancel.cancel()));
        stream = Some(Arc::clone(&to));
        Arc::new(move |items: &[OutputItem]| items.iter().for_each(|item| to.print(&item.text)))
    })?;
    let report = match ran {
        Keyed::New(report) => report,
        Keyed::Known(id) => {
            check_known(session, &id, place)?;
            if announces {
                dim(format!("session {id} was already started under this key"));
            }
            watch(&mut progress, session, &id, None);
            keyed::follow(session, &id, &mut output::write_raw)?
        }
    };
    drop(pools);
    drop(progress);
    if let Some(stream) = stream {
        if let Some(result) = report.result.as_ref().filter(|result| !matches!(result, hark_machine::Value::Null)) {
            stream.print(&text_of(result, program.executable()));
            stream.print("\n");
        }
        stream.close().map_err(Failure::Output)?;
    }
    tell_end(&report, program.executable(), &*session.storage, place, announces);
    if !quiet {
        dim(format!("-- {:.3} s", started.elapsed().as_secs_f64()));
    }
    Ok(exit_status(&report, &session.interruption))
}

/// Shows the state of the session in the status line. A kept session is read from its storage, one in memory through its engine.
fn watch(progress: &mut Progress, session: &Session, id: &SessionId, engine: Option<&Arc<Engine>>) {
    let (storage, program, id) = (session.storage.clone(), session.program.clone(), id.clone());
    let engine = engine.cloned();
    progress.watch(move || match storage.catalog() {
        Some(_) => Some(Watched::kept(vec![storage.session(&id, &program).ok()?], 1)),
        None => Some(Watched::in_memory(engine?, id)),
    });
}

/// Shows each root cause once, then how to continue; for a broken session, only if `says_retry`.
pub(super) fn tell_end(
    report: &Report,
    executable: &Executable,
    storage: &dyn Storage,
    place: &Place,
    says_retry: bool,
) {
    let style = Style::for_stderr();
    let mut out = String::new();
    if !(report.errors.is_empty() && report.cancelled.is_none()) {
        let errors = report.errors.iter().chain(&report.cancelled).map(|each| &each.error);
        draw_errors(errors, executable, &Lines::new(&executable.sources), style, &mut out);
    }
    if report.was_taken_over {
        let id = &report.session;
        let stdout = place.command(&format!("stdout {id}"));
        out.push_str(&format!("another process has taken it over; `{stdout}` prints all of its output\n"));
    }
    match report.status {
        Status::Cancelled => out.push_str("cancelled\n"),
        Status::Suspended if !report.was_taken_over => {
            out.push_str(&format!("suspended; {}\n", session::who_continues(storage, &report.session, place)));
        }
        // A session that its storage refused was never started.
        Status::Broken if says_retry && report.errors.iter().any(|each| &*each.error.kind != "storage") => {
            let retry = place.command(&format!("retry {}", report.session));
            out.push_str(&format!("broken; `{retry}` continues from where it failed, with its original program\n"));
        }
        _ => {}
    }
    output::tell(&out);
}

/// The exit status of a command that has shown a session.
pub(super) fn exit_status(report: &Report, interruption: &Interruption) -> u8 {
    match report.status {
        Status::Finished => FINISHED,
        Status::Broken => BROKEN,
        Status::Cancelled
        | Status::Running
        | Status::Suspended
        | Status::Cancelling
        | Status::Moving
        | Status::Moved
        | Status::Importing => interruption.exit_status().unwrap_or(BROKEN),
    }
}
