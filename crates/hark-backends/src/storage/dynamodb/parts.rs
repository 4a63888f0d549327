//! Pieces of large contents, and pickles, with their counts of uses.
//!
//! A part is one item, with its count, unless it is larger than an item may be: then its pieces are written first, under a number of
//! their own, and the item names that number. So a part whose item is there is whole. It is deleted under the condition that its
//! count is 0, so that a part that somebody begins to use in this moment stays.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hark_engine::rows::{PartChange, PartName};
use hark_engine::{SessionId, StorageError};
use tracing::debug;

use super::api::{Api, PATIENCE};
use super::item::{Item, bytes, bytes_of, damaged, number, number_of, signed};
use super::layout::{part_key, part_piece_key};
use super::pack::{PIECE_BYTES, Packed, pack, unpack};
use super::requests::{Expression, Within, Written};
use crate::surroundings::random;

/// The parts that are known to be there: they need not be sent again.
#[derive(Default)]
pub(super) struct KnownParts(Mutex<HashSet<PartName>>);

/// How many parts are read in one batch.
const READ_TOGETHER: usize = 50;
/// How often a count is taken down that was throttled.
const DOWN_TRIES: u32 = 5;

impl KnownParts {
    fn contains(&self, name: &PartName) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn note(&self, name: PartName) {
        const KNOWN_MAX: usize = 100_000;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(name);
    }

