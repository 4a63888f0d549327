//! Waits for several Futures, or with a deadline.
//!
//! A thread that needs the values of many Futures waits for the outcome of one of them, chosen at random among the
//! pending ones, and for the failures of all others. So in whatever order they end, it is woken about as often as the
//! logarithm of their number. Each time it reads all of them. Many threads that are started together are leased in an
//! order that follows from their numbers ([`lead_of`]): there it chooses the one that is leased last, and is mostly
//! woken once. A thread that needs any of them waits for the outcome of each. The Futures of a wait are not stored: the
//! thread stands at the wait until it has an answer, and is asked for them.
//!
//! A step touches few records. A wait that needs more begins with a commit that says only that the thread waits
//! ([`Awaiting::is_entered`] is false). From then on it certainly waits for these Futures, whatever happens to its
//! worker, and the rest may be done in any number of commits, and repeated. The same is true when the wait is over and
//! the thread unregisters from many Futures: the mailbox entry that woke it remains until the step is committed.

mod answered;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use hark_machine::{Awaited, Effect, Error, Until, Value, Wait};

use super::load::known;
use super::run::Gather;
use super::{Next, Worker};
use crate::commit::{SCATTERED_MIN, lead_of};
use crate::failure::Failure;
use crate::history::Event;
use crate::id::{FutureId, ThreadId};
use crate::limits::{
    FUTURES_KNOWN_PER_AWAIT, FUTURES_PER_AWAIT, SLEEP_MAX, STEP_RECORDS_MAX, TURN_FUEL, WAIT_RECORDS_MAX,
};
use crate::record::{Awaiting, FutureRecord, Interest, Key, Live, State, Status, Versioned};
use crate::step::{self, Ending, Known, Loaded, Touch, Wanted};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;
pub(crate) use answered::AnsweredWait;
use settle::Dealt;

/// How many Futures are read at a time.
const READ_AT_A_TIME: usize = 1_000;

/// From this many Futures on, the outcomes read for a wait are kept for the next wait.
const HELD_MIN: usize = 16;

/// The state of a Future when it was read.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// Pending. `is_new`: this step starts its thread.
    Pending { known: Option<Known>, is_new: bool },
    /// Resolved.
    Resolved(Value),
    /// Failed.
    Failed(Arc<Failure>),
}

impl Seen {
    fn is_done(&self) -> bool {
        !matches!(self, Seen::Pending { .. })
    }
}

/// Whether a wait is only for the value of one Future.
pub(super) fn is_plain(wait: &Wait) -> bool {
    wait.until == Until::All && wait.timeout.is_none() && wait.futures.len() == 1
}

