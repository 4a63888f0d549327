//! The suite of storages that outlive their sessions: large values, histories, lists, and what is removed.

use std::sync::Arc;

use hark_machine::{Thread, Value};

use super::sample::{about, program};
use crate::commit::{Commit, Outcome};
use crate::demand::Demand;
use crate::history::{Event, LogEntry};
use crate::id::{FutureId, SessionId, Stamp, Stamps, ThreadId};
use crate::record::{FutureRecord, Key, Live, Record, SessionRecord, SessionState, State};
use crate::storage::{Catalog, Filter, Range, SessionStorage, Storage, StorageError};
use crate::surroundings::Timestamp;

/// How long the large values are: some parts.
const LARGE: usize = 300_000;

pub(super) fn check_kept(make: &dyn Fn() -> Arc<dyn Storage>) {
    let checks: [fn(&Suite); 8] = [
        large_values_are_whole,
        values_are_there_as_long_as_someone_has_them,
        large_threads_are_written_again_and_again,
        the_history_comes_in_pages,
        all_is_what_was_written,
        sessions_are_listed,
        what_is_removed_is_gone,
        programs_are_kept,
    ];
    for check in checks {
        let storage = make();
        let id = SessionId::new(Timestamp(1_000_000), 1);
        let records = storage.session(&id, &program()).expect("a session can be opened");
        let suite = Suite { storage, id, records };
        suite.begin(&suite.id, &SessionRecord::new(about()));
        check(&suite);
    }
}

struct Suite {
    storage: Arc<dyn Storage>,
    id: SessionId,
    records: Arc<dyn SessionStorage>,
}

fn stamp(seed: u64) -> Stamp {
    Stamps::of_seed(seed).next()
}

/// A text without a pattern.
fn text(length: usize, seed: u64) -> String {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 60) as u8))
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn resolved(thread: u64, text: &str) -> Record {
    Record::Future(ThreadId(thread).into(), FutureRecord::Resolved(Value::string(text)))
}

fn live(text: &str) -> Record {
    Record::Live(ThreadId(1), Live::new(Thread::new(Value::Integer(1), vec![Value::string(text)])))
}

impl Suite {
    fn catalog(&self) -> &dyn Catalog {
        self.storage.catalog().expect("it keeps sessions")
    }

    fn begin(&self, id: &SessionId, record: &SessionRecord) {
        let records = self.storage.session(id, &program()).expect("a session can be opened");
        let mut begun = Commit { put: vec![Record::Session(Box::new(record.clone()))], ..Commit::new(stamp(99)) };
        begun.expect.push((Key::Session, None));
        assert_eq!(records.commit(&mut begun), Ok(Outcome::Done));
        records.reserve(100).expect("numbers can be reserved");
    }

    /// The session as a process sees it that has not written it.
    fn elsewhere(&self) -> Arc<dyn SessionStorage> {
        self.storage.session(&self.id, &program()).expect("a session can be opened")
    }

    fn commit(&self, seed: u64, put: Vec<Record>) {
        assert_eq!(self.records.commit(&mut Commit { put, ..Commit::new(stamp(seed)) }), Ok(Outcome::Done));
    }

    fn read_elsewhere(&self, key: Key) -> Option<Record> {
        let mut found = Vec::new();
        self.elsewhere().read(&[key], &mut found).expect("records can be read");
        found.pop().flatten().map(|found| found.record)
    }

    fn value(&self, thread: u64) -> Option<String> {
        match self.read_elsewhere(Key::Future(ThreadId(thread).into()))? {
            Record::Future(_, FutureRecord::Resolved(Value::String(text))) => Some(text.as_str().to_owned()),
            other => panic!("another record was written: {other:?}"),
        }
    }

    fn delete(&self, seed: u64, delete: Vec<Key>) {
        assert_eq!(self.records.commit(&mut Commit { delete, ..Commit::new(stamp(seed)) }), Ok(Outcome::Done));
    }
}

fn large_values_are_whole(suite: &Suite) {
    let (large, other) = (text(LARGE, 1), text(LARGE, 2));
    suite.commit(1, vec![resolved(1, &large), resolved(2, &other)]);
    assert!(suite.value(1) == Some(large.clone()) && suite.value(2) == Some(other));
    let longer = format!("{}inserted{}", &large[..LARGE / 2], &large[LARGE / 2..]);
    suite.commit(2, vec![resolved(1, &longer)]);
    assert!(suite.value(1) == Some(longer));
    suite.commit(3, vec![resolved(1, "short")]);
    assert_eq!(suite.value(1).as_deref(), Some("short"));
}

