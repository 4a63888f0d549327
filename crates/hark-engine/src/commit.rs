//! The atomic changes of a step.

use crate::history::LogEntry;
use crate::id::{Stamp, ThreadId};
use crate::leases::Terms;
use crate::record::{Due, Key, Live, Record};
use crate::storage::{SessionStorage, StorageError};
use crate::surroundings::Timestamp;

/// A change of a session's records.
///
/// `expect`, `put` and `delete` are small, whatever a program does; `fresh` contains any number of new records that
/// nothing refers to before the commit. A worker reuses the commit for its next step, to reuse its memory.
#[derive(Debug)]
pub struct Commit {
    /// The version of all written records.
    pub stamp: Stamp,
    /// Whether this is the commit of a step, which only the session's server may make. A storage that knows that
    /// another server has the session returns [`StorageError::TakenOver`]; where it does not know, the versions alone
    /// prevent harm.
    pub by_server: bool,
    /// The expected versions. None means that the record must not exist.
    pub expect: Vec<(Key, Option<Stamp>)>,
    /// Records to write, replacing existing ones.
    pub put: Vec<Record>,
    /// Records to delete, if they exist.
    pub delete: Vec<Key>,
    /// A thread whose record, which must be expected, gets the new version but remains unchanged, except for its
    /// progress.
    pub renew: Option<Renewal>,
    /// New records.
    pub fresh: Vec<Record>,
    /// History entries.
    pub log: Vec<LogEntry>,
    /// The period for which the committing process holds the threads that it keeps, where threads are leased. A commit
    /// without terms leaves all that it writes to other processes immediately.
    pub terms: Option<Terms>,
    /// The time until which the process has the moved session for itself, where threads are leased.
    pub until: Option<Timestamp>,
    /// The threads that the process continues to run, and has hints for. All others that are due are left to any
    /// process.
    pub kept: Vec<ThreadId>,
    /// The thread of the step, if its call has not begun and is left to a process that serves the call's place.
    pub moved: Option<ThreadId>,
}

/// With this many new threads in a commit, the storage matters more than the order in which their output is shown.
pub(crate) const SCATTERED_MIN: usize = 64;

/// The update of a thread whose call continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The thread.
    pub thread: ThreadId,
    /// The new progress of its call, if it has changed.
    pub progress: Option<Box<str>>,
}

/// The outcome of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is done. The records have been moved out of the commit.
    Done,
    /// An expectation does not hold. Nothing has happened, and the commit is unchanged.
    Conflict,
    /// The answer was lost; the stamp shows whether it happened. Only storages that copy the records return this.
    Unknown,
}

/// The due time of one of many threads that are started together, if threads are leased. Processes take threads in the
/// order of these times.
///
/// A program often awaits threads in the order in which it has started them. If they also ended in this order, the awaiting thread
/// would be woken for almost each of them. In any other order it is woken for those that end after all earlier ones, which are few.
fn scattered(now: Timestamp, thread: ThreadId) -> Timestamp {
    Timestamp(now.0.saturating_sub(lead_of(thread)))
}

/// By how much one of many threads that are started together is due before the last one of them, in microseconds.
pub(crate) fn lead_of(thread: ThreadId) -> u64 {
    // The multiples of the golden ratio are evenly spread, over about a millisecond.
    thread.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54
}

impl Commit {
    /// A commit without changes.
    pub fn new(stamp: Stamp) -> Commit {
        Commit {
            stamp,
            by_server: false,
            expect: Vec::new(),
            put: Vec::new(),
            delete: Vec::new(),
            renew: None,
            fresh: Vec::new(),
            log: Vec::new(),
            terms: None,
            until: None,
            kept: Vec::new(),
            moved: None,
        }
    }

    /// A commit of a step.
    pub fn of_server(stamp: Stamp) -> Commit {
        Commit { by_server: true, ..Commit::new(stamp) }
    }

    /// Clears the commit, for another stamp.
    pub fn reset(&mut self, stamp: Stamp) {
        self.stamp = stamp;
        self.expect.clear();
        self.put.clear();
        self.delete.clear();
        self.renew = None;
        self.fresh.clear();
        self.log.clear();
        self.until = None;
        self.kept.clear();
        self.moved = None;
    }

    /// When the record must be looked at, where threads are leased.
    pub fn due(&self, record: &Record) -> Option<Due> {
        let terms = self.terms.unwrap_or(Terms::AT_ONCE);
        match record {
            Record::Live(thread, live) => {
                let is_moved = self.moved == Some(*thread);
                let due = live.due_on(terms, self.kept.contains(thread), self.rechecks(*thread), is_moved);
                let is_scattered = due == Some(Due::At(terms.now)) && self.fresh.len() >= SCATTERED_MIN;
                if is_scattered { Some(Due::At(scattered(terms.now, *thread))) } else { due }
            }
            Record::Ready(thread, _) if self.moved == Some(*thread) => self.stop_of(*thread).map(Due::At),
            Record::Ready(thread, _) if self.kept.contains(thread) => Some(Due::Leased(terms.until)),
            Record::Ready(..) => Some(Due::At(terms.now)),
            // The process that writes it starts it at once.
            Record::Session(_) => self.until.map(Due::Leased),
            Record::Todo(_) | Record::Cascade(..) => Some(Due::At(terms.until)),
            _ => None,
        }
    }

