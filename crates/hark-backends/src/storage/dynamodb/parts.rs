//! Parts: pieces of large contents, and pickles, with their reference counts.
//!
//! A part is one item with its count. If it is too large for an item, its pieces are written first, under a random
//! number, and the item names that number. If there is a bucket, large parts are objects there (`objects.rs`), which
//! the item names likewise. So a part whose item exists is complete. It is deleted on the condition that its count is
//! 0, so that a part that is just being used again stays.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hark_engine::rows::{PartChange, PartName};
use hark_engine::{SessionId, StorageError};
use tracing::debug;

use super::api::{Api, PATIENCE};
use super::item::{Item, bytes, bytes_of, damaged, number, number_of, signed, text, text_of};
use super::layout::{part_key, part_piece_key};
use super::objects::{Objects, bucket_for};
use super::pack::{PIECE_BYTES, Packed, pack, unpack};
use super::requests::{Expression, Within, Written};
use crate::surroundings::random;

/// The parts that are known to be stored, and need not be sent again.
#[derive(Default)]
pub(super) struct KnownParts(Mutex<HashSet<PartName>>);

/// The maximum number of parts read in one batch.
const READ_TOGETHER: usize = 50;
/// How many times decrementing a count is tried if it is throttled.
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

/// Adds the expiry of the session to an update.
fn with_expiry(update: &str, expires: Option<u64>) -> Expression {
    match expires {
        Some(expires) => Expression::new(format!("{update}, x = :x"), [(":x", number(expires))]),
        None => Expression::new(update, []),
    }
}

/// Increments the count of a part, and writes the part if it does not exist.
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
    let mut written = None;
    let mut update = if let Some(bucket) = bucket_for(api, packed.len()) {
        let objects = written.insert(Objects::write(api, id, bucket, name, &packed).await?);
        let mut update = with_expiry("SET z = if_not_exists(z, :z), o = if_not_exists(o, :o)", expires);
        update.values.insert(":o".to_owned(), text(objects.text()));
        update
    } else if packed.len() <= PIECE_BYTES {
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
        Written::Done(after) => {
            known.note(*name);
            // Another process has stored the part at the same time.
            if let Some(mine) =
                written.filter(|mine| after.is_some_and(|after| text_of(&after, "o") != Some(&mine.text())))
            {
                mine.delete(api, id, name).await.or_else(left_over)?;
            }
            Ok(())
        }
        _ => Err(not_counted(api)),
    }
}

/// The error for a lost answer. A use may then be counted twice, but a count is never too low.
fn not_counted(api: &Api) -> StorageError {
    StorageError::Transient(format!("UpdateItem on table `{}` was not answered", api.table()))
}

/// Decrements the count of a part, at most once, and removes the part if nothing uses it any more. If this fails, the
/// count stays too high, and the part is removed with its session.
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
    // After an error it has not happened.
    let Written::Done(Some(after)) = api.update(&key, update, Some("attribute_exists(p)"), Duration::ZERO).await?
    else {
        return Ok(());
    };
    if after.get("n").and_then(|count| count.as_n().ok()).and_then(|count| count.parse::<i64>().ok()) > Some(0) {
        return Ok(());
    }
    known.forget(name);
    remove(api, id, name).await.or_else(left_over)
}

/// A part that cannot be removed now is removed with its session.
fn left_over(error: StorageError) -> Result<(), StorageError> {
    debug!(%error, "a part that nothing uses is left");
    Ok(())
}

async fn remove(api: &Api, id: &SessionId, name: &PartName) -> Result<(), StorageError> {
    let condition = Expression::new("n <= :zero", [(":zero", number(0))]);
    let Written::Done(Some(item)) = api.take(&part_key(id, name), condition).await? else { return Ok(()) };
    if let Some(objects) = Objects::of(&item)? {
        objects.delete(api, id, name).await?;
    }
    let pieces = pieces(api, id, name, &item, Some("p, r")).await?;
    api.delete_all(pieces.iter().filter_map(super::layout::ItemKey::of).collect()).await
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

/// The bytes of those of these parts that exist.
pub(super) async fn read(api: &Api, id: &SessionId, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
    let items = |some: &[PartName]| {
        let keys: Vec<_> = some.iter().map(|name| part_key(id, name)).collect();
        let api = api.clone();
        async move {
            let found = api.get_all(&keys).await?;
            Ok(keys.iter().map(|key| found.get(key).cloned()).collect::<Vec<_>>())
        }
    };
    let items = Api::all(names.chunks(READ_TOGETHER).map(items)).await?.into_iter().flatten();
    let content = |(name, item): (&PartName, Option<Item>)| {
        let (api, id, name) = (api.clone(), id.clone(), *name);
        async move {
            match item {
                Some(item) => content(&api, &id, &name, &item).await.map(Some),
                None => Ok(None),
            }
        }
    };
    Api::all(names.iter().zip(items).map(content)).await
}

async fn content(api: &Api, id: &SessionId, name: &PartName, item: &Item) -> Result<Vec<u8>, StorageError> {
    let packed = match (bytes_of(item, "c"), Objects::of(item)?) {
        (Some(content), _) => content.to_vec(),
        (None, Some(objects)) => objects.read(api, id, name).await?,
        (None, None) => {
            let pieces = pieces(api, id, name, item, None).await?;
            let contents = pieces.iter().map(|piece| bytes_of(piece, "c").ok_or_else(|| damaged(piece)));
            contents.collect::<Result<Vec<_>, _>>()?.concat()
        }
    };
    unpack(packed, number_of(item, "z") == Some(1))
}
