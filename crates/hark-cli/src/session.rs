//! A session on this computer: machine, engine and ports put together.

use std::env;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::invoker::processes::Processes;
use hark_engine::{
    CancelHandle, Engine, Foreign, Invoker, Keyed, Labels, NoForeign, Observer, Options, Ports, Report, SessionId,
    Start, Status, Storage, StorageError, SuspendAt, Whose,
};
use hark_machine::Program;

use crate::args::ConcurrencyName;
use crate::config::{Settings, Tenure};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::log;
use crate::output::{self, Stream};
use crate::project::Project;
use crate::python;
use crate::render::Style;
use crate::signals::Interruption;
use crate::storage::{self, Kept};

/// A session that is to be run.
pub struct Session {
    /// The program.
    pub program: Arc<Program>,
    /// The call that it begins with.
    pub entry: Entry,
    /// Its key and tags.
    pub labels: Labels,
    /// Where its Python functions are.
    pub project: Project,
    /// Where it is kept.
    pub storage: Arc<dyn Storage>,
    /// What runs its threads.
    pub invoker: Arc<dyn Invoker>,
    /// Where threads are suspended for the sake of it.
    pub suspend_at: SuspendAt,
    /// Learns which signal came, if one did.
    pub interruption: Interruption,
}

impl Session {
    /// Runs it to its end, unless there is one with its key. `begun` learns its id; `observer` makes what sees its output, and
    /// may keep what stops it.
    ///
    /// # Errors
    /// If the operating system has too little to give.
    pub fn run(
        &self,
        keep_output: bool,
        begun: impl FnOnce(&SessionId),
        observer: impl FnOnce(CancelHandle) -> Arc<dyn Observer>,
    ) -> Result<Keyed<Report>, Failure> {
        let needs_python = !self.program.executable().foreign.is_empty();
        let options = Options { suspend_at: self.suspend_at, keep_output, ..options(&self.project) };
        let (storage, invoker) = (self.storage.clone(), self.invoker.clone());
        let mut serving = Serving::new(&self.project, storage, invoker, needs_python, options, &self.interruption)?;
        serving.attend(Whose::Own)?;
        let observer = observer(serving.engine.cancel_handle());
        let report = match self.labels.key {
            Some(_) => serving.engine.run_keyed(self.start(), observer, begun).map_err(storage::failure)?,
            None => Keyed::New(serving.engine.run_announced(self.start(), observer, begun)),
        };
        let ended = serving.end();
        // What fails in the session is in its report; not that the storage as a whole was lost while it waited.
        if let Keyed::New(report) = &report
            && report.status == Status::Suspended
            && report.errors.is_empty()
        {
            ended?;
        }
        Ok(report)
    }

    /// Writes it down for others to run, unless there is one with its key.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn leave_to_others(&self) -> Result<Keyed<SessionId>, Failure> {
        let ports = ports(&self.project, self.storage.clone(), self.invoker.clone(), false);
        Engine::new(Options::default(), ports).leave_keyed(self.start()).map_err(storage::failure)
    }

    /// What the engine is to start.
    pub fn start(&self) -> Start {
        let Entry { callee, arguments } = self.entry.clone();
        Start { program: self.program.clone(), callee, arguments, labels: self.labels.clone() }
    }
}

/// The ports of an engine for this project.
pub fn ports(project: &Project, storage: Arc<dyn Storage>, invoker: Arc<dyn Invoker>, needs_python: bool) -> Ports {
    let foreign: Arc<dyn Foreign> = if needs_python {
        let workers = python::workers_max(project);
        Arc::new(python::pool(project, python::place_of_pickles(&*storage), workers))
    } else {
        Arc::new(NoForeign)
    };
    Ports { storage, invoker, foreign, surroundings: Arc::new(System) }
}

/// The ports of one of a supervisor's worker processes, which has so many of the project's Python workers.
pub fn ports_of_worker(project: &Project, storage: Arc<dyn Storage>, python_workers: usize) -> Ports {
    let foreign = Arc::new(python::pool(project, python::place_of_pickles(&*storage), python_workers));
    Ports { storage, invoker: Arc::new(Threads::new(1)), foreign, surroundings: Arc::new(System) }
}

/// The worker processes of a supervisor, and how many of the project's Python workers each of them has: a process for each
/// core, unless there are fewer Python workers, as a thread's calls are made from the process that runs it.
fn worker_processes(project: &Project) -> Vec<usize> {
    let python_workers = python::workers_max(project);
    let count = thread::available_parallelism().map_or(1, usize::from).min(python_workers);
    (0..count).map(|index| python_workers / count + usize::from(index < python_workers % count)).collect()
}

/// How the project's settings want sessions run.
pub fn options(project: &Project) -> Options {
    let Settings { max_tries, cancel_grace, .. } = &project.settings;
    let (max_tries, cancel_grace) = (*max_tries, *cancel_grace);
    Options { max_tries, cancel_grace, ..Options::default() }
}

