//! What is kept when all servers die: records, encoded as any durable storage does.

use std::collections::{BTreeMap, BTreeSet};

use hark_machine::{Apart, NoPickles, Program};

use super::chance::Chance;
use super::world::Number;
use crate::codec;
use crate::commit::{Commit, Outcome, Renewal};
use crate::foreign::CallId;
use crate::history::LogEntry;
use crate::id::{FutureId, SessionId, Stamp, ThreadId};
use crate::record::{Due, Key, Record, SessionRecord, SessionState, Status, Versioned, Waiter};
use crate::space::{SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::{Everything, Range, StorageError};

#[derive(Debug, Default, Clone)]
pub(super) struct Disk {
    pub programs: BTreeMap<String, Vec<u8>>,
    pub sessions: BTreeMap<SessionId, Kept>,
    /// Records that belong to no session.
    pub space: BTreeMap<SpaceKey, SpaceRecord>,
    /// The next thread numbers, where they are reserved in the storage.
    pub next_threads: BTreeMap<SessionId, u64>,
    /// Commits that have happened and not returned yet.
    pub in_flight: Vec<InFlight>,
    /// How many commits were done.
    pub changes: u64,
    /// Whether threads are leased.
    pub is_leased: bool,
}

/// A session that is kept.
#[derive(Debug, Default, Clone)]
pub(super) struct Kept {
    pub rows: BTreeMap<Key, Row>,
    /// What each commit logged, in JSON.
    pub log: Vec<String>,
    pub server: Option<Number>,
    /// Servers that were only suspected when the session was taken from them, and may still write to it.
    pub former: BTreeSet<Number>,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub stamp: Stamp,
    pub due: Option<Due>,
    /// What the summary of a session says, as its state is asked for more often than anything else.
    state: Option<SessionState>,
    summary: String,
    content: Vec<u8>,
}

/// A commit that has not returned.
#[derive(Debug, Clone)]
pub(super) struct InFlight {
    pub by: Number,
    pub stamp: Stamp,
    session: SessionId,
    /// What was there before it, in the order in which scans come to see it: what it writes, then what it removes.
    before: Vec<(Key, Option<Row>)>,
    /// How many of these changes some scan has seen. A later one sees no less.
    seen: usize,
}

/// A commit on its way to the disk, by this process.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub session: SessionId,
    by: Number,
    stamp: Stamp,
    expect: Vec<(Key, Option<Stamp>)>,
    pub put: Vec<(Key, Row)>,
    pub delete: Vec<Key>,
    renew: Option<Renewal>,
    /// What it logs, in JSON.
    log: Option<String>,
}

impl Disk {
    /// What a commit comes to on the disk.
    pub fn change(&self, id: &SessionId, by: Number, commit: &Commit, program: &Program) -> Change {
        let row = |record: &Record| {
            let mut row = encode(record, commit.stamp, program);
            if self.is_leased {
                row.due = commit.due(record);
            }
            (record.key(), row)
        };
        let log = || serde_json::to_string(&commit.log).expect("an entry is JSON");
        Change {
            session: id.clone(),
            by,
            stamp: commit.stamp,
            expect: commit.expect.clone(),
            put: commit.fresh.iter().chain(&commit.put).map(row).collect(),
            delete: commit.delete.clone(),
            renew: commit.renew.clone(),
            log: (!commit.log.is_empty()).then(log),
        }
    }

    /// Makes a change that comes late, and whose process has heard no more of it.
    pub fn make_late(&mut self, change: Change) -> Outcome {
        let stamp = change.stamp;
        let outcome = self.make(change);
        self.in_flight.retain(|in_flight| in_flight.stamp != stamp);
        outcome
    }

    /// Makes a change, and keeps it in flight if it is done.
    pub fn make(&mut self, change: Change) -> Outcome {
        let Change { session: id, by, stamp, expect, put, delete, renew, log } = change;
        let is_new = expect.iter().any(|(key, stamp)| *key == Key::Session && stamp.is_none());
        let writes_session = put.iter().any(|(key, _)| *key == Key::Session);
        match self.sessions.get(&id) {
            Some(_) if is_new => return Outcome::Conflict,
            None if !(is_new && writes_session) => {
                return if put.is_empty() { Outcome::Done } else { Outcome::Conflict };
            }
            _ => {}
        }
        let is_imported = put.iter().any(|(_, row)| row.state == Some(SessionState::Importing));
        let server = (!self.is_leased || is_imported).then_some(by);
        let kept = self.sessions.entry(id.clone()).or_insert_with(|| Kept { server, ..Kept::default() });
        let is_as_expected = |(key, stamp): &(Key, Option<Stamp>)| kept.rows.get(key).map(|row| row.stamp) == *stamp;
        if !is_new && !expect.iter().all(is_as_expected) {
            return Outcome::Conflict;
        }
        let mut before = Vec::new();
        for (key, row) in put {
            before.push((key.clone(), kept.rows.insert(key, row)));
        }
        for key in delete {
            let removed = kept.rows.remove(&key);
            before.push((key, removed));
        }
        if let Some(renewal) = &renew
            && let key = Key::Live(renewal.thread)
            && let Some(row) = kept.rows.get_mut(&key)
        {
            let mut renewed = Row { stamp, ..row.clone() };
            if renewal.progress.is_some() {
                renewed.summary = codec::summary_with_progress(&row.summary, renewal).expect("it was written");
            }
            before.push((key, Some(std::mem::replace(row, renewed))));
        }
        kept.log.extend(log);
        self.changes += 1;
        self.in_flight.push(InFlight { by, stamp, session: id, before, seen: 0 });
        Outcome::Done
    }

