//! The environment of the engine: time, randomness and environment variables, behind a trait that a simulator can
//! implement.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A time: microseconds since the beginning of 1970, UTC.
///
/// Decoded times are never after [`Timestamp::MAX`], because storages use signed 64-bit numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Timestamp(pub u64);

/// The error for a time after the last that can be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} microseconds is not a valid time")]
pub struct NoTime(pub u64);

/// Provides time, randomness and environment variables.
///
/// There are two kinds of time. The *clock* is used for people, programs and histories; it can be set, forwards or
/// back, at any moment. *Steady* time starts with the clock's time when the process starts, and then advances evenly,
/// also while the computer sleeps. Timers use steady time, so that setting the clock neither stretches nor shortens
/// them. Timers are stored in steady time, and another process, whose steady time started with another reading of the
/// clock, takes them for its own: across restarts, the clock counts.
pub trait Surroundings: Send + Sync {
    /// The clock's time.
    fn now(&self) -> Timestamp;
    /// Steady time.
    fn steady_now(&self) -> Timestamp;
    /// Allows steady time to restart with the clock's time, because no timer of this process is running. Otherwise a
    /// process that started with a wrong clock would store timers in times that no later process understands.
    fn follow_clock(&self) {}
    /// Waits for this duration.
    fn pause(&self, duration: Duration);
    /// 64 random bits that cannot be guessed, and that no copy of this process or of its machine will generate.
    fn random(&self) -> u64;
    /// Two such numbers; cheaper than two calls.
    fn random_pair(&self) -> [u64; 2] {
        [self.random(), self.random()]
    }
    /// The value of an environment variable of this process. A simulated process may have none.
    fn environment(&self, _name: &str) -> Option<OsString> {
        None
    }
}

impl Timestamp {
    /// The last time that can be kept, in the year 294247.
    pub const MAX: Timestamp = Timestamp(i64::MAX as u64);

    /// The time later by this duration, at most [`Timestamp::MAX`].
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        Timestamp(self.0.saturating_add(microseconds).min(Timestamp::MAX.0))
    }

    /// The duration since `earlier`; zero if that is later.
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

/// Converts a day, counted from 1970-01-01, to year, month and day. Years are taken to begin in March, so that the leap
/// day is the last of its year. An era has 400 years.
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
