//! The state of a long run, for the status line: how many threads there are, how many calls are in flight, and the oldest wait.
//! `output::status` draws the line; this module decides what it says, and when.

mod look;
mod text;

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::output::status::StatusLine;
pub use look::{SESSIONS_MAX, Watched};
use text::text;

/// A run that ends before this shows no line.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// The minimum time between two updates.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Updates take at most one part in this many of the time: a slow update is repeated less often.
const COST_SHARE: u32 = 20;

/// Shows the state of a run. Dropping it removes the line.
pub struct Progress {
    /// Dropping it stops the updates.
    stop: Option<Sender<()>>,
    looks: Option<JoinHandle<Option<StatusLine>>>,
    line: Option<StatusLine>,
}

impl Progress {
    /// Prepares the terminal if a line is wanted and possible. Call it before anything is started that may print.
    pub fn prepare(is_wanted: bool) -> Progress {
        Progress { stop: None, looks: None, line: is_wanted.then(StatusLine::prepare).flatten() }
    }

    /// Starts to show the state of the sessions that `watched` opens.
    pub fn watch(&mut self, watched: impl FnOnce() -> Option<Watched> + Send + 'static) {
        let Some(line) = self.line.take() else { return };
        let (stop, stopped) = mpsc::channel::<()>();
        let look = move || {
            let mut wait = FIRST_LOOK;
            let mut opened = None;
            let mut watched = Some(watched);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                opened = opened.or_else(|| watched.take()?());
                // A storage error is reported by the session itself.
                if let Some(facts) = opened.as_mut().and_then(Watched::look) {
                    line.say(text(&facts));
                }
                wait = LOOK_INTERVAL.max(begun.elapsed() * COST_SHARE);
            }
            Some(line)
        };
        // If no thread is available, there is no line.
        self.looks = thread::Builder::new().name("progress".to_owned()).spawn(look).ok();
        self.stop = Some(stop);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(looks) = self.looks.take() {
            // Dropping the result removes the line.
            drop(looks.join());
        }
    }
}
