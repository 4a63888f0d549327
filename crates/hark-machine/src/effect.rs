//! The interface between a thread and the outside world.

use std::ffi::OsString;
use std::sync::Arc;

use hark_bytecode::ForeignIndex;
use smallvec::{SmallVec, smallvec};

use crate::error::Error;
use crate::thread::Thread;
use crate::value::Value;

/// Why a thread stopped running. Except when the thread has ended, the instruction that it stopped at has not happened
/// yet: the answer completes it ([`Thread::resume`], [`Thread::fail`]), and a thread that is run again without an
/// answer asks again.
#[derive(Debug)]
pub enum Effect {
    /// It finished with this value. If that is a Future, the thread's own Future follows it, unless the thread is an
    /// attempt of another thread's call ([`Thread::is_try`]).
    Finished(Value),
    /// It broke with this error.
    Failed(Box<Error>),
    /// It needs the values of Futures.
    Await(Wait),
    /// It calls a Python function.
    Call(ForeignCall),
    /// It sleeps for this many seconds, then continues with this number as the value.
    Sleep(Value),
    /// It cancels a thread, the threads it has started, or a promise, and continues with `null`.
    Cancel(Cancelled),
    /// It acquires a limit or rate. The answer is `true` if it has, `false` if it already holds the limit, and `null` if
    /// the time to wait is over.
    Take(Take),
    /// It has used up its fuel.
    OutOfFuel,
}

/// A limit or rate that a thread acquires before it continues.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The name of the limit or rate.
    pub name: Arc<str>,
    /// How many holders a limit has, or how many starts a rate allows per period; at least 1.
    pub count: u64,
    /// The period of a rate, in seconds; none for a limit.
    pub per: Option<f64>,
    /// The longest time to wait, in seconds.
    pub seconds: Option<f64>,
}

/// What a thread waits for. The answer for `All` is the value of a single Future, or a list of the values of several,
/// in their order. The answer for `Any` and `One` is a list of a Future's index and its value, or `null` if none has a value
/// and either `at_once` is set or the timeout has passed. An answer may also be the error of a failed Future or an error of
/// kind `"timeout"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The Futures without duplicates, in the order in which the program named them; at least one.
    pub futures: SmallVec<[Awaited; 1]>,
    /// How many of them must be done.
    pub until: Until,
    /// For `Any`: the program also passed a plain value, so the thread does not wait, and failures do not matter.
    pub at_once: bool,
    /// The longest time to wait from now, in seconds; not negative.
    pub timeout: Option<f64>,
}

impl Wait {
    /// A wait for a single Future.
    pub fn one(future: Awaited) -> Wait {
        Wait { futures: smallvec![future], until: Until::All, at_once: false, timeout: None }
    }
}

/// How many of several Futures a thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// All have values, or one has failed.
    All,
    /// One has a value, or all have failed.
    Any,
    /// One has a value or has failed.
    One,
}

/// A Future that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The Future of the thread with this number.
    Thread(u64),
    /// A Future that is resolved from outside the program.
    Promise(String),
}

/// The target of a cancellation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// The thread of this Future, or a promise.
    Future(Awaited),
    /// All threads that it has started and that are still running.
    Started,
}

/// A call of a Python function.
#[derive(Debug, Clone)]
pub struct ForeignCall {
    /// The import.
    pub foreign: ForeignIndex,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// The longest time for one attempt, in seconds; greater than 0.
    pub timeout: Option<f64>,
    /// Whether it is another attempt of the thread's last call, which has failed.
    pub is_again: bool,
}

/// A failed call that is about to be retried.
#[derive(Debug, Clone, PartialEq)]
pub struct TriesAgain {
    /// The function's name in the program.
    pub function: String,
    /// The number of the next attempt, from 2.
    pub attempt: u32,
    /// The maximum number of attempts.
    pub attempts: u32,
    /// The delay before it, in seconds.
    pub seconds: f64,
    /// The message of the last attempt's error.
    pub message: String,
}

/// The effects of a running thread that do not stop it. The engine collects them for its next commit.
pub trait Host {
    /// Starts a new thread and returns its number, which is greater than this thread's.
    fn spawn(&mut self, thread: Thread) -> u64;

    /// Whether the thread may start another thread for an attempt of its call. Nested attempts have the same depth
    /// limit as calls.
    fn may_start_try(&self) -> bool {
        true
    }
    /// Writes text, including its line break, to the session's standard output.
    fn print(&mut self, text: String);
    /// The number of the running thread.
    fn thread(&self) -> u64;
    /// The session's id.
    fn session(&self) -> &str;
    /// The time in microseconds since 1970, UTC.
    fn now(&mut self) -> u64;
    /// The time of a monotonic clock, in microseconds.
    fn steady_now(&mut self) -> u64 {
        self.now()
    }
    /// Reports that a failed call is about to be retried.
    fn tries_again(&mut self, _again: TriesAgain) {}
    /// 64 unpredictable bits.
    fn random(&mut self) -> u64;
    /// Releases the thread's hold of a limit.
    fn give_back(&mut self, _limit: &str) {}
    /// An error has unwound the stack to this many records: limits held by the removed ones are released.
    fn cut(&mut self, _records: usize) {}
    /// The value of an environment variable of this process, if it exists. A host may have no environment.
    fn environment(&mut self, _name: &str) -> Option<OsString> {
        None
    }
}
