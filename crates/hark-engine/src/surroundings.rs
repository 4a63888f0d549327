//! What the engine may know of the world: time, chance and the environment, so that a simulator can own them.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time: microseconds since the beginning of 1970, UTC.
///
/// What is decoded is never after [`Timestamp::MAX`], as storages keep times in 64 bits with a sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Timestamp(pub u64);

/// A time after the last that can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} microseconds is no time")]
pub struct NoTime(pub u64);

/// Gives the time, chance and the environment.
///
/// There are two times. The *clock* is what people, programs and histories go by; it may be set, forwards or back, at any
/// moment. *Steady* time begins with what the clock shows when the process starts, and then passes evenly, also while the
/// computer sleeps: timers go by it, so that setting the clock neither stretches nor cuts what is under way. Timers are kept
/// in steady time. So another process takes them for times of its own, which began with another look at the clock: across
/// restarts the clock counts.
pub trait Surroundings: Send + Sync {
    /// What the clock shows.
    fn now(&self) -> Timestamp;
    /// Steady time.
    fn steady_now(&self) -> Timestamp;
    /// Steady time may begin anew with what the clock shows: no timer of this process is under way. Without this a
    /// process that started with a wrong clock would keep timers in times that no later process understands.
    fn follow_clock(&self) {}
    /// Waits for so long.
    fn pause(&self, duration: Duration);
    /// 64 bits that nobody can guess, and that no copy of this process, or of its machine, will get.
    fn random(&self) -> u64;
    /// Two such numbers, for what they cost together.
    fn random_pair(&self) -> [u64; 2] {
        [self.random(), self.random()]
    }
    /// What an environment variable of this process says, if there is one of this name. There may be no environment.
    fn environment(&self, _name: &str) -> Option<OsString> {
        None
    }
}

impl Timestamp {
    /// The last time that can be kept, in the year 294247.
    pub const MAX: Timestamp = Timestamp(i64::MAX as u64);

    /// The time so much later, or the last there is.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(microseconds).min(Timestamp::MAX.0))
    }

    /// How long it is from `earlier` until this time; nothing if it is not later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl TryFrom<u64> for Timestamp {
    type Error = NoTime;

    fn try_from(microseconds: u64) -> Result<Timestamp, NoTime> {
        let time = Timestamp(microseconds);
        if time <= Timestamp::MAX { Ok(time) } else { Err(NoTime(microseconds)) }
    }
}

impl fmt::Display for Timestamp {
    /// As RFC 3339 with microseconds, in UTC.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, microseconds) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (year, month, day) = date_of(seconds / 86_400);
        let of_day = seconds % 86_400;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(formatter, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microseconds:06}Z")
    }
}

/// Year, month and day of a day that is counted from 1970-01-01. Years are taken to begin in March, so that the leap
/// day is a year's last; an era has 400 of them.
fn date_of(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(microseconds: u64, text: &str) {
        assert_eq!(Timestamp(microseconds).to_string(), text);
    }

    #[test]
    fn times_are_shown_as_rfc_3339() {
        check(0, "1970-01-01T00:00:00.000000Z");
        check(951_782_400_000_001, "2000-02-29T00:00:00.000001Z");
        check(1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z");
        check(4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn time_does_not_overflow() {
        assert_eq!(Timestamp(5).after(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp(5).since(Timestamp(6)), Duration::ZERO);
    }
}
