//! Bytes that do not fit into an item: compressed where that helps, and cut into pieces.

use std::borrow::Cow;

use hark_engine::StorageError;

/// The maximum number of bytes put into one item. DynamoDB allows 400 KB.
pub(super) const PIECE_BYTES: usize = 350_000;

/// Fewer bytes are not worth compressing.
const COMPRESSED_BYTES_MIN: usize = 256;
const LEVEL: i32 = 1;

/// Bytes, and whether they are compressed.
pub(super) struct Packed<'a> {
    pub bytes: Cow<'a, [u8]>,
    pub is_compressed: bool,
}

/// Compresses bytes if that makes them smaller.
pub(super) fn pack(bytes: Cow<'_, [u8]>) -> Packed<'_> {
    if bytes.len() >= COMPRESSED_BYTES_MIN
        && let Ok(compressed) = zstd::bulk::compress(&bytes, LEVEL)
        && compressed.len() < bytes.len()
    {
        return Packed { bytes: Cow::Owned(compressed), is_compressed: true };
    }
    Packed { bytes, is_compressed: false }
}

/// The bytes that were packed.
pub(super) fn unpack(bytes: Vec<u8>, is_compressed: bool) -> Result<Vec<u8>, StorageError> {
    if !is_compressed {
        return Ok(bytes);
    }
    zstd::stream::decode_all(&bytes[..])
        .map_err(|error| StorageError::Permanent(format!("a compressed item is damaged: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back() {
        for bytes in [&b""[..], b"short", &[7; 100_000]] {
            let Packed { bytes: packed, is_compressed } = pack(Cow::Borrowed(bytes));
            assert_eq!(is_compressed, bytes.len() > 1_000);
            assert_eq!(unpack(packed.into_owned(), is_compressed).unwrap(), bytes);
        }
        assert!(unpack(vec![1, 2, 3], true).is_err());
    }
}
