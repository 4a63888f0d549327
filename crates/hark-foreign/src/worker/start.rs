//! How a worker is started: the interpreter gets a short program as its argument, takes the rest from its standard
//! input and answers. Nothing is written to a disk.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::Worker;
use super::connection::{Connection, Received};
use crate::death::{self, Process};
use crate::interpreter::{self, Origin};
use crate::limits::{END_TIMEOUT, KILLED_WAIT, SILENT_TIME_MAX};
use crate::protocol;

const START: &str = include_str!("../../../../python/_hark_start.py");

/// The modules of a worker, each after those that it imports.
const MODULES: [(&str, &str); 4] = [
    ("hark", include_str!("../../../../python/hark.py")),
    ("_hark_values", include_str!("../../../../python/_hark_values.py")),
    ("_hark_errors", include_str!("../../../../python/_hark_errors.py")),
    ("_hark_worker", include_str!("../../../../python/_hark_worker.py")),
];

/// What a worker is to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// The interpreter.
    pub interpreter: &'a Path,
    /// How it was chosen.
    pub origin: Origin,
    /// A folder whose modules can be imported.
    pub project: &'a Path,
    /// Another one.
    pub python_src: &'a Path,
    /// How long it may take to answer.
    pub time_max: Duration,
}

/// Why there is no worker, for people.
#[derive(Debug)]
pub struct StartError(pub String);

/// Starts a worker and waits until it is ready. `spawned` gets its process before that.
///
/// # Errors
/// If the interpreter cannot be started, or is none.
pub fn start(plan: Plan<'_>, spawned: impl FnOnce(&Process)) -> Result<Worker, StartError> {
    let unusable = |problem: &str| StartError(interpreter::unusable(plan.interpreter, problem));
    if let Some(problem) = interpreter::obvious_problem(plan.interpreter) {
        return Err(unusable(problem));
    }
    let mut worker = spawn(plan.interpreter).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unusable("does not exist"),
        _ => unusable(&format!("cannot be started: {error}")),
    })?;
    spawned(worker.process());
    match greet(&mut worker, plan) {
        Ok(()) => Ok(worker),
        Err(Greeting::Silence) => {
            worker.process.kill();
            let seconds = plan.time_max.as_secs_f64();
            Err(unusable(&format!("did not answer as Python does within {seconds} seconds")))
        }
        Err(Greeting::End) => {
            let status = worker.process.wait_or_kill(END_TIMEOUT);
            if death::was_killed(status) {
                thread::sleep(KILLED_WAIT);
            }
            let end = death::describe(status);
            Err(unusable(&format!("is no Python that works: it ended {end} before it answered")))
        }
    }
}

fn spawn(interpreter: &Path) -> io::Result<Worker> {
    let (ours, theirs) = UnixStream::pair()?;
    let mut child = Command::new(interpreter)
        .arg("-c")
        .arg(START)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let pipe = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    Ok(Worker {
        connection: Connection::new(ours),
        process: Process::new(child),
        pipe: Arc::new(File::from(OwnedFd::from(pipe))),
        request: Vec::new(),
        leftover: Vec::new(),
        marks: 0,
    })
}

enum Greeting {
    Silence,
    End,
}

impl From<io::Error> for Greeting {
    fn from(_: io::Error) -> Greeting {
        Greeting::End
    }
}

fn greet(worker: &mut Worker, plan: Plan<'_>) -> Result<(), Greeting> {
    let end = Instant::now() + plan.time_max;
    worker.connection.set_patience(SILENT_TIME_MAX)?;
    worker.connection.send(&sources())?;
    worker.connection.send(&protocol::hello(plan.project, plan.python_src, plan.origin))?;
    while worker.connection.receive()? == Received::NothingYet {
        if Instant::now() > end {
            return Err(Greeting::Silence);
        }
        // The socket may live on in a child of it.
        if !worker.is_alive() {
            return Err(Greeting::End);
        }
    }
    let greeting = protocol::decode_hello(worker.connection.message());
    worker.connection.clear();
    greeting.map(drop).map_err(|_| Greeting::End)
}

/// The modules' names and sources, with NULs between, and the length of it all before.
fn sources() -> Vec<u8> {
    let text = MODULES.map(|(name, source)| format!("{name}\0{source}")).join("\0");
    let mut bytes = u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
