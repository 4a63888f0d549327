//! The layout of the table.
//!
//! | partition `p` | sort key `r` | item |
//! |---|---|---|
//! | SESSION`#`BUCKET | the key's bytes | a row; bucket 0 has the session's own, and those of promises |
//! | SESSION`#0` | 0, 0 | the next thread number |
//! | SESSION`#0` | 0, 1, stamp | a batch: whether rows that were written before their commit are valid |
//! | SESSION`#h`SHARD | 0, position | a page of the history |
//! | SESSION`#h`SHARD | 1, stamp, page, piece | a piece of a large page |
//! | SESSION`#p`SHARD | part | a part and its count |
//! | SESSION`#p`SHARD | part, 255, nonce, piece | a piece of a large part |
//! | `space` | 1, key | a record of the space |
//! | `program#`HASH | piece | a program |
//! | `programs` | HASH | when a program was last written |
//! | `removing` | SESSION | a session whose removal has begun |
//!
//! A session's threads are spread over partitions, 64 neighbors in each, so that no partition's throughput bounds a large
//! fan-out; after [`BUCKETS`] they begin anew. Two indexes: `due`, sparse, by kind and shard in the order of due times; and
//! `listing`, by whether it is over and shard in the order of ids, which is that of their starts.

use std::collections::BTreeSet;

use hark_engine::rows::{DueKind, PartName};
use hark_engine::{FutureId, Key, Pools, SessionId, SessionState, Stamp};

/// The partition key's name.
pub(super) const PARTITION: &str = "p";
/// The sort key's name.
pub(super) const SORT: &str = "r";

pub(super) const DUE_INDEX: &str = "due";
pub(super) const LISTING_INDEX: &str = "listing";

/// The number of neighboring threads in a partition.
const THREADS_TOGETHER: u64 = 64;
/// The maximum number of partitions for a session's threads.
pub(super) const BUCKETS: u64 = 64;
/// The number of partitions for a session's history.
pub(super) const HISTORY_SHARDS: u64 = 2;
/// The number of partitions for a session's parts.
pub(super) const PART_SHARDS: u64 = 8;
/// The number of partitions of the index of due rows, for each kind.
pub(super) const DUE_SHARDS: u64 = 8;
/// The number of partitions of the index of sessions for finished sessions, and for the others.
pub(super) const LISTING_SHARDS: u64 = 8;

pub(super) const COUNTER: [u8; 2] = [0, 0];
pub(super) const SPACE: &str = "space";
pub(super) const REMOVING: &str = "removing";
pub(super) const PROGRAMS: &str = "programs";

const BATCH: [u8; 2] = [0, 1];
const PAGE: u8 = 0;
const PAGE_PIECE: u8 = 1;
const PART_PIECE: u8 = 255;

/// An item's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ItemKey {
    pub partition: String,
    pub sort: Vec<u8>,
}

/// The bucket of a row.
fn bucket_of(key: &Key) -> u64 {
    let number = match key {
        Key::Session => 0,
        Key::Live(thread)
        | Key::Ready(thread)
        | Key::Cancel(thread)
        | Key::Cascade(thread)
        | Key::Unawaited(thread)
        | Key::Broken(thread) => thread.0,
        Key::Future(future) | Key::Todo(future) | Key::Wait { future, .. } => match future {
            FutureId::Thread(thread) => thread.0,
            FutureId::Promise(_) => 0,
        },
    };
    number / THREADS_TOGETHER % BUCKETS
}

/// The number of buckets if this is the next thread number.
pub(super) fn buckets_before(next: u64) -> u64 {
    next.div_ceil(THREADS_TOGETHER).clamp(1, BUCKETS)
}

pub(super) fn row_key(id: &SessionId, key: &Key) -> ItemKey {
    ItemKey { partition: bucket(id, bucket_of(key)), sort: key.encode() }
}

pub(super) fn bucket(id: &SessionId, number: u64) -> String {
    format!("{id}#{number}")
}

pub(super) fn counter_key(id: &SessionId) -> ItemKey {
    ItemKey { partition: bucket(id, 0), sort: COUNTER.to_vec() }
}

pub(super) fn batch_key(id: &SessionId, batch: Stamp) -> ItemKey {
    ItemKey { partition: bucket(id, 0), sort: [&BATCH[..], &batch.0.get().to_be_bytes()].concat() }
}

pub(super) fn history_partition(id: &SessionId, shard: u64) -> String {
    format!("{id}#h{shard}")
}

/// The place of a page that a commit of this stamp writes.
pub(super) fn page_key(id: &SessionId, stamp: Stamp, position: u64) -> ItemKey {
    let partition = history_partition(id, stamp.0.get() % HISTORY_SHARDS);
    ItemKey { partition, sort: page_sort(position) }
}

pub(super) fn page_sort(position: u64) -> Vec<u8> {
    [&[PAGE][..], &position.to_be_bytes()].concat()
}

