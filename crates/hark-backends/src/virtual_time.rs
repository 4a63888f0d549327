//! Virtual time for tests of programs, in which a week of sleeps takes no time.
//!
//! A single OS thread runs all threads, in the order in which they were invoked. When none can run, the clock jumps to
//! the next timer, unless something real is in progress, such as a Python call: then time passes as in the real world,
//! so that a timeout of that call fires when it should. So a program runs the same way each time, as long as nothing
//! real is part of it.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hark_engine::{Invoker, Runner, Sequence, Surroundings, ThreadId, TimerId, Timestamp, WorkerSlot};

use crate::surroundings::System;

/// A virtual clock, and the invoker that runs threads by it.
pub struct VirtualTime {
    state: Mutex<State>,
    /// Notified of new work, of the end of something real, and of nudges.
    changed: Condvar,
    /// Called once, instead of a jump of the clock beyond this time.
    horizon: Mutex<Option<Horizon>>,
}

/// A time, and the action before the clock passes it.
type Horizon = (Timestamp, Box<dyn FnOnce() + Send>);

struct State {
    /// The clock's time, or its time when something real began.
    now: Timestamp,
    /// When that was, if something real is in progress.
    real_since: Option<Instant>,
    /// How many real things are in progress.
    real: usize,
    queue: VecDeque<(Arc<dyn Runner>, ThreadId)>,
    timers: BTreeMap<TimerId, (Arc<dyn Runner>, ThreadId)>,
    /// The number of timers created so far.
    timers_made: u64,
    /// The source of random numbers. Without one they are unpredictable.
    chance: Option<Sequence>,
}

/// The next action of the worker.
enum Next {
    Run(Arc<dyn Runner>, Vec<ThreadId>),
    Jump(Timestamp),
    Stop,
}

/// Marks something real as in progress until it is dropped.
pub struct RealTime(Arc<VirtualTime>);

impl VirtualTime {
    /// A clock that starts at this time.
    pub fn new(start: Timestamp) -> VirtualTime {
        let state = State {
            now: start,
            real_since: None,
            real: 0,
            queue: VecDeque::new(),
            timers: BTreeMap::new(),
            timers_made: 0,
            chance: None,
        };
        VirtualTime { state: Mutex::new(state), changed: Condvar::new(), horizon: Mutex::default() }
    }

    /// Makes random numbers reproducible from here on.
    pub fn seed(&self, seed: u64) {
        self.lock().chance = Some(Sequence::new(seed));
    }

    /// Calls `act` before the clock jumps beyond a time, so that a program that sleeps for ever can be ended.
    pub fn on_horizon(&self, horizon: Timestamp, act: impl FnOnce() + Send + 'static) {
        *self.horizon.lock().unwrap_or_else(PoisonError::into_inner) = Some((horizon, Box::new(act)));
    }

