//! `hark worker`, and the processes started by a supervisor.

mod journal;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use hark_backends::invoker::assigned::run_assigned;
use hark_backends::invoker::processes::{self, Supervisor, work};
use hark_backends::storage::sqlite::{LEASE, SqliteStorage};
use hark_engine::{Engine, Options, Pool, Pools, Scope, Shortage, Tenure};

use self::journal::{Log, Programs};
use super::FINISHED;
use crate::args::{Worker, WorkerProcess};
use crate::failure::Failure;
use crate::output;
use crate::place::Place;
use crate::project::{self, Project};
use crate::render::{Paint, Style, escape};
use crate::session::{self, Serving};
use crate::signals::Interruption;
use crate::storage;

/// A worker that runs whole sessions runs all of their threads, whatever the pools.
const POOLS_UNUSED: &str = "warning: its pools have no effect here: it runs whole sessions, with all of their threads and calls\n\
    hint: `tenure = \"threads\"` under `[sessions]` in hark.toml lets workers share the threads of a session\n";

/// Serves all sessions until stopped.
///
/// # Errors
/// If the storage cannot be opened.
pub fn worker(wanted: &Worker) -> Result<u8, Failure> {
    let project = Arc::new(project::load_here(wanted.config.path.as_deref())?);
    project.tell_warnings();
    let address = storage::address(&project, &wanted.storage, "a worker cannot serve them")?;
    let kept = address.open(&project)?;
    if kept.is_run_by_functions() {
        let place = Place::of(&project, wanted.storage.asked());
        return Err(Failure::usage("the functions of an instance on AWS Lambda run its sessions, and no worker")
            .with_hint(format!("`{}` wakes those that seem to stand still", place.command("resume"))));
    }
    let pools = if wanted.pools.is_empty() { project.settings.pools.clone() } else { only(&wanted.pools) };
    let invoker = session::invoker(&project, Some(&kept), wanted.concurrency.name, &pools)?;
    let shown = escape::line(&address.to_string()).into_owned();
    let (shown, warning) = match (&pools, kept.tenure()) {
        (Pools::Only(pools), Tenure::Leases(_)) => (format!("{} of {shown}", named(pools)), None),
        (pools, _) => (shown, (*pools != session::default_pool()).then_some(POOLS_UNUSED)),
    };
    let options = Options { pools, ..session::options(&project) };
    let mut serving = Serving::new(&project, kept.shared(), invoker, true, options, &Interruption::default())?;
    if !wanted.quiet {
        let text = format!("serving {shown}; Ctrl-C stops it");
        output::tell(&format!("{}\n", Style::for_stderr().paint(Paint::Dim, &text)));
        warning.into_iter().for_each(output::tell);
    }
    let programs = Programs::new(project, kept.shared());
    serving.engine.set_journal(Arc::new(Log { messages: serving.messages(), quiet: wanted.quiet, programs }));
    serving.attend(Scope::All)?;
    serving.ports.invoker.serve(&serving.interrupted);
    serving.end()?;
    Ok(FINISHED)
}

/// Runs threads for the process at the other end of the standard input, until that is gone.
///
/// # Errors
/// If the storage cannot be opened.
pub fn worker_process(wanted: &WorkerProcess) -> Result<u8, Failure> {
    let socket = || -> io::Result<UnixStream> { Ok(io::stdin().as_fd().try_clone_to_owned()?.into()) };
    let broken = |error: io::Error| Failure::usage(format!("a supervisor starts this command: {error}"));
    let project = project::load_at(&wanted.project, wanted.config.path.as_deref())?;
    match wanted.server {
        Some(server) => {
            work_for_supervisor(wanted, &project, server, [socket().map_err(broken)?, socket().map_err(broken)?])
        }
        None => work_for_pool(wanted, &project, socket().map_err(broken)?),
    }
}

/// Runs threads for a supervisor, which serves their sessions.
fn work_for_supervisor(
    wanted: &WorkerProcess,
    project: &Project,
    server: i64,
    [listening, telling]: [UnixStream; 2],
) -> Result<u8, Failure> {
    let folder = wanted.storage.data_dir.as_deref().unwrap_or(&project.settings.data_dir);
    let kept = SqliteStorage::open_for_server(folder, server).map_err(storage::failure)?;
    let ports = session::ports_of_worker(project, Arc::new(kept), wanted.python_workers);
    let (invoker, foreign) = (ports.invoker.clone(), ports.foreign.clone());
    let upstream = Arc::new(Supervisor::new(telling));
    let engine = Arc::new(Engine::for_supervisor(session::options(project), ports, upstream.clone()));
    let (lease, living) = (project.settings.lease.unwrap_or(LEASE), upstream.clone());
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
        return refused(&error);
    }
    invoker.serve(&AtomicBool::new(false));
    Ok(FINISHED)
}

/// Runs threads that are assigned one by one, as they are leased.
fn work_for_pool(wanted: &WorkerProcess, project: &Project, socket: UnixStream) -> Result<u8, Failure> {
    let kept = storage::for_new_session(project, &wanted.storage)?;
    let kept = kept.ok_or_else(|| Failure::usage("a pool starts this command, with a storage that lasts"))?;
    let ports = session::ports_of_worker(project, kept.shared(), wanted.python_workers);
    let (foreign, left) = (ports.foreign.clone(), ports.foreign.clone());
    let options = Options { pools: only(&wanted.pools), ..session::options(project) };
    let engine = Arc::new(Engine::for_assigned(options, ports));
    let attending = engine.clone();
    // The sweeper renews leases, and stops calls that are cancelled.
    let attendant = thread::Builder::new()
        .name("attendant".to_owned())
        .spawn(move || attending.attend(Scope::Own, &AtomicBool::new(false), &|_, _| {}));
    let worked = attendant.and_then(|_| {
        run_assigned(&engine, socket, move || {
            foreign.leave_nothing();
            process::exit(0);
        })
    });
    left.leave_nothing();
    worked.map_or_else(|error| refused(&error), |()| Ok(FINISHED))
}

/// "pool `gpu`", "pools `cpu`, `gpu`"
fn named(pools: &BTreeSet<Pool>) -> String {
    let names: Vec<String> = pools.iter().map(|pool| format!("`{pool}`")).collect();
    format!("pool{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

fn only(pools: &[Pool]) -> Pools {
    pools.iter().cloned().collect()
}

/// This process cannot begin its work. Its supervisor reports exhausted resources, once for all workers.
fn refused(error: &io::Error) -> Result<u8, Failure> {
    match Shortage::of(error) {
        Some(shortage) => Ok(processes::exit_status(shortage)),
        None => Err(Failure::system("cannot start a thread", error)),
    }
}
