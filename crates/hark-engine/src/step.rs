//! Decides a durable step: the changes made by a thread's run. All rules about Futures, continuations and ends are
//! here.
//!
//! The functions are pure: from the loaded records and the outcome of the run they make a [`Commit`] and a [`Plan`] of
//! what to do after it. Losing the plan does no harm, because records say what is still to be done.
//!
//! - **`live/n` is written only by thread n's own step.** A thread is woken by writing `ready/n`, and a step expects
//!   `ready/n` to be unchanged since it was loaded. So a wake during the thread's run makes the commit conflict, and the
//!   step is decided again, with knowledge of the cause of the wake.
//! - **The status of a waiter and its registration at the Future are written in one commit**, which expects the Future
//!   as it was read. The same applies to a result, the Future it resolves, and the waking of waiters. If the two race,
//!   one of them conflicts and reads again.
//! - **A Future that follows another one is a thread that waits with nothing left to run.** Its record remains until the
//!   other Future has a value; then it takes a step, which wakes its own waiters. So a chain costs one step per link,
//!   many Futures may follow the same one, and nothing recurses.
//! - **A step writes what it creates no later than it deletes what it removes**, and a child's number is greater than
//!   its parent's: a scan in the order of thread numbers that finds no live thread proves that there will be none.

mod cancels;
mod destinations;
mod touches;
mod waiters;

use std::sync::Arc;

use hark_machine::{Awaited, Value, Wait};

use crate::commit::Commit;
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::failure::Failure;
use crate::history::{Event, LogEntry};
use crate::id::{FutureId, Stamp, ThreadId};
use crate::place::Place;
use crate::record::{
    About, Awaiting, BeforeMove, Cancelling, FutureRecord, Key, Live, PutBack, Record, SessionRecord, SessionState,
    Status, earliest,
};
use crate::surroundings::Timestamp;
use crate::throttle::{Request, Token};
use crate::turn::AnsweredWait;
pub use cancels::{CancelledPromise, Cancels, Interruption, cancel_batch};
pub use destinations::Destinations;
pub use touches::Touches;
pub(crate) use waiters::starts;
pub use waiters::{Touch, Wanted, wake_batch};

/// The loaded records of a thread.
#[derive(Debug)]
pub struct Loaded {
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record: the fence. None if this step is the first of its session to be written.
    pub live: Option<Stamp>,
    /// The version of its mailbox, if there is something in it.
    pub ready: Option<Stamp>,
    /// Its own Future, if it has a record.
    pub own: Option<Known>,
    /// What it waited for when it was loaded, if that is several Futures or has a deadline. Remains until it has an
    /// answer.
    pub awaiting: Option<Box<Awaiting>>,
    /// Whether it is cancelled, but its record does not say so yet.
    pub is_cancelled: bool,
    /// What it cancels in this step.
    pub cancels: Option<Box<Cancels>>,
    /// Ends its wait with this error, whatever it waits for.
    pub interruption: Option<Box<Interruption>>,
    /// The Futures of a wait that has its answer by now.
    pub(crate) held: Option<Box<AnsweredWait>>,
    /// Futures whose waiters this step changes.
    pub touches: Touches,
    /// Failed Futures that it was the first to await, in this step.
    pub heard: Vec<ThreadId>,
    /// A Future that it waited for and found done without having been woken: its waiter record, if there is one, must
    /// be deleted.
    pub found_done: Option<FutureId>,
    /// The requests with which it held places or queued for them, and those of them that it no longer needs.
    pub tokens: Vec<Token>,
    /// See `tokens`.
    pub given_back: Vec<Token>,
    /// It has lost a place that it needs to continue, and queues for it. Nothing else changes.
    pub lacks_place: bool,
    /// Data of the session's first thread only.
    pub first: Option<Box<First>>,
    /// Whether the session can be resumed if its worker is lost. Only then are more records kept than necessary to
    /// continue: the history, and failed threads.
    pub is_resumable: bool,
}

impl Loaded {
    /// Empty data of this thread.
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

