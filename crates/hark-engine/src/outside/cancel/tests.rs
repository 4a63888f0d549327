//! Threads that start others and stop while their session is being cancelled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hark_machine::{Thread, Value};

use super::*;
use crate::MemoryStorage;
use crate::conformance::sample::{about, program};
use crate::history::LogEntry;
use crate::id::SessionId;
use crate::record::{FutureRecord, Live, SessionRecord};
use crate::storage::{Everything, Storage};
use crate::surroundings::{Surroundings, Timestamp};

struct Fixed;

impl Surroundings for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1)
    }

    fn steady_now(&self) -> Timestamp {
        self.now()
    }

    fn pause(&self, _: Duration) {}

    fn random(&self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

/// Records of a session in which, after each of the first scans, the last thread starts another one and stops, unless
/// it is cancelled.
struct Relay {
    records: Arc<dyn SessionStorage>,
    last: AtomicU64,
    scans_left: AtomicU64,
}

impl Relay {
    fn pass_on(&self) {
        let last = self.last.fetch_add(1, Ordering::Relaxed);
        let mut commit = Commit::new(Stamps::unique(&Fixed).next());
        commit.fresh.push(live(last + 1));
        commit.put.push(Record::Future(ThreadId(last).into(), FutureRecord::Resolved(Value::Null)));
        commit.delete.push(Key::Live(ThreadId(last)));
        assert_eq!(self.records.commit(&mut commit), Ok(Outcome::Done));
    }

    fn has(&self, key: Key) -> bool {
        let mut found = Vec::new();
        self.records.read(&[key], &mut found).unwrap();
        found[0].is_some()
    }
}

impl SessionStorage for Relay {
    fn read(&self, keys: &[Key], found: &mut Vec<Option<Versioned>>) -> Result<(), StorageError> {
        self.records.read(keys, found)
    }

    fn scan(&self, range: Range, limit: usize) -> Result<Vec<Record>, StorageError> {
        let found = self.records.scan(range, limit);
        let left = self.scans_left.load(Ordering::Relaxed);
        if left > 0 && !self.has(Key::Cancel(ThreadId(self.last.load(Ordering::Relaxed)))) {
            self.scans_left.store(left - 1, Ordering::Relaxed);
            self.pass_on();
        }
        found
    }

    fn commit(&self, commit: &mut Commit) -> Result<Outcome, StorageError> {
        self.records.commit(commit)
    }

    fn reserve(&self, count: u64) -> Result<ThreadId, StorageError> {
        self.records.reserve(count)
    }

    fn all(&self) -> Result<Everything, StorageError> {
        self.records.all()
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, LogEntry)>, StorageError> {
        self.records.history(after, limit)
    }
}

fn live(thread: u64) -> Record {
    Record::Live(ThreadId(thread), Live::new(Thread::new(Value::Null, Vec::new())))
}

#[test]
fn a_thread_whose_parent_stops_before_it_is_cancelled_is_cancelled() {
    // The others have greater numbers than the threads that are started meanwhile, whose numbers a process may have
    // reserved earlier.
    const OTHERS: u64 = 1_000;
    for (others, scans) in [(0, 0), (0, 1), (0, 2), (0, 9), (100, 1), (100, 3), (100, 30)] {
        let id = SessionId::new(Timestamp(0), 0);
        let storage = MemoryStorage::default();
        let records = storage.session(&id, &program()).unwrap();
        records.reserve(OTHERS + others).unwrap();
        let mut begun = Commit::new(Stamps::unique(&Fixed).next());
        step::start(&about(), Live::new(Thread::new(Value::Null, Vec::new())), &mut begun);
        begun.fresh.extend((OTHERS..OTHERS + others).chain([1]).map(live));
        step::begin_cancel(begun.stamp, &SessionRecord::new(about()), Cancelling::Begun, Timestamp(1), &mut begun);
        begun.expect.clear();
        assert_eq!(records.commit(&mut begun), Ok(Outcome::Done));
        let relay = Arc::new(Relay { records, last: AtomicU64::new(1), scans_left: AtomicU64::new(scans) });
        let outside = Outside {
            storage: &storage,
            surroundings: &Fixed,
            id,
            record: SessionRecord::new(about()),
            program: program(),
            records: relay.clone(),
        };
        outside.finish_cancel().unwrap();
        assert_eq!(relay.scans_left.load(Ordering::Relaxed), 0, "with {others} others");
        for thread in (OTHERS..OTHERS + others).chain([0, 1 + scans]) {
            assert!(relay.has(Key::Cancel(ThreadId(thread))), "thread {thread}, {others} others, {scans} scans");
        }
        let (_, session) = outside.read_session().unwrap();
        assert_eq!(session.cancelling, Some(Cancelling::Told));
    }
}
