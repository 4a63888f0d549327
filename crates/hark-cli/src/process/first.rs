//! Hark as the first process of a container.
//!
//! The first process becomes the parent of all orphaned processes and must reap them, and a signal without a handler
//! has no effect on it. Both would affect this whole program. So the first process starts the program again as a child,
//! passes signals on to it, reaps orphans, and exits with the child's status. The system then kills the remaining
//! processes.

use std::env;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{self, Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hark_foreign::guard;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};
use rustix::termios::tcsetpgrp;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{flag, low_level::pipe};

use crate::signals::EXIT_STATUS_BASE;

const FIRST: u32 = 1;

const PASSED_ON: [(i32, Signal); 6] = [
    (SIGHUP, Signal::HUP),
    (SIGINT, Signal::INT),
    (SIGQUIT, Signal::QUIT),
    (SIGTERM, Signal::TERM),
    (SIGUSR1, Signal::USR1),
    (SIGUSR2, Signal::USR2),
];

/// If this is the first process of a container, runs the program in a child and returns its exit status. If no child
/// can be started, the first process runs the program itself.
pub fn run_as_first() -> Option<ExitCode> {
    if process::id() != FIRST {
        return None;
    }
    let first = First::start().ok()?;
    Some(ExitCode::from(first.serve()))
}

struct First {
    hark: Pid,
    /// Receives a byte for each signal.
    signals: UnixStream,
    /// The signals of [`PASSED_ON`] that have arrived.
    come: [Arc<AtomicBool>; PASSED_ON.len()],
    _child: Child,
}

impl First {
    fn start() -> io::Result<First> {
        let (signals, theirs) = UnixStream::pair()?;
        let come = PASSED_ON.map(|_| Arc::<AtomicBool>::default());
        for ((signal, _), has_come) in PASSED_ON.iter().zip(&come) {
            flag::register(*signal, has_come.clone())?;
            pipe::register(*signal, theirs.try_clone()?)?;
        }
        pipe::register(SIGCHLD, theirs)?;
        let mut arguments = env::args_os();
        let mut command = Command::new(guard::own_program());
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        // In its own process group the child gets Ctrl-C only once, from the terminal.
        let child = command.args(arguments).process_group(0).spawn()?;
        let hark = Pid::from_child(&child);
        let (input, output, errors) = (io::stdin(), io::stdout(), io::stderr());
        for (stream, is_terminal) in [
            (input.as_fd(), input.is_terminal()),
            (output.as_fd(), output.is_terminal()),
            (errors.as_fd(), errors.is_terminal()),
        ] {
            // This fails if the terminal belongs to another session.
            if is_terminal && tcsetpgrp(stream, hark).is_ok() {
                break;
            }
        }
        Ok(First { hark, signals, come, _child: child })
    }

    fn serve(mut self) -> u8 {
        loop {
            if let Some(status) = self.reap() {
                return exit_status(status);
            }
            for ((_, signal), has_come) in PASSED_ON.iter().zip(&self.come) {
                if has_come.swap(false, Ordering::Relaxed) {
                    // It fails only if the child has ended.
                    let _ = kill_process(self.hark, *signal);
                }
            }
            // The socket has no end: its other half stays open in the handlers.
            let _ = self.signals.read(&mut [0; 64]);
        }
    }

    /// Reaps all ended processes. Returns the child's status if it has ended.
    fn reap(&self) -> Option<WaitStatus> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((child, status))) if child == self.hark => return Some(status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

fn exit_status(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| EXIT_STATUS_BASE + signal);
    status.exit_status().or(signal).and_then(|status| u8::try_from(status).ok()).unwrap_or(1)
}
