//! Starting a worker: the interpreter gets a short program as its argument, reads the rest from its standard input, and
//! answers. It needs no files.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hark_engine::Shortage;
use rustix::process::{Resource, getrlimit};

use super::connection::{Connection, Received};
use super::{Inbox, Worker};
use crate::ahead::Ahead;
use crate::death::{self, Process};
use crate::interpreter::{self, Origin};
use crate::limits::{END_TIMEOUT, KILLED_WAIT, SILENT_TIME_MAX};
use crate::protocol::{self, Greeting};
use crate::scratch::{Scratch, WorkerFiles};
use crate::values::DecodeError;
use crate::{guard, package};

/// The modules of a worker, each after the modules that it imports.
const MODULES: [(&str, &str); 12] = [
    ("_hark_modules", include_str!("../../../../python/_hark_modules.py")),
    ("_hark_values", include_str!("../../../../python/_hark_values.py")),
    ("_hark_pickles", include_str!("../../../../python/_hark_pickles.py")),
    ("_hark_objects", include_str!("../../../../python/_hark_objects.py")),
    ("_hark_refusals", include_str!("../../../../python/_hark_refusals.py")),
    ("_hark_errors", include_str!("../../../../python/_hark_errors.py")),
    ("_hark_streams", include_str!("../../../../python/_hark_streams.py")),
    ("_hark_signals", include_str!("../../../../python/_hark_signals.py")),
    ("_hark_environment", include_str!("../../../../python/_hark_environment.py")),
    ("_hark_process", include_str!("../../../../python/_hark_process.py")),
    ("_hark_loop", include_str!("../../../../python/_hark_loop.py")),
    ("_hark_worker", include_str!("../../../../python/_hark_worker.py")),
];

/// What a worker needs to start.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The program that becomes the worker's guard and its keeper.
    pub guard: &'a OsStr,
    /// The interpreter.
    pub interpreter: &'a Path,
    /// How it was chosen.
    pub origin: Origin,
    /// A folder whose modules can be imported.
    pub project: &'a Path,
    /// Another such folder.
    pub python_src: &'a Path,
    /// The folder for large pickles, if there is one.
    pub scratch: Option<&'a Arc<Scratch>>,
    /// The time limit for its answer.
    pub time_max: Duration,
}

/// Why there is no worker, for the user.
#[derive(Debug)]
pub enum StartError {
    /// The interpreter does not work.
    Unusable(String),
    /// A resource has run out.
    Short(String),
}

/// Starts a worker and waits until it is ready. `spawned` receives its process before that.
///
/// # Errors
/// If the interpreter cannot be started or does not work.
pub fn start(plan: Plan<'_>, spawned: impl FnOnce(&Process)) -> Result<Worker, StartError> {
    let unusable = |problem: &str| StartError::Unusable(interpreter::unusable(plan.interpreter, problem));
    if let Some(problem) = interpreter::obvious_problem(plan.interpreter) {
        return Err(unusable(problem));
    }
    let mut worker = spawn(plan).map_err(|error| match Shortage::of(&error) {
        Some(shortage) => short(shortage),
        None => StartError::Unusable(format!("no process can be started: {error}")),
    })?;
    spawned(worker.process());
    match greet(&mut worker, plan) {
        Ok(Greeting::Ready) => Ok(worker),
        Ok(Greeting::Unstarted(error)) => Err(match (Shortage::of(&error), error.kind()) {
            (Some(shortage), _) => short(shortage),
            (None, io::ErrorKind::NotFound) => unusable("does not exist"),
            (None, _) => unusable(&format!("cannot be started: {error}")),
        }),
        Err(NoGreeting::Silence) => {
            worker.process.kill();
            let seconds = plan.time_max.as_secs_f64();
            Err(unusable(&format!("gave no valid answer within {seconds} seconds")))
        }
        Err(NoGreeting::End) => {
            worker.connection.close();
            let status = worker.process.wait_or_kill(END_TIMEOUT);
            if death::was_told_to_end(status) {
                thread::sleep(KILLED_WAIT);
            }
            let end = format!("it ended {} before it answered", death::describe(status));
            if may_lack_memory(status) {
                let interpreter = plan.interpreter.display();
                let remedy = Shortage::Memory.remedy();
                return Err(StartError::Short(format!(
                    "the Python interpreter `{interpreter}` has too little memory: {end}; {remedy}"
                )));
            }
            Err(unusable(&format!("is not a working Python: {end}")))
        }
    }
}

