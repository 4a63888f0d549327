//! `hark run` with sessions in plain files, and processes that run some threads each.
//!
//! The process that is started by hand begins the session, looks what is due, and starts this program once more for the
//! threads that are to run.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use hark_backends::System;
use hark_backends::invoker::Threads;
use hark_cli::Platform;
use hark_engine::{Assignment, Encoded, Engine, Options, Ports, Scope, Storage, StorageError};
use hark_foreign::{PicklePlace, PythonConfig, PythonPool, guard};
use hark_on_files::invoker::Processes;
use hark_on_files::storage::Files;

/// Comes first on the command line of a process that runs threads, before the project's folder, that of the files, and the threads.
const THREADS: &str = "threads";

/// Names the folder of the files, if they are not to be in the project's.
const FOLDER_VARIABLE: &str = "HARK_FILES";

/// How long a process may be still before others take its thread.
const LEASE: Duration = Duration::from_secs(5);

/// How many processes run at a time.
const PROCESSES_MAX: usize = 8;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let [role, project, folder, assignments @ ..] = &arguments[..] else { return hark_cli::run_on(&open) };
    if role != THREADS {
        return hark_cli::run_on(&open);
    }
    match run_threads(project.as_ref(), folder.as_ref(), assignments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("threads go on elsewhere: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The platform of a project.
fn open(project: &Path) -> Result<Platform, String> {
    let folder = env::var_os(FOLDER_VARIABLE).map_or_else(|| project.join(".hark/files"), PathBuf::from);
    let storage = storage(&folder).map_err(|error| error.to_string())?;
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let project = project.to_path_buf();
    let command = move |assignments: &[Assignment]| {
        let mut command = Command::new(&program);
        command.arg(THREADS).arg(&project).arg(&folder).args(assignments.iter().map(Assignment::to_string));
        command
    };
    Ok(Platform { storage, invoker: Arc::new(Processes::new(PROCESSES_MAX, Box::new(command))) })
}

fn storage(folder: &Path) -> Result<Arc<dyn Storage>, StorageError> {
    let files = Files::open(folder, LEASE).map_err(|error| StorageError::Permanent(error.to_string()))?;
    Ok(Arc::new(Encoded::new(Arc::new(files))))
}

/// Runs threads until they wait or have stopped: all that a process does that was started for them.
fn run_threads(project: &Path, folder: &Path, assignments: &[OsString]) -> Result<(), StorageError> {
    let assigned = |text: &OsString| text.to_str().and_then(|text| text.parse::<Assignment>().ok());
    let assignments: Option<Vec<Assignment>> = assignments.iter().map(assigned).collect();
    let assignments = assignments.ok_or_else(|| StorageError::Permanent("a thread is not named".to_owned()))?;
    let python = PythonPool::new(PythonConfig {
        interpreter: None,
        project: project.to_path_buf(),
        python_src: project.join("src"),
        requirements: project.join("requirements.txt"),
        pickles: PicklePlace::Temporary,
        workers: 1,
        guard: guard::own_program(),
        warn: |text| eprintln!("warning: {text}"),
    });
    let ports = Ports {
        storage: storage(folder)?,
        invoker: Arc::new(Threads::new(1)),
        foreign: Arc::new(python),
        surroundings: Arc::new(System),
    };
    let foreign = ports.foreign.clone();
    let engine = Arc::new(Engine::for_assigned(Options::default(), ports));
    let sweeper = engine.clone();
    // It renews the leases, and ends with this process.
    thread::spawn(move || sweeper.attend(Scope::Own, &AtomicBool::new(false), &|_, _| {}));
    let done = engine.run_assigned(&assignments);
    foreign.leave_nothing();
    done.map(drop)
}