    /// Whether this thread begins to wait, with a record of its own, for a Future that may already be done at the time
    /// of this commit.
    fn rechecks(&self, thread: ThreadId) -> bool {
        self.put.iter().any(|record| matches!(record, Record::Wait { waiter, .. } if waiter.thread == thread))
    }

    /// When this thread, which the commit writes, is stopped.
    fn stop_of(&self, thread: ThreadId) -> Option<Timestamp> {
        self.put.iter().find_map(|record| match record {
            Record::Live(live, content) if *live == thread => content.stops,
            _ => None,
        })
    }

    /// Makes this commit, and repeats it until the outcome is known. For the witness see [`Commit::has_happened`].
    ///
    /// A commit whose answer was lost may be carried out later, while its expectations hold. It is known not to happen
    /// only if a record that it expects has changed its version.
    pub(crate) fn make_known(&mut self, records: &dyn SessionStorage, witness: &Key) -> Result<bool, StorageError> {
        let mut may_have_happened = false;
        loop {
            match records.commit(self)? {
                Outcome::Done => return Ok(true),
                Outcome::Unknown => may_have_happened = true,
                Outcome::Conflict => return Ok(may_have_happened && self.has_happened(records, witness.clone())?),
            }
        }
    }

    /// Whether this commit, whose answer was lost, has happened. The witness is a record that it writes, and that no
    /// other commit can have written since.
    pub(crate) fn has_happened(&self, records: &dyn SessionStorage, witness: Key) -> Result<bool, StorageError> {
        let mut found = Vec::with_capacity(1);
        records.read(&[witness], &mut found)?;
        Ok(found.pop().flatten().is_some_and(|found| found.stamp == self.stamp))
    }

    /// Removes the decisions of a step, but not what its run has produced (new threads, output). Returns the thread, if
    /// the step would have written it.
    pub fn take_back(&mut self, gathered: Gathered) -> Option<Box<Live>> {
        self.expect.clear();
        self.delete.clear();
        self.kept.clear();
        self.moved = None;
        self.fresh.truncate(gathered.fresh);
        self.log.truncate(gathered.log);
        self.put.drain(..).find_map(|record| match record {
            Record::Live(_, live) | Record::Broken(_, live) => Some(live),
            _ => None,
        })
    }

    /// What the run has produced so far.
    pub fn gathered(&self) -> Gathered {
        Gathered { fresh: self.fresh.len(), log: self.log.len() }
    }
}

/// What remains when a step is decided again: the number of fresh records and of log entries.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    fresh: usize,
    log: usize,
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use hark_machine::{Thread, Value};

    use super::*;

    /// When the threads that a commit starts are due.
    fn due(threads: u64) -> Vec<(Timestamp, u64)> {
        let live = || Live::new(Thread::new(Value::Null, Vec::new()));
        let mut commit = Commit::new(Stamp(NonZeroU64::MIN));
        commit.terms = Some(Terms { now: Timestamp(5_000), until: Timestamp(9_000) });
        commit.fresh = (1..=threads).map(|thread| Record::Live(ThreadId(thread), live())).collect();
        let time = |record: &Record| match commit.due(record) {
            Some(Due::At(time)) => time,
            due => panic!("{due:?}"),
        };
        commit.fresh.iter().map(time).zip(1..).collect()
    }

    /// How many times a thread waits if it awaits these threads by number and they end one after the other.
    fn waits(mut threads: Vec<(Timestamp, u64)>) -> usize {
        threads.sort_unstable();
        let mut ends = vec![0; threads.len()];
        for (end, (_, thread)) in threads.into_iter().enumerate() {
            ends[thread as usize - 1] = end;
        }
        let mut latest = None;
        ends.into_iter().filter(|end| Some(*end) > latest.replace(latest.max(Some(*end)).unwrap_or(*end))).count()
    }

    #[test]
    fn many_threads_do_not_end_in_the_order_in_which_they_are_awaited() {
        for threads in [64, 1_000, 10_000] {
            let due = due(threads);
            assert!(due.iter().all(|(time, _)| (Timestamp(3_900)..=Timestamp(5_000)).contains(time)), "all can run");
            assert!(waits(due) <= 20);
        }
        let last = due(1_000).into_iter().max_by_key(|(time, _)| *time).map(|(time, _)| time);
        let found = due(1_000).into_iter().min_by_key(|(_, thread)| lead_of(ThreadId(*thread))).map(|(time, _)| time);
        assert_eq!(found, last, "who waits for all of them knows which one is taken last");
        assert!(due(63).iter().all(|(time, _)| *time == Timestamp(5_000)), "few threads keep their order");
    }
}
