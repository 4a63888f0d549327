//! The sweeper of a durable storage: continues sessions whose threads are due or were woken, and takes over sessions
//! that are not being served.
//!
//! A session that the storage does not let continue does not delay the others. The failure is reported; if it may be
//! temporary, the session is retried until it continues.

mod leases;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::warn;

use crate::id::SessionId;
use crate::limits::{EXHAUSTED_RETRY_WAIT, MAILBOX_TIME_SHARE, NEWS_WAIT_MAX, STORAGE_RETRY_WAIT};
use crate::server::Server;
use crate::servers::Claimed;
use crate::serving::Serving;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;
use leases::Rounds;

/// The work of the OS thread that sweeps.
pub(crate) struct Sweeper<'a> {
    serving: &'a Serving,
    takes_all: bool,
    on_failure: &'a dyn Fn(&SessionId, &StorageError),
    /// Sessions that this server has claimed but not yet resumed.
    claimed: Vec<Claimed>,
    /// Sessions that failed because a resource was exhausted, and when to retry them.
    postponed: Vec<(Timestamp, Claimed)>,
    /// The last reported error of each session.
    reported: HashMap<SessionId, StorageError>,
    /// Whether another process may have woken threads since the mailboxes were last read.
    has_news: bool,
    mailboxes: Pacing,
}

/// When the mailboxes are read: on news from other processes, and once a second, because news may be lost. Reading
/// returns the mailboxes of all woken threads that have not had their turn. There may be very many, so reading is limited
/// to a small share of the time.
#[derive(Debug, Default)]
struct Pacing {
    not_before: Timestamp,
    at_latest: Timestamp,
}

impl Pacing {
    fn is_time(&self, now: Timestamp, has_news: bool) -> bool {
        // If the clock was set back, these times are too far away.
        let is_allowed = now >= self.not_before || self.not_before.since(now) > NEWS_WAIT_MAX;
        is_allowed && (has_news || now >= self.at_latest || self.at_latest.since(now) > NEWS_WAIT_MAX)
    }

    fn note_look(&mut self, begun: Timestamp, ended: Timestamp) {
        let pause = (ended.since(begun) * MAILBOX_TIME_SHARE).min(NEWS_WAIT_MAX);
        *self = Pacing { not_before: ended.after(pause), at_latest: ended.after(NEWS_WAIT_MAX) };
    }
}

impl<'a> Sweeper<'a> {
    pub fn new(
        serving: &'a Serving,
        takes_all: bool,
        on_failure: &'a dyn Fn(&SessionId, &StorageError),
    ) -> Sweeper<'a> {
        Sweeper {
            serving,
            takes_all,
            on_failure,
            claimed: Vec::new(),
            postponed: Vec::new(),
            reported: HashMap::new(),
            has_news: true,
            mailboxes: Pacing::default(),
        }
    }

    /// Sweeps on news, when a thread is due, and once a second, until `stop` is set.
    ///
    /// # Errors
    /// If the storage as a whole fails.
    pub fn attend(mut self, stop: &AtomicBool) -> Result<(), StorageError> {
        match self.serving.lease() {
            Some(lease) => {
                let serves_others = self.takes_all || self.serving.awaits_others();
                self.has_news = serves_others;
                let mut rounds = Rounds::new(serves_others, self.serving.steady_now(), lease);
                self.keep_looking(stop, |sweeper| sweeper.look_at_leases(&mut rounds, lease))
            }
            None => self.keep_looking(stop, Sweeper::look),
        }
    }

    /// Repeats `look` until `stop` is set. It returns the time of the next one.
    fn keep_looking(
        mut self,
        stop: &AtomicBool,
        mut look: impl FnMut(&mut Self) -> Result<Timestamp, StorageError>,
    ) -> Result<(), StorageError> {
        while !stop.load(Ordering::Acquire) {
            let mut wait = match look(&mut self) {
                Ok(next) => next.since(self.serving.steady_now()),
                Err(StorageError::Transient(_)) => STORAGE_RETRY_WAIT,
                // A worker waits until there is room on the disk, for example, as it does with sessions that it serves alone.
                Err(error @ StorageError::Exhausted(_)) if self.takes_all && self.serving.lease().is_some() => {
                    warn!(%error, "the sweeper waits for a resource");
                    EXHAUSTED_RETRY_WAIT
                }
                Err(error) => return Err(error),
            };
            if self.note_failures() {
                wait = wait.min(STORAGE_RETRY_WAIT);
            }
            self.has_news |= self.serving.catalog()?.wait_for_news(wait.min(NEWS_WAIT_MAX));
        }
        Ok(())
    }

    /// Sweeps everything. Returns the time of the next sweep.
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

    /// Takes the sessions that are not being served.
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
        // If the active ones cannot be determined, treat all as active.
        let claimed = std::mem::take(&mut self.claimed);
        let active = servers.active(&claimed, self.serving.seen()).unwrap_or(claimed);
        for claimed in active {
            let taken = match self.serving.take(&claimed.session) {
                Ok(Some(session)) => {
                    let noted = self.serving.note_taken(&session, claimed.was_lost, None);
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

    /// Reports failures. Returns whether something can be retried.
    fn note_failures(&mut self) -> bool {
        for (id, error) in self.serving.take_waits() {
            self.report(&id, &error);
        }
        // Leased threads are due again for whoever takes them next.
        let takes_up = self.takes_all && self.serving.lease().is_none();
        for (id, error) in self.serving.take_failures() {
            self.report(&id, &error);
            if takes_up && matches!(error, StorageError::Transient(_)) {
                // The next sweep for sessions that are not being served takes it.
                if self.serving.release(&id).is_err() {
                    self.claimed.push(Claimed { session: id, was_lost: false });
                }
            } else if takes_up && matches!(error, StorageError::Exhausted(_)) {
                let until = self.serving.steady_now().after(EXHAUSTED_RETRY_WAIT);
                self.postponed.push((until, Claimed { session: id, was_lost: false }));
            }
        }
        !self.claimed.is_empty()
    }

    /// Reports an error of a session, unless it was already the last one reported.
    fn report(&mut self, id: &SessionId, error: &StorageError) {
        if self.reported.get(id) != Some(error) {
            (self.on_failure)(id, error);
            self.reported.insert(id.clone(), error.clone());
        }
    }
}
