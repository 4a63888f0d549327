//! The waiters of Futures: registering, removing and waking them.

use hark_machine::Awaited;

use super::{Known, Loaded, Plan};
use crate::commit::Commit;
use crate::demand::Demand;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::limits::WAITERS_INLINE_MAX;
use crate::record::{FutureRecord, Interest, Key, Record, Waiter, Waiters};

/// The relation of a thread to a pending Future after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It has awaited the Future, so the failure of the Future is handled.
    Awaited,
    /// It waits for the Future.
    Entered(Interest),
    /// It no longer waits for the Future.
    Left,
}

/// A Future whose waiters a step changes.
#[derive(Debug, Clone)]
pub struct Touch {
    /// The Future's record as read, if it has one.
    pub known: Option<Known>,
    /// The thread's relation to the Future after the step.
    pub wanted: Wanted,
    /// Whether the Future's thread is started by this same step, so that no other thread can know of it.
    pub is_new: bool,
    /// Whether the thread already has its own waiter record with this interest. Relevant only if the Future's record
    /// does not list the thread.
    pub has_record: bool,
}

/// The changes of records for a touch.
enum Edit {
    /// Write the Future's record.
    Put(FutureRecord),
    /// Write a waiter record for the thread, and the Future's record if it does not yet say that there are waiter
    /// records.
    Wait(Interest, Option<FutureRecord>),
    /// Delete the thread's waiter record.
    Unwait,
}

impl Touch {
    fn edit(&self, thread: ThreadId, demand: &Demand) -> Option<Edit> {
        let record = self.known.as_ref().map(|known| &known.record);
        let Some(record) = record else {
            let inline = match self.wanted {
                Wanted::Entered(interest) => vec![Waiter { thread, interest, demand: demand.clone() }],
                Wanted::Awaited | Wanted::Left => Vec::new(),
            };
            return Some(Edit::Put(Waiters { inline, crowded: false }.into()));
        };
        if !record.is_pending() {
            return None;
        }
        match (self.wanted, record.interest_of(thread)) {
            (Wanted::Awaited, _) => None,
            (Wanted::Left, Some(_)) => {
                let mut waiters = Waiters::of(record);
                waiters.inline.retain(|waiter| waiter.thread != thread);
                Some(Edit::Put(waiters.into()))
            }
            (Wanted::Left, None) => record.is_crowded().then_some(Edit::Unwait),
            (Wanted::Entered(interest), Some(known)) if known == interest => None,
            (Wanted::Entered(interest), Some(_)) => {
                let mut waiters = Waiters::of(record);
                waiters
                    .inline
                    .iter_mut()
                    .filter(|waiter| waiter.thread == thread)
                    .for_each(|own| own.interest = interest);
                Some(Edit::Put(waiters.into()))
            }
            (Wanted::Entered(_), None) if record.is_crowded() && self.has_record => None,
            (Wanted::Entered(interest), None) if record.is_crowded() => Some(Edit::Wait(interest, None)),
            (Wanted::Entered(interest), None) => {
                let mut waiters = Waiters::of(record);
                if waiters.inline.len() >= WAITERS_INLINE_MAX {
                    waiters.crowded = true;
                    return Some(Edit::Wait(interest, Some(waiters.into())));
                }
                waiters.inline.push(Waiter { thread, interest, demand: demand.clone() });
                Some(Edit::Put(waiters.into()))
            }
        }
    }

    /// Whether the thread already has the wanted relation.
    pub(crate) fn changes_nothing(&self, thread: ThreadId) -> bool {
        self.edit(thread, &Demand::default()).is_none()
    }

    /// The number of touched records that other processes may know.
    pub fn records(&self, thread: ThreadId) -> usize {
        match self.edit(thread, &Demand::default()) {
            None => 0,
            Some(_) if self.is_new => 0,
            Some(Edit::Put(_)) => 2,
            Some(Edit::Wait(_, Some(_))) => 3,
            Some(Edit::Wait(_, None) | Edit::Unwait) => 1,
        }
    }

    /// Makes the change for a thread with this demand. If the thread gets a waiter record, the Future must be read again
    /// afterwards.
    pub(crate) fn apply(
        &self,
        (thread, demand): (ThreadId, &Demand),
        future: &FutureId,
        commit: &mut Commit,
        plan: &mut Plan,
    ) {
        let stamp = self.known.as_ref().map(|known| known.stamp);
        match self.edit(thread, demand) {
            None => {}
            Some(Edit::Put(record)) if self.is_new => commit.fresh.push(Record::Future(future.clone(), record)),
            Some(Edit::Put(record)) => {
                commit.expect.push((Key::Future(future.clone()), stamp));
                commit.put.push(Record::Future(future.clone(), record));
            }
            Some(Edit::Wait(interest, marked)) => {
                if let Some(record) = marked {
                    commit.expect.push((Key::Future(future.clone()), stamp));
                    commit.put.push(Record::Future(future.clone(), record));
                }
                let waiter = Waiter { thread, interest, demand: demand.clone() };
                commit.put.push(Record::Wait { future: future.clone(), waiter });
                plan.look_again.push(future.clone());
            }
            Some(Edit::Unwait) => commit.delete.push(Key::Wait { future: future.clone(), waiter: thread }),
        }
    }
}

