//! One durable step, decided: what a thread's run changes. Every rule about Futures, continuations and ends is here.
//!
//! The functions are pure: from what was loaded and what the run came to they make a [`Commit`] and a [`Plan`] of what
//! to do once it is committed. Losing what the plan says is harmless where records tell what is still to be done.
//!
//! - **`live/n` is written by thread n's own step only.** Whoever wakes a thread puts `ready/n`; a step expects
//!   `ready/n` to be as it was loaded. So a wake during the run that it wakes makes the commit conflict, and the step is
//!   decided again, in sight of what the wake was for.
//! - **A waiter and its entry among the Future's continuations travel in one commit**, which expects the Future as it
//!   was read. So do a result, the Future it resolves, and the waking. Of a racing pair one conflicts and looks again.
//! - **A Future that follows another is a thread that waits with nothing left to do.** Its record stays until the other
//!   has a value, then it takes a step, in which its own waiters are woken. So chains cost a step a link, many may
//!   follow one, and nothing recurses.
//! - **A step writes what it creates no later than what it removes**, and a child's number is greater than its
//!   parent's: who sees no live thread, having looked in the order of their numbers, knows that none will come.

mod waiters;

use std::sync::Arc;

use hark_machine::{Awaited, Value};

use crate::commit::Commit;
use crate::failure::Failure;
use crate::id::{Stamp, ThreadId};
use crate::record::{FutureRecord, Key, Live, Record, SessionRecord, Status};
use crate::surroundings::Timestamp;
pub(crate) use waiters::starts;
pub use waiters::wake_batch;

/// What was loaded of a thread.
#[derive(Debug)]
pub struct Loaded {
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record: the fence.
    pub live: Stamp,
    /// The version of its mailbox, if there is something in it.
    pub ready: Option<Stamp>,
    /// Its own Future, if someone waits for it.
    pub own: Option<Known>,
    /// Failed Futures whose errors it was given in this step.
    pub heard: Vec<ThreadId>,
}

/// A Future's record as it was read.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its version.
    pub stamp: Stamp,
    /// Its content.
    pub record: FutureRecord,
}

/// What a thread's run came to.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Its turn is over.
    Yielded,
    /// It was looked at too early: what it waits for has not come. It stays as it is.
    Stays,
    /// It came to its end with this value, which is no Future.
    Finished(Value),
    /// It came to its end with an error.
    Failed(Arc<Failure>),
    /// It needs the value of a Future that has none: this is its record, if there is one.
    Waits(Awaited, Option<Known>),
    /// It came to its end with a Future that has no value: this is its record, if there is one.
    Follows(Awaited, Option<Known>),
    /// It goes on at a time.
    Sleeps(Timestamp, Value),
    /// It has begun a foreign call: which of its calls.
    Calls(u64),
}

/// What to do once a step is committed.
#[derive(Debug, Default)]
pub struct Plan {
    /// Threads to have run: new ones, then those woken, then the thread itself.
    pub invoke: Vec<ThreadId>,
    /// The thread goes on at this time.
    pub timer: Option<Timestamp>,
    /// The foreign call is to be made.
    pub call: bool,
    /// The thread has stopped, and nobody who may look for the session's end was woken.
    pub look_for_end: bool,
    /// More may wait for the thread's Future than the commit has woken.
    pub wake_rest: bool,
    /// The thread waits with a record of its own for this Future, which must be read once more: its resolver may have
    /// looked for such records before there was this one.
    pub look_again: Option<ThreadId>,
}

impl Plan {
    /// Begins anew.
    pub fn clear(&mut self) {
        let mut invoke = std::mem::take(&mut self.invoke);
        invoke.clear();
        *self = Plan { invoke, ..Plan::default() };
    }
}

/// Decides what a run changes. `commit` holds already what the run gathered: new threads and output.
pub fn step(loaded: &Loaded, ending: &Ending, live: Box<Live>, commit: &mut Commit, plan: &mut Plan) {
    plan.clear();
    commit.expect.push((Key::Live(loaded.thread), Some(loaded.live)));
    commit.expect.push((Key::Ready(loaded.thread), loaded.ready));
    if loaded.ready.is_some() {
        commit.delete.push(Key::Ready(loaded.thread));
    }
    commit.delete.extend(loaded.heard.iter().map(|failed| Key::Unawaited(*failed)));
    plan.invoke.extend(commit.fresh.iter().filter_map(|record| match record {
        Record::Live(child, _) => Some(*child),
        _ => None,
    }));
    match ending {
        Ending::Yielded => {
            plan.invoke.push(loaded.thread);
            go_on(loaded, live, Status::Runnable, commit);
        }
        Ending::Stays => commit.put.push(Record::Live(loaded.thread, live)),
        Ending::Sleeps(until, value) => {
            plan.timer = Some(*until);
            go_on(loaded, live, Status::Sleeping { until: *until, value: value.clone() }, commit);
        }
        Ending::Calls(number) => {
            plan.call = true;
            go_on(loaded, live, Status::Calling(*number), commit);
        }
        Ending::Waits(awaited, known) => {
            waiters::register(loaded.thread, awaited, known.as_ref(), commit, plan);
            go_on(loaded, live, Status::Waiting(awaited.clone()), commit);
        }
        Ending::Follows(awaited, known) => {
            waiters::register(loaded.thread, awaited, known.as_ref(), commit, plan);
            go_on(loaded, live, Status::Following(awaited.clone()), commit);
        }
        Ending::Finished(value) => stop(loaded, FutureRecord::Resolved(value.clone()), commit, plan),
        Ending::Failed(failure) => {
            commit.put.push(Record::Unawaited(loaded.thread, Box::new(Failure::clone(failure))));
            stop(loaded, FutureRecord::Failed(failure.clone()), commit, plan);
        }
    }
}

/// The thread stays, with this status.
fn go_on(loaded: &Loaded, mut live: Box<Live>, status: Status, commit: &mut Commit) {
    live.status = status;
    commit.put.push(Record::Live(loaded.thread, live));
}

/// The thread stops, and its Future is done.
fn stop(loaded: &Loaded, done: FutureRecord, commit: &mut Commit, plan: &mut Plan) {
    let thread = loaded.thread;
    commit.expect.push((Key::Future(thread), loaded.own.as_ref().map(|own| own.stamp)));
    commit.put.push(Record::Future(thread, done));
    commit.delete.push(Key::Live(thread));
    let woke = waiters::wake(loaded, commit, plan);
    let first = thread == FIRST;
    if first {
        commit.put.push(Record::Session(SessionRecord { first_stopped: true, ended: None }));
    }
    // One that was woken is live and will look in its turn. The first thread must look itself, as the others did not
    // know yet that it has stopped.
    plan.look_for_end = first || !woke;
}

/// The session's first thread.
pub const FIRST: ThreadId = ThreadId(0);

/// The records that a session begins with.
pub fn start(live: Box<Live>, commit: &mut Commit) {
    commit.expect.push((Key::Session, None));
    commit.put.push(Record::Session(SessionRecord { first_stopped: false, ended: None }));
    commit.fresh.push(Record::Live(FIRST, live));
}

/// The end of a session whose threads have all stopped.
pub fn end(session: Stamp, now: Timestamp, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(session)));
    commit.put.push(Record::Session(SessionRecord { first_stopped: true, ended: Some(now) }));
}

#[cfg(test)]
mod tests;
