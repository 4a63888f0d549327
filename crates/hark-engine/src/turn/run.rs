//! The part of a turn in which the machine runs.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use hark_bytecode::{ForeignIndex, shortened};
use hark_machine::{Awaited, Effect, Error, ForeignCall, Host, Thread, TriesAgain, Value, short_texts};

use super::waits::{duration_of, is_plain};
use super::{Begun, Next, Worker};
use crate::commit::Commit;
use crate::foreign::{Call, CallId, Unwanted};
use crate::history::{Event, LogEntry};
use crate::id::ThreadId;
use crate::limits::{
    AWAITS_PER_TURN_MAX, RESUMED_FUEL, SHOWN_CALL_MAX, SLEEP_MAX, TRIES_MAX, TRIES_NESTED_MAX, TURN_FUEL,
};
use crate::place::Place;
use crate::record::{Live, PendingCall, Record, State, Status};
use crate::session::Session;
use crate::step::{Ending, Loaded};
use crate::storage::StorageError;
use crate::suspend;
use crate::throttle::Places;
use crate::worker_kind::WorkerKind;

/// Gathers the effects of a running thread for its step's commit.
pub(super) struct Gather<'a> {
    session: &'a Session,
    commit: &'a mut Commit,
    thread: ThreadId,
    places: &'a mut Places,
    home: &'a Place,
    /// Thread numbers could not be reserved. The run is void.
    error: Option<StorageError>,
}

impl<'a> Gather<'a> {
    pub fn new(
        session: &'a Session,
        commit: &'a mut Commit,
        thread: ThreadId,
        places: &'a mut Places,
        home: &'a Place,
    ) -> Gather<'a> {
        Gather { session, commit, thread, places, home, error: None }
    }
}

impl Host for Gather<'_> {
    fn spawn(&mut self, thread: Thread) -> u64 {
        match self.session.reserve_thread(self.thread) {
            Ok(number) => {
                if self.session.is_resumable() {
                    let function = shortened(&thread.function_name(self.session.program())).into_owned();
                    let arguments = thread.shown_arguments(self.session.program(), SHOWN_CALL_MAX);
                    let event = Event::Started { function, parent: Some(self.thread), arguments };
                    self.commit.log.push(LogEntry { time: self.session.now(), thread: number, event });
                }
                let is_try = self.session.program().has_tries() && thread.is_try(self.session.program());
                let mut live = self.session.live(number, thread);
                live.parent = self.thread;
                if is_try {
                    live.home = self.home.clone();
                    live.demand.place = live.home.clone();
                    let lent = self.places.iter().map(|place| place.lent_by(self.thread));
                    live.places = Places::new(0, self.places.nested() + 1, lent.collect());
                }
                self.commit.fresh.push(Record::Live(number, live));
                number.0
            }
            Err(error) => {
                self.error = Some(error);
                u64::MAX
            }
        }
    }

    fn may_start_try(&self) -> bool {
        self.places.nested() < TRIES_NESTED_MAX
    }

    fn print(&mut self, text: String) {
        let time = self.session.now();
        self.commit.log.push(LogEntry { time, thread: self.thread, event: Event::Printed { text, attempt: None } });
    }

    fn thread(&self) -> u64 {
        self.thread.0
    }

    fn session(&self) -> &str {
        self.session.id().as_str()
    }

    fn now(&mut self) -> u64 {
        self.session.now().0
    }

    fn steady_now(&mut self) -> u64 {
        self.session.steady_now().0
    }

    fn tries_again(&mut self, again: TriesAgain) {
        if self.session.is_resumable() {
            let TriesAgain { function, attempt, attempts, seconds, message } = again;
            let function = shortened(&function).into_owned();
            let message = shortened(&message).into_owned();
            let delay = (seconds * 1000.0).round() as u64;
            let event = Event::TriesAgain { function, attempt, attempts, delay, message };
            self.commit.log.push(LogEntry { time: self.session.now(), thread: self.thread, event });
        }
    }

    fn random(&mut self) -> u64 {
        self.session.random()
    }

    fn give_back(&mut self, limit: &str) {
        self.places.retain(|place| &*place.name != limit || place.lender.is_some());
    }

    fn cut(&mut self, records: usize) {
        self.places.retain(|place| place.depth <= records as u64 || place.lender.is_some());
    }

    fn environment(&mut self, name: &str) -> Option<OsString> {
        self.session.environment(name)
    }
}

