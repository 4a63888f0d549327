//! The actions after a commit. Each is a hint, or work that the commit has recorded as still to be done.

use std::mem;

use tracing::debug;

use super::{Pace, Worker};
use crate::commit::Outcome;
use crate::demand::Demand;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{Interest, Key, Record, Started, Versioned, Waiter};
use crate::step::{self, Ending};
use crate::storage::{self, Range, StorageError};
use crate::surroundings::Timestamp;
use crate::throttle::Priority;

impl Worker<'_> {
    /// Carries out the plan of a committed step.
    pub(super) fn act(&mut self, thread: ThreadId, ending: &Ending) -> Result<Pace, StorageError> {
        if self.session.is_leased() {
            self.session.in_hand.hold_after_step(thread, self.plan.holds.drain(..), self.commit.stamp);
        }
        if let Some(begun) = &self.call {
            // While this worker still has the thread: another one would conclude that the worker of the call was lost.
            let since = if self.session.is_leased() { self.session.steady_now() } else { Timestamp(0) };
            self.session.in_hand.begin_call(&begun.call, self.commit.stamp, since);
        }
        let timer = self.plan.timer;
        // A durable timer does not count as pending work, because its session may be parked until then.
        let timers = usize::from(timer.is_some() && !self.session.is_resumable());
        self.count(self.plan.invoke.len() + timers + usize::from(self.plan.call));
        if self.counts_loss {
            // This hint is carried out at once.
            self.plan.invoke.retain(|invoked| *invoked != thread);
        }
        self.hand_out();
        match timer {
            Some(until) if self.session.is_resumable() => self.note_time(thread, until),
            Some(until) => drop(self.slot.invoke_after(thread, until.since(self.session.steady_now()))),
            None => {}
        }
        for future in mem::take(&mut self.plan.look_again) {
            self.look_again(future, thread)?;
        }
        if let Some(request) = self.plan.queue.take() {
            self.session.enter_gate(thread, &request, Priority::Of(request.priority))?;
            self.leave_unless_held(thread, &request.token())?;
            if self.session.is_over() {
                // It was cancelled in the meantime.
                self.session.leave_gates()?;
            }
        }
        let (look_for_end, cascade, ended) = (self.plan.look_for_end, self.plan.cascade, self.plan.ended);
        if self.plan.wake_rest {
            self.wake_rest(&thread.into())?;
        }
        if let Some(promise) = self.plan.wake_rest_of.take() {
            self.wake_rest(&promise)?;
        }
        if cascade {
            self.cascade(thread)?;
        }
        let value = match ending {
            Ending::Finished(value) => Some(value),
            _ => None,
        };
        if let Some(state) = ended {
            self.session.set_first_stopped(value);
            self.session.set_ended_here(state);
        }
        if look_for_end {
            if thread == step::FIRST {
                self.session.set_first_stopped(value);
            }
            if self.batch.is_concluding {
                self.batch.looks_for_end = true;
            } else {
                self.session.look_for_end(&mut self.stamps)?;
            }
        }
        Ok(match (self.call.take(), ending) {
            (Some(begun), _) => Pace::Called(begun),
            // It has more to do before it waits.
            (None, Ending::Awaits { awaiting, .. }) if !awaiting.is_entered => Pace::Long,
            (None, Ending::Yielded) if self.counts_loss => Pace::Counted,
            (None, Ending::Yielded) => Pace::Long,
            (None, _) => Pace::Short,
        })
    }

    /// Notes when the thread continues, according to its record. The time may come from another clock.
    pub(super) fn note_time(&mut self, thread: ThreadId, until: Timestamp) {
        if self.session.note_due(thread, until) {
            self.session.add_work(1);
            self.slot.invoke(&[thread]);
        }
    }

    /// Gives the invoker the threads that this process keeps, and dispatches hints for the others.
    fn hand_out(&mut self) {
        if !self.plan.invoke.is_empty() {
            self.slot.invoke(&self.plan.invoke);
        }
        if !self.plan.offered.is_empty() {
            debug!(session = %self.session.id(), threads = self.plan.offered.len(), "threads are left to other processes");
            self.session.dispatch(&self.plan.offered);
        }
    }

    /// This hint is done and has led to this many others, which must be counted before they are given away. If the plan
    /// contains further work, this hint counts until that is done: the others may be done first, and the session would
    /// look idle.
    fn count(&mut self, led_to: usize) {
        let has_more_to_do = self.plan.look_for_end
            || self.plan.wake_rest
            || self.plan.wake_rest_of.is_some()
            || self.plan.cascade
            || self.plan.queue.is_some()
            || !self.plan.look_again.is_empty();
        let given_up = u64::from(!has_more_to_do && led_to > 0);
        if led_to as u64 > given_up {
            self.session.add_work(led_to as u64 - given_up);
        }
        self.done += 1 - given_up;
    }

    /// Reads a Future again after a waiter was added in a record of its own: if the Future is done, its resolver may
    /// not have seen that record.
    fn look_again(&mut self, future: FutureId, waiter: ThreadId) -> Result<(), StorageError> {
        let [found] = self.read([Key::Future(future.clone())])?;
        let Some(Versioned { stamp, record: Record::Future(_, record) }) = found else { return Ok(()) };
        if !record.is_pending() {
            // On a conflict the Future's thread is being retried, and the waiter has stopped long before.
            let demand = self.session.demands.of(waiter);
            let waiter = Waiter { demand, ..Waiter::new(waiter, Interest::Outcome) };
            self.wake_batch(&future, &[waiter], (Some(stamp), true))?;
        }
        Ok(())
    }

    /// Wakes the waiters of a Future that have records of their own, some with each commit.
    pub(crate) fn wake_rest(&mut self, future: &FutureId) -> Result<(), StorageError> {
        let mut outcome = storage::outcome_of(self.session.records(), future)?;
        loop {
            let waiters = storage::some_waiters(self.session.records(), future)?;
            if !self.wake_batch(future, &waiters, outcome)? {
                outcome = storage::outcome_of(self.session.records(), future)?;
            } else if waiters.is_empty() {
                return Ok(());
            }
        }
    }

    /// Returns false if the Future's record has changed.
    fn wake_batch(
        &mut self,
        future: &FutureId,
        waiters: &[Waiter],
        outcome: (Option<Stamp>, bool),
    ) -> Result<bool, StorageError> {
        loop {
            self.commit.reset(self.stamps.next());
            step::wake_batch(future, waiters, outcome, &mut self.commit, &mut self.plan);
            self.share(None);
            match self.session.records().commit(&mut self.commit)? {
                Outcome::Done => break,
                Outcome::Conflict => return Ok(false),
                // Does no harm if it happens twice.
                Outcome::Unknown => {}
            }
        }
        self.hand_out_more();
        Ok(true)
    }

    /// The same for threads that are not yet counted.
    fn hand_out_more(&mut self) {
        self.session.add_work(self.plan.invoke.len() as u64);
        self.hand_out();
    }

    /// Cancels the threads started by this one that its step has recorded, some with each commit. Each of them does the
    /// same for its own.
    pub(crate) fn cascade(&mut self, parent: ThreadId) -> Result<(), StorageError> {
        loop {
            let [found] = self.read([Key::Cascade(parent)])?;
            let Some(Versioned { stamp, record: Record::Cascade(_, started) }) = found else { return Ok(()) };
            if !self.cancel_all(parent, stamp, &started)? {
                continue;
            }
            self.commit.reset(self.stamps.next());
            // If more threads were added in the meantime, this begins again; if the answer was lost, the record shows
            // whether it happened.
            self.commit.expect.push((Key::Cascade(parent), Some(stamp)));
            self.commit.delete.push(Key::Cascade(parent));
            if self.session.records().commit(&mut self.commit)? == Outcome::Done {
                return Ok(());
            }
        }
    }

    /// Returns false if the record of the threads to cancel has changed.
    fn cancel_all(&mut self, parent: ThreadId, stamp: Stamp, started: &Started) -> Result<bool, StorageError> {
        let records = self.session.records();
        let at_a_time = storage::wakes_per_commit(records);
        let mut next = started.next_from(ThreadId(0));
        while let Some(from) = next {
            let live = records.scan(Range::Live(from), at_a_time)?;
            let mut threads = live.iter().filter_map(|record| match record {
                Record::Live(thread, live) => Some((*thread, live)),
                _ => None,
            });
            // Threads of other parents may have numbers in between.
            let own = threads.clone().filter(|(thread, live)| live.parent == parent && started.contains(*thread));
            let own: Vec<(ThreadId, Demand)> = own.map(|(thread, live)| (thread, live.cancelled())).collect();
            next = threads.next_back().and_then(|(last, _)| started.next_from(ThreadId(last.0 + 1)));
            if !own.is_empty() && !self.cancel_batch(parent, stamp, &own)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// See [`Worker::cancel_all`].
    fn cancel_batch(
        &mut self,
        parent: ThreadId,
        stamp: Stamp,
        threads: &[(ThreadId, Demand)],
    ) -> Result<bool, StorageError> {
        self.session.set_has_cancelled();
        loop {
            self.commit.reset(self.stamps.next());
            step::cancel_batch(threads, &mut self.commit, &mut self.plan);
            self.commit.expect.push((Key::Cascade(parent), Some(stamp)));
            self.share(None);
            match self.session.records().commit(&mut self.commit)? {
                Outcome::Done => break,
                Outcome::Conflict => return Ok(false),
                // Does no harm if it happens twice.
                Outcome::Unknown => {}
            }
        }
        self.hand_out_more();
        Ok(true)
    }
}
