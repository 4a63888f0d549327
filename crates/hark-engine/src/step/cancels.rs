//! What a step cancels: threads, a promise, and the threads started by its thread.
//!
//! Threads and promises named by the program are few, and are part of the step's own commit. The threads started by a
//! thread may be many: the commit only records that they must be cancelled, which is done in separate commits.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use hark_machine::Error;

use super::waiters::{starts, wake_one, wake_waiters};
use super::{Known, Plan};
use crate::commit::Commit;
use crate::demand::Demand;
use crate::failure::Failure;
use crate::id::{FutureId, ThreadId};
use crate::limits::WAITERS_INLINE_MAX;
use crate::record::{FutureRecord, Key, Record, Started};

/// What a thread cancels in a step.
#[derive(Debug, Default)]
pub struct Cancels {
    /// Threads named by the program, with the demands for their mailboxes.
    pub threads: BTreeMap<ThreadId, Demand>,
    /// A promise.
    pub promise: Option<CancelledPromise>,
    /// The threads that it has started.
    pub started: Option<Started>,
}

/// A promise that a step cancels.
#[derive(Debug)]
pub struct CancelledPromise {
    /// The promise.
    pub future: FutureId,
    /// Its record as read, if it has one.
    pub known: Option<Known>,
    /// The failure.
    pub failure: Arc<Failure>,
}

/// The interruption of a cancelled thread.
#[derive(Debug)]
pub struct Interruption {
    /// The error of kind `"cancelled"`.
    pub error: Error,
    /// Whether the thread is stopped, instead of raising the error in it.
    pub stops: bool,
}

impl Cancels {
    /// The number of records in the commit.
    pub(super) fn records(&self) -> usize {
        let promise = if self.promise.is_some() { WAITERS_INLINE_MAX + 2 } else { 0 };
        2 * self.threads.len() + usize::from(self.started.is_some()) + promise
    }

    /// Adds these changes to the commit of this thread's step.
    pub(super) fn apply(&self, thread: ThreadId, commit: &mut Commit, plan: &mut Plan) {
        if let Some(started) = &self.started {
            commit.put.push(Record::Cascade(thread, started.clone()));
            plan.cascade = true;
        }
        for (&thread, demand) in &self.threads {
            let is_new = starts(commit, thread);
            cancel_thread(thread, demand.clone(), commit, plan);
            if is_new {
                // It is already invoked as a new thread.
                plan.invoke.pop();
            }
        }
        if let Some(CancelledPromise { future, known, failure }) = &self.promise {
            commit.expect.push((Key::Future(future.clone()), known.as_ref().map(|known| known.stamp)));
            commit.put.push(Record::Future(future.clone(), FutureRecord::Failed(failure.clone())));
            wake_waiters(future, known.as_ref().map(|known| &known.record), true, commit, plan);
            if mem::take(&mut plan.wake_rest) {
                plan.wake_rest_of = Some(future.clone());
            }
        }
    }
}

fn cancel_thread(thread: ThreadId, demand: Demand, commit: &mut Commit, plan: &mut Plan) {
    commit.put.push(Record::Cancel(thread));
    wake_one(thread, demand, commit, plan);
}

/// Cancels threads, given with the demands for their mailboxes ([`Live::cancelled`](crate::Live::cancelled)). This is
/// harmless if done twice, or if they have ended. But a thread may be retried later, so the commit must expect the
/// record that asks for the cancellation: otherwise a late commit might cancel the retried thread.
pub fn cancel_batch(threads: &[(ThreadId, Demand)], commit: &mut Commit, plan: &mut Plan) {
    plan.clear();
    threads.iter().for_each(|(thread, demand)| cancel_thread(*thread, demand.clone(), commit, plan));
}
