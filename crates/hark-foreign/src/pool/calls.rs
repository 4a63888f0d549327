//! Calls in flight: from a call's turn to its answer, and cancelling it in between.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use hark_engine::{CallError, CallEvent};
use hark_machine::{Error, Value, is_larger};
use tracing::{trace, warn};

use super::Shared;
use super::lending::NoWorker;
use crate::ahead::{Ahead, Position, SentCall};
use crate::call::Call;
use crate::death::Process;
use crate::limits::{AHEAD_BYTES_MAX, KILLED_WAIT};
use crate::outcome::result_of;
use crate::protocol::Outcome;
use crate::queue::{Job, Placed};
use crate::worker::{Fault, Worker};

/// A call that has a worker or waits for one.
pub(super) struct CallUnderWay {
    pub id: String,
    /// Whether a caller waits for the answer on the OS thread that makes the call.
    pub is_blocking: bool,
    /// Whether it has a worker, or one is being started for it.
    pub has_begun: bool,
    pub is_cancelled: bool,
    worker: Option<Place>,
}

/// The worker that makes a call.
struct Place {
    process: Process,
    /// `None` while the worker starts.
    ahead: Option<Arc<Ahead>>,
}

impl CallUnderWay {
    /// Assigns the call to this process.
    pub fn run_in(&mut self, process: &Process, ahead: Option<&Arc<Ahead>>) {
        if self.is_cancelled && ahead.is_none() {
            process.kill();
        }
        self.worker = Some(Place { process: process.clone(), ahead: ahead.cloned() });
    }

    /// Cancels the call and ends its worker, even if other calls were sent ahead to it.
    pub fn kill(&mut self) {
        self.is_cancelled = true;
        if let Some(place) = &self.worker {
            place.process.kill();
        }
    }
}

/// How a call reaches a worker, and which call that worker makes next.
#[derive(Default)]
struct Route {
    /// The worker to which the call was sent ahead, and the number of its message.
    sent: Option<(Worker, u32)>,
    /// Whether later calls of the queue may be sent ahead to the worker. This thread then makes them.
    sends_ahead: bool,
    /// The worker, and the call that it makes next.
    following: Option<(Worker, SentCall)>,
}

impl Shared {
    /// Makes a call whose caller waits for it. Such a call is never withdrawn.
    pub(super) fn carry_out_blocking(
        self: &Arc<Self>,
        number: u64,
        call: &Call,
        events: &mut dyn FnMut(CallEvent),
    ) -> Result<Value, CallError> {
        self.run(number, call, events, &mut Route::default()).unwrap_or_else(|| Err(call.cancelled().into()))
    }

    /// Makes the call of a job, and then the calls that were sent ahead to its worker meanwhile.
    pub(super) fn carry_out(self: &Arc<Self>, job: Job) {
        let mut route = Route { sends_ahead: true, ..Route::default() };
        let mut next = Some((job, false));
        while let Some((Job { call, mut events, done }, is_cancelled)) = next.take() {
            let number = self.enter(&call, false);
            if is_cancelled {
                self.cancel_under_way(|under_way, _| under_way == number);
            }
            if let Some(result) = self.run(number, &call, &mut events, &mut route) {
                done(result);
            }
            if let Some((worker, sent)) = route.following.take() {
                route.sent = Some((worker, sent.number));
                next = Some((*sent.placed.job, sent.is_cancelled));
            }
        }
    }

    /// Makes a call whose turn it is. `None` if it was withdrawn.
    fn run(
        self: &Arc<Self>,
        number: u64,
        call: &Call,
        events: &mut dyn FnMut(CallEvent),
        route: &mut Route,
    ) -> Option<Result<Value, CallError>> {
        let mut result = self.attempt(call, events, number, route);
        // Idle workers may end at any time, so possibly all of them have. If a new one ends as well, that is no
        // coincidence.
        for _ in 0..self.workers_max {
            if !matches!(result, Ok(Err(Fault::NotBegun))) {
                break;
            }
            result = self.attempt(call, events, number, route);
        }
        if matches!(result, Ok(Err(Fault::Killed(_)))) && !self.is_cancelled(number) {
            thread::sleep(KILLED_WAIT);
        }
        let result = match result {
            Ok(outcome) => result_of(call, outcome).map_err(CallError::from),
            Err(NoWorker::Cancelled) => Err(call.cancelled().into()),
            Err(NoWorker::Short(why)) => Err(call.not_made(&why)),
            Err(NoWorker::Unusable(problem)) => {
                Err(Error::of_python("NoInterpreter", format!("cannot call {}: {problem}", call.described())).into())
            }
        };
        let cancelled = self.leave(number)?;
        Some(if cancelled && result.is_err() { Err(call.cancelled().into()) } else { result })
    }

