//! The lifetime of a process that was started for some threads and is stopped at a known time, such as an invocation of
//! an AWS Lambda function.
//!
//! Threads outlive the process: threads that compute are saved and handed on some time before its end. Only a foreign
//! call cannot be continued elsewhere.

use std::time::Duration;

use crate::surroundings::Timestamp;

/// When a process ends, in steady time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// From then on it begins no calls that may need all of the remaining time: the next process has more time.
    pub long_calls_until: Timestamp,
    /// From then on it hands each thread on when the thread is next saved, and keeps no new ones.
    pub winds_down: Timestamp,
    /// Calls that are still in flight then fail.
    pub calls_end: Timestamp,
}

impl Deadline {
    /// The deadline of a process that begins now, is stopped at `end`, and needs the last `reserve` to save its
    /// threads.
    pub fn new(now: Timestamp, end: Timestamp, reserve: Duration) -> Deadline {
        let total = end.since(now);
        let reserve = reserve.min(total / 4);
        let before_end = |time: Duration| now.after(total.saturating_sub(time));
        Deadline {
            long_calls_until: now.after(total / 2),
            winds_down: before_end(reserve * 2),
            calls_end: before_end(reserve),
        }
    }

    /// Whether threads that compute are now handed on.
    pub fn is_winding_down(&self, now: Timestamp) -> bool {
        now >= self.winds_down
    }

    /// Whether a call may begin here. `timeout` is the longest that it can take, if known.
    pub fn may_begin(&self, now: Timestamp, timeout: Option<Duration>) -> bool {
        now < self.long_calls_until || timeout.is_some_and(|timeout| now.after(timeout) <= self.calls_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    #[test]
    fn a_call_begins_where_it_has_enough_time() {
        let deadline = Deadline::new(at(100), at(200), Duration::from_secs(5));
        assert_eq!((deadline.winds_down, deadline.calls_end), (at(190), at(195)));
        assert!(deadline.may_begin(at(149), None));
        assert!(!deadline.may_begin(at(150), None), "the next process has more time");
        assert!(deadline.may_begin(at(185), Some(Duration::from_secs(10))));
        assert!(!deadline.may_begin(at(186), Some(Duration::from_secs(10))));
        assert!(deadline.may_begin(at(100), Some(Duration::from_secs(1_000))), "nowhere has it more time");
        assert!(!deadline.is_winding_down(at(189)) && deadline.is_winding_down(at(190)));
    }

    #[test]
    fn a_process_of_little_time_still_does_something() {
        let deadline = Deadline::new(at(100), at(104), Duration::from_secs(5));
        assert_eq!((deadline.long_calls_until, deadline.winds_down, deadline.calls_end), (at(102), at(102), at(103)));
    }
}