impl Worker<'_> {
    /// A thread that was left while it waited: it is asked what it waits for.
    pub(super) fn ask_again(&mut self, loaded: &mut Loaded, live: &mut Live) -> Result<Next, StorageError> {
        let State::Present(thread) = &mut live.state else { return Ok(Next::End(Ending::Stays)) };
        let mut gather = Gather::new(self.session, &mut self.commit, loaded.thread, &mut live.places, &live.home);
        match thread.run(self.session.program(), TURN_FUEL, &mut gather) {
            Effect::Await(wait) => self.consult_many(loaded, live, Box::new(wait)),
            // Only a damaged record claims that such a thread waits.
            effect => self.follow_effect(effect, loaded, live),
        }
    }

    /// A thread waits for these Futures.
    pub(super) fn consult_many(
        &mut self,
        loaded: &mut Loaded,
        live: &mut Live,
        wait: Box<Wait>,
    ) -> Result<Next, StorageError> {
        let mut dealt = Dealt::default();
        loop {
            let seen = self.look_at_all(loaded, &wait)?;
            let now = self.session.steady_now();
            let deadline = match &live.status {
                Status::Awaiting(awaiting) => awaiting.deadline,
                _ => wait.timeout.map(|seconds| now.after(duration_of(seconds))),
            };
            let interrupted = loaded.interruption.as_ref().map(|interruption| Err(interruption.error.clone()));
            let answer = interrupted.or_else(|| answer_of(&wait, &seen)).or_else(|| {
                let is_over = deadline.is_some_and(|deadline| deadline <= now);
                is_over.then(|| match wait.until {
                    Until::All => Err(timeout_error(wait.timeout.unwrap_or(0.0))),
                    Until::Any | Until::One => Ok(Value::Null),
                })
            });
            let undo = self.want(loaded, &wait, &seen, answer.is_some(), &mut dealt);
            let most = if answer.is_some() { STEP_RECORDS_MAX } else { WAIT_RECORDS_MAX };
            let has_room = loaded.records() <= self.session.records().commit_records_max() - most;
            match (has_room, &loaded.awaiting) {
                (true, _) => {
                    return Ok(match answer {
                        Some(answer) => {
                            hold(loaded, &wait, seen);
                            self.answer(loaded, live, answer)
                        }
                        None => self.wait_on(loaded, live, wait, deadline),
                    });
                }
                (false, None) => {
                    undo.take_back(loaded);
                    let awaiting = Box::new(Awaiting::new(&wait, deadline, false));
                    return Ok(Next::End(Ending::Awaits { awaiting, wait, is_new: true }));
                }
                (false, Some(_)) => {
                    if !self.settle_waits(loaded, &mut dealt)? {
                        // The step's commit will find the same.
                        return Ok(Next::End(Ending::Stays));
                    }
                }
            }
        }
    }

    /// The thread continues with an answer.
    fn answer(&mut self, loaded: &mut Loaded, live: &mut Live, answer: Result<Value, Error>) -> Next {
        self.disarm(live);
        if loaded.awaiting.take().is_some() {
            self.log(loaded.thread, Event::Resumed);
        }
        if let Some(interruption) = loaded.interruption.take() {
            return self.end_with_interruption(loaded.thread, live, *interruption);
        }
        match answer {
            Ok(value) => self.resume(live, value),
            Err(error) => {
                live.status = Status::Runnable;
                self.fail(live, error)
            }
        }
    }

    /// The thread waits, and is registered with all of its Futures.
    fn wait_on(&mut self, loaded: &Loaded, live: &mut Live, wait: Box<Wait>, deadline: Option<Timestamp>) -> Next {
        self.arm(live, loaded.thread, deadline);
        let was_entered = loaded.awaiting.as_ref().map(|awaiting| awaiting.is_entered);
        if was_entered == Some(true) && loaded.records() == 0 {
            return Next::End(Ending::Stays);
        }
        let awaiting = Box::new(Awaiting::new(&wait, deadline, true));
        Next::End(Ending::Awaits { awaiting, wait, is_new: was_entered.is_none() })
    }

    /// Adds the changes for this wait to the step. Returns how to undo that.
    fn want(&mut self, loaded: &mut Loaded, wait: &Wait, seen: &[Seen], is_over: bool, dealt: &mut Dealt) -> Undo {
        if !is_over && wait.until == Until::All {
            dealt.chosen = self.choose(loaded, wait, seen, dealt.chosen);
        }
        let was_entered = loaded.awaiting.as_ref().is_some_and(|awaiting| awaiting.is_entered);
        let mut undo = Undo { touches: Vec::new(), heard: loaded.heard.len() };
        let (mut held, mut after) = (loaded.held.take(), 0);
        for (index, (awaited, seen)) in wait.futures.iter().zip(seen).enumerate() {
            let future = FutureId::from(awaited);
            match (seen, awaited) {
                // It stays registered until the step ends.
                (Seen::Pending { .. }, _)
                    if is_over
                        && (was_entered || held.as_mut().is_some_and(|held| held.keeps(&future, &mut after))) =>
                {
                    loaded.touches.remove(&future);
                }
                (Seen::Pending { known, is_new }, _) => {
                    let record = known.as_ref().map(|known| &known.record);
                    let is_crowded = record.is_some_and(FutureRecord::is_crowded);
                    let own = record.and_then(|record| record.interest_of(loaded.thread));
                    let interest = match wait.until {
                        Until::All if dealt.chosen != Some(index) => Interest::Failure,
                        Until::All | Until::Any | Until::One => Interest::Outcome,
                    };
                    // It may have a record of its own from before this step, or from a wait that has ended within it.
                    let may_have_record = is_crowded && (loaded.awaiting.is_some() || loaded.touches.contains(&future));
                    let wanted = match is_over {
                        false => Wanted::Entered(interest),
                        true if own.is_some() || may_have_record => Wanted::Left,
                        true if loaded.interruption.is_some() && record.is_none() => {
                            loaded.touches.remove(&future);
                            continue;
                        }
                        // It was about to wait when another process changed the waiters, and its deadline has passed in
                        // the meantime, so its earlier intent is void.
                        true => Wanted::Awaited,
                    };
                    // The records of earlier registrations are right, except that of the Future which is chosen now.
                    let has_record = match dealt.entered.get(&future) {
                        Some(known) => *known == interest,
                        None => was_entered && (wait.until != Until::All || interest == Interest::Failure),
                    };
                    let touch = Touch { known: known.clone(), wanted, is_new: *is_new, has_record };
                    if touch.changes_nothing(loaded.thread) && !loaded.touches.contains(&future) {
                        continue;
                    }
                    let before = loaded.touches.insert(future.clone(), touch);
                    undo.touches.push((future, before));
                }
                (Seen::Failed(failure), Awaited::Thread(thread)) => {
                    let thread = ThreadId(*thread);
                    loaded.touches.remove(&future);
                    if !failure.is_awaited && !dealt.heard.contains(&thread) && !loaded.heard.contains(&thread) {
                        loaded.heard.push(thread);
                    }
                }
                (Seen::Failed(_) | Seen::Resolved(_), _) => loaded.touches.remove(&future),
            }
        }
        loaded.held = held;
        undo
    }

    /// The Future whose value the thread waits for: the one that it already waits for, or else any, trying the last one
    /// first, because threads mostly end in the order in which they were started; many leased threads in that of their leads.
    fn choose(&self, loaded: &Loaded, wait: &Wait, seen: &[Seen], chosen: Option<usize>) -> Option<usize> {
        let is_pending = |index: &usize| matches!(seen.get(*index), Some(Seen::Pending { .. }));
        if let Some(chosen) = chosen.filter(is_pending) {
            return Some(chosen);
        }
        let waits_for = |seen: &Seen| match seen {
            Seen::Pending { known: Some(known), .. } => {
                known.record.interest_of(loaded.thread) == Some(Interest::Outcome)
            }
            _ => false,
        };
        if let Some(chosen) = seen.iter().position(waits_for) {
            return Some(chosen);
        }
        let pending: Vec<usize> = (0..seen.len()).filter(is_pending).collect();
        if self.session.is_leased() && pending.len() >= SCATTERED_MIN {
            let lead = |index: &usize| match wait.futures.get(*index) {
                Some(Awaited::Thread(thread)) => lead_of(ThreadId(*thread)),
                _ => u64::MAX,
            };
            return pending.into_iter().min_by_key(lead);
        }
        if loaded.awaiting.is_none() {
            return pending.last().copied();
        }
        let place = self.session.random().checked_rem(pending.len() as u64)?;
        pending.get(place as usize).copied()
    }

    fn look_at_all(&mut self, loaded: &mut Loaded, wait: &Wait) -> Result<Vec<Seen>, StorageError> {
        let Some(held) = &mut loaded.held else { return self.read_all(&wait.futures) };
        let known = held.seen_of(&wait.futures);
        let unknown = wait.futures.iter().zip(&known).filter(|(_, seen)| seen.is_none());
        let unknown: Vec<Awaited> = unknown.map(|(awaited, _)| awaited.clone()).collect();
        let mut read = self.read_all(&unknown)?.into_iter();
        self.awaits += (known.len() - unknown.len()) as u32 / FUTURES_KNOWN_PER_AWAIT;
        Ok(known.into_iter().filter_map(|seen| seen.or_else(|| read.next())).collect())
    }

    /// Reads these Futures.
    fn read_all(&mut self, futures: &[Awaited]) -> Result<Vec<Seen>, StorageError> {
        self.awaits += futures.len() as u32 / FUTURES_PER_AWAIT;
        let mut all = Vec::with_capacity(futures.len());
        for some in futures.chunks(READ_AT_A_TIME) {
            let is_new = |awaited: &Awaited| match awaited {
                Awaited::Thread(thread) => step::starts(&self.commit, ThreadId(*thread)),
                Awaited::Promise(_) => false,
            };
            let new: Vec<bool> = some.iter().map(is_new).collect();
            let old = some.iter().zip(&new).filter(|(_, is_new)| !**is_new);
            let keys: Vec<Key> = old.map(|(awaited, _)| Key::Future(awaited.into())).collect();
            self.found.clear();
            if !keys.is_empty() {
                self.session.records().read(&keys, &mut self.found)?;
            }
            let mut found = self.found.drain(..);
            all.extend(new.into_iter().map(|is_new| match is_new {
                true => Seen::Pending { known: None, is_new },
                false => seen_of(found.next().flatten()),
            }));
        }
        Ok(all)
    }

    /// Arms the timer of a wait in memory, in place of its previous one. A durable timer is in the thread's record.
    pub(super) fn arm(&mut self, live: &mut Live, thread: ThreadId, deadline: Option<Timestamp>) {
        self.disarm(live);
        if let Some(deadline) = deadline.filter(|_| !self.session.is_resumable()) {
            self.session.add_work(1);
            live.timer = self.slot.invoke_after(thread, deadline.since(self.session.steady_now()));
        }
    }

    pub(super) fn disarm(&mut self, live: &mut Live) {
        if let Some(timer) = live.timer.take()
            && self.slot.disarm(timer)
        {
            // Not the last one: the current hint still counts.
            self.session.finish_work(1);
        }
    }
}

