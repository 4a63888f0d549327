//! Looking after the sessions of a durable storage: those whose time has come go on, and those that nobody serves are
//! taken.
//!
//! A session that the storage does not let go on keeps no other from it. It is told of; one that may go on later is taken
//! up again until it does.

mod leases;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::id::SessionId;
use crate::limits::{EXHAUSTED_RETRY_WAIT, MAILBOX_TIME_SHARE, NEWS_WAIT_MAX, STORAGE_RETRY_WAIT};
use crate::server::Server;
use crate::servers::Claimed;
use crate::serving::Serving;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;
use leases::Rounds;

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
    /// Another process may have woken threads since the last look at their mailboxes.
    has_news: bool,
    mailboxes: Pacing,
}

/// When the mailboxes are looked at: at news from other processes, and once in a while, because news may be lost. A look
/// shows all of those whose threads have not had their turns yet, which may be very many, so that looks take a small share
/// of the time at most.
#[derive(Debug, Default)]
struct Pacing {
    not_before: Timestamp,
    at_latest: Timestamp,
}

impl Pacing {
    fn is_time(&self, now: Timestamp, has_news: bool) -> bool {
        // A clock that was set back is not waited for.
        let is_allowed = now >= self.not_before || self.not_before.since(now) > NEWS_WAIT_MAX;
        is_allowed && (has_news || now >= self.at_latest || self.at_latest.since(now) > NEWS_WAIT_MAX)
    }

    fn note_look(&mut self, begun: Timestamp, ended: Timestamp) {
        let pause = (ended.since(begun) * MAILBOX_TIME_SHARE).min(NEWS_WAIT_MAX);
        *self = Pacing { not_before: ended.after(pause), at_latest: ended.after(NEWS_WAIT_MAX) };
    }
}

impl<'a> Attendant<'a> {
    pub fn new(
        serving: &'a Serving,
        takes_all: bool,
        on_failure: &'a dyn Fn(&SessionId, &StorageError),
    ) -> Attendant<'a> {
        Attendant {
            serving,
            takes_all,
            on_failure,
            claimed: Vec::new(),
            postponed: Vec::new(),
            told: HashMap::new(),
            has_news: true,
            mailboxes: Pacing::default(),
        }
    }

    /// Looks when there is news, when a time comes, and once in a while, until it is stopped.
    ///
    /// # Errors
    /// If the storage as a whole will not work.
    pub fn attend(self, stop: &AtomicBool) -> Result<(), StorageError> {
        match self.serving.lease() {
            Some(lease) => {
                let mut rounds = Rounds::default();
                self.keep_looking(stop, |attendant| attendant.look_at_leases(&mut rounds, lease))
            }
            None => self.keep_looking(stop, Attendant::look),
        }
    }

    /// Takes such looks until it is stopped; each answers when the next one is to be taken.
    fn keep_looking(
        mut self,
        stop: &AtomicBool,
        mut look: impl FnMut(&mut Self) -> Result<Timestamp, StorageError>,
    ) -> Result<(), StorageError> {
        while !stop.load(Ordering::Acquire) {
            let mut wait = match look(&mut self) {
                Ok(next) => next.since(self.serving.steady_now()),
                Err(StorageError::Transient(_)) => STORAGE_RETRY_WAIT,
                Err(error) => return Err(error),
            };
            if self.note_failures() {
                wait = wait.min(STORAGE_RETRY_WAIT);
            }
            self.has_news |= self.serving.catalog()?.wait_for_news(wait.min(NEWS_WAIT_MAX));
        }
        Ok(())
    }

    /// Looks at everything; answers when the next look is to be taken.
    fn look(&mut self) -> Result<Timestamp, StorageError> {
        self.look_for_sessions()?;
        self.serving.finish_cancellations();
        let next = self.serving.look_at_times()?;
        let now = self.serving.steady_now();
        if self.mailboxes.is_time(now, self.has_news) {
            self.serving.look_at_mailboxes()?;
            self.serving.tend_gates()?;
            self.has_news = false;
            self.mailboxes.note_look(now, self.serving.steady_now());
        }
        Ok(if self.has_news { next.min(self.mailboxes.not_before) } else { next })
    }

    /// Takes what nobody serves.
    fn look_for_sessions(&mut self) -> Result<(), StorageError> {
        let servers = self.serving.servers()?;
        if let Some(left) = servers.left_after_lapse()? {
            self.serving.give_up_all_but(&left);
        }
        if self.takes_all {
            self.claimed.extend(servers.claim(None)?);
        }
        let now = self.serving.steady_now();
        let due = self.postponed.extract_if(.., |(until, _)| *until <= now);
        self.claimed.extend(due.map(|(_, claimed)| claimed));
        if self.claimed.is_empty() {
            return Ok(());
        }
        // If that cannot be told, they may all be.
        let claimed = std::mem::take(&mut self.claimed);
        let active = servers.active(&claimed, self.serving.seen()).unwrap_or(claimed);
        for claimed in active {
            let taken = match self.serving.take(&claimed.session) {
                Ok(Some(session)) => {
                    let noted = self.serving.note_taken(&session, claimed.was_lost);
                    self.serving.take_up(&session, claimed.was_lost).and(noted)
                }
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
        for (id, error) in self.serving.take_waits() {
            self.tell(&id, &error);
        }
        for (id, error) in self.serving.take_failures() {
            self.tell(&id, &error);
            if self.takes_all && matches!(error, StorageError::Transient(_)) {
                // Whoever looks next for sessions that nobody serves takes it.
                if self.serving.release(&id).is_err() {
                    self.claimed.push(Claimed { session: id, was_lost: false });
                }
            } else if self.takes_all && matches!(error, StorageError::Exhausted(_)) {
                let until = self.serving.steady_now().after(EXHAUSTED_RETRY_WAIT);
                self.postponed.push((until, Claimed { session: id, was_lost: false }));
            }
        }
        !self.claimed.is_empty()
    }

    /// Tells an error of a session, unless it was the last one that was told of it.
    fn tell(&mut self, id: &SessionId, error: &StorageError) {
        if self.told.get(id) != Some(error) {
            (self.on_failure)(id, error);
            self.told.insert(id.clone(), error.clone());
        }
    }
}
