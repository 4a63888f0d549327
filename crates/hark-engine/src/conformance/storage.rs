//! The storage suite.

use std::sync::Arc;
use std::thread;

use hark_machine::{Awaited, Error, Thread, Value};

use super::sample::{about, program};
use crate::commit::{Commit, Outcome, Renewal};
use crate::demand::Demand;
use crate::failure::Failure;
use crate::id::{FutureId, SessionId, Stamps, ThreadId};
use crate::limits::THREADS_MAX;
use crate::record::{
    FutureRecord, Interest, Key, Live, Record, SessionRecord, SessionState, Started, State, Status, Waiter,
};
use crate::storage::{Range, SessionStorage, Storage};
use crate::surroundings::Timestamp;

/// Checks a storage. `make` gives an empty one each time. A session's own record is written before all others of it.
///
/// # Panics
/// If the storage does not fulfill the contract.
pub fn check_storage(make: &dyn Fn() -> Arc<dyn Storage>) {
    let checks: [fn(&Suite); 10] = [
        what_is_put_is_read,
        what_is_deleted_is_gone,
        a_conflict_changes_nothing,
        an_absent_record_can_be_expected,
        a_renewed_thread_has_another_version_and_is_the_same,
        scans_are_in_order,
        sessions_are_apart,
        numbers_are_reserved_once,
        numbers_run_out,
        of_many_writers_one_wins,
    ];
    for check in checks {
        let storage = make();
        let records = storage.session(&session_id(1), &program()).expect("a session can be opened");
        check(&Suite { storage, records });
    }
    super::space::check_space(make);
    if make().catalog().is_some() {
        super::kept::check_kept(make);
    }
}

struct Suite {
    storage: Arc<dyn Storage>,
    records: Arc<dyn SessionStorage>,
}

fn session_id(number: u64) -> SessionId {
    SessionId::new(Timestamp(1_000_000), number)
}

fn session_record() -> SessionRecord {
    let session = SessionRecord::new(about());
    SessionRecord { state: SessionState::Finished, first_stopped: true, ended: Some(Timestamp(7)), ..session }
}

fn live() -> Box<Live> {
    Box::new(Live { demand: Demand::of_priority(5), ..*Live::new(Thread::new(Value::Integer(1), vec![Value::Null])) })
}

fn resolved(thread: u64, value: i64) -> Record {
    Record::Future(ThreadId(thread).into(), FutureRecord::Resolved(Value::Integer(value)))
}

fn commit(seed: u64, put: Vec<Record>) -> Commit {
    Commit { put, ..Commit::new(Stamps::of_seed(seed).next()) }
}

impl Suite {
    /// Writes the session's own record.
    fn begin(&self) {
        let begun = commit(99, vec![Record::Session(Box::new(session_record()))]);
        assert_eq!(self.commit(begun), Outcome::Done);
    }

    fn read(&self, key: Key) -> Option<crate::record::Versioned> {
        let mut found = Vec::new();
        self.records.read(&[key], &mut found).expect("records can be read");
        assert_eq!(found.len(), 1, "there is an entry for each key");
        found.pop().flatten()
    }

    fn commit(&self, mut commit: Commit) -> Outcome {
        self.records.commit(&mut commit).expect("a commit can be made")
    }

    fn value(&self, thread: u64) -> Option<i64> {
        match self.read(Key::Future(ThreadId(thread).into()))?.record {
            Record::Future(_, FutureRecord::Resolved(Value::Integer(value))) => Some(value),
            other => panic!("another record was written: {other:?}"),
        }
    }
}

fn started() -> Started {
    let mut started = Started::default();
    [4, 5, 9].into_iter().for_each(|number| started.add(ThreadId(number)));
    started
}

/// A record of each kind.
pub(crate) fn every_kind() -> Vec<Record> {
    let failure = Failure::new(Error::new("error", "x"), ThreadId(3), Timestamp(4));
    vec![
        Record::Session(Box::new(session_record())),
        Record::Live(ThreadId(3), live()),
        Record::Ready(ThreadId(3), Demand::of_priority(-7)),
        Record::Cancel(ThreadId(3)),
        Record::Cascade(ThreadId(3), started()),
        resolved(3, 4),
        Record::Wait { future: ThreadId(3).into(), waiter: watcher(4) },
        Record::Todo(ThreadId(3).into()),
        Record::Unawaited(ThreadId(3), Box::new(failure)),
        Record::Broken(ThreadId(3), live()),
        Record::Future(FutureId::Promise("mail/1".into()), FutureRecord::AwaitedBy(ThreadId(3))),
        Record::Wait {
            future: FutureId::Promise("mail/1".into()),
            waiter: Waiter::new(ThreadId(4), Interest::Outcome),
        },
        Record::Todo(FutureId::Promise("mail/1".into())),
    ]
}

