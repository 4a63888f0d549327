//! The end of worker processes: waiting for it, seeing to it, and telling it.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How often a process that is to end is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);

/// A worker's process, which several may want to end, and its process group: whatever its functions started and did not
/// detach. The group ends with it.
#[derive(Debug, Clone)]
pub struct Process(Arc<Mutex<Leader>>);

#[derive(Debug)]
struct Leader {
    child: Child,
    status: Option<ExitStatus>,
}

impl Process {
    /// This child, which leads its process group.
    pub fn new(child: Child) -> Process {
        Process(Arc::new(Mutex::new(Leader { child, status: None })))
    }

    /// How it ended, if it has.
    pub fn status(&self) -> Option<ExitStatus> {
        self.with(Leader::look)
    }

    /// Ends it and its group at once. It is still to be waited for.
    pub fn kill(&self) {
        self.with(|leader| {
            if leader.status.is_none() {
                leader.end_group();
                // It may have left its group. An error says that it has ended.
                let _ = leader.child.kill();
            }
        });
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
                return self.with(|leader| {
                    leader.status = leader.status.or_else(|| leader.child.wait().ok());
                    leader.status
                });
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }

    fn with<R>(&self, action: impl FnOnce(&mut Leader) -> R) -> R {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Leader {
    /// Looks whether it has ended, and if so ends its group before it takes the status: from then on its number, which is
    /// also that of the group, may be another's.
    fn look(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() && self.has_ended() {
            self.end_group();
            self.status = self.child.wait().ok();
        }
        self.status
    }

    fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        matches!(waitid(WaitId::Pid(Pid::from_child(&self.child)), options), Ok(Some(_)))
    }

    /// Must not be called when the status was taken.
    fn end_group(&self) {
        // An error says that nothing is left in it.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
    }
}

/// Whether it was killed. Nothing does that to itself: it was the system, short of memory, or whoever ends all of Hark.
pub fn was_killed(status: Option<ExitStatus>) -> bool {
    const SIGKILL: i32 = 9;
    status.is_some_and(|status| status.signal() == Some(SIGKILL))
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
