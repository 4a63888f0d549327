//! Exporting a session to a file, and moving it away.
//!
//! Moving first marks the session, then reads and writes it, and finally marks it as moved. While it is *moving*, it
//! cannot be changed, so the file contains everything that was ever acknowledged. If it cannot be written, or the
//! process dies, the session returns to its previous state.

use super::{Outside, OutsideError};
use crate::export;
use crate::id::Stamp;
use crate::record::{SessionRecord, SessionState};
use crate::step;
use crate::storage::StorageError;

/// The reason why a session was not exported.
#[derive(Debug)]
pub enum ExportError<E> {
    /// It is in the wrong state, or the storage fails.
    Refused(OutsideError),
    /// It could not be written. The session is unchanged.
    Write(E),
    /// During the export, another process believed this one dead, and has changed the session. It remains in its
    /// storage, and the written data must not be used.
    Changed,
}

impl<E, T: Into<OutsideError>> From<T> for ExportError<E> {
    fn from(error: T) -> ExportError<E> {
        ExportError::Refused(error.into())
    }
}

impl Outside<'_> {
    /// Writes the complete session, for [`import`](crate::import()), and marks it as moved, which means over here. A
    /// session that was already moved is written again. `write` must have stored the data durably when it returns.
    ///
    /// # Errors
    /// If the session is running or already being moved, it cannot be written, or the storage fails.
    pub fn export<E>(&self, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), ExportError<E>> {
        let marked = loop {
            let (_, session) = self.read_settled()?;
            if session.state == SessionState::Moved {
                return write(&self.read_all()?).map_err(ExportError::Write);
            }
            if !self.storage.tenure().hold(&self.id, self.surroundings.steady_now())? {
                return Err(self.refusal()?.into());
            }
            match self.mark() {
                Ok(marked) => {
                    self.check_mark(marked)?;
                    break marked;
                }
                Err(error) => {
                    self.storage.tenure().release(Some(&self.id))?;
                    // Another process has just moved it.
                    if !matches!(error, OutsideError::WrongState(SessionState::Moved)) {
                        return Err(error.into());
                    }
                }
            }
        };
        let moved = self.move_out(marked, write);
        if moved.is_ok() {
            // A failure does no harm, because the session is not being served.
            let _ = self.leave_gates();
        }
        // The outcome is decided. If the release fails, other processes notice that this one has ended.
        let _ = self.storage.tenure().release(Some(&self.id));
        self.dispatch(&[])?;
        moved
    }

    /// Writes a copy of a session that is not running. The session remains.
    ///
    /// # Errors
    /// As for [`export`](Outside::export).
    pub fn export_copy<E>(&self, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), ExportError<E>> {
        let (_, session) = self.read_settled()?;
        if session.state.is_in_transit() || session.state == SessionState::Running && self.is_served_elsewhere()? {
            return Err(self.refusal()?.into());
        }
        write(&self.read_all()?).map_err(ExportError::Write)
    }

    /// The reason why it cannot be held.
    fn refusal(&self) -> Result<OutsideError, OutsideError> {
        Ok(match self.read_session()?.1.state {
            SessionState::Running => OutsideError::Served,
            state => OutsideError::WrongState(state),
        })
    }

    /// Marks the session as being moved. Returns the version of its record.
    fn mark(&self) -> Result<Stamp, OutsideError> {
        self.change(|stamp, session, commit| {
            if session.state.is_in_transit() || session.state == SessionState::Moved {
                return Err(OutsideError::WrongState(session.state));
            }
            // Fails if another process holds the session meanwhile.
            commit.by_server = true;
            commit.until = self.storage.tenure().move_until(self.surroundings.steady_now());
            step::begin_move(stamp, session, commit);
            Ok(())
        })
    }

    /// Takes the mark back if another process has taken a thread before it.
    fn check_mark<E>(&self, marked: Stamp) -> Result<(), ExportError<E>> {
        let tenure = self.storage.tenure();
        let is_taken = tenure.has_held_threads(&self.id, self.surroundings.steady_now());
        if is_taken == Ok(false) {
            return Ok(());
        }
        // It may already have been undone by another process.
        let undone = self.end_move(marked, step::undo_move);
        tenure.release(Some(&self.id))?;
        is_taken?;
        undone?;
        Err(OutsideError::Served.into())
    }

    fn move_out<E>(&self, marked: Stamp, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), ExportError<E>> {
        let written = self.read_all().map(|bytes| write(&bytes).map_err(ExportError::Write));
        match written {
            Ok(Ok(())) => self.end_move(marked, |stamp, session, commit| {
                step::end_move(stamp, session, self.surroundings.now(), commit);
            }),
            failed => {
                // It may already have been undone by another process.
                let undone = self.end_move(marked, step::undo_move);
                failed??;
                undone
            }
        }
    }

    /// Ends a move whose mark has this stamp.
    fn end_move<E>(
        &self,
        marked: Stamp,
        decide: impl Fn(Stamp, &SessionRecord, &mut crate::commit::Commit),
    ) -> Result<(), ExportError<E>> {
        // Not `read_settled`: this process itself is moving the session, so nothing must be recovered.
        let changed = self.change_as_read(
            || self.read_session(),
            |stamp, session, commit| {
                if stamp != marked {
                    return Err(OutsideError::WrongState(session.state));
                }
                decide(stamp, session, commit);
                Ok(())
            },
        );
        match changed {
            Ok(_) => Ok(()),
            Err(OutsideError::WrongState(_) | OutsideError::NoSession(_)) => Err(ExportError::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// The exported session, in its state before the move.
    fn read_all(&self) -> Result<Vec<u8>, OutsideError> {
        let everything = self.records.all()?;
        let written = export::write(&self.id, &everything.session.as_before_move(), &self.program, &everything);
        Ok(written.map_err(|error| StorageError::Permanent(format!("an object's bytes cannot be read: {error}")))?)
    }
}
