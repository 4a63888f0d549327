//! The records of a session, stored as rows.

mod write;

use std::cell::RefCell;
use std::iter;
use std::sync::Arc;

use hark_machine::Program;

use super::Shared;
use super::ahead::ValuesAhead;
use super::kept::KeptThreads;
use super::pickles::StoredPickles;
use super::used::UsedParts;
use crate::codec::row::{self, Sealer};
use crate::codec::{self, CodecError, parts};
use crate::commit::{Commit, Outcome};
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::record::{FutureRecord, Key, Live, Record, Versioned};
use crate::rows::{AllRows, Lookup, PartName, Row, RowRange, RowTenure, SessionRows};
use crate::storage::{Everything, Range, SessionStorage, StorageError, reserved};
use write::{Notes, Written};

/// How often everything is read again if the session changes meanwhile.
const READS_MAX: usize = 5;

pub(super) struct EncodedSession {
    shared: Arc<Shared>,
    rows: Arc<dyn SessionRows>,
    id: SessionId,
    program: Arc<Program>,
    sealer: Sealer,
    kept: KeptThreads,
    used: UsedParts,
    ahead: ValuesAhead,
    /// No other process runs threads of the sessions served by this process.
    is_alone: bool,
    is_leased: bool,
}

/// The reason why a row cannot be decoded.
enum Fault {
    Codec(CodecError),
    Storage(StorageError),
}

impl From<CodecError> for Fault {
    fn from(error: CodecError) -> Fault {
        Fault::Codec(error)
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Fault {
        Fault::Storage(error)
    }
}

impl EncodedSession {
    pub fn new(
        shared: Arc<Shared>,
        rows: Arc<dyn SessionRows>,
        id: SessionId,
        program: Arc<Program>,
    ) -> EncodedSession {
        let kept = KeptThreads::new(shared.kept.clone());
        let sealer = Sealer::new(&id);
        let is_alone = shared.storage.is_alone();
        let is_leased = !matches!(shared.storage.tenure(), RowTenure::Servers(_));
        EncodedSession {
            shared,
            rows,
            id,
            program,
            sealer,
            kept,
            used: UsedParts::default(),
            ahead: ValuesAhead::default(),
            is_alone,
            is_leased,
        }
    }

    fn damaged(&self, what: &str, error: &dyn std::error::Error) -> StorageError {
        self.shared.damaged(&self.id, what, error)
    }

    fn damaged_record(&self, key: &Key, error: &CodecError) -> StorageError {
        self.damaged(&name_of(key), error)
    }

    /// Decodes a row. If its parts are missing, it was overwritten since it was read, or is damaged.
    fn decode(&self, key: &Key, mut row: Row) -> Result<Option<Versioned>, StorageError> {
        loop {
            let error = match self.decode_once(key, &row) {
                Ok(record) => return Ok(Some(Versioned { stamp: row.stamp, record })),
                Err(Fault::Storage(error)) => return Err(error),
                Err(Fault::Codec(error)) => error,
            };
            if !parts::is_in_parts(&row.content) {
                return Err(self.damaged_record(key, &error));
            }
            match self.rows.read(&[Lookup { key, known: None }])?.pop().flatten() {
                Some(now) if now.stamp == row.stamp => return Err(self.damaged_record(key, &error)),
                Some(now) => row = now,
                None => return Ok(None),
            }
        }
    }

    fn decode_once(&self, key: &Key, row: &Row) -> Result<Record, Fault> {
        let names = if parts::is_in_parts(&row.content) { parts::names(&row.content) } else { Vec::new() };
        let whole = if names.is_empty() { None } else { Some(self.whole(row, &names)?) };
        let pickles = StoredPickles { rows: &*self.rows, held: &self.shared.pickles, failure: RefCell::default() };
        let decoded = row::decode(key, row, whole.as_deref(), &self.sealer, &self.program, &pickles);
        if let Some(failure) = pickles.failure.into_inner() {
            return Err(failure.into());
        }
        let record = decoded?;
        if may_be_replaced(&record) {
            self.used.note(key, row.stamp, names);
        }
        Ok(record)
    }

    /// Assembles a split content. A missing piece leaves a gap, which the content's checksum reveals.
    fn whole(&self, row: &Row, names: &[PartName]) -> Result<Vec<u8>, StorageError> {
        let pieces: Vec<PartName> = names.iter().filter(|name| matches!(name, PartName::Piece(_))).copied().collect();
        let found = if pieces.is_empty() { Vec::new() } else { self.rows.parts(&pieces)? };
        Ok(parts::whole(&row.content, found.iter().flatten().map(Vec::as_slice)))
    }

