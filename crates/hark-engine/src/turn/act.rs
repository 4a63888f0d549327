//! What follows a commit. All of it is hints, or work that the commit has recorded as still to be done.

use std::mem;

use super::{Pace, Worker};
use crate::commit::Outcome;
use crate::id::{FutureId, ThreadId};
use crate::record::{FutureRecord, Key, Record, SessionState, Waiter};
use crate::remote::Told;
use crate::session::Try;
use crate::step::{self, Ending};
use crate::storage::{self, StorageError};
use crate::surroundings::Timestamp;

impl Worker<'_> {
    /// Does what the plan of a committed step says.
    pub(super) fn act(&mut self, thread: ThreadId, ending: &Ending) -> Result<Pace, StorageError> {
        if let Some((call, _)) = &self.call {
            // While the thread is still this worker's: another one would take the call for one whose worker was lost.
            self.session.calls.begin(thread, Try::from(call), self.commit.stamp);
        }
        let timer = self.plan.timer;
        // A durable timer is no activity: its session may be parked until then.
        let timers = usize::from(timer.is_some() && !self.session.is_resumable());
        self.count(self.own_hints(thread) + timers + usize::from(self.plan.call));
        if self.counts_loss {
            // This hint is carried out at once.
            self.plan.invoke.retain(|invoked| *invoked != thread);
        }
        self.hand_out(thread);
        match timer {
            Some(until) if self.session.is_resumable() => self.note_time(thread, until, ending),
            Some(until) => drop(self.seat.invoke_after(thread, until.since(self.session.steady_now()))),
            None => {}
        }
        for future in mem::take(&mut self.plan.look_again) {
            self.look_again(future, thread)?;
        }
        let look_for_end = self.plan.look_for_end;
        if self.plan.wake_rest {
            self.wake_rest(&thread.into())?;
        }
        let value = match ending {
            Ending::Finished(value) => Some(value),
            _ => None,
        };
        if self.plan.has_ended {
            self.session.set_first_stopped(value);
            let breaks = matches!(ending, Ending::Failed(failure) if failure.breaks());
            self.session.set_ended(if breaks { SessionState::Broken } else { SessionState::Finished });
        }
        if look_for_end {
            if thread == step::FIRST {
                self.session.set_first_stopped(value);
            }
            self.session.look_for_end(&mut self.stamps)?;
        }
        Ok(match (self.call.take(), ending) {
            (Some((call, place)), _) => Pace::Called(call, place),
            // It has more to do before it waits.
            (None, Ending::Awaits { awaiting, .. }) if !awaiting.is_entered => Pace::Long,
            (None, Ending::Yielded) if self.counts_loss => Pace::Counted,
            (None, Ending::Yielded) => Pace::Long,
            (None, _) => Pace::Short,
        })
    }

    /// The thread goes on at this time, as its record says by now.
    fn note_time(&mut self, thread: ThreadId, until: Timestamp, ending: &Ending) {
        if matches!(ending, Ending::Stays) {
            // Whoever kept the time may have done so with another clock.
            self.session.note_early(until);
        } else if self.session.note_due(thread, until) {
            self.session.add_activity(1);
            self.seat.invoke(&[thread]);
        }
    }

    /// How many of the plan's hints this process carries out: for a supervisor only those for the thread itself.
    fn own_hints(&self, thread: ThreadId) -> usize {
        match self.session.upstream() {
            Some(_) => self.plan.invoke.iter().filter(|invoked| **invoked == thread).count(),
            None => self.plan.invoke.len(),
        }
    }

    /// Gives the plan's hints to whoever carries them out.
    fn hand_out(&mut self, thread: ThreadId) {
        if let Some(upstream) = self.session.upstream() {
            let (own, others): (Vec<ThreadId>, Vec<ThreadId>) =
                self.plan.invoke.iter().partition(|invoked| **invoked == thread);
            if !others.is_empty() {
                upstream.tell(self.session.id(), Told::Invoke(others));
            }
            self.seat.invoke(&own);
        } else if !self.plan.invoke.is_empty() {
            self.seat.invoke(&self.plan.invoke);
        }
    }

    /// This hint is carried out and has led to so many others. They count before they are given away. Where work is left
    /// that is not theirs, this hint counts until that is done: the others may be carried out before, and the session
    /// would look like a deadlock.
    fn count(&mut self, led_to: usize) {
        let has_more_to_do = self.plan.look_for_end || self.plan.wake_rest || !self.plan.look_again.is_empty();
        let given_up = u64::from(!has_more_to_do && led_to > 0);
        if led_to as u64 > given_up {
            self.session.add_activity(led_to as u64 - given_up);
        }
        self.done += 1 - given_up;
    }

    /// Reads a Future once more after a waiter was entered in a record of its own: if it is done, its resolver may not
    /// have seen that record.
    fn look_again(&mut self, future: FutureId, waiter: ThreadId) -> Result<(), StorageError> {
        let [found] = self.read([Key::Future(future.clone())])?;
        let Some(Record::Future(_, FutureRecord::Resolved(_) | FutureRecord::Failed(_))) =
            found.map(|found| found.record)
        else {
            return Ok(());
        };
        self.wake_batch(&future, &[Waiter::of_outcome(waiter)], true)
    }

    /// Wakes those who wait for a Future with records of their own, some with each commit.
    pub(crate) fn wake_rest(&mut self, future: &FutureId) -> Result<(), StorageError> {
        let has_failed = storage::has_failed(self.session.records(), future)?;
        loop {
            let waiters = storage::some_waiters(self.session.records(), future)?;
            self.wake_batch(future, &waiters, has_failed)?;
            if waiters.is_empty() {
                return Ok(());
            }
        }
    }

    fn wake_batch(&mut self, future: &FutureId, waiters: &[Waiter], has_failed: bool) -> Result<(), StorageError> {
        loop {
            self.commit.reset(self.stamps.next());
            step::wake_batch(future, waiters, has_failed, &mut self.commit, &mut self.plan);
            // It expects nothing, and is harmless if it is done twice.
            if self.session.records().commit(&mut self.commit)? == Outcome::Done {
                break;
            }
        }
        if let Some(upstream) = self.session.upstream() {
            upstream.tell(self.session.id(), Told::Invoke(self.plan.invoke.clone()));
        } else if !self.plan.invoke.is_empty() {
            self.session.add_activity(self.plan.invoke.len() as u64);
            self.seat.invoke(&self.plan.invoke);
        }
        Ok(())
    }
}
