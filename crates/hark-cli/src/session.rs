//! Sessions on this computer, run by a machine, an engine and their ports.

use std::env;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_backends::invoker::assigned::AssignedProcesses;
use hark_backends::invoker::processes::Processes;
use hark_backends::storage::sqlite::LEASE;
use hark_engine::{
    CancelHandle, Engine, Foreign, Invoker, Keyed, Labels, NoForeign, Observer, Options, Pool, Pools, Ports, Report,
    Scope, SessionId, Start, Status, Storage, StorageError, Surroundings, SuspendAt, Tenure as StorageTenure,
};
use hark_machine::Program;

use crate::args::ConcurrencyName;
use crate::config::{Settings, Tenure};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::log;
use crate::output::{self, Stream};
use crate::place::Place;
use crate::project::Project;
use crate::python;
use crate::render::Style;
use crate::signals::Interruption;
use crate::storage::{self, Kept};

/// A session to run.
pub struct Session {
    /// The program.
    pub program: Arc<Program>,
    /// The call that starts it.
    pub entry: Entry,
    /// Its key and tags.
    pub labels: Labels,
    /// The project of its Python functions.
    pub project: Project,
    /// Its storage.
    pub storage: Arc<dyn Storage>,
    /// Runs its threads.
    pub invoker: Arc<dyn Invoker>,
    /// Where threads are suspended, for tests.
    pub suspend_at: SuspendAt,
    /// Knows which signal has arrived, if any.
    pub interruption: Interruption,
}

impl Session {
    /// Runs the session to its end, unless one with its key exists. `begun` is called with its id and the engine that runs it.
    /// `observer` creates the observer of its output, and may keep the handle that cancels it.
    ///
    /// # Errors
    /// If the operating system has too few resources.
    pub fn run(
        &self,
        keep_output: bool,
        begun: impl FnOnce(&SessionId, &Arc<Engine>),
        observer: impl FnOnce(CancelHandle) -> Arc<dyn Observer>,
    ) -> Result<Keyed<Report>, Failure> {
        let needs_python = !self.program.executable().foreign.is_empty();
        let options = Options { suspend_at: self.suspend_at, keep_output, ..options(&self.project) };
        let (storage, invoker) = (self.storage.clone(), self.invoker.clone());
        let mut serving = Serving::new(&self.project, storage, invoker, needs_python, options, &self.interruption)?;
        serving.attend(Scope::Own)?;
        let observer = observer(serving.engine.cancel_handle());
        let begun = |id: &SessionId| begun(id, &serving.engine);
        let report = match self.labels.key {
            Some(_) => serving.engine.run_keyed(self.start(), observer, begun).map_err(storage::failure)?,
            None => Keyed::New(serving.engine.run_announced(self.start(), observer, begun)),
        };
        let ended = serving.end();
        // A session's own failure is in its report, but the loss of the whole storage while it waited is not.
        if let Keyed::New(report) = &report
            && report.status == Status::Suspended
            && report.errors.is_empty()
        {
            ended?;
        }
        Ok(report)
    }

    /// Stores the session for other processes to run, unless one with its key exists.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn leave_to_others(&self) -> Result<Keyed<SessionId>, Failure> {
        let ports = ports(&self.project, self.storage.clone(), self.invoker.clone(), false);
        Engine::new(Options::default(), ports).leave_keyed(self.start()).map_err(storage::failure)
    }

    /// The start for the engine.
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

/// The ports of a supervisor's worker process with this many Python workers.
pub fn ports_of_worker(project: &Project, storage: Arc<dyn Storage>, python_workers: usize) -> Ports {
    let foreign = Arc::new(python::pool(project, python::place_of_pickles(&*storage), python_workers));
    ports_with(storage, foreign)
}

/// The ports of a process that runs one thread at a time.
pub fn ports_with(storage: Arc<dyn Storage>, foreign: Arc<dyn Foreign>) -> Ports {
    Ports { storage, invoker: Arc::new(Threads::new(1)), foreign, surroundings: Arc::new(System) }
}

