//! The records of a session: typed values under keys.
//!
//! The memory storage keeps records as they are, including live threads; a durable storage encodes them (see
//! [`crate::codec`]).

mod started;
mod waiting;

use std::sync::Arc;

use hark_bytecode::ForeignIndex;
use hark_machine::{Awaited, Thread, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::demand::Demand;
use crate::failure::Failure;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::invoker::TimerId;
use crate::labels::Labels;
use crate::leases::Terms;
use crate::limits::THREADS_MAX;
use crate::place::Place;
use crate::surroundings::Timestamp;
use crate::suspend::Suspensions;
use crate::throttle::{HeldPlace, Places, Request, Token};
pub use started::Started;
pub use waiting::{Awaiting, Interest, Waiter, Waiters};

/// The key of a record within its session. Records of a kind are ordered by their numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The session's summary.
    Session,
    /// Exists while the thread has not stopped. Only the thread's own step writes it (and its parent's, which creates
    /// it).
    Live(ThreadId),
    /// *Look at this thread*: written blindly by any process, deleted by the thread's step if it is unchanged.
    Ready(ThreadId),
    /// *This thread is cancelled*: written blindly by any process, together with `Ready`, and deleted by the thread's
    /// step that handles it. Because both are written together, a step that expects `Ready` unchanged need not check
    /// it.
    Cancel(ThreadId),
    /// Threads started by this one before it was cancelled, which must be cancelled as well.
    Cascade(ThreadId),
    /// A Future. If absent, it is pending without waiters.
    Future(FutureId),
    /// A waiter that did not fit in the Future's own record.
    Wait {
        /// The Future.
        future: FutureId,
        /// The waiting thread.
        waiter: ThreadId,
    },
    /// This Future has waiters that must still be woken.
    Todo(FutureId),
    /// A failed Future that has not been awaited.
    Unawaited(ThreadId),
    /// A thread in its state at the failure, from where it can be retried.
    Broken(ThreadId),
}

/// The content of a record. Each variant belongs to the key of the same name.
#[derive(Debug)]
#[allow(missing_docs, reason = "see `Key`")]
pub enum Record {
    Session(Box<SessionRecord>),
    Live(ThreadId, Box<Live>),
    /// The thread, and its demand.
    Ready(ThreadId, Demand),
    Cancel(ThreadId),
    Cascade(ThreadId, Started),
    Future(FutureId, FutureRecord),
    Wait {
        future: FutureId,
        waiter: Waiter,
    },
    Todo(FutureId),
    Unawaited(ThreadId, Box<Failure>),
    Broken(ThreadId, Box<Live>),
}

/// A record and its version: the commit that wrote it.
#[derive(Debug)]
pub struct Versioned {
    /// The version.
    pub stamp: Stamp,
    /// The content.
    pub record: Record,
}

/// A session's summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// Its description, which never changes.
    #[serde(flatten)]
    pub about: Arc<About>,
    /// Its state.
    pub state: SessionState,
    /// Whether the first thread has stopped.
    pub first_stopped: bool,
    /// It was broken and is being retried: some failed threads must still be put back. This is completed before the
    /// session is opened, so that no thread runs before all of them can.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retrying: bool,
    /// One of the threads that the last retry has put back. Where threads are leased, the process that takes this
    /// version of it logs the retry, so that one process does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<PutBack>,
    /// Whether processes with any code may run it, whatever code it was started with, because it was retried, perhaps
    /// after its functions were corrected, or was imported from another storage.
    #[serde(default, skip_serializing_if = "is_false")]
    pub any_code: bool,
    /// Its threads were cancelled from outside. It ends as cancelled, whatever the outcome of its threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelling: Option<Cancelling>,
    /// When all of its threads had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// The number of threads it had started when it was cancelled, because their records are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "count_of_threads")]
    pub threads: Option<u64>,
    /// Its state before it was moved to another storage. Only set for sessions that are *moving* or *moved*.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_move: Option<BeforeMove>,
}

/// A failed thread that continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutBack {
    /// The thread.
    pub thread: ThreadId,
    /// The version of its record with which it was put back.
    pub stamp: Stamp,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// The progress of the cancellation of a session's threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cancelling {
    /// Some threads must still be cancelled.
    Begun,
    /// All of them are cancelled.
    Told,
}

/// The state of a session before it was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeMove {
    /// Its state.
    pub state: SessionState,
    /// When all of its threads had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// When the move began. Older records do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
}

fn count_of_threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(count) if count > THREADS_MAX => Err(D::Error::custom("more threads than a session may have")),
        count => Ok(count),
    }
}

