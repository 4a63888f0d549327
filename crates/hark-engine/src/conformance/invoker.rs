//! The invoker suite.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::id::ThreadId;
use crate::invoker::{Invoker, Runner, WorkerSlot};

/// Checks an invoker. `make` gives an unused one of at least two workers each time.
///
/// # Panics
/// If the invoker does not fulfill the contract. If it loses a hint, this waits forever.
pub fn check_invoker(make: &dyn Fn() -> Arc<dyn Invoker>) {
    let checks: [fn(&Arc<dyn Invoker>); 8] = [
        every_hint_arrives,
        what_is_invoked_within_arrives,
        what_is_handed_back_arrives,
        what_is_invoked_from_elsewhere_arrives,
        timers_are_not_early,
        workers_work_at_once,
        who_blocks_gives_up_the_place,
        what_is_forgotten_does_not_come,
    ];
    for check in checks {
        check(&make());
    }
}

type Act = dyn Fn(ThreadId, &mut dyn WorkerSlot) + Send + Sync;

/// Counts the turns of each thread, and does what a check wants done in them.
struct Counter {
    turns: Mutex<BTreeMap<ThreadId, usize>>,
    expected: usize,
    done: AtomicBool,
    invoker: Arc<dyn Invoker>,
    /// The most threads that it runs at a time.
    at_a_time: usize,
    act: Box<Act>,
}

impl Counter {
    /// Set when this many threads have had a turn.
    fn new(
        invoker: &Arc<dyn Invoker>,
        expected: usize,
        act: impl Fn(ThreadId, &mut dyn WorkerSlot) + Send + Sync + 'static,
    ) -> Counter {
        Counter {
            turns: Mutex::default(),
            expected,
            done: AtomicBool::new(false),
            invoker: invoker.clone(),
            at_a_time: usize::MAX,
            act: Box::new(act),
        }
    }

    fn turns(&self) -> MutexGuard<'_, BTreeMap<ThreadId, usize>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Invokes these threads, serves until all expected ones had a turn, and checks which they were.
    fn check(self, first: &[ThreadId]) {
        let expected = self.expected;
        let invoker = self.invoker.clone();
        let counter = Arc::new(self);
        let runner: Arc<dyn Runner> = counter.clone();
        invoker.invoke(&runner, first);
        invoker.serve(&counter.done);
        let numbers: Vec<u64> = counter.turns().keys().map(|thread| thread.0).collect();
        assert_eq!(numbers, (0..expected as u64).collect::<Vec<u64>>());
    }
}

impl Runner for Counter {
    fn threads_at_a_time(&self) -> usize {
        self.at_a_time
    }

    fn run(&self, threads: &[ThreadId], slot: &mut dyn WorkerSlot) -> usize {
        let count = threads.len().min(self.at_a_time);
        for thread in &threads[..count] {
            (self.act)(*thread, slot);
            let mut turns = self.turns();
            *turns.entry(*thread).or_default() += 1;
            let all = turns.len() == self.expected;
            drop(turns);
            if all {
                self.done.store(true, Ordering::Release);
                self.invoker.nudge();
            }
        }
        count
    }
}

fn ids(numbers: std::ops::Range<u64>) -> Vec<ThreadId> {
    numbers.map(ThreadId).collect()
}

fn every_hint_arrives(invoker: &Arc<dyn Invoker>) {
    Counter::new(invoker, 10_000, |_, _| {}).check(&ids(0..10_000));
    // The same invoker serves again.
    Counter::new(invoker, 1, |_, _| {}).check(&ids(0..1));
}

fn what_is_invoked_within_arrives(invoker: &Arc<dyn Invoker>) {
    // A tree: thread n invokes 2n + 1 and 2n + 2.
    let act = |thread: ThreadId, slot: &mut dyn WorkerSlot| {
        let children: Vec<ThreadId> = ids(2 * thread.0 + 1..2 * thread.0 + 3);
        slot.invoke(&children[..children.iter().filter(|child| child.0 < 5_000).count()]);
    };
    Counter::new(invoker, 5_000, act).check(&ids(0..1));
    // A chain, one at a time.
    let act = |thread: ThreadId, slot: &mut dyn WorkerSlot| {
        if thread.0 < 4_999 {
            slot.invoke(&[ThreadId(thread.0 + 1)]);
        }
    };
    Counter::new(invoker, 5_000, act).check(&ids(0..1));
}

fn what_is_handed_back_arrives(invoker: &Arc<dyn Invoker>) {
    let counter = Counter { at_a_time: 1, ..Counter::new(invoker, 1_000, |_, _| {}) };
    counter.check(&ids(0..1_000));
}

