//! Counts API calls and the units that they take.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// The requests to DynamoDB so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamoCounts {
    /// The calls by name, retries included.
    pub calls: BTreeMap<&'static str, u64>,
    /// The number of retries among them.
    pub retries: u64,
    /// The read units that they took, according to the server.
    pub read_units: f64,
    /// The write units that they took, according to the server.
    pub write_units: f64,
}

#[derive(Debug, Default)]
pub(super) struct Counter(Mutex<DynamoCounts>);

impl Counter {
    pub fn note_call(&self, name: &'static str, is_retry: bool) {
        self.with(|counts| {
            *counts.calls.entry(name).or_default() += 1;
            counts.retries += u64::from(is_retry);
        });
    }

    pub fn note_read(&self, units: f64) {
        self.with(|counts| counts.read_units += units);
    }

    pub fn note_write(&self, units: f64) {
        self.with(|counts| counts.write_units += units);
    }

    pub fn counts(&self) -> DynamoCounts {
        self.with(|counts| counts.clone())
    }

    fn with<T>(&self, change: impl FnOnce(&mut DynamoCounts) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
