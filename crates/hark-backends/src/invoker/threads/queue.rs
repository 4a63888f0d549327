//! The queue of hints, and the timers.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use hark_engine::{Runner, ThreadId, TimerId, WorkerSlot};

/// Hints, ordered by priority and then by arrival, and timers.
#[derive(Default)]
pub(super) struct Queue {
    /// By priority, highest first. There are few levels, nearly always one, and they are never removed.
    levels: Vec<Level>,
    /// The total number of threads in all levels.
    length: usize,
    timers: BTreeMap<TimerId, Timer>,
}

/// Hints with the same priority.
struct Level {
    priority: i32,
    line: Line,
}

/// Hints in order of arrival.
type Line = VecDeque<Batch>;

/// Adjacent threads of the same runner in the queue.
struct Batch {
    runner: Arc<dyn Runner>,
    threads: VecDeque<ThreadId>,
}

/// A thread to run at a certain time.
pub(super) struct Timer {
    /// The time since the machine's start, and a unique number.
    pub id: TimerId,
    pub runner: Arc<dyn Runner>,
    pub thread: ThreadId,
}

/// The threads that a worker has taken.
#[derive(Default)]
pub(super) struct Chunk {
    priority: i32,
    pub runner: Option<Arc<dyn Runner>>,
    pub threads: Vec<ThreadId>,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Appends threads to the others of their priority.
    pub fn push(&mut self, runner: &Arc<dyn Runner>, threads: impl IntoIterator<Item = ThreadId>) {
        if runner.has_priorities() {
            for thread in threads {
                self.push_at(runner.priority(thread), runner, [thread]);
            }
        } else {
            self.push_at(0, runner, threads);
        }
    }

    fn push_at(&mut self, priority: i32, runner: &Arc<dyn Runner>, threads: impl IntoIterator<Item = ThreadId>) {
        let mut threads = threads.into_iter().peekable();
        if threads.peek().is_none() {
            return;
        }
        let line = line_of(&mut self.levels, priority);
        if line.back().is_none_or(|batch| !same(&batch.runner, runner)) {
            line.push_back(Batch { runner: runner.clone(), threads: VecDeque::new() });
        }
        if let Some(batch) = line.back_mut() {
            let before = batch.threads.len();
            batch.threads.extend(threads);
            self.length += batch.threads.len() - before;
        }
    }

    /// Puts back the threads of a chunk after the first `count`, which have had their turn. They are next in their
    /// priority.
    pub fn give_back(&mut self, chunk: &Chunk, count: usize) {
        let Some((runner, left)) = chunk.runner.as_ref().zip(chunk.threads.get(count..)) else { return };
        if left.is_empty() {
            return;
        }
        let line = line_of(&mut self.levels, chunk.priority);
        if line.front().is_none_or(|batch| !same(&batch.runner, runner)) {
            line.push_front(Batch { runner: runner.clone(), threads: VecDeque::new() });
        }
        if let Some(batch) = line.front_mut() {
            left.iter().rev().for_each(|thread| batch.threads.push_front(*thread));
            self.length += left.len();
        }
    }

    /// Takes the next threads of one runner, fewer if the queue is short, so that all workers get some. Returns whether
    /// there were any.
    pub fn take(&mut self, workers: usize, chunk: &mut Chunk) -> bool {
        chunk.threads.clear();
        let Some(Level { priority, line }) = self.levels.iter_mut().find(|level| !level.line.is_empty()) else {
            chunk.runner = None;
            return false;
        };
        chunk.priority = *priority;
        let Some(batch) = line.front_mut() else { return false };
        if chunk.runner.as_ref().is_none_or(|runner| !same(runner, &batch.runner)) {
            chunk.runner = Some(batch.runner.clone());
        }
        let count = (self.length / (2 * workers)).clamp(1, batch.runner.threads_at_a_time()).min(batch.threads.len());
        chunk.threads.extend(batch.threads.drain(..count));
        self.length -= count;
        if batch.threads.is_empty() {
            line.pop_front();
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

    /// Removes a timer and returns it, if it exists. The caller must drop it without holding the lock.
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

    /// Removes all threads and timers of a runner. Returns its references, which must be dropped without holding the
    /// lock.
    pub fn forget(&mut self, runner: &Arc<dyn Runner>) -> Vec<Arc<dyn Runner>> {
        let mut forgotten = Vec::new();
        for Level { line, .. } in &mut self.levels {
            let (gone, kept): (Line, Line) = line.drain(..).partition(|batch| same(&batch.runner, runner));
            *line = kept;
            for batch in gone {
                self.length -= batch.threads.len();
                forgotten.push(batch.runner);
            }
        }
        let timers = mem::take(&mut self.timers);
        let (gone, kept): (BTreeMap<_, _>, _) = timers.into_iter().partition(|(_, timer)| same(&timer.runner, runner));
        self.timers = kept;
        forgotten.extend(gone.into_values().map(|timer| timer.runner));
        forgotten
    }
}

impl Chunk {
    /// Runs the threads and returns how many of them had their turn.
    pub fn run(&self, slot: &mut dyn WorkerSlot) -> usize {
        self.runner.as_ref().map_or(0, |runner| runner.run(&self.threads, slot)).min(self.threads.len())
    }
}

/// The line of a priority, whose level is added if there is none.
fn line_of(levels: &mut Vec<Level>, priority: i32) -> &mut Line {
    let place = match levels.as_slice() {
        [only] if only.priority == priority => return &mut levels[0].line,
        levels => levels.partition_point(|level| level.priority > priority),
    };
    if levels.get(place).is_none_or(|level| level.priority != priority) {
        levels.insert(place, Level { priority, line: Line::new() });
    }
    &mut levels[place].line
}

fn same(one: &Arc<dyn Runner>, other: &Arc<dyn Runner>) -> bool {
    std::ptr::addr_eq(Arc::as_ptr(one), Arc::as_ptr(other))
}