    fn attempt(
        self: &Arc<Self>,
        call: &Call,
        events: &mut dyn FnMut(CallEvent),
        number: u64,
        route: &mut Route,
    ) -> Result<Result<Outcome, Fault>, NoWorker> {
        let (mut worker, begun) = match route.sent.take() {
            Some((mut worker, message)) => {
                self.take_up(number, &worker);
                worker.go_on(message);
                (worker, Ok(()))
            }
            None => {
                let mut worker = self.lend(number)?;
                let begun = worker.begin(call);
                (worker, begun)
            }
        };
        trace!(call = call.id, "a Python process makes a call");
        let since = Instant::now();
        let ahead = worker.ahead().clone();
        let mut outcome = begun.and_then(|()| {
            if route.sends_ahead {
                self.send_ahead(&worker);
            }
            worker.finish(call, events, &mut || self.take_back_ahead(number, &ahead))
        });
        worker.note_time(since.elapsed());
        for warning in worker.take_warnings() {
            if self.lock().warnings.insert(warning.clone()) {
                (self.warn)(&warning);
            }
        }
        let is_lost = outcome.as_ref().is_err_and(Fault::is_lost);
        if is_lost {
            warn!(call = call.id, "a Python process is lost");
        }
        route.following = self.give_back(worker, number, is_lost);
        if let Ok(Outcome::Raised(raised)) = &mut outcome {
            raised.name_package(&self.requirements, &self.project);
        }
        Ok(outcome)
    }

    /// Registers a call that is about to be made, or that was sent ahead and is next.
    pub(super) fn enter(&self, call: &Call, is_blocking: bool) -> u64 {
        let mut state = self.lock();
        state.calls_begun += 1;
        let number = state.calls_begun;
        // Read under the lock: `unwanted` is set before the call is cancelled here, so one of the two sees the other.
        let is_cancelled = call.unwanted.is_set();
        let id = call.id.clone();
        let under_way = CallUnderWay { id, is_blocking, has_begun: false, is_cancelled, worker: None };
        state.calls.insert(number, under_way);
        number
    }

    pub(super) fn is_cancelled(&self, number: u64) -> bool {
        self.lock().calls.get(&number).is_none_or(|call| call.is_cancelled)
    }

    /// Removes a call and returns whether it was cancelled. `None` if it was withdrawn.
    fn leave(&self, number: u64) -> Option<bool> {
        self.lock().calls.remove(&number).map(|call| call.is_cancelled)
    }

    /// Makes a call that was sent ahead the one under way in its worker.
    fn take_up(self: &Arc<Self>, number: u64, worker: &Worker) {
        let mut state = self.lock();
        let is_closed = state.is_closed;
        let Some(call) = state.calls.get_mut(&number) else { return };
        call.has_begun = true;
        call.run_in(worker.process(), Some(worker.ahead()));
        call.is_cancelled |= is_closed;
        let is_cancelled = call.is_cancelled;
        drop(state);
        if is_cancelled {
            self.end_call(number);
        }
    }

    /// Sends the next calls of the queue to a worker that is busy with a short one.
    fn send_ahead(self: &Arc<Self>, worker: &Worker) {
        let room = worker.room_ahead();
        if room == 0 {
            return;
        }
        let jobs = self.queue.pop_ahead(room, is_small);
        let Some(lowest) = jobs.iter().map(|placed| placed.job.call.priority.into()).min() else { return };
        let mut back = worker.ahead().send(jobs);
        // A call may have arrived while these were neither in the queue nor with the worker.
        if self.queue.has_come_too_late(lowest) {
            back.extend(worker.ahead().take_back().0);
        }
        self.put_back(back);
    }