    pub fn read(&self, id: &SessionId, key: &Key, program: &Program) -> Result<Option<Versioned>, StorageError> {
        let Some(row) = self.sessions.get(id).and_then(|kept| kept.rows.get(key)) else { return Ok(None) };
        Ok(Some(Versioned { stamp: row.stamp, record: decode(key, row, program)? }))
    }

    /// The records of a range. With chance, the last changes of a commit that has not returned may not be seen yet;
    /// answers whether that made a difference.
    pub fn scan(
        &mut self,
        id: &SessionId,
        range: &Range,
        limit: usize,
        program: &Program,
        weakly: Option<&mut Chance>,
    ) -> Result<(Vec<Record>, bool), StorageError> {
        if let Some(chance) = weakly {
            for commit in self.in_flight.iter_mut().filter(|commit| commit.session == *id) {
                commit.seen += chance.index(commit.before.len() - commit.seen + 1);
            }
        } else {
            self.in_flight.iter_mut().for_each(|commit| commit.seen = commit.before.len());
        }
        let Some(kept) = self.sessions.get(id) else { return Ok((Vec::new(), false)) };
        let within = kept.rows.iter().filter(|(key, _)| is_within(range, key));
        let mut shown: BTreeMap<&Key, &Row> = within.collect();
        let mut is_weak = false;
        for commit in self.in_flight.iter().filter(|commit| commit.session == *id) {
            for (key, before) in commit.before[commit.seen..].iter().filter(|(key, _)| is_within(range, key)) {
                // What was written since is seen.
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
        if *range == Range::Crowds {
            let mut seen = BTreeSet::new();
            shown.retain(|key, _| matches!(key, Key::Wait { future, .. } if seen.insert(future)));
        }
        let records = shown.into_iter().take(limit).map(|(key, row)| {
            let record = decode(key, row, program)?;
            Ok(match record {
                Record::Live(thread, mut live) => {
                    let _ = live.state.take();
                    Record::Live(thread, live)
                }
                record => record,
            })
        });
        Ok((records.collect::<Result<_, StorageError>>()?, is_weak))
    }

    /// Whether a thread waits for this try of a call, and not for a later one.
    pub fn awaits(&self, call: &CallId, attempt: u32) -> bool {
        let kept = self.sessions.get(&call.session);
        let row = kept.and_then(|kept| kept.rows.get(&Key::Live(call.thread)));
        let live = row.and_then(|row| codec::live_from_summary(&row.summary).ok());
        live.is_some_and(|live| live.status == Status::Calling(call.number) && live.attempts == attempt)
    }

    pub fn state(&self, id: &SessionId) -> Option<SessionState> {
        self.row(id)?.state
    }

    /// Whether the session's record is there with this stamp.
    pub fn is_unchanged(&self, id: &SessionId, stamp: Stamp) -> bool {
        self.row(id).is_some_and(|row| row.stamp == stamp)
    }

    fn row(&self, id: &SessionId) -> Option<&Row> {
        self.sessions.get(id)?.rows.get(&Key::Session)
    }

    pub fn record(&self, id: &SessionId) -> Option<(Stamp, SessionRecord)> {
        let row = self.row(id)?;
        Some((row.stamp, serde_json::from_str(&row.summary).expect("a summary is JSON")))
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

    /// Removes all that is kept of a session.
    pub fn remove(&mut self, id: &SessionId) {
        self.changes += 1;
        self.sessions.remove(id);
        self.next_threads.remove(id);
        self.in_flight.retain(|commit| commit.session != *id);
    }

    /// The same, but for its summary.
    pub fn clear(&mut self, id: &SessionId) {
        if let Some(kept) = self.sessions.get_mut(id) {
            kept.rows.retain(|key, _| *key == Key::Session);
            kept.log.clear();
        }
        self.changes += 1;
        self.next_threads.remove(id);
        self.in_flight.retain(|commit| commit.session != *id);
    }

    pub fn all(&self, id: &SessionId, program: &Program) -> Result<Everything, StorageError> {
        let ((_, session), kept) = self.record(id).zip(self.sessions.get(id)).ok_or(StorageError::Gone)?;
        let others = kept.rows.iter().filter(|(key, _)| **key != Key::Session);
        let records = others.map(|(key, row)| decode(key, row, program)).collect::<Result<_, _>>()?;
        let history = self.history(id).into_iter().map(|(_, entry)| entry).collect();
        Ok(Everything { session, records, history })
    }

    pub fn history(&self, id: &SessionId) -> Vec<(u64, LogEntry)> {
        let log = self.sessions.get(id).map(|kept| &kept.log[..]).unwrap_or_default();
        let entries = log.iter().zip(1..).flat_map(|(text, position)| {
            let entries: Vec<LogEntry> = serde_json::from_str(text).expect("an entry is JSON");
            entries.into_iter().map(move |entry| (position, entry))
        });
        entries.collect()
    }

    /// One past the greatest thread number that any record names.
    pub fn count_threads(&self, id: &SessionId) -> u64 {
        let Some(kept) = self.sessions.get(id) else { return 0 };
        let numbers = kept.rows.keys().map(|key| match key {
            Key::Live(thread) | Key::Future(FutureId::Thread(thread)) => thread.0 + 1,
            _ => 0,
        });
        numbers.max().unwrap_or(0)
    }

    /// The threads whose records are due.
    pub fn threads_due(&self, id: &SessionId, is_due: impl Fn(Due) -> bool) -> BTreeSet<ThreadId> {
        let rows = self.sessions.get(id).into_iter().flat_map(|kept| &kept.rows);
        let threads = rows.filter_map(|(key, row)| match key {
            Key::Live(thread) if row.due.is_some_and(&is_due) => Some(*thread),
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

fn is_within(range: &Range, key: &Key) -> bool {
    match (range, key) {
        (Range::Live(from), Key::Live(thread)) => thread >= from,
        (Range::Waiters(awaited), Key::Wait { future, .. }) => future == awaited,
        (Range::Crowds, Key::Wait { .. })
        | (Range::Todos, Key::Todo(_))
        | (Range::Cascades, Key::Cascade(_))
        | (Range::Unawaited, Key::Unawaited(_))
        | (Range::Broken, Key::Broken(_)) => true,
        _ => false,
    }
}

fn encode(record: &Record, stamp: Stamp, program: &Program) -> Row {
    let (mut due, mut state, mut summary, mut content) = (None, None, String::new(), Vec::new());
    match record {
        Record::Session(session) => {
            state = Some(session.state);
            summary = serde_json::to_string(session).expect("a summary is JSON");
        }
        Record::Live(_, live) | Record::Broken(_, live) => {
            due = live.due();
            summary = codec::live_summary(live);
            content = codec::live_content(live, program, &mut Apart::nothing());
        }
        Record::Future(_, future) => content = codec::future_content(future, &mut Apart::nothing()),
        Record::Unawaited(_, failure) => content = codec::failure_content(failure, &mut Apart::nothing()),
        Record::Wait { waiter, .. } => content.push(codec::interest_byte(waiter.interest)),
        Record::Cascade(_, started) => summary = codec::started_text(started),
        Record::Ready(_) | Record::Cancel(_) | Record::Todo(_) => {}
    }
    Row { stamp, due, state, summary, content }
}

fn decode(key: &Key, row: &Row, program: &Program) -> Result<Record, StorageError> {
    let live = || codec::live(&row.summary, &row.content, program, &NoPickles);
    Ok(match key.clone() {
        Key::Session => Record::Session(serde_json::from_str(&row.summary).map_err(codec::CodecError::from)?),
        Key::Live(thread) => Record::Live(thread, live()?),
        Key::Broken(thread) => Record::Broken(thread, live()?),
        Key::Ready(thread) => Record::Ready(thread),
        Key::Cancel(thread) => Record::Cancel(thread),
        Key::Cascade(thread) => Record::Cascade(thread, codec::started_from_text(&row.summary)?),
        Key::Future(future) => Record::Future(future, codec::future(&row.content, program, &NoPickles)?),
        Key::Wait { future, waiter } => {
            let interest = row.content.first().and_then(|byte| codec::interest_of(*byte)).expect("it was written");
            Record::Wait { future, waiter: Waiter { thread: waiter, interest } }
        }
        Key::Todo(future) => Record::Todo(future),
        Key::Unawaited(thread) => {
            Record::Unawaited(thread, Box::new(codec::failure(&row.content, program, &NoPickles)?))
        }
    })
}
