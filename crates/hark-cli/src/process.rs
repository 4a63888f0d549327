//! Makes this process independent of how it was started: of ignored signals, a low limit of open files, and its role as
//! the first process of a container.

mod first;

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGCHLD;
use signal_hook::flag;

pub use first::run_as_first;

/// The number of open files that programs with `select` can handle. Python functions may start such programs, which
/// inherit this limit.
const OPEN_FILES_WANTED: u64 = 1024;

/// Corrects what can be corrected.
pub fn prepare() {
    // On an error the state remains unchanged, which is usually sufficient.
    let _ = heed_children();
    let _ = allow_open_files();
}

/// The parent of this process may have ignored `SIGCHLD`; children would then leave no exit status. A signal with a
/// handler is reset to its default in child processes.
fn heed_children() -> io::Result<()> {
    flag::register(SIGCHLD, Arc::new(AtomicBool::new(false))).map(drop)
}

/// Raises the soft limit of open files to the wanted number, if the hard limit allows it.
fn allow_open_files() -> io::Result<()> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES_WANTED, |maximum| maximum.min(OPEN_FILES_WANTED));
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}
