//! Connections for reading: one per reading thread, within the limit on this process's descriptors.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rustix::process::{Resource, getrlimit};

/// A connection has two descriptors. At most one connection is opened per this many descriptors that the process may
/// have.
const FILES_PER_READER: u64 = 10;

/// Lends connections.
pub(super) struct Readers {
    state: Mutex<State>,
    /// Notified when a connection was returned or lost.
    returned: Condvar,
    count_max: usize,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Including lent connections.
    count: usize,
}

impl Readers {
    pub fn new() -> Readers {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let count_max = usize::try_from(files / FILES_PER_READER).unwrap_or(usize::MAX).max(1);
        Readers { state: Mutex::default(), returned: Condvar::new(), count_max }
    }

    /// An idle connection, a new one, or the next one returned. A caller that has one must not ask for another.
    pub fn lend(&self, connect: impl FnOnce() -> rusqlite::Result<Connection>) -> rusqlite::Result<Connection> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.idle.pop() {
                return Ok(connection);
            }
            if state.count < self.count_max {
                break;
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.count += 1;
        drop(state);
        connect().inspect_err(|_| self.take_back(None))
    }

    /// Takes back a connection, or `None` if it is unusable.
    pub fn take_back(&self, connection: Option<Connection>) {
        let mut state = self.lock();
        match connection {
            Some(connection) => state.idle.push(connection),
            None => state.count -= 1,
        }
        drop(state);
        self.returned.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
