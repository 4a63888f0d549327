//! The foreign calls that this process makes, and their answers until the threads' next turns.

use std::mem;

use hark_machine::{Error, Value};

use super::{InHand, ThreadsInHand};
use crate::foreign::{Call, Unwanted};
use crate::id::{Stamp, ThreadId};
use crate::output::OutputItem;
use crate::surroundings::Timestamp;

/// The result of a foreign call.
pub(crate) type Answered = Result<Value, Error>;

/// The number of a thread's call, and the attempt.
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
pub(super) struct CallInFlight {
    /// The last attempt made here. An earlier one may still be in flight if another process has made the call in
    /// between; its output and answer are not wanted.
    pub made: Try,
    /// When it was made, if threads are leased.
    since: Timestamp,
    unwanted: Unwanted,
    status: CallStatus,
    /// Its output that is not yet written.
    printed: Vec<OutputItem>,
    printed_bytes: usize,
    /// Its last progress report.
    progress: Option<Box<str>>,
    /// The version of the thread's record. While the record has it, no other process makes the call.
    pub stamp: Stamp,
    /// A piece of output is being written, so the record may already have a new version.
    pub is_writing: bool,
}

enum CallStatus {
    InFlight,
    Answered(Answered),
    /// Another process has changed the record and made the call again, so nothing of this attempt is wanted.
    Superseded,
}

/// A piece of output of a call that continues.
pub(crate) struct Piece {
    /// The version of the thread's record that the commit expects.
    pub stamp: Stamp,
    pub printed: Vec<OutputItem>,
    /// The last progress report.
    pub progress: Option<Box<str>>,
}

/// What an item of output takes in memory in addition to its text.
const ITEM_BYTES: usize = 64;

/// What this process knows of a call.
pub(crate) enum CallState {
    /// This process does not make it: the process that did was lost, or another one has made it since (and may be lost
    /// by now).
    Unknown,
    InFlight,
    Over(Over),
}

/// A call that is over.
pub(crate) struct Over {
    /// The attempt.
    pub attempt: u32,
    /// The version of the thread's record since the last piece of output.
    pub stamp: Stamp,
    /// Its output that is not yet written.
    pub printed: Vec<OutputItem>,
    /// Its last progress report.
    pub progress: Option<Box<str>>,
    pub answer: Answered,
}

impl CallInFlight {
    fn is_superseded(&self) -> bool {
        matches!(self.status, CallStatus::Superseded)
    }

    pub fn supersede(&mut self) {
        self.status = CallStatus::Superseded;
    }

    fn take_piece(&mut self) -> Piece {
        self.printed_bytes = 0;
        self.is_writing = true;
        Piece { stamp: self.stamp, printed: mem::take(&mut self.printed), progress: self.progress.clone() }
    }
}

impl ThreadsInHand {
    /// A call is about to be made; its thread's record has this version.
    pub fn begin_call(&self, call: &Call, stamp: Stamp, since: Timestamp) {
        let in_flight = CallInFlight {
            made: Try::from(call),
            since,
            unwanted: call.unwanted.clone(),
            status: CallStatus::InFlight,
            printed: Vec::new(),
            printed_bytes: 0,
            progress: None,
            stamp,
            is_writing: false,
        };
        self.lock().entry(call.id.thread).or_default().call = Some(Box::new(in_flight));
    }

    /// Changes this attempt of a thread's call, if it is the last one made here.
    fn change_call<T>(&self, thread: ThreadId, made: Try, change: impl FnOnce(&mut CallInFlight) -> T) -> Option<T> {
        let mut threads = self.lock();
        let call = threads.get_mut(&thread)?.call.as_mut()?;
        (call.made == made).then(|| change(call))
    }

    /// The call has printed something. Returns a piece to write once there is this much output.
    pub fn print(&self, made: Try, item: &OutputItem, piece_bytes: usize) -> Option<Piece> {
        self.change_call(item.thread, made, |call| {
            if call.is_superseded() {
                return None;
            }
            call.printed.push(item.clone());
            call.printed_bytes += item.text.len() + ITEM_BYTES;
            (call.printed_bytes >= piece_bytes).then(|| call.take_piece())
        })?
    }