    /// Empties it, except for its thread. This costs less than a new one, since most of it is empty already.
    pub fn clear(&mut self) {
        let Loaded {
            thread: _,
            live,
            ready,
            own,
            awaiting,
            is_cancelled,
            cancels,
            interruption,
            held,
            touches,
            heard,
            found_done,
            tokens,
            given_back,
            lacks_place,
            first,
            is_resumable: _,
        } = self;
        (*live, *ready, *own, *awaiting) = (None, None, None, None);
        (*is_cancelled, *lacks_place) = (false, false);
        (*cancels, *interruption, *held) = (None, None, None);
        (*found_done, *first) = (None, None);
        touches.clear();
        heard.clear();
        tokens.clear();
        given_back.clear();
    }

    /// Gives empty data to another thread.
    pub fn pass_to(&mut self, thread: ThreadId, is_resumable: bool) {
        (self.thread, self.is_resumable) = (thread, is_resumable);
        self.touches.pass_to(thread);
    }

    /// Whether the step cancels this promise.
    pub fn cancels_promise(&self, future: &FutureId) -> bool {
        let promise = self.cancels.as_ref().and_then(|cancels| cancels.promise.as_ref());
        promise.is_some_and(|promise| promise.future == *future)
    }

    /// The number of records in the commit for changes of other threads and Futures.
    pub fn records(&self) -> usize {
        let cancels = self.cancels.as_ref().map_or(0, |cancels| cancels.records());
        cancels + self.heard.len() + self.touches.records()
    }
}

/// Data of the session's first thread, which begins the session and often ends it.
#[derive(Debug)]
pub struct First {
    /// The description of the session.
    pub about: Arc<About>,
    /// The session's record and its version. None if it is not written yet.
    pub session: Option<(Stamp, SessionRecord)>,
    /// Whether the record is from an earlier turn. The step then expects that it is unchanged, because a cancelled
    /// session must not continue.
    pub is_remembered: bool,
    /// Whether no other thread was ever started: then its end is the end of the session.
    pub is_alone: bool,
}

/// A Future's record, as read.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its version.
    pub stamp: Stamp,
    /// Its content.
    pub record: FutureRecord,
}

/// The outcome of a thread's run.
#[derive(Debug, Clone)]
pub enum Ending {
    /// Its turn is over.
    Yielded,
    /// It was woken too early: the event that it waits for has not happened. Nothing changes.
    Stays,
    /// It finished with this value, which is not a Future.
    Finished(Value),
    /// It failed with an error.
    Failed(Arc<Failure>),
    /// It waits for a pending Future, which may have this record.
    Waits(Awaited, Option<Known>),
    /// It waits for several Futures. It must be looked at again if it is not registered as a waiter of all of them.
    Awaits {
        /// Its new status.
        awaiting: Box<Awaiting>,
        /// Its request.
        wait: Box<Wait>,
        /// Whether the wait begins with this step.
        is_new: bool,
    },
    /// It ended with a pending Future, which may have this record.
    Follows(Awaited, Option<Known>),
    /// It sleeps until this time.
    Sleeps(Timestamp),
    /// It has begun the foreign call with this number.
    Calls(u64),
    /// It is about to begin the foreign call with this number, which must be made in another place.
    Moves(u64),
    /// It needs a place of a limit, or a start of a rate.
    Queues(Box<Request>),
}

/// What to do after the commit of a step.
#[derive(Debug, Default)]
pub struct Plan {
    /// Threads to run: new ones, then woken ones, then the thread itself.
    pub invoke: Vec<ThreadId>,
    /// The thread continues at this time.
    pub timer: Option<Timestamp>,
    /// The foreign call must be made.
    pub call: bool,
    /// The session has ended with this step, in this state.
    pub ended: Option<SessionState>,
    /// The thread must enter the queue for this.
    pub queue: Option<Box<Request>>,
    /// The thread has stopped, and may be the last one.
    pub look_for_end: bool,
    /// The thread's Future may have more waiters than the commit has woken.
    pub wake_rest: bool,
    /// The promise that it has cancelled may have more waiters.
    pub wake_rest_of: Option<FutureId>,
    /// Threads that it has started must be cancelled.
    pub cascade: bool,
    /// The thread waits for these Futures with its own records. They must be read once more: their resolvers may have
    /// looked for such records before these existed.
    pub look_again: Vec<FutureId>,
    /// Where threads are leased: the threads held by the process from this commit on.
    pub holds: Vec<ThreadId>,
    /// Threads to be run by other processes.
    pub offered: Vec<Hint>,
}

