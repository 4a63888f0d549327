//! The history, what there is of a session in all, which sessions there are, and what is removed.

use super::{BEGUN, Check, Suite, change, live, resolved, session, stamp};
use crate::commit::Outcome;
use crate::demand::Demand;
use crate::id::{SessionId, ThreadId};
use crate::record::{Key, Record, SessionState};
use crate::rows::{Row, RowChange};
use crate::storage::Filter;
use crate::surroundings::Timestamp;

pub(super) const CHECKS: &[Check] = &[
    the_history_has_each_page_once_and_in_order,
    a_list_has_the_sessions_that_fit,
    a_removed_session_is_gone_and_may_begin_anew,
    a_cleared_session_has_its_own_row,
    programs_are_kept_under_their_hashes,
];

fn the_history_has_each_page_once_and_in_order(suite: &Suite) {
    let pages = |number, texts: &[&str]| {
        let history = texts.iter().map(|text| (*text).to_owned()).collect();
        suite.done(RowChange { put: suite.rows(number, &[live(1, 1)]), history, ..change(number) });
    };
    pages(1, &["a"]);
    pages(2, &[]);
    pages(3, &["b", "c\n☃", "b", ""]);
    let long = "long".repeat(100_000);
    pages(4, &[&long]);
    // In pages of any size, it is the same.
    let expected = ["a", "b", "c\n☃", "b", "", &long];
    for limit in 1..=expected.len() + 1 {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = suite.elsewhere().history(after, limit).expect("the history can be read");
            assert!(page.len() <= limit);
            let Some((last, _)) = page.last() else { break };
            assert!(page.iter().zip(&page[1..]).all(|(one, next)| one.0 < next.0) && page[0].0 > after, "{limit}");
            after = *last;
            found.extend(page.into_iter().map(|(_, text)| text));
        }
        assert!(found == expected, "{limit} at a time");
    }
    let positions = || -> Vec<u64> {
        let found = suite.elsewhere().history(0, usize::MAX).expect("the history can be read");
        found.into_iter().map(|(position, _)| position).collect()
    };
    let before = positions();
    pages(5, &["d"]);
    assert_eq!(positions()[..before.len()], before, "positions stay");
    assert!(suite.elsewhere().all().expect("all can be read").history.into_iter().eq([&expected[..], &["d"]].concat()));
    let other = suite.storage.session(&SessionId::new(Timestamp(1_000_000), 2)).expect("a session can be opened");
    assert_eq!(other.history(0, 9), Ok(Vec::new()), "each session has its own");
}

fn a_list_has_the_sessions_that_fit(suite: &Suite) {
    let id = |second: u64| SessionId::new(Timestamp(second * 1_000_000), 7);
    let of = |second, state, ended| (id(second), session(state, ended));
    let all = [
        of(2, SessionState::Finished, Some(20)),
        of(3, SessionState::Broken, Some(30)),
        of(4, SessionState::Running, None),
        of(5, SessionState::Finished, Some(10)),
        of(6, SessionState::Cancelled, Some(40)),
    ];
    for (id, record) in &all {
        suite.begin(id);
        let rows = suite.storage.session(id).expect("a session can be opened");
        let put = [record, &resolved(ThreadId(41), 1)].map(|record| suite.row_of(id, 5, record, None)).to_vec();
        assert_eq!(rows.commit(RowChange { put, ..change(5) }), Ok(Outcome::Done));
    }
    let check = |filter: Filter, expected: &[u64]| {
        let listed = suite.storage.sessions(&filter).expect("sessions can be listed");
        let found: Vec<SessionId> = listed.iter().map(|entry| entry.id.clone()).collect();
        let expected: Vec<SessionId> =
            expected.iter().map(|second| if *second == 1 { suite.id.clone() } else { id(*second) }).collect();
        assert_eq!(found, expected, "{filter:?}");
        for entry in listed {
            let own = suite.storage.summary(&entry.id).expect("it can be read").expect("it is there");
            let row = entry.row.expect("it is whole");
            let known = |row: &Row| (row.stamp, row.seal, row.listing.clone(), row.summary.clone());
            assert_eq!(known(&row), known(&own));
            assert!(
                entry.id == suite.id || entry.threads >= 42,
                "{} threads, and one has the number 41",
                entry.threads
            );
        }
    };
    let with = |state| Filter { state: Some(state), ..Filter::default() };
    let outside = |before, after| Some((Timestamp(before), Timestamp(after)));
    check(Filter::default(), &[6, 5, 4, 3, 2, 1]);
    check(with(SessionState::Finished), &[5, 2]);
    check(with(SessionState::Running), &[4, 1]);
    check(with(SessionState::Moving), &[]);
    check(Filter { limit: Some(2), ..Filter::default() }, &[6, 5]);
    check(Filter { limit: Some(1), ..with(SessionState::Broken) }, &[3]);
    check(Filter { limit: Some(0), ..Filter::default() }, &[]);
    check(Filter { ended_outside: outside(10, 30), ..Filter::default() }, &[6, 5]);
    check(Filter { ended_outside: outside(9, 29), ..Filter::default() }, &[6, 3]);
    check(Filter { ended_outside: outside(20, 99), limit: Some(1), ..with(SessionState::Finished) }, &[5]);
    let whole = id(4).to_string();
    check(Filter { prefix: Some(whole.clone()), ..Filter::default() }, &[4]);
    check(Filter { prefix: Some(whole), ..with(SessionState::Broken) }, &[]);
    check(Filter { prefix: Some("zz".to_owned()), ..Filter::default() }, &[]);
    check(Filter { prefix: Some(String::new()), ..Filter::default() }, &[6, 5, 4, 3, 2, 1]);
}

