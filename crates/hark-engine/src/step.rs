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

mod cancels;
mod touches;
mod waiters;

use std::sync::Arc;

use hark_machine::{Awaited, Value, Wait};

use crate::commit::Commit;
use crate::dispatch::Hint;
use crate::failure::Failure;
use crate::history::{Event, LogEntry};
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{
    About, Awaiting, BeforeMove, Cancelling, FutureRecord, Key, Live, Record, SessionRecord, SessionState, Status,
    earliest,
};
use crate::surroundings::Timestamp;
use crate::throttle::{Request, Token};
use crate::turn::AnsweredWait;
pub use cancels::{CancelledPromise, Cancels, Interruption, cancel_batch};
pub use touches::Touches;
pub(crate) use waiters::starts;
pub use waiters::{Touch, Wanted, wake_batch};

/// What was loaded of a thread.
#[derive(Debug)]
pub struct Loaded {
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record: the fence. None if this step is the first of its session to be written.
    pub live: Option<Stamp>,
    /// The version of its mailbox, if there is something in it.
    pub ready: Option<Stamp>,
    /// Its own Future, if someone waits for it.
    pub own: Option<Known>,
    /// What it waited for when it was loaded, if that was not just one Future. It stands there until it has an answer.
    pub awaiting: Option<Box<Awaiting>>,
    /// Whether it is cancelled, and its record does not say so yet.
    pub is_cancelled: bool,
    /// What it cancels with this step.
    pub cancels: Option<Box<Cancels>>,
    /// Its wait ends with this, whatever it waits for.
    pub interruption: Option<Box<Interruption>>,
    /// Futures of a wait that has its answer by now.
    pub(crate) held: Option<Box<AnsweredWait>>,
    /// Futures of which this step changes who waits for them.
    pub touches: Touches,
    /// Failed Futures, awaited by nobody before, that it awaited in this step.
    pub heard: Vec<ThreadId>,
    /// The Future that it had waited for, and found done without having been woken: its record among the waiters, if it
    /// has one, is still there.
    pub found_done: Option<FutureId>,
    /// The requests by which it had places or queued for them, and of these, those that it needs no more.
    pub tokens: Vec<Token>,
    /// See `tokens`.
    pub given_back: Vec<Token>,
    /// It has lost a place that it needs before it goes on, and queues for it. All else stays as it is.
    pub lacks_place: bool,
    /// What only the session's first thread has to know.
    pub first: Option<Box<First>>,
    /// Whether the session can be taken up again when its worker is lost. Only then is more kept of it than it needs to
    /// go on: what happened, and threads that failed.
    pub is_resumable: bool,
}

impl Loaded {
    /// Nothing yet of this thread.
    pub fn nothing(thread: ThreadId, is_resumable: bool) -> Loaded {
        Loaded {
            thread,
            live: None,
            ready: None,
            own: None,
            awaiting: None,
            is_cancelled: false,
            cancels: None,
            interruption: None,
            held: None,
            touches: Touches::new(thread),
            heard: Vec::new(),
            found_done: None,
            tokens: Vec::new(),
            given_back: Vec::new(),
            lacks_place: false,
            first: None,
            is_resumable,
        }
    }

    /// Whether the step cancels this promise.
    pub fn cancels_promise(&self, future: &FutureId) -> bool {
        let promise = self.cancels.as_ref().and_then(|cancels| cancels.promise.as_ref());
        promise.is_some_and(|promise| promise.future == *future)
    }

    /// How many records a commit touches for what the step has gathered of other threads and Futures.
    pub fn records(&self) -> usize {
        let cancels = self.cancels.as_ref().map_or(0, |cancels| cancels.records());
        cancels + self.heard.len() + self.touches.records()
    }
}

