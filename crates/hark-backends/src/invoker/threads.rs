//! Invocation by OS threads of this process: a pool with one worker per core.
//!
//! Hints wait in one ordered queue. Workers take them in chunks, so that its lock is rarely contended. The caller of
//! `serve` is a worker too; others are started only if there is more work than it has taken. So a program with one
//! thread runs entirely on the process's first OS thread. An idle worker is parked, at most until the first timer.
//!
//! A worker that waits for a storage steps aside, and another one takes its place. So many workers can wait at once,
//! and the storage can handle their requests together. When a worker comes back, there may be one too many; one of them
//! then parks.

mod queue;
mod slot;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hark_engine::{Invoker, Runner, ThreadId};
use queue::{Chunk, Queue, Timer};
use slot::{PoolSlot, aside_max};

use crate::surroundings::since_boot;

/// The maximum time that a worker waits for a timer before it checks the clock. Waiting stops while the computer
/// sleeps, but timers do not.
const TIMER_WAIT_MAX: Duration = Duration::from_secs(10);

/// A pool of OS threads.
#[derive(Debug)]
pub struct Threads {
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Pool {
    width: usize,
    aside_max: usize,
    /// How many more workers could be active: idle, or not started yet. Only a hint, because it is read without the
    /// lock.
    spare: AtomicUsize,
    /// The number of timers created so far.
    timers: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// The parked workers, as a stack: the last one that parked is the quickest to wake.
    idle: Vec<thread::Thread>,
    /// The number of workers, including callers of `serve`.
    workers: usize,
    /// How many of them are blocked by something outside, and so do not count towards the width.
    blocked: usize,
    closed: bool,
    /// The payload of a worker's panic, for a caller of `serve`.
    panic: Option<Box<dyn Any + Send>>,
}

/// A worker that can help with the queue.
enum Helper {
    None,
    Parked(thread::Thread),
    New,
}

impl Threads {
    /// A pool with this number of workers, none of which is started yet.
    pub fn new(width: usize) -> Threads {
        let width = width.max(1);
        let state = Mutex::new(State::default());
        Threads {
            pool: Arc::new(Pool {
                width,
                aside_max: aside_max(),
                spare: AtomicUsize::new(width),
                timers: AtomicU64::new(0),
                state,
            }),
        }
    }

    /// A pool with one worker per core.
    pub fn as_wide_as_the_cores() -> Threads {
        Threads::new(thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let mut state = self.pool.lock();
        state.closed = true;
        // They are not joined, because one of them may be blocked by something outside.
        state.idle.drain(..).for_each(|worker| worker.unpark());
    }
}

impl Invoker for Threads {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        let mut state = self.pool.lock();
        state.queue.push(runner, threads.iter().copied());
        let helper = self.pool.helper(&mut state);
        drop(state);
        self.pool.summon(helper);
    }

    fn width(&self) -> usize {
        self.pool.width
    }

