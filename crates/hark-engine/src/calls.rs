//! Counts the foreign calls of an engine.

use std::sync::Arc;

/// Counts the calls in flight of all sessions of an engine.
#[derive(Default)]
pub(crate) struct CallPlaces(Arc<()>);

/// The place of a call among those in flight, until dropped.
pub(crate) struct CallPlace(Arc<()>);

impl CallPlaces {
    /// Takes a place for another call.
    pub fn take(&self) -> CallPlace {
        CallPlace(self.0.clone())
    }
}

impl CallPlace {
    /// The number of taken places, including this one.
    pub fn taken(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