/// What runs threads. Processes need a storage that they can share.
///
/// # Errors
/// If there is none.
pub fn invoker(project: &Project, kept: Option<&Kept>, name: ConcurrencyName) -> Result<Arc<dyn Invoker>, Failure> {
    if name == ConcurrencyName::Threads {
        return Ok(Arc::new(Threads::as_wide_as_the_cores()));
    }
    let Some(kept) = kept else {
        let failure = Failure::usage("`-c processes` needs a storage that processes can share, and memory is none");
        return Err(failure.with_hint("`-s sqlite -c processes` keeps sessions in a file"));
    };
    if project.settings.tenure == Tenure::Threads {
        let failure = Failure::usage("`-c processes` cannot be used with `tenure = \"threads\"`");
        return Err(failure.with_hint("each `hark worker` is a process that runs threads of any session"));
    }
    let Kept::Sqlite(file) = kept;
    let server = file.server_number().map_err(storage::failure)?;
    let program = env::current_exe()
        .map_err(|error| Failure::usage(format!("this program's own file cannot be found: {error}")))?;
    let (folder, config) = (project.folder.clone(), project.config.clone());
    let data_dir = file.folder().to_path_buf();
    let python_workers = worker_processes(project);
    let width = python_workers.len();
    let spawn = move |index: usize, socket: UnixStream| {
        let mut command = Command::new(&program);
        command
            .arg("worker-process")
            .arg("--project")
            .arg(&folder)
            .arg("--data-dir")
            .arg(&data_dir)
            .arg("--server")
            .arg(server.to_string())
            .arg("--python-workers")
            .arg(python_workers[index].to_string())
            .envs(log::environment());
        if let Some(config) = &config {
            command.arg("--config").arg(config);
        }
        // Its own process group, so that Ctrl-C at a terminal reaches the supervisor alone.
        command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).process_group(0);
        command.spawn()
    };
    Ok(Arc::new(Processes::new(width, project.settings.lease, Box::new(spawn))))
}

/// An engine at work, and the OS thread that looks after its durable sessions, if they are durable.
pub struct Serving {
    /// The engine.
    pub engine: Arc<Engine>,
    /// What runs its threads.
    pub ports: Ports,
    /// Becomes true at a signal.
    pub interrupted: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    attendant: Option<thread::JoinHandle<Result<(), StorageError>>>,
    /// What the attendant tells: on a terminal that is stopped nobody reads it, and sessions are not to wait for that.
    messages: Arc<Stream>,
}

impl Serving {
    /// An engine on these ports, which stops at a signal.
    ///
    /// # Errors
    /// If the operating system has too little to give.
    pub fn new(
        project: &Project,
        storage: Arc<dyn Storage>,
        invoker: Arc<dyn Invoker>,
        needs_python: bool,
        options: Options,
        interruption: &Interruption,
    ) -> Result<Serving, Failure> {
        let ports = ports(project, storage, invoker, needs_python);
        let engine = Arc::new(Engine::new(options, ports.clone()));
        let cancel = engine.cancel_handle();
        let interrupted = Arc::new(AtomicBool::new(false));
        let (told, invoker) = (interrupted.clone(), ports.invoker.clone());
        let watched = interruption.watch(move || {
            told.store(true, Ordering::Release);
            cancel.cancel();
            invoker.nudge();
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        let messages = Arc::new(Stream::of_messages());
        Ok(Serving { engine, ports, interrupted, stop: Arc::default(), attendant: None, messages })
    }

    /// Has an OS thread look after durable sessions. If it cannot, serving ends as at a signal.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub fn attend(&mut self, whose: Whose) -> Result<(), Failure> {
        if self.ports.storage.catalog().is_some() {
            let (engine, stop) = (self.engine.clone(), self.stop.clone());
            let (interrupted, invoker) = (self.interrupted.clone(), self.ports.invoker.clone());
            let messages = self.messages.clone();
            let attend = move || {
                let tell = |session: &SessionId, error: &StorageError| {
                    messages.print(&output::told(&failure_of(session, error).drawn(Style::for_stderr())));
                };
                let attended = engine.attend(whose, &stop, &tell);
                if attended.is_err() {
                    interrupted.store(true, Ordering::Release);
                    engine.cancel_handle().cancel();
                    invoker.nudge();
                }
                attended
            };
            let attendant = thread::Builder::new().name("attendant".to_owned()).spawn(attend);
            let attendant = attendant.map_err(|error| Failure::system("cannot start a thread", &error))?;
            self.attendant = Some(attendant);
        }
        Ok(())
    }

    /// Where messages go that nothing is to wait for.
    pub fn messages(&self) -> Arc<Stream> {
        self.messages.clone()
    }

    /// Gives up what is left, for others to take.
    ///
    /// # Errors
    /// If the storage failed, so that it could not be looked after.
    pub fn end(mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Release);
        if let Some(catalog) = self.ports.storage.catalog() {
            catalog.ring();
        }
        // It may be in the middle of a look; a panic of it was told.
        let attended = self.attendant.take().and_then(|attendant| attendant.join().ok()).unwrap_or(Ok(()));
        // If that fails, others find out that this process is gone.
        let _ = self.engine.release();
        self.ports.foreign.leave_nothing();
        // If nobody listens, there is nobody to tell that either.
        let _ = self.messages.close();
        attended.map_err(storage::failure)
    }
}

/// What is told of a session that cannot go on.
fn failure_of(session: &SessionId, error: &StorageError) -> Failure {
    Failure::Storage(match error {
        StorageError::Transient(_) => format!("session {session} waits until its storage answers: {error}"),
        _ => format!("session {session} cannot go on: {error}"),
    })
}
