//! Ranges of rows, each of which is also a range of keys.

use std::ops::Range;

use super::key::write_future;
use crate::id::{FutureId, ThreadId};
use crate::record::Key;

/// A range of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowRange {
    /// The live threads from this one on.
    Live(ThreadId),
    /// The waiters of this Future that have their own rows.
    Waiters(FutureId),
    /// The waiters of all Futures.
    AllWaiters,
    /// The waiters of the Futures after this one.
    WaitersAfter(FutureId),
    /// The Futures with waiters that must still be woken.
    Todos,
    /// The threads whose started threads must still be cancelled.
    Cascades,
    /// The unawaited failures.
    Unawaited,
    /// The failed threads that can be retried.
    Broken,
}

impl RowRange {
    /// Whether the range contains a key.
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

    /// The range of encoded keys ([`Key::encode`]).
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

/// The start and end of the keys of this Future's waiters.
fn waiters_of(future: &FutureId) -> (Vec<u8>, Vec<u8>) {
    let mut start = vec![Key::Wait { future: future.clone(), waiter: ThreadId(0) }.kind()];
    write_future(future, &mut start);
    let mut end = start.clone();
    // The number of a thread never begins with this byte.
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
