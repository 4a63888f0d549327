//! Which sessions' threads this process takes, as it tells others.

use super::{Capacity, Serving};
use crate::leases::{Coverage, Left};
use crate::serving::lock;
use crate::storage::StorageError;

impl Serving {
    /// Tells other processes the sessions whose threads this one takes, if they have changed: none from an interrupt on.
    pub(super) fn announce_coverage(&self, takes_all: bool) -> Result<(), StorageError> {
        let Some(capacity) = self.capacity.as_ref().filter(|capacity| !capacity.takes_none) else { return Ok(()) };
        // Also while it is announced, so that the last one announced is the last one found.
        let mut announced = lock(&capacity.coverage);
        let coverage = match takes_all && !self.is_interrupted() {
            true => Coverage::All,
            false => Coverage::Only(self.waited_for()),
        };
        if announced.as_ref() != Some(&coverage) {
            self.leases()?.announce_coverage(&coverage)?;
            *announced = Some(coverage);
        }
        Ok(())
    }

    /// Tells other processes of a session that has been started here, before it is stored. If that fails, the next sweep
    /// tells them.
    pub fn announce_started(&self) {
        let takes_all = self.capacity.as_ref().is_some_and(|capacity| *lock(&capacity.coverage) == Some(Coverage::All));
        let _ = self.announce_coverage(takes_all);
    }

    /// Gives back threads that could not be given back before.
    pub(super) fn return_late(&self, capacity: &Capacity) -> Result<(), StorageError> {
        let late = std::mem::take(&mut *lock(&capacity.unreturned));
        if late.is_empty() {
            return Ok(());
        }
        let given_back = self.leases()?.give_back(&late, Left::Free, self.steady_now());
        given_back.inspect_err(|_| lock(&capacity.unreturned).extend(late))
    }
}