impl SessionRecord {
    /// Whether a command with several commits is in progress. If its process has ended, the next one to find the
    /// session completes or undoes it.
    pub fn is_half_way(&self) -> bool {
        let is_changed = self.retrying || self.cancelling == Some(Cancelling::Begun);
        self.state.is_in_transit() || self.state == SessionState::Running && is_changed
    }

    /// The name of the code that must run it, if not any code may.
    pub fn code(&self) -> Option<&str> {
        self.about.code.as_deref().filter(|_| !self.any_code)
    }

    /// The record before the move, or unchanged if it is not moved.
    pub fn as_before_move(&self) -> SessionRecord {
        let BeforeMove { state, ended, .. } =
            self.before_move.clone().unwrap_or(BeforeMove { state: self.state, ended: self.ended, since: None });
        SessionRecord { state, ended, before_move: None, ..self.clone() }
    }

    /// The state once all its threads have stopped; `breaks` says whether there is an unhandled failure.
    pub fn state_at_end(&self, breaks: bool) -> SessionState {
        match (self.cancelling, breaks) {
            (Some(_), _) => SessionState::Cancelled,
            (None, true) => SessionState::Broken,
            (None, false) => SessionState::Finished,
        }
    }

    /// A session that has just started.
    pub fn new(about: Arc<About>) -> SessionRecord {
        SessionRecord {
            about,
            state: SessionState::Running,
            first_stopped: false,
            retrying: false,
            put_back: None,
            any_code: false,
            cancelling: None,
            ended: None,
            threads: None,
            before_move: None,
        }
    }
}

/// The description of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The hash of its program, in hexadecimal digits.
    pub program: String,
    /// The program's file.
    pub file: String,
    /// The function that it started with.
    pub function: String,
    /// The arguments of the function, as text.
    pub arguments: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
    /// Its key and tags.
    #[serde(flatten)]
    pub labels: Labels,
    /// The hash of the complete arguments, if it has a key: a second start must have the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments_hash: Option<String>,
    /// The name of the code that it was started with, where processes with several versions of the code run sessions:
    /// see [`Options::code`](crate::Options).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// The state of a session, as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It has threads that have not stopped.
    Running,
    /// All its threads finished.
    Finished,
    /// All its threads have stopped, and there are unhandled failures.
    Broken,
    /// It was ended from outside.
    Cancelled,
    /// It is being exported to a file. If that process dies, the session returns to its previous state.
    Moving,
    /// It was moved to another storage.
    Moved,
    /// It is being imported from a file. Only the import's own commits change it; if its process dies, it is deleted.
    Importing,
}

/// A thread that has not stopped.
#[derive(Debug)]
pub struct Live {
    /// Its status.
    pub status: Status,
    /// The state of its execution.
    pub state: State,
    /// Its priority at its last step, and the place where it continues.
    pub demand: Demand,
    /// Its home: the place of its function.
    pub home: Place,
    /// The number of foreign calls it has started.
    pub calls: u64,
    /// The number of attempts of the last call.
    pub attempts: u32,
    /// The foreign call in flight, for a process that must repeat it. Only set in durable sessions.
    pub call: Option<Box<PendingCall>>,
    /// Its call waits for a process that serves the call's place, and so has certainly not begun. Only set while it is
    /// [`Calling`](Status::Calling).
    pub waits_for_pool: bool,
    /// The last progress of the last call, as JSON, unless the call has returned.
    pub progress: Option<Box<str>>,
    /// How often its worker was lost since its last progress.
    pub losses: u32,
    /// When it was last saved in the middle of a computation, which the history does not record: its worker was still
    /// alive then. None if it has done anything else since. Only set in durable sessions.
    pub saved: Option<Timestamp>,
    /// The thread that started it; the first thread is its own parent.
    pub parent: ThreadId,
    /// The threads it has started.
    pub started: Started,
    /// When it is stopped, if it has not stopped by itself. Only set for cancelled threads.
    pub stops: Option<Timestamp>,
    /// The places of limits that it holds, or that count for it.
    pub places: Places,
    /// The timer that ends its wait, in memory.
    pub(crate) timer: Option<TimerId>,
    /// Where it is suspended, for tests.
    pub(crate) suspensions: Option<Box<Suspensions>>,
}

/// A foreign call without a recorded result.
#[derive(Debug, Clone)]
pub struct PendingCall {
    /// The called import.
    pub foreign: ForeignIndex,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// The time limit of an attempt, in seconds.
    pub timeout: Option<f64>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// Each time it was to be made, the maximum number of calls was already in flight: it may never have begun.
    pub is_queued: bool,
}