fn short(shortage: Shortage) -> StartError {
    StartError::Short(format!("no Python process can be started: {shortage}; {}", shortage.remedy()))
}

/// Whether memory may have run out when it ended so early: the system kills processes then, and an interpreter with
/// limited memory may end in many ways.
fn may_lack_memory(status: Option<ExitStatus>) -> bool {
    let is_limited = |resource| getrlimit(resource).current.is_some();
    let has_failed = status.is_none_or(|status| !status.success());
    death::was_killed(status) || has_failed && (is_limited(Resource::As) || is_limited(Resource::Data))
}

fn spawn(plan: Plan<'_>) -> io::Result<Worker> {
    let (ours, theirs) = UnixStream::pair()?;
    let inbox = Arc::new(Inbox::new()?);
    let mut child = guard::command(plan.guard, plan.interpreter.as_os_str())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .spawn()?;
    let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Worker {
        connection: Connection::new(ours),
        ahead: Arc::new(Ahead::new(inbox.clone())),
        inbox,
        process: Process::new(child),
        pipe: File::from(OwnedFd::from(pipe)),
        request: Vec::new(),
        number: 0,
        ahead_max: 0,
        given: Vec::new(),
        awaits_reading: false,
        files: plan.scratch.map(Scratch::for_worker),
        warnings: Vec::new(),
        answered: Instant::now(),
    })
}

enum NoGreeting {
    Silence,
    End,
}

impl From<io::Error> for NoGreeting {
    fn from(_: io::Error) -> NoGreeting {
        NoGreeting::End
    }
}

impl From<DecodeError> for NoGreeting {
    fn from(_: DecodeError) -> NoGreeting {
        NoGreeting::End
    }
}

fn greet(worker: &mut Worker, plan: Plan<'_>) -> Result<Greeting, NoGreeting> {
    let end = Instant::now() + plan.time_max;
    worker.connection.set_patience(SILENT_TIME_MAX)?;
    let package = package::folder(&MODULES);
    let sources = sources(package.as_deref());
    let files = worker.files.as_ref().map(WorkerFiles::path_start).unwrap_or_default();
    let package = package.unwrap_or_default();
    let hello = protocol::hello(plan.project, plan.python_src, &package, plan.origin, &files);
    // If it has already ended, it may have sent the reason.
    let _ = worker.connection.send(&sources, std::iter::empty());
    let _ = worker.connection.send_with(&hello, worker.inbox.theirs());
    while worker.connection.receive()? == Received::NothingYet {
        if Instant::now() > end {
            return Err(NoGreeting::Silence);
        }
    }
    let greeting = protocol::decode_greeting(worker.connection.message())?;
    worker.connection.clear();
    Ok(greeting)
}

/// The folder for compiled code and the modules' names and sources, separated by NUL bytes, with a length prefix. If
/// there is no folder, `hark` is one of the modules.
fn sources(package: Option<&Path>) -> Vec<u8> {
    let mut text = package.map_or_else(Vec::new, |folder| folder.as_os_str().as_bytes().to_vec());
    let hark = package.is_none().then_some(("hark", package::MODULE));
    for (name, source) in hark.iter().chain(&MODULES) {
        for part in [name, source] {
            text.push(0);
            text.extend_from_slice(part.as_bytes());
        }
    }
    let mut bytes = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    bytes.extend_from_slice(&text);
    bytes
}
