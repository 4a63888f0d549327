//! What a storage keeps of a session: typed records under keys.
//!
//! The memory keeps records as they are, live threads included; a durable storage encodes them.

use std::sync::Arc;

use hark_machine::{Awaited, Thread, Value};

use crate::failure::Failure;
use crate::id::{Stamp, ThreadId};
use crate::surroundings::Timestamp;
use crate::suspend::Suspensions;

/// The name of a record within its session. Records of a kind are in the order of their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The session's summary.
    Session,
    /// Exists exactly while the thread has not stopped. Only the thread's own step writes it (its parent's creates it).
    Live(ThreadId),
    /// *Look at this thread*: put blindly by anyone, removed by the thread's step if it has not changed since.
    Ready(ThreadId),
    /// The thread's Future. Absent: pending, and nobody waits.
    Future(ThreadId),
    /// A waiter that the Future's own record has no room for.
    Wait {
        /// What it waits for.
        future: ThreadId,
        /// Who waits.
        waiter: ThreadId,
    },
    /// Waiters of this Future that are still to be woken.
    Todo(ThreadId),
    /// A failed Future that nobody has awaited yet.
    Unawaited(ThreadId),
}

/// The content of a record. Every variant belongs to the key of its name.
#[derive(Debug)]
#[allow(missing_docs, reason = "see `Key`")]
pub enum Record {
    Session(SessionRecord),
    Live(ThreadId, Box<Live>),
    Ready(ThreadId),
    Future(ThreadId, FutureRecord),
    Wait { future: ThreadId, waiter: ThreadId },
    Todo(ThreadId),
    Unawaited(ThreadId, Box<Failure>),
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whether the first thread has stopped.
    pub first_stopped: bool,
    /// When all of its threads had stopped.
    pub ended: Option<Timestamp>,
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
    /// Where it is to be suspended for no reason but to test it.
    pub(crate) suspensions: Option<Box<Suspensions>>,
}

/// The thread itself. A memory gives it away to who reads its record, and to nobody else until it is put back: a
/// thread is run by one worker at a time, and copying it would cost more than its turn.
#[derive(Debug)]
pub enum State {
    /// Here it is.
    Present(Thread),
    /// Some worker runs it, the record is part of a scan, or the thread came to its end and only follows a Future.
    Absent,
}

/// What a live thread is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It can run.
    Runnable,
    /// It needs a Future's value.
    Waiting(Awaited),
    /// It came to its end with a Future as its value, which its own Future follows.
    Following(Awaited),
    /// It goes on at a time.
    Sleeping {
        /// When.
        until: Timestamp,
        /// The value of the `sleep`.
        value: Value,
    },
    /// A foreign call is under way: which of its calls.
    Calling(u64),
}

/// A thread's Future, unless nobody knows of it.
#[derive(Debug, Clone)]
pub enum FutureRecord {
    /// It has a value.
    Resolved(Value),
    /// Its thread failed.
    Failed(Arc<Failure>),
    /// It has none yet, and this thread waits.
    AwaitedBy(ThreadId),
    /// It has none yet, and these wait.
    AwaitedByMany(Arc<Waiters>),
}

/// The continuations of a pending Future.
#[derive(Debug, Clone, Default)]
pub struct Waiters {
    /// Those that came first.
    pub inline: Vec<ThreadId>,
    /// There may be more, each with a record of its own. Never unset.
    pub crowded: bool,
}

impl Record {
    /// The key that it is kept under.
    pub fn key(&self) -> Key {
        match self {
            Record::Session(_) => Key::Session,
            Record::Live(thread, _) => Key::Live(*thread),
            Record::Ready(thread) => Key::Ready(*thread),
            Record::Future(thread, _) => Key::Future(*thread),
            Record::Wait { future, waiter } => Key::Wait { future: *future, waiter: *waiter },
            Record::Todo(future) => Key::Todo(*future),
            Record::Unawaited(thread, _) => Key::Unawaited(*thread),
        }
    }
}

impl Live {
    /// What a scan shows of a thread.
    pub fn without_state(status: Status) -> Box<Live> {
        Box::new(Live { status, state: State::Absent, calls: 0, suspensions: None })
    }

    /// A thread that has not run yet.
    pub fn new(thread: Thread) -> Box<Live> {
        Box::new(Live { status: Status::Runnable, state: State::Present(thread), calls: 0, suspensions: None })
    }
}

impl State {
    /// Takes the thread out, if it is here.
    pub fn take(&mut self) -> Option<Thread> {
        match std::mem::replace(self, State::Absent) {
            State::Present(thread) => Some(thread),
            State::Absent => None,
        }
    }
}

impl FutureRecord {
    /// Whether it has neither value nor error.
    pub fn is_pending(&self) -> bool {
        matches!(self, FutureRecord::AwaitedBy(_) | FutureRecord::AwaitedByMany(_))
    }
}

// A program may start many millions of threads, and their Futures stay.
const _: () = assert!(std::mem::size_of::<FutureRecord>() <= 16);
