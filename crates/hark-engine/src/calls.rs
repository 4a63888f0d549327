//! How many foreign calls an engine makes at the time.

use std::sync::Arc;

/// Counts the calls under way of all sessions of an engine.
#[derive(Default)]
pub(crate) struct CallPlaces(Arc<()>);

/// A call's place among those under way, until it is dropped.
pub(crate) struct CallPlace(Arc<()>);

impl CallPlaces {
    /// One more call is to be made.
    pub fn take(&self) -> CallPlace {
        CallPlace(self.0.clone())
    }
}

impl CallPlace {
    /// How many places are taken, this one included.
    pub fn taken(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}
