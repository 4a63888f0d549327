//! Ranges of rows, each of which is one range of keys as well.

use std::ops::Range;

use super::key::write_future;
use crate::id::{FutureId, ThreadId};
use crate::record::Key;

/// A range of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowRange {
    /// The threads that have not stopped, from this one on.
    Live(ThreadId),
    /// The waiters of this Future that have rows of their own.
    Waiters(FutureId),
    /// Those of all Futures.
    AllWaiters,
    /// Those of the Futures that come after this one.
    WaitersAfter(FutureId),
    /// The Futures whose waiters are still to be woken.
    Todos,
    /// The threads whose own are still to be cancelled.
    Cascades,
    /// The failures that nobody has awaited.
    Unawaited,
    /// The threads that failed and can be retried.
    Broken,
}

impl RowRange {
    /// Whether a key is within.
    pub fn contains(&self, key: &Key) -> bool {
        match (self, key) {
            (RowRange::Live(from), Key::Live(thread)) => thread >= from,
            (RowRange::Waiters(awaited), Key::Wait { future, .. }) => future == awaited,
            (RowRange::WaitersAfter(before), Key::Wait { future, .. }) => future > before,
            (RowRange::AllWaiters, Key::Wait { .. })
            | (RowRange::Todos, Key::Todo(_))
            | (RowRange::Cascades, Key::Cascade(_))
            | (RowRange::Unawaited, Key::Unawaited(_))
            | (RowRange::Broken, Key::Broken(_)) => true,
            _ => false,
        }
    }

    /// The same for keys as bytes ([`Key::encode`]).
    pub fn bounds(&self) -> Range<Vec<u8>> {
        let first = ThreadId(0);
        let all_from = |key: Key| {
            let end = vec![key.kind() + 1];
            key.encode()..end
        };
        match self {
            RowRange::Live(from) => all_from(Key::Live(*from)),
            RowRange::Cascades => all_from(Key::Cascade(first)),
            RowRange::Unawaited => all_from(Key::Unawaited(first)),
            RowRange::Broken => all_from(Key::Broken(first)),
            RowRange::Todos => all_from(Key::Todo(first.into())),
            RowRange::AllWaiters => all_from(Key::Wait { future: first.into(), waiter: first }),
            RowRange::Waiters(future) => {
                let (start, end) = waiters_of(future);
                start..end
            }
            RowRange::WaitersAfter(future) => {
                waiters_of(future).1..all_from(Key::Wait { future: first.into(), waiter: first }).end
            }
        }
    }
}

/// Where the keys of this Future's waiters begin, and where they end.
fn waiters_of(future: &FutureId) -> (Vec<u8>, Vec<u8>) {
    let mut start = vec![Key::Wait { future: future.clone(), waiter: ThreadId(0) }.kind()];
    write_future(future, &mut start);
    let mut end = start.clone();
    // No thread's number begins with this byte.
    end.push(u8::MAX);
    (start, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_have_the_same_keys() {
        let futures = [ThreadId(3).into(), FutureId::Promise("a".into()), FutureId::Promise("a/1".into())];
        let mut keys = vec![Key::Session];
        for thread in [0, 3, 300].map(ThreadId) {
            keys.extend([Key::Live(thread), Key::Cascade(thread), Key::Unawaited(thread), Key::Broken(thread)]);
            keys.extend([Key::Ready(thread), Key::Cancel(thread)]);
            for future in futures.iter().cloned() {
                keys.extend([Key::Wait { future: future.clone(), waiter: thread }, Key::Todo(future.clone())]);
                keys.push(Key::Future(future));
            }
        }
        let mut ranges = vec![RowRange::Todos, RowRange::Cascades, RowRange::Unawaited, RowRange::Broken];
        ranges.extend([RowRange::Live(ThreadId(0)), RowRange::Live(ThreadId(4)), RowRange::AllWaiters]);
        for future in futures {
            ranges.extend([RowRange::Waiters(future.clone()), RowRange::WaitersAfter(future)]);
        }
        for range in ranges {
            let bounds = range.bounds();
            let mut count = 0;
            for key in &keys {
                assert_eq!(range.contains(key), bounds.contains(&key.encode()), "{range:?} {key:?}");
                count += usize::from(range.contains(key));
            }
            assert!(count > 0 || range == RowRange::WaitersAfter(FutureId::Promise("a/1".into())), "{range:?}");
        }
    }
}
