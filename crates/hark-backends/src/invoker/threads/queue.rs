//! What is to be run, in order, and what is to be run later.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use hark_engine::{Runner, Seat, ThreadId, TimerId};

/// Hints in the order in which they came, and timers.
#[derive(Default)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    /// How many threads there are in all batches.
    length: usize,
    timers: BTreeMap<TimerId, Timer>,
}

/// Threads of one runner, next to each other in the queue.
struct Batch {
    runner: Arc<dyn Runner>,
    threads: VecDeque<ThreadId>,
}

/// A thread that is to be run at a time.
pub(super) struct Timer {
    /// When, since the machine's start, and which.
    pub id: TimerId,
    pub runner: Arc<dyn Runner>,
    pub thread: ThreadId,
}

/// What a worker has taken.
#[derive(Default)]
pub(super) struct Chunk {
    pub runner: Option<Arc<dyn Runner>>,
    pub threads: Vec<ThreadId>,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Puts threads at the end.
    pub fn push(&mut self, runner: &Arc<dyn Runner>, threads: impl IntoIterator<Item = ThreadId>) {
        let mut threads = threads.into_iter().peekable();
        if threads.peek().is_none() {
            return;
        }
        if self.batches.back().is_none_or(|batch| !same(&batch.runner, runner)) {
            self.batches.push_back(Batch { runner: runner.clone(), threads: VecDeque::new() });
        }
        if let Some(batch) = self.batches.back_mut() {
            let before = batch.threads.len();
            batch.threads.extend(threads);
            self.length += batch.threads.len() - before;
        }
    }

    /// Puts threads back that were taken, to be the next.
    pub fn give_back(&mut self, runner: &Arc<dyn Runner>, threads: &[ThreadId]) {
        if threads.is_empty() {
            return;
        }
        if self.batches.front().is_none_or(|batch| !same(&batch.runner, runner)) {
            self.batches.push_front(Batch { runner: runner.clone(), threads: VecDeque::new() });
        }
        if let Some(batch) = self.batches.front_mut() {
            threads.iter().rev().for_each(|thread| batch.threads.push_front(*thread));
            self.length += threads.len();
        }
    }

    /// Takes the next threads of one runner, fewer when there are fewer, so that all workers get some. Answers whether
    /// there were any.
    pub fn take(&mut self, workers: usize, chunk: &mut Chunk) -> bool {
        chunk.threads.clear();
        let Some(batch) = self.batches.front_mut() else {
            chunk.runner = None;
            return false;
        };
        if chunk.runner.as_ref().is_none_or(|runner| !same(runner, &batch.runner)) {
            chunk.runner = Some(batch.runner.clone());
        }
        let count = (self.length / (2 * workers)).clamp(1, batch.runner.threads_at_a_time()).min(batch.threads.len());
        chunk.threads.extend(batch.threads.drain(..count));
        self.length -= count;
        if batch.threads.is_empty() {
            self.batches.pop_front();
        }
        true
    }

    pub fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    pub fn first_timer(&self) -> Option<Duration> {
        self.timers.first_key_value().map(|(id, _)| id.0)
    }

    pub fn arm(&mut self, timer: Timer) {
        self.timers.insert(timer.id, timer);
    }

    /// Forgets a timer; gives it, if there was one. Its reference is to be dropped without the lock.
    pub fn disarm(&mut self, timer: TimerId) -> Option<Timer> {
        self.timers.remove(&timer)
    }

    /// Moves the threads whose time has come to the end of the queue.
    pub fn release_due(&mut self, now: Duration) {
        while let Some(first) = self.timers.first_entry().filter(|first| first.key().0 <= now) {
            let timer = first.remove();
            self.push(&timer.runner, [timer.thread]);
        }
    }

    /// Removes all of a runner; gives its references, to be dropped without the lock.
    pub fn forget(&mut self, runner: &Arc<dyn Runner>) -> Vec<Arc<dyn Runner>> {
        let mut forgotten = Vec::new();
        let (gone, kept) = self.batches.drain(..).partition(|batch| same(&batch.runner, runner));
        self.batches = kept;
        let gone: VecDeque<Batch> = gone;
        for batch in gone {
            self.length -= batch.threads.len();
            forgotten.push(batch.runner);
        }
        let timers = mem::take(&mut self.timers);
        let (gone, kept): (BTreeMap<_, _>, _) = timers.into_iter().partition(|(_, timer)| same(&timer.runner, runner));
        self.timers = kept;
        forgotten.extend(gone.into_values().map(|timer| timer.runner));
        forgotten
    }
}

impl Chunk {
    /// Runs the threads, and answers how many had their turn.
    pub fn run(&self, seat: &mut dyn Seat) -> usize {
        self.runner.as_ref().map_or(0, |runner| runner.run(&self.threads, seat)).min(self.threads.len())
    }
}

fn same(one: &Arc<dyn Runner>, other: &Arc<dyn Runner>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
