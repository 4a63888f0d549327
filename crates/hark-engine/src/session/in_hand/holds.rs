//! The threads that this process holds, where threads are leased.

use super::{InHand, ThreadsInHand};
use crate::id::{Stamp, ThreadId};
use crate::leases::{Left, Taken};

/// The right to run a thread while its record has a version.
pub(super) struct Hold {
    /// The version that this process has taken or written. With any other version, another process has the thread.
    pub stamp: Stamp,
    /// The previous holder has withdrawn the thread's call before it began, so the same attempt is still to be made.
    is_withdrawn: bool,
}

impl InHand {
    fn is_held_as(&self, stamp: Stamp) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.stamp == stamp)
    }

    /// This process has given the thread's record a new version.
    fn note_version(&mut self, before: Stamp, stamp: Stamp) {
        if let Some(call) = self.call.as_mut().filter(|call| call.stamp == before) {
            call.stamp = stamp;
        }
        if let Some(hold) = self.hold.as_mut().filter(|hold| hold.stamp == before) {
            hold.stamp = stamp;
        }
    }
}

impl ThreadsInHand {
    /// Holds a thread that this process has just created.
    pub fn hold(&self, thread: ThreadId, stamp: Stamp) {
        self.lock().entry(thread).or_default().hold = Some(Hold { stamp, is_withdrawn: false });
    }

    /// A step of this thread was committed: from now on this process holds the `held` threads with the commit's version.
    /// The thread itself is no longer held unless it is among them.
    pub fn hold_after_step(&self, thread: ThreadId, held: impl IntoIterator<Item = ThreadId>, stamp: Stamp) {
        self.let_go(thread);
        for held in held {
            self.hold(held, stamp);
        }
    }

    /// This process has taken these threads with this version. It may have held some of them already, for longer than
    /// their leases.
    pub fn note_taken(&self, taken: &[Taken], stamp: Stamp) {
        for Taken { thread, held, left, .. } in taken {
            if let Some(before) = *held {
                let mut threads = self.lock();
                let entry = threads.entry(*thread).or_default();
                entry.note_version(before, stamp);
                entry.hold = Some(Hold { stamp, is_withdrawn: *left == Left::Withdrawn });
            }
        }
        let lost = taken.iter().filter(|taken| taken.left == Left::Lost);
        self.note_lost(&lost.map(|taken| taken.thread).collect::<Vec<_>>());
    }

    /// This process has given the thread's record another version.
    pub fn note_version(&self, thread: ThreadId, before: Stamp, stamp: Stamp) {
        self.change(thread, |entry| entry.note_version(before, stamp));
    }

    /// Whether the previous holder withdrew the call of a thread whose record has this version.
    pub fn is_withdrawn(&self, thread: ThreadId, stamp: Option<Stamp>) -> bool {
        let threads = self.lock();
        let hold = threads.get(&thread).and_then(|entry| entry.hold.as_ref());
        hold.is_some_and(|hold| hold.is_withdrawn && Some(hold.stamp) == stamp)
    }

    /// Whether this process holds a thread whose record has this version.
    pub fn holds(&self, thread: ThreadId, stamp: Option<Stamp>) -> bool {
        stamp.is_some_and(|stamp| self.lock().get(&thread).is_some_and(|entry| entry.is_held_as(stamp)))
    }

    /// Whether this process holds a thread, with any version.
    pub fn holds_any(&self, thread: ThreadId) -> bool {
        self.lock().get(&thread).is_some_and(|entry| entry.hold.is_some())
    }

    /// All threads that this process holds, with their versions.
    pub fn held(&self) -> Vec<(ThreadId, Stamp)> {
        let threads = self.lock();
        threads.iter().filter_map(|(thread, entry)| Some((*thread, entry.hold.as_ref()?.stamp))).collect()
    }

    /// The thread waits, has stopped, or belongs to another process.
    pub fn let_go(&self, thread: ThreadId) {
        self.change(thread, |entry| entry.hold = None);
    }

    /// The same, unless the thread is held with another version by now.
    pub fn let_go_of(&self, thread: ThreadId, stamp: Stamp) {
        self.change(thread, |entry| {
            if entry.is_held_as(stamp) {
                entry.hold = None;
            }
        });
    }

    /// Hands a thread over to another process. Returns the version with which it was held, if it was, and what became
    /// of its previous holder.
    pub fn hand_over(&self, thread: ThreadId) -> (Option<Stamp>, Left) {
        let hold = self.change(thread, |entry| entry.hold.take()).flatten();
        let left = match &hold {
            _ if self.take_loss(thread) => Left::Lost,
            Some(hold) if hold.is_withdrawn => Left::Withdrawn,
            _ => Left::Free,
        };
        (hold.map(|hold| hold.stamp), left)
    }

    /// Another process has taken a thread that this one held with this version. Returns whether this process is making
    /// the thread's call, which must then be stopped.
    pub fn lose(&self, thread: ThreadId, stamp: Stamp) -> bool {
        let lose = |entry: &mut InHand| {
            // While a piece of output is being written, this process may be changing the version itself.
            if entry.call.as_ref().is_some_and(|call| call.is_writing) {
                return false;
            }
            if entry.is_held_as(stamp) {
                entry.hold = None;
            }
            entry.call.as_mut().filter(|call| call.stamp == stamp).map(|call| call.supersede()).is_some()
        };
        self.change(thread, lose).unwrap_or(false)
    }

    /// Withdraws the call of a thread, which has not begun, and releases the thread.
    pub fn withdraw(&self, thread: ThreadId, number: u64, stamp: Stamp) {
        self.change(thread, |entry| {
            if entry.is_held_as(stamp) {
                entry.hold = None;
            }
            if entry.call.as_ref().is_some_and(|call| call.made.number == number) {
                entry.call = None;
            }
        });
    }
}