    /// Marks that something real begins.
    pub fn begin_real(self: &Arc<Self>) -> RealTime {
        let mut state = self.lock();
        state.real += 1;
        state.real_since.get_or_insert_with(Instant::now);
        RealTime(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work. If there are only timers, returns a jump to the first one.
    fn next(&self, done: &AtomicBool) -> Next {
        let mut state = self.lock();
        loop {
            if done.load(Ordering::Acquire) {
                return Next::Stop;
            }
            state.release_due();
            if let Some((runner, threads)) = state.take() {
                return Next::Run(runner, threads);
            }
            let first = state.timers.first_key_value().map(|(id, _)| at(*id));
            state = match first {
                Some(first) if state.real == 0 => return Next::Jump(first),
                Some(first) => {
                    let wait = first.since(state.now());
                    self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Moves the clock forward, unless something real has begun meanwhile.
    fn jump(&self, to: Timestamp) {
        let passed = self.horizon.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(horizon, _)| *horizon < to);
        if let Some((_, act)) = passed {
            return act();
        }
        let mut state = self.lock();
        if state.real == 0 {
            state.now = state.now.max(to);
        }
    }
}

impl Drop for RealTime {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.real -= 1;
        if state.real == 0 {
            state.now = state.now();
            state.real_since = None;
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

impl State {
    fn now(&self) -> Timestamp {
        self.real_since.map_or(self.now, |since| self.now.after(since.elapsed()))
    }

    /// Appends the threads whose time has come to the queue.
    fn release_due(&mut self) {
        let now = self.now();
        while let Some(first) = self.timers.first_entry().filter(|first| at(*first.key()) <= now) {
            let due = first.remove();
            self.queue.push_back(due);
        }
    }

    /// The next threads of a single runner.
    fn take(&mut self) -> Option<(Arc<dyn Runner>, Vec<ThreadId>)> {
        let (runner, first) = self.queue.pop_front()?;
        let at_most = runner.threads_at_a_time();
        let mut threads = vec![first];
        while threads.len() < at_most
            && self.queue.front().is_some_and(|(other, _)| is_same(other, &runner))
            && let Some((_, thread)) = self.queue.pop_front()
        {
            threads.push(thread);
        }
        Some((runner, threads))
    }
}

/// Adds a microsecond to delays that floats may not represent exactly. A program sees times as floats, whose difference
/// could otherwise be some tenths of a microsecond less than it slept. No real clock is that exact, and programs rely
/// on it. Delays that floats represent exactly, such as whole seconds, stay exact.
fn never_short(delay: Duration) -> Duration {
    /// A 64th of a second.
    const EXACT_MICROSECONDS: u128 = 15_625;
    let is_exact = delay.as_micros().is_multiple_of(EXACT_MICROSECONDS);
    if is_exact { delay } else { delay.saturating_add(Duration::from_micros(1)) }
}

/// The due time of a timer, whose duration counts from the same origin as a [`Timestamp`].
fn at(timer: TimerId) -> Timestamp {
    Timestamp(u64::try_from(timer.0.as_micros()).unwrap_or(u64::MAX))
}

fn is_same(one: &Arc<dyn Runner>, other: &Arc<dyn Runner>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}

impl Surroundings for VirtualTime {
    fn now(&self) -> Timestamp {
        self.lock().now()
    }

    fn steady_now(&self) -> Timestamp {
        self.now()
    }

    fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn random(&self) -> u64 {
        match &mut self.lock().chance {
            Some(chance) => chance.next(),
            None => System.random(),
        }
    }

    fn environment(&self, name: &str) -> Option<OsString> {
        System.environment(name)
    }
}

impl Invoker for VirtualTime {
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        self.lock().queue.extend(threads.iter().map(|thread| (runner.clone(), *thread)));
        self.changed.notify_all();
    }

    fn width(&self) -> usize {
        1
    }

    fn serve(&self, done: &AtomicBool) {
        loop {
            match self.next(done) {
                Next::Stop => return,
                Next::Run(runner, threads) => {
                    let count = runner.run(&threads, &mut VirtualSlot { time: self, runner: &runner });
                    let left = threads[count.min(threads.len())..].iter().rev();
                    let mut state = self.lock();
                    left.for_each(|thread| state.queue.push_front((runner.clone(), *thread)));
                }
                Next::Jump(to) => self.jump(to),
            }
        }
    }

    fn nudge(&self) {
        // With the lock, so that a waiting thread either has not checked yet or is already waiting.
        drop(self.lock());
        self.changed.notify_all();
    }

    fn forget(&self, runner: &Arc<dyn Runner>) {
        let mut state = self.lock();
        let (gone, kept): (VecDeque<_>, VecDeque<_>) =
            state.queue.drain(..).partition(|(other, _)| is_same(other, runner));
        state.queue = kept;
        let timers = std::mem::take(&mut state.timers);
        let (late, kept): (BTreeMap<_, _>, BTreeMap<_, _>) =
            timers.into_iter().partition(|(_, (other, _))| is_same(other, runner));
        state.timers = kept;
        drop(state);
        // Dropped here, without the lock.
        drop((gone, late));
    }
}

/// The slot of the single worker.
struct VirtualSlot<'a> {
    time: &'a VirtualTime,
    runner: &'a Arc<dyn Runner>,
}

impl WorkerSlot for VirtualSlot<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.time.lock().queue.extend(threads.iter().map(|thread| (self.runner.clone(), *thread)));
    }

    fn invoke_after(&mut self, thread: ThreadId, delay: Duration) -> Option<TimerId> {
        let mut state = self.time.lock();
        let at = Duration::from_micros(state.now().0).checked_add(never_short(delay))?;
        // A time that cannot be represented never comes.
        if at > Duration::from_micros(Timestamp::MAX.0) {
            return None;
        }
        state.timers_made += 1;
        let id = TimerId(at, state.timers_made);
        state.timers.insert(id, (self.runner.clone(), thread));
        Some(id)
    }

    fn disarm(&mut self, timer: TimerId) -> bool {
        let disarmed = self.time.lock().timers.remove(&timer);
        disarmed.is_some()
    }

    // Blocking would keep all other threads from running.
    fn begin_blocking(&mut self) -> bool {
        false
    }

    fn end_blocking(&mut self) {}

    fn step_aside(&mut self) {}

    fn step_back(&mut self) {}
}
