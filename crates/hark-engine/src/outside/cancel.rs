//! Cancelling a session.

use std::collections::BTreeSet;

use super::{Outside, OutsideError};
use crate::commit::{Commit, Outcome};
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::history::{Event, LogEntry};
use crate::id::{Stamp, Stamps, ThreadId};
use crate::record::{Cancelling, Key, Record, SessionState, Versioned};
use crate::step::{self, Plan};
use crate::storage::{Range, SessionStorage, StorageError, wakes_per_commit};
use crate::surroundings::Timestamp;

impl Outside<'_> {
    /// Cancels all threads of the session, which may then clean up; the session ends as cancelled. A process must run
    /// them. Has no effect if it was already cancelled.
    ///
    /// # Errors
    /// If it is already over or being moved, or the storage fails.
    pub fn cancel(&self) -> Result<(), OutsideError> {
        let (mut plan, mut first) = (Plan::default(), Vec::new());
        let stamp = self.change(|stamp, session, commit| {
            if session.state != SessionState::Running {
                return Err(OutsideError::WrongState(session.state));
            }
            if session.retrying {
                // The threads of the retry must be cancelled, too. This changes the record.
                self.finish_retry()?;
            }
            let is_told = session.cancelling == Some(Cancelling::Told);
            first = if is_told { Vec::new() } else { self.live_from(step::FIRST)? };
            // The mailboxes of these threads notify the session's server. The commit also writes the session's own
            // record.
            first.truncate(wakes_per_commit(&*self.records) - 1);
            step::cancel_batch(&first, commit, &mut plan);
            let how_far = if is_told { Cancelling::Told } else { Cancelling::Begun };
            step::begin_cancel(stamp, session, how_far, self.surroundings.now(), commit);
            Ok(())
        })?;
        let cancelled = self.cancel_rest(Some(stamp), first.into_iter().map(|(thread, _)| thread).collect())?;
        self.dispatch(&cancelled.into_iter().map(Hint::now).collect::<Vec<Hint>>())?;
        Ok(())
    }

    /// Completes a cancellation.
    pub(super) fn finish_cancel(&self) -> Result<(), StorageError> {
        self.cancel_rest(None, BTreeSet::new()).map(drop)
    }

    /// Cancels the remaining threads of a session, some with each commit. `cancelled` are the threads that are already
    /// cancelled, if the session's record has this version. Returns all cancelled threads.
    ///
    /// A cancelled thread cancels the threads that it has started. But a thread may start another one and stop before
    /// it is cancelled itself. So the scan is repeated until it finds only cancelled threads. Each scan terminates,
    /// because a child's number is greater than its parent's.
    fn cancel_rest(
        &self,
        mut version: Option<Stamp>,
        mut cancelled: BTreeSet<ThreadId>,
    ) -> Result<BTreeSet<ThreadId>, StorageError> {
        let (mut stamps, mut plan) = (self.stamps(), Plan::default());
        let (mut from, mut finds_others) = (step::FIRST, false);
        while let Some(Versioned { stamp, record: Record::Session(session) }) = self.read(Key::Session)? {
            if session.state != SessionState::Running || session.cancelling != Some(Cancelling::Begun) {
                break;
            }
            if version.replace(stamp) != Some(stamp) {
                // A retry may have put threads back.
                cancelled.clear();
                (from, finds_others) = (step::FIRST, false);
            }
            let mut threads = self.live_from(from)?;
            let last = threads.last().map(|(thread, _)| *thread);
            threads.retain(|(thread, _)| !cancelled.contains(thread));
            let mut commit = Commit::new(stamps.next());
            if !threads.is_empty() {
                commit.expect.push((Key::Session, Some(stamp)));
                step::cancel_batch(&threads, &mut commit, &mut plan);
                // After a conflict or a lost answer, the records show what is left to do.
                if self.records.commit(&mut commit)? != Outcome::Done {
                    continue;
                }
                finds_others = true;
                cancelled.extend(threads.into_iter().map(|(thread, _)| thread));
            }
            match last {
                Some(last) => from = ThreadId(last.0 + 1),
                None if finds_others => (from, finds_others) = (step::FIRST, false),
                None => {
                    step::end_cancel(stamp, &session, &mut commit);
                    if self.records.commit(&mut commit)? == Outcome::Done {
                        break;
                    }
                }
            }
        }
        Ok(cancelled)
    }

    /// The first threads from this one on, as many as one commit cancels, with the demands for their mailboxes.
    fn live_from(&self, from: ThreadId) -> Result<Vec<(ThreadId, Demand)>, StorageError> {
        let live = self.records.scan(Range::Live(from), wakes_per_commit(&*self.records))?;
        let thread = |record: &Record| match record {
            Record::Live(thread, live) => Some((*thread, live.cancelled())),
            _ => None,
        };
        Ok(live.iter().filter_map(thread).collect())
    }

    /// Ends the session at once: none of its threads continues.
    ///
    /// # Errors
    /// If it is already over or being moved, or the storage fails.
    pub fn cancel_now(&self) -> Result<(), OutsideError> {
        let set = self.change(|stamp, session, commit| {
            if session.state != SessionState::Running {
                return Err(OutsideError::WrongState(session.state));
            }
            let threads = self.records.reserve(0)?.0;
            step::cancel(stamp, session, threads, self.surroundings.now(), commit);
            Ok(())
        });
        // An earlier cancellation may have died before it removed the threads.
        if matches!(set, Ok(_) | Err(OutsideError::WrongState(SessionState::Cancelled))) {
            drop_threads(&*self.records, &mut self.stamps(), self.surroundings.now())?;
            self.leave_gates()?;
        }
        self.dispatch(&[])?;
        set.map(drop)
    }
}