    fn forget(&self, name: &PartName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// What expires with its session.
fn with_expiry(update: &str, expires: Option<u64>) -> Expression {
    match expires {
        Some(expires) => Expression::new(format!("{update}, x = :x"), [(":x", number(expires))]),
        None => Expression::new(update, []),
    }
}

/// Counts the use of a part up, and writes it if it is not there.
pub(super) async fn count_up(
    api: &Api,
    id: &SessionId,
    known: &KnownParts,
    change: &PartChange,
    expires: Option<u64>,
) -> Result<(), StorageError> {
    let (key, name) = (part_key(id, &change.name), &change.name);
    if known.contains(name) {
        let update = Expression::new("ADD n :u", [(":u", signed(change.uses))]);
        match api.update(&key, update, Some("attribute_exists(p)"), PATIENCE).await? {
            Written::Done(_) => return Ok(()),
            Written::Unknown => return Err(not_counted(api)),
            Written::Refused { .. } => known.forget(name),
        }
    }
    let Some(part) = &change.part else {
        return Err(StorageError::Permanent("a part that is used more often is missing".into()));
    };
    let content = part.bytes().map_err(|error| StorageError::Transient(error.to_string()))?;
    let Packed { bytes: packed, is_compressed } = pack(content);
    let mut update = if packed.len() <= PIECE_BYTES {
        let mut update = with_expiry("SET z = if_not_exists(z, :z), c = if_not_exists(c, :c)", expires);
        update.values.insert(":c".to_owned(), bytes(&*packed));
        update
    } else {
        let nonce = random() >> 1;
        let piece = |(index, piece): (usize, &[u8])| {
            let mut item = part_piece_key(id, name, nonce, index as u32).item();
            item.insert("c".to_owned(), bytes(piece));
            item.extend(expires.map(|expires| ("x".to_owned(), number(expires))));
            item
        };
        let items: Vec<Item> = packed.chunks(PIECE_BYTES).enumerate().map(piece).collect();
        api.put_all(items).await?;
        let mut update = with_expiry("SET z = if_not_exists(z, :z), y = if_not_exists(y, :y)", expires);
        update.values.insert(":y".to_owned(), number(nonce));
        update
    };
    update.text.push_str(" ADD n :u");
    update.values.insert(":z".to_owned(), number(is_compressed.into()));
    update.values.insert(":u".to_owned(), signed(change.uses));
    match api.update(&key, update, None, PATIENCE).await? {
        Written::Done(_) => {
            known.note(*name);
            Ok(())
        }
        _ => Err(not_counted(api)),
    }
}

/// One that may be counted may be counted twice: a count is never too low.
fn not_counted(api: &Api) -> StorageError {
    StorageError::Transient(format!("UpdateItem on table `{}` was not answered", api.table()))
}

/// Counts the use of a part down, once at most, and removes it if nothing uses it any more. What fails is left: a count that is too
/// high goes with the session.
pub(super) async fn count_down(api: &Api, id: &SessionId, known: &KnownParts, name: &PartName, uses: i64) {
    for _ in 0..DOWN_TRIES {
        match try_count_down(api, id, known, name, uses).await {
            Ok(()) => return,
            Err(error) => {
                debug!(%error, "a part is not counted down yet");
                tokio::time::sleep(Duration::from_millis(random() % 50)).await;
            }
        }
    }
}

async fn try_count_down(
    api: &Api,
    id: &SessionId,
    known: &KnownParts,
    name: &PartName,
    uses: i64,
) -> Result<(), StorageError> {
    let key = part_key(id, name);
    let update = Expression::new("ADD n :u", [(":u", signed(uses))]);
    // An error says that it did not happen.
    let Written::Done(Some(after)) = api.update(&key, update, Some("attribute_exists(p)"), Duration::ZERO).await?
    else {
        return Ok(());
    };
    if after.get("n").and_then(|count| count.as_n().ok()).and_then(|count| count.parse::<i64>().ok()) > Some(0) {
        return Ok(());
    }
    known.forget(name);
    remove(api, id, name).await.or_else(|error| {
        debug!(%error, "a part that nothing uses is left");
        Ok(())
    })
}

async fn remove(api: &Api, id: &SessionId, name: &PartName) -> Result<(), StorageError> {
    let key = part_key(id, name);
    let pieces = match name {
        PartName::Piece(_) => Vec::new(),
        PartName::Pickle(_) => match api.get(&key).await? {
            Some(item) => pieces(api, id, name, &item, Some("p, r")).await?,
            None => return Ok(()),
        },
    };
    let condition = Expression::new("n <= :zero", [(":zero", number(0))]);
    if matches!(api.delete(&key, Some(condition)).await?, Written::Done(_)) {
        api.delete_all(pieces.iter().filter_map(super::layout::ItemKey::of).collect()).await?;
    }
    Ok(())
}

async fn pieces(
    api: &Api,
    id: &SessionId,
    name: &PartName,
    item: &Item,
    attributes: Option<&'static str>,
) -> Result<Vec<Item>, StorageError> {
    let Some(nonce) = number_of(item, "y") else { return Ok(Vec::new()) };
    let (first, last) = (part_piece_key(id, name, nonce, 0), part_piece_key(id, name, nonce, u32::MAX));
    let within = Within { partition: first.partition, from: first.sort, to: last.sort, attributes, limit: usize::MAX };
    api.query(within).await
}

/// The bytes of these parts, where they are there.
pub(super) async fn read(api: &Api, id: &SessionId, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
    let some = |some: &[PartName]| {
        let (api, id, names) = (api.clone(), id.clone(), some.to_vec());
        async move { read_some(&api, &id, &names).await }
    };
    Ok(Api::all(names.chunks(READ_TOGETHER).map(some)).await?.into_iter().flatten().collect())
}

async fn read_some(api: &Api, id: &SessionId, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
    let keys: Vec<_> = names.iter().map(|name| part_key(id, name)).collect();
    let items = api.get_all(&keys).await?;
    let mut found = Vec::with_capacity(names.len());
    for (name, key) in names.iter().zip(&keys) {
        let Some(item) = items.get(key) else {
            found.push(None);
            continue;
        };
        let is_compressed = number_of(item, "z") == Some(1);
        let packed = match bytes_of(item, "c") {
            Some(content) => content.to_vec(),
            None => {
                let pieces = pieces(api, id, name, item, None).await?;
                let contents = pieces.iter().map(|piece| bytes_of(piece, "c").ok_or_else(|| damaged(piece)));
                contents.collect::<Result<Vec<_>, _>>()?.concat()
            }
        };
        found.push(Some(unpack(packed, is_compressed)?));
    }
    Ok(found)
}
