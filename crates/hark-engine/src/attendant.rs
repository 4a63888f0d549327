//! Looking after the sessions of a durable storage: those whose time has come go on, and those that nobody serves are
//! taken.
//!
//! A session that the storage does not let go on keeps no other from it. It is told of; one that may go on later is taken
//! up again until it does.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::id::SessionId;
use crate::limits::{EXHAUSTED_RETRY_WAIT, NEWS_WAIT_MAX, STORAGE_RETRY_WAIT};
use crate::serving::Serving;
use crate::storage::{Claimed, StorageError};
use crate::surroundings::Timestamp;

/// What one OS thread does that looks after sessions.
pub(crate) struct Attendant<'a> {
    serving: &'a Serving,
    takes_all: bool,
    on_failure: &'a dyn Fn(&SessionId, &StorageError),
    /// Sessions that this server has got, and that are still to be taken up.
    claimed: Vec<Claimed>,
    /// Sessions for which something had run out, and when they are tried again.
    postponed: Vec<(Timestamp, Claimed)>,
    /// What was told last of sessions that failed.
    told: HashMap<SessionId, StorageError>,
}

impl<'a> Attendant<'a> {
    pub fn new(
        serving: &'a Serving,
        takes_all: bool,
        on_failure: &'a dyn Fn(&SessionId, &StorageError),
    ) -> Attendant<'a> {
        Attendant { serving, takes_all, on_failure, claimed: Vec::new(), postponed: Vec::new(), told: HashMap::new() }
    }

    /// Looks when there is news, when a time comes, and once in a while, until it is stopped.
    ///
    /// # Errors
    /// If the storage as a whole will not work.
    pub fn attend(mut self, stop: &AtomicBool) -> Result<(), StorageError> {
        while !stop.load(Ordering::Acquire) {
            let due = match self.look() {
                Ok(()) => self.serving.look_at_agenda(),
                Err(error) => Err(error),
            };
            let mut wait = match due {
                Ok(next) => next.map_or(NEWS_WAIT_MAX, |next| next.since(self.serving.steady_now())),
                Err(StorageError::Transient(_)) => STORAGE_RETRY_WAIT,
                Err(error) => return Err(error),
            };
            if self.note_failures() {
                wait = wait.min(STORAGE_RETRY_WAIT);
            }
            self.serving.catalog()?.wait_for_news(wait.min(NEWS_WAIT_MAX));
        }
        Ok(())
    }

    /// Takes what nobody serves.
    fn look(&mut self) -> Result<(), StorageError> {
        let catalog = self.serving.catalog()?;
        if let Some(left) = catalog.left_after_lapse()? {
            self.serving.give_up_all_but(&left);
        }
        if self.takes_all {
            self.claimed.extend(catalog.claim(None)?);
        }
        let now = self.serving.steady_now();
        let due = self.postponed.extract_if(.., |(until, _)| *until <= now);
        self.claimed.extend(due.map(|(_, claimed)| claimed));
        if self.claimed.is_empty() {
            return Ok(());
        }
        let active = catalog.active(&self.claimed)?;
        self.claimed.clear();
        for claimed in active {
            let taken = match self.serving.take(&claimed.session) {
                Ok(Some(session)) => self.serving.take_up(&session, claimed.was_lost),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = taken {
                self.serving.fail(&claimed.session, error);
            }
        }
        Ok(())
    }

    /// Tells what failed; answers whether something may be tried again.
    fn note_failures(&mut self) -> bool {
        for (id, error) in self.serving.take_failures() {
            if self.told.get(&id) != Some(&error) {
                (self.on_failure)(&id, &error);
                self.told.insert(id.clone(), error.clone());
            }
            if self.takes_all && matches!(error, StorageError::Transient(_)) {
                self.claimed.push(Claimed { session: id, was_lost: false });
            } else if self.takes_all && matches!(error, StorageError::Exhausted(_)) {
                let until = self.serving.steady_now().after(EXHAUSTED_RETRY_WAIT);
                self.postponed.push((until, Claimed { session: id, was_lost: false }));
            }
        }
        !self.claimed.is_empty()
    }
}
