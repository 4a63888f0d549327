//! Who waits for a Future, and their waking.

use std::sync::Arc;

use hark_machine::Awaited;

use super::{Known, Loaded, Plan};
use crate::commit::Commit;
use crate::id::{FutureId, ThreadId};
use crate::limits::WAITERS_INLINE_MAX;
use crate::record::{FutureRecord, Key, Record, Waiters};

/// Enters a waiter among the continuations of a Future that has no value.
pub(super) fn register(
    waiter: ThreadId,
    awaited: &Awaited,
    known: Option<&Known>,
    commit: &mut Commit,
    plan: &mut Plan,
) {
    let future = FutureId::from(awaited);
    if let FutureId::Thread(child) = future
        && starts(commit, child)
    {
        commit.fresh.push(Record::Future(future, FutureRecord::AwaitedBy(waiter)));
        return;
    }
    let Some(waiters) = with_waiter(known, waiter) else { return };
    match waiters {
        Room::Inline(record) => {
            commit.expect.push((Key::Future(future.clone()), known.map(|known| known.stamp)));
            commit.put.push(Record::Future(future, record));
        }
        Room::Beyond(marked) => {
            if let Some(record) = marked {
                commit.expect.push((Key::Future(future.clone()), known.map(|known| known.stamp)));
                commit.put.push(Record::Future(future.clone(), record));
            }
            commit.put.push(Record::Wait { future: future.clone(), waiter });
            plan.look_again = Some(future);
        }
    }
}

/// Whether this commit starts the thread. Then nobody else can know of its Future yet.
pub(crate) fn starts(commit: &Commit, thread: ThreadId) -> bool {
    // The new threads stand in the order of their numbers.
    commit
        .fresh
        .binary_search_by_key(&thread, |record| match record {
            Record::Live(child, _) => *child,
            _ => ThreadId(u64::MAX),
        })
        .is_ok()
}

/// Where one more waiter goes.
enum Room {
    /// Into the Future's record, which becomes this.
    Inline(FutureRecord),
    /// Into a record of its own; the Future's record becomes this, if it does not say so already.
    Beyond(Option<FutureRecord>),
}

/// Nothing, if it waits already.
fn with_waiter(known: Option<&Known>, waiter: ThreadId) -> Option<Room> {
    let many = |inline, crowded| FutureRecord::AwaitedByMany(Arc::new(Waiters { inline, crowded }));
    match known.map(|known| &known.record) {
        Some(FutureRecord::AwaitedBy(first)) if *first == waiter => None,
        Some(FutureRecord::AwaitedBy(first)) => Some(Room::Inline(many(vec![*first, waiter], false))),
        Some(FutureRecord::AwaitedByMany(waiters)) if waiters.inline.contains(&waiter) => None,
        Some(FutureRecord::AwaitedByMany(waiters)) if waiters.crowded => Some(Room::Beyond(None)),
        Some(FutureRecord::AwaitedByMany(waiters)) => {
            let mut inline = waiters.inline.clone();
            if inline.len() >= WAITERS_INLINE_MAX {
                return Some(Room::Beyond(Some(many(inline, true))));
            }
            inline.push(waiter);
            Some(Room::Inline(many(inline, false)))
        }
        None | Some(FutureRecord::Resolved(_) | FutureRecord::Failed(_)) => {
            Some(Room::Inline(FutureRecord::AwaitedBy(waiter)))
        }
    }
}

/// Wakes those who wait for the thread's Future, as many as its record names. Answers whether there were any.
pub(super) fn wake(loaded: &Loaded, commit: &mut Commit, plan: &mut Plan) -> bool {
    wake_waiters(&loaded.thread.into(), loaded.own.as_ref().map(|own| &own.record), commit, plan)
}

/// Wakes those who wait for a Future, as many as its record names. Answers whether there were any.
pub(super) fn wake_waiters(
    future: &FutureId,
    known: Option<&FutureRecord>,
    commit: &mut Commit,
    plan: &mut Plan,
) -> bool {
    match known {
        Some(FutureRecord::AwaitedBy(waiter)) => wake_one(*waiter, commit, plan),
        Some(FutureRecord::AwaitedByMany(waiters)) => {
            for waiter in &waiters.inline {
                wake_one(*waiter, commit, plan);
            }
            if waiters.crowded {
                commit.put.push(Record::Todo(future.clone()));
                plan.wake_rest = true;
            }
        }
        None | Some(FutureRecord::Resolved(_) | FutureRecord::Failed(_)) => return false,
    }
    true
}

fn wake_one(waiter: ThreadId, commit: &mut Commit, plan: &mut Plan) {
    commit.put.push(Record::Ready(waiter));
    plan.invoke.push(waiter);
}

/// Wakes some of those who wait for a Future with records of their own; with none left, the work is done.
pub fn wake_batch(future: &FutureId, waiters: &[ThreadId], commit: &mut Commit, plan: &mut Plan) {
    plan.clear();
    for &waiter in waiters {
        wake_one(waiter, commit, plan);
        commit.delete.push(Key::Wait { future: future.clone(), waiter });
    }
    if waiters.is_empty() {
        commit.delete.push(Key::Todo(future.clone()));
    }
}
