//! The computer's clocks, randomness and environment.

use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hark_engine::{Surroundings, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// The system's clocks, its random numbers, and the process's environment. All values share the process's single steady
/// time.
#[derive(Debug, Clone, Copy)]
pub struct System;

/// The microseconds from 1970 to the machine's start, according to this process's steady time. It determines the steady
/// time, because all processes share the machine's start.
static STEADY_OFFSET: AtomicI64 = AtomicI64::new(NOT_SET);

const NOT_SET: i64 = i64::MIN;

impl System {
    /// The offset of this process's steady time, for a process that must use the same.
    pub fn steady_offset() -> i64 {
        match STEADY_OFFSET.load(Ordering::Relaxed) {
            NOT_SET => {
                let offset = clock_offset();
                let first = STEADY_OFFSET.compare_exchange(NOT_SET, offset, Ordering::Relaxed, Ordering::Relaxed);
                first.map_or_else(|set| set, |_| offset)
            }
            offset => offset,
        }
    }

    /// Adopts the steady time of another process.
    pub fn set_steady_offset(offset: i64) {
        STEADY_OFFSET.store(offset, Ordering::Relaxed);
    }
}

impl Surroundings for System {
    fn now(&self) -> Timestamp {
        // A clock that is set to before 1970 counts as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn steady_now(&self) -> Timestamp {
        Timestamp(microseconds(since_boot()).saturating_add(System::steady_offset()).max(0).unsigned_abs())
    }

    fn follow_clock(&self) {
        System::set_steady_offset(clock_offset());
    }

    fn pause(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn random(&self) -> u64 {
        random()
    }

    fn random_pair(&self) -> [u64; 2] {
        let mut bytes = [[0; 8]; 2];
        match getrandom::fill(bytes.as_flattened_mut()) {
            Ok(()) => bytes.map(u64::from_ne_bytes),
            Err(_) => [random(), random()],
        }
    }

    fn environment(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }
}

/// 64 bits of the operating system's entropy. They are not buffered, because a clone of a virtual machine would share
/// the buffer.
pub(crate) fn random() -> u64 {
    // A system without such a source still has the keys of the standard library's hash maps.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(SystemTime::now()))
}

/// The time since the machine's start, including the time that it slept. `Instant` excludes it, so a `sleep` over a
/// night with the lid closed would last until the next evening.
pub(crate) fn since_boot() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: ClockId = ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: ClockId = ClockId::Monotonic;
    let now = clock_gettime(CLOCK);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

fn clock_offset() -> i64 {
    i64::try_from(System.now().0).unwrap_or(i64::MAX).saturating_sub(microseconds(since_boot()))
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Instant;

    use super::*;

    #[test]
    fn steady_time_passes_like_any_other() {
        let (begun, steady) = (Instant::now(), System.steady_now());
        std::thread::sleep(Duration::from_millis(5));
        let passed = System.steady_now().since(steady);
        // Both times are in whole microseconds, so their difference may exceed the elapsed time by one.
        let passed_max = begun.elapsed() + Duration::from_micros(1);
        assert!(passed >= Duration::from_millis(5) && passed <= passed_max, "{passed:?}");
    }

    #[test]
    fn random_numbers_differ() {
        assert_eq!((0..1_000).map(|_| random()).collect::<HashSet<u64>>().len(), 1_000);
        assert_eq!((0..1_000).flat_map(|_| System.random_pair()).collect::<HashSet<u64>>().len(), 2_000);
    }
}
