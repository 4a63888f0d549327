//! Scans: which rows are in a range, and what a scan may and may not see beside a change under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Check, Suite, broken, change, live, promise, resolved, stamp, wait};
use crate::conformance::storage::every_kind;
use crate::id::{FutureId, ThreadId};
use crate::record::{Key, Record};
use crate::rows::{Lookup, RowChange, RowRange};

pub(super) const CHECKS: &[Check] = &[
    ranges_have_their_rows_in_order,
    crowds_are_the_first_waiters_of_each_future,
    who_asks_after_a_change_sees_it,
    a_scan_beside_changes_sees_what_they_write_before_what_they_remove,
];

impl Suite {
    fn scan(&self, range: &RowRange, limit: usize) -> Vec<Key> {
        let found = self.elsewhere().scan(range, limit).expect("rows can be scanned");
        found.into_iter().map(|(key, _)| key).collect()
    }
}

/// Futures whose names begin alike, or are ordered in another way by bytes than by what they mean.
fn futures() -> Vec<FutureId> {
    let names = ["", "a", "a\0", "a/1", "aa", "b", "é"].map(promise);
    [3, 30, 300].map(|thread| ThreadId(thread).into()).into_iter().chain(names).collect()
}

fn ranges_have_their_rows_in_order(suite: &Suite) {
    let mut records = every_kind();
    records.retain(|record| !matches!(record, Record::Session(_)));
    for thread in [0, 1, 9, 10, 100, 255, 256, 1_000] {
        records.extend([live(thread, 1), broken(thread)]);
    }
    for future in futures() {
        records.extend([5, 1, 256, 20].map(|waiter| wait(future.clone(), waiter)));
        records.extend([Record::Todo(future.clone()), resolved(future, 1)]);
    }
    let mut rows = suite.rows(1, &records);
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows.dedup_by(|one, other| one.0 == other.0);
    suite.done(RowChange { fresh: rows.clone(), ..change(1) });
    let mut ranges = vec![RowRange::Todos, RowRange::Cascades, RowRange::Unawaited, RowRange::Broken];
    ranges.extend([0, 1, 2, 255, 1_001].map(|from| RowRange::Live(ThreadId(from))));
    ranges.push(RowRange::AllWaiters);
    for future in futures() {
        ranges.extend([RowRange::Waiters(future.clone()), RowRange::WaitersAfter(future)]);
    }
    for range in ranges {
        let expected: Vec<Key> = rows.iter().map(|(key, _)| key).filter(|key| range.contains(key)).cloned().collect();
        assert_eq!(suite.scan(&range, usize::MAX), expected, "{range:?}");
        for limit in [0, 1, 3] {
            assert_eq!(suite.scan(&range, limit), expected[..limit.min(expected.len())], "{range:?}, {limit} at most");
        }
        // Without their contents they are whole.
        for (key, found) in suite.elsewhere().scan(&range, usize::MAX).expect("rows can be scanned") {
            let row = suite.read(&key).expect("it is there");
            assert_eq!(
                (found.stamp, found.due, found.summary, found.seal),
                (row.stamp, row.due, row.summary, row.seal)
            );
        }
    }
}

fn crowds_are_the_first_waiters_of_each_future(suite: &Suite) {
    let crowds = |limit| -> Vec<Key> {
        let found = suite.elsewhere().crowds(limit).expect("rows can be scanned");
        found.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(crowds(9), []);
    let waits: Vec<Record> =
        futures().into_iter().flat_map(|future| [7, 2, 300].map(|n| wait(future.clone(), n))).collect();
    suite.put(1, &waits);
    let mut expected: Vec<Key> = futures().into_iter().map(|future| wait(future, 2).key()).collect();
    expected.sort();
    assert_eq!(crowds(usize::MAX), expected);
    assert_eq!(crowds(3), expected[..3]);
}

/// Also in another process, and whatever that has read before.
fn who_asks_after_a_change_sees_it(suite: &Suite) {
    let other = suite.elsewhere();
    let all = RowRange::Live(ThreadId(0));
    for number in 1..50 {
        suite.done(RowChange {
            put: suite.rows(number, &[live(number, 1), live(1_000, 1)]),
            delete: vec![Key::Live(ThreadId(number - 1))],
            history: vec![number.to_string()],
            ..change(number)
        });
        let threads: Vec<Key> =
            other.scan(&all, 9).expect("rows can be scanned").into_iter().map(|(key, _)| key).collect();
        assert_eq!(threads, [number, 1_000].map(|thread| Key::Live(ThreadId(thread))));
        let key = Key::Live(ThreadId(1_000));
        let found = other.read(&[Lookup { key: &key, known: Some(stamp(number + 100)) }]);
        assert_eq!(found.expect("rows can be read")[0].as_ref().map(|row| row.stamp), Some(stamp(number)));
        let history = other.history(0, usize::MAX).expect("the history can be read");
        assert!(history.iter().map(|(_, page)| page.clone()).eq((1..=number).map(|number| number.to_string())));
    }
}

/// A thread that starts another one and stops, as that one does: whoever looks at any moment finds one of them. The end of a session
/// rests on this: a scan that finds no thread proves that there was a moment without any. Their numbers are far apart, because
/// a storage may keep them in different places, which it reads one after the other.
fn a_scan_beside_changes_sees_what_they_write_before_what_they_remove(suite: &Suite) {
    const LAST: u64 = 60;
    const APART: u64 = 495;
    suite.put(1, &[live(APART, 1)]);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let rows = suite.elsewhere();
                let mut least = 0;
                while !is_over.load(Ordering::Acquire) {
                    let found = rows.scan(&RowRange::Live(ThreadId(0)), 9).expect("rows can be scanned");
                    let threads = found.iter().filter_map(|(key, _)| match key {
                        Key::Live(thread) => Some(thread.0),
                        _ => None,
                    });
                    let greatest = threads.max().expect("there is a thread at any moment");
                    assert!(greatest >= least, "it sees no less than a scan before");
                    least = greatest;
                }
            });
        }
        for number in 2..LAST {
            let stopped = ThreadId((number - 1) * APART);
            suite.done(RowChange {
                expect: vec![(Key::Live(stopped), Some(stamp(number - 1)))],
                fresh: suite.rows(number, &[live(number * APART, 1)]),
                put: suite.rows(number, &[resolved(stopped, 1)]),
                delete: vec![Key::Live(stopped)],
                ..change(number)
            });
        }
        is_over.store(true, Ordering::Release);
    });
}
