//! The foreign calls under way, and what they came to, until their threads' turns.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hark_machine::{Error, Value};

use crate::foreign::{Call, Unwanted};
use crate::id::{Stamp, ThreadId};
use crate::output::OutputItem;
use crate::surroundings::Timestamp;

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
    /// When it was made, where threads are leased.
    since: Timestamp,
    unwanted: Unwanted,
    answer: Option<Answered>,
    /// What it has printed, if that is still to be written down.
    printed: Vec<OutputItem>,
    /// How much that is.
    printed_bytes: usize,
    /// How far it said last that it is.
    progress: Option<Box<str>>,
    /// The version of the thread's record: as long as the record has it, nobody else makes the call.
    stamp: Stamp,
    /// A piece is being written, so that the record may have another version already.
    is_writing: bool,
    /// The record has another version, so that a part of what it printed is not written down.
    is_superseded: bool,
}

/// What is to be written down of a call that goes on.
pub(crate) struct Piece {
    /// The version of the thread's record, in whose sight it is to be done.
    pub stamp: Stamp,
    /// What it printed.
    pub printed: Vec<OutputItem>,
    /// How far it says that it is.
    pub progress: Option<Box<str>>,
}

/// What an item of output takes beside its text.
const ITEM_BYTES: usize = 64;

/// What is known of a call.
pub(crate) enum CallState {
    /// Nobody here makes it: who did was lost. Or others have made it since, who may be lost by now.
    Unknown,
    /// It is being made.
    UnderWay,
    /// It is over.
    Over(Over),
}

/// A call that is over.
pub(crate) struct Over {
    /// Which try.
    pub attempt: u32,
    /// The version that the thread's record has since the last piece of output.
    pub stamp: Stamp,
    /// What of its output is still to be written down.
    pub printed: Vec<OutputItem>,
    /// How far it said last that it is.
    pub progress: Option<Box<str>>,
    /// What it came to.
    pub answer: Answered,
}

impl Calls {
    /// A call is about to be made; its thread's record has this version.
    pub fn begin(&self, call: &Call, stamp: Stamp, since: Timestamp) {
        let (thread, made, unwanted) = (call.id.thread, Try::from(call), call.unwanted.clone());
        let (printed, printed_bytes) = (Vec::new(), 0);
        let (answer, progress, is_writing, is_superseded) = (None, None, false, false);
        let call = UnderWay {
            made,
            since,
            unwanted,
            answer,
            printed,
            printed_bytes,
            progress,
            stamp,
            is_writing,
            is_superseded,
        };
        self.lock().insert(thread, call);
    }

    /// It printed something. If that makes a piece of so many bytes, the piece is to be written down, in sight of this
    /// version of the thread's record.
    pub fn print(&self, made: Try, item: &OutputItem, piece_bytes: usize) -> Option<Piece> {
        let mut calls = self.lock();
        let call = calls.get_mut(&item.thread).filter(|call| call.made == made && !call.is_superseded)?;
        call.printed.push(item.clone());
        call.printed_bytes += item.text.len() + ITEM_BYTES;
        if call.printed_bytes < piece_bytes {
            return None;
        }
        Some(call.take_piece())
    }

    /// It said how far it is. If it goes on, that is to be written down, with what it has printed.
    pub fn note_progress(&self, thread: ThreadId, made: Try, json: Box<str>, goes_on: bool) -> Option<Piece> {
        let mut calls = self.lock();
        let call = calls.get_mut(&thread).filter(|call| call.made == made && !call.is_superseded)?;
        call.progress = Some(json);
        goes_on.then(|| call.take_piece())
    }

    /// A piece was written down, and the thread's record has this version now; or the call is not ours any more.
    pub fn note_piece(&self, thread: ThreadId, made: Try, stamp: Option<Stamp>) {
        if let Some(call) = self.lock().get_mut(&thread).filter(|call| call.made == made) {
            call.is_writing = false;
            match stamp {
                Some(stamp) => call.stamp = stamp,
                None => call.is_superseded = true,
            }
        }
    }

