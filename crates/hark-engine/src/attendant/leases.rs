//! Looking after sessions whose threads are leased: all that is due is taken by whoever has room for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Attendant;
use crate::limits::{NEWS_WAIT_MAX, OTHERS_LOOK_PAUSE, STORAGE_RETRY_WAIT};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// What is done when.
#[derive(Default)]
struct Rounds {
    /// The leases are renewed then.
    renewal: Timestamp,
    /// It is looked then for what lost processes have left.
    sweep: Timestamp,
    /// What others have done was looked at then.
    looked: Timestamp,
}

impl Attendant<'_> {
    /// Looks when there is news, when a time comes, and once in a while, until it is stopped.
    pub(super) fn attend_leases(mut self, stop: &AtomicBool, lease: Duration) -> Result<(), StorageError> {
        let mut rounds = Rounds::default();
        while !stop.load(Ordering::Acquire) {
            let mut wait = match self.look_at_leases(&mut rounds, lease) {
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
    fn look_at_leases(&mut self, rounds: &mut Rounds, lease: Duration) -> Result<Timestamp, StorageError> {
        let now = self.serving.steady_now();
        if is_time(rounds.renewal, now, lease / 3) {
            self.serving.renew_leases()?;
            rounds.renewal = now.after(lease / 3);
        }
        if is_time(rounds.sweep, now, lease) {
            self.serving.finish_abandoned()?;
            rounds.sweep = now.after(lease);
        }
        let pause = if self.has_news { OTHERS_LOOK_PAUSE } else { NEWS_WAIT_MAX };
        if is_time(rounds.looked.after(pause), now, pause) {
            self.serving.look_at_others()?;
            self.serving.tend_gates()?;
            self.has_news = false;
            rounds.looked = now;
        }
        let next = self.serving.take_threads(self.takes_all)?;
        let look = if self.has_news { rounds.looked.after(OTHERS_LOOK_PAUSE) } else { next };
        Ok(next.min(look).min(rounds.renewal).min(rounds.sweep))
    }
}

/// Whether a time has come. A clock that was set back is not waited for: no time is further away than this.
fn is_time(at: Timestamp, now: Timestamp, at_most: Duration) -> bool {
    now >= at || at.since(now) > at_most
}