    /// Reads the Future of a thread, and those of the next ones if values are read in this order.
    fn read_future(&self, thread: ThreadId) -> Result<Option<Versioned>, StorageError> {
        if let Some(value) = self.ahead.take(thread) {
            return Ok(Some(value));
        }
        let after = self.ahead.to_read_after(thread, self.rows.rows_read_together());
        let threads: Vec<ThreadId> = iter::once(thread).chain(after).collect();
        let keys: Vec<Key> = threads.iter().map(|thread| Key::Future((*thread).into())).collect();
        let lookups: Vec<Lookup<'_>> = keys.iter().map(|key| Lookup { key, known: None }).collect();
        let mut rows = self.rows.read(&lookups)?.into_iter();
        let first = match (keys.first(), rows.next().flatten()) {
            (Some(key), Some(row)) => self.decode(key, row)?,
            _ => None,
        };
        let mut values = Vec::new();
        for ((thread, key), row) in threads.into_iter().zip(&keys).skip(1).zip(rows) {
            // The parts of a large value need further requests.
            if let Some(row) = row.filter(|row| !parts::is_in_parts(&row.content))
                && let Some(found) = self.decode(key, row)?
                && is_resolved(&found)
            {
                values.push((thread, found));
            }
        }
        self.ahead.note_read(thread, first.as_ref().is_some_and(is_resolved), values);
        Ok(first)
    }

    fn decode_summary(&self, key: &Key, row: &Row) -> Result<Record, StorageError> {
        row::decode_summary(key, row, &self.sealer).map_err(|error| self.damaged_record(key, &error))
    }

    fn decode_page(&self, text: &str) -> Result<Vec<LogEntry>, StorageError> {
        codec::log_from_text(text).map_err(|error| self.damaged("the history", &error))
    }

    fn decode_all(&self, all: &AllRows) -> Result<Everything, Fault> {
        let mut session = None;
        let mut records = Vec::with_capacity(all.rows.len());
        for (key, row) in &all.rows {
            match self.decode_once(key, row) {
                Ok(Record::Session(record)) => session = Some(*record),
                Ok(record) => records.push(record),
                // A row with parts may have been overwritten since it was read.
                Err(Fault::Codec(error)) if parts::is_in_parts(&row.content) => return Err(error.into()),
                Err(Fault::Codec(error)) => return Err(self.damaged_record(key, &error).into()),
                Err(error) => return Err(error),
            }
        }
        let pages = all.history.iter().map(|page| self.decode_page(page));
        let history = pages.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        Ok(Everything { session: session.ok_or(StorageError::Gone)?, records, history })
    }
}

impl SessionStorage for EncodedSession {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        if let Some(fresh) = self.is_alone.then(|| self.kept.take_fresh(keys)).flatten() {
            found.push(Some(fresh));
            found.extend(keys[1..].iter().map(|_| None));
            return Ok(());
        }
        if let [Key::Future(FutureId::Thread(thread))] = keys
            && self.rows.rows_read_together() > 1
        {
            found.push(self.read_future(*thread)?);
            return Ok(());
        }
        let take = |key: &Key| match key {
            Key::Live(thread) => self.kept.take(*thread),
            _ => None,
        };
        let kept: Vec<Option<(Stamp, Box<Live>)>> = keys.iter().map(take).collect();
        let lookup = |(key, kept): (_, &Option<(Stamp, _)>)| Lookup { key, known: kept.as_ref().map(|kept| kept.0) };
        let lookups: Vec<Lookup<'_>> = keys.iter().zip(&kept).map(lookup).collect();
        for ((key, kept), row) in keys.iter().zip(kept).zip(self.rows.read(&lookups)?) {
            found.push(match (key, row, kept) {
                (_, None, _) => None,
                // The cached version is current.
                (Key::Live(thread), Some(row), Some((stamp, live))) if row.stamp == stamp => {
                    Some(Versioned { stamp, record: Record::Live(*thread, live) })
                }
                (key, Some(row), _) => self.decode(key, row)?,
            });
        }
        Ok(())
    }

