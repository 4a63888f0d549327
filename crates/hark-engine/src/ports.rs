//! What an engine stands on: all that it knows of the world it reaches through these.

use std::sync::Arc;

use crate::foreign::Foreign;
use crate::invoker::Invoker;
use crate::storage::Storage;
use crate::surroundings::Surroundings;

/// The ports of an engine.
#[derive(Clone)]
pub struct Ports {
    /// What it means to keep a value.
    pub storage: Arc<dyn Storage>,
    /// What it means to get a thread run.
    pub invoker: Arc<dyn Invoker>,
    /// How Python functions are called.
    pub foreign: Arc<dyn Foreign>,
    /// Time and chance.
    pub surroundings: Arc<dyn Surroundings>,
}
