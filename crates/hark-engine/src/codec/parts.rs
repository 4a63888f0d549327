//! Large contents, split at content-defined boundaries. Each part is stored once per session.
//!
//! A thread's state is written with each of its steps, and most of a large state does not change. Its bytes are split
//! by content-defined chunking (a gear hash, as in FastCDC, Xia et al. 2016), so that an insertion or deletion moves
//! only the adjacent cuts. A piece is named by its hash. Larger pickles are not part of the bytes, but referenced by
//! their hashes.
//!
//! A stored content begins with four bytes that identify its form. Besides the documents of [`super::content`] and
//! `HkPc` here, the form `HkCo` is reserved for compressed or encrypted contents: it is followed by the numbers of a
//! codec (one byte) and of a key (four bytes).

use std::sync::Arc;

use hark_machine::{Pickle, PickleHash};
use sha2::{Digest, Sha256};

use super::CodecError;
use crate::rows::{Part, PartName};

/// Contents up to this length are not split.
const WHOLE_MAX: usize = 16 * 1024;

const PIECE_MIN: usize = 8 * 1024;
const PIECE_MAX: usize = 128 * 1024;

/// A cut is made where these bits of the gear hash are all zero, which is every 32 KB on average.
const CUT_MASK: u64 = 0x7fff << 49;

/// This many bytes at the end stay in the row itself: a thread's activation records are at the end of its state, and
/// change with every step.
const TAIL: usize = 1_024;

/// The start of a content with pieces or pickles. It is followed by the number of pieces and the number of pickles (4
/// bytes each), their hashes, and the tail.
const MAGIC: [u8; 4] = *b"HkPc";

const HEAD: usize = 12;

const HASH_BYTES: usize = 16;

const PICKLE_HASH_BYTES: usize = 32;

/// The start of a content in an unknown codec.
const CODEC_MAGIC: [u8; 4] = *b"HkCo";

/// A content in stored form.
#[derive(Debug, Default)]
pub struct Content {
    /// The bytes in the row: the whole content, or the hashes of its pieces and pickles and the tail.
    pub row: Vec<u8>,
    /// The referenced parts. A piece that occurs twice is listed twice.
    pub parts: Vec<(PartName, Part)>,
    /// The length of the content without its pickles, and the length of these.
    pub bytes: usize,
    /// See `bytes`.
    pub pickle_bytes: usize,
}

impl Content {
    /// Encodes bytes that reference these pickles, each listed once.
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

/// The parts referenced by a stored content. A piece that occurs twice is listed twice.
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

/// The original bytes of a stored content, from its pieces in order.
pub fn whole<'a>(row: &[u8], pieces: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = pieces.collect::<Vec<_>>().concat();
    let (pieces, pickles) = counts(row);
    let tail = pieces.saturating_mul(HASH_BYTES).saturating_add(pickles.saturating_mul(PICKLE_HASH_BYTES));
    bytes.extend_from_slice(row.get(tail.saturating_add(HEAD)..).unwrap_or_default());
    bytes
}

/// Whether a stored content references parts.
pub fn is_in_parts(row: &[u8]) -> bool {
    row.starts_with(&MAGIC)
}

/// Checks that a stored content does not use an unknown codec.
///
/// # Errors
/// If it does.
pub fn check_codec(row: &[u8]) -> Result<(), CodecError> {
    let Some(rest) = row.strip_prefix(&CODEC_MAGIC) else { return Ok(()) };
    let codec = rest.first().copied().unwrap_or_default();
    let key = rest.get(1..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
    Err(CodecError::UnknownCodec { codec, key: u32::from_le_bytes(key) })
}

/// The numbers of pieces and pickles in a stored content.
fn counts(row: &[u8]) -> (usize, usize) {
    let head = row.strip_prefix(&MAGIC).unwrap_or_default();
    match head.first_chunk::<8>() {
        Some(&[a, b, c, d, e, f, g, h]) => {
            (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]) as usize)
        }
        None => (0, 0),
    }
}

/// The end of the first piece of these bytes.
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

/// A random number (SplitMix64) for each byte. They are part of the format: different numbers would cut at different
/// places, which costs only space.
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
