//! Rows that are due, where the engine takes threads by them. What is due may lag behind what has been written, so that it is asked
//! for until it is as expected.

use std::thread;
use std::time::{Duration, Instant};

use super::{Check, Suite, change, live, stamp};
use crate::commit::Outcome;
use crate::demand::Demand;
use crate::id::{SessionId, ThreadId};
use crate::place::Pools;
use crate::record::{Due, Key, Record, SessionState, Started};
use crate::rows::{DueKind, DueNumber, DueRow, DueRows, Row, RowChange, RowTenure, SetDue, Taking};
use crate::surroundings::Timestamp;

pub(super) const CHECKS: &[Check] = &[
    due_rows_come_in_their_order_and_between_their_bounds,
    what_is_written_over_or_removed_is_not_due_as_it_was,
    due_rows_are_changed_each_by_itself,
    who_changes_when_a_row_is_due_changes_nothing_else,
    the_rows_of_a_start_are_told_until_its_thread_is_written,
];

/// For so long an answer may lag behind.
const LAG_MAX: Duration = Duration::from_secs(60);

impl Suite {
    /// None if threads are leased in another way.
    fn due_rows(&self) -> Option<&dyn DueRows> {
        match self.storage.tenure() {
            RowTenure::Due(rows) => Some(rows),
            _ => None,
        }
    }

    fn put_due(&self, number: u64, due: &[(Record, Option<Due>)]) {
        let put = due.iter().map(|(record, due)| self.row_of(&self.id, number, record, *due)).collect();
        self.done(RowChange { put, ..change(number) });
    }
}

fn at(time: u64) -> Due {
    Due::At(Timestamp(time))
}

fn last_at(time: u64) -> DueNumber {
    DueNumber::last_at(Timestamp(time))
}

/// What is asked for.
struct Asked<'a> {
    rows: &'a dyn DueRows,
    kind: DueKind<'a>,
    only: Option<&'a SessionId>,
}