/// The state of a thread's execution. The memory storage gives it to the reader of its record, and to no other until it
/// is put back: a thread is run by one worker at a time, and copying it would cost more than its turn.
///
/// Invariant: a thread is [`Ended`](State::Ended) exactly if its status is [`Following`](Status::Following), and an
/// [`Away`](State::Away) thread is never encoded.
#[derive(Debug)]
pub enum State {
    /// The thread.
    Present(Thread),
    /// It has ended, and only follows a Future: there is nothing left to run.
    Ended,
    /// It is not in this record: a worker is running it, or the record is from a scan.
    Away,
}

/// The status of a live thread.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It can run.
    Runnable,
    /// It waits for a Future's value.
    Waiting(Awaited),
    /// It waits for several Futures, or with a deadline. Running it shows which Futures.
    Awaiting(Box<Awaiting>),
    /// It ended with a Future as its value, which its own Future follows.
    Following(Awaited),
    /// It sleeps until this time. The result of the `sleep` is already in its state.
    Sleeping(Timestamp),
    /// A foreign call with this number is in flight.
    Calling(u64),
    /// It waits for a place of a limit, or a start of a rate.
    Queued(Box<Request>),
}

/// When a record must be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// At this time.
    At(Timestamp),
    /// When its session is taken over after a worker was lost: until then, the server of the session knows about it.
    AtTakeover,
    /// A process holds the thread until this time, unless it renews its lease. After that, the process was lost.
    Leased(Timestamp),
    /// At this time; the thread's call had not begun when it was withdrawn.
    Withdrawn(Timestamp),
}

/// The state of a Future.
#[derive(Debug, Clone)]
pub enum FutureRecord {
    /// It has a value.
    Resolved(Value),
    /// Its thread failed.
    Failed(Arc<Failure>),
    /// It is pending, and this thread waits.
    AwaitedBy(ThreadId),
    /// It is pending, and this thread waits for its error only.
    WatchedBy(ThreadId),
    /// It is pending, and these threads wait; or it was awaited, but no thread waits any more.
    AwaitedByMany(Arc<Waiters>),
}

impl Record {
    /// Its key.
    pub fn key(&self) -> Key {
        match self {
            Record::Session(_) => Key::Session,
            Record::Live(thread, _) => Key::Live(*thread),
            Record::Ready(thread, _) => Key::Ready(*thread),
            Record::Cancel(thread) => Key::Cancel(*thread),
            Record::Cascade(thread, _) => Key::Cascade(*thread),
            Record::Future(future, _) => Key::Future(future.clone()),
            Record::Wait { future, waiter } => Key::Wait { future: future.clone(), waiter: waiter.thread },
            Record::Todo(future) => Key::Todo(future.clone()),
            Record::Unawaited(thread, _) => Key::Unawaited(*thread),
            Record::Broken(thread, _) => Key::Broken(*thread),
        }
    }
}

impl SessionState {
    /// All states.
    pub const ALL: [SessionState; 7] = [
        SessionState::Running,
        SessionState::Finished,
        SessionState::Broken,
        SessionState::Cancelled,
        SessionState::Moving,
        SessionState::Moved,
        SessionState::Importing,
    ];

    /// Whether no thread will run here any more.
    pub fn is_over(self) -> bool {
        match self {
            SessionState::Finished | SessionState::Broken | SessionState::Cancelled | SessionState::Moved => true,
            SessionState::Running | SessionState::Moving | SessionState::Importing => false,
        }
    }

    /// Whether a process is moving it from one storage to another. If that process dies, another one completes or
    /// undoes the move.
    pub fn is_in_transit(self) -> bool {
        matches!(self, SessionState::Moving | SessionState::Importing)
    }

    /// The reason why a session in this state cannot be changed, to complete "the session ...".
    pub fn predicate(self) -> &'static str {
        match self {
            SessionState::Running => "is not over",
            SessionState::Moving => "is being moved",
            SessionState::Importing => "is being imported",
            SessionState::Finished => "is finished",
            SessionState::Broken => "is broken",
            SessionState::Cancelled => "is cancelled",
            SessionState::Moved => "is moved",
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            SessionState::Running => "running",
            SessionState::Finished => "finished",
            SessionState::Broken => "broken",
            SessionState::Cancelled => "cancelled",
            SessionState::Moving => "moving",
            SessionState::Moved => "moved",
            SessionState::Importing => "importing",
        }
    }
}

impl Live {
    /// A thread as shown by a scan.
    pub fn without_state(status: Status) -> Box<Live> {
        Live::boxed(status, State::Away)
    }

    fn boxed(status: Status, state: State) -> Box<Live> {
        Box::new(Live {
            status,
            state,
            demand: Demand::default(),
            home: Place::default(),
            calls: 0,
            attempts: 0,
            progress: None,
            call: None,
            waits_for_pool: false,
            losses: 0,
            saved: None,
            parent: ThreadId(0),
            started: Started::default(),
            stops: None,
            places: Places::default(),
            timer: None,
            suspensions: None,
        })
    }