impl Worker<'_> {
    /// Runs a thread until an effect stops it. Returns what happens next.
    pub(super) fn run_thread(&mut self, loaded: &mut Loaded, live: &mut Live) -> Result<Next, StorageError> {
        let fuel = if self.awaits == 0 { TURN_FUEL } else { RESUMED_FUEL };
        let session = self.session;
        let started_before = self.commit.fresh.len();
        let mut gather = Gather::new(session, &mut self.commit, loaded.thread, &mut live.places, &live.home);
        // Only threads whose state is in memory are run.
        let State::Present(thread) = &mut live.state else { return Ok(Next::End(Ending::Stays)) };
        (live.losses, live.saved) = (0, None);
        let given = thread.given_error().map(|error| error.message.clone());
        let effect = if session.suspends() {
            suspend::run(thread, session.program(), &mut gather, live.suspensions.as_deref_mut())
        } else {
            thread.run(session.program(), fuel, &mut gather)
        };
        if let Some(error) = gather.error {
            return Err(error);
        }
        for record in &self.commit.fresh[started_before..] {
            if let Record::Live(child, _) = record {
                live.started.add(*child);
            }
        }
        match &effect {
            // Its call has failed, and a retry makes it again.
            Effect::Failed(error)
                if live.call.is_some() && given.is_some_and(|given| Arc::ptr_eq(&given, &error.message)) =>
            {
                live.status = Status::Calling(live.calls);
            }
            _ => live.leave_call(),
        }
        self.follow_effect(effect, loaded, live)
    }

    #[inline]
    pub(super) fn follow_effect(
        &mut self,
        effect: Effect,
        loaded: &mut Loaded,
        live: &mut Live,
    ) -> Result<Next, StorageError> {
        let ending = match effect {
            // The value of an attempt goes to the thread that made it, which returns it as the value of its own call.
            Effect::Finished(value) => match followed(&value).filter(|_| !live.places.is_try()) {
                Some(awaited) => {
                    live.follow(awaited.clone());
                    return self.follow(loaded, live, awaited);
                }
                None => Ending::Finished(value),
            },
            Effect::Failed(error) => Ending::Failed(Arc::new(self.session.failure(*error, loaded.thread))),
            // It will ask again in its next turn.
            Effect::Await(_) if self.awaits >= AWAITS_PER_TURN_MAX => Ending::Yielded,
            Effect::Await(wait) => {
                self.awaits += 1;
                return match wait.futures.first() {
                    Some(awaited) if is_plain(&wait) => self.consult(loaded, live, awaited.clone()),
                    _ => self.consult_many(loaded, live, Box::new(wait)),
                };
            }
            Effect::Call(call) => self.begin_call(call, loaded.thread, live),
            Effect::Sleep(value) => match sleep_duration(&value) {
                Ok(duration) => {
                    // It already has its value for when it continues.
                    if let State::Present(thread) = &mut live.state {
                        thread.resume(value);
                    }
                    Ending::Sleeps(self.session.steady_now().after(duration))
                }
                Err(error) => return Ok(self.fail(live, error)),
            },
            Effect::Cancel(what) => return self.cancel(what, loaded, live),
            Effect::Take(take) => return Ok(self.take(take, loaded.thread, live)),
            Effect::OutOfFuel => Ending::Yielded,
        };
        Ok(Next::End(ending))
    }

    fn begin_call(&mut self, call: ForeignCall, thread: ThreadId, live: &mut Live) -> Ending {
        let ForeignCall { foreign, arguments, timeout, is_again } = call;
        // The attempts of a retry are attempts of one call, like those after a crash.
        let attempt = if is_again && live.calls > 0 { (live.attempts + 1).min(TRIES_MAX) } else { 1 };
        if attempt == 1 {
            live.calls += 1;
            live.progress = None;
        }
        let pending = PendingCall { foreign, arguments, timeout, attempt, is_queued: true };
        self.make_try(pending, thread, live)
    }

    /// The worker that made the call was lost, so its result is unknown. The call is made again, unless it has lost its
    /// workers too often.
    pub(super) fn call_again(&mut self, loaded: &Loaded, live: &mut Live, was_lost: bool) -> Next {
        let Some(pending) = live.call.take() else { return Next::End(Ending::Stays) };
        let mut pending = *pending;
        if live.waits_for_pool {
            // Processes that took the thread since may have been lost, but none of them has begun this attempt.
            return Next::End(self.make_try(pending, loaded.thread, live));
        }
        if self.session.in_hand.is_withdrawn(loaded.thread, loaded.live) {
            // This attempt has not begun, and is already in the history.
            return Next::End(self.make_call(pending, loaded.thread, live));
        }
        let max_tries = self.session.options().max_tries;
        // No worker was lost if the session was given up or retried. A call that was only queued may not have begun; it
        // will be among the first ones later.
        live.losses += u32::from(was_lost && !pending.is_queued);
        if live.losses >= max_tries {
            let name = self.foreign_name(pending.foreign);
            let message =
                format!("the call of `{name}` was given up: the worker that made it was lost {max_tries} times");
            live.call = Some(Box::new(pending));
            live.losses = 0;
            return self.fail(live, Error::new("worker_lost", message));
        }
        pending.attempt += 1;
        Next::End(self.make_try(pending, loaded.thread, live))
    }

    /// Makes the next attempt of a call, or leaves it to the processes that serve its pool.
    fn make_try(&mut self, pending: PendingCall, thread: ThreadId, live: &mut Live) -> Ending {
        let is_made_here = self.enter_place_of(pending.foreign, live);
        if self.session.is_resumable() && (is_made_here || !live.waits_for_pool) {
            let function = shortened(self.foreign_name(pending.foreign)).into_owned();
            let executable = self.session.program().executable();
            let arguments = short_texts(&pending.arguments, executable, SHOWN_CALL_MAX);
            let attempt = pending.attempt;
            let event = if is_made_here {
                Event::Called { function, attempt, arguments }
            } else {
                let worker = WorkerKind::of(&live.demand.place, self.session.sizes().is_some());
                Event::QueuedInPool { worker, function, attempt, arguments }
            };
            self.log(thread, event);
        }
        self.make_call(pending, thread, live)
    }

    fn make_call(&mut self, mut pending: PendingCall, thread: ThreadId, live: &mut Live) -> Ending {
        let PendingCall { foreign, attempt, timeout, .. } = pending;
        live.attempts = attempt;
        live.waits_for_pool = !self.enter_place_of(foreign, live);
        if live.waits_for_pool {
            live.call = Some(Box::new(pending));
            return Ending::Moves(live.calls);
        }
        let (now, timeout) = (self.session.steady_now(), timeout.map(duration_of));
        let deadline = self.session.deadline();
        if deadline.is_some_and(|deadline| !deadline.may_begin(now, timeout)) {
            live.call = Some(Box::new(pending));
            return Ending::Moves(live.calls);
        }
        let (place, waits) = self.session.take_place();
        pending.is_queued &= waits;
        let id = CallId { session: self.session.id().clone(), thread, number: live.calls };
        // A cancelled thread's call must end before the thread is stopped, and any call before its process is.
        let allowed = timeout.into_iter().chain(live.stops.map(|stops| stops.since(now))).min();
        let left = deadline.map(|deadline| deadline.calls_end.since(now));
        let ends_with_process = left.is_some_and(|left| allowed.is_none_or(|allowed| left < allowed));
        let timeout = if ends_with_process { left } else { allowed };
        let unwanted = Unwanted::new(self.session.over().clone());
        let arguments = if self.session.is_resumable() {
            let arguments = pending.arguments.clone();
            live.call = Some(Box::new(pending));
            arguments
        } else {
            pending.arguments
        };
        let progress = live.progress.as_deref().map(str::to_owned);
        let priority = self.priority_of(foreign, live);
        let call = Call { id, attempt, foreign, arguments, progress, timeout, ends_with_process, priority, unwanted };
        self.call = Some(Box::new(Begun { call, place }));
        Ending::Calls(live.calls)
    }

    /// The import's own priority, or else that of the innermost function that has one.
    fn priority_of(&self, foreign: ForeignIndex, live: &Live) -> i32 {
        let program = self.session.program();
        if !program.has_priorities() {
            return 0;
        }
        let import = program.executable().foreign.get(foreign.0 as usize);
        let of_thread = || match &live.state {
            State::Present(thread) => thread.priority(program),
            State::Ended | State::Away => None,
        };
        import.and_then(|import| import.attributes.priority).or_else(of_thread).unwrap_or(0)
    }

    fn foreign_name(&self, foreign: ForeignIndex) -> &str {
        let executable = self.session.program().executable();
        executable.foreign.get(foreign.0 as usize).map_or("?", |foreign| &foreign.name)
    }
}

