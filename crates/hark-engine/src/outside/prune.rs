//! Deleting sessions.

use super::{Outside, OutsideError};
use crate::id::{SessionId, Stamp, Stamps};
use crate::keyed;
use crate::record::{About, SessionState};
use crate::storage::{self, Filter, Storage, StorageError, Summary};
use crate::surroundings::{Surroundings, Timestamp};

/// Deletes the sessions that are over and ended no later than the first of these times, or after the second, and
/// interrupted imports. Returns their number. Damaged sessions remain, so that they can be repaired. Programs that no
/// session uses any more are deleted as well.
///
/// # Errors
/// If the storage fails. Some sessions may have been deleted.
pub fn prune(
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
    ended_outside: (Timestamp, Timestamp),
) -> Result<u64, StorageError> {
    let catalog = storage::catalog_of(storage)?;
    let cut_off = |state| -> Result<Vec<Summary>, StorageError> {
        let found = catalog.list(&Filter { state: Some(state), ..Filter::default() })?;
        Ok(found.into_iter().flatten().filter(|summary| !summary.is_served).collect())
    };
    // A session whose export was interrupted may be over.
    for Summary { id, .. } in cut_off(SessionState::Moving)? {
        match Outside::open(storage, surroundings, &id).and_then(|session| session.read_settled()) {
            Ok(_) | Err(OutsideError::NoSession(_)) => {}
            Err(OutsideError::Storage(error)) => return Err(error),
            Err(_) => {}
        }
    }
    let over = catalog.list(&Filter { ended_outside: Some(ended_outside), ..Filter::default() })?;
    let over = over.into_iter().flatten().filter(|summary| summary.record.state.is_over());
    let mut count = 0;
    for summary in over.chain(cut_off(SessionState::Importing)?) {
        // Does nothing if it was retried or imported since it was listed.
        if remove(storage, surroundings, &summary.id, &summary.record.about, summary.stamp)? {
            count += 1;
            super::leave_gates(storage, surroundings, &summary.id)?;
        }
    }
    catalog.remove_programs()?;
    Ok(count)
}

/// Deletes a session whose summary has this version, and frees its key. Returns whether it existed.
pub(crate) fn remove(
    storage: &dyn Storage,
    surroundings: &dyn Surroundings,
    id: &SessionId,
    about: &About,
    stamp: Stamp,
) -> Result<bool, StorageError> {
    let catalog = storage::catalog_of(storage)?;
    let key = about.labels.key.as_deref();
    keyed::removing(storage.space(), &mut Stamps::unique(surroundings), key, id, || catalog.remove(id, stamp))
}
