//! The end of worker processes: waiting for it, seeing to it, and telling it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::limits::KILL_TIMEOUT;

// They are the same on every Unix.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// How often a process that is to end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A worker's process, which several may want to end: the keeper of its guard, which ends as the worker does when all that
/// the worker has started is gone.
#[derive(Debug, Clone)]
pub struct Process(Arc<Mutex<Keeper>>);

#[derive(Debug)]
struct Keeper {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// The worker above which this child is.
    pub fn new(child: Child) -> Process {
        Process(Arc::new(Mutex::new(Keeper { child, status: None })))
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.with(Keeper::look)
    }

    /// Has it killed at once, and all that it has started. Its end is still to be waited for.
    pub fn kill(&self) {
        self.with(|keeper| {
            if keeper.look().is_none() {
                // An error says that it has ended.
                let _ = kill_process(Pid::from_child(&keeper.child), Signal::TERM);
            }
        });
    }

    /// Waits for its end, and has it killed after this time.
    pub fn wait_or_kill(&self, time_max: Duration) -> Option<ExitStatus> {
        self.wait(time_max).or_else(|| {
            self.kill();
            self.wait(KILL_TIMEOUT).or_else(|| self.with(Keeper::end))
        })
    }

    fn wait(&self, time_max: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time_max;
        loop {
            let status = self.status();
            if status.is_some() || Instant::now() >= end {
                return status;
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn with<R>(&self, action: impl FnOnce(&mut Keeper) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keeper {
    fn look(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// The keeper does not do its work: something keeps it from running, such as a debugger.
    fn end(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
        self.status
    }
}

/// Whether it was ended from outside, by a signal that nothing sends to itself by accident: by the system, short of memory,
/// or by whoever ends all of Hark.
pub fn was_told_to_end(status: Option<ExitStatus>) -> bool {
    status.and_then(|status| status.signal()).is_some_and(|signal| [SIGHUP, SIGINT, SIGKILL, SIGTERM].contains(&signal))
}

/// Whether it was killed. Nothing does that to itself.
pub fn was_killed(status: Option<ExitStatus>) -> bool {
    status.and_then(|status| status.signal()) == Some(SIGKILL)
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct End {
    /// What stands in place of an exception's class: "exit", "SIGKILL".
    pub name: &'static str,
    /// "with exit status 3", "by signal 9 (SIGKILL)".
    pub described: String,
}

impl End {
    /// The end of a process with this status, if that is known.
    pub fn of(status: Option<ExitStatus>) -> End {
        let name = match status.and_then(|status| status.signal()) {
            Some(signal) => signal_name(signal).unwrap_or("signal"),
            None => "exit",
        };
        End { name, described: describe(status) }
    }
}

/// "with exit status 3", "by signal 9 (SIGKILL)".
pub fn describe(status: Option<ExitStatus>) -> String {
    let Some(status) = status else { return "in an unknown way".to_owned() };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("with exit status {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("by signal {signal} ({name})"),
            None => format!("by signal {signal}"),
        },
        (None, None) => "in an unknown way".to_owned(),
    }
}

/// Those whose numbers are the same on every Unix.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        _ => return None,
    })
}
