//! The end of worker processes: waiting for it, forcing it, and describing it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::limits::KILL_TIMEOUT;

// These numbers are the same on every Unix.
const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// The interval between checks whether a process has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// The process of a worker, which several threads may want to end. It is the keeper above the worker's guard; it ends
/// in the same way as the worker, once all processes that the worker started are gone.
#[derive(Debug, Clone)]
pub struct Process(Arc<Mutex<Keeper>>);

#[derive(Debug)]
struct Keeper {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// The worker whose keeper is this child.
    pub fn new(child: Child) -> Process {
        Process(Arc::new(Mutex::new(Keeper { child, status: None })))
    }

    /// The exit status, if it has ended.
    pub fn status(&self) -> Option<ExitStatus> {
        self.with(Keeper::look)
    }

    /// Kills the worker and all processes that it has started. Does not wait for their end.
    pub fn kill(&self) {
        self.with(|keeper| {
            if keeper.look().is_none() {
                // An error means that it has already ended.
                let _ = kill_process(Pid::from_child(&keeper.child), Signal::TERM);
            }
        });
    }

    /// Waits for its end. Kills it after this time.
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

    /// Kills a keeper that does not do its work because something stops it, such as a debugger.
    fn end(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            let _ = self.child.kill();
            self.status = self.child.wait().ok();
        }
        self.status
    }
}

/// Whether it was ended from outside, by a signal that a process does not send to itself by accident: by the system
/// when memory is short, or by the user who ends all of Hark.
pub fn was_told_to_end(status: Option<ExitStatus>) -> bool {
    status.and_then(|status| status.signal()).is_some_and(|signal| [SIGHUP, SIGINT, SIGKILL, SIGTERM].contains(&signal))
}

/// Whether it was killed by SIGKILL, which a process does not send to itself.
pub fn was_killed(status: Option<ExitStatus>) -> bool {
    status.and_then(|status| status.signal()) == Some(SIGKILL)
}

/// How a process ended.
#[derive(Debug, Clone)]
pub struct End {
    /// A stand-in for the class of an exception: "exit", "SIGKILL".
    pub name: &'static str,
    /// "with exit status 3", "by signal 9 (SIGKILL)".
    pub described: String,
}

impl End {
    /// The end of a process with this status, if the status is known.
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

/// Only signals whose numbers are the same on every Unix.
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