impl Plan {
    /// Clears the plan.
    pub fn clear(&mut self) {
        // Field by field, because this is done for each step.
        let Plan { invoke, timer, call, ended, queue, look_for_end, wake_rest, wake_rest_of, cascade, .. } = self;
        invoke.clear();
        (*timer, *ended, *queue, *wake_rest_of) = (None, None, None, None);
        (*call, *look_for_end, *wake_rest, *cascade) = (false, false, false, false);
        let Plan { look_again, holds, offered, .. } = self;
        look_again.clear();
        holds.clear();
        offered.clear();
    }

    /// Where threads are leased: this process continues with the thread of the step, if that continues, and with up to
    /// `room` others, as far as it serves their places. The other runnable threads are left to processes that serve
    /// their places, or handed over where each hint starts a process.
    pub fn share(&mut self, own: Option<ThreadId>, room: usize, destinations: &Destinations<'_>, commit: &mut Commit) {
        let own = own.filter(|own| self.call || self.invoke.contains(own) && destinations.may_keep(*own));
        let mut left = room;
        let is_kept = |thread| {
            let is_kept = Some(thread) == own || left > 0 && destinations.may_keep(thread);
            left -= usize::from(is_kept && Some(thread) != own);
            is_kept
        };
        self.offer_unless(is_kept, |thread| destinations.place(thread));
        commit.kept.clear();
        commit.kept.extend(own.into_iter().chain(self.invoke.iter().copied()));
        self.holds = commit.kept.iter().copied().filter(|kept| Some(*kept) == own || starts(commit, *kept)).collect();
        for hint in self.offered.iter_mut().filter(|hint| destinations.hands_over(&hint.place)) {
            // A thread that moves with a call must be taken, so that the call is known not to have begun.
            if commit.moved != Some(hint.thread) {
                hint.held = writes_live(commit, hint.thread).then_some(commit.stamp);
                commit.kept.push(hint.thread);
            }
        }
    }

    /// In a supervisor's worker: the supervisor decides where all other threads run.
    pub fn offer_all_but(&mut self, own: Option<ThreadId>) {
        // The supervisor's workers run all threads, whatever their places.
        self.offer_unless(|thread| Some(thread) == own, |_| Place::default());
    }

    fn offer_unless(&mut self, mut is_kept: impl FnMut(ThreadId) -> bool, place: impl Fn(ThreadId) -> Place) {
        let Plan { invoke, offered, .. } = self;
        let left = invoke.extract_if(.., |thread| !is_kept(*thread));
        offered.extend(left.map(|thread| Hint { place: place(thread), ..Hint::now(thread) }));
    }
}

/// Whether a commit writes the record of this thread.
fn writes_live(commit: &Commit, thread: ThreadId) -> bool {
    let is_it = |record: &Record| matches!(record, Record::Live(live, _) if *live == thread);
    commit.put.iter().any(is_it) || starts(commit, thread)
}

