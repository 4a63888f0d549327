//! The port to functions that run elsewhere, which means Python.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use hark_bytecode::{Executable, ForeignIndex};
use hark_machine::{Error, Value};

use crate::id::{SessionId, ThreadId};

/// The name of a call. It is the same for all its attempts, so that the callee can be idempotent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallId {
    /// The session.
    pub session: SessionId,
    /// The calling thread.
    pub thread: ThreadId,
    /// The number of the thread's call, from 1.
    pub number: u64,
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.session, self.thread, self.number)
    }
}

/// An attempt of a call.
#[derive(Debug, Clone)]
pub struct Call {
    /// The call's name.
    pub id: CallId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The called import of the program.
    pub foreign: ForeignIndex,
    /// The arguments, which contain no functions or Futures.
    pub arguments: Vec<Value>,
    /// The last progress reported by the earlier attempts, as JSON.
    pub progress: Option<String>,
    /// The time limit, counted from when a process begins the call, without the time in the queue. At the limit the
    /// call is stopped, with an error of kind `"timeout"`.
    pub timeout: Option<Duration>,
    /// Whether the timeout is the rest of this process's time, while the program allows more.
    pub ends_with_process: bool,
    /// Among waiting calls, those with a higher priority go first.
    pub priority: i32,
    /// Whether the result is still wanted.
    pub unwanted: Unwanted,
}

/// Whether a call must not begin any more, because its session is over or it was cancelled. It is set before
/// [`Foreign::cancel`] or [`Foreign::cancel_call`] is called, so that a call that begins at the same moment is not
/// missed.
#[derive(Debug, Clone, Default)]
pub struct Unwanted {
    session: Arc<AtomicBool>,
    call: Arc<AtomicBool>,
}

impl Unwanted {
    /// For a call of a session that is over when this flag is set.
    pub fn new(session_is_over: Arc<AtomicBool>) -> Unwanted {
        Unwanted { session: session_is_over, call: Arc::default() }
    }

    /// Marks the call as cancelled.
    pub fn cancel(&self) {
        self.call.store(true, Ordering::Release);
    }

    /// Whether the result is no longer wanted.
    pub fn is_set(&self) -> bool {
        self.session.load(Ordering::Acquire) || self.call.load(Ordering::Acquire)
    }
}

/// An event of a call before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallEvent {
    /// The function printed this.
    Printed(String),
    /// The function reported progress: at most [`PROGRESS_BYTES_MAX`](crate::limits::PROGRESS_BYTES_MAX) bytes of JSON.
    /// During the call each report is written to the storage, so there should be few.
    Progress {
        /// The JSON.
        json: String,
        /// Whether the call is over. Its result follows, and the progress is written together with it.
        is_over: bool,
    },
}

/// Receives the events of a call before its result.
pub type CallSink = Box<dyn FnMut(CallEvent) + Send>;

/// The reason why a call has no value.
#[derive(Debug)]
pub enum CallError {
    /// The function raised an exception, or cannot be called: an error of the program, without a trace.
    Failed(Error),
    /// The call could not be made because a resource is exhausted, as this text says. It can be made later.
    NotMade(String),
}

impl From<Error> for CallError {
    fn from(error: Error) -> CallError {
        CallError::Failed(error)
    }
}

/// Receives the result of a call.
pub type Answer = Box<dyn FnOnce(Result<Value, CallError>) + Send>;

/// Calls foreign functions.
pub trait Foreign: Send + Sync {
    /// Starts a call, and returns at once if possible. `answer` is called exactly once, from any OS thread, after all
    /// `events`.
    fn call(&self, executable: &Executable, call: Call, events: CallSink, answer: Answer);

    /// Makes a call and returns its result. The engine prefers this if nothing else can run, because passing a result
    /// from one OS thread to another costs more than a trivial function.
    ///
    /// # Errors
    /// The exception raised by the function, or the reason why it could not be called.
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
        // A send fails only after the result was received.
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
        Err(Error::of_python("CallLost", "the call was dropped without an answer").into())
    }

    /// The maximum number of concurrent calls. Further calls wait.
    fn calls_at_a_time(&self) -> usize {
        usize::MAX
    }

    /// The session is cancelled: its calls in flight, including blocking ones, should end soon, with any result.
    fn cancel(&self, session: &SessionId);

    /// This call is cancelled: if it is in flight or waits, it should end soon, with any result.
    fn cancel_call(&self, call: &CallId);

    /// Withdraws a call that has not begun. Returns whether it was withdrawn, in which case its result never arrives.
    fn withdraw(&self, _call: &CallId) -> bool {
        false
    }

    /// Announces that calls will come soon, so that whatever all of them need can be prepared meanwhile.
    fn warm_up(&self) {}

    /// The process is about to end and needs no results or objects any more: nothing should remain on the disk.
    fn leave_nothing(&self) {}
}

/// The foreign functions of programs that import none.
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