fn what_is_put_is_read(suite: &Suite) {
    suite.records.reserve(4).expect("numbers can be reserved");
    let keys: Vec<Key> = every_kind().iter().map(Record::key).collect();
    keys.iter().for_each(|key| assert!(suite.read(key.clone()).is_none(), "{key:?} is there before it was written"));
    let written = commit(1, every_kind());
    let stamp = written.stamp;
    assert_eq!(suite.commit(written), Outcome::Done);
    let mut found = Vec::new();
    suite.records.read(&keys, &mut found).expect("records can be read");
    for (key, found) in keys.iter().zip(&found) {
        let found = found.as_ref().unwrap_or_else(|| panic!("{key:?} is not there"));
        assert_eq!(found.stamp, stamp, "the version is the commit's stamp");
        assert_eq!(found.record.key(), *key);
        match &found.record {
            Record::Live(_, live) => {
                assert!(matches!(live.state, State::Present(_)), "the thread's state is missing");
                assert_eq!(live.demand.priority, 5);
            }
            Record::Session(session) => assert_eq!(session.ended, Some(Timestamp(7))),
            Record::Cascade(_, found) => assert_eq!(*found, started()),
            Record::Unawaited(_, failure) => assert_eq!(&*failure.error.message, "x"),
            Record::Wait { future: FutureId::Thread(_), waiter } => assert_eq!(*waiter, watcher(4)),
            Record::Wait { waiter, .. } => assert_eq!(*waiter, Waiter::new(ThreadId(4), Interest::Outcome)),
            _ => {}
        }
    }
    assert_eq!(suite.value(3), Some(4));
    assert_eq!(suite.commit(commit(2, vec![resolved(3, 5)])), Outcome::Done);
    assert_eq!(suite.value(3), Some(5), "what is put replaces what was there");
}

fn what_is_deleted_is_gone(suite: &Suite) {
    suite.records.reserve(4).expect("numbers can be reserved");
    assert_eq!(suite.commit(commit(1, every_kind())), Outcome::Done);
    // The mailbox and what is beside it may go with their thread, so they are deleted first, and the session's own record last.
    let mut keys: Vec<Key> = every_kind().iter().map(Record::key).collect();
    keys[1..4].rotate_left(1);
    keys.rotate_left(1);
    for key in keys {
        assert!(suite.read(key.clone()).is_some(), "{key:?} is gone too early");
        let delete = Commit { delete: vec![key.clone()], ..commit(2, Vec::new()) };
        assert_eq!(suite.commit(delete), Outcome::Done);
        assert!(suite.read(key.clone()).is_none(), "{key:?} is still there");
        let again = Commit { delete: vec![key.clone()], ..commit(3, Vec::new()) };
        assert_eq!(suite.commit(again), Outcome::Done, "what is not there may be deleted");
    }
}

fn a_conflict_changes_nothing(suite: &Suite) {
    suite.begin();
    suite.records.reserve(300).expect("numbers can be reserved");
    let first = commit(1, vec![resolved(1, 10), resolved(200, 20)]);
    let stamp = first.stamp;
    assert_eq!(suite.commit(first), Outcome::Done);
    assert_eq!(suite.commit(commit(2, vec![resolved(200, 21)])), Outcome::Done);
    let mut late = commit(3, vec![resolved(1, 11), Record::Live(ThreadId(2), live())]);
    late.expect =
        vec![(Key::Future(ThreadId(1).into()), Some(stamp)), (Key::Future(ThreadId(200).into()), Some(stamp))];
    late.delete = vec![Key::Future(ThreadId(200).into())];
    late.fresh = vec![Record::Live(ThreadId(201), live())];
    assert_eq!(suite.records.commit(&mut late), Ok(Outcome::Conflict));
    assert_eq!((suite.value(1), suite.value(200)), (Some(10), Some(21)));
    assert!(suite.read(Key::Live(ThreadId(2))).is_none() && suite.read(Key::Live(ThreadId(201))).is_none());
    let kept = (late.expect.len(), late.put.len(), late.delete.len(), late.fresh.len());
    assert_eq!(kept, (2, 2, 1, 1), "a commit that did not happen is left as it was");
    late.expect.pop();
    assert_eq!(suite.records.commit(&mut late), Ok(Outcome::Done));
    assert_eq!((suite.value(1), suite.value(200)), (Some(11), None));
    assert!(suite.read(Key::Live(ThreadId(201))).is_some());
}