/// The Future with which a thread has ended, if its value is one.
fn followed(value: &Value) -> Option<Awaited> {
    match value {
        Value::Future(thread) => Some(Awaited::Thread(*thread)),
        Value::Promise(id) => Some(Awaited::Promise(String::clone(id))),
        _ => None,
    }
}

/// The duration of a `sleep`. A longer one than any machine lives is the longest that can be represented.
fn sleep_duration(seconds: &Value) -> Result<Duration, Error> {
    let longest = SLEEP_MAX.as_secs_f64();
    let seconds = match seconds {
        Value::Integer(seconds) => *seconds as f64,
        Value::Float(seconds) => *seconds,
        // An integer beyond 64 bits: its sign is all that counts.
        Value::BigInteger(seconds) if seconds.sign() == num_bigint::Sign::Minus => -longest,
        Value::BigInteger(_) => longest,
        other => return Err(Error::of_type(format!("`sleep` needs a number of seconds, not {}", other.type_name()))),
    };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(Error::of_value(format!("`sleep` needs a number of seconds that is not negative, not {seconds}")));
    }
    Ok(Duration::from_secs_f64(seconds.min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_have_lengths() {
        assert_eq!(sleep_duration(&Value::Integer(2)).ok(), Some(Duration::from_secs(2)));
        assert_eq!(sleep_duration(&Value::Float(0.5)).ok(), Some(Duration::from_millis(500)));
        assert_eq!(sleep_duration(&Value::Float(f64::INFINITY)).ok(), Some(SLEEP_MAX));
        assert_eq!(sleep_duration(&Value::Integer(i64::MAX)).ok(), Some(SLEEP_MAX));
        for bad in [Value::Float(f64::NAN), Value::Integer(-1), Value::Float(-0.5), Value::Null] {
            assert!(sleep_duration(&bad).is_err(), "{bad:?}");
        }
    }
}
