//! What a step changes, all of it or nothing.

use crate::history::LogEntry;
use crate::id::{Stamp, ThreadId};
use crate::leases::Terms;
use crate::record::{Due, Key, Live, Record};
use crate::storage::{SessionStorage, StorageError};
use crate::surroundings::Timestamp;

/// One change of a session's records.
///
/// `expect`, `put` and `delete` stay few whatever a program does; `fresh` holds any number of new records that nothing
/// refers to before the commit. The same commit is used again for a worker's next step, for its memory's sake.
#[derive(Debug)]
pub struct Commit {
    /// The version of all that this writes.
    pub stamp: Stamp,
    /// It is a step's, which only the session's server may make. A storage that knows that another one has the session
    /// answers [`StorageError::TakenOver`]; the versions alone see to it that no harm is done where it does not know.
    pub by_server: bool,
    /// The versions that must still be there; `None` is for a record that must not exist.
    pub expect: Vec<(Key, Option<Stamp>)>,
    /// Records to write, over what there is.
    pub put: Vec<Record>,
    /// Records to remove, if they exist.
    pub delete: Vec<Key>,
    /// A thread whose record, which must be expected, gets this version and stays as it is, but for its progress.
    pub renew: Option<Renewal>,
    /// New records.
    pub fresh: Vec<Record>,
    /// What happened.
    pub log: Vec<LogEntry>,
    /// Since when, and until when, the process that makes it holds the threads that it keeps, where threads are leased. A
    /// commit without terms leaves all that it writes to others at once.
    pub terms: Option<Terms>,
    /// Until when the process has the session for itself that it moves, where threads are leased.
    pub until: Option<Timestamp>,
    /// The threads that the process goes on with, and has hints for. All others that are to run are left to whoever comes.
    pub kept: Vec<ThreadId>,
}

/// What is written of a thread whose call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Which one.
    pub thread: ThreadId,
    /// How far its call says that it is, unless that is as it was.
    pub progress: Option<Box<str>>,
}

/// What became of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// It is done; the records have been moved out of it.
    Done,
    /// Something is not as expected. Nothing has happened, and the commit is as it was.
    Conflict,
    /// The answer was lost; whether it happened can be seen by its stamp. Only storages that copy records answer so.
    Unknown,
}

impl Commit {
    /// A commit that changes nothing yet.
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
        }
    }

    /// The same for steps.
    pub fn of_server(stamp: Stamp) -> Commit {
        Commit { by_server: true, ..Commit::new(stamp) }
    }

    /// Begins anew, with another stamp.
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
    }

    /// When someone must look at a record that this commit writes, where threads are leased.
    pub fn due(&self, record: &Record) -> Option<Due> {
        let terms = self.terms.unwrap_or(Terms::AT_ONCE);
        match record {
            Record::Live(thread, live) => live.due_on(terms, self.kept.contains(thread), self.rechecks(*thread)),
            Record::Ready(thread) if self.kept.contains(thread) => Some(Due::Leased(terms.until)),
            Record::Ready(_) => Some(Due::At(terms.now)),
            // Whoever writes it down begins with it at once.
            Record::Session(_) => self.until.map(Due::Leased),
            Record::Todo(_) | Record::Cascade(..) => Some(Due::At(terms.until)),
            _ => None,
        }
    }

    /// Whether this thread waits from now on with a record of its own for a Future that may be done by the time of this commit.
    fn rechecks(&self, thread: ThreadId) -> bool {
        self.put.iter().any(|record| matches!(record, Record::Wait { waiter, .. } if waiter.thread == thread))
    }

    /// Makes this commit until it is known whether it has happened. What witnesses that is as in [`Commit::has_happened`].
    ///
    /// One whose answer was lost may be carried out later, as long as what it expects is there: it is only known not to happen
    /// any more if the version of a record has changed that it expects.
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

    /// Whether this commit, whose answer was lost, has happened. The witness is a record that it writes, and that nobody
    /// else can have written since.
    pub(crate) fn has_happened(&self, records: &dyn SessionStorage, witness: Key) -> Result<bool, StorageError> {
        let mut found = Vec::with_capacity(1);
        records.read(&[witness], &mut found)?;
        Ok(found.pop().flatten().is_some_and(|found| found.stamp == self.stamp))
    }

    /// Takes back what a step has decided, but for what its run has gathered (new threads, output). Gives the thread
    /// back, if the step wanted it written.
    pub fn take_back(&mut self, gathered: Gathered) -> Option<Box<Live>> {
        self.expect.clear();
        self.delete.clear();
        self.kept.clear();
        self.fresh.truncate(gathered.fresh);
        self.log.truncate(gathered.log);
        self.put.drain(..).find_map(|record| match record {
            Record::Live(_, live) | Record::Broken(_, live) => Some(live),
            _ => None,
        })
    }

    /// How much the run has gathered so far.
    pub fn gathered(&self) -> Gathered {
        Gathered { fresh: self.fresh.len(), log: self.log.len() }
    }
}

/// What stays when a step is decided again: the first of the fresh records, and of the log's entries.
#[derive(Debug, Clone, Copy)]
pub struct Gathered {
    fresh: usize,
    log: usize,
}