/// The number of Python workers of each worker process of a supervisor. There is a process per core, but not more than
/// Python workers, because a thread's calls are made by the process that runs it.
fn worker_processes(project: &Project) -> Vec<usize> {
    let python_workers = python::workers_max(project);
    let count = thread::available_parallelism().map_or(1, usize::from).min(python_workers);
    (0..count).map(|index| python_workers / count + usize::from(index < python_workers % count)).collect()
}

/// The default pool, which every command but `hark worker` serves.
pub fn default_pool() -> Pools {
    [Pool::default()].into_iter().collect()
}

/// The engine's options from the project's settings.
pub fn options(project: &Project) -> Options {
    let Settings { max_tries, cancel_grace, .. } = &project.settings;
    let (max_tries, cancel_grace) = (*max_tries, *cancel_grace);
    Options { max_tries, cancel_grace, pools: default_pool(), ..Options::default() }
}

/// The invoker with this name, for a process that serves these pools. Processes need a storage that they can share.
///
/// # Errors
/// If the storage cannot be shared.
pub fn invoker(
    project: &Project,
    kept: Option<&Kept>,
    name: ConcurrencyName,
    pools: &Pools,
) -> Result<Arc<dyn Invoker>, Failure> {
    if name == ConcurrencyName::Threads {
        return Ok(Arc::new(Threads::as_wide_as_the_cores()));
    }
    let Some(kept) = kept else {
        let failure = Failure::usage("`-c processes` needs a storage that processes can share; memory is not shared");
        return Err(failure.with_hint("`-s sqlite -c processes` keeps the sessions in a file"));
    };
    let command = worker_command(project, kept, pools)?;
    let spawn = move |python_workers: usize, socket: UnixStream| {
        let mut command = command();
        command.arg("--python-workers").arg(python_workers.to_string()).envs(log::environment());
        // Its own process group, so that Ctrl-C at a terminal reaches the supervisor alone.
        command.stdin(Stdio::from(OwnedFd::from(socket))).stdout(Stdio::null()).process_group(0);
        command.spawn()
    };
    if matches!(kept.tenure(), hark_engine::Tenure::Leases(_)) {
        // Each process runs one thread at a time.
        let width = python::workers_max(project);
        return Ok(Arc::new(AssignedProcesses::new(width, Box::new(move |_, socket| spawn(1, socket)))));
    }
    let python_workers = worker_processes(project);
    let width = python_workers.len();
    let spawn = move |index: usize, socket| spawn(python_workers[index], socket);
    Ok(Arc::new(Processes::new(width, project.settings.lease.unwrap_or(LEASE), Box::new(spawn))))
}

/// The command of a worker process, without the number of its Python workers.
fn worker_command(
    project: &Project,
    kept: &Kept,
    pools: &Pools,
) -> Result<impl Fn() -> Command + Send + Sync + 'static, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::usage(format!("this program's own file cannot be found: {error}")))?;
    let mut arguments: Vec<OsString> =
        vec!["worker-process".into(), "--project".into(), project.folder.clone().into_os_string()];
    if let Some(config) = &project.config {
        arguments.extend(["--config".into(), config.clone().into_os_string()]);
    }
    arguments.extend(kept.arguments());
    if let Pools::Only(pools) = pools {
        arguments.extend(pools.iter().flat_map(|pool| ["--pool".into(), pool.to_string().into()]));
    }
    if let Kept::Sqlite(file) = kept
        && project.settings.tenure == Tenure::Sessions
    {
        let server = file.server_number().map_err(storage::failure)?;
        arguments.extend(["--server".into(), server.to_string().into()]);
    }
    Ok(move || {
        let mut command = Command::new(&program);
        command.args(&arguments);
        command
    })
}

/// A running engine, and the OS thread that sweeps its sessions if they are stored.
pub struct Serving {
    /// The engine.
    pub engine: Arc<Engine>,
    /// Its ports.
    pub ports: Ports,
    /// Becomes true at a signal.
    pub interrupted: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    sweeper: Option<thread::JoinHandle<Result<(), StorageError>>>,
    /// Messages of the sweeper. They are not written directly, because sessions must not wait for a stopped terminal.
    messages: Arc<Stream>,
}

