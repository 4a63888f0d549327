//! What a step cancels: threads, a promise, and what its thread has started.
//!
//! Threads and promises that the program names are few, and go with the step's own commit. What a thread has started may be
//! many: the commit only writes down that they are to be cancelled, which is done in commits of their own.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use hark_machine::Error;

use super::waiters::{starts, wake_one, wake_waiters};
use super::{Known, Plan};
use crate::commit::Commit;
use crate::failure::Failure;
use crate::id::{FutureId, ThreadId};
use crate::limits::WAITERS_INLINE_MAX;
use crate::record::{FutureRecord, Key, Record, Started};

/// What a thread cancels with a step.
#[derive(Debug, Default)]
pub struct Cancels {
    /// These threads.
    pub threads: BTreeSet<ThreadId>,
    /// This promise.
    pub promise: Option<CancelledPromise>,
    /// Threads that it has started.
    pub started: Option<Started>,
}

/// A promise that a step cancels.
#[derive(Debug)]
pub struct CancelledPromise {
    /// Which.
    pub future: FutureId,
    /// Its record as it was read, if it has one.
    pub known: Option<Known>,
    /// What it fails with.
    pub failure: Arc<Failure>,
}

/// The end of what a cancelled thread was about.
#[derive(Debug)]
pub struct Interruption {
    /// Of kind `"cancelled"`.
    pub error: Error,
    /// The thread is stopped, in place of having the error raised.
    pub stops: bool,
}

impl Cancels {
    /// How many records a commit touches for it.
    pub(super) fn records(&self) -> usize {
        let promise = if self.promise.is_some() { WAITERS_INLINE_MAX + 2 } else { 0 };
        2 * self.threads.len() + usize::from(self.started.is_some()) + promise
    }

    /// Adds it to the commit of this thread's step.
    pub(super) fn apply(&self, thread: ThreadId, commit: &mut Commit, plan: &mut Plan) {
        if let Some(started) = &self.started {
            commit.put.push(Record::Cascade(thread, started.clone()));
            plan.cascade = true;
        }
        for &thread in &self.threads {
            let is_new = starts(commit, thread);
            cancel_thread(thread, commit, plan);
            if is_new {
                // It is invoked as a new thread already.
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

fn cancel_thread(thread: ThreadId, commit: &mut Commit, plan: &mut Plan) {
    commit.put.push(Record::Cancel(thread));
    wake_one(thread, commit, plan);
}

/// Cancels some threads: it is harmless if that is done twice, or if they have come to their ends. But a thread may be retried
/// later, so that the commit must expect the record that says that they are to be cancelled: else it might come late.
pub fn cancel_batch(threads: &[ThreadId], commit: &mut Commit, plan: &mut Plan) {
    plan.clear();
    threads.iter().for_each(|thread| cancel_thread(*thread, commit, plan));
}
