//! Cancellation: what a thread cancels, and what happens to a cancelled thread.
//!
//! To cancel a thread, `cancel/n` is put beside its mailbox. The thread's next step removes it, raises an error of kind
//! `"cancelled"` where the thread stands, and records which threads must be cancelled with it, as work still to be
//! done. If the thread continues for longer than its grace period, it is stopped.

use std::sync::Arc;

use hark_machine::{Awaited, Cancelled, Error, Value};

use super::{Next, Worker};
use crate::history::Event;
use crate::id::{FutureId, ThreadId};
use crate::record::{FutureRecord, Live, State, Status};
use crate::session::CallState;
use crate::step::{CancelledPromise, Ending, Interruption, Loaded, Touch, Wanted};
use crate::storage::StorageError;

impl Worker<'_> {
    /// A thread cancels something. It continues, once its step has room for more.
    pub(super) fn cancel(
        &mut self,
        what: Cancelled,
        loaded: &mut Loaded,
        live: &mut Live,
    ) -> Result<Next, StorageError> {
        match what {
            Cancelled::Started => cancel_started(loaded, live),
            // No thread has its own Future, except in a damaged record.
            Cancelled::Future(Awaited::Thread(thread)) if thread == loaded.thread.0 => {}
            Cancelled::Future(awaited) => {
                let known = self.look_at(&awaited)?;
                if known.as_ref().is_none_or(|known| known.record.is_pending()) {
                    let cancels = loaded.cancels.get_or_insert_default();
                    match FutureId::from(&awaited) {
                        FutureId::Thread(thread) => {
                            cancels.threads.insert(thread, self.demand_of_cancelled(thread));
                            self.session.set_has_cancelled();
                        }
                        future => {
                            loaded.touches.remove(&future);
                            let error = Error::new("cancelled", format!("{future} was cancelled"));
                            let failure = Arc::new(self.session.failure(error, loaded.thread));
                            cancels.promise = Some(CancelledPromise { future, known, failure });
                        }
                    }
                }
            }
        }
        let next = self.resume(live, Value::Null);
        // It may await that promise next.
        let awaits_commit = loaded.cancels.as_ref().is_some_and(|cancels| cancels.promise.is_some());
        let goes_on = !awaits_commit && self.has_room(loaded);
        Ok(if goes_on { next } else { Next::End(Ending::Yielded) })
    }

    /// A thread has its whole grace period from when its session is taken over, however long nobody has served it. If its
    /// worker was lost, the period begins now: the thread may have waited in the queue since then.
    pub(super) fn give_time_to_clean_up(&self, thread: ThreadId, live: &mut Live) {
        let Some(stops) = &mut live.stops else { return };
        let was_lost = self.session.in_hand.has_loss(thread);
        let from = if was_lost { Some(self.session.steady_now()) } else { self.session.taken_up() };
        if let Some(from) = from {
            *stops = (*stops).max(from.after(self.session.options().cancel_grace));
        }
    }

    /// Whether a cancelled thread must be interrupted now.
    pub(super) fn interruption(&self, loaded: &Loaded, live: &Live) -> Option<Interruption> {
        match live.stops {
            None if loaded.is_cancelled => {
                Some(Interruption { error: Error::new("cancelled", "the thread was cancelled"), stops: false })
            }
            // Whatever the time is, it gets the error before it can be stopped.
            Some(stops) if stops <= self.session.steady_now() && !is_to_be_given_error(live) => {
                let seconds = self.session.options().cancel_grace.as_secs_f64();
                let unit = if seconds == 1.0 { "second" } else { "seconds" };
                let message = format!("the thread was cancelled, and stopped as it went on for {seconds} {unit}");
                Some(Interruption { error: Error::new("cancelled", message), stops: true })
            }
            _ => None,
        }
    }

    /// Interrupts a thread: it leaves its wait or call.
    pub(super) fn interrupt(
        &mut self,
        loaded: &mut Loaded,
        live: &mut Live,
        interruption: Interruption,
    ) -> Result<Next, StorageError> {
        let thread = loaded.thread;
        self.counts_loss = false;
        if let Status::Calling(number) = live.status {
            // The step that was to begin it, or to leave it to the processes of its pool, has not happened.
            let begins = |event: &Event| matches!(event, Event::Called { .. } | Event::QueuedInPool { .. });
            if let Some(place) = self.commit.log.iter().rposition(|entry| begins(&entry.event)) {
                self.commit.log.remove(place);
            }
            if self.call.take().is_none() {
                match self.session.in_hand.take_call(thread, number) {
                    CallState::InFlight => {
                        self.session.cancel_call(thread);
                        return Ok(Next::End(Ending::Stays));
                    }
                    CallState::Over(over) => drop(self.note_over(loaded, live, over)),
                    // Its worker was lost. It is not made again.
                    CallState::Unknown => {}
                }
            }
            live.leave_call();
        }
        if interruption.stops {
            self.log(thread, Event::Stopped);
        } else {
            self.log(thread, Event::Interrupted);
            live.stops = Some(self.session.steady_now().after(self.session.options().cancel_grace));
            self.session.note_interrupted();
        }
        // The threads that it has started to clean up are cancelled too if it is stopped. Cancelling twice does no
        // harm.
        cancel_started(loaded, live);
        match &live.status {
            Status::Awaiting(_) => {
                loaded.interruption = Some(Box::new(interruption));
                return self.ask_again(loaded, live);
            }
            Status::Waiting(awaited) | Status::Following(awaited) => {
                let awaited = awaited.clone();
                self.leave_wait(loaded, &awaited)?;
            }
            Status::Queued(_) => self.disarm(live),
            Status::Runnable | Status::Sleeping(_) | Status::Calling(_) => {}
        }
        Ok(self.end_with_interruption(thread, live, interruption))
    }

    /// The thread continues with the error, or stops.
    pub(super) fn end_with_interruption(
        &mut self,
        thread: ThreadId,
        live: &mut Live,
        interruption: Interruption,
    ) -> Next {
        let Interruption { mut error, stops } = interruption;
        let goes_on = matches!(&live.state, State::Present(state) if !stops && (state.has_begun() || live.status != Status::Runnable));
        if goes_on {
            live.status = Status::Runnable;
            return self.fail(live, error);
        }
        if let State::Present(state) = &live.state {
            (error.trace, error.omitted) = state.stack(self.session.program(), thread.0);
        }
        Next::End(Ending::Failed(Arc::new(self.session.failure(error, thread))))
    }

    /// Removes the thread from the waiters of this Future.
    fn leave_wait(&mut self, loaded: &mut Loaded, awaited: &Awaited) -> Result<(), StorageError> {
        let known = self.look_at(awaited)?;
        let future = FutureId::from(awaited);
        loaded.touches.remove(&future);
        match &known {
            Some(known) if !known.record.is_pending() => {
                if let (FutureRecord::Failed(failure), FutureId::Thread(failed)) = (&known.record, &future)
                    && !failure.is_awaited
                {
                    loaded.heard.push(*failed);
                }
                loaded.found_done = Some(future);
            }
            Some(known) if known.record.interest_of(loaded.thread).is_some() || known.record.is_crowded() => {
                let touch = Touch { known: Some(known.clone()), wanted: Wanted::Left, is_new: false, has_record: true };
                loaded.touches.insert(future, touch);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a thread continues with an error, which its handlers may catch, when it next runs.
fn is_to_be_given_error(live: &Live) -> bool {
    matches!(&live.state, State::Present(thread) if live.status == Status::Runnable && thread.given_error().is_some())
}

/// Records that the threads which a thread has started must be cancelled.
pub(super) fn cancel_started(loaded: &mut Loaded, live: &Live) {
    if !live.started.is_empty() {
        loaded.cancels.get_or_insert_default().started = Some(live.started.clone());
    }
}
