//! Where a thread meets the world.

use std::ffi::OsString;
use std::sync::Arc;

use hark_bytecode::ForeignIndex;
use smallvec::{SmallVec, smallvec};

use crate::error::Error;
use crate::thread::Thread;
use crate::value::Value;

/// Why a thread stopped running. Except at an end, the instruction that it stopped at has not happened yet: what the
/// world answers completes it ([`Thread::resume`], [`Thread::fail`]), and a thread that is run again without an
/// answer asks again.
#[derive(Debug)]
pub enum Effect {
    /// It ended with this value. (If that is a Future, the thread's own Future follows that one.)
    Finished(Value),
    /// It ended with this error.
    Failed(Box<Error>),
    /// It needs the values of Futures.
    Await(Wait),
    /// It calls a Python function.
    Call(ForeignCall),
    /// It wants to go on after so many seconds, with that number as the value.
    Sleep(Value),
    /// It cancels a thread, those that it has started, or a promise, and goes on with `null`.
    Cancel(Cancelled),
    /// It needs a place of a limit, or a start of a rate. The answer is whether it has taken a place by that: one that it
    /// has already is enough.
    Take(Take),
    /// Its turn is over.
    OutOfFuel,
}

/// What a thread needs before it may go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Take {
    /// The name of the limit or rate.
    pub name: Arc<str>,
    /// How many may have one, or start within the time; 1 at least.
    pub count: u64,
    /// Of a rate: the time, in seconds.
    pub per: Option<f64>,
    /// How long the thread waits for it at most, in seconds.
    pub seconds: Option<f64>,
}

/// What a thread waits for. The answer is, for `All`, the value of a single Future, or a list of the values of several, in
/// their order; for `Any` a list of a Future's place among them and its value, or `null` if it is `at_once` or its time is
/// over and none has one; or the error of a Future that failed, or of kind `"timeout"`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    /// The Futures, each once, in the order in which the program named them. There is one at least.
    pub futures: SmallVec<[Awaited; 1]>,
    /// How many of them it needs.
    pub until: Until,
    /// With `Any`: something else is there already, so that nothing is waited for, and no failure matters.
    pub at_once: bool,
    /// How long it waits at most, in seconds, from the moment that the wait begins: a number from 0 on.
    pub timeout: Option<f64>,
}

impl Wait {
    /// A wait for one Future.
    pub fn one(future: Awaited) -> Wait {
        Wait { futures: smallvec![future], until: Until::All, at_once: false, timeout: None }
    }
}

/// How many of some Futures a thread needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Until {
    /// All have values, or one has failed.
    All,
    /// One has a value, or all have failed.
    Any,
}

/// A Future that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The Future of the thread with this number.
    Thread(u64),
    /// A Future that something outside resolves.
    Promise(String),
}

/// What a thread cancels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cancelled {
    /// The thread of this Future, or this promise.
    Future(Awaited),
    /// All threads that it has started and that still run.
    Started,
}

/// A call of a Python function.
#[derive(Debug, Clone)]
pub struct ForeignCall {
    /// Which import.
    pub foreign: ForeignIndex,
    /// Its arguments.
    pub arguments: Vec<Value>,
    /// How long one try of it may run, in seconds: a number above 0. None if it may take any time.
    pub timeout: Option<f64>,
    /// It is a further try of the thread's last call, which has failed.
    pub is_again: bool,
}

/// A failed call that is tried again.
#[derive(Debug, Clone, PartialEq)]
pub struct TriesAgain {
    /// What the program calls it.
    pub function: String,
    /// Which try comes next, from 2.
    pub attempt: u32,
    /// How many there are at most.
    pub attempts: u32,
    /// In how many seconds.
    pub seconds: f64,
    /// What the error of the last one says.
    pub message: String,
}

/// What a running thread does to its surroundings without stopping. The engine gathers it for its next commit.
pub trait Host {
    /// A new thread, to be run; answers its number, which is greater than this thread's.
    fn spawn(&mut self, thread: Thread) -> u64;

    /// Whether the thread may start one more that is a try of a call that it makes. Tries in which further ones are begun
    /// nest no deeper than calls do.
    fn may_start_try(&self) -> bool {
        true
    }
    /// A text for the session's standard output, its line end included.
    fn print(&mut self, text: String);
    /// The number of the running thread.
    fn thread(&self) -> u64;
    /// The session's id.
    fn session(&self) -> &str;
    /// The time, in microseconds since the beginning of 1970, UTC.
    fn now(&mut self) -> u64;
    /// The time by a clock that nobody sets, in microseconds.
    fn steady_now(&mut self) -> u64 {
        self.now()
    }
    /// A call has failed, and is tried again.
    fn tries_again(&mut self, _again: TriesAgain) {}
    /// 64 bits that nobody can guess.
    fn random(&mut self) -> u64;
    /// The thread does not need its place of this limit any more.
    fn give_back(&mut self, _limit: &str) {}
    /// An error has left records of the thread, and so many are there still: what those had taken is given back.
    fn cut(&mut self, _records: usize) {}
    /// What an environment variable of this process says, if there is one of this name. A host may have no environment.
    fn environment(&mut self, _name: &str) -> Option<OsString> {
        None
    }
}