    /// A thread that has not run yet.
    pub fn new(thread: Thread) -> Box<Live> {
        Live::boxed(Status::Runnable, State::Present(thread))
    }

    /// The demand in the mailbox of this thread when it is cancelled. A cancellation must not wait for a process that
    /// serves the thread's place.
    pub fn cancelled(&self) -> Demand {
        let is_placed = !self.home.is_default() || !self.demand.place.is_default();
        let place = if is_placed { Place::anywhere() } else { Place::default() };
        Demand { priority: self.demand.priority, place }
    }

    /// Whether a worker has it: storages that do not copy records leave this behind.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.state, State::Away)
    }

    /// Ends the thread with this Future.
    pub(crate) fn follow(&mut self, awaited: Awaited) {
        self.status = Status::Following(awaited);
        self.state = State::Ended;
    }

    /// Ends its foreign call.
    pub(crate) fn leave_call(&mut self) {
        (self.call, self.waits_for_pool) = (None, false);
        if matches!(self.status, Status::Calling(_)) {
            self.status = Status::Runnable;
        }
    }

    /// The requests with which it holds places or queues for them.
    #[inline]
    pub(crate) fn tokens(&self) -> Vec<Token> {
        if self.places.is_empty() && !matches!(self.status, Status::Queued(_)) {
            return Vec::new();
        }
        let queued = match &self.status {
            Status::Queued(request) => Some(request.token()),
            _ => None,
        };
        let own = self.places.iter().filter(|place| place.lender.is_none());
        own.map(HeldPlace::token).chain(queued).collect()
    }

    /// When it must be looked at, if ever. A thread that waits for a Future is woken when that is resolved.
    pub fn due(&self) -> Option<Due> {
        match &self.status {
            Status::Queued(_) => Some(earliest(self.status.time(), self.stops).map_or(Due::AtTakeover, Due::At)),
            status if status.is_in_hand() => Some(Due::AtTakeover),
            status => earliest(status.time(), self.stops).map(Due::At),
        }
    }

    /// The same where threads are leased, on these terms. `kept` says whether the committing process continues to run
    /// it, `rechecks` whether it must still check if the awaited Future is already done, and `is_withdrawn` whether its call
    /// is left to another process and has not begun.
    pub(crate) fn due_on(&self, terms: Terms, kept: bool, rechecks: bool, is_withdrawn: bool) -> Option<Due> {
        let time = earliest(self.status.time(), self.stops);
        match &self.status {
            _ if is_withdrawn => Some(Due::Withdrawn(terms.now)),
            status if status.is_in_hand() && kept => Some(Due::Leased(terms.until)),
            status if status.is_in_hand() => Some(Due::At(terms.now)),
            // The process that will enter it in the queue may be lost before.
            Status::Queued(request) if request.until.is_none() => earliest(time, Some(terms.until)).map(Due::At),
            _ if rechecks => earliest(time, Some(terms.until)).map(Due::At),
            _ => time.map(Due::At),
        }
    }
}

impl Status {
    /// Whether the thread continues, or is busy elsewhere, without any event from outside: where threads are leased,
    /// only the process that holds it may run it.
    pub fn is_in_hand(&self) -> bool {
        match self {
            Status::Runnable | Status::Calling(_) => true,
            Status::Awaiting(awaiting) => !awaiting.is_entered,
            _ => false,
        }
    }

    /// The time when the thread continues at the latest, if there is one.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Status::Sleeping(until) => Some(*until),
            Status::Awaiting(awaiting) => awaiting.deadline,
            Status::Queued(request) => earliest(request.until, request.deadline),
            _ => None,
        }
    }
}

/// The earlier of two times.
pub(crate) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

impl State {
    /// Takes the thread out, if it is present.
    pub fn take(&mut self) -> Option<Thread> {
        match std::mem::replace(self, State::Away) {
            State::Present(thread) => Some(thread),
            State::Ended | State::Away => None,
        }
    }
}

impl FutureRecord {
    /// Whether it has neither a value nor an error.
    pub fn is_pending(&self) -> bool {
        matches!(self, FutureRecord::AwaitedBy(_) | FutureRecord::WatchedBy(_) | FutureRecord::AwaitedByMany(_))
    }

    /// Whether a thread waits for it.
    pub fn is_awaited(&self) -> bool {
        match self {
            FutureRecord::AwaitedBy(_) | FutureRecord::WatchedBy(_) => true,
            FutureRecord::AwaitedByMany(waiters) => waiters.crowded || !waiters.inline.is_empty(),
            FutureRecord::Resolved(_) | FutureRecord::Failed(_) => false,
        }
    }
}

// A program may start many millions of threads, whose Futures remain.
const _: () = assert!(std::mem::size_of::<FutureRecord>() <= 16);
