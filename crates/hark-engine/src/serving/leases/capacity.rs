//! The number of threads that a process holds, if threads are leased.
//!
//! It is at least the number of threads that can run or call at the same time. If calls and steps are short, some
//! threads are taken in advance, so that one request takes many and the next thread is ready at once. The length of
//! this queue adapts: each call that is answered quickly, and each short step of a thread without calls, makes it
//! longer by one; a call that has waited too long, or a long step, resets it to zero.

use std::mem;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::leases::{Coverage, HeldThread};
use crate::limits::{
    ASSIGNED_HELD_MAX, CALLS_HELD_MAX, HELD_PER_WORKER, QUEUE_TIME_MAX, QUEUE_TIME_SHORT, TAKEN_IN_ADVANCE_MAX,
};
use crate::ports::Ports;
use crate::serving::lock;
use crate::storage::Tenure;

/// A process's room for leased threads.
pub(in crate::serving) struct Capacity {
    pub lease: Duration,
    /// This process takes no threads: it only runs those that other processes assign to it.
    pub takes_none: bool,
    /// How many threads can make progress at the same time.
    at_a_time: usize,
    /// With fewer threads than this, a worker is idle.
    workers: usize,
    /// How many more threads may be queued.
    queued: AtomicUsize,
    queued_max: usize,
    /// The last taking may have left some.
    wants_more: AtomicBool,
    /// The threads whose renewal has just failed. They may not be lost: this process may have been changing the version.
    doubtful: Mutex<Vec<HeldThread>>,
    /// The threads that could not be given back because the storage failed. Nobody was lost, so this is tried again.
    pub unreturned: Mutex<Vec<HeldThread>>,
    /// The sessions whose threads this process takes, as last announced to others.
    pub coverage: Mutex<Option<Coverage>>,
}

impl Capacity {
    /// The capacity for these ports, if threads are leased.
    pub fn of(ports: &Ports) -> Option<Capacity> {
        let Tenure::Leases(leases) = ports.storage.tenure() else { return None };
        let width = ports.invoker.width();
        let (at_a_time, workers, queued_max) = match ports.foreign.calls_at_a_time() {
            // Each thread is then held by another process.
            _ if ports.invoker.is_remote() => (width, width, TAKEN_IN_ADVANCE_MAX),
            usize::MAX => (width * HELD_PER_WORKER, width, TAKEN_IN_ADVANCE_MAX),
            calls => {
                let calls = calls.clamp(1, CALLS_HELD_MAX);
                (calls, calls, TAKEN_IN_ADVANCE_MAX)
            }
        };
        Some(Capacity { workers, ..Capacity::with(leases.lease(), at_a_time, queued_max) })
    }

    /// The capacity of a process that takes no threads: it is assigned one, and keeps some of those that it starts or
    /// wakes, because starting a process for each of them would take longer than most of their steps.
    pub fn of_assigned(ports: &Ports) -> Option<Capacity> {
        let Tenure::Leases(leases) = ports.storage.tenure() else { return None };
        let at_a_time = ports.foreign.calls_at_a_time().clamp(1, ASSIGNED_HELD_MAX);
        let queued = ASSIGNED_HELD_MAX - at_a_time;
        let capacity = Capacity::with(leases.lease(), at_a_time, queued);
        Some(Capacity { takes_none: true, queued: AtomicUsize::new(queued), ..capacity })
    }

    fn with(lease: Duration, at_a_time: usize, queued_max: usize) -> Capacity {
        Capacity {
            lease,
            takes_none: false,
            at_a_time,
            workers: 0,
            queued: AtomicUsize::new(0),
            queued_max,
            wants_more: AtomicBool::new(true),
            doubtful: Mutex::default(),
            unreturned: Mutex::default(),
            coverage: Mutex::default(),
        }
    }

    /// The maximum number of threads to hold.
    pub fn most(&self) -> usize {
        self.at_a_time + self.queued.load(Ordering::Relaxed)
    }

    /// How many more threads to take if this many are in hand. Taking only a few at a time would cost as many writes to
    /// the storage, but no worker is left idle.
    pub fn to_take(&self, in_hand: usize) -> usize {
        let room = self.most().saturating_sub(in_hand);
        if self.is_worth_taking(in_hand) { room } else { 0 }
    }

    fn is_worth_taking(&self, in_hand: usize) -> bool {
        in_hand <= self.most() / 2 || in_hand < self.workers
    }

    /// Whether some of this many threads may be queued.
    pub fn is_beyond(&self, in_hand: usize) -> bool {
        in_hand > self.at_a_time
    }

    /// A call was answered after this time.
    pub fn note_answered(&self, after: Duration) {
        if after <= QUEUE_TIME_SHORT && self.queued.load(Ordering::Relaxed) < self.queued_max {
            // With two at a time, one of them may be too many.
            self.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A step of a thread without calls took this long. Threads that compute for long are left to idle processes.
    pub fn note_step(&self, took: Duration) {
        if took > QUEUE_TIME_MAX {
            self.queued.store(0, Ordering::Relaxed);
        } else {
            self.note_answered(took);
        }
    }

    /// Calls have waited too long and were withdrawn.
    pub fn note_withdrawn(&self) {
        self.queued.store(0, Ordering::Relaxed);
    }

    /// This process begins to take threads. Until it has finished, there may be more due threads.
    pub fn begin_taking(&self) {
        self.wants_more.store(true, Ordering::Release);
    }

    /// All due threads were taken.
    pub fn note_all_taken(&self) {
        self.wants_more.store(false, Ordering::Release);
    }

    /// Whether more threads should be taken now, with this many in hand. Returns true once until the next taking.
    pub fn takes_more(&self, in_hand: usize) -> bool {
        self.wants_more.load(Ordering::Acquire)
            && self.is_worth_taking(in_hand)
            && self.wants_more.swap(false, Ordering::AcqRel)
    }

    /// Returns the threads whose renewal has failed twice in a row. They are lost.
    pub fn note_doubtful(&self, not_renewed: Vec<HeldThread>) -> Vec<HeldThread> {
        let mut doubtful = lock(&self.doubtful);
        let before = mem::take(&mut *doubtful);
        let (lost, new): (Vec<HeldThread>, Vec<HeldThread>) =
            not_renewed.into_iter().partition(|held| before.contains(held));
        *doubtful = new;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_is_as_long_as_calls_are_short() {
        let capacity = Capacity::with(Duration::from_secs(1), 2, 3);
        assert_eq!(capacity.most(), 2);
        capacity.note_answered(QUEUE_TIME_SHORT * 2);
        assert_eq!(capacity.most(), 2);
        (0..9).for_each(|_| capacity.note_answered(QUEUE_TIME_SHORT));
        assert_eq!(capacity.most(), 5);
        capacity.note_withdrawn();
        assert_eq!(capacity.most(), 2);
        capacity.note_step(QUEUE_TIME_SHORT);
        assert_eq!(capacity.most(), 3);
        capacity.note_step(QUEUE_TIME_MAX * 2);
        assert_eq!(capacity.most(), 2, "others may be idle while threads compute here");
    }

    #[test]
    fn no_worker_is_left_idle() {
        let capacity = Capacity { workers: 3, ..Capacity::with(Duration::from_secs(1), 3, 9) };
        assert_eq!([0, 1, 2, 3, 4].map(|in_hand| capacity.to_take(in_hand)), [3, 2, 1, 0, 0]);
        (0..9).for_each(|_| capacity.note_answered(QUEUE_TIME_SHORT));
        assert_eq!([2, 6, 7, 11].map(|in_hand| capacity.to_take(in_hand)), [10, 6, 0, 0]);
    }
}