fn values_are_there_as_long_as_someone_has_them(suite: &Suite) {
    let large = text(LARGE, 1);
    suite.commit(1, vec![resolved(1, &large), resolved(2, &large)]);
    suite.delete(2, vec![Key::Future(ThreadId(1).into())]);
    assert!(suite.value(1).is_none() && suite.value(2) == Some(large.clone()), "the other one has it still");
    let elsewhere = suite.elsewhere();
    let delete = vec![Key::Future(ThreadId(2).into())];
    assert_eq!(elsewhere.commit(&mut Commit { delete, ..Commit::new(stamp(3)) }), Ok(Outcome::Done));
    assert!(suite.value(2).is_none());
    suite.commit(4, vec![resolved(3, &large), resolved(4, &text(2 * LARGE, 1))]);
    suite.commit(5, vec![resolved(4, &large)]);
    assert!(suite.value(3) == Some(large.clone()) && suite.value(4) == Some(large));
}

fn large_threads_are_written_again_and_again(suite: &Suite) {
    let large = text(LARGE, 1);
    suite.commit(1, vec![live(&large)]);
    let mut version = stamp(1);
    for seed in 2..12 {
        let mut step = Commit::new(stamp(seed));
        step.expect.push((Key::Live(ThreadId(1)), Some(version)));
        step.put.push(live(&format!("{}{seed}{}", &large[..100_000], &large[100_000..])));
        // Two processes take turns at it.
        let records = if seed % 2 == 0 { suite.elsewhere() } else { suite.records.clone() };
        let mut found = Vec::new();
        records.read(&[Key::Live(ThreadId(1))], &mut found).expect("records can be read");
        assert_eq!(found.pop().flatten().map(|found| found.stamp), Some(version));
        assert_eq!(records.commit(&mut step), Ok(Outcome::Done));
        version = stamp(seed);
        match suite.read_elsewhere(Key::Live(ThreadId(1))) {
            Some(Record::Live(_, live)) => assert!(matches!(live.state, State::Present(_))),
            other => panic!("it is not live: {other:?}"),
        }
    }
    let scanned = suite.elsewhere().scan(Range::Live(ThreadId(0)), 9).expect("threads can be scanned");
    assert_eq!(scanned.len(), 1);
}

fn printed(text: &str) -> LogEntry {
    LogEntry { time: Timestamp(5), thread: ThreadId(1), event: Event::Printed { text: text.to_owned(), attempt: None } }
}

fn the_history_comes_in_pages(suite: &Suite) {
    let log = |seed, texts: &[&str]| {
        let log = texts.iter().map(|text| printed(text)).collect();
        suite.records.commit(&mut Commit { log, ..Commit::new(stamp(seed)) })
    };
    assert_eq!(log(1, &["a"]), Ok(Outcome::Done));
    assert_eq!(log(2, &[]), Ok(Outcome::Done));
    assert_eq!(log(3, &["b", "c"]), Ok(Outcome::Done));
    let mut conflict = Commit { log: vec![printed("lost")], ..Commit::new(stamp(4)) };
    conflict.expect.push((Key::Session, None));
    assert_eq!(suite.records.commit(&mut conflict), Ok(Outcome::Conflict));
    assert_eq!(log(5, &["d"]), Ok(Outcome::Done));
    let page = |after, limit| -> Vec<(u64, String)> {
        let found = suite.elsewhere().history(after, limit).expect("the history can be read");
        let text = |(position, entry): (u64, LogEntry)| match entry.event {
            Event::Printed { text, .. } => (position, text),
            other => panic!("another event was written: {other:?}"),
        };
        found.into_iter().map(text).collect()
    };
    let all = page(0, 9);
    assert_eq!(all.iter().map(|(_, text)| &text[..]).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|index: usize| all[index].0);
    assert!(0 < first && first < second && second == third && third < fourth, "{all:?}");
    assert_eq!((page(0, 1), page(first, 1)), (all[..1].to_vec(), all[1..3].to_vec()));
    assert_eq!((page(second, 9), page(fourth, 9)), (all[3..].to_vec(), Vec::new()));
}

