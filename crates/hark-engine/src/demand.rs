//! What a thread demands while it waits to run.

use crate::place::Place;

/// How urgently a thread is to run, and where. Records and hints carry it, so that whoever wakes or takes the thread need
/// not read it first.
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

    /// Whether it has neither a priority nor a place. Then records leave it out.
    pub fn is_default(&self) -> bool {
        self.priority == 0 && self.place.is_default()
    }
}
