//! Having a broken session go on from where its threads failed.
//!
//! The first commit opens the session again and says in its record that it is *being retried*; then its failed threads are
//! put back, some with each commit; the last commit says that all are. Until then none of them runs: one that went on early
//! could wait for another one's error, which is still there. If the retry's process dies, whoever opens the session next
//! puts back the rest.

use super::{Outside, OutsideError};
use crate::commit::Commit;
use crate::id::{Stamp, ThreadId};
use crate::limits::RETRIES_PER_COMMIT_MAX;
use crate::record::{Key, Record, SessionState, Versioned};
use crate::step;
use crate::storage::{Range, StorageError};

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
            self.catalog()?.forget_dead_server(&self.id)?;
            self.change(|stamp, session, commit| match session.state {
                SessionState::Broken => {
                    step::begin_retry(stamp, session, commit);
                    Ok(())
                }
                state => Err(OutsideError::WrongState(state)),
            })?;
        }
        self.finish_retry()?;
        self.announce()?;
        Ok(())
    }

    /// Puts back what is left of the failed threads of a session that is being retried.
    pub(super) fn finish_retry(&self) -> Result<(), StorageError> {
        let mut stamps = self.stamps();
        loop {
            let Some(Versioned { stamp, record: Record::Session(session) }) = self.read(Key::Session)? else {
                return Err(StorageError::Gone);
            };
            if session.state != SessionState::Running || !session.retrying {
                // Someone else was quicker, or has cancelled it.
                return Ok(());
            }
            let mut commit = Commit::new(stamps.next());
            let broken = self.records.scan(Range::Broken, RETRIES_PER_COMMIT_MAX)?;
            if broken.is_empty() {
                let first_stopped = self.read(Key::Live(step::FIRST))?.is_none();
                step::end_retry(stamp, &session, first_stopped, &mut commit);
            } else {
                commit.expect.push((Key::Session, Some(stamp)));
                for record in broken {
                    if let Record::Broken(thread, _) = record {
                        self.put_back(thread, &mut commit)?;
                    }
                }
            }
            // Whether it was done, the next look tells.
            let _ = self.records.commit(&mut commit)?;
        }
    }

    fn put_back(&self, thread: ThreadId, commit: &mut Commit) -> Result<(), StorageError> {
        let mut found = Vec::with_capacity(3);
        self.records.read(&[Key::Broken(thread), Key::Future(thread.into()), Key::Live(thread)], &mut found)?;
        let stamp = |found: Option<Option<Versioned>>| -> Option<Stamp> { found.flatten().map(|found| found.stamp) };
        let (live, future) = (stamp(found.pop()), stamp(found.pop()));
        match found.pop().flatten() {
            Some(Versioned { record: Record::Broken(_, broken), .. }) if live.is_none() => {
                step::retry(thread, broken, future, self.surroundings.now(), commit);
            }
            // One that lives cannot have failed: only a damaged file says so.
            Some(_) => commit.delete.push(Key::Broken(thread)),
            None => {}
        }
        Ok(())
    }
}
