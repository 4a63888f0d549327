//! The waiters of a pending Future, and waits for several Futures.

use std::fmt;
use std::sync::Arc;

use hark_machine::{Awaited, Until, Wait};

use super::FutureRecord;
use crate::demand::Demand;
use crate::history::shown_wait;
use crate::id::{FutureId, ThreadId};
use crate::limits::SHOWN_FUTURES_MAX;
use crate::surroundings::Timestamp;

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// The Future's value or error.
    Outcome,
    /// The Future's error. A thread that needs the values of many Futures waits for the value of one of them, but must
    /// be notified of a failure of each.
    Failure,
}

/// A waiter of a Future.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// The waiting thread.
    pub thread: ThreadId,
    /// What it waits for.
    pub interest: Interest,
    /// Its demand when it is woken, so that its record need not be read to wake it.
    pub demand: Demand,
}

/// The waiters of a pending Future.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Waiters {
    /// The first waiters, each thread once.
    pub inline: Vec<Waiter>,
    /// There may be more, with their own records. Never unset.
    pub crowded: bool,
}

/// A wait for several Futures, or with a deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct Awaiting {
    /// The first of the Futures, for display.
    pub futures: Vec<Awaited>,
    /// The number of Futures.
    pub count: u64,
    /// How many of them are needed.
    pub until: Until,
    /// When the wait times out. It does not change after the wait began.
    pub deadline: Option<Timestamp>,
    /// Whether the thread is registered as a waiter of all of them. Until then it must be looked at again.
    pub is_entered: bool,
}

impl Waiter {
    /// A waiter without a priority, in the default place.
    pub fn new(thread: ThreadId, interest: Interest) -> Waiter {
        Waiter { thread, interest, demand: Demand::default() }
    }

    /// Whether it is woken when the Future is done: with a failure or a value.
    pub fn is_to_hear(&self, has_failed: bool) -> bool {
        has_failed || self.interest == Interest::Outcome
    }
}

impl Waiters {
    /// The waiters of this Future.
    pub fn of(record: &FutureRecord) -> Waiters {
        match record {
            FutureRecord::AwaitedBy(waiter) => Waiter::new(*waiter, Interest::Outcome).into(),
            FutureRecord::WatchedBy(waiter) => Waiter::new(*waiter, Interest::Failure).into(),
            FutureRecord::AwaitedByMany(waiters) => Waiters::clone(waiters),
            FutureRecord::Resolved(_) | FutureRecord::Failed(_) => Waiters::default(),
        }
    }
}

impl From<Waiter> for Waiters {
    fn from(waiter: Waiter) -> Waiters {
        Waiters { inline: vec![waiter], crowded: false }
    }
}

impl From<Waiters> for FutureRecord {
    fn from(waiters: Waiters) -> FutureRecord {
        match &waiters.inline[..] {
            [waiter] if !waiters.crowded => waiter.clone().into(),
            _ => FutureRecord::AwaitedByMany(waiters.into()),
        }
    }
}

impl From<Waiter> for FutureRecord {
    fn from(waiter: Waiter) -> FutureRecord {
        match waiter.interest {
            _ if !waiter.demand.is_default() => FutureRecord::AwaitedByMany(Arc::new(waiter.into())),
            Interest::Outcome => FutureRecord::AwaitedBy(waiter.thread),
            Interest::Failure => FutureRecord::WatchedBy(waiter.thread),
        }
    }
}

impl FutureRecord {
    /// A pending Future without waiters that has been awaited: its failure is not reported.
    pub fn awaited() -> FutureRecord {
        Waiters::default().into()
    }

    /// What this thread waits for, if the record itself lists it as a waiter.
    pub fn interest_of(&self, thread: ThreadId) -> Option<Interest> {
        match self {
            FutureRecord::AwaitedBy(waiter) => (*waiter == thread).then_some(Interest::Outcome),
            FutureRecord::WatchedBy(waiter) => (*waiter == thread).then_some(Interest::Failure),
            FutureRecord::AwaitedByMany(waiters) => {
                waiters.inline.iter().find(|waiter| waiter.thread == thread).map(|waiter| waiter.interest)
            }
            FutureRecord::Resolved(_) | FutureRecord::Failed(_) => None,
        }
    }

    /// Whether some waiters may have their own records.
    pub fn is_crowded(&self) -> bool {
        matches!(self, FutureRecord::AwaitedByMany(waiters) if waiters.crowded)
    }
}

impl Awaiting {
    /// The status of a thread that begins this wait.
    pub fn new(wait: &Wait, deadline: Option<Timestamp>, is_entered: bool) -> Awaiting {
        let futures = wait.futures.iter().take(SHOWN_FUTURES_MAX).cloned().collect();
        Awaiting { futures, count: wait.futures.len() as u64, until: wait.until, deadline, is_entered }
    }
}

impl fmt::Display for Awaiting {
    /// "thread 3", "any of 5 futures (thread 1, thread 2, future `a` and 2 more)". The deadline is omitted.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let futures: Vec<FutureId> = self.futures.iter().map(FutureId::from).collect();
        formatter.write_str(&shown_wait(self.until.into(), &futures, self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Place;

    #[test]
    fn a_wait_is_shown_in_short() {
        let shown = |futures: Vec<Awaited>, until| {
            Awaiting::new(&Wait { futures: futures.into(), until, at_once: false, timeout: None }, None, true)
                .to_string()
        };
        let threads = |count| (1..=count).map(Awaited::Thread).collect::<Vec<_>>();
        assert_eq!(shown(vec![Awaited::Promise("mail/1".into())], Until::All), "future `mail/1`");
        assert_eq!(shown(threads(2), Until::Any), "any of 2 futures (thread 1, thread 2)");
        let many = "all of 100000 futures (thread 1, thread 2, thread 3, thread 4 and 99996 more)";
        assert_eq!(shown(threads(100_000), Until::All), many);
    }

    #[test]
    fn waiters_take_the_shortest_form() {
        let waiter = |interest| Waiter::new(ThreadId(7), interest);
        for waiters in [
            waiter(Interest::Outcome).into(),
            waiter(Interest::Failure).into(),
            Waiter { demand: Demand::of_priority(-1), ..waiter(Interest::Outcome) }.into(),
            Waiter { demand: Demand { priority: 0, place: Place::anywhere() }, ..waiter(Interest::Failure) }.into(),
            Waiters { inline: vec![waiter(Interest::Failure)], crowded: true },
            Waiters::default(),
        ] {
            let record = FutureRecord::from(waiters.clone());
            assert!(record.is_pending());
            assert_eq!(Waiters::of(&record), waiters);
        }
    }
}
