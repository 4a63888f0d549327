//! The foreign calls under way, and what they came to, until their threads' turns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hark_machine::{Error, Value};

use crate::foreign::Call;
use crate::id::ThreadId;
use crate::output::OutputItem;

/// What a foreign call came to.
pub(crate) type Answered = Result<Value, Error>;

#[derive(Default)]
pub(crate) struct Calls(Mutex<HashMap<ThreadId, UnderWay>>);

/// Which of a thread's calls, and which try of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Try {
    pub number: u64,
    pub attempt: u32,
}

impl From<&Call> for Try {
    fn from(call: &Call) -> Try {
        Try { number: call.id.number, attempt: call.attempt }
    }
}

/// A thread's call.
struct UnderWay {
    /// The last try that was made here. One before it may still be under way as well, if others had made the call
    /// meanwhile: what it prints and answers is not wanted any more.
    made: Try,
    answer: Option<Answered>,
    /// What it has printed, if that is still to be written down.
    printed: Vec<OutputItem>,
}

/// Counts the calls under way of all sessions of an engine.
#[derive(Default)]
pub(crate) struct Places(Arc<()>);

/// A call's place among those under way, until it is dropped.
pub(crate) struct Place(Arc<()>);

impl Places {
    /// One more call is to be made.
    pub fn take(&self) -> Place {
        Place(self.0.clone())
    }
}

impl Place {
    /// How many places are taken, this one included.
    pub fn taken(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

/// What is known of a call.
pub(crate) enum CallState {
    /// Nobody here makes it: who did was lost.
    Unknown,
    /// It is being made.
    UnderWay,
    /// It is over; this is what it printed and came to.
    Over(Vec<OutputItem>, Answered),
}

impl Calls {
    /// A call begins.
    pub fn begin(&self, thread: ThreadId, made: Try) {
        self.lock().insert(thread, UnderWay { made, answer: None, printed: Vec::new() });
    }

    /// It printed something.
    pub fn print(&self, made: Try, item: &OutputItem) {
        if let Some(call) = self.lock().get_mut(&item.thread).filter(|call| call.made == made) {
            call.printed.push(item.clone());
        }
    }

    /// It is over. The first answer counts.
    pub fn answer(&self, thread: ThreadId, made: Try, answer: Answered) {
        if let Some(call) = self.lock().get_mut(&thread).filter(|call| call.made == made) {
            call.answer.get_or_insert(answer);
        }
    }

    /// Whether a call of this thread is being made.
    pub fn is_under_way(&self, thread: ThreadId) -> bool {
        self.lock().contains_key(&thread)
    }

    /// What is known of this call. If it is over it is forgotten here.
    pub fn take(&self, thread: ThreadId, number: u64) -> CallState {
        let mut calls = self.lock();
        let Entry::Occupied(mut call) = calls.entry(thread) else { return CallState::Unknown };
        if call.get().made.number != number {
            return CallState::Unknown;
        }
        match call.get_mut().answer.take() {
            Some(answer) => CallState::Over(call.remove().printed, answer),
            None => CallState::UnderWay,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