/// The changes of a step before further ones were added.
struct Undo {
    touches: Vec<(FutureId, Option<Touch>)>,
    heard: usize,
}

impl Undo {
    fn take_back(self, loaded: &mut Loaded) {
        loaded.heard.truncate(self.heard);
        for (future, before) in self.touches {
            match before {
                Some(touch) => drop(loaded.touches.insert(future, touch)),
                None => loaded.touches.remove(&future),
            }
        }
    }
}

/// Keeps the outcomes that were read, for waits that may follow in the same step.
fn hold(loaded: &mut Loaded, wait: &Wait, seen: Vec<Seen>) {
    let is_entered = loaded.awaiting.as_ref().is_some_and(|awaiting| awaiting.is_entered);
    let given = match wait.until {
        Until::Any | Until::One => seen.iter().position(|seen| matches!(seen, Seen::Resolved(_))),
        Until::All => None,
    };
    let is_to_leave = is_entered && !seen.iter().all(Seen::is_done);
    if loaded.held.is_none() && (is_to_leave || given.is_some() && seen.len() >= HELD_MIN) {
        let futures = wait.futures.iter().map(FutureId::from).collect();
        loaded.held = Some(Box::new(AnsweredWait::new(futures, seen, is_entered)));
    }
    if let Some(held) = &mut loaded.held
        && let Some(given) = given.and_then(|given| wait.futures.get(given))
    {
        held.forget(&given.into());
    }
}