/// Registers a waiter of a pending Future, with its demand.
pub(super) fn register(
    (thread, demand): (ThreadId, &Demand),
    awaited: &Awaited,
    known: Option<&Known>,
    commit: &mut Commit,
    plan: &mut Plan,
) {
    let future = FutureId::from(awaited);
    let waiter = Waiter { thread, interest: Interest::Outcome, demand: demand.clone() };
    if let FutureId::Thread(child) = future
        && starts(commit, child)
    {
        commit.fresh.push(Record::Future(future, waiter.into()));
        return;
    }
    // If the Future was completed after it was read, the commit conflicts.
    let known = known.filter(|known| known.record.is_pending());
    let Some(known) = known else {
        commit.expect.push((Key::Future(future.clone()), None));
        commit.put.push(Record::Future(future, waiter.into()));
        return;
    };
    let wanted = Wanted::Entered(Interest::Outcome);
    let touch = Touch { known: Some(known.clone()), wanted, is_new: false, has_record: false };
    touch.apply((thread, demand), &future, commit, plan);
}

/// Whether this commit starts the thread. In that case no other thread can know of its Future yet.
pub(crate) fn starts(commit: &Commit, thread: ThreadId) -> bool {
    // The new threads are ordered by number.
    commit
        .fresh
        .binary_search_by_key(&thread, |record| match record {
            Record::Live(child, _) => *child,
            _ => ThreadId(u64::MAX),
        })
        .is_ok()
}

/// Wakes the waiters that are listed in the record of the thread's Future, which now has a value or has failed. Returns
/// whether there were any.
pub(super) fn wake(loaded: &Loaded, has_failed: bool, commit: &mut Commit, plan: &mut Plan) -> bool {
    wake_waiters(&loaded.thread.into(), loaded.own.as_ref().map(|own| &own.record), has_failed, commit, plan)
}

/// Wakes the waiters that are listed in the record of a Future that now has a value or has failed. Returns whether
/// there were any.
pub(super) fn wake_waiters(
    future: &FutureId,
    known: Option<&FutureRecord>,
    has_failed: bool,
    commit: &mut Commit,
    plan: &mut Plan,
) -> bool {
    let before = plan.invoke.len();
    match known {
        Some(FutureRecord::AwaitedBy(waiter)) => wake_one(*waiter, Demand::default(), commit, plan),
        Some(FutureRecord::WatchedBy(waiter)) if has_failed => wake_one(*waiter, Demand::default(), commit, plan),
        Some(FutureRecord::AwaitedByMany(waiters)) => {
            for waiter in waiters.inline.iter().filter(|waiter| waiter.is_to_hear(has_failed)) {
                wake_one(waiter.thread, waiter.demand.clone(), commit, plan);
            }
            if waiters.crowded {
                commit.put.push(Record::Todo(future.clone()));
                plan.wake_rest = true;
                return true;
            }
        }
        None | Some(FutureRecord::WatchedBy(_) | FutureRecord::Resolved(_) | FutureRecord::Failed(_)) => {}
    }
    plan.invoke.len() > before
}

pub(super) fn wake_one(thread: ThreadId, demand: Demand, commit: &mut Commit, plan: &mut Plan) {
    commit.put.push(Record::Ready(thread, demand));
    plan.invoke.push(thread);
}

/// Wakes some of the waiters that have waiter records, for a Future that now has a value or has failed, in this version
/// of its record. If no waiters are left, the work is done. If the Future's thread was retried meanwhile, the commit
/// does nothing.
pub fn wake_batch(
    future: &FutureId,
    waiters: &[Waiter],
    (stamp, has_failed): (Option<Stamp>, bool),
    commit: &mut Commit,
    plan: &mut Plan,
) {
    plan.clear();
    commit.expect.push((Key::Future(future.clone()), stamp));
    for waiter in waiters {
        if waiter.is_to_hear(has_failed) {
            wake_one(waiter.thread, waiter.demand.clone(), commit, plan);
        }
        commit.delete.push(Key::Wait { future: future.clone(), waiter: waiter.thread });
    }
    if waiters.is_empty() {
        commit.delete.push(Key::Todo(future.clone()));
    }
}
