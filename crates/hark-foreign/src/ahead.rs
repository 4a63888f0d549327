//! Calls that are sent to a worker while it is still busy with the ones before, so that it need not wait for Hark between two
//! of them.
//!
//! Until the worker reads such a call it can be taken back (`worker/inbox.rs`), which everyone does who has a reason: a worker
//! is idle, a call with a higher priority comes, nobody wants the answer any more, the call before takes its time, the worker
//! is lost. Then it waits in the line again, at its old place.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::limits::INBOX_MESSAGE_BYTES_MAX;
use crate::protocol::{self, Delivery, LENGTH_BYTES};
use crate::queue::{Job, Placed};
use crate::worker::Inbox;

/// The calls that are sent ahead to one worker.
pub struct Ahead {
    inbox: Arc<Inbox>,
    sent: Mutex<Sent>,
}

#[derive(Default)]
struct Sent {
    /// In the order in which they were sent, which is the one in which the worker makes them and answers.
    calls: VecDeque<SentCall>,
    /// The number of the last message.
    number: u32,
    /// The worker is to be ended, and nothing is sent any more.
    is_closed: bool,
    request: Vec<u8>,
}

/// A call that was sent ahead.
pub struct SentCall {
    /// Its message's number.
    pub number: u32,
    /// The call.
    pub placed: Placed,
    /// It was cancelled after it had begun.
    pub is_cancelled: bool,
}

/// Where a worker is, seen from the call that is said to be under way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// It makes that call, and nothing else is to follow.
    There,
    /// It has not read that call yet, and what follows cannot be taken back.
    Before,
    /// It has begun a call that follows, and so answered that one.
    Beyond,
}

impl Ahead {
    /// Nothing is sent to the worker with this inbox.
    pub fn new(inbox: Arc<Inbox>) -> Ahead {
        Ahead { inbox, sent: Mutex::default() }
    }

    /// The number of the next message, which is sent by the caller. Nothing may have been sent ahead.
    pub fn next_number(&self) -> u32 {
        let mut sent = self.lock();
        sent.is_closed = false;
        sent.next_number()
    }

    /// How many calls are sent and have not come up.
    pub fn len(&self) -> usize {
        self.lock().calls.len()
    }

    /// Sends these calls. Gives those back that cannot be sent, which are the last ones.
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

    /// The call that the worker comes to next, which is under way from now on.
    pub fn next(&self) -> Option<SentCall> {
        self.lock().calls.pop_front()
    }

    /// Takes back all that has not begun, and says where the worker is.
    pub fn take_back(&self) -> (Vec<Placed>, Position) {
        self.lock().take_back(&self.inbox)
    }

    /// The same, and nothing is sent ahead until the worker is idle again.
    pub fn close(&self) -> (Vec<Placed>, Position) {
        let mut sent = self.lock();
        sent.is_closed = true;
        sent.take_back(&self.inbox)
    }

    /// Takes back all that a worker has not begun that is gone.
    pub fn abandon(&self) -> Vec<Placed> {
        let mut sent = self.lock();
        sent.is_closed = true;
        sent.drain(&self.inbox)
    }

    /// Notes that those calls are cancelled that have begun and have not come up.
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

    /// Whether one of the calls is like this.
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
        // Who cancels it looks for it here when this is set.
        if self.is_closed || placed.job.call.unwanted.is_set() {
            return false;
        }
        let mut request = std::mem::take(&mut self.request);
        let number = self.next_number();
        // What is refused is to be so when it comes up.
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
        // What the caller takes for under way could not be put before the others again.
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
