//! The names of sessions, threads and commits.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use hark_machine::Awaited;
use serde::{Deserialize, Serialize};

use crate::limits::THREADS_MAX;
use crate::sequence::Sequence;
use crate::surroundings::{Surroundings, Timestamp};

/// The id of a session: a UUID of version 7, which is ordered by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

/// The number of a thread in its session, and of the Future of its value. The first is 0, and a child's number is
/// greater than its parent's.
///
/// Invariant: less than [`THREADS_MAX`], which is checked when decoding and reserving.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct ThreadId(pub u64);

/// The error of a number that is out of range for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a thread number")]
pub struct NoThreadId(pub u64);

/// The name of a Future within its session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FutureId {
    /// The Future of this thread's value.
    Thread(ThreadId),
    /// A promise, which is resolved from outside: `name/id`.
    Promise(Arc<str>),
}

/// The random id of a commit, which becomes the version of every record that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp(pub NonZeroU64);

impl SessionId {
    /// The id of a session started at this time; 62 random bits distinguish it from others of the same microsecond.
    ///
    /// The twelve bits after the milliseconds are a fraction of a millisecond (RFC 9562, section 6.2, method 3), so
    /// that ids are in the order in which the sessions were started, however many there are.
    pub fn new(now: Timestamp, random: u64) -> SessionId {
        let milliseconds = (now.0 / 1_000) & 0xffff_ffff_ffff;
        let fraction = (now.0 % 1_000) * 0x1000 / 1_000;
        let high = (milliseconds << 16) | 0x7000 | fraction;
        let low = (random & (u64::MAX >> 2)) | (1 << 63);
        let text = format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        SessionId(text.into())
    }

    /// Parses an untrusted id of 36 hexadecimal digits and dashes.
    pub fn parse(text: &str) -> Option<SessionId> {
        let is_id = text.len() == 36 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'));
        is_id.then(|| SessionId::from_text(text))
    }

    /// An id read from a storage.
    pub fn from_text(text: &str) -> SessionId {
        SessionId(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&Awaited> for FutureId {
    fn from(awaited: &Awaited) -> FutureId {
        match awaited {
            Awaited::Thread(thread) => FutureId::Thread(ThreadId(*thread)),
            Awaited::Promise(id) => FutureId::Promise(id.as_str().into()),
        }
    }
}

impl TryFrom<u64> for ThreadId {
    type Error = NoThreadId;

    fn try_from(number: u64) -> Result<ThreadId, NoThreadId> {
        if number < THREADS_MAX { Ok(ThreadId(number)) } else { Err(NoThreadId(number)) }
    }
}

impl From<ThreadId> for FutureId {
    fn from(thread: ThreadId) -> FutureId {
        FutureId::Thread(thread)
    }
}

impl fmt::Display for FutureId {
    /// "thread 3", "future `mail/1`".
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FutureId::Thread(thread) => write!(formatter, "thread {thread}"),
            FutureId::Promise(id) => write!(formatter, "future `{id}`"),
        }
    }
}

impl fmt::Display for ThreadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Generates stamps.
pub(crate) struct Stamps<'a>(Source<'a>);

enum Source<'a> {
    /// For records that outlive the process: drawn one by one, because a cloned virtual machine would continue the same
    /// sequence in both copies.
    Surroundings { surroundings: &'a dyn Surroundings, drawn: Option<NonZeroU64> },
    /// For records in memory, which no other process sees.
    Sequence(Sequence),
}

impl<'a> Stamps<'a> {
    /// Stamps that no other process generates, not even a copy of this one.
    pub fn unique(surroundings: &'a dyn Surroundings) -> Stamps<'a> {
        Stamps::unique_from(surroundings, None)
    }

    /// Like `unique`; the first stamp is `drawn`, if given.
    pub fn unique_from(surroundings: &'a dyn Surroundings, drawn: Option<NonZeroU64>) -> Stamps<'a> {
        Stamps(Source::Surroundings { surroundings, drawn })
    }

    /// Stamps that are different from each other.
    pub fn of_seed(seed: u64) -> Stamps<'static> {
        Stamps(Source::Sequence(Sequence::new(seed)))
    }

    pub fn next(&mut self) -> Stamp {
        loop {
            let number = match &mut self.0 {
                Source::Surroundings { surroundings, drawn } => {
                    drawn.take().or_else(|| NonZeroU64::new(surroundings.random()))
                }
                Source::Sequence(sequence) => NonZeroU64::new(sequence.next()),
            };
            if let Some(number) = number {
                return Stamp(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_a_uuid_of_version_7() {
        let id = SessionId::new(Timestamp(1_700_000_000_123_999), u64::MAX);
        assert_eq!(id.as_str(), "018bcfe5-687b-7ffb-bfff-ffffffffffff");
        let id = SessionId::new(Timestamp(1_700_000_000_123_000), 0);
        assert_eq!(id.as_str(), "018bcfe5-687b-7000-8000-000000000000");
    }

    #[test]
    fn session_ids_are_ordered_by_time() {
        let of = |microseconds: u64, random| SessionId::new(Timestamp(1_700_000_000_000_000 + microseconds), random);
        for pair in [0, 1, 499, 500, 998, 999, 1_000, 1_001].windows(2) {
            assert!(of(pair[0], u64::MAX) < of(pair[1], 0), "{pair:?}");
        }
    }

    #[test]
    fn stamps_differ() {
        let mut stamps = Stamps::of_seed(7);
        let first: std::collections::HashSet<Stamp> = (0..1_000).map(|_| stamps.next()).collect();
        assert_eq!(first.len(), 1_000);
    }
}
