//! Writing a session to a file, and moving it away with that.
//!
//! A session that is moved is marked first, then read and written, and last marked as moved. While it is *moving* nobody
//! can change it, so that the file has all that was ever acknowledged. If it cannot be written, or the process dies, it is
//! again what it was before.

use super::{Outside, OutsideError};
use crate::export;
use crate::id::Stamp;
use crate::record::{SessionRecord, SessionState};
use crate::step;
use crate::storage::StorageError;

/// Why a session was not exported.
#[derive(Debug)]
pub enum ExportError<E> {
    /// It is not in a state for it, or the storage fails.
    Refused(OutsideError),
    /// It could not be written. It is as it was.
    Write(E),
    /// While it was written, another process took this one for dead, and has changed the session. It stays here, and what
    /// was written is not to be used.
    Changed,
}

impl<E, T: Into<OutsideError>> From<T> for ExportError<E> {
    fn from(error: T) -> ExportError<E> {
        ExportError::Refused(error.into())
    }
}

impl Outside<'_> {
    /// Writes all that there is of the session, for [`import`](crate::import()), and moves it away: here it is over. One that
    /// was moved before is written as it was then. `write` must have it for certain when it returns.
    ///
    /// # Errors
    /// If the session is running or on its way already, it cannot be written, or the storage fails.
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
                Ok(marked) => break marked,
                Err(error) => {
                    self.storage.tenure().release(Some(&self.id))?;
                    // Someone else has just moved it.
                    if !matches!(error, OutsideError::WrongState(SessionState::Moved)) {
                        return Err(error.into());
                    }
                }
            }
        };
        let moved = self.move_out(marked, write);
        if moved.is_ok() {
            // What is left if this fails does no harm, as nobody serves the session.
            let _ = self.leave_gates();
        }
        // What became of the session is decided. If this fails, others find out that this process is gone.
        let _ = self.storage.tenure().release(Some(&self.id));
        self.dispatch(&[])?;
        moved
    }

    /// Writes a copy of a session that nobody runs. The session stays.
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

    /// Why it cannot be held.
    fn refusal(&self) -> Result<OutsideError, OutsideError> {
        Ok(match self.read_session()?.1.state {
            SessionState::Running => OutsideError::Served,
            state => OutsideError::WrongState(state),
        })
    }

    /// Marks it as one that is being moved. Answers the version that says so.
    fn mark(&self) -> Result<Stamp, OutsideError> {
        self.change(|stamp, session, commit| {
            if session.state.is_in_transit() || session.state == SessionState::Moved {
                return Err(OutsideError::WrongState(session.state));
            }
            // Only if nobody else holds the session meanwhile.
            commit.by_server = true;
            commit.until = self.storage.tenure().move_until(self.surroundings.steady_now());
            step::begin_move(stamp, session, commit);
            Ok(())
        })
    }

    fn move_out<E>(&self, marked: Stamp, write: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), ExportError<E>> {
        let written = self.read_all().map(|bytes| write(&bytes).map_err(ExportError::Write));
        match written {
            Ok(Ok(())) => self.end_move(marked, |stamp, session, commit| {
                step::end_move(stamp, session, self.surroundings.now(), commit);
            }),
            failed => {
                // If it was taken back already, the better.
                let undone = self.end_move(marked, step::undo_move);
                failed??;
                undone
            }
        }
    }

    /// Ends a move that was marked with this stamp.
    fn end_move<E>(
        &self,
        marked: Stamp,
        decide: impl Fn(Stamp, &SessionRecord, &mut crate::commit::Commit),
    ) -> Result<(), ExportError<E>> {
        // It was left by nobody: this is the process that moves it.
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

    /// The session as a file, as it was before it was moved.
    fn read_all(&self) -> Result<Vec<u8>, OutsideError> {
        let everything = self.records.all()?;
        let written = export::write(&self.id, &everything.session.as_before_move(), &self.program, &everything);
        Ok(written.map_err(|error| StorageError::Permanent(format!("an object's bytes cannot be read: {error}")))?)
    }
}
