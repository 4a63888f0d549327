//! What a storage keeps of a session: typed records under keys.
//!
//! The memory keeps records as they are, live threads included; a durable storage encodes them (see [`crate::codec`]).

mod started;
mod waiting;

use std::sync::Arc;

use hark_bytecode::ForeignIndex;
use hark_machine::{Awaited, Thread, Value};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::failure::Failure;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::invoker::TimerId;
use crate::labels::Labels;
use crate::leases::Terms;
use crate::limits::THREADS_MAX;
use crate::surroundings::Timestamp;
use crate::suspend::Suspensions;
use crate::throttle::{HeldPlace, Places, Request, Token};
pub use started::Started;
pub use waiting::{Awaiting, Interest, Waiter, Waiters};

/// The name of a record within its session. Records of a kind are in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The session's summary.
    Session,
    /// Exists exactly while the thread has not stopped. Only the thread's own step writes it (its parent's creates it).
    Live(ThreadId),
    /// *Look at this thread*: put blindly by anyone, removed by the thread's step if it has not changed since.
    Ready(ThreadId),
    /// *This thread is cancelled*: put blindly by anyone, together with `Ready`, and removed by the step of the thread that
    /// takes note of it. As both come together, who expects `Ready` unchanged need not look here.
    Cancel(ThreadId),
    /// Threads that this one had started when it was cancelled, and that are still to be cancelled.
    Cascade(ThreadId),
    /// A Future. Absent: pending, and nobody waits.
    Future(FutureId),
    /// A waiter that the Future's own record has no room for.
    Wait {
        /// What it waits for.
        future: FutureId,
        /// Who waits.
        waiter: ThreadId,
    },
    /// Waiters of this Future that are still to be woken.
    Todo(FutureId),
    /// A failed Future that nobody has awaited yet.
    Unawaited(ThreadId),
    /// A thread as it was when it failed, from where it can be retried.
    Broken(ThreadId),
}

/// The content of a record. Every variant belongs to the key of its name.
#[derive(Debug)]
#[allow(missing_docs, reason = "see `Key`")]
pub enum Record {
    Session(Box<SessionRecord>),
    Live(ThreadId, Box<Live>),
    Ready(ThreadId),
    Cancel(ThreadId),
    Cascade(ThreadId, Started),
    Future(FutureId, FutureRecord),
    Wait { future: FutureId, waiter: Waiter },
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
    /// What it is about, which never changes.
    #[serde(flatten)]
    pub about: Arc<About>,
    /// How far it is.
    pub state: SessionState,
    /// Whether the first thread has stopped.
    pub first_stopped: bool,
    /// It was broken and is being retried: threads that failed are still to be put back. Whoever opens the session does
    /// that first, so that none of them runs before all of them can.
    #[serde(default, skip_serializing_if = "is_false")]
    pub retrying: bool,
    /// All of its threads were cancelled from outside. It ends as cancelled, whatever they come to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelling: Option<Cancelling>,
    /// When all of its threads had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How many threads it had started when it was cancelled, as their records are gone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "count_of_threads")]
    pub threads: Option<u64>,
    /// What it was before it was moved to another storage. Only sessions that are *moving* or *moved* have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_move: Option<BeforeMove>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How far the cancellation of a session's threads is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cancelling {
    /// Some threads are still to be told.
    Begun,
    /// All of them are cancelled.
    Told,
}

/// What a session was before it was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeforeMove {
    /// How far it was.
    pub state: SessionState,
    /// When all of its threads had stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

fn count_of_threads<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(count) if count > THREADS_MAX => Err(D::Error::custom("more threads than a session may have")),
        count => Ok(count),
    }
}

impl SessionRecord {
    /// Whether a command is at it that takes several commits. If its process is gone, whoever finds the session goes on with
    /// that, or takes it back.
    pub fn is_half_way(&self) -> bool {
        let is_changed = self.retrying || self.cancelling == Some(Cancelling::Begun);
        self.state.is_in_transit() || self.state == SessionState::Running && is_changed
    }

    /// What it was before it was moved, or is, if it was not.
    pub fn as_before_move(&self) -> SessionRecord {
        let BeforeMove { state, ended } =
            self.before_move.clone().unwrap_or(BeforeMove { state: self.state, ended: self.ended });
        SessionRecord { state, ended, before_move: None, ..self.clone() }
    }

    /// What it is once all of its threads have stopped; `breaks` says whether there is a failure that nobody dealt with.
    pub fn state_at_end(&self, breaks: bool) -> SessionState {
        match (self.cancelling, breaks) {
            (Some(_), _) => SessionState::Cancelled,
            (None, true) => SessionState::Broken,
            (None, false) => SessionState::Finished,
        }
    }

    /// A session that has just begun.
    pub fn new(about: Arc<About>) -> SessionRecord {
        SessionRecord {
            about,
            state: SessionState::Running,
            first_stopped: false,
            retrying: false,
            cancelling: None,
            ended: None,
            threads: None,
            before_move: None,
        }
    }
}

