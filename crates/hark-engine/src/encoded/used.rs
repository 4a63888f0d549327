//! The parts referenced by the rows that this process has read or written, to compute the changes of their reference
//! counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::Commit;
use crate::id::Stamp;
use crate::record::Key;
use crate::rows::PartName;

/// For each row, the known version and its parts.
type Rows = HashMap<Key, (Stamp, Box<[PartName]>)>;

/// The rows of a session that reference parts and may be overwritten or deleted. Most sessions have none.
#[derive(Default)]
pub(super) struct UsedParts {
    rows: Mutex<Rows>,
    /// The number of rows; avoids the lock if there are none.
    count: AtomicUsize,
}

/// The row that a commit overwrites or deletes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Replaced {
    /// A row with these parts, possibly none.
    Known(Box<[PartName]>),
    /// Possibly a row unknown to this process.
    Unknown,
}

impl UsedParts {
    /// Records the parts that a row references in this version. The value of a Future never changes, so it need not be
    /// recorded.
    pub fn note(&self, key: &Key, stamp: Stamp, names: Vec<PartName>) {
        if names.is_empty() && self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut rows = self.lock();
        if names.is_empty() {
            rows.remove(key);
        } else {
            rows.insert(key.clone(), (stamp, names.into()));
        }
        self.count.store(rows.len(), Ordering::Release);
    }

    /// The parts of the row that this commit overwrites or deletes under this key.
    pub fn replaced_by(&self, commit: &Commit, key: &Key) -> Replaced {
        let expected = |key: &Key| commit.expect.iter().find(|(known, _)| known == key).map(|(_, stamp)| *stamp);
        match expected(key) {
            Some(None) => Replaced::Known(Box::default()),
            Some(Some(stamp)) => {
                if self.count.load(Ordering::Acquire) == 0 {
                    return Replaced::Known(Box::default());
                }
                match self.lock().get(key) {
                    // An expected version was read or written by this process, which recorded it if it has parts.
                    None => Replaced::Known(Box::default()),
                    Some((known, names)) if *known == stamp => Replaced::Known(names.clone()),
                    Some(_) => Replaced::Unknown,
                }
            }
            // A live thread has no failure record.
            None => match key {
                Key::Broken(thread) | Key::Unawaited(thread) if expected(&Key::Live(*thread)).flatten().is_some() => {
                    Replaced::Known(Box::default())
                }
                _ => Replaced::Unknown,
            },
        }
    }

    /// A completed commit has renewed the row, which now has another version.
    pub fn renew(&self, key: &Key, stamp: Stamp) {
        if self.count.load(Ordering::Acquire) > 0
            && let Some((known, _)) = self.lock().get_mut(key)
        {
            *known = stamp;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;
    use crate::id::ThreadId;

    #[test]
    fn what_is_expected_was_read_and_all_else_is_unknown() {
        let stamp = |number| Stamp(NonZeroU64::new(number).unwrap());
        let (used, key, names) = (UsedParts::default(), Key::Live(ThreadId(1)), [PartName::Piece([7; 16])]);
        let known = |names: &[PartName]| Replaced::Known(names.into());
        let expecting = |version: Option<Stamp>| {
            let mut commit = Commit::new(stamp(9));
            commit.expect.push((key.clone(), version));
            commit
        };
        assert_eq!(used.replaced_by(&Commit::new(stamp(9)), &key), Replaced::Unknown);
        assert_eq!(used.replaced_by(&expecting(Some(stamp(1))), &key), known(&[]), "none was noted");
        used.note(&key, stamp(1), names.to_vec());
        assert_eq!(used.replaced_by(&expecting(Some(stamp(1))), &key), known(&names));
        assert_eq!(used.replaced_by(&expecting(Some(stamp(2))), &key), Replaced::Unknown, "another version");
        assert_eq!(used.replaced_by(&expecting(None), &key), known(&[]));
        used.renew(&key, stamp(2));
        assert_eq!(used.replaced_by(&expecting(Some(stamp(2))), &key), known(&names));
        let failure = Key::Unawaited(ThreadId(1));
        assert_eq!(used.replaced_by(&expecting(Some(stamp(2))), &failure), known(&[]), "it lives");
        assert_eq!(used.replaced_by(&expecting(None), &failure), Replaced::Unknown);
        used.note(&key, stamp(3), Vec::new());
        assert_eq!(used.replaced_by(&expecting(Some(stamp(3))), &key), known(&[]));
    }
}