impl Serving {
    /// An engine with these ports, which stops at a signal.
    ///
    /// # Errors
    /// If the operating system has too few resources.
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
            // Last, because it blocks while the terminal is stopped.
            output::status::hide();
        });
        watched.map_err(|error| Failure::system("cannot watch for signals", &error))?;
        let messages = Arc::new(Stream::of_messages());
        Ok(Serving { engine, ports, interrupted, stop: Arc::default(), sweeper: None, messages })
    }

    /// Starts an OS thread that sweeps stored sessions. If the storage fails, serving ends as after a signal.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn attend(&mut self, scope: Scope) -> Result<(), Failure> {
        if self.ports.storage.catalog().is_some() {
            let (engine, stop) = (self.engine.clone(), self.stop.clone());
            let (interrupted, invoker) = (self.interrupted.clone(), self.ports.invoker.clone());
            let messages = self.messages.clone();
            let attend = move || {
                let tell = |session: &SessionId, error: &StorageError| {
                    messages.print(&output::told(&failure_of(session, error).drawn(Style::for_stderr())));
                };
                let attended = engine.attend(scope, &stop, &tell);
                if attended.is_err() {
                    interrupted.store(true, Ordering::Release);
                    engine.cancel_handle().cancel();
                    invoker.nudge();
                }
                attended
            };
            let sweeper = thread::Builder::new().name("sweeper".to_owned()).spawn(attend);
            let sweeper = sweeper.map_err(|error| Failure::system("cannot start a thread", &error))?;
            self.sweeper = Some(sweeper);
        }
        Ok(())
    }

    /// The stream for messages that must not delay sessions.
    pub fn messages(&self) -> Arc<Stream> {
        self.messages.clone()
    }

    /// Releases the remaining sessions, for other processes to take.
    ///
    /// # Errors
    /// If the storage failed while the engine was serving.
    pub fn end(mut self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Release);
        if let Some(catalog) = self.ports.storage.catalog() {
            catalog.ring();
        }
        // It may still be sweeping. The panic hook has already reported a panic.
        let attended = self.sweeper.take().and_then(|sweeper| sweeper.join().ok()).unwrap_or(Ok(()));
        // If the release fails, other processes notice that this one has ended.
        let _ = self.engine.release();
        self.ports.foreign.leave_nothing();
        // An error of standard error itself cannot be reported.
        let _ = self.messages.close();
        attended.map_err(storage::failure)
    }
}

/// Whether other processes run this unfinished session: its threads of the default pool, which this process would run.
pub fn is_run_elsewhere(storage: &dyn Storage, id: &SessionId) -> Result<bool, StorageError> {
    storage.tenure().is_run_elsewhere(id, &default_pool(), System.steady_now())
}

/// Who continues a session that this process leaves: where threads are leased, workers may be running it already.
pub fn who_continues(storage: &dyn Storage, id: &SessionId, place: &Place) -> String {
    if place.is_run_by_functions() {
        let stdout = place.command(&format!("stdout --follow {id}"));
        return format!("the functions of the instance continue it, and `{stdout}` prints its output");
    }
    let is_leased = matches!(storage.tenure(), StorageTenure::Leases(_));
    // If this cannot be determined, the command tries again.
    if is_leased && is_run_elsewhere(storage, id).unwrap_or(false) {
        return format!("a worker continues it, and `{}` prints its output", place.command(&format!("stdout {id}")));
    }
    format!("`{}` continues it", place.command(&format!("resume {id}")))
}

/// The message for a session that cannot continue.
fn failure_of(session: &SessionId, error: &StorageError) -> Failure {
    Failure::Storage(match error {
        StorageError::Transient(_) => format!("session {session} is waiting for its storage: {error}"),
        _ => format!("session {session} cannot continue: {error}"),
    })
}
