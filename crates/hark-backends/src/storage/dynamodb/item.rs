//! Rows as items. Names of attributes are one letter long, since every item carries them.
//!
//! | attribute | what |
//! |---|---|
//! | `v` | the version: the stamp of the commit that wrote or renewed the row |
//! | `t` | the writer's clock, see [`clock`](super::clock); of a program, when it was last written, in seconds since 1970 |
//! | `q` | the seal |
//! | `s`, `c` | summary and content |
//! | `d`, `k` | when the row is due, and its partition of the index of due rows |
//! | `u` | the priority, if it is not 0 |
//! | `g`, `m` | the pool, if it is not the default one, and the memory |
//! | `l`, `i`, `a`, `e` | the partition of the index of sessions, the id, the state, when the session ended |
//! | `o` | which bucket has the content, see [`objects`](super::objects); and `y`, the number of its pieces |
//! | `b` | the batch that must be committed for the row to exist |
//! | `f` | of a first thread that has not begun: its session's own row, so that who takes the thread need not read it |
//! | `n` | a count: of threads, of uses, of pieces |
//! | `x` | when it expires, in seconds since 1970 |

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU64;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use hark_engine::rows::{DueNumber, Listing, Row};
use hark_engine::{Key, Place, SessionId, Stamp, StorageError, Timestamp};

use super::layout::{ItemKey, PARTITION, SORT, due_partition, listing_partition};

pub(super) type Item = HashMap<String, AttributeValue>;

/// The attribute with a session's own row in that of its first thread.
pub(super) const START: &str = "f";

/// A session's own row is put into that of its first thread if it has no more bytes than this.
const START_BYTES_MAX: usize = 4 << 10;

pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn signed(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn bytes(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(super) fn stamp(stamp: Stamp) -> AttributeValue {
    number(stamp.0.get())
}

impl ItemKey {
    pub fn item(&self) -> Item {
        Item::from([(PARTITION.to_owned(), text(&self.partition)), (SORT.to_owned(), bytes(&self.sort[..]))])
    }

    pub fn of(item: &Item) -> Option<ItemKey> {
        let partition = item.get(PARTITION)?.as_s().ok()?.clone();
        Some(ItemKey { partition, sort: bytes_of(item, SORT)?.to_vec() })
    }
}

pub(super) fn number_of(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn bytes_of<'a>(item: &'a Item, name: &str) -> Option<&'a [u8]> {
    item.get(name)?.as_b().ok().map(AsRef::as_ref)
}

pub(super) fn stamp_of(item: &Item, name: &str) -> Option<Stamp> {
    number_of(item, name).and_then(NonZeroU64::new).map(Stamp)
}

/// A row as an item, without its key.
pub(super) fn row_item(id: &SessionId, key: &Key, row: &Row) -> Item {
    let mut item = Item::from([("v".to_owned(), stamp(row.stamp)), ("q".to_owned(), number(row.seal.into()))]);
    if !row.summary.is_empty() {
        item.insert("s".to_owned(), text(&row.summary));
    }
    if !row.content.is_empty() {
        item.insert("c".to_owned(), bytes(&row.content[..]));
    }
    if let Some(due) = row.due {
        item.insert("d".to_owned(), number(due.get()));
        if let Some(partition) = due_partition(id, key) {
            item.insert("k".to_owned(), text(partition));
        }
    }
    if row.priority != 0 {
        item.insert("u".to_owned(), signed(row.priority.into()));
    }
    if let Some(pool) = row.place.pool_name() {
        item.insert("g".to_owned(), text(pool));
    }
    if let Some(memory) = row.place.memory() {
        item.insert("m".to_owned(), number(memory.into()));
    }
    if let Some(Listing { state, ended }) = &row.listing {
        item.insert("l".to_owned(), text(listing_partition(id, state)));
        item.insert("i".to_owned(), text(id.as_str()));
        item.insert("a".to_owned(), text(&**state));
        if let Some(ended) = ended {
            item.insert("e".to_owned(), number(ended.0));
        }
    }
    item
}

/// A session's own row as an attribute of its first thread, unless it is large. The attributes for indexes are omitted.
pub(super) fn start_of(id: &SessionId, own: &Row) -> Option<AttributeValue> {
    let mut item = row_item(id, &Key::Session, own);
    item.retain(|name, _| !["l", "i"].contains(&name.as_str()));
    (size_of(&item) <= START_BYTES_MAX).then_some(AttributeValue::M(item))
}

/// The row in an item. Attributes that were not asked for are empty.
pub(super) fn row_of(item: &Item) -> Result<Row, StorageError> {
    let stamp = stamp_of(item, "v").ok_or_else(|| damaged(item))?;
    let seal = number_of(item, "q").and_then(|seal| u32::try_from(seal).ok()).ok_or_else(|| damaged(item))?;
    let listing = text_of(item, "a")
        .map(|state| Listing { state: Cow::Owned(state.to_owned()), ended: number_of(item, "e").map(Timestamp) });
    let memory = match number_of(item, "m").map(u32::try_from) {
        Some(memory) => Some(memory.map_err(|_| damaged(item))?),
        None => None,
    };
    Ok(Row {
        stamp,
        due: number_of(item, "d").map(DueNumber::new),
        priority: item.get("u").and_then(|priority| priority.as_n().ok()?.parse().ok()).unwrap_or(0),
        place: Place::from_parts(text_of(item, "g"), memory).map_err(|_| damaged(item))?,
        seal,
        listing,
        summary: text_of(item, "s").unwrap_or_default().to_owned(),
        content: bytes_of(item, "c").unwrap_or_default().to_vec(),
    })
}

/// The key of the row in an item.
pub(super) fn key_of(item: &Item) -> Result<Key, StorageError> {
    let sort = bytes_of(item, SORT).ok_or_else(|| damaged(item))?;
    Key::decode(sort).map_err(|error| StorageError::Permanent(error.to_string()))
}

pub(super) fn damaged(item: &Item) -> StorageError {
    let place =
        ItemKey::of(item).map_or_else(String::new, |key| format!(" {:?} in partition `{}`", key.sort, key.partition));
    StorageError::Permanent(format!("the item{place} is damaged: something other than Hark has changed it"))
}

/// The approximate size of an item as DynamoDB counts it.
pub(super) fn size_of(item: &Item) -> usize {
    let size = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::M(item) => size_of(item),
        _ => 12,
    };
    item.iter().map(|(name, value)| name.len() + size(value)).sum::<usize>() + 100
}