fn seen_of(found: Option<Versioned>) -> Seen {
    match known(found) {
        Some(Known { record: FutureRecord::Resolved(value), .. }) => Seen::Resolved(value),
        Some(Known { record: FutureRecord::Failed(failure), .. }) => Seen::Failed(failure),
        known => Seen::Pending { known, is_new: false },
    }
}

/// The answer to a wait, if it already has one.
fn answer_of(wait: &Wait, seen: &[Seen]) -> Option<Result<Value, Error>> {
    match wait.until {
        Until::All => {
            let mut values = Vec::with_capacity(seen.len());
            let mut is_missing = false;
            for seen in seen {
                match seen {
                    Seen::Failed(failure) => return Some(Err(failure.error.clone())),
                    Seen::Resolved(value) if !is_missing => values.push(value.clone()),
                    Seen::Resolved(_) => {}
                    Seen::Pending { .. } => is_missing = true,
                }
            }
            let one = if seen.len() == 1 { values.pop() } else { None };
            (!is_missing).then(|| Ok(one.unwrap_or_else(|| Value::list(values))))
        }
        Until::Any => {
            let first = seen.iter().enumerate().find_map(|(index, seen)| match seen {
                Seen::Resolved(value) => Some(vec![Value::Integer(index as i64), value.clone()]),
                _ => None,
            });
            if let Some(first) = first {
                return Some(Ok(Value::list(first)));
            }
            if wait.at_once {
                return Some(Ok(Value::Null));
            }
            let failures = seen.iter().map(|seen| match seen {
                Seen::Failed(failure) => Some(failure),
                _ => None,
            });
            let last = failures.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|failure| failure.at)?;
            Some(Err(last.error.clone()))
        }
        Until::One => seen.iter().enumerate().find_map(|(index, seen)| match seen {
            Seen::Resolved(value) => Some(Ok(Value::list(vec![Value::Integer(index as i64), value.clone()]))),
            Seen::Failed(failure) => Some(Err(failure.error.clone())),
            Seen::Pending { .. } => None,
        }),
    }
}

