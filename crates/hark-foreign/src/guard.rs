//! The processes between Hark and a worker's Python, which see to it that nothing is left running.
//!
//! A worker in the middle of a long C call hears nothing, and what it starts may leave its process group, its session and
//! its parent. So a guard stands above it: a small process with one thread, which is the *subreaper* of all that the worker
//! starts. Whoever loses its parent there becomes the guard's child, however it was detached. The guard ends all of them
//! when Python has ended, when Hark tells it to (`SIGTERM`), or when Hark is gone, which it sees at the socket that it
//! shares with Python. Then it ends in the way that Python did. It leads a session without a terminal.
//!
//! A function may take its parent for something else and kill it. So the guard has a *keeper* above it, which is Hark's
//! child: a subreaper too, which gets all that a killed guard leaves, and kills it. (Hark itself could not tell these from
//! children of its own that it knows nothing of: those of other modules, of a shell that became Hark.) Should the keeper be
//! killed, the guard is told to end, and should the guard be, Python is killed with it (`PR_SET_PDEATHSIG`). That is asked
//! for by the child itself, which for Python's process is a run of this program that then becomes Python. Only if guard
//! and keeper are killed at once is nobody left.
//!
//! Systems other than Linux have no subreapers. There what is ended is Python's process group.

mod children;
mod subreaper;

use std::env;
use std::ffi::{CStr, OsStr, OsString};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitStatus, getppid};
use signal_hook::low_level::emulate_default_handler;

use crate::protocol;
use subreaper::{News, Subreaper};

/// What comes first on the command line of a keeper, before the interpreter.
const KEEP: &str = "--keep-guard";

/// What comes first on the command line of a guard, before its keeper's number and the interpreter.
const GUARD: &str = "--guard-python";

/// What comes first on the command line of a process that is to become Python, before its guard's number and the
/// interpreter.
const BECOME: &str = "--become-python";

/// What the processes are called where they are listed. `pkill hark` is to end Hark alone: these then do their work. Two
/// names, so that killing one kind by its name leaves the other.
const KEEPER_NAME: &CStr = c"process-keeper";
const GUARD_NAME: &CStr = c"process-guard";

/// How long Python may go on when Hark is gone or has dismissed it, and how long those whom it has left behind may take to
/// end when they are told to.
const GRACE: Duration = Duration::from_millis(500);

/// How long a guard may take for its work, with both graces in it, until the keeper does it.
const GUARD_TIME_MAX: Duration = Duration::from_secs(2);

/// The exit status of a process that could not become Python, as shells have it.
const NOT_STARTED: u8 = 127;

const START: &str = include_str!("../../../python/_hark_start.py");

/// The command that starts a keeper, a guard and Python. The program must call [`run_if_asked`] first of all.
pub(crate) fn command(program: &OsStr, interpreter: &OsStr) -> Command {
    let mut command = named(program, KEEPER_NAME);
    command.arg(KEEP).arg(interpreter);
    command
}

/// Does the work of a keeper or a guard if this process was started for it. A program that uses a
/// [`PythonPool`](crate::PythonPool) calls this first, as the pool starts that program once more for each worker.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let role = arguments.next()?;
    if role == KEEP {
        return Some(done(keep(&arguments.next()?)));
    }
    if role != GUARD && role != BECOME {
        return None;
    }
    let parent = arguments.next()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
    let interpreter = arguments.next()?;
    Some(done(if role == GUARD { guard(parent, &interpreter) } else { become_python(parent, &interpreter) }))
}

/// Ends this process: as its child ended, or telling Hark why there is no Python.
fn done(result: io::Result<Option<WaitStatus>>) -> ExitCode {
    match result {
        Ok(status) => end_like(status),
        Err(error) => {
            report(&error);
            ExitCode::from(NOT_STARTED)
        }
    }
}

