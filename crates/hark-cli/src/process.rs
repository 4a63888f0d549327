//! What this process is started with and should not depend on: signals that are ignored, few files that may be open, its
//! place as the first process of a container.

mod first;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGCHLD;
use signal_hook::flag;

pub use first::run_as_first;

/// As many files as programs with `select` can deal with, which Python functions may start: they inherit this limit.
const OPEN_FILES_WANTED: u64 = 1024;

/// Puts right what can be put right.
pub fn prepare() {
    // With an error it stays as it was, which is enough for most.
    let _ = heed_children();
    let _ = allow_open_files();
}

/// Whoever started this process may have had `SIGCHLD` ignored. Then children leave no exit status. A signal that has a
/// handler here is as the system gives it in those who are started from here.
fn heed_children() -> io::Result<()> {
    flag::register(SIGCHLD, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Has as many files open as are wanted, if only the soft limit forbids that.
fn allow_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES_WANTED, |maximum| maximum.min(OPEN_FILES_WANTED));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}
