//! The data that survives when all servers die: rows, as in any durable storage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hark_machine::{Pickle, PickleHash, PickleSource, Program};

use super::chance::Chance;
use super::world::Number;
use crate::codec::row::{self, Sealer};
use crate::codec::{self, parts};
use crate::commit::Outcome;
use crate::foreign::CallId;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::record::{Due, Key, Record, SessionRecord, SessionState, Status, Versioned};
use crate::rows::{AllRows, Part, PartChange, PartName, Row, RowChange, RowRange};
use crate::space::{SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::StorageError;

#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    pub programs: BTreeMap<String, Vec<u8>>,
    pub sessions: BTreeMap<SessionId, Kept>,
    /// Records that belong to no session.
    pub space: BTreeMap<SpaceKey, SpaceRecord>,
    /// The next thread numbers, if they are reserved in the storage.
    pub next_threads: BTreeMap<SessionId, u64>,
    /// Commits that have happened, but not returned.
    pub in_flight: Vec<InFlight>,
    /// The number of completed commits.
    pub changes: u64,
    /// Whether threads are leased.
    pub is_leased: bool,
}

/// A stored session.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    pub rows: BTreeMap<Key, Row>,
    /// Parts of contents, with their reference counts.
    parts: BTreeMap<PartName, (i64, Part)>,
    /// The pages of its history.
    pub log: Vec<String>,
    pub server: Option<Number>,
    /// Its own row as its start wrote it, if that left the first thread to others.
    pub start: Option<Row>,
    /// Servers that were wrongly suspected when the session was taken from them, and that may still write to it.
    pub former: BTreeSet<Number>,
}

impl Kept {
    /// Its own row as its start wrote it, if the first thread has neither been written nor woken since.
    pub fn start_of_new_thread(&self) -> Option<&Row> {
        let (first, is_woken) =
            (self.rows.get(&Key::Live(ThreadId(0)))?, self.rows.contains_key(&Key::Ready(ThreadId(0))));
        self.start.as_ref().filter(|start| start.stamp == first.stamp && !is_woken)
    }
}

/// A commit that has not returned.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub by: Number,
    pub stamp: Stamp,
    session: SessionId,
    /// The previous rows, in the order in which scans begin to see the changes: first writes, then deletes.
    before: Vec<(Key, Option<Row>)>,
    /// The number of these changes that a scan has seen. Later scans see at least these.
    seen: usize,
    /// The number of requests since it happened.
    age: u64,
}

/// After this many requests, scans see all of a commit, even if the process that made it stands still and has no answer yet: a
/// service completes what it has begun.
const IN_FLIGHT_REQUESTS_MAX: u64 = 50;

/// A change by this process that is on its way to the disk.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub session: SessionId,
    pub by: Number,
    pub rows: RowChange,
}

impl Disk {
    /// Another request arrives.
    pub fn note_request(&mut self) {
        for commit in &mut self.in_flight {
            commit.age += 1;
            if commit.age > IN_FLIGHT_REQUESTS_MAX {
                commit.seen = commit.before.len();
            }
        }
    }

    /// Makes a delayed change, whose answer is already lost.
    pub fn make_late(&mut self, change: Change) -> Outcome {
        let stamp = change.rows.stamp;
        let outcome = self.make(change);
        self.in_flight.retain(|in_flight| in_flight.stamp != stamp);
        outcome
    }

