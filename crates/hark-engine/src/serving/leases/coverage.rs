//! Announces to other processes which threads this process takes.

use super::{Capacity, Serving};
use crate::leases::{Announcement, Coverage, Left};
use crate::serving::lock;
use crate::storage::StorageError;

impl Serving {
    /// Announces the sessions whose threads this process takes, if they have changed; none after an interrupt.
    pub(super) fn announce_coverage(&self, takes_all: bool) -> Result<(), StorageError> {
        let Some(capacity) = self.capacity.as_ref().filter(|capacity| !capacity.takes_none) else { return Ok(()) };
        // The lock is held while announcing, so that the last announcement is also the last state.
        let mut announced = lock(&capacity.coverage);
        let coverage = match takes_all && !self.is_interrupted() {
            true => Coverage::All,
            false => Coverage::Only(self.waited_for()),
        };
        if announced.as_ref() != Some(&coverage) {
            let announcement = Announcement { coverage, pools: self.options.pools.clone() };
            self.leases()?.announce(&announcement)?;
            *announced = Some(announcement.coverage);
        }
        Ok(())
    }

    /// Announces a session that was started here, before it is stored. If that fails, the next sweep announces it.
    pub fn announce_started(&self) {
        let takes_all = self.capacity.as_ref().is_some_and(|capacity| *lock(&capacity.coverage) == Some(Coverage::All));
        let _ = self.announce_coverage(takes_all);
    }

    /// Gives back the threads that could not be given back before.
    pub(super) fn return_late(&self, capacity: &Capacity) -> Result<(), StorageError> {
        let late = std::mem::take(&mut *lock(&capacity.unreturned));
        if late.is_empty() {
            return Ok(());
        }
        let given_back = self.leases()?.give_back(&late, Left::Free, self.steady_now());
        given_back.inspect_err(|_| lock(&capacity.unreturned).extend(late))
    }
}