/// The key of a piece of a large page, by the number of the page in its commit and that of the piece.
pub(super) fn page_piece_key(id: &SessionId, stamp: Stamp, page: u32, piece: u32) -> ItemKey {
    let partition = history_partition(id, stamp.0.get() % HISTORY_SHARDS);
    let parts = [&[PAGE_PIECE][..], &stamp.0.get().to_be_bytes(), &page.to_be_bytes(), &piece.to_be_bytes()];
    ItemKey { partition, sort: parts.concat() }
}

pub(super) fn part_partition(id: &SessionId, shard: u64) -> String {
    format!("{id}#p{shard}")
}

pub(super) fn part_key(id: &SessionId, name: &PartName) -> ItemKey {
    let (kind, hash) = match name {
        PartName::Piece(hash) => (0, &hash[..]),
        PartName::Pickle(hash) => (1, &hash.0[..]),
    };
    let shard = u64::from(hash.first().copied().unwrap_or(0)) % PART_SHARDS;
    ItemKey { partition: part_partition(id, shard), sort: [&[kind], hash].concat() }
}

pub(super) fn part_piece_key(id: &SessionId, name: &PartName, nonce: u64, piece: u32) -> ItemKey {
    let ItemKey { partition, sort } = part_key(id, name);
    ItemKey { partition, sort: [&sort[..], &[PART_PIECE], &nonce.to_be_bytes(), &piece.to_be_bytes()].concat() }
}

pub(super) fn program_key(hash: &str, piece: u32) -> ItemKey {
    ItemKey { partition: program_partition(hash), sort: piece.to_be_bytes().to_vec() }
}

pub(super) fn program_partition(hash: &str) -> String {
    format!("program#{hash}")
}

pub(super) fn listed_program_key(hash: &str) -> ItemKey {
    ItemKey { partition: PROGRAMS.to_owned(), sort: hash.as_bytes().to_vec() }
}

pub(super) fn removing_key(id: &SessionId) -> ItemKey {
    ItemKey { partition: REMOVING.to_owned(), sort: id.as_str().as_bytes().to_vec() }
}

/// All partitions that may contain items of a session with this next thread number.
pub(super) fn partitions(id: &SessionId, next: u64) -> Vec<String> {
    let rows = (0..buckets_before(next)).map(|number| bucket(id, number));
    let history = (0..HISTORY_SHARDS).map(|shard| history_partition(id, shard));
    rows.chain(history).chain((0..PART_SHARDS).map(|shard| part_partition(id, shard))).collect()
}

/// The partition of the index of due rows that has this row.
pub(super) fn due_partition(id: &SessionId, key: &Key) -> Option<String> {
    let kind = match key {
        Key::Live(_) | Key::Ready(_) => DueKind::Threads(&Pools::All),
        Key::Todo(_) | Key::Cascade(_) => DueKind::Leftovers,
        _ => return None,
    };
    // A thread and its mailbox are in the same partition.
    Some(due_shard_of(kind, id, bucket_of(key)))
}

fn due_shard_of(kind: DueKind<'_>, id: &SessionId, bucket: u64) -> String {
    due_shard(kind, hash_of(id.as_str().bytes().chain(bucket.to_le_bytes())) % DUE_SHARDS)
}

/// All partitions of the index that may have rows of a session with this next thread number.
pub(super) fn due_shards_of(kind: DueKind<'_>, id: &SessionId, next: u64) -> BTreeSet<String> {
    (0..buckets_before(next)).map(|bucket| due_shard_of(kind, id, bucket)).collect()
}

pub(super) fn due_shard(kind: DueKind<'_>, shard: u64) -> String {
    let letter = match kind {
        DueKind::Threads(_) => 't',
        DueKind::Leftovers => 'l',
    };
    format!("{letter}{shard}")
}

/// The partition of the index of sessions that has this one.
pub(super) fn listing_partition(id: &SessionId, state: &str) -> String {
    let is_over = SessionState::ALL.into_iter().find(|known| known.name() == state).is_none_or(SessionState::is_over);
    listing_shard(is_over, hash_of(id.as_str().bytes()) % LISTING_SHARDS)
}

pub(super) fn listing_shard(is_over: bool, shard: u64) -> String {
    format!("{}{shard}", if is_over { 'o' } else { 'r' })
}

/// FNV-1a. It must never change, because every release must find the rows of every other one.
fn hash_of(bytes: impl IntoIterator<Item = u8>) -> u64 {
    let hash = bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Its upper half depends on all bytes.
    hash >> 32
}

/// The session in the name of a partition of rows.
pub(super) fn session_of(partition: &str) -> Option<SessionId> {
    partition.split_once('#').and_then(|(id, _)| SessionId::parse(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Other releases look for rows in the same places.
    #[test]
    fn shards_are_spread_and_never_change() {
        let id = SessionId::parse("01a21fb7-9f4c-74cc-b677-7a0963a823a7").expect("it is one");
        let first = due_partition(&id, &Key::Live(hark_engine::ThreadId(63)));
        assert_eq!(first, due_partition(&id, &Key::Ready(hark_engine::ThreadId(0))));
        assert_eq!(first.as_deref(), Some("t6"));
        assert_eq!(due_shards_of(DueKind::Threads(&Pools::All), &id, 64).len(), 1);
        assert!(due_shards_of(DueKind::Threads(&Pools::All), &id, 1_000).len() >= 6);
    }
}
