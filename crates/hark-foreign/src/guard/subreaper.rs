//! A process with one child that becomes the parent of all orphaned descendants.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::low_level::pipe;

use super::children::signal_children;

/// How long it tries to kill processes that do not end.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// The interval between attempts to kill: processes that lose their parent may be added.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// This process as a subreaper.
pub struct Subreaper {
    child: Option<Child>,
    /// The exit status of the child, once it has ended. It is reaped together with all others.
    status: Option<WaitStatus>,
    /// Receives a byte for each signal.
    signals: UnixStream,
    is_told_to_end: Arc<AtomicBool>,
}

/// The reason why a wait has ended.
pub enum News {
    /// A signal has arrived.
    Signal,
    /// Hark is gone, or has dismissed the worker.
    HungUp,
    /// The time is up.
    None,
}

impl Subreaper {
    /// Makes this process a subreaper, which leads a session and has this name in process lists.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new(name: &'static std::ffi::CStr) -> io::Result<Subreaper> {
        setsid()?;
        #[cfg(target_os = "linux")]
        {
            // Best effort: the name only helps people who look at a list of processes.
            let _ = rustix::thread::set_name(name);
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = name;
        let is_told_to_end = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, is_told_to_end.clone())?;
        let (signals, theirs) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        // Signals that a terminal or a service manager sends to all processes are handled by Hark. Handlers, unlike
        // ignored signals, are not inherited, so the child starts with the default actions, however Hark was started.
        for signal in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT] {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Subreaper { child: None, status: None, signals, is_told_to_end })
    }

    /// Starts the child.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&mut self, mut command: Command) -> io::Result<()> {
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// The exit status of the child, if it has ended.
    pub fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// Whether this process has received SIGTERM.
    pub fn is_told_to_end(&self) -> bool {
        self.is_told_to_end.load(Ordering::Relaxed)
    }

    /// Reaps the processes that have ended. Returns whether others are left.
    pub fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((process, status))) if self.child() == Some(process) => self.status = Some(status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Sends a signal to the child alone.
    pub fn signal_child(&self, signal: Signal) {
        if let (Some(child), None) = (self.child(), self.status) {
            // A pid cannot be reused before its process is reaped here. An error means that it has ended.
            let _ = rustix::process::kill_process(child, signal);
        }
    }

    /// Sends a signal to each process that has not received it.
    pub fn signal_all(&self, signal: Signal, told: &mut Vec<Pid>) {
        if let Some(child) = self.child() {
            signal_children(child, signal, told);
        }
    }

    /// Kills whatever is left.
    pub fn kill_all(&mut self) {
        let end = Instant::now() + KILL_TIME_MAX;
        while self.reap() && Instant::now() < end {
            self.signal_all(Signal::KILL, &mut Vec::new());
            self.wait_for_news(Some(Instant::now() + LOOK_INTERVAL), false);
        }
    }

    /// Waits for a signal, or optionally for Hark to hang up, until a time.
    pub fn wait_for_news(&mut self, until: Option<Instant>, and_hang_up: bool) -> News {
        let input = io::stdin();
        let socket: BorrowedFd<'_> = input.as_fd();
        // Without requested events, `poll` reports only that the other end has hung up.
        let mut watched =
            [PollFd::new(&self.signals, PollFlags::IN), PollFd::from_borrowed_fd(socket, PollFlags::empty())];
        let watched = if and_hang_up { &mut watched[..] } else { &mut watched[..1] };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(watched, timeout.as_ref()) {
            Ok(0) => News::None,
            Ok(_) if watched.get(1).is_some_and(|socket| !socket.revents().is_empty()) => News::HungUp,
            // A signal may interrupt the wait before its byte arrives.
            _ => {
                let _ = (&self.signals).read(&mut [0; 64]);
                News::Signal
            }
        }
    }

    fn child(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }
}
