//! Where a thread meets the world.

use std::ffi::OsString;

use hark_bytecode::ForeignIndex;

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
    /// It needs the value of a Future.
    Await(Awaited),
    /// It calls a Python function.
    Call(ForeignCall),
    /// It wants to go on after so many seconds, with that number as the value.
    Sleep(Value),
    /// Its turn is over.
    OutOfFuel,
}

/// The Future that a thread waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Awaited {
    /// The Future of the thread with this number.
    Thread(u64),
    /// A Future that something outside resolves.
    Promise(String),
}

/// A call of a Python function.
#[derive(Debug, Clone)]
pub struct ForeignCall {
    /// Which import.
    pub foreign: ForeignIndex,
    /// Its arguments.
    pub arguments: Vec<Value>,
}

/// What a running thread does to its surroundings without stopping. The engine gathers it for its next commit.
pub trait Host {
    /// A new thread, to be run; answers its number, which is greater than this thread's.
    fn spawn(&mut self, thread: Thread) -> u64;
    /// A text for the session's standard output, its line end included.
    fn print(&mut self, text: String);
    /// The number of the running thread.
    fn thread(&self) -> u64;
    /// The session's id.
    fn session(&self) -> &str;
    /// The time, in microseconds since the beginning of 1970, UTC.
    fn now(&mut self) -> u64;
    /// 64 bits that nobody can guess.
    fn random(&mut self) -> u64;
    /// What an environment variable of this process says, if there is one of this name. A host may have no environment.
    fn environment(&mut self, _name: &str) -> Option<OsString> {
        None
    }
}