    /// The version that the thread's record has as far as this call knows, if it is wanted and none is being written.
    pub fn stamp(&self, thread: ThreadId, number: u64) -> Option<Stamp> {
        let calls = self.lock();
        let call = calls.get(&thread).filter(|call| call.made.number == number)?;
        (!call.is_superseded && !call.is_writing).then_some(call.stamp)
    }

    /// Where threads are leased: whether this call is being made here, or is over, and no other process is known to have it.
    pub fn is_ours(&self, thread: ThreadId, number: u64) -> bool {
        self.lock().get(&thread).is_some_and(|call| call.made.number == number && !call.is_superseded)
    }

    /// This process has taken a thread that it held already, for longer than its lease: its record had the one version and has
    /// the other now.
    pub fn note_taken(&self, thread: ThreadId, before: Stamp, stamp: Stamp) {
        if let Some(call) = self.lock().get_mut(&thread).filter(|call| call.stamp == before) {
            call.stamp = stamp;
        }
    }

    /// The thread's record has this version no longer: another process makes the call. Answers whether a call of it is being
    /// made here that is to be stopped.
    pub fn supersede(&self, thread: ThreadId, stamp: Stamp) -> bool {
        let mut calls = self.lock();
        let call = calls.get_mut(&thread).filter(|call| call.stamp == stamp && !call.is_writing);
        call.map(|call| call.is_superseded = true).is_some()
    }

    /// The threads whose calls are being made.
    pub fn threads(&self) -> Vec<ThreadId> {
        self.lock().keys().copied().collect()
    }

    /// It is over. The first answer counts. Answers when the call was made, if it is wanted.
    pub fn answer(&self, thread: ThreadId, made: Try, answer: Answered) -> Option<Timestamp> {
        let mut calls = self.lock();
        let call = calls.get_mut(&thread).filter(|call| call.made == made)?;
        call.answer.get_or_insert(answer);
        Some(call.since)
    }

    /// The calls without an answer that were made before this time: the thread of each, its number, and the version of the
    /// thread's record.
    pub fn made_before(&self, time: Timestamp) -> Vec<(ThreadId, u64, Stamp)> {
        let calls = self.lock();
        let is_meant = |call: &UnderWay| call.since < time && call.answer.is_none() && !call.is_superseded;
        let old = calls.iter().filter(|(_, call)| is_meant(call));
        let mut old: Vec<_> = old.map(|(thread, call)| (*thread, call.made.number, call.stamp)).collect();
        // In an order, so that a simulated run can be replayed.
        old.sort_unstable_by_key(|(thread, ..)| *thread);
        old
    }

    /// A call was taken back before it began.
    pub fn forget(&self, thread: ThreadId, number: u64) {
        if let Entry::Occupied(call) = self.lock().entry(thread)
            && call.get().made.number == number
        {
            call.remove();
        }
    }

    /// Nobody wants the answer of this thread's call any more, if it is being made. Answers which of its calls that is.
    pub fn cancel(&self, thread: ThreadId) -> Option<u64> {
        let calls = self.lock();
        let call = calls.get(&thread)?;
        call.unwanted.cancel();
        Some(call.made.number)
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
        if call.get().is_superseded {
            call.remove();
            return CallState::Unknown;
        }
        match call.get_mut().answer.take() {
            Some(answer) => {
                let UnderWay { made, printed, progress, stamp, .. } = call.remove();
                CallState::Over(Over { attempt: made.attempt, stamp, printed, progress, answer })
            }
            None => CallState::UnderWay,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    fn take_piece(&mut self) -> Piece {
        self.printed_bytes = 0;
        self.is_writing = true;
        Piece { stamp: self.stamp, printed: mem::take(&mut self.printed), progress: self.progress.clone() }
    }
}