/// What a session is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The hash of its program, in hexadecimal digits.
    pub program: String,
    /// The program's file.
    pub file: String,
    /// The function that it began with.
    pub function: String,
    /// The function's arguments, as text.
    pub arguments: Vec<String>,
    /// When it was started.
    pub started: Timestamp,
    /// Its key and tags.
    #[serde(flatten)]
    pub labels: Labels,
    /// The hash of its whole arguments, if it has a key: who starts it again means the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments_hash: Option<String>,
}

/// How far a session is, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionState {
    /// It has threads that have not stopped.
    Running,
    /// All its threads came to their ends.
    Finished,
    /// All its threads have stopped, and there are failures that nobody dealt with.
    Broken,
    /// It was ended from outside.
    Cancelled,
    /// It is being written to a file. If the process that does so dies, the session goes back to what it was.
    Moving,
    /// It was moved to another storage.
    Moved,
    /// It is being read from a file. Only the import's own commits change it; if its process dies, it is removed.
    Importing,
}

/// A thread that has not stopped.
#[derive(Debug)]
pub struct Live {
    /// What it is about.
    pub status: Status,
    /// Where it stands.
    pub state: State,
    /// How many foreign calls it has begun.
    pub calls: u64,
    /// How many tries of the last of them it has begun.
    pub attempts: u32,
    /// The foreign call under way, for who must make it again. Only sessions that can be taken up again have it.
    pub call: Option<Box<PendingCall>>,
    /// How far the last of them said that it is, as JSON, unless it has returned.
    pub progress: Option<Box<str>>,
    /// How many times its worker was lost since it last got on.
    pub losses: u32,
    /// Which thread has started it; the first thread is its own parent.
    pub parent: ThreadId,
    /// Which threads it has started.
    pub started: Started,
    /// When it is stopped if it has not stopped by then. Only threads that were cancelled have it.
    pub stops: Option<Timestamp>,
    /// The limits' places that it has, or that count for it.
    pub places: Places,
    /// The timer that ends its wait, in memory.
    pub(crate) timer: Option<TimerId>,
    /// Where it is to be suspended for no reason but to test it.
    pub(crate) suspensions: Option<Box<Suspensions>>,
}

/// A foreign call that has no recorded result.
#[derive(Debug, Clone)]
pub struct PendingCall {
    /// Which import.
    pub foreign: ForeignIndex,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// How long one try may run, in seconds.
    pub timeout: Option<f64>,
    /// Which try it is, from 1.
    pub attempt: u32,
    /// As many calls as are made at a time were under way each time that it was to be made: it may never have begun.
    pub is_queued: bool,
}

/// The thread itself. A memory gives it away to who reads its record, and to nobody else until it is put back: a
/// thread is run by one worker at a time, and copying it would cost more than its turn.
///
/// Invariant: a thread is [`Ended`](State::Ended) exactly if its status is [`Following`](Status::Following), and none that
/// is [`Away`](State::Away) is written down.
#[derive(Debug)]
pub enum State {
    /// Here it is.
    Present(Thread),
    /// It came to its end and only follows a Future: there is nothing left of it to run.
    Ended,
    /// It is not in this record: another worker runs it, or the record is part of a scan.
    Away,
}

/// What a live thread is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It can run.
    Runnable,
    /// It needs a Future's value.
    Waiting(Awaited),
    /// It needs values of several Futures, or one until a time: which ones it tells when it is run.
    Awaiting(Box<Awaiting>),
    /// It came to its end with a Future as its value, which its own Future follows.
    Following(Awaited),
    /// It goes on at a time. The value of the `sleep` is the thread's already.
    Sleeping(Timestamp),
    /// A foreign call is under way: which of its calls.
    Calling(u64),
    /// It needs a place of a limit, or a start of a rate.
    Queued(Box<Request>),
}

/// When someone must look at a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// At this time.
    At(Timestamp),
    /// When its session is taken up after a worker was lost: until then, whoever serves the session knows of it.
    AtTakeover,
    /// A process holds the thread until then, unless it renews its lease. After that the process was lost.
    Leased(Timestamp),
    /// At this time; the function that the thread calls has not begun, as its call was taken back before.
    Withdrawn(Timestamp),
}

/// A Future's state, unless nobody knows of it.
#[derive(Debug, Clone)]
pub enum FutureRecord {
    /// It has a value.
    Resolved(Value),
    /// Its thread failed.
    Failed(Arc<Failure>),
    /// It has none yet, and this thread waits.
    AwaitedBy(ThreadId),
    /// It has none yet, and this thread waits for its error only.
    WatchedBy(ThreadId),
    /// It has none yet, and these wait, or nobody does any more.
    AwaitedByMany(Arc<Waiters>),
}

