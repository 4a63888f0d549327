//! Up to which time a server has looked at its agenda, and when it is to look next.
//!
//! A look names the threads that have become due since the one before, and nothing else: most of those that it named
//! are still in the invoker's queue, with the times that made them due still in their records. Four things could make a
//! thread slip through, and each has its remedy:
//!
//! - Its step is committed when its time has been looked at already: [`Timetable::note`] says so, and whoever noted it
//!   has it run.
//! - It was named, and then had its turn before its time, because the clock was set back: when its time is noted again,
//!   that this time was looked at is taken back.
//! - The clock stands before the last look: what has been seen since is forgotten.
//! - Its session is taken up from another server: whoever takes it up asks for all that is due in it, up to
//!   [`Timetable::seen`] at least.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::NEWS_WAIT_MAX;
use crate::surroundings::Timestamp;

#[derive(Debug, Default)]
pub(crate) struct Timetable(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// What is due up to here has been named, or is noted by those who commit it.
    seen: Timestamp,
    /// When the next look is taken, at the latest.
    next: Timestamp,
}

/// What a thread's time means for whoever looks after the agenda.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It has been looked at already: nobody will name this thread.
    Passed,
    /// It comes before the next look, so that one is to be taken earlier.
    First,
    /// A look that is to come will name it.
    Later,
}

impl Timetable {
    /// A thread goes on at this time, as its record says by now.
    pub fn note(&self, until: Timestamp, now: Timestamp) -> Noted {
        let mut times = self.lock();
        if until <= times.seen {
            if until <= now {
                return Noted::Passed;
            }
            times.seen = Timestamp(until.0.saturating_sub(1));
        }
        if until < times.next {
            times.next = until;
            return Noted::First;
        }
        Noted::Later
    }

    /// Up to which time there was a look.
    pub fn seen(&self) -> Timestamp {
        self.lock().seen
    }

    /// Begins a look; answers after which time it looks. What is noted from here on it may not see.
    pub fn begin_look(&self, now: Timestamp) -> Timestamp {
        let mut times = self.lock();
        let after = times.seen.min(now);
        *times = Times { seen: now, next: now.after(NEWS_WAIT_MAX) };
        after
    }

    /// Ends a look that has found this time to be the next; answers when to look again.
    pub fn end_look(&self, next: Option<Timestamp>) -> Timestamp {
        let mut times = self.lock();
        times.next = next.map_or(times.next, |next| next.min(times.next));
        times.next
    }

    /// What is due after this time has not all been named.
    pub fn look_again(&self, after: Timestamp) {
        let mut times = self.lock();
        times.seen = times.seen.min(after);
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_time_is_looked_at_once() {
        let table = Timetable::default();
        assert_eq!(table.begin_look(Timestamp(10)), Timestamp(0));
        assert_eq!(table.end_look(Some(Timestamp(30))), Timestamp(30));
        assert_eq!(table.begin_look(Timestamp(30)), Timestamp(10));
    }

    #[test]
    fn a_look_is_never_far_away() {
        let table = Timetable::default();
        table.begin_look(Timestamp(10));
        assert_eq!(table.end_look(None), Timestamp(10 + SECOND));
        assert_eq!(table.note(Timestamp(11 + SECOND), Timestamp(10)), Noted::Later);
    }

    #[test]
    fn what_is_noted_late_is_told() {
        let table = Timetable::default();
        table.begin_look(Timestamp(10));
        assert_eq!(table.note(Timestamp(10), Timestamp(10)), Noted::Passed);
        assert_eq!(table.note(Timestamp(20), Timestamp(10)), Noted::First);
        assert_eq!(table.note(Timestamp(20), Timestamp(10)), Noted::Later);
        assert_eq!(table.end_look(Some(Timestamp(25))), Timestamp(20));
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let table = Timetable::default();
        table.begin_look(Timestamp(100));
        assert_eq!(table.begin_look(Timestamp(40)), Timestamp(40));
        assert_eq!(table.begin_look(Timestamp(100)), Timestamp(40));
        assert_eq!(table.note(Timestamp(70), Timestamp(50)), Noted::First);
        assert_eq!(table.begin_look(Timestamp(110)), Timestamp(69));
    }

    #[test]
    fn a_look_that_failed_is_taken_again() {
        let table = Timetable::default();
        let after = table.begin_look(Timestamp(100));
        table.look_again(after);
        assert_eq!(table.begin_look(Timestamp(110)), Timestamp(0));
    }
}
