//! The pickles held by this process, so that they are not read again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hark_machine::{Pickle, PickleHash, PickleSource};

use crate::rows::{PartName, SessionRows};
use crate::storage::StorageError;

/// The minimal number of entries before those of dropped pickles are removed.
const FORGOTTEN_MIN: usize = 64;

#[derive(Default)]
pub(super) struct HeldPickles(Mutex<HashMap<PickleHash, Weak<Pickle>>>);

impl HeldPickles {
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(hash)?.upgrade()
    }

    pub fn add(&self, pickle: &Arc<Pickle>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= FORGOTTEN_MIN && held.len() == held.capacity() {
            held.retain(|_, pickle| pickle.strong_count() > 0);
        }
        held.insert(pickle.hash(), Arc::downgrade(pickle));
    }
}

/// Reads the pickles of a session during decoding.
pub(super) struct StoredPickles<'a> {
    pub rows: &'a dyn SessionRows,
    pub held: &'a HeldPickles,
    /// The error of the storage, if that is why a pickle was not found.
    pub failure: RefCell<Option<StorageError>>,
}

impl PickleSource for StoredPickles<'_> {
    /// A pickle with the wrong hash counts as missing.
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        if let Some(held) = self.held.find(hash) {
            return Some(held);
        }
        let bytes = match self.rows.parts(&[PartName::Pickle(*hash)]) {
            Ok(mut found) => found.pop().flatten()?,
            Err(error) => {
                *self.failure.borrow_mut() = Some(error);
                return None;
            }
        };
        let pickle = Arc::new(Pickle::new(bytes));
        if pickle.hash() != *hash {
            return None;
        }
        self.held.add(&pickle);
        Some(pickle)
    }
}