    /// Makes a change, and keeps it in flight if it is done.
    pub fn make(&mut self, change: Change) -> Outcome {
        let Change { session: id, by, rows } = change;
        let (is_new, is_start) = (rows.begins(), rows.is_start());
        let RowChange { stamp, expect, fresh, put, delete, renew, parts, history, .. } = rows;
        let put: Vec<(Key, Row)> = fresh.into_iter().chain(put).collect();
        let writes_session = put.iter().any(|(key, _)| *key == Key::Session);
        match self.sessions.get(&id) {
            Some(_) if is_new => return Outcome::Conflict,
            None if !(is_new && writes_session) => {
                return if put.is_empty() { Outcome::Done } else { Outcome::Conflict };
            }
            _ => {}
        }
        let listings = put.iter().filter_map(|(_, row)| row.listing.as_ref());
        let is_imported = listings.into_iter().any(|listing| listing.state == SessionState::Importing.name());
        let server = (!self.is_leased || is_imported).then_some(by);
        let kept = self.sessions.entry(id.clone()).or_insert_with(|| Kept { server, ..Kept::default() });
        let is_as_expected = |(key, stamp): &(Key, Option<Stamp>)| kept.rows.get(key).map(|row| row.stamp) == *stamp;
        if !is_new && !expect.iter().all(is_as_expected) {
            return Outcome::Conflict;
        }
        if is_start {
            kept.start = put.iter().find(|(key, _)| *key == Key::Session).map(|(_, row)| row.clone());
        }
        let mut before = Vec::new();
        for (key, row) in put {
            before.push((key.clone(), kept.rows.insert(key, row)));
        }
        for key in delete {
            let removed = kept.rows.remove(&key);
            before.push((key, removed));
        }
        if let Some(renewal) = renew
            && let Some(row) = kept.rows.get_mut(&renewal.key)
        {
            let mut renewed = Row { stamp, ..row.clone() };
            if let Some((summary, seal)) = renewal.summary {
                (renewed.summary, renewed.seal) = (summary, seal);
            }
            before.push((renewal.key, Some(std::mem::replace(row, renewed))));
        }
        kept.count(parts);
        kept.log.extend(history);
        self.changes += 1;
        self.in_flight.push(InFlight { by, stamp, session: id, before, seen: 0, age: 0 });
        Outcome::Done
    }

    /// A row, if it exists.
    pub fn row(&self, id: &SessionId, key: &Key) -> Option<&Row> {
        self.sessions.get(id)?.rows.get(key)
    }

    /// The bytes of a part, if it exists.
    pub fn part(&self, id: &SessionId, name: &PartName) -> Option<Vec<u8>> {
        let (_, part) = self.sessions.get(id)?.parts.get(name)?;
        Some(part.bytes().expect("it is in memory").into_owned())
    }

    /// The rows of a range. If `weakly` is given, the last changes of a commit that has not returned may be invisible.
    /// Also returns whether that made a difference.
    pub fn scan(
        &mut self,
        id: &SessionId,
        range: &RowRange,
        limit: usize,
        weakly: Option<&mut Chance>,
    ) -> (Vec<(Key, Row)>, bool) {
        if let Some(chance) = weakly {
            for commit in self.in_flight.iter_mut().filter(|commit| commit.session == *id) {
                commit.seen += chance.index(commit.before.len() - commit.seen + 1);
            }
        } else {
            self.in_flight.iter_mut().for_each(|commit| commit.seen = commit.before.len());
        }
        let Some(kept) = self.sessions.get(id) else { return (Vec::new(), false) };
        let within = kept.rows.iter().filter(|(key, _)| range.contains(key));
        let mut shown: BTreeMap<&Key, &Row> = within.collect();
        let mut is_weak = false;
        for commit in self.in_flight.iter().filter(|commit| commit.session == *id) {
            for (key, before) in commit.before[commit.seen..].iter().filter(|(key, _)| range.contains(key)) {
                // Later writes are visible.
                if shown.get(key).is_some_and(|row| row.stamp != commit.stamp) {
                    continue;
                }
                is_weak = true;
                match before {
                    Some(row) => drop(shown.insert(key, row)),
                    None => drop(shown.remove(key)),
                }
            }
        }
        let rows = shown.into_iter().take(limit);
        let found = rows.map(|(key, row)| (key.clone(), Row { content: Vec::new(), ..row.clone() }));
        (found.collect(), is_weak)
    }