/// Decides the changes of a run. `commit` already contains what the run has collected: new threads and output.
pub fn step(
    loaded: &Loaded,
    ending: &Ending,
    mut live: Box<Live>,
    now: Timestamp,
    commit: &mut Commit,
    plan: &mut Plan,
) {
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
    // A cancelled thread whose call is being stopped handles the cancellation when the call is over.
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
        touch.apply((loaded.thread, &live.demand), future, commit, plan);
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
            live.saved = loaded.is_resumable.then_some(now);
            go_on(loaded, live, Status::Runnable, commit);
        }
        Ending::Stays => {
            // The timer may have been set by a different clock.
            plan.timer = live.status.time().filter(|_| is_timed(loaded, &live.status));
            commit.put.push(Record::Live(loaded.thread, live));
        }
        Ending::Sleeps(until) => {
            plan.timer = Some(*until);
            go_on(loaded, live, Status::Sleeping(*until), commit);
        }
        Ending::Queues(request) => {
            // In memory, the timer of a deadline was armed before.
            plan.timer = if loaded.is_resumable { earliest(request.until, request.deadline) } else { request.until };
            plan.queue = request.until.is_none().then(|| request.clone());
            go_on(loaded, live, Status::Queued(request.clone()), commit);
        }
        Ending::Calls(number) => {
            plan.call = true;
            go_on(loaded, live, Status::Calling(*number), commit);
        }
        Ending::Moves(number) => {
            plan.offered.push(Hint { place: live.demand.place.clone(), ..Hint::now(loaded.thread) });
            commit.moved = Some(loaded.thread);
            if stops.is_some() {
                // Perhaps no process serves that place. So the thread's mailbox is due at the time when it is to be
                // stopped, which any process may do.
                commit.delete.retain(|key| *key != Key::Ready(loaded.thread));
                commit.put.push(Record::Ready(loaded.thread, live.cancelled()));
            }
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
            // A retry continues from there. The stack of an endless recursion is too large to keep, and would only
            // overflow again; and a cancelled thread must not continue.
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

/// Whether a timer must be armed after the commit for a thread with this status. In memory, a wait's timer is armed
/// before, and stored with the thread, so that it can be disarmed when the wait ends.
fn is_timed(loaded: &Loaded, status: &Status) -> bool {
    loaded.is_resumable || matches!(status, Status::Sleeping(_))
}

/// The thread remains, with this status, until the Future is done.
fn wait(
    loaded: &Loaded,
    mut live: Box<Live>,
    status: Status,
    awaited: &Awaited,
    known: Option<&Known>,
    commit: &mut Commit,
    plan: &mut Plan,
) {
    waiters::register((loaded.thread, &live.demand), awaited, known, commit, plan);
    live.status = status;
    commit.put.push(Record::Live(loaded.thread, live));
}

/// The thread remains, with this status.
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
        // A woken thread is live and will check in its turn. It may do so before this commit returns, and then not
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
    // The first thread must check itself, because the others did not know that it has stopped.
    plan.look_for_end = !first.is_alone;
    let (state, ended) = if first.is_alone { (end, Some(now)) } else { (SessionState::Running, None) };
    let retrying = session.retrying && !first.is_alone;
    put_session(SessionRecord { state, first_stopped: true, retrying, ended, ..session }, commit);
}

/// Puts the session's record, replacing one that is already in the commit.
fn put_session(session: SessionRecord, commit: &mut Commit) {
    commit.put.retain(|record| !matches!(record, Record::Session(_)));
    commit.put.push(Record::Session(Box::new(session)));
}

/// The entry of a step's end in the history.
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
        Ending::Yielded | Ending::Stays | Ending::Calls(_) | Ending::Moves(_) | Ending::Awaits { .. } => {
            return None;
        }
    })
}

/// The session's first thread.
pub const FIRST: ThreadId = ThreadId(0);

/// The records of a session that begins without a step.
pub fn start(about: &Arc<About>, live: Box<Live>, commit: &mut Commit) {
    begin(about, commit);
    commit.fresh.push(Record::Live(FIRST, live));
}

fn begin(about: &Arc<About>, commit: &mut Commit) {
    commit.expect.push((Key::Session, None));
    put_session(SessionRecord::new(about.clone()), commit);
}

/// Ends a session whose threads have all stopped.
pub fn end(stamp: Stamp, session: &SessionRecord, state: SessionState, now: Timestamp, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { state, retrying: false, ended: Some(now), ..session.clone() }, commit);
}

/// Cancels all threads of a session from outside. They are cancelled with this commit or in further ones, because they
/// may be many.
pub fn begin_cancel(stamp: Stamp, session: &SessionRecord, how_far: Cancelling, now: Timestamp, commit: &mut Commit) {
    if session.cancelling.is_none() {
        commit.log.push(LogEntry { time: now, thread: FIRST, event: Event::Cancelled });
    }
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { cancelling: Some(how_far), ..session.clone() }, commit);
}

/// All threads of the session are cancelled.
pub fn end_cancel(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { cancelling: Some(Cancelling::Told), ..session.clone() }, commit);
}