/// What the session's first thread knows beyond the others: with it the session begins, and often ends.
#[derive(Debug)]
pub struct First {
    /// What the session is about.
    pub about: Arc<About>,
    /// The session's record and its version. None if it is not written yet.
    pub session: Option<(Stamp, SessionRecord)>,
    /// That record is from an earlier turn. The step expects that it is still the same, as a session that was cancelled
    /// must not go on.
    pub is_remembered: bool,
    /// Whether no other thread was ever started: then its end is the session's.
    pub is_alone: bool,
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
    /// It needs more of these Futures than have values. It is to be looked at again if it is not entered among the waiters of
    /// all of them.
    Awaits {
        /// What it is about from now on.
        awaiting: Box<Awaiting>,
        /// What it has asked for.
        wait: Box<Wait>,
        /// The wait begins with this.
        is_new: bool,
    },
    /// It came to its end with a Future that has no value: this is its record, if there is one.
    Follows(Awaited, Option<Known>),
    /// It goes on at a time.
    Sleeps(Timestamp),
    /// It has begun a foreign call: which of its calls.
    Calls(u64),
    /// It needs a place of a limit, or a start of a rate.
    Queues(Box<Request>),
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
    /// The session has ended with this step, as this.
    pub ended: Option<SessionState>,
    /// The thread is to enter the queue for this.
    pub queue: Option<Box<Request>>,
    /// The thread has stopped, and may be the last one.
    pub look_for_end: bool,
    /// More may wait for the thread's Future than the commit has woken.
    pub wake_rest: bool,
    /// More may wait for this promise, which it has cancelled.
    pub wake_rest_of: Option<FutureId>,
    /// There are threads that it has started to be cancelled.
    pub cascade: bool,
    /// The thread waits with records of its own for these Futures, which must be read once more: their resolvers may have
    /// looked for such records before there were these.
    pub look_again: Vec<FutureId>,
    /// Where threads are leased: those that the process holds from this commit on.
    pub holds: Vec<ThreadId>,
    /// Threads to be run by other processes.
    pub offered: Vec<Hint>,
}

impl Plan {
    /// Begins anew.
    pub fn clear(&mut self) {
        // Field by field, as it is done for each step.
        let Plan { invoke, timer, call, ended, queue, look_for_end, wake_rest, wake_rest_of, cascade, .. } = self;
        invoke.clear();
        (*timer, *ended, *queue, *wake_rest_of) = (None, None, None, None);
        (*call, *look_for_end, *wake_rest, *cascade) = (false, false, false, false);
        let Plan { look_again, holds, offered, .. } = self;
        look_again.clear();
        holds.clear();
        offered.clear();
    }

    /// Where threads are leased: this process goes on with the thread whose step it is, if that goes on, and with so many
    /// others. The rest of those to be run are left to whoever comes.
    pub fn share(&mut self, own: Option<ThreadId>, room: usize, commit: &mut Commit) {
        let own = own.filter(|own| self.call || self.invoke.contains(own));
        let mut left = room;
        self.offer_unless(|thread| {
            let is_kept = Some(thread) == own || left > 0;
            left -= usize::from(is_kept && Some(thread) != own);
            is_kept
        });
        commit.kept.clear();
        commit.kept.extend(own.into_iter().chain(self.invoke.iter().copied()));
        self.holds = commit.kept.iter().copied().filter(|kept| Some(*kept) == own || starts(commit, *kept)).collect();
    }

    /// In a supervisor's worker: the supervisor decides where all other threads run.
    pub fn offer_all_but(&mut self, own: Option<ThreadId>) {
        self.offer_unless(|thread| Some(thread) == own);
    }

    fn offer_unless(&mut self, mut is_kept: impl FnMut(ThreadId) -> bool) {
        let Plan { invoke, offered, .. } = self;
        offered.extend(invoke.extract_if(.., |thread| !is_kept(*thread)).map(Hint::now));
    }
}