    fn decode_thread(&self, thread: ThreadId, row: &Row) -> Result<Option<Box<Live>>, StorageError> {
        Ok(match self.decode(&Key::Live(thread), row.clone())? {
            Some(Versioned { stamp, record: Record::Live(_, live) }) if stamp == row.stamp => Some(live),
            _ => None,
        })
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        let rows = match range {
            Range::Live(from) => self.rows.scan(&RowRange::Live(from), limit)?,
            Range::Waiters(future) => self.rows.scan(&RowRange::Waiters(future), limit)?,
            Range::Crowds => self.rows.crowds(limit)?,
            Range::Todos => self.rows.scan(&RowRange::Todos, limit)?,
            Range::Cascades => self.rows.scan(&RowRange::Cascades, limit)?,
            Range::Broken => self.rows.scan(&RowRange::Broken, limit)?,
            Range::Unawaited => {
                // These records consist only of their contents.
                let keys: Vec<Key> =
                    self.rows.scan(&RowRange::Unawaited, limit)?.into_iter().map(|(key, _)| key).collect();
                let mut found = Vec::with_capacity(keys.len());
                self.read(&keys, &mut found)?;
                return Ok(found.into_iter().flatten().map(|found| found.record).collect());
            }
        };
        rows.iter().map(|(key, row)| self.decode_summary(key, row)).collect()
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        let Some(Written { change, notes }) = self.encode(commit)? else { return Ok(Outcome::Conflict) };
        let outcome = self.rows.commit(change);
        self.note(commit, notes, &outcome);
        outcome
    }

    fn commit_all(&self, commits: &mut [&mut Commit]) -> Vec<Result<Outcome, StorageError>> {
        let mut changes = Vec::with_capacity(commits.len());
        let notes: Vec<Result<Option<Notes>, StorageError>> = commits
            .iter()
            .map(|commit| {
                let Some(Written { change, notes }) = self.encode(commit)? else { return Ok(None) };
                changes.push(change);
                Ok(Some(notes))
            })
            .collect();
        let mut outcomes = self.rows.commit_all(changes).into_iter();
        let mut end = |commit: &mut Commit, notes: Result<Option<Notes>, StorageError>| {
            let Some(notes) = notes? else { return Ok(Outcome::Conflict) };
            let outcome = outcomes.next().expect("there is an outcome for each change");
            self.note(commit, notes, &outcome);
            outcome
        };
        commits.iter_mut().zip(notes).map(|(commit, notes)| end(commit, notes)).collect()
    }

    fn commit_records_max(&self) -> usize {
        self.rows.commit_records_max()
    }

    fn note_woken(&self, threads: &[ThreadId]) {
        self.kept.note_woken(threads);
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        reserved(self.rows.reserve(count)?, count)
    }

    fn reserve_first(&self) -> Result<ThreadId, StorageError> {
        reserved(self.rows.reserve_first()?, 1)
    }

    fn numbers_reserved_max(&self) -> u64 {
        self.rows.numbers_reserved_max()
    }

    fn all(&self) -> Result<Everything, StorageError> {
        let mut reads = 0;
        loop {
            reads += 1;
            return match self.decode_all(&self.rows.all()?) {
                Ok(all) => Ok(all),
                Err(Fault::Storage(error)) => Err(error),
                Err(Fault::Codec(_)) if reads < READS_MAX => continue,
                Err(Fault::Codec(error)) => Err(self.damaged("a record", &error)),
            };
        }
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        let mut found = Vec::new();
        for (position, text) in self.rows.history(after, limit)? {
            found.extend(self.decode_page(&text)?.into_iter().map(|entry| (position, entry)));
        }
        Ok(found)
    }

    fn history_settled(&self) -> u64 {
        self.rows.history_settled()
    }
}

/// Whether this is a resolved Future, which never changes again.
fn is_resolved(found: &Versioned) -> bool {
    !may_be_replaced(&found.record)
}

/// Whether a record may be overwritten or deleted during its session. The value of a Future stays.
fn may_be_replaced(record: &Record) -> bool {
    !matches!(record, Record::Future(_, FutureRecord::Resolved(_)))
}

/// The name of a record in messages.
fn name_of(key: &Key) -> String {
    match key {
        Key::Session => "the summary".to_owned(),
        Key::Live(thread) | Key::Ready(thread) | Key::Cancel(thread) | Key::Cascade(thread) => {
            format!("thread {thread}")
        }
        Key::Future(future) | Key::Wait { future, .. } | Key::Todo(future) => match future {
            FutureId::Thread(thread) => format!("the Future of thread {thread}"),
            FutureId::Promise(_) => future.to_string(),
        },
        Key::Unawaited(thread) | Key::Broken(thread) => format!("the failure of thread {thread}"),
    }
}
