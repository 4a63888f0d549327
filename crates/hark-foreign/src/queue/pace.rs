//! The times at which calls with a rate may begin.
//!
//! The engine admits as many calls as the rate allows within its period. But admitted calls that find all workers busy
//! wait here, so calls admitted over a long time could all begin at once when a worker becomes free. Therefore the
//! queue spaces them again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::line::{Placed, Rank};

/// The rate of a call's import.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// Calls with the same name share the rate.
    pub name: String,
    /// The number of calls that may begin within the period, at least 1.
    pub count: usize,
    /// The period.
    pub per: Duration,
}

/// Records when calls of each rate began within its period, and keeps the jobs that must wait.
#[derive(Default)]
pub struct Pacer {
    begun: HashMap<String, VecDeque<Instant>>,
    held: BTreeMap<(Instant, Rank), Placed>,
}

impl Pacer {
    /// Registers the start of a call with this rate. If the call must wait, returns until when instead.
    pub fn begin(&mut self, rate: &Rate, now: Instant) -> Option<Instant> {
        let begun = self.begun.entry(rate.name.clone()).or_default();
        while begun.front().is_some_and(|first| now.duration_since(*first) >= rate.per) {
            begun.pop_front();
        }
        if begun.len() < rate.count {
            begun.push_back(now);
            return None;
        }
        let first = begun.get(begun.len() - rate.count)?;
        first.checked_add(rate.per)
    }

    /// Keeps a job until this time.
    pub fn hold(&mut self, until: Instant, placed: Placed) {
        self.held.insert((until, placed.rank()), placed);
    }

    /// The earliest time at which a job is released.
    pub fn next_release(&self) -> Option<Instant> {
        self.held.first_key_value().map(|((until, _), _)| *until)
    }

    /// Releases a job whose time has come; without a time, any job.
    pub fn release(&mut self, now: Option<Instant>) -> Option<Placed> {
        let entry = self.held.first_entry().filter(|entry| now.is_none_or(|now| entry.key().0 <= now))?;
        Some(entry.remove())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_begin_within_any_period_than_may() {
        let rate = Rate { name: "bank".into(), count: 2, per: Duration::from_secs(10) };
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut pacer = Pacer::default();
        assert_eq!(pacer.begin(&rate, at(0)), None);
        assert_eq!(pacer.begin(&rate, at(4)), None);
        assert_eq!(pacer.begin(&rate, at(5)), Some(at(10)));
        assert_eq!(pacer.begin(&rate, at(10)), None);
        assert_eq!(pacer.begin(&rate, at(10)), Some(at(14)));
        let other = Rate { name: "mail".into(), ..rate };
        assert_eq!(pacer.begin(&other, at(10)), None, "it has a period of its own");
    }
}