fn all_is_what_was_written(suite: &Suite) {
    let promise = FutureId::Promise("mail/1".into());
    let records = vec![
        live(&text(LARGE, 1)),
        resolved(2, &text(LARGE, 1)),
        Record::Ready(ThreadId(1), Demand::default()),
        Record::Cancel(ThreadId(1)),
        Record::Todo(promise.clone()),
        Record::Future(promise, FutureRecord::AwaitedBy(ThreadId(1))),
    ];
    let keys: Vec<Key> = records.iter().map(Record::key).collect();
    let mut written = Commit { put: records, log: vec![printed("a")], ..Commit::new(stamp(1)) };
    assert_eq!(suite.records.commit(&mut written), Ok(Outcome::Done));
    let all = suite.elsewhere().all().expect("all can be read");
    assert_eq!(all.session, SessionRecord::new(about()));
    let mut found: Vec<Key> = all.records.iter().map(Record::key).collect();
    found.sort();
    let mut expected = keys;
    expected.sort();
    assert_eq!((found, all.history.len()), (expected, 1));
}

fn sessions_are_listed(suite: &Suite) {
    let (running, finished) = (SessionRecord::new(about()), SessionState::Finished);
    let ended = |at| SessionRecord { state: finished, ended: Some(Timestamp(at)), ..running.clone() };
    let ids = [2, 3, 4].map(|second| SessionId::new(Timestamp(second * 1_000_000), 1));
    for (id, record) in ids.iter().zip([ended(7), running.clone(), ended(9)]) {
        suite.begin(id, &record);
    }
    let list = |filter| -> Vec<SessionId> {
        let listed = suite.catalog().list(&filter).expect("sessions can be listed");
        listed.into_iter().map(|listed| listed.expect("it is whole").id).collect()
    };
    let [second, third, fourth] = ids.clone();
    let first = suite.id.clone();
    assert_eq!(
        list(Filter::default()),
        [fourth.clone(), third.clone(), second.clone(), first.clone()],
        "the newest first"
    );
    assert_eq!(list(Filter { limit: Some(2), ..Filter::default() }), [fourth.clone(), third.clone()]);
    assert_eq!(list(Filter { state: Some(finished), ..Filter::default() }), [fourth.clone(), second.clone()]);
    assert_eq!(list(Filter { prefix: Some(third.to_string()), ..Filter::default() }), std::slice::from_ref(&third));
    let outside =
        |before, after| Filter { ended_outside: Some((Timestamp(before), Timestamp(after))), ..Filter::default() };
    assert_eq!(list(outside(7, 9)), std::slice::from_ref(&second));
    assert_eq!(list(outside(6, 8)), [fourth]);
    assert_eq!(suite.catalog().record(&second), Ok(Some((stamp(99), ended(7)))));
    assert_eq!(suite.catalog().record(&SessionId::new(Timestamp(9), 9)), Ok(None));
}

fn what_is_removed_is_gone(suite: &Suite) {
    let catalog = suite.catalog();
    suite.commit(1, vec![resolved(1, &text(LARGE, 1)), Record::Ready(ThreadId(1), Demand::default())]);
    assert_eq!(catalog.clear(&suite.id, stamp(98)), Ok(false), "it has another version");
    assert!(suite.value(1).is_some());
    assert_eq!(catalog.clear(&suite.id, stamp(99)), Ok(true));
    assert!(suite.value(1).is_none() && suite.read_elsewhere(Key::Ready(ThreadId(1))).is_none());
    assert!(suite.read_elsewhere(Key::Session).is_some());
    assert_eq!(catalog.remove(&suite.id, stamp(98)), Ok(false), "it has another version");
    assert_eq!(catalog.remove(&suite.id, stamp(99)), Ok(true));
    assert_eq!(catalog.record(&suite.id), Ok(None));
    assert!(suite.read_elsewhere(Key::Session).is_none());
    let mut late = Commit { put: vec![Record::Ready(ThreadId(1), Demand::default())], ..Commit::new(stamp(2)) };
    assert_eq!(suite.records.commit(&mut late), Err(StorageError::Gone), "nothing is written of what is gone");
    assert!(suite.read_elsewhere(Key::Ready(ThreadId(1))).is_none());
}

fn programs_are_kept(suite: &Suite) {
    let (program, catalog) = (program(), suite.catalog());
    let hash = program.hash().to_string();
    assert_eq!(catalog.put_program(&hash, program.executable()), Ok(()));
    assert_eq!(catalog.put_program(&hash, program.executable()), Ok(()), "it is there already");
    let kept = catalog.program(&hash).expect("it is there");
    assert_eq!(kept.hash().to_string(), hash);
    assert!(catalog.program("0123").is_err());
}
