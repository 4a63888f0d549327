//! Threads as they were written last, so that whoever has written one need not decode it. A version that is not the
//! file's is never used.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hark_engine::{Commit, FutureId, Key, Live, Record, Stamp, ThreadId, Versioned};

/// The most threads of a session that are kept.
const THREADS_MAX: usize = 10_000;

/// The most bytes that these have in the file. Some of them may wait for long.
const BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub(super) struct KeptThreads(Mutex<State>);

#[derive(Default)]
struct State {
    threads: HashMap<ThreadId, Kept>,
    bytes: usize,
}

struct Kept {
    stamp: Stamp,
    live: Box<Live>,
    bytes: usize,
    /// It was started with that commit, and nothing has been written from here since of what wakes it or waits for it. If
    /// others have done so, its first step finds out when it is committed.
    is_fresh: bool,
}

impl KeptThreads {
    /// What the first step of a thread begins with that was started from here: without a look at the file, it is known
    /// that the others of these keys, which are its own, have no records. Only for whoever runs all threads of the session:
    /// another one may have run this.
    pub fn take_fresh(&self, keys: &[Key]) -> Option<Versioned> {
        let [Key::Live(thread), others @ ..] = keys else { return None };
        let is_its_own = |key: &Key| match key {
            Key::Ready(other) | Key::Future(FutureId::Thread(other)) => other == thread,
            _ => false,
        };
        let mut state = self.lock();
        let is_fresh = state.threads.get(thread).is_some_and(|kept| kept.is_fresh);
        if !is_fresh || !others.iter().all(is_its_own) {
            return None;
        }
        let (stamp, live) = state.take(*thread)?;
        Some(Versioned { stamp, record: Record::Live(*thread, live) })
    }

    /// A thread, and the version that it is.
    pub fn take(&self, thread: ThreadId) -> Option<(Stamp, Box<Live>)> {
        self.lock().take(thread)
    }

    /// Keeps the threads of a commit that is done. These are their lengths in the file: of the fresh ones, then of those
    /// that it put.
    pub fn keep(&self, commit: &mut Commit, sizes: &[usize]) {
        let stamp = commit.stamp;
        let mut sizes = sizes.iter().copied();
        let mut state = self.lock();
        let fresh = commit.fresh.drain(..).map(|record| (record, true));
        for (record, is_fresh) in fresh.chain(commit.put.drain(..).map(|record| (record, false))) {
            match record {
                Record::Live(thread, live) => {
                    let bytes = sizes.next().unwrap_or(0);
                    state.put(thread, Kept { stamp, live, bytes, is_fresh });
                }
                Record::Ready(thread) | Record::Future(FutureId::Thread(thread), _) => {
                    if let Some(kept) = state.threads.get_mut(&thread) {
                        kept.is_fresh = false;
                    }
                }
                _ => {}
            }
        }
        for key in commit.delete.drain(..) {
            if let Key::Live(thread) = key {
                state.take(thread);
            }
        }
        commit.expect.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, thread: ThreadId) -> Option<(Stamp, Box<Live>)> {
        let Entry::Occupied(entry) = self.threads.entry(thread) else { return None };
        let Kept { stamp, live, bytes, .. } = entry.remove();
        self.bytes -= bytes;
        Some((stamp, live))
    }

    fn put(&mut self, thread: ThreadId, kept: Kept) {
        self.take(thread);
        if self.threads.len() < THREADS_MAX && self.bytes + kept.bytes <= BYTES_MAX {
            self.bytes += kept.bytes;
            self.threads.insert(thread, kept);
        }
    }
}
