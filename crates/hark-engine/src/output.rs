//! A session's standard output.

use serde::{Deserialize, Serialize};

use crate::id::ThreadId;
use crate::surroundings::Timestamp;

/// A text printed by a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputItem {
    /// The time.
    pub time: Timestamp,
    /// The thread.
    pub thread: ThreadId,
    /// The text, including its line end.
    pub text: String,
}

/// Receives the output of a session in batches, in the order in which it is committed.
pub trait Observer: Send + Sync {
    /// These items were printed.
    fn output(&self, items: &[OutputItem]);
}

impl<F: Fn(&[OutputItem]) + Send + Sync> Observer for F {
    fn output(&self, items: &[OutputItem]) {
        self(items);
    }
}