    /// A record, as read by its session.
    pub fn read(&self, id: &SessionId, key: &Key, program: &Program) -> Result<Option<Versioned>, StorageError> {
        let Some(row) = self.row(id, key) else { return Ok(None) };
        Ok(Some(Versioned { stamp: row.stamp, record: self.decode(id, key, row, program)? }))
    }

    /// All records of a range, including their contents.
    pub fn records(&self, id: &SessionId, range: &RowRange, program: &Program) -> Result<Vec<Record>, StorageError> {
        let rows = self.sessions.get(id).into_iter().flat_map(|kept| &kept.rows);
        rows.filter(|(key, _)| range.contains(key)).map(|(key, row)| self.decode(id, key, row, program)).collect()
    }

    fn decode(&self, id: &SessionId, key: &Key, row: &Row, program: &Program) -> Result<Record, StorageError> {
        let whole = parts::is_in_parts(&row.content).then(|| {
            let names = parts::names(&row.content);
            let pieces = names.iter().filter(|name| matches!(name, PartName::Piece(_)));
            let pieces: Vec<Vec<u8>> = pieces.filter_map(|name| self.part(id, name)).collect();
            parts::whole(&row.content, pieces.iter().map(Vec::as_slice))
        });
        let pickles = KeptPickles { disk: self, id };
        Ok(row::decode(key, row, whole.as_deref(), &Sealer::new(id), program, &pickles)?)
    }

    /// Checks that each part referenced by a row exists, with a sufficient reference count.
    pub fn check_parts(&self, id: &SessionId) -> Result<(), String> {
        let Some(kept) = self.sessions.get(id) else { return Ok(()) };
        let mut named: BTreeMap<PartName, i64> = BTreeMap::new();
        for row in kept.rows.values() {
            for name in parts::names(&row.content) {
                *named.entry(name).or_default() += 1;
            }
        }
        for (name, uses) in named {
            let counted = kept.parts.get(&name).map_or(0, |(count, _)| *count);
            if counted < uses {
                return Err(format!("{name:?} is named {uses} times and counted {counted} times"));
            }
        }
        Ok(())
    }

    /// Whether a thread waits for this attempt of a call, and not for a later one.
    pub fn awaits(&self, call: &CallId, attempt: u32) -> bool {
        let kept = self.sessions.get(&call.session);
        let row = kept.and_then(|kept| kept.rows.get(&Key::Live(call.thread)));
        let live = row.and_then(|row| codec::live_from_summary(&row.summary).ok());
        live.is_some_and(|live| live.status == Status::Calling(call.number) && live.attempts == attempt)
    }

    pub fn state(&self, id: &SessionId) -> Option<SessionState> {
        let listing = self.row(id, &Key::Session)?.listing.as_ref()?;
        SessionState::ALL.into_iter().find(|state| state.name() == listing.state)
    }

    /// Whether the session's record exists with this stamp.
    pub fn is_unchanged(&self, id: &SessionId, stamp: Stamp) -> bool {
        self.row(id, &Key::Session).is_some_and(|row| row.stamp == stamp)
    }

    pub fn record(&self, id: &SessionId) -> Option<(Stamp, SessionRecord)> {
        let row = self.row(id, &Key::Session)?;
        Some((row.stamp, record_of(row)))
    }

    /// Changes the space.
    pub fn commit_to_space(&mut self, commit: &SpaceCommit) -> Outcome {
        let stamp_of = |key: &SpaceKey| self.space.get(key).map(|record| record.stamp);
        if !commit.expect.iter().all(|(key, stamp)| stamp_of(key) == *stamp) {
            return Outcome::Conflict;
        }
        for (key, content) in &commit.put {
            self.space.insert(key.clone(), SpaceRecord { stamp: commit.stamp, content: content.clone() });
        }
        for key in &commit.delete {
            self.space.remove(key);
        }
        self.changes += 1;
        Outcome::Done
    }

    /// Deletes everything of a session.
    pub fn remove(&mut self, id: &SessionId) {
        self.changes += 1;
        self.sessions.remove(id);
        self.next_threads.remove(id);
        self.in_flight.retain(|commit| commit.session != *id);
    }

