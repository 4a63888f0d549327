//! Looking after sessions whose threads are leased: all that is due is taken by whoever has room for it.

use std::time::Duration;

use super::Attendant;
use crate::limits::{NEWS_WAIT_MAX, OTHERS_LOOK_PAUSE};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// What is done when.
#[derive(Default)]
pub(super) struct Rounds {
    /// The leases are renewed then.
    renewal: Timestamp,
    /// It is looked then for what lost processes have left.
    sweep: Timestamp,
    /// What others have done was looked at then.
    looked: Timestamp,
}

impl Attendant<'_> {
    /// Looks at everything; answers when the next look is to be taken.
    pub(super) fn look_at_leases(&mut self, rounds: &mut Rounds, lease: Duration) -> Result<Timestamp, StorageError> {
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
        let queue = self.serving.leave_waiting_calls()?;
        let next = self.serving.take_threads(self.takes_all)?.min(queue);
        let look = if self.has_news { rounds.looked.after(OTHERS_LOOK_PAUSE) } else { next };
        Ok(next.min(look).min(rounds.renewal).min(rounds.sweep))
    }
}

/// Whether a time has come. A clock that was set back is not waited for: no time is further away than this.
fn is_time(at: Timestamp, now: Timestamp, at_most: Duration) -> bool {
    now >= at || at.since(now) > at_most
}