/// Ends a session from outside. It has started this many threads.
pub fn cancel(stamp: Stamp, session: &SessionRecord, threads: u64, now: Timestamp, commit: &mut Commit) {
    if session.cancelling.is_none() {
        commit.log.push(LogEntry { time: now, thread: FIRST, event: Event::Cancelled });
    }
    end(stamp, &SessionRecord { threads: Some(threads), ..session.clone() }, SessionState::Cancelled, now, commit);
    // Makes the server of the session look at this thread, and notice that the session is over.
    commit.put.push(Record::Ready(FIRST, Demand { place: Place::anywhere(), ..Demand::default() }));
}

/// Marks a session that is not running as being exported. From here on it does not change.
pub fn begin_move(stamp: Stamp, session: &SessionRecord, now: Timestamp, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    let before_move = Some(BeforeMove { state: session.state, ended: session.ended, since: Some(now) });
    put_session(SessionRecord { state: SessionState::Moving, ended: None, before_move, ..session.clone() }, commit);
}

/// Undoes a move. `session` is the record of the moving session.
pub fn undo_move(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(session.as_before_move(), commit);
}

/// Ends a move. All records remain here, so that the session can be exported again.
pub fn end_move(stamp: Stamp, session: &SessionRecord, now: Timestamp, commit: &mut Commit) {
    end(stamp, session, SessionState::Moved, now, commit);
}

/// Resolves or fails a Future from outside, which must be pending: `known` is its record, if it has one.
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

/// Reopens a broken session. Its failed threads are put back in further commits, because they may be many; until
/// [`end_retry`] its record says so, and none of them runs.
pub fn begin_retry(stamp: Stamp, session: &SessionRecord, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    let state = SessionState::Running;
    put_session(
        SessionRecord { state, retrying: true, put_back: None, any_code: true, ended: None, ..session.clone() },
        commit,
    );
}

/// This commit puts some failed threads back, including this one. The session's record names the thread at once,
/// because another process may take it, and complete the retry, before the retrying process continues.
pub fn note_put_back(stamp: Stamp, session: &SessionRecord, thread: ThreadId, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    let put_back = Some(PutBack { thread, stamp: commit.stamp });
    put_session(SessionRecord { put_back, ..session.clone() }, commit);
}

/// All failed threads are put back. `first_stopped` says whether the first one was not among them.
pub fn end_retry(stamp: Stamp, session: &SessionRecord, first_stopped: bool, commit: &mut Commit) {
    commit.expect.push((Key::Session, Some(stamp)));
    put_session(SessionRecord { first_stopped, retrying: false, ..session.clone() }, commit);
}

/// Puts back a failed thread: its Future is pending again, and still counts as awaited if it was. `future` is the
/// version of its record. The commit must expect the record of the session that is being retried.
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
    let demand = live.demand.clone();
    commit.put.push(Record::Live(thread, live));
    commit.put.push(Record::Ready(thread, demand));
    if was_awaited {
        commit.put.push(Record::Future(thread.into(), FutureRecord::awaited()));
    } else {
        commit.delete.push(Key::Future(thread.into()));
        commit.delete.push(Key::Unawaited(thread));
    }
    commit.delete.push(Key::Broken(thread));
    commit.log.push(LogEntry { time: now, thread, event: Event::Retried });
}

/// Breaks a running session that has lost its first thread: there is neither a record of it nor a result.
pub fn end_without_threads(
    stamp: Stamp,
    session: &SessionRecord,
    failure: Failure,
    now: Timestamp,
    commit: &mut Commit,
) {
    let (kind, message) = (failure.error.kind.to_string(), failure.error.message.to_string());
    commit.log.push(LogEntry { time: now, thread: FIRST, event: Event::Broke { kind, message } });
    let failed = FutureRecord::Failed(Arc::new(failure.clone()));
    commit.expect.push((Key::Live(FIRST), None));
    commit.expect.push((Key::Future(FIRST.into()), None));
    commit.put.push(Record::Future(FIRST.into(), failed));
    commit.put.push(Record::Unawaited(FIRST, Box::new(failure)));
    end(stamp, &SessionRecord { first_stopped: true, ..session.clone() }, SessionState::Broken, now, commit);
}

#[cfg(test)]
mod tests;
