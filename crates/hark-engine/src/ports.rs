//! The ports of an engine, through which it accesses the outside world.

use std::sync::Arc;

use crate::foreign::Foreign;
use crate::invoker::Invoker;
use crate::storage::Storage;
use crate::surroundings::Surroundings;

/// The ports of an engine.
#[derive(Clone)]
pub struct Ports {
    /// Stores the sessions.
    pub storage: Arc<dyn Storage>,
    /// Runs their threads.
    pub invoker: Arc<dyn Invoker>,
    /// Calls Python functions.
    pub foreign: Arc<dyn Foreign>,
    /// Time and randomness.
    pub surroundings: Arc<dyn Surroundings>,
}