fn an_absent_record_can_be_expected(suite: &Suite) {
    for key in every_kind().iter().map(Record::key) {
        let expecting = || Commit { expect: vec![(key.clone(), None)], ..commit(1, Vec::new()) };
        assert_eq!(suite.commit(expecting()), Outcome::Done);
    }
    assert_eq!(suite.commit(commit(2, every_kind())), Outcome::Done);
    for key in every_kind().iter().map(Record::key) {
        let expecting = || Commit { expect: vec![(key.clone(), None)], ..commit(3, Vec::new()) };
        assert_eq!(suite.commit(expecting()), Outcome::Conflict, "{key:?}");
    }
}

fn a_renewed_thread_has_another_version_and_is_the_same(suite: &Suite) {
    suite.begin();
    let thread = ThreadId(7);
    let mut first = commit(1, vec![Record::Live(thread, live())]);
    let before = first.stamp;
    assert_eq!(suite.records.commit(&mut first), Ok(Outcome::Done));
    let renew = |seed, expected| Commit {
        renew: Some(Renewal { thread, progress: (seed == 2).then(|| "0.5".into()) }),
        expect: vec![(Key::Live(thread), Some(expected))],
        ..commit(seed, Vec::new())
    };
    let second = renew(2, before);
    let after = second.stamp;
    assert_eq!(suite.commit(second), Outcome::Done);
    assert_eq!(suite.commit(renew(3, before)), Outcome::Conflict);
    let found = suite.read(Key::Live(thread)).expect("it is live");
    assert_eq!(found.stamp, after);
    let Record::Live(_, found) = found.record else { panic!("another record") };
    assert!(matches!(found.state, State::Present(_)), "it is as it was");
    assert_eq!(found.progress.as_deref(), Some("0.5"));
}

/// One who waits for a failure only.
fn watcher(thread: u64) -> Waiter {
    Waiter { demand: Demand::of_priority(-3), ..Waiter::new(ThreadId(thread), Interest::Failure) }
}

fn scans_are_in_order(suite: &Suite) {
    suite.begin();
    suite.records.reserve(1_000).expect("numbers can be reserved");
    let mut first = commit(1, Vec::new());
    first.fresh = (0..1_000).map(|thread| Record::Live(ThreadId(thread), live())).collect();
    assert_eq!(suite.commit(first), Outcome::Done);
    let waiting = Status::Waiting(Awaited::Thread(9));
    let other = Box::new(Live { status: waiting.clone(), ..*live() });
    let waits = [8, 2, 5].map(|waiter| Record::Wait { future: ThreadId(7).into(), waiter: watcher(waiter) });
    let mut second = commit(2, Vec::from(waits));
    second.put.push(Record::Live(ThreadId(500), other));
    second.put.push(Record::Wait { future: ThreadId(8).into(), waiter: Waiter::new(ThreadId(1), Interest::Outcome) });
    second.delete = [0, 1, 64, 999].map(|thread| Key::Live(ThreadId(thread))).to_vec();
    assert_eq!(suite.commit(second), Outcome::Done);

    let all = suite.records.scan(Range::Live(ThreadId(0)), usize::MAX).expect("live threads can be scanned");
    let expected = (0..1_000).filter(|thread| ![0, 1, 64, 999].contains(thread));
    let expected: Vec<Key> = expected.map(|thread| Key::Live(ThreadId(thread))).collect();
    assert_eq!(all.iter().map(Record::key).collect::<Vec<_>>(), expected);
    let some = suite.records.scan(Range::Live(ThreadId(500)), 2).expect("live threads can be scanned");
    match &some[..] {
        [Record::Live(ThreadId(500), first), Record::Live(ThreadId(501), _)] => assert_eq!(first.status, waiting),
        other => panic!("not the first two from 500 on: {other:?}"),
    }
    let found = suite.read(Key::Live(ThreadId(500))).expect("it is live");
    let Record::Live(_, found) = found.record else { panic!("another record") };
    assert!(matches!(found.state, State::Present(_)), "a scan takes no thread away");
    let waiters = suite.records.scan(Range::Waiters(ThreadId(7).into()), 9).expect("waiters can be scanned");
    let expected = [2, 5, 8].map(|waiter| Key::Wait { future: ThreadId(7).into(), waiter: ThreadId(waiter) });
    assert_eq!(waiters.iter().map(Record::key).collect::<Vec<_>>(), expected);
    assert!(matches!(&waiters[0], Record::Wait { waiter, .. } if *waiter == watcher(2)), "{waiters:?}");
    let crowds = suite.records.scan(Range::Crowds, 9).expect("Futures with many waiters can be scanned");
    let expected = [(7, 2), (8, 1)]
        .map(|(future, waiter)| Key::Wait { future: ThreadId(future).into(), waiter: ThreadId(waiter) });
    assert_eq!(crowds.iter().map(Record::key).collect::<Vec<_>>(), expected);
    let crowds = suite.records.scan(Range::Crowds, 1).expect("Futures with many waiters can be scanned");
    assert_eq!(crowds.len(), 1);
}

