//! The sweeper where threads are leased: takes due threads while there is room, and renews the leases of held threads.

use std::time::Duration;

use super::Sweeper;
use crate::limits::{NEWS_WAIT_MAX, OTHERS_LOOK_PAUSE};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// The times of periodic work.
pub(super) struct Rounds {
    /// When to renew the leases.
    renewal: Timestamp,
    /// When to look for work that lost processes have left.
    sweep: Timestamp,
    /// When the changes of other processes were last read.
    looked: Timestamp,
}

impl Rounds {
    /// A process that only serves its own new sessions has nothing to sweep yet, and a session that ends at once costs
    /// no poll.
    pub fn new(serves_others: bool, now: Timestamp, lease: Duration) -> Rounds {
        let renewal = now.after(lease / 3);
        if serves_others {
            Rounds { renewal, sweep: now, looked: Timestamp(0) }
        } else {
            Rounds { renewal, sweep: now.after(lease), looked: now }
        }
    }
}

impl Sweeper<'_> {
    /// Sweeps everything. Returns the time of the next sweep.
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

/// Whether a time has come. It also counts as having come if it is further away than `at_most`, because then the clock
/// was set back.
fn is_time(at: Timestamp, now: Timestamp, at_most: Duration) -> bool {
    now >= at || at.since(now) > at_most
}
