//! Large contents, cut where their bytes say so, each piece kept once for a session.
//!
//! A thread's state is written with each of its steps, and most of a large one is as it was. Its bytes are cut by
//! content-defined chunking (a gear hash, as in FastCDC, Xia et al. 2016), so that what is inserted or removed moves the
//! cuts beside it only. A piece is named by its hash, and counts how many contents have it. The larger pickles in a content
//! are not part of its bytes: it names them, and counts as one of their holders ([`super::pickles`]).

use std::collections::HashMap;
use std::sync::Arc;

use hark_machine::{Pickle, PickleHash};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

use super::pickles;

/// Contents up to this length are kept whole.
const WHOLE_MAX: usize = 16 * 1024;

const PIECE_MIN: usize = 8 * 1024;
const PIECE_MAX: usize = 128 * 1024;

/// A cut is made where these bits of the gear hash are all zero: every 32 KB on average.
const CUT_MASK: u64 = 0x7fff << 49;

/// So much of the end stands in the row itself: a thread's activation records come last in its state, and change with
/// every step.
const TAIL: usize = 1_024;

/// What a content begins with that has pieces or pickles; then come how many pieces and how many pickles there are (4 bytes
/// each), their hashes, and the tail.
const MAGIC: [u8; 4] = *b"HkPc";

const HEAD: usize = 12;

const HASH_BYTES: usize = 16;

const PICKLE_HASH_BYTES: usize = 32;

type Hash = [u8; HASH_BYTES];

/// A content that is to be kept.
pub(super) struct Content {
    /// What stands in the row: all of it, or the hashes of its pieces and pickles.
    row: Vec<u8>,
    pieces: Vec<(Hash, Vec<u8>)>,
    pickles: Vec<Arc<Pickle>>,
}

impl Content {
    /// These bytes, which name these pickles, each once.
    pub fn new(bytes: Vec<u8>, pickles: Vec<Arc<Pickle>>) -> Content {
        let is_whole = bytes.len() <= WHOLE_MAX;
        if is_whole && pickles.is_empty() {
            return Content { row: bytes, pieces: Vec::new(), pickles };
        }
        let mut row = MAGIC.to_vec();
        let mut pieces = Vec::new();
        let (mut rest, tail) = bytes.split_at(if is_whole { 0 } else { bytes.len() - TAIL });
        row.extend_from_slice(&[0; HEAD - MAGIC.len()]);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut(rest));
            let mut hash = Hash::default();
            hash.copy_from_slice(&Sha256::digest(piece)[..HASH_BYTES]);
            row.extend_from_slice(&hash);
            pieces.push((hash, piece.to_vec()));
            rest = after;
        }
        for (place, count) in [(MAGIC.len(), pieces.len()), (MAGIC.len() + 4, pickles.len())] {
            row[place..place + 4].copy_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        pickles.iter().for_each(|pickle| row.extend_from_slice(&pickle.hash().0));
        row.extend_from_slice(tail);
        Content { row, pieces, pickles }
    }

    /// What stands in the row.
    pub fn row(&self) -> &[u8] {
        &self.row
    }

    /// The pickles that it names.
    pub fn pickles(&self) -> &[Arc<Pickle>] {
        &self.pickles
    }

    /// How long it is, without its pickles.
    pub fn length(&self) -> usize {
        if self.pieces.is_empty() {
            self.row.len()
        } else {
            self.pieces.iter().map(|(_, piece)| piece.len()).sum::<usize>() + TAIL
        }
    }

    /// Counts this content's pieces and pickles in, and those of the one that it replaces out. Those that both have are not
    /// touched.
    pub fn replace(&self, connection: &Connection, session: i64, old: Option<Vec<u8>>) -> rusqlite::Result<()> {
        let old = old.unwrap_or_default();
        if !is_in_pieces(&self.row) && !is_in_pieces(&old) {
            return Ok(());
        }
        let had = pickles(&old);
        for pickle in self.pickles.iter().filter(|pickle| !had.contains(&pickle.hash())) {
            pickles::count_in(connection, session, pickle)?;
        }
        for hash in had.into_iter().filter(|hash| !self.pickles.iter().any(|pickle| pickle.hash() == *hash)) {
            pickles::count_out(connection, session, hash)?;
        }
        let mut counts: HashMap<Hash, i64> = HashMap::new();
        for hash in hashes(&old) {
            *counts.entry(hash).or_default() -= 1;
        }
        for (hash, _) in &self.pieces {
            *counts.entry(*hash).or_default() += 1;
        }
        for (hash, piece) in &self.pieces {
            if let Some(count) = counts.remove(hash).filter(|count| *count > 0) {
                let sql = "INSERT INTO piece VALUES (?1, ?2, ?3, ?4)
                    ON CONFLICT DO UPDATE SET uses = uses + excluded.uses";
                connection.prepare_cached(sql)?.execute(params![session, hash, count, piece])?;
            }
        }
        count_out(connection, session, counts.into_iter().filter(|(_, count)| *count < 0))
    }
}

