//! `hark worker`, and the processes started by a supervisor.

mod journal;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use hark_backends::invoker::processes::{self, Supervisor, work};
use hark_backends::storage::sqlite::SqliteStorage;
use hark_engine::{Engine, Scope, Shortage};

use self::journal::{Log, Programs};
use super::FINISHED;
use crate::args::{Worker, WorkerProcess};
use crate::failure::Failure;
use crate::output;
use crate::project;
use crate::render::{Paint, Style, escape};
use crate::session::{self, Serving};
use crate::signals::Interruption;
use crate::storage;

/// Serves all sessions until stopped.
///
/// # Errors
/// If the storage cannot be opened.
pub fn worker(wanted: &Worker) -> Result<u8, Failure> {
    let project = Arc::new(project::load_here(wanted.config.path.as_deref())?);
    let address = storage::address(&project, &wanted.storage)?;
    let kept = address.open(&project)?;
    let invoker = session::invoker(&project, Some(&kept), wanted.concurrency.name)?;
    let mut serving =
        Serving::new(&project, kept.shared(), invoker, true, session::options(&project), &Interruption::default())?;
    if !wanted.quiet {
        let text = format!("serving {}; Ctrl-C stops it", escape::line(&address.to_string()));
        output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, &text)));
    }
    let programs = Programs::new(project, kept.shared());
    serving.engine.set_journal(Arc::new(Log { messages: serving.messages(), quiet: wanted.quiet, programs }));
    serving.attend(Scope::All)?;
    serving.ports.invoker.serve(&serving.interrupted);
    serving.end()?;
    Ok(FINISHED)
}

/// Runs threads for the supervisor at the other end of standard input, until that has ended.
///
/// # Errors
/// If the storage cannot be opened.
pub fn worker_process(wanted: &WorkerProcess) -> Result<u8, Failure> {
    let socket = || -> io::Result<UnixStream> { Ok(io::stdin().as_fd().try_clone_to_owned()?.into()) };
    let broken = |error: io::Error| Failure::usage(format!("a supervisor starts this command: {error}"));
    let (listening, telling) = (socket().map_err(broken)?, socket().map_err(broken)?);
    let project = project::load_at(&wanted.project, wanted.config.path.as_deref())?;
    let kept = SqliteStorage::open_for_server(&wanted.data_dir, wanted.server).map_err(storage::failure)?;
    let ports = session::ports_of_worker(&project, Arc::new(kept), wanted.python_workers);
    let (invoker, foreign) = (ports.invoker.clone(), ports.foreign.clone());
    let upstream = Arc::new(Supervisor::new(telling));
    let engine = Arc::new(Engine::for_supervisor(session::options(&project), ports, upstream.clone()));
    let (lease, living) = (project.settings.lease, upstream.clone());
    let named = || thread::Builder::new().name("supervisor".to_owned());
    let started = named().spawn(move || living.keep_up(lease)).and_then(|_| {
        named().spawn(move || {
            work(&engine, &*upstream, listening);
            // The results of running calls would be lost.
            foreign.leave_nothing();
            process::exit(0);
        })
    });
    if let Err(error) = started {
        // The supervisor reports the shortage once for all workers.
        return match Shortage::of(&error) {
            Some(shortage) => Ok(processes::exit_status(shortage)),
            None => Err(Failure::system("cannot start a thread", &error)),
        };
    }
    invoker.serve(&AtomicBool::new(false));
    Ok(FINISHED)
}