    /// The call has reported progress. If the call continues, the report is written together with its output.
    pub fn note_progress(&self, thread: ThreadId, made: Try, json: Box<str>, goes_on: bool) -> Option<Piece> {
        self.change_call(thread, made, |call| {
            if call.is_superseded() {
                return None;
            }
            call.progress = Some(json);
            goes_on.then(|| call.take_piece())
        })?
    }

    /// A piece was written, so the thread's record has this version now. None means that another process has the call.
    pub fn note_piece(&self, thread: ThreadId, made: Try, stamp: Option<Stamp>) {
        let mut threads = self.lock();
        let Some(InHand { call: Some(call), hold, .. }) = threads.get_mut(&thread) else { return };
        if call.made != made {
            return;
        }
        call.is_writing = false;
        match stamp {
            Some(stamp) => {
                if let Some(hold) = hold.as_mut().filter(|hold| hold.stamp == call.stamp) {
                    hold.stamp = stamp;
                }
                call.stamp = stamp;
            }
            None => call.supersede(),
        }
    }

    /// The last known version of the thread's record, if the call is wanted and no piece is being written.
    pub fn call_version(&self, thread: ThreadId, number: u64) -> Option<Stamp> {
        let threads = self.lock();
        let call = threads.get(&thread)?.call.as_ref().filter(|call| call.made.number == number)?;
        (!call.is_superseded() && !call.is_writing).then_some(call.stamp)
    }

    /// Where threads are leased: whether this process makes this call or has its answer, and knows of no other process
    /// that makes it.
    pub fn is_own_call(&self, thread: ThreadId, number: u64) -> bool {
        let threads = self.lock();
        let call = threads.get(&thread).and_then(|entry| entry.call.as_ref());
        call.is_some_and(|call| call.made.number == number && !call.is_superseded())
    }

    /// The threads whose calls are in flight or answered.
    pub fn calling(&self) -> Vec<ThreadId> {
        let threads = self.lock();
        threads.iter().filter(|(_, entry)| entry.call.is_some()).map(|(thread, _)| *thread).collect()
    }

    /// A call is answered; the first answer counts. Returns when the call was made, unless the answer is not wanted.
    pub fn answer(&self, thread: ThreadId, made: Try, answer: Answered) -> Option<Timestamp> {
        self.change_call(thread, made, |call| {
            if let CallStatus::InFlight = call.status {
                call.status = CallStatus::Answered(answer);
            }
            call.since
        })
    }

    /// The calls in flight that were made before this time: thread, number of the call, and version of the thread's
    /// record.
    pub fn made_before(&self, time: Timestamp) -> Vec<(ThreadId, u64, Stamp)> {
        let threads = self.lock();
        let old = threads.iter().filter_map(|(thread, entry)| {
            let call = entry.call.as_ref().filter(|call| call.since < time)?;
            matches!(call.status, CallStatus::InFlight).then_some((*thread, call.made.number, call.stamp))
        });
        let mut old: Vec<_> = old.collect();
        // Sorted, so that a simulated run can be replayed.
        old.sort_unstable_by_key(|(thread, ..)| *thread);
        old
    }

    /// The answer of this thread's call is no longer wanted. Returns the call's number, if there is one.
    pub fn cancel_call(&self, thread: ThreadId) -> Option<u64> {
        let threads = self.lock();
        let call = threads.get(&thread)?.call.as_ref()?;
        call.unwanted.cancel();
        Some(call.made.number)
    }

    /// What this process knows of a call. If the call is over or superseded, it is forgotten here.
    pub fn take_call(&self, thread: ThreadId, number: u64) -> CallState {
        let take = |entry: &mut InHand| {
            let Some(call) =
                entry.call.take_if(|call| call.made.number == number && !matches!(call.status, CallStatus::InFlight))
            else {
                let is_this = entry.call.as_ref().is_some_and(|call| call.made.number == number);
                return if is_this { CallState::InFlight } else { CallState::Unknown };
            };
            let CallInFlight { made, printed, progress, stamp, status, .. } = *call;
            match status {
                CallStatus::Answered(answer) => {
                    CallState::Over(Over { attempt: made.attempt, stamp, printed, progress, answer })
                }
                CallStatus::InFlight | CallStatus::Superseded => CallState::Unknown,
            }
        };
        self.change(thread, take).unwrap_or(CallState::Unknown)
    }
}