    /// Deletes everything of a session except its summary.
    pub fn clear(&mut self, id: &SessionId) {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.rows.retain(|key, _| *key == Key::Session);
            kept.parts.clear();
            kept.log.clear();
        }
        self.changes += 1;
        self.next_threads.remove(id);
        self.in_flight.retain(|commit| commit.session != *id);
    }

    pub fn all(&self, id: &SessionId) -> AllRows {
        let Some(kept) = self.sessions.get(id) else { return AllRows::default() };
        let rows = kept.rows.iter().map(|(key, row)| (key.clone(), row.clone())).collect();
        AllRows { rows, history: kept.log.clone() }
    }

    pub fn history(&self, id: &SessionId) -> Vec<(u64, LogEntry)> {
        let log = self.sessions.get(id).map(|kept| &kept.log[..]).unwrap_or_default();
        let entries = log.iter().zip(1..).flat_map(|(text, position)| {
            let entries = codec::log_from_text(text).expect("it was written");
            entries.into_iter().map(move |entry| (position, entry))
        });
        entries.collect()
    }

    /// One more than the greatest thread number in any record.
    pub fn count_threads(&self, id: &SessionId) -> u64 {
        let Some(kept) = self.sessions.get(id) else { return 0 };
        // The last key of a kind has the greatest number.
        let count = |first: Key, last: Key| match kept.rows.range(first..=last).next_back() {
            Some((Key::Live(thread) | Key::Future(FutureId::Thread(thread)), _)) => thread.0 + 1,
            _ => 0,
        };
        let (first, last) = (ThreadId(0), ThreadId(u64::MAX));
        let live = count(Key::Live(first), Key::Live(last));
        live.max(count(Key::Future(FutureId::Thread(first)), Key::Future(FutureId::Thread(last))))
    }

    /// The threads whose records are due.
    pub fn threads_due(&self, id: &SessionId, is_due: impl Fn(Due) -> bool) -> BTreeSet<ThreadId> {
        let rows = self.sessions.get(id).into_iter().flat_map(|kept| &kept.rows);
        let threads = rows.filter_map(|(key, row)| match key {
            Key::Live(thread) if due_of(row).is_some_and(&is_due) => Some(*thread),
            _ => None,
        });
        threads.collect()
    }

    /// The threads that were woken, and the versions of their mailboxes.
    pub fn threads_woken(&self, id: &SessionId) -> Vec<(ThreadId, Stamp)> {
        let rows = self.sessions.get(id).into_iter().flat_map(|kept| &kept.rows);
        let threads = rows.filter_map(|(key, row)| match key {
            Key::Ready(thread) => Some((*thread, row.stamp)),
            _ => None,
        });
        threads.collect()
    }
}

impl Kept {
    fn count(&mut self, changes: Vec<PartChange>) {
        for PartChange { name, uses, part } in changes {
            if let Some(part) = part {
                self.parts.entry(name).or_insert((0, part));
            }
            if let Some((count, _)) = self.parts.get_mut(&name) {
                *count += uses;
            }
        }
        self.parts.retain(|_, (count, _)| *count > 0);
    }
}

/// When a row must be looked at.
/// The record in a session's own row.
pub(super) fn record_of(own: &Row) -> SessionRecord {
    codec::session_from_summary(&own.summary).expect("it was written")
}

pub(super) fn due_of(row: &Row) -> Option<Due> {
    row.due.map(|due| due.due().expect("it was written"))
}

/// The pickles of a session.
struct KeptPickles<'a> {
    disk: &'a Disk,
    id: &'a SessionId,
}

impl PickleSource for KeptPickles<'_> {
    fn find(&self, hash: &PickleHash) -> Option<Arc<Pickle>> {
        self.disk.part(self.id, &PartName::Pickle(*hash)).map(|bytes| Arc::new(Pickle::new(bytes)))
    }
}