/// Decides what a run changes. `commit` holds already what the run gathered: new threads and output.
pub fn step(loaded: &Loaded, ending: &Ending, live: Box<Live>, now: Timestamp, commit: &mut Commit, plan: &mut Plan) {
    plan.clear();
    if loaded.is_resumable
        && let Some(event) = event(ending)
    {
        commit.log.push(LogEntry { time: now, thread: loaded.thread, event });
    }
    match loaded.first.as_deref() {
        Some(First { about, session: None, .. }) => begin(about, commit),
        _ => commit.expect.push((Key::Live(loaded.thread), loaded.live)),
    }
    commit.expect.push((Key::Ready(loaded.thread), loaded.ready));
    let has_ended = matches!(ending, Ending::Finished(_) | Ending::Failed(_));
    if !has_ended && let Some(First { session: Some((stamp, _)), is_remembered: true, .. }) = loaded.first.as_deref() {
        commit.expect.push((Key::Session, Some(*stamp)));
    }
    // A cancelled thread whose call under way is being stopped takes note of that when the call is over.
    if loaded.ready.is_some() && (!loaded.is_cancelled || live.stops.is_some() || has_ended) {
        commit.delete.push(Key::Ready(loaded.thread));
        if loaded.is_cancelled {
            commit.delete.push(Key::Cancel(loaded.thread));
        }
    }
    commit.delete.extend(loaded.heard.iter().map(|failed| Key::Unawaited(*failed)));
    if let Some(future) = &loaded.found_done {
        commit.delete.push(Key::Wait { future: future.clone(), waiter: loaded.thread });
    }
    for (future, touch) in loaded.touches.iter() {
        touch.apply(loaded.thread, future, commit, plan);
    }
    plan.invoke.extend(commit.fresh.iter().filter_map(|record| match record {
        Record::Live(child, _) => Some(*child),
        _ => None,
    }));
    if let Some(cancels) = &loaded.cancels {
        cancels.apply(loaded.thread, commit, plan);
    }
    let stops = live.stops;
    match ending {
        Ending::Yielded => {
            plan.invoke.push(loaded.thread);
            go_on(loaded, live, Status::Runnable, commit);
        }
        Ending::Stays => {
            // Whoever kept the time may have done so with another clock.
            plan.timer = live.status.time().filter(|_| is_timed(loaded, &live.status));
            commit.put.push(Record::Live(loaded.thread, live));
        }
        Ending::Sleeps(until) => {
            plan.timer = Some(*until);
            go_on(loaded, live, Status::Sleeping(*until), commit);
        }
        Ending::Queues(request) => {
            // In memory a deadline's timer is armed before.
            plan.timer = if loaded.is_resumable { earliest(request.until, request.deadline) } else { request.until };
            plan.queue = request.until.is_none().then(|| request.clone());
            go_on(loaded, live, Status::Queued(request.clone()), commit);
        }
        Ending::Calls(number) => {
            plan.call = true;
            go_on(loaded, live, Status::Calling(*number), commit);
        }
        Ending::Waits(awaited, known) => {
            let status = Status::Waiting(awaited.clone());
            wait(loaded, live, status, awaited, known.as_ref(), commit, plan);
        }
        Ending::Awaits { awaiting, .. } => {
            let status = Status::Awaiting(awaiting.clone());
            if !awaiting.is_entered {
                plan.invoke.push(loaded.thread);
            } else if is_timed(loaded, &status) {
                plan.timer = awaiting.deadline;
            }
            go_on(loaded, live, status, commit);
        }
        Ending::Follows(awaited, known) => {
            let status = Status::Following(awaited.clone());
            wait(loaded, live, status, awaited, known.as_ref(), commit, plan);
        }
        Ending::Finished(value) => stop(loaded, FutureRecord::Resolved(value.clone()), now, commit, plan),
        Ending::Failed(failure) => {
            let is_awaited = loaded.own.as_ref().is_some_and(|own| own.record.is_pending());
            if !is_awaited && failure.breaks() {
                commit.put.push(Record::Unawaited(loaded.thread, Box::new(Failure::clone(failure))));
            }
            // A retry goes on from there. An endless recursion's stack is too large to keep, and would only end so again;
            // and what was cancelled is not to go on.
            if loaded.is_resumable && !matches!(&*failure.error.kind, "stack" | "cancelled") {
                commit.put.push(Record::Broken(loaded.thread, live));
            }
            let failure =
                if is_awaited { Arc::new(Failure { is_awaited, ..Failure::clone(failure) }) } else { failure.clone() };
            stop(loaded, FutureRecord::Failed(failure), now, commit, plan);
        }
    }
    if stops.is_some()
        && matches!(
            ending,
            Ending::Waits(..) | Ending::Awaits { .. } | Ending::Follows(..) | Ending::Sleeps(_) | Ending::Queues(_)
        )
    {
        plan.timer = earliest(plan.timer, stops);
    }
}

/// Whether a timer is to be armed after the commit for a thread with this status. In memory a wait's timer is armed before,
/// and kept with the thread, so that whoever ends the wait can disarm it.
fn is_timed(loaded: &Loaded, status: &Status) -> bool {
    loaded.is_resumable || matches!(status, Status::Sleeping(_))
}

/// The thread stays, with this status, until the Future is done.
fn wait(
    loaded: &Loaded,
    mut live: Box<Live>,
    status: Status,
    awaited: &Awaited,
    known: Option<&Known>,
    commit: &mut Commit,
    plan: &mut Plan,
) {
    waiters::register(loaded.thread, awaited, known, commit, plan);
    live.status = status;
    commit.put.push(Record::Live(loaded.thread, live));
}

