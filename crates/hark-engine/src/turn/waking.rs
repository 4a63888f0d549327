//! Waking many threads, and removing wakes that came too late.

use std::time::Duration;

use super::Worker;
use crate::commit::{Commit, Outcome};
use crate::id::{FutureId, ThreadId};
use crate::invoker::{TimerId, WorkerSlot};
use crate::record::{FutureRecord, Key, Record};
use crate::session::Session;
use crate::storage::{Range, StorageError};

impl Session {
    /// Wakes the waiters of a Future that have records of their own.
    pub fn wake_rest(&self, future: &FutureId) -> Result<(), StorageError> {
        let mut slot = NoSlot(self);
        Worker::new(self, &mut slot).wake_rest(future)
    }

    /// Continues wakes and cancellations that were begun.
    pub fn finish_todos(&self) -> Result<(), StorageError> {
        for todo in self.records().scan(Range::Todos, usize::MAX)? {
            if let Record::Todo(future) = todo {
                self.wake_rest(&future)?;
            }
        }
        for cascade in self.records().scan(Range::Cascades, usize::MAX)? {
            if let Record::Cascade(thread, _) = cascade {
                let mut slot = NoSlot(self);
                Worker::new(self, &mut slot).cascade(thread)?;
            }
        }
        Ok(())
    }

    /// Wakes waiters with records of their own that registered with a Future while it was being resolved, and whose
    /// worker was lost before it read the Future again.
    pub fn wake_overlooked(&self) -> Result<(), StorageError> {
        for crowd in self.records().scan(Range::Crowds, usize::MAX)? {
            let Record::Wait { future, .. } = crowd else { continue };
            let mut found = Vec::with_capacity(1);
            self.records().read(&[Key::Future(future.clone())], &mut found)?;
            let record = found.pop().flatten().map(|found| found.record);
            if matches!(record, Some(Record::Future(_, FutureRecord::Resolved(_) | FutureRecord::Failed(_)))) {
                self.wake_rest(&future)?;
            }
        }
        Ok(())
    }

    /// Removes the wake of a thread that no longer exists. (A retried thread exists before it is woken.) Returns
    /// whether this call has removed one, or may have if the storage did not answer.
    pub fn forget_wake(&self, thread: ThreadId, commit: &mut Commit) -> Result<bool, StorageError> {
        let mut found = Vec::with_capacity(2);
        self.records().read(&[Key::Ready(thread), Key::Live(thread)], &mut found)?;
        if let (Some(None), Some(Some(ready))) = (found.pop(), found.pop()) {
            commit.expect.push((Key::Live(thread), None));
            commit.expect.push((Key::Ready(thread), Some(ready.stamp)));
            commit.delete.push(Key::Ready(thread));
            commit.delete.push(Key::Cancel(thread));
            let mut may_be_removed = false;
            loop {
                match self.records().commit(commit)? {
                    Outcome::Done => return Ok(true),
                    Outcome::Conflict => return Ok(may_be_removed),
                    Outcome::Unknown => may_be_removed = true,
                }
            }
        }
        Ok(false)
    }
}

/// Receives the hints of work that no worker does.
struct NoSlot<'a>(&'a Session);

impl WorkerSlot for NoSlot<'_> {
    fn invoke(&mut self, threads: &[ThreadId]) {
        self.0.invoke(threads);
    }

    // Only running threads ask for the rest, and none runs here.
    fn invoke_after(&mut self, _thread: ThreadId, _delay: Duration) -> Option<TimerId> {
        None
    }

    fn disarm(&mut self, _timer: TimerId) -> bool {
        false
    }

    fn begin_blocking(&mut self) -> bool {
        false
    }

    fn end_blocking(&mut self) {}

    fn step_aside(&mut self) {}

    fn step_back(&mut self) {}
}
