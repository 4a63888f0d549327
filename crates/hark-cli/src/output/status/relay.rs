//! A pseudo-terminal in place of standard error. This process and its children still write to a terminal, and one thread forwards
//! everything to the real one.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::dup2_stderr;
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// How many bytes are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// How often the size of the terminal is checked while nothing is written.
const SIZE_INTERVAL: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// While this exists, standard error is the pseudo-terminal.
pub(super) struct Relay {
    terminal: OwnedFd,
    /// Closing it stops the thread.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// Replaces standard error. None if the system lacks a resource for it.
    pub fn start() -> Option<Relay> {
        let terminal = io::stderr().as_fd().try_clone_to_owned().ok()?;
        let master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).ok()?);
        grantpt(&master).and_then(|()| unlockpt(&master)).ok()?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(ptsname(&master, Vec::new()).ok()?, flags, Mode::empty()).ok()?;
        let mut attributes = tcgetattr(&slave).ok()?;
        // Line ends are translated by the real terminal, and must not be translated twice.
        attributes.output_modes.remove(OutputModes::OPOST);
        tcsetattr(&slave, OptionalActions::Now, &attributes).ok()?;
        let (stop, theirs) = UnixStream::pair().ok()?;
        let sized = terminal.try_clone().ok()?;
        let relay = move || pass_on(&master, &sized, &theirs);
        let thread = thread::Builder::new().name("hark-stderr".to_owned()).spawn(relay).ok()?;
        // From here on, dropping this stops the thread.
        let relay = Relay { terminal, stop: Some(stop), thread: Some(thread) };
        dup2_stderr(&slave).ok()?;
        Some(relay)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = dup2_stderr(&self.terminal);
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Forwards output until it is stopped, including everything written before that.
fn pass_on(mut master: &File, terminal: &OwnedFd, stop: &UnixStream) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut size = None;
    let mut is_last = false;
    loop {
        // Programs that ask for the width of standard error get that of the real terminal.
        if let Ok(now) = tcgetwinsize(terminal)
            && size != Some((now.ws_row, now.ws_col))
        {
            size = Some((now.ws_row, now.ws_col));
            let _ = tcsetwinsize(master, now);
        }
        let mut ready = [PollFd::new(&master, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        let patience = if is_last { Timespec { tv_sec: 0, tv_nsec: 0 } } else { SIZE_INTERVAL };
        if poll(&mut ready, Some(&patience)).is_err() {
            continue;
        }
        let [written, stopped] = ready.map(|each| each.revents());
        if written.contains(PollFlags::IN) {
            match master.read(&mut chunk) {
                Ok(count) if count > 0 => {
                    if let Some(line) = super::lock().as_mut() {
                        line.pass_on(&chunk[..count]);
                    }
                }
                // A read fails once no process has the other side open.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => return,
            }
        } else if is_last || written.intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        is_last = is_last || !stopped.is_empty();
    }
}