/// The thread stays, with this status.
fn go_on(loaded: &Loaded, mut live: Box<Live>, status: Status, commit: &mut Commit) {
    live.status = status;
    commit.put.push(Record::Live(loaded.thread, live));
}

/// The thread stops, and its Future is done.
fn stop(loaded: &Loaded, done: FutureRecord, now: Timestamp, commit: &mut Commit, plan: &mut Plan) {
    let thread = loaded.thread;
    let has_failed = matches!(done, FutureRecord::Failed(_));
    let breaks = matches!(&done, FutureRecord::Failed(failure) if failure.breaks());
    commit.expect.push((Key::Future(thread.into()), loaded.own.as_ref().map(|own| own.stamp)));
    commit.put.push(Record::Future(thread.into(), done));
    commit.delete.push(Key::Live(thread));
    let woke = waiters::wake(loaded, has_failed, commit, plan);
    let Some(first) = &loaded.first else {
        // One that was woken is live and will look in its turn. It may do so before this commit returns, and then not
        // see all of it, unless the storage is in memory.
        plan.look_for_end = !woke || loaded.is_resumable;
        return;
    };
    let session = match &first.session {
        Some((stamp, session)) => {
            commit.expect.push((Key::Session, Some(*stamp)));
            session.clone()
        }
        None => SessionRecord::new(first.about.clone()),
    };
    let end = session.state_at_end(breaks);
    plan.ended = first.is_alone.then_some(end);
    // The first thread must look itself, as the others did not know yet that it has stopped.
    plan.look_for_end = !first.is_alone;
    let (state, ended) = if first.is_alone { (end, Some(now)) } else { (SessionState::Running, None) };
    let retrying = session.retrying && !first.is_alone;
    put_session(SessionRecord { state, first_stopped: true, retrying, ended, ..session }, commit);
}

/// A commit has one record of the session at most.
fn put_session(session: SessionRecord, commit: &mut Commit) {
    commit.put.retain(|record| !matches!(record, Record::Session(_)));
    commit.put.push(Record::Session(Box::new(session)));
}

/// What a step's end is in the session's history.
fn event(ending: &Ending) -> Option<Event> {
    Some(match ending {
        Ending::Finished(_) => Event::Finished,
        Ending::Failed(failure) => {
            Event::Broke { kind: failure.error.kind.to_string(), message: failure.error.message.to_string() }
        }
        Ending::Waits(awaited, _) => Event::Waited { future: awaited.into() },
        Ending::Awaits { awaiting, is_new: true, .. } => Event::Awaited {
            until: awaiting.until.into(),
            futures: awaiting.futures.iter().map(FutureId::from).collect(),
            count: awaiting.count,
            deadline: awaiting.deadline,
        },
        Ending::Follows(awaited, _) => Event::Followed { future: awaited.into() },
        Ending::Sleeps(until) => Event::Slept { until: *until },
        Ending::Queues(request) => Event::Queued { gate: request.gate.clone(), until: request.until },
        Ending::Yielded | Ending::Stays | Ending::Calls(_) | Ending::Awaits { .. } => return None,
    })
}

/// The session's first thread.
pub const FIRST: ThreadId = ThreadId(0);

/// The records that a session begins with, if it does so without a step.
pub fn start(about: &Arc<About>, live: Box<Live>, commit: &mut Commit) {
    begin(about, commit);
    commit.fresh.push(Record::Live(FIRST, live));
}

fn begin(about: &Arc<About>, commit: &mut Commit) {
    commit.expect.push((Key::Session, None));
    put_session(SessionRecord::new(about.clone()), commit);
}

/// The end of a session whose threads have all stopped.
pub fn end(stamp: Stamp, session: &SessionRecord, state: SessionState, now: Timestamp, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { state, retrying: false, ended: Some(now), ..session.clone() }, commit);
}

/// Someone outside cancels all threads of a session. They are told with this commit, or in further ones, as they may be many.
pub fn begin_cancel(stamp: Stamp, session: &SessionRecord, how_far: Cancelling, now: Timestamp, commit: &mut Commit) {
    if session.cancelling.is_none() {
        commit.log.push(LogEntry { time: now, thread: FIRST, event: Event::Cancelled });
    }
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { cancelling: Some(how_far), ..session.clone() }, commit);
}

/// All of its threads are told.
pub fn end_cancel(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { cancelling: Some(Cancelling::Told), ..session.clone() }, commit);
}