/// Counts the pieces and pickles of a content out that is removed.
pub(super) fn remove(connection: &Connection, session: i64, old: Option<Vec<u8>>) -> rusqlite::Result<()> {
    let Some(old) = old.filter(|old| is_in_pieces(old)) else { return Ok(()) };
    let mut counts: HashMap<Hash, i64> = HashMap::new();
    hashes(&old).for_each(|hash| *counts.entry(hash).or_default() -= 1);
    pickles(&old).into_iter().try_for_each(|hash| pickles::count_out(connection, session, hash))?;
    count_out(connection, session, counts.into_iter())
}

fn count_out(connection: &Connection, session: i64, counts: impl Iterator<Item = (Hash, i64)>) -> rusqlite::Result<()> {
    for (hash, count) in counts {
        let sql = "UPDATE piece SET uses = uses + ?3 WHERE session = ?1 AND hash = ?2";
        connection.prepare_cached(sql)?.execute(params![session, hash, count])?;
        let sql = "DELETE FROM piece WHERE session = ?1 AND hash = ?2 AND uses <= 0";
        connection.prepare_cached(sql)?.execute(params![session, hash])?;
    }
    Ok(())
}

/// A content as it was before it was cut. A piece that is missing leaves a gap, which the content's checksum tells.
pub(super) fn whole(connection: &Connection, session: i64, row: Vec<u8>) -> rusqlite::Result<Vec<u8>> {
    if !is_in_pieces(&row) {
        return Ok(row);
    }
    let mut bytes = Vec::new();
    for hash in hashes(&row) {
        let sql = "SELECT content FROM piece WHERE session = ?1 AND hash = ?2";
        let piece: Option<Vec<u8>> =
            connection.prepare_cached(sql)?.query_row(params![session, hash], |row| row.get(0)).optional()?;
        bytes.extend(piece.unwrap_or_default());
    }
    let (pieces, pickles) = counts(&row);
    let tail = pieces.saturating_mul(HASH_BYTES).saturating_add(pickles.saturating_mul(PICKLE_HASH_BYTES));
    bytes.extend_from_slice(row.get(tail.saturating_add(HEAD)..).unwrap_or_default());
    Ok(bytes)
}

fn is_in_pieces(row: &[u8]) -> bool {
    row.starts_with(&MAGIC)
}

/// How many pieces and how many pickles a row names.
fn counts(row: &[u8]) -> (usize, usize) {
    let head = row.strip_prefix(&MAGIC).unwrap_or_default();
    match head.first_chunk::<8>() {
        Some(&[a, b, c, d, e, f, g, h]) => {
            (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
        }
        None => (0, 0),
    }
}

/// The pickles that a row names.
fn pickles(row: &[u8]) -> Vec<PickleHash> {
    let (pieces, pickles) = counts(row);
    let named = row.get(HEAD.saturating_add(pieces.saturating_mul(HASH_BYTES))..).unwrap_or_default();
    let (named, _) = named.as_chunks::<PICKLE_HASH_BYTES>();
    named.iter().take(pickles).map(|hash| PickleHash(*hash)).collect()
}

fn hashes(row: &[u8]) -> impl Iterator<Item = Hash> {
    let (count, _) = counts(row);
    row.get(HEAD..).unwrap_or_default().chunks_exact(HASH_BYTES).take(count).map(|name| {
        let mut hash = Hash::default();
        hash.copy_from_slice(name);
        hash
    })
}

/// Where the first piece of these bytes ends.
fn cut(bytes: &[u8]) -> usize {
    let end = bytes.len().min(PIECE_MAX);
    let mut hash = 0_u64;
    for (index, byte) in bytes[..end].iter().enumerate().skip(PIECE_MIN) {
        hash = (hash << 1).wrapping_add(GEAR[*byte as usize]);
        if hash & CUT_MASK == 0 {
            return index + 1;
        }
    }
    end
}

/// Random numbers (SplitMix64), one for each byte. They are part of the format: others would cut elsewhere, which costs
/// only space.
const GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let mut state = 0_u64;
    let mut index = 0;
    while index < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[index] = mixed ^ (mixed >> 31);
        index += 1;
    }
    gear
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes without a pattern.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[test]
    fn small_contents_are_kept_whole() {
        let content = Content::new(noise(WHOLE_MAX, 1), Vec::new());
        assert!(content.pieces.is_empty());
        assert_eq!(content.row(), noise(WHOLE_MAX, 1));
    }

    #[test]
    fn pieces_make_up_the_content() {
        let content = Content::new(noise(1_000_000, 1), Vec::new());
        assert!((15..=80).contains(&content.pieces.len()), "{}", content.pieces.len());
        let mut joined: Vec<u8> = content.pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
        joined.extend_from_slice(&content.row()[content.row().len() - TAIL..]);
        assert_eq!(joined, noise(1_000_000, 1));
    }

    #[test]
    fn what_is_inserted_changes_the_pieces_beside_it() {
        let before = noise(1_000_000, 1);
        let after = [&before[..300_000], b"inserted", &before[300_000..]].concat();
        let known: Vec<Hash> = Content::new(before, Vec::new()).pieces.iter().map(|(hash, _)| *hash).collect();
        let changed = Content::new(after, Vec::new()).pieces.iter().filter(|(hash, _)| !known.contains(hash)).count();
        assert!((1..=2).contains(&changed), "{changed}");
    }
}
