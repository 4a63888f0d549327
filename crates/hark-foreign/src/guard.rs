//! The process between Hark and a worker's Python, which sees to it that nothing is left running.
//!
//! A worker in the middle of a long C call hears nothing, and what it starts may leave its process group, its session and
//! its parent. So a guard stands above it: a small process with one thread, which is the *subreaper* of all that the worker
//! starts. Whoever loses its parent there becomes the guard's child, however it was detached. The guard ends all of them
//! when Python has ended, when Hark tells it to (`SIGTERM`), or when Hark is gone, which it sees at the socket that it
//! shares with Python. Then it ends in the way that Python did. It leads a session without a terminal.
//!
//! Should somebody kill the guard, Python is killed with it (`PR_SET_PDEATHSIG`). That is asked for by Python's own process
//! before it becomes Python: a second run of this program.
//!
//! Systems other than Linux have no subreapers. There what is ended is Python's process group.

mod children;

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, getppid, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::{emulate_default_handler, pipe};

use crate::protocol;
use children::signal_children;

/// What comes first on the command line of a guard, before the interpreter.
const GUARD: &str = "--guard-python";

/// What comes first on the command line of a process that is to become Python, before its guard's number and the
/// interpreter.
const BECOME: &str = "--become-python";

/// What the processes are called where they are listed. `pkill hark` is to end Hark alone: the guard then does its work.
const NAME: &str = "process-guard";

/// How long Python may go on when Hark is gone or has dismissed it, and how long those whom it has left behind may take to
/// end when they are told to.
const GRACE: Duration = Duration::from_millis(500);

/// How long the guard tries to kill what does not end.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// How often it looks again at what it is killing: a process that loses its parent may be one more.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// The exit status of a process that could not become Python, as shells have it.
const NOT_STARTED: u8 = 127;

const START: &str = include_str!("../../../python/_hark_start.py");

/// The command that starts a guard for this interpreter. The program must call [`run_if_asked`] first of all.
pub(crate) fn command(program: &OsStr, interpreter: &OsStr) -> Command {
    let mut command = Command::new(program);
    command.arg0(NAME).arg(GUARD).arg(interpreter);
    command
}

/// Does a guard's work if this process was started for it. A program that uses a [`PythonPool`](crate::PythonPool) calls
/// this first, as the pool starts that program once more for each worker.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = env::args_os().skip(1);
    let role = arguments.next()?;
    if role == GUARD {
        Some(guard(&arguments.next()?))
    } else if role == BECOME {
        let guard = arguments.next()?.to_str()?.parse().ok().and_then(Pid::from_raw)?;
        Some(become_python(guard, &arguments.next()?))
    } else {
        None
    }
}

fn guard(interpreter: &OsStr) -> ExitCode {
    match Guard::start(interpreter) {
        Ok(mut guard) => {
            guard.watch();
            guard.end_all();
            end_like(guard.status)
        }
        Err(error) => {
            report(&error);
            ExitCode::from(NOT_STARTED)
        }
    }
}

fn become_python(guard: Pid, interpreter: &OsStr) -> ExitCode {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        report(&error.into());
        return ExitCode::from(NOT_STARTED);
    }
    // It may have been killed before.
    if getppid() == Some(guard) {
        report(&Command::new(interpreter).arg("-c").arg(START).exec());
    }
    ExitCode::from(NOT_STARTED)
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

struct Guard {
    python: Pid,
    /// How Python ended, once it has. The guard reaps it with all others.
    status: Option<WaitStatus>,
    /// A byte comes for each signal.
    signals: UnixStream,
    is_told_to_end: Arc<AtomicBool>,
    _child: Child,
}

/// What the guard has waited for.
enum News {
    /// Some signal has come.
    Signal,
    /// Hark is gone, or has dismissed the worker.
    HungUp,
    /// Nothing, for as long as it waited.
    None,
}

impl Guard {
    fn start(interpreter: &OsStr) -> io::Result<Guard> {
        setsid()?;
        #[cfg(target_os = "linux")]
        {
            // Best effort: it only helps those who look at a list of processes.
            let _ = rustix::thread::set_name(c"process-guard");
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        let is_told_to_end = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, is_told_to_end.clone())?;
        let (signals, theirs) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        // Those that a terminal or a service manager sends to everyone are Hark's to answer. With handlers here, Python
        // has them as the system gives them, whatever Hark was started with.
        for signal in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT] {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        let me: OsString = std::process::id().to_string().into();
        let child =
            Command::new(own_program()).arg0(NAME).arg(BECOME).arg(me).arg(interpreter).process_group(0).spawn()?;
        Ok(Guard { python: Pid::from_child(&child), status: None, signals, is_told_to_end, _child: child })
    }

    /// Waits until Python ends or has to.
    fn watch(&mut self) {
        let mut until = None;
        loop {
            self.reap();
            if self.status.is_some() || self.is_told_to_end() || until.is_some_and(|until| Instant::now() >= until) {
                return;
            }
            if let News::HungUp = self.wait_for_news(until, until.is_none()) {
                until = Some(Instant::now() + GRACE);
            }
        }
    }

    /// Ends whatever is left: gently at first, if Python has ended by itself.
    fn end_all(&mut self) {
        let gentle_until = Instant::now() + GRACE;
        let mut told = Vec::new();
        while self.status.is_some() && !self.is_told_to_end() && Instant::now() < gentle_until {
            if !self.reap() {
                return;
            }
            signal_children(self.python, Signal::TERM, &mut told);
            self.wait_for_news(Some(gentle_until), false);
        }
        let end = Instant::now() + KILL_TIME_MAX;
        while self.reap() && Instant::now() < end {
            signal_children(self.python, Signal::KILL, &mut Vec::new());
            self.wait_for_news(Some(Instant::now() + LOOK_INTERVAL), false);
        }
    }

    fn is_told_to_end(&self) -> bool {
        self.is_told_to_end.load(Ordering::Relaxed)
    }

    /// Takes the status of those children that have ended; answers whether others are left.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((child, status))) if child == self.python => self.status = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    fn wait_for_news(&mut self, until: Option<Instant>, and_hang_up: bool) -> News {
        let input = io::stdin();
        let socket: BorrowedFd<'_> = input.as_fd();
        // Without events, hanging up is all that it is looked at for.
        let mut watched =
            [PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(socket, PollFlags::empty())];
        let watched = if and_hang_up { &mut watched[..] } else { &mut watched[..1] };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(watched, timeout.as_ref()) {
            Ok(0) => News::None,
            Ok(_) if watched.get(1).is_some_and(|socket| !socket.revents().is_empty()) => News::HungUp,
            // A signal may interrupt the wait before its byte is seen.
            _ => {
                let _ = (&self.signals).read(&mut [0; 64]);
                News::Signal
            }
        }
    }
}

/// The file of this program, also where it has been replaced by another since: what to start again.
pub fn own_program() -> OsString {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    env::current_exe().map_or_else(|_| env::args_os().next().unwrap_or_default(), OsString::from)
}
