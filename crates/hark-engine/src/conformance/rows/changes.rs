//! Changes: all of one or nothing, as if each were alone.

use super::{BEGUN, Check, Suite, change, live, promise, resolved, stamp};
use crate::commit::Outcome;
use crate::conformance::sample::program;
use crate::conformance::storage::every_kind;
use crate::demand::Demand;
use crate::id::{SessionId, ThreadId};
use crate::record::{Due, Key, Record};
use crate::rows::{AllRows, Lookup, Row, RowChange, RowRenewal, RowTenure};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

pub(super) const CHECKS: &[Check] = &[
    rows_are_as_they_were_written,
    who_knows_a_version_need_not_be_given_it,
    a_conflict_leaves_no_trace,
    many_fresh_rows_come_together_or_not_at_all,
    a_change_that_lands_twice_changes_nothing_more,
    a_session_begins_once,
    nothing_is_written_of_a_session_that_is_not_there,
    a_renewal_changes_the_version_and_nothing_else,
    changes_that_come_together_are_each_as_if_alone,
    numbers_are_the_sessions_whoever_reserves_them,
    numbers_are_greater_than_those_of_rows,
];

fn rows_are_as_they_were_written(suite: &Suite) {
    let names = ["", "a", "a\0", "a\0b", "aa", "A", "a/1", "é☃😀", "%", "'\"\\\n", &"long".repeat(200)];
    let mut records = every_kind();
    records.extend(names.iter().zip(1..).map(|(name, value)| resolved(promise(name), value)));
    let mut rows = suite.rows(1, &records);
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    suite.done(RowChange { put: rows.clone(), ..change(1) });
    for (key, row) in &rows {
        assert_eq!(suite.read(key).as_ref(), Some(row), "{key:?}");
    }
    // Each by itself, in the order that is asked for, also twice, and those that are not there.
    let asked = [&rows[4].0, &Key::Live(ThreadId(1_500)), &rows[1].0, &rows[4].0];
    let found = suite.elsewhere().read(&asked.map(|key| Lookup { key, known: None })).expect("rows can be read");
    assert_eq!(found, [Some(rows[4].1.clone()), None, Some(rows[1].1.clone()), Some(rows[4].1.clone())]);
    // What is put replaces all that there was: that it was due, too.
    let due = suite.row_of(&suite.id, 2, &live(7, 1), Some(Due::At(Timestamp(5))));
    suite.done(RowChange { put: vec![due.clone()], ..change(2) });
    assert_eq!(suite.read(&due.0), Some(due.1));
    let (key, row) = suite.row(3, &live(7, 2));
    suite.done(RowChange { put: vec![(key.clone(), row.clone())], ..change(3) });
    assert_eq!(suite.read(&key), Some(row));
}

fn who_knows_a_version_need_not_be_given_it(suite: &Suite) {
    suite.put(1, &[live(7, 1)]);
    suite.put(2, &[live(7, 2)]);
    let (key, row) = suite.row(2, &live(7, 2));
    let read = |known| {
        let found = suite.elsewhere().read(&[Lookup { key: &key, known: Some(stamp(known)) }]);
        found.expect("rows can be read").pop().flatten().expect("it is there")
    };
    assert_eq!(read(2).stamp, stamp(2));
    assert_eq!(read(1), row, "it is another version than the one that is known");
    assert_eq!(read(3), row, "it is another version than the one that is known");
}

/// Everything that can be seen of the session, and that there are no others.
fn everything(suite: &Suite) -> (Vec<(Key, Row)>, Vec<String>) {
    let AllRows { mut rows, history } = suite.elsewhere().all().expect("all can be read");
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    (rows, history)
}

/// A change that does something of everything, if that is as it should be.
fn of_everything(suite: &Suite, number: u64) -> RowChange {
    RowChange {
        expect: vec![
            (Key::Session, Some(stamp(BEGUN))),
            (Key::Live(ThreadId(1)), Some(stamp(1))),
            (Key::Future(ThreadId(3).into()), None),
        ],
        fresh: suite.rows(number, &[live(10, 1), live(11, 1)]),
        put: suite
            .rows(number, &[live(1, 2), resolved(ThreadId(3), 3), Record::Ready(ThreadId(10), Demand::default())]),
        delete: vec![Key::Live(ThreadId(2))],
        history: vec![format!("page {number}")],
        ..change(number)
    }
}