/// The maximum duration of a wait or call, at most that of a sleep.
pub(super) fn duration_of(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds.max(0.0).min(SLEEP_MAX.as_secs_f64()))
}

fn timeout_error(seconds: f64) -> Error {
    let unit = if seconds == 1.0 { "second" } else { "seconds" };
    Error::new("timeout", format!("`await_for`: there was no value within {seconds} {unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(until: Until, at_once: bool) -> Wait {
        Wait { futures: Default::default(), until, at_once, timeout: None }
    }

    fn value(number: i64) -> Seen {
        Seen::Resolved(Value::Integer(number))
    }

    fn failed(message: &str, at: u64) -> Seen {
        Seen::Failed(Arc::new(Failure::new(Error::new("error", message), ThreadId(0), Timestamp(at))))
    }

    fn pending() -> Seen {
        Seen::Pending { known: None, is_new: false }
    }

    fn shown(until: Until, at_once: bool, seen: &[Seen]) -> String {
        match answer_of(&wait(until, at_once), seen) {
            None => "waits".to_owned(),
            Some(Err(error)) => error.message.to_string(),
            Some(Ok(Value::Integer(one))) => one.to_string(),
            Some(Ok(Value::Null)) => "null".to_owned(),
            Some(Ok(list)) => {
                let items = list.as_list().expect("a list");
                items.iter().map(|item| format!("{item:?}")).collect::<Vec<_>>().join(" ")
            }
        }
    }

    #[test]
    fn all_need_values_or_a_failure() {
        assert_eq!(shown(Until::All, false, &[value(7)]), "7");
        assert_eq!(shown(Until::All, false, &[value(7), value(8)]), "Integer(7) Integer(8)");
        assert_eq!(shown(Until::All, false, &[value(7), pending()]), "waits");
        assert_eq!(shown(Until::All, false, &[pending(), failed("b", 9), failed("c", 5)]), "b", "the first in order");
    }

    #[test]
    fn any_needs_one_value_or_all_failures() {
        assert_eq!(shown(Until::Any, false, &[pending(), value(7), value(8)]), "Integer(1) Integer(7)");
        assert_eq!(shown(Until::Any, false, &[pending(), failed("a", 1)]), "waits");
        let failures = [failed("a", 1), failed("b", 9), failed("c", 5)];
        assert_eq!(shown(Until::Any, false, &failures), "b", "the one that failed last");
        assert_eq!(shown(Until::Any, true, &failures), "null");
        assert_eq!(shown(Until::Any, true, &[pending(), pending()]), "null");
    }

    #[test]
    fn one_needs_a_value_or_a_failure() {
        assert_eq!(shown(Until::One, false, &[pending(), value(7), failed("a", 1)]), "Integer(1) Integer(7)");
        assert_eq!(shown(Until::One, false, &[pending(), failed("a", 9), value(7)]), "a", "the first in order");
        assert_eq!(shown(Until::One, false, &[pending(), pending()]), "waits");
    }

    #[test]
    fn a_timeout_names_its_seconds() {
        let message = |seconds| timeout_error(seconds).message.to_string();
        assert_eq!(message(0.5), "`await_for`: there was no value within 0.5 seconds");
        assert_eq!(message(1.0), "`await_for`: there was no value within 1 second");
        assert_eq!(duration_of(f64::INFINITY), SLEEP_MAX);
        assert_eq!(duration_of(-1.0), Duration::ZERO);
        assert_eq!(duration_of(f64::NAN), Duration::ZERO);
    }
}
