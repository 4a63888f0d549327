//! What a thread requires while it waits to run: a priority and a place.

use crate::place::Place;

/// How urgently a thread is to run, and where. Records and hints carry a copy, so that a process can wake or take the
/// thread without reading its record first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Demand {
    /// Its priority: that of its innermost function that has one. The default is 0.
    pub priority: i32,
    /// Where it runs.
    pub place: Place,
}

impl Demand {
    /// A priority in the default place.
    pub fn of_priority(priority: i32) -> Demand {
        Demand { priority, place: Place::default() }
    }

    /// Whether both the priority and the place are the default. Records omit a default demand.
    pub fn is_default(&self) -> bool {
        self.priority == 0 && self.place.is_default()
    }
}