fn a_conflict_leaves_no_trace(suite: &Suite) {
    suite.put(1, &[live(1, 1), live(2, 1)]);
    let before = everything(suite);
    // Whichever of the rows is not as expected, and whether it is another version, there, or not there.
    let wrong = [
        (0, (Key::Session, Some(stamp(7)))),
        (0, (Key::Session, None)),
        (1, (Key::Live(ThreadId(1)), Some(stamp(7)))),
        (1, (Key::Live(ThreadId(1)), None)),
        (1, (Key::Live(ThreadId(5)), Some(stamp(1)))),
        (2, (Key::Future(ThreadId(3).into()), Some(stamp(1)))),
        (2, (Key::Live(ThreadId(2)), None)),
    ];
    for (index, expected) in wrong {
        let mut change = of_everything(suite, 2);
        change.expect[index] = expected.clone();
        assert_eq!(suite.rows.commit(change), Ok(Outcome::Conflict), "{expected:?}");
        assert_eq!(everything(suite), before, "{expected:?}");
    }
    suite.done(of_everything(suite, 3));
    let (rows, history) = everything(suite);
    let mut expected =
        suite.rows(3, &[live(1, 2), live(10, 1), live(11, 1), Record::Ready(ThreadId(10), Demand::default())]);
    expected.extend(suite.rows(3, &[resolved(ThreadId(3), 3)]));
    expected.extend(before.0.into_iter().filter(|(key, _)| *key == Key::Session));
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!((rows, history), (expected, vec!["page 3".to_owned()]));
    // To remove what is not there is no conflict.
    suite.done(RowChange { delete: vec![Key::Live(ThreadId(2)), Key::Cancel(ThreadId(99))], ..change(4) });
}

fn many_fresh_rows_come_together_or_not_at_all(suite: &Suite) {
    const COUNT: u64 = 300;
    let fresh =
        |number| -> Vec<(Key, Row)> { (100..100 + COUNT).map(|thread| suite.row(number, &live(thread, 1))).collect() };
    let of_version = |number, version| RowChange {
        expect: vec![(Key::Live(ThreadId(1)), version)],
        put: suite.rows(number, &[live(1, 1)]),
        fresh: fresh(number),
        ..change(number)
    };
    let before = everything(suite);
    assert_eq!(suite.rows.commit(of_version(1, Some(stamp(9)))), Ok(Outcome::Conflict));
    assert_eq!(everything(suite), before);
    suite.done(of_version(2, None));
    for thread in [100, 100 + COUNT / 2, 100 + COUNT - 1] {
        assert_eq!(suite.version(&Key::Live(ThreadId(thread))), Some(2));
    }
    assert_eq!(everything(suite).0.len() as u64, COUNT + 2);
}

/// The answer of a change may have been lost, and it may be made again, or land long after.
fn a_change_that_lands_twice_changes_nothing_more(suite: &Suite) {
    suite.put(1, &[live(1, 1), live(2, 1)]);
    suite.done(of_everything(suite, 2));
    let after = everything(suite);
    assert_eq!(suite.rows.commit(of_everything(suite, 2)), Ok(Outcome::Conflict), "what it expects is gone");
    assert_eq!(everything(suite), after);
    // Others have gone on since.
    suite.put(3, &[live(1, 3)]);
    suite.done(RowChange { delete: vec![Key::Live(ThreadId(11))], ..change(4) });
    let after = everything(suite);
    assert_eq!(suite.rows.commit(of_everything(suite, 2)), Ok(Outcome::Conflict));
    assert_eq!(everything(suite), after, "none of its fresh rows comes back");
    // One that expects nothing does what it says again.
    suite.put(5, &[Record::Ready(ThreadId(1), Demand::default())]);
    suite.put(5, &[Record::Ready(ThreadId(1), Demand::default())]);
    assert_eq!(suite.version(&Key::Ready(ThreadId(1))), Some(5));
}

fn a_session_begins_once(suite: &Suite) {
    let before = everything(suite);
    let mut again = suite.beginning(&suite.id);
    again.put.extend(suite.rows(BEGUN, &[live(0, 1)]));
    again.history.push("again".to_owned());
    assert_eq!(suite.rows.commit(again), Ok(Outcome::Conflict));
    assert_eq!(everything(suite), before);
    let hash = program().hash().to_string();
    let kept = suite.storage.program(&hash).expect("programs can be read");
    assert!(kept == Some(program().executable().encode()), "its program is there since it began");
    assert_eq!(suite.storage.remove_programs(), Ok(()));
    assert!(suite.storage.program(&hash).expect("programs can be read").is_some(), "a session has it");
}

fn nothing_is_written_of_a_session_that_is_not_there(suite: &Suite) {
    let id = SessionId::new(Timestamp(1_000_000), 2);
    let other = suite.storage.session(&id).expect("a session can be opened");
    let put = || vec![suite.row_of(&id, 1, &live(1, 1), None)];
    let of_it = |expect| RowChange { expect, put: put(), history: vec!["page".to_owned()], ..change(1) };
    assert_eq!(other.commit(of_it(Vec::new())), Err(StorageError::Gone));
    assert_eq!(other.commit(of_it(vec![(Key::Live(ThreadId(1)), None)])), Ok(Outcome::Conflict));
    assert_eq!(other.commit(of_it(vec![(Key::Live(ThreadId(1)), Some(stamp(1)))])), Ok(Outcome::Conflict));
    assert_eq!(other.commit(RowChange { delete: vec![Key::Ready(ThreadId(1))], ..change(1) }), Ok(Outcome::Done));
    let AllRows { rows, history } = other.all().expect("all can be read");
    assert!(rows.is_empty() && history.is_empty(), "there is nothing of it");
    assert_eq!(suite.storage.summary(&id), Ok(None));
}

