//! Records as rows: what is in the summary, what in the content, and the seal over both.
//!
//! | record | summary | content |
//! |---|---|---|
//! | session | JSON | |
//! | live, broken | JSON, without the state | state and call in flight |
//! | cascade | JSON | |
//! | wait | `0` or `1`: what the waiter waits for; its priority if that is not 0; `@` and its place | |
//! | Future, unawaited | | value or failure |
//! | ready, cancel, todo | | |
//!
//! A mailbox may contain signals in a later release; then `ready` has a content.

use std::borrow::Cow;

use hark_bytecode::wire::WireError;
use hark_machine::{Apart, PickleSource, Program};

use super::parts::{self, Content};
use super::{CodecError, content, text};
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::limits::APART_BYTES_MIN;
use crate::record::{Due, Key, Live, Record, SessionRecord, Waiter};
use crate::rows::{Listing, Part, PartName, Row};

/// The number of bytes at the end of a summary or content that contain its own checksum.
const END_BYTES: usize = 16;

/// Creates and checks the seals of a session's rows. Storages may not detect flipped bits, and a flipped bit in a key
/// would assign a thread's state, or a Future's value, to another one. The end of the summary or content is part of the
/// seal, which binds it to the row's key.
#[derive(Debug, Clone)]
pub struct Sealer(crc32fast::Hasher);

impl Sealer {
    /// A sealer for the rows of this session.
    pub fn new(session: &SessionId) -> Sealer {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(session.as_str().as_bytes());
        hasher.update(&[0]);
        Sealer(hasher)
    }

    /// The seal of a row. Rows that consist of little more than their keys have none.
    pub fn seal(&self, key: &Key, summary: &str, content: &[u8]) -> u32 {
        if matches!(key, Key::Ready(_) | Key::Cancel(_) | Key::Wait { .. } | Key::Todo(_)) {
            return 0;
        }
        let mut hasher = self.0.clone();
        hasher.update(&key.encode());
        let sealed = if summary.is_empty() { content } else { summary.as_bytes() };
        hasher.update(&sealed[sealed.len().saturating_sub(END_BYTES)..]);
        hasher.finalize()
    }

    fn check(&self, key: &Key, row: &Row, content: &[u8]) -> Result<(), CodecError> {
        if matches!(key, Key::Ready(_) | Key::Cancel(_) | Key::Wait { .. } | Key::Todo(_))
            || self.seal(key, &row.summary, content) == row.seal
        {
            return Ok(());
        }
        Err(WireError::Checksum.into())
    }
}

/// A record as a row, and the parts that it references.
pub struct EncodedRow {
    /// Its key.
    pub key: Key,
    /// The row to store.
    pub row: Row,
    /// The parts. A piece that occurs twice is listed twice.
    pub parts: Vec<(PartName, Part)>,
    /// The length of the content without its pickles, and the length of these.
    pub bytes: usize,
    /// See `bytes`.
    pub pickle_bytes: usize,
}

/// Encodes a record.
pub fn encode(record: &Record, due: Option<Due>, stamp: Stamp, sealer: &Sealer, program: &Program) -> EncodedRow {
    let (mut summary, mut listing, mut content) = (String::new(), None, Content::default());
    match record {
        Record::Session(session) => {
            summary = text::session_summary(session);
            listing = Some(listing_of(session));
        }
        Record::Live(_, live) | Record::Broken(_, live) => {
            summary = text::live_summary(live);
            content = content_of(|apart| content::live_content(live, program, apart));
        }
        Record::Cascade(_, started) => summary = text::started_text(started),
        Record::Future(_, future) => content = content_of(|apart| content::future_content(future, apart)),
        Record::Unawaited(_, failure) => content = content_of(|apart| content::failure_content(failure, apart)),
        Record::Wait { waiter, .. } => {
            summary.push(char::from(b'0' + content::interest_byte(waiter.interest)));
            let Demand { priority, place } = &waiter.demand;
            if *priority != 0 {
                summary.push_str(&priority.to_string());
            }
            if !place.is_default() {
                summary.push_str(&format!("@{place}"));
            }
        }
        Record::Ready(..) | Record::Cancel(_) | Record::Todo(_) => {}
    }
    let key = record.key();
    let Content { row: content, parts, bytes, pickle_bytes } = content;
    let seal = sealer.seal(&key, &summary, &content);
    let Demand { priority, place } = demand_of(record);
    EncodedRow {
        row: Row { stamp, due: due.map(Into::into), priority, place, seal, listing, summary, content },
        key,
        parts,
        bytes,
        pickle_bytes,
    }
}

