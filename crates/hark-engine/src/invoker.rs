//! The port to whatever runs threads.
//!
//! An invoker knows nothing about Futures or sessions: it receives hints, *look at this thread*, and makes a worker do
//! so soon. Within a process it delivers each hint once, or loses it with the process. A hint that arrives twice, for
//! example over a network, counts as another hint; the storage fences off duplicate work of a thread.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::id::ThreadId;
use crate::remote::Supervised;

/// Runs threads on an invoker's worker. A session is a runner.
pub trait Runner: Send + Sync {
    /// Gives each of these threads a turn, in order, and returns how many had one. The others are handed back because
    /// a turn was long, and go to other workers if there are any.
    fn run(&self, threads: &[ThreadId], slot: &mut dyn WorkerSlot) -> usize;

    /// The maximum number of threads that a worker should take at a time. Few if a turn ends with a wait for the
    /// storage, because the turns of other workers are written together with it.
    fn threads_at_a_time(&self) -> usize;

    /// Whether some of its threads have priority.
    fn has_priorities(&self) -> bool {
        false
    }

    /// The priority of a thread. Threads with a higher priority are run first, in all sessions.
    fn priority(&self, thread: ThreadId) -> i32 {
        let _ = thread;
        0
    }

    /// The runner for an invoker whose workers are other processes. None if it cannot run there.
    fn supervised(self: Arc<Self>) -> Option<Arc<dyn Supervised>> {
        None
    }
}

/// A timer of an invoker: the time when it runs its thread, in the invoker's time, and a unique number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(pub Duration, pub u64);

/// The slot of a worker in its invoker, as seen by a session while the worker runs its threads.
pub trait WorkerSlot {
    /// Queues these threads, behind what is already in the queue.
    fn invoke(&mut self, threads: &[ThreadId]);
    /// Queues this thread after a delay. None if the delay is too long for a timer.
    fn invoke_after(&mut self, thread: ThreadId, delay: Duration) -> Option<TimerId>;
    /// Removes a timer. Returns whether it had not fired.
    fn disarm(&mut self, timer: TimerId) -> bool;
    /// The worker wants to wait for something outside. If that loses nothing, returns true, and another worker takes
    /// this slot until [`WorkerSlot::end_blocking`].
    fn begin_blocking(&mut self) -> bool;
    /// The worker continues.
    fn end_blocking(&mut self);
    /// The worker is about to wait for a storage: another one takes this slot until [`WorkerSlot::step_back`].
    fn step_aside(&mut self);
    /// The worker continues.
    fn step_back(&mut self);
}

/// Runs threads.
pub trait Invoker: Send + Sync {
    /// Queues threads to be run.
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]);
    /// The maximum number of workers.
    fn width(&self) -> usize;
    /// Whether its workers are other processes, which see only what is stored.
    fn is_remote(&self) -> bool {
        false
    }
    /// Lets the calling OS thread work on anything there is to do, until `done` is true.
    fn serve(&self, done: &AtomicBool);
    /// A session's `done` has become true, so the OS thread serving it must check.
    fn nudge(&self);
    /// Forgets all hints and timers of this runner, because its session is over.
    fn forget(&self, runner: &Arc<dyn Runner>);
}
