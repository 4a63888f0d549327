//! Sending calls ahead: calls are sent to a worker while it is still busy with earlier ones, so that it does not idle
//! between two calls.
//!
//! Until the worker reads such a call, it can be taken back (`worker/inbox.rs`). This happens when another worker is
//! idle, when a call with a higher priority arrives, when the call is cancelled, when the current call takes long, or
//! when the worker is lost. The call then waits in the queue again, at its old position.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::INBOX_MESSAGE_BYTES_MAX;
use crate::protocol::{self, Delivery, LENGTH_BYTES};
use crate::queue::{Job, Placed};
use crate::worker::Inbox;

/// The calls sent ahead to one worker.
pub struct Ahead {
    inbox: Arc<Inbox>,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    /// In the order of sending. The worker makes and answers them in the same order.
    calls: VecDeque<SentCall>,
    /// The number of the last message.
    number: u32,
    /// Whether the worker is about to be ended, so that nothing more may be sent.
    is_closed: bool,
    request: Vec<u8>,
}

/// A call sent ahead.
pub struct SentCall {
    /// The number of its message.
    pub number: u32,
    /// The call and its position in the queue.
    pub placed: Placed,
    /// Whether it was cancelled after it had begun.
    pub is_cancelled: bool,
}

/// The position of a worker relative to the call that Hark considers to be under way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It is making that call, and no later call is left in its inbox.
    There,
    /// It has not read that call yet, so later calls cannot be taken back.
    Before,
    /// It has begun a later call, so it has already answered that one.
    Beyond,
}

impl Ahead {
    /// No calls sent ahead to the worker with this inbox.
    pub fn new(inbox: Arc<Inbox>) -> Ahead {
        Ahead { inbox, sent: Mutex::default() }
    }

    /// The number for the next message, which the caller sends itself. No calls may be sent ahead at that point.
    pub fn next_number(&self) -> u32 {
        let mut sent = self.lock();
        sent.is_closed = false;
        sent.next_number()
    }

    /// The number of calls sent ahead that are not under way yet.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }

    /// Sends these calls. Returns those that could not be sent, which are always the last ones.
    pub fn send(&self, calls: Vec<Placed>) -> Vec<Placed> {
        let mut sent = self.lock();
        let mut calls = calls.into_iter();
        while let Some(placed) = calls.next() {
            if !sent.send(&self.inbox, &placed) {
                return std::iter::once(placed).chain(calls).collect();
            }
            let number = sent.number;
            sent.calls.push_back(SentCall { number, placed, is_cancelled: false });
        }
        Vec::new()
    }

    /// Takes the call that the worker makes next. From now on it is under way.
    pub fn next(&self) -> Option<SentCall> {
        self.lock().calls.pop_front()
    }

    /// Takes back all calls that have not begun, and returns the worker's position.
    pub fn take_back(&self) -> (Vec<Placed>, Position) {
        self.lock().take_back(&self.inbox)
    }

    /// Like [`take_back`](Ahead::take_back), but also sends nothing ahead until the worker is idle again.
    pub fn close(&self) -> (Vec<Placed>, Position) {
        let mut sent = self.lock();
        sent.is_closed = true;
        sent.take_back(&self.inbox)
    }

    /// Takes back all calls that a lost worker had not begun.
    pub fn abandon(&self) -> Vec<Placed> {
        let mut sent = self.lock();
        sent.is_closed = true;
        sent.drain(&self.inbox)
    }

    /// Marks as cancelled the matching calls that have begun but are not under way yet for Hark.
    pub fn cancel(&self, is_meant: impl Fn(&Job) -> bool) {
        self.lock()
            .calls
            .iter_mut()
            .filter(|call| is_meant(&call.placed.job))
            .for_each(|call| call.is_cancelled = true);
    }

    /// The lowest priority of the calls.
    pub fn lowest_priority(&self) -> Option<i64> {
        self.lock().calls.iter().map(|call| call.placed.job.call.priority.into()).min()
    }

    /// Whether any of the calls matches.
    pub fn has(&self, is_meant: impl Fn(&Job) -> bool) -> bool {
        self.lock().calls.iter().any(|call| is_meant(&call.placed.job))
    }

    fn lock(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sent {
    fn next_number(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.number
    }

    fn send(&mut self, inbox: &Inbox, placed: &Placed) -> bool {
        // Cancelling sets `unwanted` before it searches for the call here, so a call that is not sent now is not
        // missed.
        if self.is_closed || placed.job.call.unwanted.is_set() {
            return false;
        }
        let mut request = std::mem::take(&mut self.request);
        let number = self.next_number();
        // A call that cannot be encoded is refused when its turn comes, not here.
        let is_whole = protocol::call(&placed.job.call, &mut request, |_| ()).is_ok_and(|objects| objects.is_empty());
        protocol::address(&mut request, Delivery::Ahead, number);
        let message = request.get(LENGTH_BYTES..).unwrap_or_default();
        let is_sent = is_whole && message.len() <= INBOX_MESSAGE_BYTES_MAX && inbox.send(message).is_ok();
        self.request = request;
        is_sent
    }

    fn take_back(&mut self, inbox: &Inbox) -> (Vec<Placed>, Position) {
        if self.calls.is_empty() {
            return (Vec::new(), Position::There);
        }
        // The call that Hark considers to be under way is still unread. Messages taken back from behind it could not be
        // queued behind it again.
        if inbox.first().is_some_and(|first| self.calls.iter().all(|call| call.number != first)) {
            return (Vec::new(), Position::Before);
        }
        let taken = self.drain(inbox);
        (taken, if self.calls.is_empty() { Position::There } else { Position::Beyond })
    }

    fn drain(&mut self, inbox: &Inbox) -> Vec<Placed> {
        let mut taken = Vec::new();
        while let Some(number) = inbox.take_back() {
            if let Some(place) = self.calls.iter().position(|call| call.number == number)
                && let Some(call) = self.calls.remove(place)
            {
                taken.push(call.placed);
            }
        }
        taken
    }
}
