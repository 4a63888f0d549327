//! How many threads a process holds where threads are leased.
//!
//! As many as it can run, or make the calls of, at a time; and if calls are short, some more, so that many are taken together
//! and the next call does not wait for that. Only how long calls take tells: each that is answered soon lets one more wait
//! here, and when calls have waited for long, no more are to.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::leases::Held;
use crate::limits::{CALLS_HELD_MAX, CALLS_QUEUED_MAX, HELD_PER_WORKER, QUEUE_TIME_SHORT};
use crate::ports::Ports;
use crate::serving::lock;
use crate::storage::Tenure;

/// How many threads a process holds, and for how long.
pub(in crate::serving) struct Holding {
    pub lease: Duration,
    /// It only gets threads from other processes.
    pub takes_none: bool,
    /// So many can go on at a time.
    at_a_time: usize,
    /// So many more may wait for these.
    queued: AtomicUsize,
    queued_max: usize,
    /// There may be more to take than it took last.
    wants_more: AtomicBool,
    /// The threads that could not be renewed last time. One whose version was just being changed from here is not lost.
    doubtful: Mutex<Vec<Held>>,
}

impl Holding {
    /// How threads are held on these ports, if they are leased.
    pub fn of(ports: &Ports) -> Option<Holding> {
        let Tenure::Leases(leases) = ports.storage.tenure() else { return None };
        let (at_a_time, queued_max) = match ports.foreign.calls_at_a_time() {
            // Each is another process's from then on.
            _ if ports.invoker.is_remote() => (ports.invoker.width(), 0),
            usize::MAX => (ports.invoker.width() * HELD_PER_WORKER, 0),
            calls => (calls.clamp(1, CALLS_HELD_MAX), CALLS_QUEUED_MAX),
        };
        Some(Holding::with(leases.lease(), at_a_time, queued_max))
    }

    /// How threads are held by a process that takes none: it gets them from others, and leaves all that it starts or wakes.
    pub fn of_assigned(ports: &Ports) -> Option<Holding> {
        let Tenure::Leases(leases) = ports.storage.tenure() else { return None };
        Some(Holding { takes_none: true, ..Holding::with(leases.lease(), 0, 0) })
    }

    fn with(lease: Duration, at_a_time: usize, queued_max: usize) -> Holding {
        Holding {
            lease,
            takes_none: false,
            at_a_time,
            queued: AtomicUsize::new(0),
            queued_max,
            wants_more: AtomicBool::new(true),
            doubtful: Mutex::default(),
        }
    }

    /// The process takes threads until it has so many.
    pub fn most(&self) -> usize {
        self.at_a_time + self.queued.load(Ordering::Relaxed)
    }

    /// Whether some of so many threads may wait for others.
    pub fn is_beyond(&self, in_hand: usize) -> bool {
        in_hand > self.at_a_time
    }

    /// A call was answered so long after it was made.
    pub fn note_answered(&self, after: Duration) {
        if after <= QUEUE_TIME_SHORT && self.queued.load(Ordering::Relaxed) < self.queued_max {
            // Two at a time may let it be one too many.
            self.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Calls have waited here for too long.
    pub fn note_withdrawn(&self) {
        self.queued.store(0, Ordering::Relaxed);
    }

    /// Threads are being taken: whether there are more than that is not known before.
    pub fn begin_taking(&self) {
        self.wants_more.store(true, Ordering::Release);
    }

    /// All that there was to take was taken.
    pub fn note_all_taken(&self) {
        self.wants_more.store(false, Ordering::Release);
    }

    /// Whether more threads are to be taken now, with so many in hand. It is asked for once.
    pub fn takes_more(&self, in_hand: usize) -> bool {
        self.wants_more.load(Ordering::Acquire)
            && in_hand <= self.most() / 2
            && self.wants_more.swap(false, Ordering::AcqRel)
    }

    /// Of threads that could not be renewed, those that could not the last time either. They are lost.
    pub fn note_doubtful(&self, not_renewed: Vec<Held>) -> Vec<Held> {
        let mut doubtful = lock(&self.doubtful);
        let before = mem::take(&mut *doubtful);
        let (lost, new): (Vec<Held>, Vec<Held>) = not_renewed.into_iter().partition(|held| before.contains(held));
        *doubtful = new;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_as_long_as_calls_are_short() {
        let holding = Holding::with(Duration::from_secs(1), 2, 3);
        assert_eq!(holding.most(), 2);
        holding.note_answered(QUEUE_TIME_SHORT * 2);
        assert_eq!(holding.most(), 2);
        (0..9).for_each(|_| holding.note_answered(QUEUE_TIME_SHORT));
        assert_eq!(holding.most(), 5);
        holding.note_withdrawn();
        assert_eq!(holding.most(), 2);
    }
}