/// Rows of many kinds, and a page.
fn fill(suite: &Suite, number: u64) {
    let records = [
        live(1, 1),
        resolved(ThreadId(2), 1),
        Record::Ready(ThreadId(1), Demand::default()),
        Record::Todo(ThreadId(2).into()),
    ];
    suite.done(RowChange { put: suite.rows(number, &records), history: vec!["page".to_owned()], ..change(number) });
}

fn is_empty(suite: &Suite, but: &[Key]) -> bool {
    let all = suite.elsewhere().all().expect("all can be read");
    let history = suite.elsewhere().history(0, 9).expect("the history can be read");
    all.rows.iter().map(|(key, _)| key).eq(but) && all.history.is_empty() && history.is_empty()
}

fn a_removed_session_is_gone_and_may_begin_anew(suite: &Suite) {
    fill(suite, 1);
    assert_eq!(suite.storage.remove(&suite.id, stamp(1)), Ok(false), "its own row has another version");
    assert!(!is_empty(suite, &[Key::Session]));
    assert_eq!(suite.storage.remove(&suite.id, stamp(BEGUN)), Ok(true));
    assert_eq!(suite.storage.remove(&suite.id, stamp(BEGUN)), Ok(false), "it is gone");
    assert!(is_empty(suite, &[]) && suite.storage.summary(&suite.id) == Ok(None));
    assert!(suite.storage.sessions(&Filter::default()).expect("sessions can be listed").is_empty());
    suite.begin(&suite.id);
    assert!(is_empty(suite, &[Key::Session]), "what begins under the same id has none of it");
}

fn a_cleared_session_has_its_own_row(suite: &Suite) {
    fill(suite, 1);
    let own = suite.storage.summary(&suite.id).expect("it can be read");
    assert_eq!(suite.storage.clear(&suite.id, stamp(1)), Ok(false), "its own row has another version");
    assert!(!is_empty(suite, &[Key::Session]));
    assert_eq!(suite.storage.clear(&suite.id, stamp(BEGUN)), Ok(true));
    assert!(is_empty(suite, &[Key::Session]));
    assert_eq!(suite.storage.summary(&suite.id), Ok(own));
    let other = SessionId::new(Timestamp(9), 9);
    assert_eq!((suite.storage.clear(&other, stamp(1)), suite.storage.remove(&other, stamp(1))), (Ok(false), Ok(false)));
}

fn programs_are_kept_under_their_hashes(suite: &Suite) {
    let (one, other): (Vec<u8>, Vec<u8>) = ((0..=255).collect(), vec![7; 300_000]);
    let storage = &suite.storage;
    assert_eq!((storage.put_program("0a", &one), storage.put_program("0b", &other)), (Ok(()), Ok(())));
    assert_eq!(storage.put_program("0a", &one), Ok(()), "it is there already");
    assert!(storage.program("0a") == Ok(Some(one)) && storage.program("0b") == Ok(Some(other)));
    assert_eq!(storage.program("0c"), Ok(None));
}
