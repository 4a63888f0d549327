//! Exporting a session to a file, and moving it away.
//!
//! Moving first marks the session, then reads and writes it, and finally marks it as moved. While it is *moving*, it
//! cannot be changed, so the file contains everything that was ever acknowledged. If it cannot be written, or the
//! process dies, the session returns to its previous state. Where others do not see that a process has died, it holds a
//! lease on the session, and renews it as long as it writes.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use super::{Outside, OutsideError};
use crate::export;
use crate::id::Stamp;
use crate::record::{SessionRecord, SessionState};
use crate::step;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

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

/// A move that another process has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MoveUnderWay {
    /// When it began, if the record says so.
    pub since: Option<Timestamp>,
    /// When others consider the process lost, unless it renews its lease on the session. None if they notice when it dies.
    pub until: Option<Timestamp>,
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
            let lease = self.storage.tenure().move_lease();
            commit.until = lease.map(|(_, lease)| self.surroundings.steady_now().after(lease));
            step::begin_move(stamp, session, self.surroundings.now(), commit);
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
        let written =
            self.while_renewing(marked, || self.read_all().map(|bytes| write(&bytes).map_err(ExportError::Write)));
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

    /// Does something, and meanwhile renews the lease on the session that this process has marked.
    fn while_renewing<T>(&self, marked: Stamp, work: impl FnOnce() -> T) -> T {
        let tenure = self.storage.tenure();
        let Some((leases, lease)) = tenure.move_lease() else { return work() };
        let (done, is_done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let renew = move || {
                while is_done.recv_timeout(lease / 3) == Err(RecvTimeoutError::Timeout) {
                    // If that fails several times, others may undo the move, which its end notices.
                    let until = self.surroundings.steady_now().after(lease);
                    let _ = leases.renew_move(&self.id, marked, until);
                }
            };
            // Without that thread the move succeeds if it takes less time than the lease.
            let _ = thread::Builder::new().name("hark-export".into()).spawn_scoped(scope, renew);
            let result = work();
            drop(done);
            result
        })
    }

    /// The move of the session by another process, if there is one.
    ///
    /// # Errors
    /// If the session does not exist, or the storage fails.
    pub fn move_under_way(&self) -> Result<Option<MoveUnderWay>, OutsideError> {
        let (_, session) = self.read_session()?;
        if session.state != SessionState::Moving || !self.is_served_elsewhere()? {
            return Ok(None);
        }
        let until = match self.storage.tenure().move_lease() {
            Some((leases, _)) => leases.moves_until(&self.id)?,
            None => None,
        };
        Ok(Some(MoveUnderWay { since: session.before_move.and_then(|before| before.since), until }))
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