impl Asked<'_> {
    fn find(&self, after: DueNumber, until: DueNumber, limit: usize) -> Vec<DueRow> {
        self.rows.due(self.kind, self.only, after, until, limit).expect("due rows can be found")
    }

    /// Asks until these are due, in this order.
    fn check(&self, after: DueNumber, until: DueNumber, limit: usize, expected: &[Key]) {
        let begun = Instant::now();
        loop {
            let found: Vec<Key> = self.find(after, until, limit).into_iter().map(|row| row.key).collect();
            if found == expected || begun.elapsed() > LAG_MAX {
                assert_eq!(found, expected, "after {after:?}, until {until:?}, {limit} at most");
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn check_all(&self, expected: &[Key]) {
        self.check(DueNumber::AT_TAKEOVER, DueNumber::last_at(Timestamp::MAX), usize::MAX, expected);
    }
}

fn key(thread: u64) -> Key {
    Key::Live(ThreadId(thread))
}

fn due_rows_come_in_their_order_and_between_their_bounds(suite: &Suite) {
    let Some(rows) = suite.due_rows() else { return };
    assert!(rows.lease() > Duration::ZERO);
    let (ready, todo) = (
        |thread| Record::Ready(ThreadId(thread), Demand::default()),
        |thread: u64| Record::Todo(ThreadId(thread).into()),
    );
    let cascade = Record::Cascade(ThreadId(9), Started::default());
    suite.put_due(
        1,
        &[
            (live(1, 1), Some(at(30))),
            (live(2, 1), Some(at(10))),
            (live(3, 1), None),
            (live(4, 1), Some(Due::Leased(Timestamp(20)))),
            (live(5, 1), Some(Due::AtTakeover)),
            (ready(2), Some(at(15))),
            (ready(1), Some(Due::Leased(Timestamp(40)))),
            (todo(7), Some(at(12))),
            (todo(8), Some(at(32))),
            (cascade, Some(at(22))),
        ],
    );
    let other = SessionId::new(Timestamp(1_000_000), 2);
    suite.begin(&other);
    let put = vec![suite.row_of(&other, 2, &live(6, 1), Some(Due::Withdrawn(Timestamp(25))))];
    let others = suite.storage.session(&other).expect("a session can be opened");
    assert_eq!(others.commit(RowChange { put, ..change(2) }), Ok(Outcome::Done));

    let (ready_one, ready_two) = (Key::Ready(ThreadId(1)), Key::Ready(ThreadId(2)));
    let all = Asked { rows, kind: DueKind::Threads(&Pools::All), only: None };
    let in_order = [key(2), ready_two.clone(), key(4), key(6), key(1), ready_one.clone()];
    all.check_all(&in_order);
    all.check(DueNumber::AT_TAKEOVER, last_at(25), usize::MAX, &in_order[..4]);
    all.check(DueNumber::AT_TAKEOVER, at(20).into(), usize::MAX, &in_order[..2]);
    all.check(DueNumber::AT_TAKEOVER, Due::Leased(Timestamp(20)).into(), usize::MAX, &in_order[..3]);
    all.check(at(10).into(), last_at(30), usize::MAX, &in_order[1..5]);
    all.check(last_at(9), last_at(30), usize::MAX, &in_order[..5]);
    all.check(last_at(10), last_at(10), usize::MAX, &[]);
    for limit in [0, 1, 3] {
        all.check(DueNumber::AT_TAKEOVER, last_at(99), limit, &in_order[..limit]);
    }
    let own = Asked { only: Some(&suite.id), ..all };
    own.check_all(&[key(2), ready_two, key(4), key(1), ready_one]);
    own.check(last_at(15), last_at(99), 2, &[key(4), key(1)]);
    Asked { only: Some(&other), ..own }.check_all(&[key(6)]);
    let left = Asked { kind: DueKind::Leftovers, only: None, ..own };
    let leftovers = [Key::Todo(ThreadId(7).into()), Key::Cascade(ThreadId(9)), Key::Todo(ThreadId(8).into())];
    left.check_all(&leftovers);
    left.check(DueNumber::AT_TAKEOVER, last_at(22), 9, &leftovers[..2]);
    let found = left.find(DueNumber::AT_TAKEOVER, last_at(99), 1).pop().expect("it is due");
    assert_eq!((found.session, found.row.stamp, found.row.due), (suite.id.clone(), stamp(1), Some(at(12).into())));
}

fn what_is_written_over_or_removed_is_not_due_as_it_was(suite: &Suite) {
    let Some(rows) = suite.due_rows() else { return };
    let asked = Asked { rows, kind: DueKind::Threads(&Pools::All), only: None };
    suite.put_due(1, &[(live(1, 1), Some(at(10))), (live(2, 1), Some(at(20))), (live(3, 1), Some(at(30)))]);
    asked.check_all(&[1, 2, 3].map(key));
    suite.put_due(2, &[(live(1, 1), Some(at(40))), (live(2, 1), None)]);
    asked.check_all(&[3, 1].map(key));
    suite.done(RowChange { delete: vec![key(3)], ..change(3) });
    asked.check_all(&[key(1)]);
    assert_eq!(suite.storage.remove(&suite.id, stamp(super::BEGUN)), Ok(true));
    asked.check_all(&[]);
}

impl Suite {
    fn set(&self, thread: u64, expected: u64, new: Option<u64>, due: Option<Due>) -> SetDue {
        let (expected, stamp) = (stamp(expected), new.map(stamp));
        SetDue { session: self.id.clone(), key: key(thread), expected, stamp, due: due.map(Into::into) }
    }
}

fn due_rows_are_changed_each_by_itself(suite: &Suite) {
    let Some(rows) = suite.due_rows() else { return };
    let threads = [1, 2, 3, 4].map(|thread| (live(thread, 1), Some(at(thread))));
    suite.put_due(1, &threads);
    let elsewhere = SetDue { session: SessionId::new(Timestamp(9), 9), ..suite.set(1, 1, None, Some(at(99))) };
    let changes = [
        suite.set(1, 1, Some(11), Some(at(50))),
        suite.set(2, 7, Some(12), Some(at(50))),
        suite.set(9, 1, Some(13), Some(at(50))),
        elsewhere,
        suite.set(3, 1, None, Some(at(40))),
        suite.set(4, 1, Some(14), None),
    ];
    assert_eq!(rows.set_due(&changes), Ok(vec![true, false, false, false, true, true]));
    let late = suite.set(1, 1, Some(15), Some(at(60)));
    assert_eq!(rows.set_due(&[late]), Ok(vec![false]), "it has another version by now");
    let versions = [1, 2, 3, 4, 9].map(|thread| suite.version(&key(thread)));
    assert_eq!(versions, [Some(11), Some(1), Some(1), Some(14), None]);
    Asked { rows, kind: DueKind::Threads(&Pools::All), only: None }.check_all(&[2, 3, 1].map(key));
    assert_eq!(rows.set_due(&[]), Ok(Vec::new()));
    // Whoever expects the version before finds that in conflict.
    let late = RowChange { expect: vec![(key(1), Some(stamp(1)))], put: suite.rows(5, &[live(1, 2)]), ..change(5) };
    assert_eq!(suite.rows.commit(late), Ok(Outcome::Conflict));
}

/// A storage need not tell them, but those that it tells are right.
fn the_rows_of_a_start_are_told_until_its_thread_is_written(suite: &Suite) {
    let Some(rows) = suite.due_rows() else { return };
    let id = SessionId::new(Timestamp(1_000_001), 2);
    let mut start = suite.beginning(&id);
    let own = start.put[0].1.clone();
    let (first, thread) = suite.row_of(&id, super::BEGUN, &live(0, 7), Some(at(10)));
    start.fresh = vec![(first.clone(), thread.clone())];
    assert!(start.is_start() && !suite.beginning(&id).is_start());
    let session = suite.storage.session(&id).expect("a session can be opened");
    assert_eq!(session.commit(start), Ok(Outcome::Done));
    let take = |expected, number| {
        let due = Some(Due::Leased(Timestamp(70)).into());
        let (expected, stamp) = (stamp(expected), Some(stamp(number)));
        let set = SetDue { session: id.clone(), key: first.clone(), expected, stamp, due };
        rows.take(&[set]).expect("it can be taken").pop()
    };
    assert!(matches!(take(5, 6), Some(Taking::Refused)), "it has another version");
    // The session's record changes meanwhile.
    let (key, moving) = suite.row_of(&id, 7, &super::session(SessionState::Moving, None), None);
    assert_eq!(session.commit(RowChange { put: vec![(key, moving)], ..change(7) }), Ok(Outcome::Done));
    let Some(Taking::Done(told)) = take(super::BEGUN, 8) else { panic!("it can be taken") };
    if let Some(told) = told {
        let due = Some(Due::Leased(Timestamp(70)).into());
        assert_eq!(told.session, own, "as the start wrote it");
        assert_eq!(told.thread, Row { stamp: stamp(8), due, ..thread });
    }
    let (_, thread) = suite.row_of(&id, 9, &live(0, 8), Some(at(10)));
    assert_eq!(session.commit(RowChange { put: vec![(first.clone(), thread)], ..change(9) }), Ok(Outcome::Done));
    assert!(matches!(take(9, 10), Some(Taking::Done(None))), "its thread has begun");
}

fn who_changes_when_a_row_is_due_changes_nothing_else(suite: &Suite) {
    let Some(rows) = suite.due_rows() else { return };
    let (key, row) = suite.row_of(&suite.id, 1, &live(1, 5), Some(at(10)));
    suite.done(RowChange { put: vec![(key.clone(), row.clone())], history: vec!["page".to_owned()], ..change(1) });
    let before = suite.elsewhere().all().expect("all can be read");
    let due = Due::Leased(Timestamp(70));
    assert_eq!(rows.set_due(&[suite.set(1, 1, Some(2), Some(due))]), Ok(vec![true]));
    assert_eq!(suite.read(&key), Some(Row { stamp: stamp(2), due: Some(due.into()), ..row }));
    let after = suite.elsewhere().all().expect("all can be read");
    assert_eq!((after.rows.len(), after.history), (before.rows.len(), before.history));
}
