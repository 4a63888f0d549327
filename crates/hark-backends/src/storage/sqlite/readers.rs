//! The connections for reading: as many as there are threads that read, but no more than this process's descriptors allow.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;
use rustix::process::{Resource, getrlimit};

/// A connection has two descriptors. Of those that the process may have, connections are one in so many.
const FILES_PER_READER: u64 = 10;

/// Lends connections.
pub(super) struct Readers {
    state: Mutex<State>,
    /// One came back, or was lost.
    returned: Condvar,
    count_max: usize,
}

#[derive(Default)]
struct State {
    idle: Vec<Connection>,
    /// Those that are lent too.
    count: usize,
}

impl Readers {
    pub fn new() -> Readers {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let count_max = usize::try_from(files / FILES_PER_READER).unwrap_or(usize::MAX).max(1);
        Readers { state: Mutex::default(), returned: Condvar::new(), count_max }
    }

    /// One that is idle, or a new one, or the next that comes back. Who has one must not ask for another.
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

    /// Takes back one that was lent, or nothing if it is of no use.
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
