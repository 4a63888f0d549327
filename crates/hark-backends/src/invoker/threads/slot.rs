//! A worker's slot in the pool, while it runs threads.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hark_engine::{Runner, ThreadId, TimerId, WorkerSlot};
use rustix::process::{Resource, getrlimit};

use super::queue::{Chunk, Timer};
use super::{Helper, Pool};
use crate::surroundings::since_boot;

/// The maximum number of workers that have stepped aside to wait for a storage. Each of them has an OS thread.
const ASIDE_MAX: usize = 64;

/// These workers may use one in this many of the processes and threads that the user may have; others need some too,
/// Python above all.
const PROCESSES_PER_ASIDE: u64 = 16;

/// How many workers may step aside on this system.
pub(super) fn aside_max() -> usize {
    let processes = getrlimit(Resource::Nproc).current;
    let possible = processes.map(|processes| usize::try_from(processes / PROCESSES_PER_ASIDE).unwrap_or(ASIDE_MAX));
    possible.map_or(ASIDE_MAX, |possible| possible.min(ASIDE_MAX))
}

/// The slot of a pool's worker. Invoked threads are held back until the worker returns to the queue, because it will
/// probably take them itself: a thread that awaits a thread that it has just started continues without waking another
/// worker.
pub(super) struct PoolSlot<'a> {
    pool: &'a Arc<Pool>,
    runner: Option<&'a Arc<dyn Runner>>,
    invoked: &'a mut Vec<ThreadId>,
    timers: Vec<Timer>,
    is_aside: bool,
}

impl<'a> PoolSlot<'a> {
    /// Threads are held back in `invoked`, which is empty.
    pub fn new(pool: &'a Arc<Pool>, chunk: &'a Chunk, invoked: &'a mut Vec<ThreadId>) -> PoolSlot<'a> {
        PoolSlot { pool, runner: chunk.runner.as_ref(), invoked, timers: Vec::new(), is_aside: false }
    }

    /// The timers that were held back.
    pub fn timers(self) -> Vec<Timer> {
        self.timers
    }

    /// Shares the threads that were held back with other workers.
    fn share(&mut self) {
        let Some(runner) = self.runner else { return };
        let mut state = self.pool.lock();
        state.queue.push(runner, self.invoked.drain(..));
        let helper = self.pool.helper(&mut state);
        drop(state);
        self.pool.summon(helper);
    }
}

impl WorkerSlot for PoolSlot<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.invoked.extend_from_slice(threads);
        if self.invoked.len() > 1 && self.pool.spare.load(Ordering::Relaxed) > 0 {
            self.share();
        }
    }

    fn invoke_after(&mut self, thread: ThreadId, delay: Duration) -> Option<TimerId> {
        // A time that the system cannot represent never comes.
        let at = since_boot().checked_add(delay)?;
        let id = TimerId(at, self.pool.timers.fetch_add(1, Ordering::Relaxed));
        self.timers.push(Timer { id, runner: self.runner?.clone(), thread });
        Some(id)
    }

    fn disarm(&mut self, timer: TimerId) -> bool {
        let own = self.timers.iter().position(|held| held.id == timer).map(|place| self.timers.swap_remove(place));
        own.or_else(|| self.pool.lock().queue.disarm(timer)).is_some()
    }

    fn begin_blocking(&mut self) -> bool {
        if !self.invoked.is_empty() {
            return false;
        }
        let mut state = self.pool.lock();
        let timers = mem::take(&mut self.timers);
        self.pool.arm(&mut state, timers);
        if !state.queue.is_empty() || state.blocked >= self.pool.width || state.closed {
            return false;
        }
        state.blocked += 1;
        self.pool.count_spare(&state);
        // Another worker must watch the timers.
        let helper = if state.queue.has_timers() { self.pool.anyone(&mut state) } else { Helper::None };
        drop(state);
        self.pool.summon(helper);
        true
    }

    fn end_blocking(&mut self) {
        let mut state = self.pool.lock();
        state.blocked -= 1;
        self.pool.count_spare(&state);
    }

    fn step_aside(&mut self) {
        let mut state = self.pool.lock();
        if state.blocked >= self.pool.aside_max {
            return;
        }
        self.is_aside = true;
        state.blocked += 1;
        if let Some(runner) = self.runner {
            state.queue.push(runner, self.invoked.drain(..));
        }
        let helper = self.pool.helper(&mut state);
        drop(state);
        self.pool.summon(helper);
    }

    fn step_back(&mut self) {
        if mem::take(&mut self.is_aside) {
            self.end_blocking();
        }
    }
}
