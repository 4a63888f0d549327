//! A process with one child, which becomes the parent of all below it that lose theirs.

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

/// How long it tries to kill what does not end.
const KILL_TIME_MAX: Duration = Duration::from_secs(5);

/// How often it looks again at what it is killing: a process that loses its parent may be one more.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// This process as a subreaper.
pub struct Subreaper {
    child: Option<Child>,
    /// How the child ended, once it has. It is reaped with all others.
    status: Option<WaitStatus>,
    /// A byte comes for each signal.
    signals: UnixStream,
    is_told_to_end: Arc<AtomicBool>,
}

/// What has been waited for.
pub enum News {
    /// Some signal has come.
    Signal,
    /// Hark is gone, or has dismissed the worker.
    HungUp,
    /// Nothing, for as long as it waited.
    None,
}

impl Subreaper {
    /// Makes this process one, which leads a session and is listed by this name.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn new(name: &'static std::ffi::CStr) -> io::Result<Subreaper> {
        setsid()?;
        #[cfg(target_os = "linux")]
        {
            // Best effort: it only helps those who look at a list of processes.
            let _ = rustix::thread::set_name(name);
            rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        }
        #[cfg(not(target_os = "linux"))]
        let _ = name;
        let is_told_to_end = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, is_told_to_end.clone())?;
        let (signals, theirs) = UnixStream::pair()?;
        signals.set_nonblocking(true)?;
        // Those that a terminal or a service manager sends to everyone are Hark's to answer. With handlers here, the child
        // has them as the system gives them, whatever Hark was started with.
        for signal in [SIGCHLD, SIGTERM, SIGHUP, SIGINT, SIGQUIT] {
            pipe::register(signal, theirs.try_clone()?)?;
        }
        Ok(Subreaper { child: None, status: None, signals, is_told_to_end })
    }

    /// Starts the child.
    ///
    /// # Errors
    /// If there can be none.
    pub fn start(&mut self, mut command: Command) -> io::Result<()> {
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// How the child ended, if it has.
    pub fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    /// Whether somebody has sent SIGTERM to this process.
    pub fn is_told_to_end(&self) -> bool {
        self.is_told_to_end.load(Ordering::Relaxed)
    }

    /// Takes the status of those processes that have ended; answers whether others are left.
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
            // Until it is reaped here its number is no other's; an error says that it has ended.
            let _ = rustix::process::kill_process(child, signal);
        }
    }

    /// Sends a signal to everyone who has not been told it.
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

    /// Waits for a signal, and also for Hark to hang up if that is wanted, until a time comes.
    pub fn wait_for_news(&mut self, until: Option<Instant>, and_hang_up: bool) -> News {
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

    fn child(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }
}