fn a_renewal_changes_the_version_and_nothing_else(suite: &Suite) {
    let (key, row) = suite.row_of(&suite.id, 1, &live(1, 1), Some(Due::Leased(Timestamp(77))));
    suite.done(RowChange { put: vec![(key.clone(), row.clone())], ..change(1) });
    let renewal = |number, expected, summary| RowChange {
        expect: vec![(key.clone(), Some(stamp(expected)))],
        renew: Some(RowRenewal { key: key.clone(), summary }),
        history: vec!["printed".to_owned()],
        ..change(number)
    };
    suite.done(renewal(2, 1, None));
    assert_eq!(suite.read(&key), Some(Row { stamp: stamp(2), ..row.clone() }), "it is due as before, too");
    assert_eq!(suite.rows.commit(renewal(3, 1, None)), Ok(Outcome::Conflict));
    let (_, other) = suite.row(4, &live(1, 2));
    suite.done(renewal(4, 2, Some((row.summary.clone() + " ", other.seal))));
    let expected = Row { stamp: stamp(4), summary: row.summary.clone() + " ", seal: other.seal, ..row };
    assert_eq!(suite.read(&key), Some(expected));
    assert_eq!(everything(suite).1.len(), 2, "what conflicts prints nothing");
}

fn changes_that_come_together_are_each_as_if_alone(suite: &Suite) {
    suite.put(1, &[live(1, 1), live(2, 1), live(3, 1), live(4, 1)]);
    let step = |number, thread: u64, expected| RowChange {
        expect: vec![(Key::Live(ThreadId(thread)), Some(stamp(expected)))],
        put: suite.rows(number, &[live(thread, 2)]),
        history: vec![format!("thread {thread}")],
        ..change(number)
    };
    let all = vec![step(10, 1, 9), step(11, 2, 1), step(12, 3, 9), step(13, 4, 1), step(14, 2, 11)];
    let outcomes = suite.rows.commit_all(all);
    let expected = [Outcome::Conflict, Outcome::Done, Outcome::Conflict, Outcome::Done, Outcome::Done].map(Ok);
    assert_eq!(outcomes, expected);
    let versions = [1, 2, 3, 4].map(|thread| suite.version(&Key::Live(ThreadId(thread))));
    assert_eq!(versions, [Some(1), Some(14), Some(1), Some(13)]);
    let mut pages = everything(suite).1;
    // Of the two pages that do not depend on each other, either may be first.
    pages[..2].sort();
    assert_eq!(pages, ["thread 2", "thread 4", "thread 2"]);
    assert_eq!(suite.rows.commit_all(Vec::new()), []);
}

fn numbers_are_the_sessions_whoever_reserves_them(suite: &Suite) {
    let first = suite.rows.reserve(3).expect("numbers can be reserved");
    assert!(first >= 2_000, "these are reserved already");
    let next = [suite.rows.reserve(0), suite.rows.reserve(0)];
    assert_eq!(next, [Ok(first + 3), Ok(first + 3)], "the next one, which is not reserved by that");
    let second = suite.rows.reserve(1).expect("numbers can be reserved");
    assert!(second >= first + 3, "none is given twice");
    if !matches!(suite.storage.tenure(), RowTenure::Servers(_)) {
        let third = suite.elsewhere().reserve(1).expect("numbers can be reserved");
        assert!(third > second, "another process may have numbers in reserve, but none of these");
    }
    let others = suite.storage.session(&SessionId::new(Timestamp(1_000_000), 2)).expect("a session can be opened");
    assert_eq!(others.reserve(1), Ok(0), "each session has its own");
}

fn numbers_are_greater_than_those_of_rows(suite: &Suite) {
    let id = SessionId::new(Timestamp(1_000_000), 3);
    // As an import writes it, which reserves nothing.
    let rows = suite.storage.session(&id).expect("a session can be opened");
    let mut begins = suite.beginning(&id);
    begins
        .put
        .extend([live(5, 1), resolved(ThreadId(8), 1)].iter().map(|record| suite.row_of(&id, BEGUN, record, None)));
    assert_eq!(rows.commit(begins), Ok(Outcome::Done));
    let first = suite.storage.session(&id).expect("a session can be opened").reserve(2);
    assert!(first.as_ref().is_ok_and(|first| *first > 8), "{first:?}: a Future has the number 8");
}
