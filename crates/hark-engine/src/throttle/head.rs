//! The head record of a gate: its bound, the number of holders, and recent starts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Bound;
use crate::limits::RATE_STARTS_MAX;
use crate::surroundings::Timestamp;

/// The head record of a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub bound: Bound,
    /// When the session began whose program declared the bound. The newest program counts.
    pub since: Timestamp,
    /// Where that program declares it: a file and a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub place: String,
    /// The next ticket.
    pub next: u64,
    /// The number of admitted threads.
    pub held: u64,
    /// The number of threads in the queue.
    pub queued: u64,
    /// For a rate: times and the number of starts at each, oldest first. If the bound is too large to store each start,
    /// all starts within a short interval are counted at the time of the last of them, so that the bound is never
    /// exceeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<(Timestamp, u64)>,
}

impl Head {
    pub fn new(bound: Bound, since: Timestamp, place: String) -> Head {
        Head { bound, since, place, next: 1, held: 0, queued: 0, starts: Vec::new() }
    }

    /// Notes that a program of a session that began at this time declares this bound.
    pub fn note_bound(&mut self, bound: Bound, since: Timestamp, place: impl FnOnce() -> String) {
        if since < self.since {
            return;
        }
        if bound != self.bound {
            self.place = place();
        }
        (self.bound, self.since) = (bound, since);
    }

    pub fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Lets one thread in, if there is room. Returns when it may start.
    pub fn enter(&mut self, now: Timestamp) -> Option<Timestamp> {
        if self.bound.per == 0 {
            let has_room = self.held < self.bound.count;
            self.held += u64::from(has_room);
            return has_room.then_some(now);
        }
        let start = self.next_start(now)?;
        self.held += 1;
        let per = self.per();
        self.starts.retain(|(time, _)| time.after(per) > now);
        let cell = if self.bound.count > RATE_STARTS_MAX { (self.bound.per / RATE_STARTS_MAX).max(1) } else { 1 };
        match self.starts.last_mut() {
            Some((time, count)) if time.0 / cell == start.0 / cell => (*time, *count) = (start, *count + 1),
            _ => self.starts.push((start, 1)),
        }
        Some(start)
    }

    /// One thread leaves. `from` is the time at which it was allowed to start; if that is in the future, its start does
    /// not count.
    pub fn leave(&mut self, from: Timestamp, now: Timestamp) {
        self.held = self.held.saturating_sub(1);
        if from > now
            && let Some((_, count)) = self.starts.last_mut().filter(|(time, _)| *time == from)
        {
            *count -= 1;
            self.starts.retain(|(_, count)| *count > 0);
        }
    }

    fn per(&self) -> Duration {
        Duration::from_micros(self.bound.per)
    }

    /// When the next thread may start. None while the last admitted thread has not started: at most one start is planned
    /// ahead. If no thread is admitted, the last one has started according to another clock.
    fn next_start(&mut self, now: Timestamp) -> Option<Timestamp> {
        let latest = now.after(self.per());
        // A clock that was set back must not block everything.
        self.starts.iter_mut().for_each(|(time, _)| *time = (*time).min(latest));
        if self.held > 0 && self.starts.last().is_some_and(|(time, _)| *time > now) {
            return None;
        }
        let mut left: u64 =
            self.starts.iter().filter(|(time, _)| time.after(self.per()) > now).map(|(_, count)| count).sum();
        let mut start = now;
        for (time, count) in self.starts.iter().filter(|(time, _)| time.after(self.per()) > now) {
            if left < self.bound.count {
                break;
            }
            left -= count;
            start = time.after(self.per());
        }
        Some(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn rate(count: u64, per_seconds: u64) -> Head {
        Head::new(Bound { count, per: per_seconds * SECOND }, Timestamp(0), String::new())
    }

    #[test]
    fn a_limit_lets_so_many_in() {
        let mut head = Head::new(Bound { count: 2, per: 0 }, Timestamp(0), String::new());
        let now = Timestamp(5);
        assert_eq!([head.enter(now), head.enter(now), head.enter(now)], [Some(now), Some(now), None]);
        head.leave(now, now);
        assert_eq!(head.enter(now), Some(now));
    }

    #[test]
    fn the_newest_program_counts() {
        let bound = |count| Bound { count, per: 0 };
        let mut head = Head::new(bound(3), Timestamp(10), "a.hk:1".to_owned());
        head.note_bound(bound(5), Timestamp(9), || "b.hk:1".to_owned());
        assert_eq!((head.bound.count, head.place.as_str()), (3, "a.hk:1"));
        head.note_bound(bound(3), Timestamp(11), || "c.hk:1".to_owned());
        assert_eq!((head.since, head.place.as_str()), (Timestamp(11), "a.hk:1"));
        head.note_bound(bound(1), Timestamp(12), || "d.hk:1".to_owned());
        assert_eq!((head.bound.count, head.place.as_str()), (1, "d.hk:1"));
    }

    #[test]
    fn a_rate_is_one_of_every_window() {
        let mut head = rate(3, 60);
        let mut now = Timestamp(1_000 * SECOND);
        let mut starts = Vec::new();
        for _ in 0..50 {
            let start = head.enter(now).unwrap();
            starts.push(start);
            // The next one comes a little after this one has started.
            now = start.after(Duration::from_secs(7));
        }
        for window in starts.windows(4) {
            assert!(window[3].since(window[0]) >= Duration::from_secs(60), "{window:?}");
        }
        assert_eq!(starts[3].since(starts[0]), Duration::from_secs(60), "no thread waits longer than needed");
    }

    #[test]
    fn only_one_start_is_ahead() {
        let mut head = rate(1, 10);
        let now = Timestamp(100 * SECOND);
        assert_eq!(head.enter(now), Some(now));
        let next = now.after(Duration::from_secs(10));
        assert_eq!([head.enter(now), head.enter(now)], [Some(next), None]);
        assert_eq!(head.enter(next), Some(next.after(Duration::from_secs(10))));
    }

    #[test]
    fn a_start_that_does_not_come_does_not_count() {
        let mut head = rate(1, 10);
        let now = Timestamp(100 * SECOND);
        head.enter(now);
        let next = head.enter(now).unwrap();
        head.leave(next, now);
        assert_eq!(head.enter(now), Some(next));
        head.leave(next, next);
        assert_ne!(head.enter(next), Some(next), "it had started");
    }

    #[test]
    fn a_clock_that_is_set_back_costs_one_window() {
        let mut head = rate(1, 10);
        head.enter(Timestamp(1_000 * SECOND));
        let now = Timestamp(100 * SECOND);
        assert_eq!(head.enter(now), None);
        head.leave(Timestamp(1_000 * SECOND), Timestamp(1_000 * SECOND));
        assert_eq!(head.enter(now), Some(now.after(Duration::from_secs(20))));
    }

    #[test]
    fn many_starts_are_counted_together() {
        let many = 20 * RATE_STARTS_MAX;
        let mut head = rate(many, 1_000);
        let now = Timestamp(5_000 * SECOND);
        let gap = 999 * SECOND / many;
        for index in 0..many {
            let time = Timestamp(now.0 + index * gap);
            assert_eq!(head.enter(time), Some(time));
        }
        assert!(head.starts.len() as u64 <= RATE_STARTS_MAX + 1, "{}", head.starts.len());
        let start = head.enter(Timestamp(now.0 + many * gap)).unwrap();
        let earliest = now.after(Duration::from_secs(1_000));
        assert!(start >= earliest, "not too early");
        assert!(
            start.since(earliest) <= Duration::from_secs(1_000) / RATE_STARTS_MAX as u32,
            "and only a little too late"
        );
    }
}
