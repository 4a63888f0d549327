//! How many API calls were made, and what they cost.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What was asked of DynamoDB so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DynamoCounts {
    /// The calls by their names, tries included.
    pub calls: BTreeMap<&'static str, u64>,
    /// How many of them were tries after the first one.
    pub retries: u64,
    /// The read units that they took, as far as the server says.
    pub read_units: f64,
    /// The write units that they took, as far as the server says.
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
