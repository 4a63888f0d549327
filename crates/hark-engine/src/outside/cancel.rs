//! Ending a session.

use super::{Outside, OutsideError};
use crate::commit::{Commit, Outcome};
use crate::id::Stamps;
use crate::record::{Key, Record, SessionState, Versioned};
use crate::step;
use crate::storage::{Range, SessionStorage, StorageError, wakes_per_commit};

impl Outside<'_> {
    /// Ends the session: none of its threads goes on.
    ///
    /// # Errors
    /// If it is over already or being moved, or the storage fails.
    pub fn cancel(&self) -> Result<(), OutsideError> {
        let set = self.change(|stamp, session, commit| {
            if session.state != SessionState::Running {
                return Err(OutsideError::WrongState(session.state));
            }
            let threads = self.records.reserve(0)?.0;
            step::cancel(stamp, session, threads, self.surroundings.now(), commit);
            Ok(())
        });
        // Whoever cancelled it before may have died before its threads were gone.
        if matches!(set, Ok(_) | Err(OutsideError::WrongState(SessionState::Cancelled))) {
            drop_threads(&*self.records, &mut self.stamps())?;
            self.leave_gates()?;
        }
        self.announce()?;
        set.map(drop)
    }
}

/// Removes the threads of a session that was cancelled. It ends, because a child's number is greater than its parent's.
pub(crate) fn drop_threads(records: &dyn SessionStorage, stamps: &mut Stamps<'_>) -> Result<(), StorageError> {
    loop {
        let mut found = Vec::new();
        records.read(&[Key::Session], &mut found)?;
        let Some(Some(Versioned { stamp, record: Record::Session(session) })) = found.pop() else { return Ok(()) };
        if session.state != SessionState::Cancelled {
            // It was removed, and an older copy of it has been imported since.
            return Ok(());
        }
        let live = records.scan(Range::Live(step::FIRST), wakes_per_commit(records) * 2 / 3)?;
        if live.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(stamps.next());
        commit.expect.push((Key::Session, Some(stamp)));
        for record in live {
            if let Record::Live(thread, _) = record {
                commit.delete.push(Key::Live(thread));
                commit.delete.push(Key::Cancel(thread));
                if thread != step::FIRST {
                    commit.delete.push(Key::Ready(thread));
                }
            }
        }
        // A conflict or a lost answer shows in the next scan.
        let _: Outcome = records.commit(&mut commit)?;
    }
}
