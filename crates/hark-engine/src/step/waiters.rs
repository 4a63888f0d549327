//! Who waits for a Future, and their waking.

use hark_machine::Awaited;

use super::{Known, Loaded, Plan};
use crate::commit::Commit;
use crate::id::{FutureId, Stamp, ThreadId};
use crate::limits::WAITERS_INLINE_MAX;
use crate::record::{FutureRecord, Interest, Key, Record, Waiter, Waiters};

/// What a thread is to be to a Future without a value from a step on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// One who has awaited it, so that its failure is dealt with.
    Awaited,
    /// One who waits for it.
    Entered(Interest),
    /// One who waits no more.
    Left,
}

/// A Future of which a step changes who waits for it.
#[derive(Debug, Clone)]
pub struct Touch {
    /// The Future's record as it was read, if it has one.
    pub known: Option<Known>,
    /// What the thread is to be to it.
    pub wanted: Wanted,
    /// Its thread is started by this very step, so that nobody else can know of it.
    pub is_new: bool,
    /// If the thread is not among the waiters that the record knows, it has a record of its own that says what is wanted.
    pub has_record: bool,
}

/// What has to be changed for that.
enum Edit {
    /// The Future's record becomes this.
    Put(FutureRecord),
    /// The thread gets a record of its own. The Future's becomes this, if it does not say yet that there are such records.
    Wait(Interest, Option<FutureRecord>),
    /// The thread's own record goes.
    Unwait,
}

impl Touch {
    fn edit(&self, thread: ThreadId) -> Option<Edit> {
        let record = self.known.as_ref().map(|known| &known.record);
        let Some(record) = record else {
            let inline = match self.wanted {
                Wanted::Entered(interest) => vec![Waiter { thread, interest }],
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
                waiters.inline.push(Waiter { thread, interest });
                Some(Edit::Put(waiters.into()))
            }
        }
    }

    /// Whether the thread is what it is to be already.
    pub(crate) fn changes_nothing(&self, thread: ThreadId) -> bool {
        self.edit(thread).is_none()
    }

    /// How many records that others may know this touches.
    pub fn records(&self, thread: ThreadId) -> usize {
        match self.edit(thread) {
            None => 0,
            Some(_) if self.is_new => 0,
            Some(Edit::Put(_)) => 2,
            Some(Edit::Wait(_, Some(_))) => 3,
            Some(Edit::Wait(_, None) | Edit::Unwait) => 1,
        }
    }

    /// Makes the change. A Future for which the thread gets a record of its own is to be looked at again.
    pub(crate) fn apply(&self, thread: ThreadId, future: &FutureId, commit: &mut Commit, plan: &mut Plan) {
        let stamp = self.known.as_ref().map(|known| known.stamp);
        match self.edit(thread) {
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
                commit.put.push(Record::Wait { future: future.clone(), waiter: Waiter { thread, interest } });
                plan.look_again.push(future.clone());
            }
            Some(Edit::Unwait) => commit.delete.push(Key::Wait { future: future.clone(), waiter: thread }),
        }
    }
}

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
    // One that has been done since it was read makes the commit conflict.
    let known = known.filter(|known| known.record.is_pending());
    let Some(known) = known else {
        commit.expect.push((Key::Future(future.clone()), None));
        commit.put.push(Record::Future(future, FutureRecord::AwaitedBy(waiter)));
        return;
    };
    let wanted = Wanted::Entered(Interest::Outcome);
    let touch = Touch { known: Some(known.clone()), wanted, is_new: false, has_record: false };
    touch.apply(waiter, &future, commit, plan);
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

/// Wakes those who wait for the thread's Future, which has a value now or has failed, as many as its record names. Answers
/// whether there were any.
pub(super) fn wake(loaded: &Loaded, has_failed: bool, commit: &mut Commit, plan: &mut Plan) -> bool {
    wake_waiters(&loaded.thread.into(), loaded.own.as_ref().map(|own| &own.record), has_failed, commit, plan)
}

/// Wakes those who wait for a Future, which has a value now or has failed, as many as its record names. Answers whether
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
        Some(FutureRecord::AwaitedBy(waiter)) => wake_one(*waiter, commit, plan),
        Some(FutureRecord::WatchedBy(waiter)) if has_failed => wake_one(*waiter, commit, plan),
        Some(FutureRecord::AwaitedByMany(waiters)) => {
            for waiter in waiters.inline.iter().filter(|waiter| waiter.is_to_hear(has_failed)) {
                wake_one(waiter.thread, commit, plan);
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

pub(super) fn wake_one(waiter: ThreadId, commit: &mut Commit, plan: &mut Plan) {
    commit.put.push(Record::Ready(waiter));
    plan.invoke.push(waiter);
}

/// Wakes some of those who wait with records of their own for a Future that has a value now or has failed, in this version of
/// its record; with none left, the work is done. If the Future's thread is retried, a commit of this that comes late does
/// nothing.
pub fn wake_batch(
    future: &FutureId,
    waiters: &[Waiter],
    (stamp, has_failed): (Option<Stamp>, bool),
    commit: &mut Commit,
    plan: &mut Plan,
) {
    plan.clear();
    commit.expect.push((Key::Future(future.clone()), stamp));
    for &waiter in waiters {
        if waiter.is_to_hear(has_failed) {
            wake_one(waiter.thread, commit, plan);
        }
        commit.delete.push(Key::Wait { future: future.clone(), waiter: waiter.thread });
    }
    if waiters.is_empty() {
        commit.delete.push(Key::Todo(future.clone()));
    }
}
