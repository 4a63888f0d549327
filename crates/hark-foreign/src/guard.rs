//! The processes between Hark and a worker's Python. They make sure that no process is left running.
//!
//! A worker in a long C call does not react to anything, and processes that it starts may leave its process group, its
//! session and their parent. Therefore a *guard* stands above it: a small process with one thread, which is the
//! *subreaper* of everything that the worker starts. A process that loses its parent there becomes a child of the
//! guard, however it was detached. The guard ends all of them when Python has ended, when Hark tells it to (`SIGTERM`),
//! or when Hark is gone, which shows at the socket that the guard shares with Python. Then the guard exits with
//! Python's exit status. It leads a session without a terminal.
//!
//! A function may mistake the guard for something else and kill it. Therefore the guard has a *keeper* above it, a
//! child of Hark and also a subreaper: it inherits all processes that a killed guard leaves, and kills them. (Hark
//! itself could not tell these from unrelated children: those of other modules, or those of a shell that became Hark by
//! `exec`.) If the keeper is killed, the guard receives a signal to end; if the guard is killed, Python is killed with
//! it (`PR_SET_PDEATHSIG`). Each child must ask for this signal itself, so Python's process starts as this program,
//! which then becomes Python. Only if guard and keeper are killed at the same moment can processes be left running.
//!
//! Systems other than Linux have no subreapers. There, Python's process group is ended instead.

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

/// The first argument of a keeper; the interpreter follows.
const KEEP: &str = "--keep-guard";

/// The first argument of a guard; the pid of its keeper and the interpreter follow.
const GUARD: &str = "--guard-python";

/// The first argument of a process that becomes Python; the pid of its guard and the interpreter follow.
const BECOME: &str = "--become-python";

/// The names of the processes in process lists. `pkill hark` must end Hark alone; guard and keeper then clean up. The
/// two names differ so that killing one kind by name leaves the other.
const KEEPER_NAME: &CStr = c"process-keeper";
const GUARD_NAME: &CStr = c"process-guard";

/// How long Python may continue after Hark is gone or has dismissed it, and how long the processes that it leaves
/// behind may take to end after SIGTERM.
const GRACE: Duration = Duration::from_millis(500);

/// How long a guard may take, including both grace periods, before the keeper takes over.
const GUARD_TIME_MAX: Duration = Duration::from_secs(2);

/// The exit status of a process that could not become Python; shells use the same one.
const NOT_STARTED: u8 = 127;

const START: &str = include_str!("../../../python/_hark_start.py");

/// The command that starts a keeper, a guard and Python. The program must call [`run_if_asked`] before anything else.
pub(crate) fn command(program: &OsStr, interpreter: &OsStr) -> Command {
    let mut command = named(program, KEEPER_NAME);
    command.arg(KEEP).arg(interpreter);
    command
}

/// Does the work of a keeper or a guard if this process was started as one. A program that uses a
/// [`PythonPool`](crate::PythonPool) calls this first, because the pool starts that program again for each worker.
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

/// Ends this process: with the status of its child, or after telling Hark why Python could not be started.
fn done(result: io::Result<Option<WaitStatus>>) -> ExitCode {
    match result {
        Ok(status) => end_like(status),
        Err(error) => {
            report(&error);
            ExitCode::from(NOT_STARTED)
        }
    }
}

/// Waits until the guard has ended or its time is up, and kills whatever is left.
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
        // The guard notices this as well.
        if let News::HungUp = subreaper.wait_for_news(until, until.is_none()) {
            until = Some(Instant::now() + GUARD_TIME_MAX);
        }
    }
}

/// Waits until Python has ended or must end, and ends whatever is left: gently at first, if Python has ended by itself.
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

/// Waits until Python has ended or must end.
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

/// Sends SIGTERM to the processes that Python has left. Returns whether all of them have ended.
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

/// Asks the system to send this process a signal when its parent ends. Returns whether that parent is still alive.
fn end_with(parent: Pid, signal: Signal) -> io::Result<bool> {
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(signal))?;
    #[cfg(not(target_os = "linux"))]
    let _ = signal;
    Ok(getppid() == Some(parent))
}

/// The command that starts this program again, as a child that is told the pid of its parent.
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

/// Tells Hark why Python could not be started.
fn report(error: &io::Error) {
    if let Ok(socket) = io::stdin().as_fd().try_clone_to_owned() {
        // This fails if Hark is gone.
        let _ = UnixStream::from(socket).write_all(&protocol::unstarted(error));
    }
}

/// Ends this process with the status of its child.
fn end_like(status: Option<WaitStatus>) -> ExitCode {
    let signal = status.and_then(WaitStatus::terminating_signal);
    if let Some(signal) = signal {
        // If a core dump is wanted, Python has already left its own.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        // This returns if the signal is unknown.
        let _ = emulate_default_handler(signal);
    }
    let code = status.and_then(WaitStatus::exit_status).or(signal.map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_STARTED))
}

/// The executable file of this program, to start it again. On Linux this also works if the file has been replaced
/// since.
pub fn own_program() -> OsString {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    env::current_exe().map_or_else(|_| env::args_os().next().unwrap_or_default(), OsString::from)
}
