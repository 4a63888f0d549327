//! Positions of the history: a hybrid logical clock.
//!
//! A position is the time in microseconds and ten random bits. Within a process positions only grow. A row carries the
//! greatest position that its writer knew, and a process that reads the row continues from there. So an effect has a
//! greater position than its cause, whatever the machines' clocks say.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hark_engine::{Surroundings, Timestamp};

use super::api::TRY_TIME_MAX;
use crate::surroundings::{System, random};

const RANDOM_BITS: u32 = 10;

/// The maximum time between choosing a position and the commit of its page. A commit that takes longer gets a new
/// position.
pub(super) const POSITION_TIME_MAX: Duration = Duration::from_millis(2_000);

/// The history is settled up to this long ago. This covers the age of a position when the last try of a commit begins,
/// the duration of that try, and a second for clocks that differ.
const SETTLED_AFTER: Duration = POSITION_TIME_MAX.saturating_add(TRY_TIME_MAX).saturating_add(Duration::from_secs(1));

/// A clock that is further ahead than this is wrong, and is not followed.
const AHEAD_MAX: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    /// The next position.
    pub fn next(&self) -> u64 {
        let drawn = position_at(System.now()) | (random() & ((1 << RANDOM_BITS) - 1));
        let later = |last: u64| Some(drawn.max(last + 1));
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, later) {
            Ok(last) | Err(last) => drawn.max(last + 1),
        }
    }

    /// The greatest position that this process knows.
    pub fn last(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Notes a position that another process knew.
    pub fn note(&self, position: u64) {
        if position > self.last() && position <= position_at(System.now().after(AHEAD_MAX)) {
            self.0.fetch_max(position, Ordering::AcqRel);
        }
    }
}

/// See [`SessionRows::history_settled`](hark_engine::rows::SessionRows::history_settled).
pub(super) fn settled() -> u64 {
    let now = System.now().0;
    position_at(Timestamp(now.saturating_sub(SETTLED_AFTER.as_micros() as u64)))
}

fn position_at(time: Timestamp) -> u64 {
    time.0.min(u64::MAX >> (RANDOM_BITS + 1)) << RANDOM_BITS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_grow_and_follow_what_is_known() {
        let (one, other) = (Clock::default(), Clock::default());
        let first = one.next();
        let ahead = first + (60_000_000 << RANDOM_BITS);
        other.note(ahead);
        let second = other.next();
        assert!(second > ahead && other.next() > second);
        other.note(first);
        assert!(other.next() > ahead, "it never goes back");
        one.note(first + (86_400_000_000 << RANDOM_BITS));
        assert!(one.next() < ahead, "a clock that is a day ahead is wrong");
        assert!(settled() < first);
    }
}
