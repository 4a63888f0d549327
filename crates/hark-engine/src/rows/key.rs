//! Keys encoded as bytes in the same order, for storages that only support byte keys.
//!
//! | first byte | key | then |
//! |---|---|---|
//! | 0 | session | |
//! | 1 | live | thread |
//! | 2 | ready | thread |
//! | 3 | cancel | thread |
//! | 4 | cascade | thread |
//! | 5 | Future | Future |
//! | 6 | wait | Future, waiter |
//! | 7 | todo | Future |
//! | 8 | unawaited | thread |
//! | 9 | broken | thread |
//!
//! A thread is its number in 8 bytes, big-endian. A Future is a 0 and its thread, or a 1 and the promise's name, in
//! which a byte 0 is followed by 255, and which ends with two bytes 0. Other first bytes are reserved for later
//! releases, for example for values published by sessions.

use crate::id::{FutureId, ThreadId};
use crate::record::Key;

/// The error of bytes that are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A kind that this release does not know.
    #[error("a record of kind {0}, which this release does not know; use the release that wrote it, or a later one")]
    Unknown(u8),
    /// Not a key at all.
    #[error("these bytes are not the key of a record")]
    Damaged,
}

const OF_THREAD: u8 = 0;
const OF_PROMISE: u8 = 1;
const ESCAPE: u8 = 255;

impl Key {
    /// Encodes the key.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20);
        bytes.push(self.kind());
        match self {
            Key::Session => {}
            Key::Live(thread)
            | Key::Ready(thread)
            | Key::Cancel(thread)
            | Key::Cascade(thread)
            | Key::Unawaited(thread)
            | Key::Broken(thread) => write_thread(*thread, &mut bytes),
            Key::Future(future) | Key::Todo(future) => write_future(future, &mut bytes),
            Key::Wait { future, waiter } => {
                write_future(future, &mut bytes);
                write_thread(*waiter, &mut bytes);
            }
        }
        bytes
    }

    /// Decodes a key.
    ///
    /// # Errors
    /// If the bytes are not a key.
    pub fn decode(bytes: &[u8]) -> Result<Key, KeyError> {
        let (kind, mut rest) = bytes.split_first().ok_or(KeyError::Damaged)?;
        let key = match kind {
            0 => Key::Session,
            1 => Key::Live(read_thread(&mut rest)?),
            2 => Key::Ready(read_thread(&mut rest)?),
            3 => Key::Cancel(read_thread(&mut rest)?),
            4 => Key::Cascade(read_thread(&mut rest)?),
            5 => Key::Future(read_future(&mut rest)?),
            6 => Key::Wait { future: read_future(&mut rest)?, waiter: read_thread(&mut rest)? },
            7 => Key::Todo(read_future(&mut rest)?),
            8 => Key::Unawaited(read_thread(&mut rest)?),
            9 => Key::Broken(read_thread(&mut rest)?),
            other => return Err(KeyError::Unknown(*other)),
        };
        if rest.is_empty() { Ok(key) } else { Err(KeyError::Damaged) }
    }

    /// The first byte of all keys of this kind.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Key::Session => 0,
            Key::Live(_) => 1,
            Key::Ready(_) => 2,
            Key::Cancel(_) => 3,
            Key::Cascade(_) => 4,
            Key::Future(_) => 5,
            Key::Wait { .. } => 6,
            Key::Todo(_) => 7,
            Key::Unawaited(_) => 8,
            Key::Broken(_) => 9,
        }
    }
}

fn write_thread(thread: ThreadId, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&thread.0.to_be_bytes());
}

pub(super) fn write_future(future: &FutureId, bytes: &mut Vec<u8>) {
    match future {
        FutureId::Thread(thread) => {
            bytes.push(OF_THREAD);
            write_thread(*thread, bytes);
        }
        FutureId::Promise(name) => {
            bytes.push(OF_PROMISE);
            for byte in name.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(ESCAPE);
                }
            }
            bytes.extend_from_slice(&[0, 0]);
        }
    }
}

fn read_thread(bytes: &mut &[u8]) -> Result<ThreadId, KeyError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(KeyError::Damaged)?;
    *bytes = rest;
    ThreadId::try_from(u64::from_be_bytes(*number)).map_err(|_| KeyError::Damaged)
}

fn read_future(bytes: &mut &[u8]) -> Result<FutureId, KeyError> {
    let (form, mut rest) = bytes.split_first().ok_or(KeyError::Damaged)?;
    let future = match *form {
        OF_THREAD => FutureId::Thread(read_thread(&mut rest)?),
        OF_PROMISE => FutureId::Promise(read_name(&mut rest)?.into()),
        _ => return Err(KeyError::Damaged),
    };
    *bytes = rest;
    Ok(future)
}

fn read_name(bytes: &mut &[u8]) -> Result<String, KeyError> {
    let mut name = Vec::new();
    loop {
        let (byte, rest) = bytes.split_first().ok_or(KeyError::Damaged)?;
        *bytes = rest;
        if *byte == 0 {
            let (next, rest) = bytes.split_first().ok_or(KeyError::Damaged)?;
            *bytes = rest;
            match *next {
                0 => return String::from_utf8(name).map_err(|_| KeyError::Damaged),
                ESCAPE => {}
                _ => return Err(KeyError::Damaged),
            }
        }
        name.push(*byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_key() -> Vec<Key> {
        let threads = [0, 1, 255, 256, 1 << 32].map(ThreadId);
        let names = ["", "a", "a\0", "a\0b", "aa", "ab/1", "\u{7fff}"];
        let promises = names.map(|name| FutureId::Promise(name.into()));
        let futures: Vec<FutureId> = threads.iter().map(|thread| (*thread).into()).chain(promises).collect();
        let mut keys = vec![Key::Session];
        for of_thread in [Key::Live, Key::Ready, Key::Cancel, Key::Cascade, Key::Unawaited, Key::Broken] {
            keys.extend(threads.map(of_thread));
        }
        for future in futures {
            keys.extend([Key::Future(future.clone()), Key::Todo(future.clone())]);
            keys.extend(threads.map(|waiter| Key::Wait { future: future.clone(), waiter }));
        }
        keys.sort();
        keys
    }

    #[test]
    fn bytes_are_in_the_order_of_keys_and_mean_them() {
        let keys = every_key();
        for key in &keys {
            assert_eq!(Key::decode(&key.encode()), Ok(key.clone()));
        }
        for pair in keys.windows(2) {
            assert!(pair[0].encode() < pair[1].encode(), "{pair:?}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for key in every_key() {
            let bytes = key.encode();
            for length in 0..bytes.len() {
                assert!(Key::decode(&bytes[..length]).is_err(), "{key:?}");
            }
            assert_eq!(Key::decode(&[&bytes[..], &[7]].concat()), Err(KeyError::Damaged), "{key:?}");
        }
        assert_eq!(Key::decode(&[10, 0]), Err(KeyError::Unknown(10)), "a later release's");
        assert!(KeyError::Unknown(10).to_string().contains("use the release that wrote it"));
    }
}