fn demand_of(record: &Record) -> Demand {
    match record {
        Record::Live(_, live) => live.demand.clone(),
        Record::Ready(_, demand) => demand.clone(),
        _ => Demand::default(),
    }
}

/// A content whose larger pickles are stored separately.
fn content_of(write: impl FnOnce(&mut Apart) -> Vec<u8>) -> Content {
    let mut apart = Apart::from_bytes(APART_BYTES_MIN);
    let bytes = write(&mut apart);
    Content::new(bytes, apart.into_found())
}

fn listing_of(session: &SessionRecord) -> Listing {
    Listing { state: Cow::Borrowed(session.state.name()), ended: session.ended }
}

/// Decodes a row. `whole` is the content assembled by [`parts::whole`]; None if it is in the row itself.
///
/// # Errors
/// If it is damaged or belongs to another program, or a pickle is missing.
pub fn decode(
    key: &Key,
    row: &Row,
    whole: Option<&[u8]>,
    sealer: &Sealer,
    program: &Program,
    pickles: &dyn PickleSource,
) -> Result<Record, CodecError> {
    sealer.check(key, row, &row.content)?;
    row.due.map(|due| due.due()).transpose()?;
    parts::check_codec(&row.content)?;
    let content = whole.unwrap_or(&row.content);
    let live = || content::live(&row.summary, content, program, pickles);
    Ok(match key {
        Key::Live(thread) => Record::Live(*thread, live()?),
        Key::Broken(thread) => Record::Broken(*thread, live()?),
        Key::Future(future) => Record::Future(future.clone(), content::future(content, program, pickles)?),
        Key::Unawaited(thread) => Record::Unawaited(*thread, Box::new(content::failure(content, program, pickles)?)),
        _ => decode_summary(key, row, sealer)?,
    })
}

/// Decodes a row from its summary only: a thread comes without its state. Rows without a summary cannot be decoded this
/// way.
///
/// # Errors
/// If it is damaged.
pub fn decode_summary(key: &Key, row: &Row, sealer: &Sealer) -> Result<Record, CodecError> {
    let checked = || sealer.check(key, row, &[]);
    let live = || -> Result<Box<Live>, CodecError> {
        checked()?;
        text::live_from_summary(&row.summary)
    };
    Ok(match key {
        Key::Session => Record::Session(Box::new(decode_session(row, sealer)?)),
        Key::Live(thread) => Record::Live(*thread, live()?),
        Key::Broken(thread) => Record::Broken(*thread, live()?),
        Key::Cascade(thread) => {
            checked()?;
            Record::Cascade(*thread, text::started_from_text(&row.summary)?)
        }
        Key::Wait { future, waiter } => {
            let waiter = waiter_of(*waiter, &row.summary).ok_or(CodecError::OutOfRange("what a waiter waits for"))?;
            Record::Wait { future: future.clone(), waiter }
        }
        Key::Ready(thread) if row.content.is_empty() => {
            Record::Ready(*thread, Demand { priority: row.priority, place: row.place.clone() })
        }
        Key::Ready(_) => return Err(CodecError::UnknownMailbox),
        Key::Cancel(thread) => Record::Cancel(*thread),
        Key::Todo(future) => Record::Todo(future.clone()),
        // These records consist only of their contents.
        Key::Future(_) | Key::Unawaited(_) => return Err(WireError::Checksum.into()),
    })
}

