//! A session's history: pages in the order of their positions, spread over some partitions. A page that is too large
//! for an item is cut into pieces, which are written before it.

use std::borrow::Cow;

use hark_engine::{SessionId, Stamp, StorageError};

use super::api::Api;
use super::item::{Item, bytes, bytes_of, damaged, number, number_of, stamp, stamp_of};
use super::layout::{HISTORY_SHARDS, ItemKey, history_partition, page_key, page_piece_key, page_sort};
use super::pack::{PIECE_BYTES, Packed, pack, unpack};
use super::requests::Within;

/// The maximum number of bytes of pages in a transaction; the rest goes into pieces.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// The pages of a commit.
pub(super) struct Pages {
    /// The items, which do not have positions yet.
    heads: Vec<Item>,
    /// The pieces, which are written beforehand.
    pub pieces: Vec<Item>,
}

impl Pages {
    pub fn new(id: &SessionId, writer: Stamp, pages: &[String], expires: Option<u64>) -> Pages {
        let (mut heads, mut pieces, mut inline) = (Vec::with_capacity(pages.len()), Vec::new(), 0);
        let expiry = || expires.map(|expires| ("x".to_owned(), number(expires)));
        for (index, page) in pages.iter().enumerate() {
            let Packed { bytes: packed, is_compressed } = pack(Cow::Borrowed(page.as_bytes()));
            let mut head =
                Item::from([("v".to_owned(), stamp(writer)), ("z".to_owned(), number(is_compressed.into()))]);
            head.extend(expiry());
            if packed.len() <= PIECE_BYTES && inline + packed.len() <= INLINE_BYTES_MAX {
                inline += packed.len();
                head.insert("c".to_owned(), bytes(&*packed));
            } else {
                head.insert("m".to_owned(), number(index as u64));
                for (piece, content) in packed.chunks(PIECE_BYTES).enumerate() {
                    let mut item = page_piece_key(id, writer, index as u32, piece as u32).item();
                    item.insert("c".to_owned(), bytes(content));
                    item.extend(expiry());
                    pieces.push(item);
                }
            }
            heads.push(head);
        }
        Pages { heads, pieces }
    }

    pub fn len(&self) -> usize {
        self.heads.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The pages at these positions.
    pub fn at(&self, id: &SessionId, writer: Stamp, mut position: impl FnMut() -> u64) -> Vec<Item> {
        let placed = |head: &Item| {
            let mut item = page_key(id, writer, position()).item();
            item.extend(head.clone());
            item
        };
        self.heads.iter().map(placed).collect()
    }
}

/// The pages after this position, at most this many.
pub(super) async fn read(
    api: &Api,
    id: &SessionId,
    after: u64,
    limit: usize,
) -> Result<Vec<(u64, String)>, StorageError> {
    let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
    let shard = |shard| {
        let (api, partition) = (api.clone(), history_partition(id, shard));
        let within = Within { partition, from: page_sort(from), to: page_sort(u64::MAX), attributes: None, limit };
        async move { api.query(within).await }
    };
    let mut pages = Vec::new();
    for item in Api::all((0..HISTORY_SHARDS).map(shard)).await?.into_iter().flatten() {
        let position = ItemKey::of(&item).and_then(|key| Some(u64::from_be_bytes(key.sort.get(1..)?.try_into().ok()?)));
        pages.push((position.ok_or_else(|| damaged(&item))?, item));
    }
    pages.sort_by_key(|(position, _)| *position);
    pages.truncate(limit);
    let mut texts = Vec::with_capacity(pages.len());
    for (position, item) in pages {
        texts.push((position, text(api, id, &item).await?));
    }
    Ok(texts)
}

async fn text(api: &Api, id: &SessionId, item: &Item) -> Result<String, StorageError> {
    let packed = match (bytes_of(item, "c"), stamp_of(item, "v"), number_of(item, "m")) {
        (Some(content), ..) => content.to_vec(),
        (None, Some(writer), Some(page)) => {
            let (first, last) =
                (page_piece_key(id, writer, page as u32, 0), page_piece_key(id, writer, page as u32, u32::MAX));
            let (partition, from, to) = (first.partition, first.sort, last.sort);
            let pieces = api.query(Within { partition, from, to, attributes: None, limit: usize::MAX }).await?;
            let contents = pieces.iter().map(|piece| bytes_of(piece, "c").ok_or_else(|| damaged(piece)));
            contents.collect::<Result<Vec<_>, _>>()?.concat()
        }
        _ => return Err(damaged(item)),
    };
    let text = unpack(packed, number_of(item, "z") == Some(1))?;
    String::from_utf8(text).map_err(|_| damaged(item))
}
