//! Having a broken session go on from where its threads failed.
//!
//! The threads that go on are those whose failures nobody awaited, and those whose failures made them fail: a thread that
//! failed at an `await` stands there still, and when it is run it tells what it awaits. A failure that was caught is over
//! and done with.
//!
//! The first commit opens the session again and says in its record that it is *being retried*; then its failed threads are
//! put back, some with each commit, one that others have failed by before those; the last commit says that all are. Until
//! then none of them runs, not even where the session is in memory still: one that went on early could meet another one's
//! error, which is still there. If the retry's process dies, whoever opens the session next finds those that are left in
//! the same way.

use std::collections::HashSet;

use hark_machine::{Awaited, Effect, Host, Program, Thread};

use super::{Outside, OutsideError};
use crate::commit::{Commit, Outcome};
use crate::id::{Stamp, ThreadId};
use crate::limits::RETRIES_PER_COMMIT_MAX;
use crate::record::{FutureRecord, Key, Live, Record, SessionState, State, Status, Versioned};
use crate::step;
use crate::storage::{Range, StorageError, Tenure};

impl Outside<'_> {
    /// Has a broken session go on from where its broken threads failed. Somebody has to take it up then.
    ///
    /// # Errors
    /// If it is not broken, or the storage fails.
    pub fn retry(&self) -> Result<(), OutsideError> {
        let (_, session) = self.read_settled()?;
        // One that was cut off is completed.
        if !session.retrying {
            // Before the session goes on: whoever takes it up must not think that its worker was lost.
            if let Tenure::Servers(servers) = self.storage.tenure() {
                servers.forget_dead_server(&self.id)?;
            }
            self.change(|stamp, session, commit| match session.state {
                SessionState::Broken => {
                    step::begin_retry(stamp, session, commit);
                    Ok(())
                }
                state => Err(OutsideError::WrongState(state)),
            })?;
        }
        self.finish_retry()?;
        self.dispatch(&[])?;
        Ok(())
    }

    /// Puts back what is left of the failed threads of a session that is being retried.
    pub(super) fn finish_retry(&self) -> Result<(), StorageError> {
        let mut stamps = self.stamps();
        let order = self.failed_threads()?;
        let mut left = &order[..];
        loop {
            let Some(Versioned { stamp, record: Record::Session(session) }) = self.read(Key::Session)? else {
                return Err(StorageError::Gone);
            };
            if session.state != SessionState::Running || !session.retrying {
                // Someone else was quicker, or has cancelled it.
                return Ok(());
            }
            let mut commit = Commit::new(stamps.next());
            let (some, rest) = left.split_at(left.len().min(RETRIES_PER_COMMIT_MAX));
            if some.is_empty() {
                let first_stopped = self.read(Key::Live(step::FIRST))?.is_none();
                step::end_retry(stamp, &session, first_stopped, &mut commit);
            } else {
                commit.expect.push((Key::Session, Some(stamp)));
                for thread in some {
                    self.put_back(*thread, &mut commit)?;
                }
            }
            // After a conflict or a lost answer, the next look tells what is left of these.
            if self.records.commit(&mut commit)? == Outcome::Done {
                left = rest;
            }
        }
    }

    /// The threads that are to go on, those that others have failed by before these.
    fn failed_threads(&self) -> Result<Vec<ThreadId>, StorageError> {
        let mut seen = HashSet::new();
        let mut order = Vec::new();
        for unawaited in self.records.scan(Range::Unawaited, usize::MAX)? {
            let Record::Unawaited(thread, _) = unawaited else { continue };
            // Of each thread whether those that it has failed by are in the order already.
            let mut open = vec![(thread, false)];
            while let Some((thread, is_due)) = open.pop() {
                if is_due {
                    order.push(thread);
                } else if seen.insert(thread)
                    && let Some(Versioned { record: Record::Broken(_, live), .. }) = self.read(Key::Broken(thread))?
                {
                    open.push((thread, true));
                    open.extend(self.failed_by(*live)?.into_iter().map(|failed| (failed, false)));
                }
            }
        }
        Ok(order)
    }

    /// Which failed threads a thread awaits, where it stands.
    fn failed_by(&self, live: Live) -> Result<Vec<ThreadId>, StorageError> {
        let awaited = match (live.status, live.state) {
            (Status::Following(awaited), _) => vec![awaited],
            (Status::Calling(_), _) => Vec::new(),
            (_, State::Present(thread)) => awaited_by(thread, &self.program),
            _ => Vec::new(),
        };
        let mut failed = Vec::new();
        for awaited in awaited {
            if let Awaited::Thread(thread) = awaited
                && let Some(Versioned { record: Record::Future(_, FutureRecord::Failed(_)), .. }) =
                    self.read(Key::Future(ThreadId(thread).into()))?
            {
                failed.push(ThreadId(thread));
            }
        }
        Ok(failed)
    }

    fn put_back(&self, thread: ThreadId, commit: &mut Commit) -> Result<(), StorageError> {
        let own = [Key::Broken(thread), Key::Future(thread.into()), Key::Live(thread), Key::Unawaited(thread)];
        let mut found = Vec::with_capacity(own.len());
        self.records.read(&own, &mut found)?;
        let stamp = |found: Option<Option<Versioned>>| -> Option<Stamp> { found.flatten().map(|found| found.stamp) };
        let was_awaited = stamp(found.pop()).is_none();
        let (live, future) = (stamp(found.pop()), stamp(found.pop()));
        match found.pop().flatten() {
            Some(Versioned { record: Record::Broken(_, mut broken), .. }) if live.is_none() => {
                if let State::Present(thread) = &mut broken.state {
                    thread.retry(&self.program);
                }
                step::retry(thread, broken, future, was_awaited, self.surroundings.now(), commit);
            }
            // One that lives cannot have failed: only a damaged file says so.
            Some(_) => commit.delete.push(Key::Broken(thread)),
            None => {}
        }
        Ok(())
    }
}

/// The Futures that a thread awaits where it stands.
pub(crate) fn awaited_by(mut thread: Thread, program: &Program) -> Vec<Awaited> {
    match thread.run_instructions(program, 1, &mut Nowhere) {
        Effect::Await(wait) => wait.futures.into_vec(),
        _ => Vec::new(),
    }
}

/// What a thread does that is only asked where it stands.
struct Nowhere;

impl Host for Nowhere {
    fn spawn(&mut self, _: Thread) -> u64 {
        0
    }

    fn print(&mut self, _: String) {}

    fn thread(&self) -> u64 {
        0
    }

    fn session(&self) -> &str {
        ""
    }

    fn now(&mut self) -> u64 {
        0
    }

    fn random(&mut self) -> u64 {
        0
    }
}
