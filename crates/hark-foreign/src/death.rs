//! The end of worker processes: waiting for it, seeing to it, and telling it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How often a process that is to end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A worker's process, which several may want to end.
#[derive(Debug, Clone)]
pub struct Process(Arc<Mutex<Child>>);

impl Process {
    /// This child.
    pub fn new(child: Child) -> Process {
        Process(Arc::new(Mutex::new(child)))
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.with(|child| child.try_wait().ok().flatten())
    }

    /// Ends it at once. It is still to be waited for.
    pub fn kill(&self) {
        // An error says that it has ended.
        self.with(|child| drop(child.kill()));
    }

    /// Waits for its end, and kills it after this time.
    pub fn wait_or_kill(&self, time_max: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + time_max;
        loop {
            if let Some(status) = self.status() {
                return Some(status);
            }
            if Instant::now() >= end {
                self.kill();
                return self.with(|child| child.wait().ok());
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn with<R>(&self, action: impl FnOnce(&mut Child) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
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