/// A waiter with a record of its own, from its summary.
fn waiter_of(thread: ThreadId, summary: &str) -> Option<Waiter> {
    let (interest, demand) = summary.split_at_checked(1)?;
    let (priority, place) = demand.split_once('@').unwrap_or((demand, ""));
    let interest = content::interest_of(interest.as_bytes()[0].wrapping_sub(b'0'))?;
    let priority = if priority.is_empty() { 0 } else { priority.parse().ok()? };
    Some(Waiter { thread, interest, demand: Demand { priority, place: place.parse().ok()? } })
}

/// The record in a session's own row.
///
/// # Errors
/// If it is damaged.
pub fn decode_session(row: &Row, sealer: &Sealer) -> Result<SessionRecord, CodecError> {
    sealer.check(&Key::Session, row, &[])?;
    let session = text::session_from_summary(&row.summary)?;
    if row.listing.as_ref() == Some(&listing_of(&session)) { Ok(session) } else { Err(WireError::Checksum.into()) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    use hark_bytecode::Executable;
    use hark_machine::{NoPickles, Thread, Value};

    use super::*;
    use crate::conformance::every_kind;
    use crate::surroundings::Timestamp;

    fn sealer(session: &str) -> Sealer {
        Sealer::new(&SessionId::from_text(session))
    }

    fn program() -> Program {
        Program::new(Executable::default()).unwrap()
    }

    fn encoded(record: &Record) -> EncodedRow {
        encode(record, None, Stamp(NonZeroU64::MIN), &sealer("a"), &program())
    }

    #[test]
    fn rows_are_what_they_were_made_of() {
        for record in every_kind() {
            let EncodedRow { key, row, .. } = encoded(&record);
            let decoded = decode(&key, &row, None, &sealer("a"), &program(), &NoPickles).unwrap();
            assert_eq!(encoded(&decoded).row, row, "{key:?}");
        }
    }

    #[test]
    fn a_seal_is_of_its_row() {
        let key = Key::Live(ThreadId(1));
        let row = encoded(&Record::Live(ThreadId(1), Live::new(Thread::new(Value::Null, Vec::new())))).row;
        let is_read = |session: &str, key: &Key, row: &Row| {
            decode(key, row, None, &sealer(session), &program(), &NoPickles).is_ok()
                && decode_summary(key, row, &sealer(session)).is_ok()
        };
        assert!(is_read("a", &key, &row));
        assert!(!is_read("b", &key, &row), "another session's");
        assert!(!is_read("a", &Key::Live(ThreadId(2)), &row), "another thread's");
        assert!(!is_read("a", &Key::Broken(ThreadId(1)), &row), "another kind's");
        let leased = Row { due: Some(Due::Leased(Timestamp(9)).into()), ..row.clone() };
        assert!(is_read("a", &key, &leased), "the lease is not part of the seal");
    }

    #[test]
    fn seals_differ() {
        let sealer = sealer("a");
        let keys = every_kind().into_iter().map(|record| record.key());
        let seals: Vec<u32> = keys.map(|key| sealer.seal(&key, "{}", b"")).filter(|seal| *seal != 0).collect();
        assert_eq!(seals.iter().collect::<BTreeSet<_>>().len(), seals.len());
    }

    #[test]
    fn what_later_releases_write_is_refused() {
        let EncodedRow { key, row, .. } = encoded(&Record::Ready(ThreadId(1), Demand::default()));
        let signals = Row { content: b"signals".to_vec(), ..row };
        let error = decode(&key, &signals, None, &sealer("a"), &program(), &NoPickles).unwrap_err().to_string();
        assert!(error.contains("use the release that wrote it"), "{error}");
    }
}