fn what_is_invoked_from_elsewhere_arrives(invoker: &Arc<dyn Invoker>) {
    let counter = Arc::new(Counter::new(invoker, 1_000, |_, _| {}));
    let runner: Arc<dyn Runner> = counter.clone();
    thread::scope(|scope| {
        for first in 0..4 {
            let (invoker, runner) = (invoker.clone(), runner.clone());
            scope.spawn(move || {
                for thread in (first..1_000).step_by(4) {
                    invoker.invoke(&runner, &[ThreadId(thread)]);
                    thread::yield_now();
                }
            });
        }
        invoker.serve(&counter.done);
    });
    assert_eq!(counter.turns().len(), 1_000);
}

fn timers_are_not_early(invoker: &Arc<dyn Invoker>) {
    const DELAYS: [u64; 4] = [30, 10, 20, 0];
    let begun = Instant::now();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (seen, disarmed) = (order.clone(), Mutex::new(None));
    let act = move |thread: ThreadId, slot: &mut dyn WorkerSlot| match thread.0.checked_sub(1) {
        None => {
            for (index, delay) in DELAYS.iter().enumerate() {
                slot.invoke_after(ThreadId(index as u64 + 1), Duration::from_millis(*delay));
            }
            // Those that never come: one is too late, one is disarmed at once, and one by another turn.
            assert_eq!(slot.invoke_after(ThreadId(99), Duration::MAX), None);
            let timer = slot.invoke_after(ThreadId(98), Duration::ZERO).expect("it is a time");
            assert!(slot.disarm(timer) && !slot.disarm(timer));
            // Long enough for another turn to come before it, on any machine.
            let timer = slot.invoke_after(ThreadId(97), Duration::from_secs(600));
            *disarmed.lock().unwrap_or_else(PoisonError::into_inner) = timer;
        }
        Some(index) => {
            let delay = Duration::from_millis(DELAYS[index as usize]);
            assert!(begun.elapsed() >= delay, "a timer of {delay:?} was early");
            if let Some(timer) = disarmed.lock().unwrap_or_else(PoisonError::into_inner).take() {
                assert!(slot.disarm(timer));
            }
            seen.lock().unwrap_or_else(PoisonError::into_inner).push(delay.as_millis());
        }
    };
    Counter::new(invoker, 5, act).check(&ids(0..1));
    assert_eq!(order.lock().unwrap_or_else(PoisonError::into_inner).len(), 4);
}

fn workers_work_at_once(invoker: &Arc<dyn Invoker>) {
    // Neither thread's turn ends before the other's has begun.
    let both = Barrier::new(2);
    let act = move |_: ThreadId, _: &mut dyn WorkerSlot| {
        both.wait();
    };
    Counter::new(invoker, 2, act).check(&ids(0..2));
}

/// A worker may block again and again, waiting for another worker.
fn who_blocks_gives_up_the_place(invoker: &Arc<dyn Invoker>) {
    const THREADS: u64 = 100;
    let act = move |thread: ThreadId, slot: &mut dyn WorkerSlot| {
        let next = ThreadId(thread.0 + 1);
        if slot.begin_blocking() {
            slot.end_blocking();
        }
        if next.0 < THREADS {
            slot.invoke(&[next]);
        }
    };
    Counter::new(invoker, THREADS as usize, act).check(&ids(0..1));
    check_block_until_other_runs(invoker);
}

/// A worker that blocks is woken by what another does in its place.
fn check_block_until_other_runs(invoker: &Arc<dyn Invoker>) {
    let other_has_run = Arc::new(AtomicBool::new(false));
    let act = move |thread: ThreadId, slot: &mut dyn WorkerSlot| {
        if thread.0 == 1 {
            return other_has_run.store(true, Ordering::Release);
        }
        slot.invoke_after(ThreadId(1), Duration::from_millis(1));
        if slot.begin_blocking() {
            while !other_has_run.load(Ordering::Acquire) {
                thread::yield_now();
            }
            slot.end_blocking();
        }
    };
    Counter::new(invoker, 2, act).check(&ids(0..1));
}

fn what_is_forgotten_does_not_come(invoker: &Arc<dyn Invoker>) {
    let gone = Arc::new(Counter::new(invoker, usize::MAX, |_, _| {}));
    let runner: Arc<dyn Runner> = gone.clone();
    invoker.invoke(&runner, &ids(0..100));
    invoker.forget(&runner);
    drop(runner);
    Counter::new(invoker, 100, |_, _| {}).check(&ids(0..100));
    assert!(gone.turns().is_empty(), "nobody served before it was forgotten");
    assert_eq!(Arc::strong_count(&gone), 1, "an invoker holds nothing of what it has forgotten");
}
