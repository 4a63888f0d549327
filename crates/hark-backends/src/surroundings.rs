//! Time and chance of the computer that this runs on.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use hark_engine::{Surroundings, Timestamp};

/// The system's clock and its random numbers.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Surroundings for System {
    fn now(&self) -> Timestamp {
        // A clock that is set before 1970 shows its beginning.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    fn random(&self) -> u64 {
        // The standard library's only access to the system's entropy: a hash under a key drawn from it.
        RandomState::new().hash_one(0)
    }
}