fn sessions_are_apart(suite: &Suite) {
    suite.begin();
    let other = suite.storage.session(&session_id(2), &program()).expect("a session can be opened");
    assert_eq!(other.reserve(1), Ok(ThreadId(0)));
    assert_eq!(suite.records.reserve(1), Ok(ThreadId(0)));
    assert_eq!(suite.commit(commit(1, vec![resolved(0, 1)])), Outcome::Done);
    let mut found = Vec::new();
    other.read(&[Key::Future(ThreadId(0).into())], &mut found).expect("records can be read");
    assert!(found[0].is_none());
}

fn numbers_are_reserved_once(suite: &Suite) {
    let reserve = || (0..1_000).map(|_| suite.records.reserve(3).expect("numbers can be reserved").0);
    let mut all: Vec<u64> = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(|| reserve().collect::<Vec<u64>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker reserves")).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..4_000).map(|index| index * 3).collect::<Vec<u64>>());
}

/// Increments a counter until the commit succeeds. Records of two pages are written, so that no lock covers both.
fn numbers_run_out(suite: &Suite) {
    suite.begin();
    assert!(suite.records.reserve(THREADS_MAX - 2).is_ok(), "the first of all numbers");
    assert_eq!(suite.records.reserve(2), Ok(ThreadId(THREADS_MAX - 2)), "the last ones");
    assert!(suite.records.reserve(1).is_err(), "no number is given twice");
}

fn add_one(suite: &Suite, stamps: &mut Stamps<'_>) {
    let keys = [Key::Future(ThreadId(1).into()), Key::Future(ThreadId(300).into())];
    loop {
        let mut found = Vec::new();
        suite.records.read(&keys, &mut found).expect("records can be read");
        let value = match &found[0] {
            Some(found) => match &found.record {
                Record::Future(_, FutureRecord::Resolved(Value::Integer(value))) => *value,
                other => panic!("another record was written: {other:?}"),
            },
            None => 0,
        };
        let mut commit = Commit::new(stamps.next());
        let versions = found.iter().map(|found| found.as_ref().map(|found| found.stamp));
        commit.expect = keys.iter().cloned().zip(versions).collect();
        commit.put = vec![resolved(300, value + 1), resolved(1, value + 1)];
        if suite.records.commit(&mut commit).expect("a commit can be made") == Outcome::Done {
            return;
        }
    }
}

fn of_many_writers_one_wins(suite: &Suite) {
    suite.begin();
    suite.records.reserve(301).expect("numbers can be reserved");
    thread::scope(|scope| {
        for seed in 0..4 {
            scope.spawn(move || {
                let mut stamps = Stamps::of_seed(seed);
                (0..500).for_each(|_| add_one(suite, &mut stamps));
            });
        }
    });
    assert_eq!((suite.value(1), suite.value(300)), (Some(2_000), Some(2_000)));
}