    /// The call with this number takes long: calls sent ahead should not wait for it.
    fn take_back_ahead(self: &Arc<Self>, number: u64, ahead: &Ahead) -> Position {
        let (jobs, position) = ahead.take_back();
        self.put_back(jobs);
        // A cancellation may have come before the worker had read the call.
        if position == Position::There {
            self.kill_if_cancelled(number);
        }
        position
    }

    /// Puts jobs back into the queue.
    fn put_back(self: &Arc<Self>, jobs: Vec<Placed>) {
        if self.queue.put_back(jobs) && !self.start_thread() {
            // Other threads will run them.
            self.queue.forget_thread();
        }
    }

    /// The call with this number is answered or lost. Returns the call that the worker makes next.
    fn give_back(self: &Arc<Self>, worker: Worker, number: u64, is_lost: bool) -> Option<(Worker, SentCall)> {
        let mut state = self.lock();
        // From here on, cancelling the call must not end the worker, which may make another call next.
        let is_cancelled = state.calls.get_mut(&number).is_none_or(|call| {
            call.worker = None;
            call.is_cancelled
        });
        drop(state);
        if is_lost {
            self.put_back(worker.ahead().abandon());
        }
        if let Some(sent) = worker.ahead().next() {
            return Some((worker, sent));
        }
        if is_lost || is_cancelled {
            self.end(worker);
        } else {
            self.keep(worker);
        }
        None
    }

    /// Cancels the calls in flight that match by number and id.
    pub(super) fn cancel_under_way(self: &Arc<Self>, is_meant: impl Fn(u64, &str) -> bool) {
        let mut state = self.lock();
        let mut meant = Vec::new();
        for (number, call) in state.calls.iter_mut().filter(|(number, call)| is_meant(**number, &call.id)) {
            call.is_cancelled = true;
            meant.push(*number);
        }
        self.changed.notify_all();
        drop(state);
        meant.into_iter().for_each(|number| self.end_call(number));
        self.queue.notice_cancelled();
    }

    /// Ends a cancelled call with its worker, unless the worker is already making another call.
    fn end_call(self: &Arc<Self>, number: u64) {
        let ahead = self.lock().calls.get(&number).and_then(|call| call.worker.as_ref()?.ahead.clone());
        let position = ahead.map_or(Position::There, |ahead| {
            let (jobs, position) = ahead.close();
            self.put_back(jobs);
            position
        });
        if position == Position::There {
            self.kill_if_cancelled(number);
        }
    }

    fn kill_if_cancelled(&self, number: u64) {
        if let Some(call) = self.lock().calls.get_mut(&number).filter(|call| call.is_cancelled) {
            call.kill();
        }
    }

    /// Takes back a call that is to be made next but has no worker yet.
    pub(super) fn withdraw_without_worker(&self, id: &str) -> bool {
        let mut state = self.lock();
        // An earlier try of the call may be in flight as well.
        let last = state.calls.iter().filter(|(_, call)| call.id == id).max_by_key(|(number, _)| **number);
        let Some(number) = last.filter(|(_, call)| !call.has_begun && !call.is_blocking).map(|(number, _)| *number)
        else {
            return false;
        };
        state.calls.remove(&number);
        self.changed.notify_all();
        true
    }
}

/// Whether a call may be sent ahead: its message is small, and it may begin at any time.
fn is_small(call: &Call) -> bool {
    let bytes = |atom: &Value| match atom {
        Value::String(text) => text.as_str().len() as u64,
        Value::BigInteger(big) => big.bits() / 8,
        // It may be too large for the inbox, and the worker should read it when it is ready.
        Value::Object(_) => u64::MAX,
        _ => 8,
    };
    // The queue must know when a call with a rate begins.
    call.rate.is_none() && call.arguments.iter().all(|argument| !is_larger(argument, AHEAD_BYTES_MAX, 8, bytes))
}
