//! The port to functions that run elsewhere: Python.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hark_bytecode::{Executable, ForeignIndex};
use hark_machine::{Error, Value};

use crate::id::{SessionId, ThreadId};

/// The name of a call, which stays the same over its tries, so that the callee can be idempotent with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId {
    /// Whose session.
    pub session: SessionId,
    /// The thread that calls.
    pub thread: ThreadId,
    /// Which of its calls, from 1.
    pub number: u64,
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.session, self.thread, self.number)
    }
}

/// One try of a call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The call's name.
    pub id: CallId,
    /// Which try of it, from 1.
    pub attempt: u32,
    /// Which of the program's imports.
    pub foreign: ForeignIndex,
    /// The arguments: no functions or Futures among them.
    pub arguments: Vec<Value>,
    /// How far the tries before it said that the call is, as JSON.
    pub progress: Option<String>,
    /// How long it may run, from when a process begins it: without the time for which it waits for one. When it is over
    /// the call is stopped, with an error of kind `"timeout"`.
    pub timeout: Option<Duration>,
    /// Of calls that wait for a process those with a higher one go first.
    pub priority: i32,
    /// Whether somebody still wants its answer.
    pub unwanted: Unwanted,
}

/// Whether a call is not to begin any more, because its session is over or it was cancelled. It becomes true before
/// [`Foreign::cancel`] or [`Foreign::cancel_call`] is called, so that a call that begins at the same time is not missed.
#[derive(Debug, Clone, Default)]
pub struct Unwanted {
    session: Arc<AtomicBool>,
    call: Arc<AtomicBool>,
}

impl Unwanted {
    /// Of a call of a session that is over when this flag is set.
    pub fn new(session_is_over: Arc<AtomicBool>) -> Unwanted {
        Unwanted { session: session_is_over, call: Arc::default() }
    }

    /// The call is cancelled.
    pub fn cancel(&self) {
        self.call.store(true, Ordering::Release);
    }

    /// Whether nobody wants the call's answer.
    pub fn is_set(&self) -> bool {
        self.session.load(Ordering::Acquire) || self.call.load(Ordering::Acquire)
    }
}

/// What comes of a call before its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// The function printed this.
    Printed(String),
    /// The function said how far it is: at most [`PROGRESS_BYTES_MAX`](crate::limits::PROGRESS_BYTES_MAX) of JSON. While the call goes
    /// on each of these is written down, so that there are to be few.
    Progress {
        /// The JSON.
        json: String,
        /// Whether the call is over: its answer comes next, and this is written down with it.
        is_over: bool,
    },
}

/// Takes what comes of a call before its answer.
pub type CallSink = Box<dyn FnMut(CallEvent) + Send>;

/// Why a call has no value.
#[derive(Debug)]
pub enum CallError {
    /// The function raised, or cannot be called: an error of the program's, without a trace.
    Failed(Error),
    /// It could not be made for lack of something, as this text says, so that nobody is to blame. It can be made later.
    NotMade(String),
}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError::Failed(error)
    }
}

/// Takes what a call came to.
pub type Answer = Box<dyn FnOnce(Result<Value, CallError>) + Send>;

/// Calls functions that run elsewhere.
pub trait Foreign: Send + Sync {
    /// Begins a call and returns at once, if it can. `answer` is called exactly once, from any thread, after all of `events`.
    fn call(&self, executable: &Executable, call: Call, events: CallSink, answer: Answer);

    /// Makes a call and returns when it is over. The engine prefers it where nothing else can run, because handing an
    /// answer from one OS thread to another costs more than a trivial function.
    ///
    /// # Errors
    /// What the function raised, or why it could not be called.
    fn call_blocking(
        &self,
        executable: &Executable,
        call: Call,
        events: &mut dyn FnMut(CallEvent),
    ) -> Result<Value, CallError> {
        enum Event {
            Before(CallEvent),
            Answered(Result<Value, CallError>),
        }
        let (sender, receiver) = mpsc::channel();
        let before = sender.clone();
        // A failed send means that nobody listens any more, which cannot be before the answer.
        self.call(
            executable,
            call,
            Box::new(move |event| drop(before.send(Event::Before(event)))),
            Box::new(move |answer| drop(sender.send(Event::Answered(answer)))),
        );
        for event in receiver {
            match event {
                Event::Before(event) => events(event),
                Event::Answered(answer) => return answer,
            }
        }
        Err(Error::of_python("CallLost", "the call was given up without an answer").into())
    }

    /// How many calls are made at a time. Others wait until one of these is over.
    fn calls_at_a_time(&self) -> usize {
        usize::MAX
    }

    /// The session is cancelled: its calls under way, blocking ones too, are to end soon, with any answer.
    fn cancel(&self, session: &SessionId);

    /// This call is cancelled: if it is under way or waits, it is to end soon, with any answer.
    fn cancel_call(&self, call: &CallId);

    /// Takes back a call that has not begun: then its answer will never come. Answers whether that is so.
    fn withdraw(&self, _call: &CallId) -> bool {
        false
    }

    /// The process is about to end, and nobody wants answers or reads their objects any more: nothing is to stay on the disk.
    fn leave_nothing(&self) {}
}

/// An engine without foreign functions, for programs that import none.
#[derive(Debug, Clone, Copy)]
pub struct NoForeign;

impl Foreign for NoForeign {
    fn call(&self, executable: &Executable, call: Call, _events: CallSink, answer: Answer) {
        let name = executable.foreign.get(call.foreign.0 as usize).map_or("?", |foreign| &foreign.name);
        answer(Err(Error::of_python("NoInterpreter", format!("cannot call `{name}`: there is no Python here")).into()));
    }

    fn cancel(&self, _session: &SessionId) {}

    fn cancel_call(&self, _call: &CallId) {}
}