impl Record {
    /// The key that it is kept under.
    pub fn key(&self) -> Key {
        match self {
            Record::Session(_) => Key::Session,
            Record::Live(thread, _) => Key::Live(*thread),
            Record::Ready(thread) => Key::Ready(*thread),
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
    /// All that there are.
    pub const ALL: [SessionState; 7] = [
        SessionState::Running,
        SessionState::Finished,
        SessionState::Broken,
        SessionState::Cancelled,
        SessionState::Moving,
        SessionState::Moved,
        SessionState::Importing,
    ];

    /// Whether no thread of it will run any more, here.
    pub fn is_over(self) -> bool {
        match self {
            SessionState::Finished | SessionState::Broken | SessionState::Cancelled | SessionState::Moved => true,
            SessionState::Running | SessionState::Moving | SessionState::Importing => false,
        }
    }

    /// Whether a process is about to move it from one storage to another. If that process dies, others settle what is
    /// to become of the session.
    pub fn is_in_transit(self) -> bool {
        matches!(self, SessionState::Moving | SessionState::Importing)
    }

    /// Why nothing can be done to a session in this state, as the end of "the session ...".
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
    /// What a scan shows of a thread.
    pub fn without_state(status: Status) -> Box<Live> {
        Live::boxed(status, State::Away)
    }

    fn boxed(status: Status, state: State) -> Box<Live> {
        Box::new(Live {
            status,
            state,
            calls: 0,
            attempts: 0,
            progress: None,
            call: None,
            losses: 0,
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

    /// Whether some worker has it: where records are not copied, this is what it leaves.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self.state, State::Away)
    }

    /// It came to its end with this Future.
    pub(crate) fn follow(&mut self, awaited: Awaited) {
        self.status = Status::Following(awaited);
        self.state = State::Ended;
    }

    /// Its foreign call is over.
    pub(crate) fn leave_call(&mut self) {
        self.call = None;
        if matches!(self.status, Status::Calling(_)) {
            self.status = Status::Runnable;
        }
    }

    /// The requests by which it has places or queues for them.
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

    /// When someone must look at it, if ever. A thread that waits for a Future is woken by who resolves that.
    pub fn due(&self) -> Option<Due> {
        match &self.status {
            Status::Queued(_) => Some(earliest(self.status.time(), self.stops).map_or(Due::AtTakeover, Due::At)),
            status if status.is_in_hand() => Some(Due::AtTakeover),
            status => earliest(status.time(), self.stops).map(Due::At),
        }
    }

    /// The same where threads are leased, on these terms. `kept` says whether the process that writes it goes on with it,
    /// `rechecks` whether that has still to look whether what it waits for is done already.
    pub(crate) fn due_on(&self, terms: Terms, kept: bool, rechecks: bool) -> Option<Due> {
        let time = earliest(self.status.time(), self.stops);
        match &self.status {
            status if status.is_in_hand() && kept => Some(Due::Leased(terms.until)),
            status if status.is_in_hand() => Some(Due::At(terms.now)),
            // Whoever is to enter it in the queue may be lost before.
            Status::Queued(request) if request.until.is_none() => earliest(time, Some(terms.until)).map(Due::At),
            _ if rechecks => earliest(time, Some(terms.until)).map(Due::At),
            _ => time.map(Due::At),
        }
    }
}

impl Status {
    /// Whether the thread goes on, or is at work elsewhere, without anything from outside: where threads are leased only the
    /// process that holds it may run it.
    pub fn is_in_hand(&self) -> bool {
        match self {
            Status::Runnable | Status::Calling(_) => true,
            Status::Awaiting(awaiting) => !awaiting.is_entered,
            _ => false,
        }
    }

    /// When the thread goes on at the latest, if there is a time.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Status::Sleeping(until) => Some(*until),
            Status::Awaiting(awaiting) => awaiting.deadline,
            Status::Queued(request) => earliest(request.until, request.deadline),
            _ => None,
        }
    }
}

/// The earlier of two times, if there is one.
pub(crate) fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

impl State {
    /// Takes the thread out, if it is here.
    pub fn take(&mut self) -> Option<Thread> {
        match std::mem::replace(self, State::Away) {
            State::Present(thread) => Some(thread),
            State::Ended | State::Away => None,
        }
    }
}

impl FutureRecord {
    /// Whether it has neither value nor error.
    pub fn is_pending(&self) -> bool {
        matches!(self, FutureRecord::AwaitedBy(_) | FutureRecord::WatchedBy(_) | FutureRecord::AwaitedByMany(_))
    }

    /// Whether a thread waits for its value or error.
    pub fn is_awaited(&self) -> bool {
        match self {
            FutureRecord::AwaitedBy(_) | FutureRecord::WatchedBy(_) => true,
            FutureRecord::AwaitedByMany(waiters) => waiters.crowded || !waiters.inline.is_empty(),
            FutureRecord::Resolved(_) | FutureRecord::Failed(_) => false,
        }
    }
}

// A program may start many millions of threads, and their Futures stay.
const _: () = assert!(std::mem::size_of::<FutureRecord>() <= 16);
