//! Ctrl-C and termination signals.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// The exit status after a signal is this plus the signal's number.
pub const EXIT_STATUS_BASE: i32 = 128;

/// How long a sleeper may not notice a signal.
const NAP: Duration = Duration::from_millis(50);

/// Knows whether a signal has arrived.
#[derive(Debug, Clone, Default)]
pub struct Interruption {
    /// The exit status for the signal; 0 if none has arrived.
    status: Arc<AtomicUsize>,
}

impl Interruption {
    /// The exit status to use if a signal has arrived.
    pub fn exit_status(&self) -> Option<u8> {
        u8::try_from(self.status.load(Ordering::SeqCst)).ok().filter(|status| *status > 0)
    }

    /// Calls `on_signal` at the first signal. The second signal ends the process at once.
    ///
    /// # Errors
    /// If the operating system has too few resources.
    pub fn watch(&self, on_signal: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let (mut ours, theirs) = UnixStream::pair()?;
        let is_second = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, exit_status(signal), Arc::clone(&is_second))?;
            flag::register(signal, Arc::clone(&is_second))?;
            flag::register_usize(signal, Arc::clone(&self.status), exit_status(signal) as usize)?;
            low_level::pipe::register(signal, theirs.try_clone()?)?;
        }
        // The thread sleeps until a signal arrives or the process ends.
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            if matches!(ours.read(&mut [0]), Ok(1)) {
                on_signal();
            }
        })?;
        Ok(())
    }
}

/// Sleeps, unless a signal comes. Returns whether none has.
pub fn sleep(pause: Duration, interruption: &Interruption) -> bool {
    let until = Instant::now() + pause;
    while interruption.exit_status().is_none() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        thread::sleep(left.min(NAP));
    }
    false
}

fn exit_status(signal: i32) -> i32 {
    EXIT_STATUS_BASE + signal
}
