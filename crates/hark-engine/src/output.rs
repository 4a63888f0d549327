//! A session's standard output.

use serde::{Deserialize, Serialize};

use crate::id::ThreadId;
use crate::surroundings::Timestamp;

/// One text that a session printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputItem {
    /// When.
    pub time: Timestamp,
    /// Which thread.
    pub thread: ThreadId,
    /// What, its line end included.
    pub text: String,
}

/// Sees a session's output as it is committed, in that order, one batch at a time.
pub trait Observer: Send + Sync {
    /// This was printed.
    fn output(&self, items: &[OutputItem]);
}

impl<F: Fn(&[OutputItem]) + Send + Sync> Observer for F {
    fn output(&self, items: &[OutputItem]) {
        self(items);
    }
}
