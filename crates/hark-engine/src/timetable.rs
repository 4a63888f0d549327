//! Tracks up to which time a server has read its agenda, and when to read it next.
//!
//! A sweep reports only the threads that have become due since the previous one: most of the earlier ones are still in
//! the invoker's queue, and their records still contain the times that made them due. There are four ways in which a
//! thread could be missed, each with a remedy:
//!
//! - Its step is committed when its time was already swept: [`Timetable::note`] returns this, and the caller runs the
//!   thread.
//! - It was reported, and then had its turn before its time, because the clock was set back: when its time is noted
//!   again, the time is marked as not swept.
//! - The clock is before the previous sweep: the later time counts as not swept.
//! - Its session is taken over from another server: the new one asks for everything due in the session, at least up to
//!   [`Timetable::seen`].

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::limits::NEWS_WAIT_MAX;
use crate::surroundings::Timestamp;

#[derive(Debug, Default)]
pub(crate) struct Timetable(Mutex<Times>);

#[derive(Debug, Default)]
struct Times {
    /// Everything due up to this time has been reported, or is noted by the committing worker.
    seen: Timestamp,
    /// The time of the next sweep, at the latest.
    next: Timestamp,
    /// The due times of threads about which no sweep asks the storage in advance.
    kept: BTreeSet<Timestamp>,
}

/// At most this many of these times are kept. Threads that are due later are found by the sweep that happens once a
/// second.
const KEPT_MAX: usize = 10_000;

/// The meaning of a thread's time for the sweeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It was already swept: no sweep will report this thread.
    Passed,
    /// It is before the next sweep, which must be earlier.
    First,
    /// A later sweep will report it.
    Later,
}

impl Timetable {
    /// A thread is due at this time, and its record says so.
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

    /// Keeps a time that was noted, because a sweep that does not ask when the next thread is due would forget it.
    pub fn keep(&self, until: Timestamp) {
        let mut times = self.lock();
        times.kept.insert(until);
        if times.kept.len() > KEPT_MAX {
            times.kept.pop_last();
        }
    }

    /// From this sweep on, each one asks when the next thread is due.
    pub fn forget_kept(&self) {
        self.lock().kept.clear();
    }

    /// The time up to which the agenda was swept.
    pub fn seen(&self) -> Timestamp {
        self.lock().seen
    }

    /// Begins a sweep, and returns the time after which it reads. It may not see what is noted from now on.
    pub fn begin_look(&self, now: Timestamp) -> Timestamp {
        let mut times = self.lock();
        let after = times.seen.min(now);
        times.seen = now;
        times.kept = times.kept.split_off(&Timestamp(now.0.saturating_add(1)));
        times.next = times.kept.first().copied().unwrap_or(Timestamp::MAX).min(now.after(NEWS_WAIT_MAX));
        after
    }

    /// Ends a sweep that has found the next due time. Returns the time of the next sweep.
    pub fn end_look(&self, next: Option<Timestamp>) -> Timestamp {
        let mut times = self.lock();
        times.next = next.map_or(times.next, |next| next.min(times.next));
        times.next
    }

    /// Not everything that is due after this time was reported.
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
    fn what_is_kept_is_looked_at_though_no_look_finds_it() {
        let table = Timetable::default();
        table.begin_look(Timestamp(10));
        for until in [40, 30, 2 * SECOND] {
            table.note(Timestamp(until), Timestamp(10));
            table.keep(Timestamp(until));
        }
        assert_eq!(table.end_look(None), Timestamp(30));
        for (now, next) in [(20, 30), (30, 40), (40, 40 + SECOND), (40 + SECOND, 2 * SECOND)] {
            table.begin_look(Timestamp(now));
            assert_eq!(table.end_look(None), Timestamp(next), "after {now}");
        }
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
