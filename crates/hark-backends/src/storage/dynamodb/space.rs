//! Records that belong to no session: a partition of their own.

use std::ops::Range;

use hark_engine::{Outcome, Space, SpaceCommit, SpaceKey, SpaceRecord, Stamp, StorageError};

use super::Shared;
use super::api::PATIENCE;
use super::commit::{Action, Deed, Expected};
use super::item::{Item, bytes, bytes_of, damaged, stamp, stamp_of};
use super::layout::{ItemKey, SORT, SPACE};
use super::requests::{Transacted, Within};
use crate::surroundings::random;

/// The prefix of each key, because DynamoDB allows no empty keys.
const BEFORE: u8 = 1;

fn space_key(key: &[u8]) -> ItemKey {
    ItemKey { partition: SPACE.to_owned(), sort: [&[BEFORE], key].concat() }
}

fn record_of(item: &Item) -> Result<SpaceRecord, StorageError> {
    let stamp = stamp_of(item, "v").ok_or_else(|| damaged(item))?;
    Ok(SpaceRecord { stamp, content: bytes_of(item, "c").unwrap_or_default().to_vec() })
}

fn put(key: &SpaceKey, content: &[u8], writer: Stamp) -> Deed {
    let mut item = space_key(key).item();
    item.insert("v".to_owned(), stamp(writer));
    if !content.is_empty() {
        item.insert("c".to_owned(), bytes(content));
    }
    Deed::Put(item)
}

impl Space for Shared {
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError> {
        let keys: Vec<ItemKey> = keys.iter().map(|key| space_key(key)).collect();
        let found = self.api.wait(self.api.get_all(&keys))?;
        keys.iter().map(|key| found.get(key).map(record_of).transpose()).collect()
    }

    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (from, to) = (space_key(&range.start).sort, space_key(&range.end).sort);
        let within = Within { partition: SPACE.to_owned(), from, to: to.clone(), attributes: None, limit };
        let items = self.api.wait(self.api.query(within))?;
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            let key = bytes_of(&item, SORT).ok_or_else(|| damaged(&item))?;
            // The end is excluded.
            if key != to {
                found.push((key.get(1..).unwrap_or_default().to_vec(), record_of(&item)?));
            }
        }
        Ok(found)
    }

    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError> {
        let mut expected = commit.expect.clone();
        let mut take_expected = |key: &SpaceKey| {
            let place = expected.iter().position(|(expected, _)| expected == key)?;
            let (_, version) = expected.swap_remove(place);
            Some(version.map_or(Expected::Absent, Expected::Version))
        };
        let mut actions = Vec::new();
        for (key, content) in &commit.put {
            let (deed, expected) = (put(key, content, commit.stamp), take_expected(key));
            actions.push(Action { key: space_key(key), deed, expected });
        }
        for key in &commit.delete {
            actions.push(Action { key: space_key(key), deed: Deed::Delete, expected: take_expected(key) });
        }
        for (key, version) in expected {
            let expected = Some(version.map_or(Expected::Absent, Expected::Version));
            actions.push(Action { key: space_key(&key), deed: Deed::Check, expected });
        }
        let api = &self.api;
        match &actions[..] {
            [] => Ok(Outcome::Done),
            [action] if action.is_write_under_condition() => api.wait(action.write(api, commit.stamp)),
            _ => {
                let items = actions.iter().map(|action| action.transacted(api.table())).collect::<Result<_, _>>()?;
                let token = format!("{:016x}{:016x}", commit.stamp.0, random());
                Ok(match api.wait(api.transact(items, token, PATIENCE))? {
                    Transacted::Done => Outcome::Done,
                    Transacted::Refused { in_doubt: false, .. } => Outcome::Conflict,
                    Transacted::Refused { .. } | Transacted::Unknown => Outcome::Unknown,
                })
            }
        }
    }
}
