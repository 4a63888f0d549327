//! What a thread does next, and how its step ends: decided from the loaded records, and decided again if they have
//! changed.

use std::sync::Arc;

use hark_bytecode::shortened;
use hark_machine::{Awaited, Error, Value, short_text};

use super::cancel::cancel_started;
use super::load::known;
use super::{Next, Worker};
use crate::failure::Failure;
use crate::history::{Event, LogEntry};
use crate::id::{FutureId, ThreadId};
use crate::limits::{SHOWN_CALL_MAX, STEP_RECORDS_MAX};
use crate::record::{FutureRecord, Key, Live, State, Status};
use crate::session::{CallState, Over};
use crate::step::{self, Ending, Known, Loaded};
use crate::storage::StorageError;
use crate::suspend;

impl Worker<'_> {
    /// What a loaded thread does next; None if another worker has it.
    pub(super) fn enter(&mut self, loaded: &mut Loaded, live: &mut Live) -> Result<Option<Next>, StorageError> {
        // Before it gets the value that it waited for, so that it is suspended in the state in which it stopped.
        if self.session.suspends()
            && let State::Present(thread) = &mut live.state
            && let Err(error) = suspend::rewrite(thread, self.session.program())
        {
            return Ok(Some(Next::End(Ending::Failed(Arc::new(self.session.failure(*error, loaded.thread))))));
        }
        if live.is_away() {
            return Ok(None);
        }
        self.give_time_to_clean_up(loaded.thread, live);
        let interruption = self.interruption(loaded, live);
        let is_stopped = interruption.as_ref().is_some_and(|interruption| interruption.stops);
        if !live.places.is_empty()
            && self.session.is_resumable()
            && !is_stopped
            && !self.has_places(loaded.thread, live)?
        {
            loaded.lacks_place = true;
            return Ok(Some(Next::End(Ending::Stays)));
        }
        let was_lost = self.session.in_hand.take_loss(loaded.thread);
        let logged = self.commit.log.len();
        let next = match interruption {
            Some(interruption) => self.interrupt(loaded, live, interruption)?,
            None => self.by_status(loaded, live, was_lost)?,
        };
        Ok(Some(if was_lost && matches!(next, Next::Run) { self.count_loss(loaded, live, logged) } else { next }))
    }

    /// What a thread does next, by the status in which it was left.
    fn by_status(&mut self, loaded: &mut Loaded, live: &mut Live, was_lost: bool) -> Result<Next, StorageError> {
        Ok(match &live.status {
            Status::Runnable => Next::Run,
            Status::Waiting(awaited) => {
                let awaited = awaited.clone();
                unless_entered(self.consult(loaded, live, awaited)?, loaded.thread)
            }
            Status::Awaiting(_) => self.ask_again(loaded, live)?,
            Status::Following(awaited) => {
                let awaited = awaited.clone();
                unless_entered(self.follow(loaded, live, awaited)?, loaded.thread)
            }
            Status::Sleeping(until) if self.session.steady_now() < *until => Next::End(Ending::Stays),
            Status::Sleeping(_) => {
                self.log(loaded.thread, Event::Resumed);
                live.status = Status::Runnable;
                Next::Run
            }
            Status::Queued(_) => self.look_in_queue(loaded, live)?,
            Status::Calling(number) => match self.session.in_hand.take_call(loaded.thread, *number) {
                CallState::Over(over) => self.take_answer(loaded, live, over),
                CallState::InFlight => Next::End(Ending::Stays),
                CallState::Unknown => self.call_again(loaded, live, was_lost),
            },
        })
    }

    /// The thread may have killed its worker, and may do so again. Before it runs, the number of losses is written.
    /// The first `logged` entries of the log are from before it was entered.
    fn count_loss(&mut self, loaded: &Loaded, live: &mut Live, logged: usize) -> Next {
        self.log(loaded.thread, Event::TakenOver { saved: live.saved });
        // It comes before what this worker has done with the thread.
        self.commit.log[logged..].rotate_right(1);
        live.losses += 1;
        let max_tries = self.session.options().max_tries;
        if live.losses < max_tries {
            return Next::Count;
        }
        live.losses = 0;
        let message = format!("the thread was given up: the worker that ran it was lost {max_tries} times");
        let failure = self.session.failure(Error::new("worker_lost", message), loaded.thread);
        Next::End(Ending::Failed(Arc::new(failure)))
    }

    /// The foreign call is over.
    fn take_answer(&mut self, loaded: &mut Loaded, live: &mut Live, over: Over) -> Next {
        let answer = self.note_over(loaded, live, over);
        match answer {
            Ok(value) => {
                live.call = None;
                self.resume(live, value)
            }
            Err(error) => self.fail(live, error),
        }
    }

    /// Takes note of a call that has ended. Returns its result.
    pub(super) fn note_over(&mut self, loaded: &mut Loaded, live: &mut Live, over: Over) -> Result<Value, Error> {
        let Over { attempt, stamp, printed, progress, answer } = over;
        self.shown = printed.len();
        self.commit.log.extend(printed.into_iter().map(LogEntry::of_output));
        let is_last = live.call.as_ref().is_none_or(|call| call.attempt == attempt);
        if self.session.is_resumable() && is_last {
            // It may have been loaded before the last piece of output, which has changed nothing else in its record.
            loaded.live = Some(stamp);
        }
        let attempt = (!is_last).then_some(attempt);
        if self.session.is_resumable() {
            let executable = self.session.program().executable();
            let event = match &answer {
                Ok(value) => Event::Returned { value: short_text(value, executable, SHOWN_CALL_MAX), attempt },
                Err(error) => {
                    let (kind, message) = (error.kind.to_string(), shortened(&error.message).into_owned());
                    Event::Raised { kind, message, attempt }
                }
            };
            self.log(loaded.thread, event);
        }
        live.losses = 0;
        live.progress = if answer.is_ok() { None } else { progress.or_else(|| live.progress.take()) };
        answer
    }

    /// Adds an event of a thread to the session's history, if it has one.
    pub(super) fn log(&mut self, thread: ThreadId, event: Event) {
        if self.session.is_resumable() {
            self.commit.log.push(LogEntry { time: self.session.now(), thread, event });
        }
    }

    /// Decides again, because the records have changed.
    pub(super) fn reconsider(
        &mut self,
        loaded: &mut Loaded,
        live: &mut Live,
        ending: Ending,
    ) -> Result<Next, StorageError> {
        if !matches!(ending, Ending::Finished(_) | Ending::Failed(_))
            && let Some(interruption) = self.interruption(loaded, live)
        {
            return self.interrupt(loaded, live, interruption);
        }
        if loaded.is_cancelled && live.stops.is_none() {
            // The thread has ended, but the threads that it has started have not.
            cancel_started(loaded, live);
        }
        match ending {
            Ending::Waits(awaited, _) => self.consult(loaded, live, awaited),
            Ending::Awaits { wait, .. } => self.consult_many(loaded, live, wait),
            Ending::Follows(awaited, _) => self.follow(loaded, live, awaited),
            // The event that it waited for has happened in the meantime.
            Ending::Stays => self.by_status(loaded, live, false),
            other => Ok(Next::End(other)),
        }
    }

    /// A thread needs the value of this Future.
    pub(super) fn consult(
        &mut self,
        loaded: &mut Loaded,
        live: &mut Live,
        awaited: Awaited,
    ) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        note_done(loaded, live, &awaited, known.as_ref());
        // In this step it may have left this Future's waiters, or awaited it with a deadline.
        if !loaded.touches.is_empty() {
            loaded.touches.remove(&FutureId::from(&awaited));
        }
        match known.as_ref().map(|known| &known.record) {
            Some(FutureRecord::Resolved(value)) => {
                if matches!(live.status, Status::Waiting(_)) {
                    self.log(loaded.thread, Event::Resumed);
                }
                Ok(self.resume(live, value.clone()))
            }
            Some(FutureRecord::Failed(failure)) => {
                if matches!(live.status, Status::Waiting(_)) {
                    self.log(loaded.thread, Event::Resumed);
                }
                self.hear(loaded, &awaited, failure);
                live.status = Status::Runnable;
                let next = self.fail(live, failure.error.clone());
                Ok(self.unless_full(loaded, next))
            }
            _ => Ok(Next::End(Ending::Waits(awaited, known))),
        }
    }

    /// A thread has ended with this Future as its value.
    pub(super) fn follow(&mut self, loaded: &mut Loaded, live: &Live, awaited: Awaited) -> Result<Next, StorageError> {
        let known = self.look_at(&awaited)?;
        note_done(loaded, live, &awaited, known.as_ref());
        Ok(Next::End(match known.as_ref().map(|known| &known.record) {
            Some(FutureRecord::Resolved(value)) => Ending::Finished(value.clone()),
            Some(FutureRecord::Failed(failure)) => {
                self.hear(loaded, &awaited, failure);
                Ending::Failed(Arc::new(self.session.failure(failure.error.clone(), loaded.thread)))
            }
            _ => Ending::Follows(awaited, known),
        }))
    }

    /// A Future's record, if it has one.
    pub(super) fn look_at(&mut self, awaited: &Awaited) -> Result<Option<Known>, StorageError> {
        match awaited {
            // For a thread that this step starts, nothing can be known yet.
            Awaited::Thread(future) if step::starts(&self.commit, ThreadId(*future)) => Ok(None),
            _ => {
                let [future] = self.read([Key::Future(awaited.into())])?;
                Ok(known(future))
            }
        }
    }

    /// Gives the thread this Future's error.
    fn hear(&self, loaded: &mut Loaded, awaited: &Awaited, failure: &Failure) {
        if let Awaited::Thread(future) = awaited
            && !failure.is_awaited
        {
            loaded.heard.push(ThreadId(*future));
        }
    }

    pub(super) fn resume(&self, live: &mut Live, value: Value) -> Next {
        live.status = Status::Runnable;
        match &mut live.state {
            State::Present(thread) => {
                thread.resume(value);
                Next::Run
            }
            State::Ended | State::Away => Next::End(Ending::Stays),
        }
    }

    /// The operation at which the thread stopped has failed with this error, which it may catch.
    pub(super) fn fail(&self, live: &mut Live, error: Error) -> Next {
        match &mut live.state {
            State::Present(thread) => {
                thread.fail(error);
                Next::Run
            }
            State::Ended | State::Away => Next::End(Ending::Stays),
        }
    }

    /// A thread that has learned of many failures is saved before it learns of more.
    fn unless_full(&self, loaded: &Loaded, next: Next) -> Next {
        if self.has_room(loaded) { next } else { Next::End(Ending::Yielded) }
    }

    /// Whether the commit has room for more.
    pub(super) fn has_room(&self, loaded: &Loaded) -> bool {
        loaded.records() <= self.session.records().commit_records_max() - STEP_RECORDS_MAX
    }
}

/// A thread that waits, and is registered as a waiter, was woken too early.
fn unless_entered(next: Next, thread: ThreadId) -> Next {
    match &next {
        Next::End(Ending::Waits(_, Some(known)) | Ending::Follows(_, Some(known)))
            if known.record.interest_of(thread).is_some() =>
        {
            Next::End(Ending::Stays)
        }
        _ => next,
    }
}

/// A thread may find that its Future is done before anyone has woken it.
fn note_done(loaded: &mut Loaded, live: &Live, awaited: &Awaited, known: Option<&Known>) {
    let waited = matches!(live.status, Status::Waiting(_) | Status::Following(_));
    if waited && loaded.ready.is_none() && known.is_some_and(|known| !known.record.is_pending()) {
        loaded.found_done = Some(awaited.into());
    }
}
