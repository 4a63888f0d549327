//! Retrying a broken session: its threads continue from where they failed.
//!
//! The threads that continue are those with unawaited failures, and those whose failures caused them: a thread that
//! failed at an `await` is still at that place, and running it for one instruction shows what it awaits. A failure that
//! was caught is not retried.
//!
//! The first commit reopens the session and marks it as *being retried*; further commits put back its failed threads,
//! some with each commit, causes before the threads that failed because of them; the last commit removes the mark.
//! Until then none of them runs, even if the session is still in memory: a thread that continued early could meet the
//! error of another one, which still exists. If the process of the retry dies, the next one to open the session finds
//! the remaining threads in the same way.

use std::collections::HashSet;

use hark_machine::{Awaited, Effect, Host, Program, Thread};

use super::{Outside, OutsideError};
use crate::commit::{Commit, Outcome};
use crate::dispatch::Hint;
use crate::id::{Stamp, ThreadId};
use crate::limits::RETRIES_PER_COMMIT_MAX;
use crate::place::Place;
use crate::record::{FutureRecord, Key, Live, Record, SessionState, State, Status, Versioned};
use crate::step;
use crate::storage::{Range, StorageError, Tenure};

impl Outside<'_> {
    /// Prepares a broken session to continue from where its threads failed. A process must then resume it.
    ///
    /// # Errors
    /// If it is not broken, or the storage fails.
    pub fn retry(&self) -> Result<(), OutsideError> {
        let (_, session) = self.read_settled()?;
        // An interrupted retry is completed.
        if !session.retrying {
            // Done before the session is reopened, so that its next server does not assume that its worker was lost.
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
        let put_back = self.finish_retry()?;
        self.dispatch(&put_back)?;
        Ok(())
    }

    /// Puts back the remaining failed threads of a session that is being retried. Returns hints for them.
    pub(super) fn finish_retry(&self) -> Result<Vec<Hint>, StorageError> {
        let mut stamps = self.stamps();
        let mut hints: Vec<Hint> = self.failed_threads()?.into_iter().map(Hint::now).collect();
        let mut left = &mut hints[..];
        loop {
            let Some(Versioned { stamp, record: Record::Session(session) }) = self.read(Key::Session)? else {
                return Err(StorageError::Gone);
            };
            if session.state != SessionState::Running || !session.retrying {
                // Another process was faster, or has cancelled it.
                return Ok(hints);
            }
            let mut commit = Commit::new(stamps.next());
            let count = left.len().min(RETRIES_PER_COMMIT_MAX);
            if let Some(first) = left.first() {
                step::note_put_back(stamp, &session, first.thread, &mut commit);
                for hint in &mut left[..count] {
                    hint.place = self.put_back(hint.thread, &mut commit)?;
                }
            } else {
                let first_stopped = self.read(Key::Live(step::FIRST))?.is_none();
                step::end_retry(stamp, &session, first_stopped, &mut commit);
            }
            // After a conflict or a lost answer, the next round reads what is left of these.
            if self.records.commit(&mut commit)? == Outcome::Done {
                left = &mut left[count..];
            }
        }
    }

    /// The threads to continue; causes come before the threads that failed because of them.
    fn failed_threads(&self) -> Result<Vec<ThreadId>, StorageError> {
        let mut seen = HashSet::new();
        let mut order = Vec::new();
        for unawaited in self.records.scan(Range::Unawaited, usize::MAX)? {
            let Record::Unawaited(thread, _) = unawaited else { continue };
            // For each thread, whether its causes are already in the order.
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

    /// The failed threads that a thread awaits at its current place.
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

    /// Puts a failed thread back. Returns its place.
    fn put_back(&self, thread: ThreadId, commit: &mut Commit) -> Result<Place, StorageError> {
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
                let place = broken.demand.place.clone();
                step::retry(thread, broken, future, was_awaited, self.surroundings.now(), commit);
                return Ok(place);
            }
            // A live thread cannot have failed: the file is damaged.
            Some(_) => commit.delete.push(Key::Broken(thread)),
            None => {}
        }
        Ok(Place::default())
    }
}

/// The Futures that a thread awaits at its current place.
pub(crate) fn awaited_by(mut thread: Thread, program: &Program) -> Vec<Awaited> {
    match thread.run_instructions(program, 1, &mut Nowhere) {
        Effect::Await(wait) => wait.futures.into_vec(),
        _ => Vec::new(),
    }
}

/// The host of a thread that is only run to see what it awaits.
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
