//! Starting sessions with keys: each is started only once, no matter how many processes try.

use std::sync::Arc;

use super::{Engine, Newborn, Start, unstarted};
use crate::assignment::Assignment;
use crate::id::{SessionId, Stamps};
use crate::keyed::{self, Keyed};
use crate::output::Observer;
use crate::report::Report;
use crate::storage::StorageError;

impl Engine {
    /// Runs a session to its end, like [`run_announced`](Engine::run_announced), unless a session with its key exists.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn run_keyed(
        &self,
        start: Start,
        observer: Arc<dyn Observer>,
        begun: impl FnOnce(&SessionId),
    ) -> Result<Keyed<Report>, StorageError> {
        let newborn = match self.claim_key(&start)? {
            Keyed::New(newborn) => newborn,
            Keyed::Known(id) => return Ok(Keyed::Known(id)),
        };
        match self.begin_announced(&newborn, start, observer) {
            Ok(session) => {
                begun(&newborn.id);
                Ok(Keyed::New(self.finish(&session)))
            }
            Err(_) if self.exists(&newborn.id)? => Ok(Keyed::Known(newborn.id)),
            Err(error) => Ok(Keyed::New(unstarted(&newborn.id, &error))),
        }
    }

    /// Stores a session for other processes to run, like [`leave_to_others`](Engine::leave_to_others), unless a session
    /// with its key exists. Returns its id.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn leave_keyed(&self, start: Start) -> Result<Keyed<SessionId>, StorageError> {
        let newborn = match self.claim_key(&start)? {
            Keyed::New(newborn) => newborn,
            Keyed::Known(id) => return Ok(Keyed::Known(id)),
        };
        match self.leave_newborn(&newborn, start) {
            Ok(()) => Ok(Keyed::New(newborn.id)),
            Err(_) if self.exists(&newborn.id)? => Ok(Keyed::Known(newborn.id)),
            Err(error) => Err(error),
        }
    }

    /// Stores a session, unless one with its key exists. This process then runs its first thread with
    /// [`run_assigned`](Engine::run_assigned). For processes that are started for threads.
    ///
    /// # Errors
    /// If the storage fails, or does not store sessions.
    pub fn begin_assigned(&self, start: Start) -> Result<Keyed<Assignment>, StorageError> {
        let newborn = match self.claim_key(&start)? {
            Keyed::New(newborn) => newborn,
            Keyed::Known(id) => return Ok(Keyed::Known(id)),
        };
        match self.write_newborn(&newborn, start) {
            Ok(hint) => Ok(Keyed::New(hint.assignment(&newborn.id))),
            Err(_) if self.exists(&newborn.id)? => Ok(Keyed::Known(newborn.id)),
            Err(error) => Err(error),
        }
    }

    fn claim_key(&self, start: &Start) -> Result<Keyed<Newborn>, StorageError> {
        let newborn = self.newborn();
        let Some(key) = &start.labels.key else { return Ok(Keyed::New(newborn)) };
        let (space, mut stamps) = (self.ports.storage.space(), Stamps::unique(&*self.ports.surroundings));
        let claimed = keyed::claim(space, &mut stamps, key, &newborn.id, |id| self.exists(id))?;
        Ok(match claimed {
            Keyed::New(id) => Keyed::New(Newborn { id, ..newborn }),
            Keyed::Known(id) => Keyed::Known(id),
        })
    }

    fn exists(&self, id: &SessionId) -> Result<bool, StorageError> {
        Ok(self.serving()?.catalog()?.record(id)?.is_some())
    }
}
