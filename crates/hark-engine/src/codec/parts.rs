//! Large contents, cut where their bytes say so. Each part is kept once for a session.
//!
//! A thread's state is written with each of its steps, and most of a large one is as it was. Its bytes are cut by
//! content-defined chunking (a gear hash, as in FastCDC, Xia et al. 2016), so that what is inserted or removed moves the
//! cuts beside it only. A piece is named by its hash. The larger pickles in a content are not part of its bytes: it names them.
//!
//! A content that is kept begins with four bytes that tell its form. Beside the documents of [`super::content`] and `HkPc` here, there
//! is room for others: `HkCo` is followed by the number of a codec and of a key (a byte and four bytes), for contents that are compressed or encrypted.

use std::sync::Arc;

use hark_machine::{Pickle, PickleHash};
use sha2::{Digest, Sha256};

use super::CodecError;
use crate::rows::{Part, PartName};

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

/// What a content begins with that is written in another codec than these.
const CODEC_MAGIC: [u8; 4] = *b"HkCo";

/// A content as it is kept.
#[derive(Debug, Default)]
pub struct Content {
    /// What stands in the row: all of it, or the hashes of its pieces and pickles.
    pub row: Vec<u8>,
    /// What it names. A piece that it has twice is there twice.
    pub parts: Vec<(PartName, Part)>,
    /// How long it is, without its pickles, and how long these are.
    pub bytes: usize,
    /// See `bytes`.
    pub pickle_bytes: usize,
}

impl Content {
    /// These bytes, which name these pickles, each once.
    pub fn new(bytes: Vec<u8>, pickles: Vec<Arc<Pickle>>) -> Content {
        let length = bytes.len();
        let is_whole = length <= WHOLE_MAX;
        if is_whole && pickles.is_empty() {
            return Content { row: bytes, parts: Vec::new(), bytes: length, pickle_bytes: 0 };
        }
        let mut row = MAGIC.to_vec();
        let mut parts = Vec::new();
        let (mut rest, tail) = bytes.split_at(if is_whole { 0 } else { length - TAIL });
        row.extend_from_slice(&[0; HEAD - MAGIC.len()]);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cut(rest));
            let mut hash = [0; HASH_BYTES];
            hash.copy_from_slice(&Sha256::digest(piece)[..HASH_BYTES]);
            row.extend_from_slice(&hash);
            parts.push((PartName::Piece(hash), Part::Piece(piece.to_vec())));
            rest = after;
        }
        for (place, count) in [(MAGIC.len(), parts.len()), (MAGIC.len() + 4, pickles.len())] {
            row[place..place + 4].copy_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
        }
        let pickle_bytes = pickles.iter().map(|pickle| pickle.length()).sum();
        for pickle in pickles {
            row.extend_from_slice(&pickle.hash().0);
            parts.push((PartName::Pickle(pickle.hash()), Part::Pickle(pickle)));
        }
        row.extend_from_slice(tail);
        Content { row, parts, bytes: length, pickle_bytes }
    }
}

/// The parts that a kept content names; a piece that it has twice is there twice.
pub fn names(row: &[u8]) -> Vec<PartName> {
    let (count, pickles) = counts(row);
    let named = row.get(HEAD..).unwrap_or_default();
    let pieces = named.chunks_exact(HASH_BYTES).take(count).map(|name| {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(name);
        PartName::Piece(hash)
    });
    let named = named.get(count.saturating_mul(HASH_BYTES)..).unwrap_or_default();
    let (named, _) = named.as_chunks::<PICKLE_HASH_BYTES>();
    pieces.chain(named.iter().take(pickles).map(|hash| PartName::Pickle(PickleHash(*hash)))).collect()
}

/// A kept content as it was before it was cut, from its pieces in their order.
pub fn whole<'a>(row: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = pieces.collect::<Vec<_>>().concat();
    let (pieces, pickles) = counts(row);
    let tail = pieces.saturating_mul(HASH_BYTES).saturating_add(pickles.saturating_mul(PICKLE_HASH_BYTES));
    bytes.extend_from_slice(row.get(tail.saturating_add(HEAD)..).unwrap_or_default());
    bytes
}

/// Whether a kept content names parts.
pub fn is_in_parts(row: &[u8]) -> bool {
    row.starts_with(&MAGIC)
}

/// Sees to it that a kept content is in no codec that this release does not know.
///
/// # Errors
/// If it is.
pub fn check_codec(row: &[u8]) -> Result<(), CodecError> {
    let Some(rest) = row.strip_prefix(&CODEC_MAGIC) else { return Ok(()) };
    let codec = rest.first().copied().unwrap_or_default();
    let key = rest.get(1..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    Err(CodecError::UnknownCodec { codec, key: u32::from_le_bytes(key) })
}

/// How many pieces and how many pickles a kept content names.
fn counts(row: &[u8]) -> (usize, usize) {
    let head = row.strip_prefix(&MAGIC).unwrap_or_default();
    match head.first_chunk::<8>() {
        Some(&[a, b, c, d, e, f, g, h]) => {
            (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
        }
        None => (0, 0),
    }
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
        assert!(content.parts.is_empty());
        assert_eq!(content.row, noise(WHOLE_MAX, 1));
    }

    #[test]
    fn pieces_make_up_the_content() {
        let content = Content::new(noise(1_000_000, 1), Vec::new());
        assert!((15..=80).contains(&content.parts.len()), "{}", content.parts.len());
        let parts: Vec<Vec<u8>> = content.parts.iter().map(|(_, part)| part.bytes().unwrap().into_owned()).collect();
        assert_eq!(whole(&content.row, parts.iter().map(Vec::as_slice)), noise(1_000_000, 1));
        assert_eq!(names(&content.row), content.parts.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_inserted_changes_the_pieces_beside_it() {
        let before = noise(1_000_000, 1);
        let after = [&before[..300_000], b"inserted", &before[300_000..]].concat();
        let known: Vec<PartName> = Content::new(before, Vec::new()).parts.iter().map(|(name, _)| *name).collect();
        let changed = Content::new(after, Vec::new()).parts.iter().filter(|(name, _)| !known.contains(name)).count();
        assert!((1..=2).contains(&changed), "{changed}");
    }

    #[test]
    fn pickles_are_named_after_the_pieces() {
        let pickles = [vec![1; 10], vec![2; 20]].map(|bytes| Arc::new(Pickle::new(bytes))).to_vec();
        for length in [100, 100_000] {
            let content = Content::new(noise(length, 1), pickles.clone());
            let named = names(&content.row);
            let expected = [0, 1].map(|index| PartName::Pickle(pickles[index].hash()));
            assert_eq!(named[named.len() - 2..], expected);
            assert_eq!((content.bytes, content.pickle_bytes), (length, 30));
        }
    }

    #[test]
    fn another_codec_is_refused() {
        let error = check_codec(b"HkCo\x02\x07\0\0\0...").unwrap_err().to_string();
        assert!(error.contains("codec 2 with key 7") && error.contains("use the release that wrote it"), "{error}");
        assert!(check_codec(&Content::new(noise(100_000, 1), Vec::new()).row).is_ok());
    }
}
