//! The index of sessions by their keys, in the storage's space: the record of a key contains the id of its session.
//!
//! Starting a session with a key first creates that record, unless it exists, and then creates the session with the id
//! in the record, unless it exists. Both are atomic, so that of any number of concurrent starts one creates the session
//! and all others find it; and if one dies in between, the next one creates it.
//!
//! Removing a session reads the key's record before, and removes it after, unless it has changed: then it was rewritten
//! by a start that found the session gone, and has created another one with the same id.

use crate::commit::Outcome;
use crate::id::{SessionId, Stamp, Stamps};
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::StorageError;

/// The prefix of the keys of these records.
const AREA: u8 = b'k';

/// The result of starting a session with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyed<T> {
    /// There was no session with the key; this is the result of starting it.
    New(T),
    /// The session with the key, which was started before or concurrently.
    Known(SessionId),
}

/// The id of the session that has this key, or is about to be created.
///
/// # Errors
/// If the storage fails.
pub fn session_of(space: &dyn Space, key: &str) -> Result<Option<SessionId>, StorageError> {
    Ok(read(space, &key_of(key))?.map(|record| named_by(&record)))
}

/// Claims a key for a session. Returns the id to create it with, or the existing session that has the key; `exists`
/// checks an id.
pub(crate) fn claim(
    space: &dyn Space,
    stamps: &mut Stamps<'_>,
    key: &str,
    id: &SessionId,
    exists: impl Fn(&SessionId) -> Result<bool, StorageError>,
) -> Result<Keyed<SessionId>, StorageError> {
    let key = key_of(key);
    loop {
        let found = read(space, &key)?;
        let named = match &found {
            None => id.clone(),
            Some(record) => match named_by(record) {
                known if exists(&known)? => return Ok(Keyed::Known(known)),
                // Its creator died or is about to create it, or it was just removed. Rewriting the record lets a
                // concurrent removal notice.
                unmade => unmade,
            },
        };
        if put(space, stamps.next(), &key, found.map(|record| record.stamp), &named)? {
            return Ok(Keyed::New(named));
        }
    }
}

/// Registers an existing session under a key. Returns false if another session has the key.
pub(crate) fn register(
    space: &dyn Space,
    stamps: &mut Stamps<'_>,
    key: &str,
    id: &SessionId,
) -> Result<bool, StorageError> {
    let key = key_of(key);
    loop {
        match read(space, &key)? {
            Some(record) => return Ok(named_by(&record) == *id),
            None if put(space, stamps.next(), &key, None, id)? => return Ok(true),
            None => {}
        }
    }
}

/// Removes a session through `remove`, which returns whether it did, and then frees its key.
pub(crate) fn removing(
    space: &dyn Space,
    stamps: &mut Stamps<'_>,
    key: Option<&str>,
    id: &SessionId,
    remove: impl FnOnce() -> Result<bool, StorageError>,
) -> Result<bool, StorageError> {
    let Some(key) = key.map(key_of) else { return remove() };
    let found = read(space, &key)?.filter(|record| named_by(record) == *id);
    let is_removed = remove()?;
    if let Some(record) = found.filter(|_| is_removed) {
        let mut commit = SpaceCommit::new(stamps.next());
        commit.expect.push((key.clone(), Some(record.stamp)));
        commit.delete.push(key);
        // A lost answer does no harm: whether or not the record was removed, a new session can take the key.
        let _ = space.commit(&commit)?;
    }
    Ok(is_removed)
}

fn key_of(key: &str) -> SpaceKey {
    std::iter::once(AREA).chain(key.bytes()).collect()
}

fn read(space: &dyn Space, key: &SpaceKey) -> Result<Option<SpaceRecord>, StorageError> {
    Ok(space.read(std::slice::from_ref(key))?.pop().flatten())
}

fn named_by(record: &SpaceRecord) -> SessionId {
    SessionId::from_text(&String::from_utf8_lossy(&record.content))
}

/// Writes the record if it is as expected. Returns whether it was.
fn put(
    space: &dyn Space,
    stamp: Stamp,
    key: &SpaceKey,
    expected: Option<Stamp>,
    id: &SessionId,
) -> Result<bool, StorageError> {
    let mut commit = SpaceCommit::new(stamp);
    commit.expect.push((key.clone(), expected));
    commit.put.push((key.clone(), id.as_str().as_bytes().to_vec()));
    Ok(space.commit(&commit)? == Outcome::Done)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::memory::MemoryStorage;
    use crate::storage::Storage;

    fn id(text: &str) -> SessionId {
        SessionId::from_text(text)
    }

    fn claimed(storage: &MemoryStorage, seed: u64, own: &str, known: &[&str]) -> Keyed<SessionId> {
        let exists = |id: &SessionId| Ok(known.contains(&id.as_str()));
        claim(storage.space(), &mut Stamps::of_seed(seed), "order", &id(own), exists).unwrap()
    }

    #[test]
    fn one_makes_the_session_and_others_find_it() {
        let storage = MemoryStorage::default();
        assert_eq!(session_of(storage.space(), "order"), Ok(None));
        assert_eq!(claimed(&storage, 1, "a", &[]), Keyed::New(id("a")));
        // The first start died before it created the session, or is late: both create the same one.
        assert_eq!(claimed(&storage, 2, "b", &[]), Keyed::New(id("a")));
        assert_eq!(claimed(&storage, 3, "c", &["a"]), Keyed::Known(id("a")));
        assert_eq!(session_of(storage.space(), "order"), Ok(Some(id("a"))));
    }

    #[test]
    fn a_session_that_is_removed_frees_its_key_unless_it_is_made_anew() {
        let storage = MemoryStorage::default();
        let space = storage.space();
        claimed(&storage, 1, "a", &[]);
        let mut stamps = Stamps::of_seed(2);
        // A different session, and a failed removal.
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("b"), || Ok(true)), Ok(true));
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("a"), || Ok(false)), Ok(false));
        assert_eq!(session_of(space, "order"), Ok(Some(id("a"))));
        // It is created again right after its removal.
        let made = Cell::new(None);
        let remove = || {
            made.set(Some(claimed(&storage, 3, "c", &[])));
            Ok(true)
        };
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("a"), remove), Ok(true));
        assert_eq!(made.take(), Some(Keyed::New(id("a"))));
        assert_eq!(session_of(space, "order"), Ok(Some(id("a"))));
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("a"), || Ok(true)), Ok(true));
        assert_eq!(session_of(space, "order"), Ok(None));
        assert_eq!(claimed(&storage, 4, "d", &[]), Keyed::New(id("d")));
    }

    #[test]
    fn a_session_that_comes_from_elsewhere_brings_its_key() {
        let storage = MemoryStorage::default();
        let mut stamps = Stamps::of_seed(1);
        for (session, is_taken) in [("a", true), ("a", true), ("b", false)] {
            assert_eq!(register(storage.space(), &mut stamps, "order", &id(session)), Ok(is_taken));
        }
    }
}
