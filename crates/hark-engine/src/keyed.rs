//! The sessions that have keys, as records of the space: under a key stands the id of its session.
//!
//! Whoever starts a session under a key first puts that record, unless there is one, and then makes the session with the id
//! that stands there, unless there is one. Both are atomic, so that of any number that start it at once one makes the session
//! and all others find it; and if one dies in between, the next makes it.
//!
//! Whoever removes a session reads the key's record before, and removes it after, unless it has changed: it was written anew
//! by someone who had found the session gone, and has made another one with its id.

use crate::commit::Outcome;
use crate::id::{SessionId, Stamp, Stamps};
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::StorageError;

/// What the keys of these records begin with.
const AREA: u8 = b'k';

/// What was found under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keyed<T> {
    /// Nothing: this came of starting the session.
    New(T),
    /// A session that was started before, or by somebody else at the same time.
    Known(SessionId),
}

/// The id of the session that has this key, or is about to be made.
///
/// # Errors
/// If the storage fails.
pub fn session_of(space: &dyn Space, key: &str) -> Result<Option<SessionId>, StorageError> {
    Ok(read(space, &key_of(key))?.map(|record| named_by(&record)))
}

/// Takes the key for a session. Answers the id that this is to be made with; or the session that has the key, as `exists`
/// says of its id.
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
                // Its maker died, or is about to make it, or it was removed just now. It is written anew in sight of that.
                unmade => unmade,
            },
        };
        if put(space, stamps.next(), &key, found.map(|record| record.stamp), &named)? {
            return Ok(Keyed::New(named));
        }
    }
}

/// Puts a session under a key that is there already. Answers false if another one has the key.
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

/// Removes a session, as `remove` does, which answers whether it did, and then frees its key.
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
        // One whose answer was lost has happened or will not hurt: it is undone by nobody but who takes the key anew.
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

/// Answers whether the record was as expected, and is written now.
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
        // The first one has died before it made the session, or is late: both make the same one.
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
        // Another session, and one that could not be removed.
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("b"), || Ok(true)), Ok(true));
        assert_eq!(removing(space, &mut stamps, Some("order"), &id("a"), || Ok(false)), Ok(false));
        assert_eq!(session_of(space, "order"), Ok(Some(id("a"))));
        // It is made anew right after it was removed.
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
