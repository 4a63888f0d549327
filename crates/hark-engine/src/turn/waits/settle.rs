//! The changes of a wait that do not fit into a step's commit, and so get commits of their own.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use super::{Seen, Worker, seen_of};
use crate::commit::{Commit, Outcome};
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{Interest, Key};
use crate::step::{Known, Loaded, Plan, Touch, Wanted};
use crate::storage::StorageError;
use crate::turn::load::known;

/// The minimal number of records of a commit that has conflicted: one Future's, and the thread's.
const RECORDS_MIN: usize = 8;

/// The changes that were made for a wait in commits of their own.
#[derive(Default)]
pub(super) struct Dealt {
    /// Failed Futures that are awaited now.
    pub heard: BTreeSet<ThreadId>,
    /// Futures with a waiter record of the thread.
    pub entered: BTreeMap<FutureId, Interest>,
    /// The Future whose value it waits for.
    pub chosen: Option<usize>,
}

/// A single change for a wait.
enum Work {
    Touch(FutureId, Touch),
    Hear(ThreadId),
}

impl Dealt {
    fn note(&mut self, done: Work) {
        match done {
            Work::Hear(failed) => drop(self.heard.insert(failed)),
            Work::Touch(future, Touch { wanted: Wanted::Entered(interest), .. }) => {
                self.entered.insert(future, interest);
            }
            Work::Touch(..) => {}
        }
    }
}

impl Worker<'_> {
    /// Makes the noted changes of a wait in commits of their own. The thread stands at the wait, according to its
    /// record. Returns whether this worker still has the thread.
    pub(super) fn settle_waits(&mut self, loaded: &mut Loaded, dealt: &mut Dealt) -> Result<bool, StorageError> {
        let Some(live) = loaded.live else { return Ok(false) };
        let (thread, demand) = (loaded.thread, self.session.demands.of(loaded.thread));
        let touches = loaded.touches.take().into_iter().filter(|(_, touch)| touch.records(thread) > 0);
        let heard = mem::take(&mut loaded.heard).into_iter().map(Work::Hear);
        let mut work: VecDeque<Work> = touches.map(|(future, touch)| Work::Touch(future, touch)).chain(heard).collect();
        let allowed = self.session.records().commit_records_max();
        let (mut most, mut plan) = (allowed, Plan::default());
        // Others change these Futures at the same time, so what was read of them is outdated before the last one has
        // its turn.
        let mut is_contended = false;
        while !work.is_empty() {
            if is_contended {
                self.look_again_at(thread, &mut work, most)?;
            }
            let mut commit = Commit::of_server(self.stamps.next());
            commit.expect.push((Key::Live(thread), Some(live)));
            plan.clear();
            let mut taken = 0;
            while let Some(next) = work.get(taken)
                && commit.expect.len() + commit.put.len() + commit.delete.len() + 3 <= most
            {
                match next {
                    Work::Touch(future, touch) => touch.apply((thread, &demand), future, &mut commit, &mut plan),
                    Work::Hear(failed) => commit.delete.push(Key::Unawaited(*failed)),
                }
                taken += 1;
            }
            if self.session.records().commit(&mut commit)? == Outcome::Done {
                work.drain(..taken).for_each(|done| dealt.note(done));
                self.look_after_entering(thread, &plan.look_again)?;
                most = (2 * most).min(allowed);
                continue;
            }
            // In the meantime others are done, or have other waiters. Reading the thread's own record costs most.
            is_contended = true;
            if !self.look_again_at(thread, &mut work, taken)? && !self.is_still(thread, live)? {
                return Ok(false);
            }
            most = (most / 2).max(RECORDS_MIN);
        }
        Ok(true)
    }

    /// Reads the first Futures, this many, that still need a change, and forgets those that no longer need one. Returns
    /// whether any has changed.
    fn look_again_at(
        &mut self,
        thread: ThreadId,
        work: &mut VecDeque<Work>,
        count: usize,
    ) -> Result<bool, StorageError> {
        let some: Vec<Work> = work.drain(..count.min(work.len())).collect();
        let futures = some.iter().filter_map(|work| match work {
            Work::Touch(future, _) => Some(Key::Future(future.clone())),
            Work::Hear(_) => None,
        });
        self.found.clear();
        self.session.records().read(&futures.collect::<Vec<_>>(), &mut self.found)?;
        let mut found = self.found.drain(..);
        let mut has_changed = false;
        let mut left = Vec::with_capacity(some.len());
        for again in some {
            match again {
                Work::Touch(future, mut touch) => {
                    let now = known(found.next().flatten());
                    let stamp = |known: &Option<Known>| known.as_ref().map(|known| known.stamp);
                    has_changed |= stamp(&now) != stamp(&touch.known);
                    touch.known = now;
                    if touch.records(thread) > 0 {
                        left.push(Work::Touch(future, touch));
                    }
                }
                Work::Hear(_) => left.push(again),
            }
        }
        left.into_iter().rev().for_each(|again| work.push_front(again));
        Ok(has_changed)
    }

    fn is_still(&mut self, thread: ThreadId, live: Stamp) -> Result<bool, StorageError> {
        let [found] = self.read([Key::Live(thread)])?;
        Ok(found.is_some_and(|found| found.stamp == live))
    }

    /// Removes a thread's waiter records of Futures that were being resolved when the records were written: their
    /// resolvers may have looked before.
    fn look_after_entering(&mut self, thread: ThreadId, futures: &[FutureId]) -> Result<(), StorageError> {
        for future in futures {
            let [found] = self.read([Key::Future(future.clone())])?;
            if !matches!(seen_of(found), Seen::Pending { .. }) {
                let mut commit = Commit::of_server(self.stamps.next());
                commit.delete.push(Key::Wait { future: future.clone(), waiter: thread });
                while self.session.records().commit(&mut commit)? == Outcome::Unknown {}
            }
        }
        Ok(())
    }
}