/// Someone outside wants no more of a session, which has started so many threads.
pub fn cancel(stamp: Stamp, session: &SessionRecord, threads: u64, now: Timestamp, commit: &mut Commit) {
    if session.cancelling.is_none() {
        commit.log.push(LogEntry { time: now, thread: FIRST, event: Event::Cancelled });
    }
    end(stamp, &SessionRecord { threads: Some(threads), ..session.clone() }, SessionState::Cancelled, now, commit);
    // Whoever serves the session looks at this thread, and sees that there is nothing more to do.
    commit.put.push(Record::Ready(FIRST));
}

/// A session that nobody runs is about to be written to a file. From here on nothing of it changes.
pub fn begin_move(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    let before_move = Some(BeforeMove { state: session.state, ended: session.ended });
    put_session(SessionRecord { state: SessionState::Moving, ended: None, before_move, ..session.clone() }, commit);
}

/// It was not written after all: it is again what it was. `session` is its record while it is moving.
pub fn undo_move(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(session.as_before_move(), commit);
}

/// It was written, and is in another storage now. Here all of it stays as it was, and can be taken there again.
pub fn end_move(stamp: Stamp, session: &SessionRecord, now: Timestamp, commit: &mut Commit) {
    end(stamp, session, SessionState::Moved, now, commit);
}

/// What resolves or fails a Future from outside, which must be pending: `known` is its record, if it has one.
pub fn resolve(
    future: &FutureId,
    known: Option<&Known>,
    done: FutureRecord,
    now: Timestamp,
    commit: &mut Commit,
    plan: &mut Plan,
) {
    plan.clear();
    let event = match &done {
        FutureRecord::Failed(failure) => {
            Event::FailedOutside { future: future.clone(), message: failure.error.message.to_string() }
        }
        _ => Event::Resolved { future: future.clone() },
    };
    commit.log.push(LogEntry { time: now, thread: FIRST, event });
    commit.expect.push((Key::Future(future.clone()), known.map(|known| known.stamp)));
    let has_failed = matches!(done, FutureRecord::Failed(_));
    commit.put.push(Record::Future(future.clone(), done));
    waiters::wake_waiters(future, known.map(|known| &known.record), has_failed, commit, plan);
}

/// A broken session goes on. Its failed threads are put back in further commits, as they may be many; until
/// [`end_retry`] its record says so, and nobody runs any of them.
pub fn begin_retry(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    let state = SessionState::Running;
    put_session(SessionRecord { state, retrying: true, ended: None, ..session.clone() }, commit);
}

/// All failed threads are put back. `first_stopped` says whether the first one was not among them.
pub fn end_retry(stamp: Stamp, session: &SessionRecord, first_stopped: bool, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { first_stopped, retrying: false, ..session.clone() }, commit);
}

/// A thread that had failed goes on from there: its Future is pending again, and awaited if it was. `future` is its
/// record's version; the commit expects the session as it is while it is being retried.
pub fn retry(
    thread: ThreadId,
    live: Box<Live>,
    future: Option<Stamp>,
    was_awaited: bool,
    now: Timestamp,
    commit: &mut Commit,
) {
    commit.expect.push((Key::Live(thread), None));
    commit.expect.push((Key::Future(thread.into()), future));
    commit.put.push(Record::Live(thread, live));
    commit.put.push(Record::Ready(thread));
    if was_awaited {
        commit.put.push(Record::Future(thread.into(), FutureRecord::awaited()));
    } else {
        commit.delete.push(Key::Future(thread.into()));
        commit.delete.push(Key::Unawaited(thread));
    }
    commit.delete.push(Key::Broken(thread));
    commit.log.push(LogEntry { time: now, thread, event: Event::Retried });
}

/// A session that goes on has lost its first thread, which has neither a record nor a result: it ends, broken.
pub fn end_without_threads(
    stamp: Stamp,
    session: &SessionRecord,
    failure: Failure,
    now: Timestamp,
    commit: &mut Commit,
) {
    let failed = FutureRecord::Failed(Arc::new(failure.clone()));
    commit.expect.push((Key::Live(FIRST), None));
    commit.expect.push((Key::Future(FIRST.into()), None));
    commit.put.push(Record::Future(FIRST.into(), failed));
    commit.put.push(Record::Unawaited(FIRST, Box::new(failure)));
    end(stamp, &SessionRecord { first_stopped: true, ..session.clone() }, SessionState::Broken, now, commit);
}

#[cfg(test)]
mod tests;