/// Waits until the guard has ended, or has had its time to, and kills whatever is left.
fn keep(interpreter: &OsStr) -> io::Result<Option<WaitStatus>> {
    let mut subreaper = Subreaper::new(KEEPER_NAME)?;
    subreaper.start(child_command(GUARD_NAME, GUARD, interpreter))?;
    let mut until = None;
    let mut has_passed_on = false;
    loop {
        subreaper.reap();
        if subreaper.status().is_some() || until.is_some_and(|until| Instant::now() >= until) {
            subreaper.kill_all();
            return Ok(subreaper.status());
        }
        if subreaper.is_told_to_end() && !has_passed_on {
            has_passed_on = true;
            subreaper.signal_child(Signal::TERM);
            until.get_or_insert_with(|| Instant::now() + GUARD_TIME_MAX);
        }
        // The guard has seen it too.
        if let News::HungUp = subreaper.wait_for_news(until, until.is_none()) {
            until = Some(Instant::now() + GUARD_TIME_MAX);
        }
    }
}

/// Waits until Python has ended, or has to, and ends whatever is left: gently at first, if Python has ended by itself.
fn guard(keeper: Pid, interpreter: &OsStr) -> io::Result<Option<WaitStatus>> {
    let mut subreaper = Subreaper::new(GUARD_NAME)?;
    if !end_with(keeper, Signal::TERM)? {
        return Ok(None);
    }
    let mut command = child_command(GUARD_NAME, BECOME, interpreter);
    command.process_group(0);
    subreaper.start(command)?;
    watch(&mut subreaper);
    if !end_gently(&mut subreaper) {
        subreaper.kill_all();
    }
    Ok(subreaper.status())
}

/// Waits until Python ends or has to.
fn watch(subreaper: &mut Subreaper) {
    let mut until = None;
    loop {
        subreaper.reap();
        let has_ended = subreaper.status().is_some() || subreaper.is_told_to_end();
        if has_ended || until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
        if let News::HungUp = subreaper.wait_for_news(until, until.is_none()) {
            until = Some(Instant::now() + GRACE);
        }
    }
}

/// Tells those to end whom Python has left; answers whether all of them have.
fn end_gently(subreaper: &mut Subreaper) -> bool {
    let until = Instant::now() + GRACE;
    let mut told = Vec::new();
    while subreaper.status().is_some() && !subreaper.is_told_to_end() && Instant::now() < until {
        if !subreaper.reap() {
            return true;
        }
        subreaper.signal_all(Signal::TERM, &mut told);
        subreaper.wait_for_news(Some(until), false);
    }
    false
}

fn become_python(guard: Pid, interpreter: &OsStr) -> io::Result<Option<WaitStatus>> {
    if end_with(guard, Signal::KILL)? {
        return Err(Command::new(interpreter).arg("-c").arg(START).exec());
    }
    Ok(None)
}

/// Has the system send this process a signal when its parent ends; answers whether that still is its parent.
fn end_with(parent: Pid, signal: Signal) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    Ok(getppid() == Some(parent))
}

/// The command that starts this program once more, as a child that knows who its parent is.
fn child_command(name: &CStr, role: &str, interpreter: &OsStr) -> Command {
    let mut command = named(&own_program(), name);
    command.arg(role).arg(std::process::id().to_string()).arg(interpreter);
    command
}

fn named(program: &OsStr, name: &CStr) -> Command {
    let mut command = Command::new(program);
    command.arg0(&*name.to_string_lossy());
    command
}

/// Tells Hark that there is no Python.
fn report(error: &io::Error) {
    if let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() {
        // It fails if Hark is gone.
        let _ = UnixStream::from(socket).write_all(&protocol::unstarted(error));
    }
}

/// Ends this process as that one ended.
fn end_like(status: Option<WaitStatus>) -> ExitCode {
    let signal = status.and_then(WaitStatus::terminating_signal);
    if let Some(signal) = signal {
        // Python has left its own, if it is to.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        // It returns if the signal has no name.
        let _ = emulate_default_handler(signal);
    }
    let code = status.and_then(WaitStatus::exit_status).or(signal.map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_STARTED))
}

/// The file of this program, also where it has been replaced by another since: what to start again.
pub fn own_program() -> OsString {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    env::current_exe().map_or_else(|_| env::args_os().next().unwrap_or_default(), OsString::from)
}