    fn serve(&self, done: &AtomicBool) {
        let mut state = self.pool.lock();
        state.workers += 1;
        self.pool.count_spare(&state);
        drop(state);
        self.pool.work(Some(done));
        let mut state = self.pool.lock();
        state.workers -= 1;
        let panic = state.panic.take();
        let helper = self.pool.helper(&mut state);
        drop(state);
        self.pool.summon(helper);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn nudge(&self) {
        self.pool.lock().idle.drain(..).for_each(|worker| worker.unpark());
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        let forgotten = self.pool.lock().queue.forget(runner);
        // Dropped here, without the lock.
        drop(forgotten);
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker that can take hints from the queue, if there are any.
    fn helper(&self, state: &mut State) -> Helper {
        if state.queue.is_empty() || state.closed { Helper::None } else { self.anyone(state) }
    }

    /// A worker that has nothing to do.
    fn anyone(&self, state: &mut State) -> Helper {
        let room = state.active() < self.width;
        let helper = match state.idle.pop_if(|_| room) {
            Some(worker) => Helper::Parked(worker),
            // Before anyone serves, there is no one to report to; the first caller of `serve` takes the work itself.
            None if state.workers > 0 && room => {
                state.workers += 1;
                Helper::New
            }
            None => Helper::None,
        };
        self.count_spare(state);
        helper
    }

    fn count_spare(&self, state: &State) {
        self.spare.store(self.width.saturating_sub(state.active()), Ordering::Relaxed);
    }

    /// Wakes or starts the helper. Must be called without the lock, because this takes a while.
    fn summon(self: &Arc<Self>, helper: Helper) {
        match helper {
            Helper::None => {}
            Helper::Parked(worker) => worker.unpark(),
            Helper::New => {
                let pool = self.clone();
                let started = thread::Builder::new().name("hark-worker".into()).spawn(move || pool.live());
                if started.is_err() {
                    // The system cannot start another thread. The existing workers will do the work.
                    self.lock().workers -= 1;
                }
            }
        }
    }

    /// The main function of a worker that was started by the pool.
    fn live(self: Arc<Self>) {
        let panic = catch_unwind(AssertUnwindSafe(|| self.work(None))).err();
        let mut state = self.lock();
        state.workers -= 1;
        if panic.is_some() {
            state.panic = panic;
            state.idle.drain(..).for_each(|worker| worker.unpark());
        }
        self.count_spare(&state);
    }

    /// Runs hints from the queue until `done` is set; without `done`, until the pool is closed.
    fn work(self: &Arc<Self>, done: Option<&AtomicBool>) {
        let (mut chunk, mut invoked) = (Chunk::default(), Vec::new());
        let mut state = self.lock();
        loop {
            if self.is_relieved(&state, done) {
                return;
            }
            if state.queue.has_timers() {
                state.queue.release_due(since_boot());
            }
            // A worker that stepped aside has come back: the first one that finishes parks.
            let is_too_many = state.active() > self.width;
            if is_too_many || !state.queue.take(self.width, &mut chunk) {
                state = self.park(state);
                continue;
            }
            let helper = self.helper(&mut state);
            drop(state);
            self.summon(helper);
            let mut slot = PoolSlot::new(self, &chunk, &mut invoked);
            let count = chunk.run(&mut slot);
            let timers = slot.timers();
            state = self.lock();
            state.queue.give_back(&chunk, count);
            if let Some(runner) = &chunk.runner {
                state.queue.push(runner, invoked.drain(..));
            }
            self.arm(&mut state, timers);
        }
    }

    fn is_relieved(&self, state: &State, done: Option<&AtomicBool>) -> bool {
        match done {
            Some(done) => done.load(Ordering::Acquire) || state.panic.is_some(),
            None => state.closed,
        }
    }

    /// Waits until this worker is woken or a timer is due.
    fn park<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let me = thread::current();
        let id = me.id();
        state.idle.push(me);
        self.count_spare(&state);
        let until = state.queue.first_timer();
        drop(state);
        match until {
            Some(until) => thread::park_timeout(until.saturating_sub(since_boot()).min(TIMER_WAIT_MAX)),
            None => thread::park(),
        }
        let mut state = self.lock();
        state.idle.retain(|worker| worker.id() != id);
        self.count_spare(&state);
        state
    }

    /// Arms timers. Parked workers wait for the previously first timer, so one is woken for an earlier one.
    fn arm(&self, state: &mut State, timers: Vec<Timer>) {
        for timer in timers {
            let earlier = state.queue.first_timer().is_none_or(|first| timer.id.0 < first);
            state.queue.arm(timer);
            if earlier && let Some(worker) = state.idle.last() {
                worker.unpark();
            }
        }
    }
}

impl State {
    /// The number of workers that run threads now or are about to.
    fn active(&self) -> usize {
        (self.workers - self.blocked).saturating_sub(self.idle.len())
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("State")
            .field("workers", &self.workers)
            .field("blocked", &self.blocked)
            .field("idle", &self.idle.len())
            .finish_non_exhaustive()
    }
}
