//! The port to what runs threads.
//!
//! An invoker decides nothing about Futures or sessions: it is given hints, *look at this thread*, and sees to it that
//! some worker soon does. Within a process it delivers each hint once, or loses it with the process. What reaches a
//! session twice, say over a network, does so as another hint; what a thread does twice its storage fences.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::id::ThreadId;
use crate::remote::Supervised;

/// Runs threads when an invoker's worker comes to it. A session is one.
pub trait Runner: Send + Sync {
    /// Gives each of these threads a turn, in order, and answers how many had one. The others are handed back because
    /// a turn was long, and go to other workers if there are any.
    fn run(&self, threads: &[ThreadId], slot: &mut dyn WorkerSlot) -> usize;

    /// How many threads a worker should take at a time, at most. Few, if a turn ends with a wait for the storage: what is
    /// written together with it is what other workers have run.
    fn threads_at_a_time(&self) -> usize;

    /// Whether some of its threads go before others.
    fn has_priorities(&self) -> bool {
        false
    }

    /// The priority of a thread: those with a higher one wait in front for a worker, whatever session they are of.
    fn priority(&self, thread: ThreadId) -> i32 {
        let _ = thread;
        0
    }

    /// The same for an invoker whose workers are other processes. None if it cannot be run there.
    fn supervised(self: Arc<Self>) -> Option<Arc<dyn Supervised>> {
        None
    }
}

/// A timer of an invoker: when it runs its thread, in the invoker's time, and a number that tells it from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerId(pub Duration, pub u64);

/// A worker's slot in its invoker, as a session sees it while the worker runs its threads.
pub trait WorkerSlot {
    /// Queues these threads, behind what is already in the queue.
    fn invoke(&mut self, threads: &[ThreadId]);
    /// Queues this thread after a delay. None if the delay is too long for a timer.
    fn invoke_after(&mut self, thread: ThreadId, delay: Duration) -> Option<TimerId>;
    /// Removes a timer. Returns whether it had not fired.
    fn disarm(&mut self, timer: TimerId) -> bool;
    /// The worker would like to wait for something outside. If nothing is lost by that, returns true, and another worker takes
    /// this slot until [`WorkerSlot::end_blocking`].
    fn begin_blocking(&mut self) -> bool;
    /// The worker is back.
    fn end_blocking(&mut self);
    /// The worker is about to wait for a storage: until [`WorkerSlot::step_back`] another one takes this slot.
    fn step_aside(&mut self);
    /// The worker goes on.
    fn step_back(&mut self);
}

/// Sees to it that threads are run.
pub trait Invoker: Send + Sync {
    /// Have these threads run.
    fn invoke(&self, runner: &Arc<dyn Runner>, threads: &[ThreadId]);
    /// How many workers it has at most.
    fn width(&self) -> usize;
    /// Whether its workers are other processes, which see only what is written down.
    fn is_remote(&self) -> bool {
        false
    }
    /// Lets the calling OS thread work, on anything there is to do, until `done` is true.
    fn serve(&self, done: &AtomicBool);
    /// Some session's `done` has become true: whoever serves it is to look.
    fn nudge(&self);
    /// Forget the hints for this runner, those of timers too: its session is over.
    fn forget(&self, runner: &Arc<dyn Runner>);
}