/// Removes the threads of a cancelled session, each with an event of its end. This terminates, because a child's number is
/// greater than its parent's.
pub(crate) fn drop_threads(
    records: &dyn SessionStorage,
    stamps: &mut Stamps<'_>,
    now: Timestamp,
) -> Result<(), StorageError> {
    let most = wakes_per_commit(records) * 2 / 3;
    let mut at_once = most;
    loop {
        let mut found = Vec::new();
        records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { stamp, record: Record::Session(session) })) = found.pop() else { return Ok(()) };
        if session.state != SessionState::Cancelled {
            // It was removed, and an older copy of it was imported.
            return Ok(());
        }
        let live = records.scan(Range::Live(step::FIRST), at_once)?;
        if live.is_empty() {
            return Ok(());
        }
        let keys: Vec<Key> = live.iter().map(Record::key).collect();
        let mut versions = Vec::with_capacity(keys.len());
        records.read(&keys, &mut versions)?;
        let mut commit = Commit::new(stamps.next());
        commit.expect.push((Key::Session, Some(stamp)));
        for (key, version) in keys.into_iter().zip(versions) {
            // A thread that has ended by itself meanwhile has logged its own event.
            let (Key::Live(thread), Some(version)) = (&key, version) else { continue };
            let thread = *thread;
            commit.delete.push(Key::Cancel(thread));
            if thread != step::FIRST {
                commit.delete.push(Key::Ready(thread));
            }
            commit.log.push(LogEntry { time: now, thread, event: Event::StoppedWithSession });
            commit.expect.push((key.clone(), Some(version.stamp)));
            commit.delete.push(key);
        }
        // After a lost answer the next scan shows the outcome. A process that has not noticed the end may still be
        // running some of the threads: the fewer are removed at a time, the less likely one of them changes before this
        // commit.
        let is_done = records.commit(&mut commit)? == Outcome::Done;
        at_once = if is_done { most } else { (at_once / 2).max(1) };
    }
}

#[cfg(test)]
mod tests;
