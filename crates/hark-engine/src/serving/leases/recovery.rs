//! The recovery. Where each hint starts a process, no process polls for due threads, so one that is started now and
//! then hands over the threads whose hints were lost, and dispatches the timers that expire soon.

use crate::dispatch::Hint;
use crate::id::{SessionId, Stamps};
use crate::leases::{Taken, Upcoming};
use crate::limits::{RECOVERED_AT_A_TIME, TIMERS_DISPATCHED_MAX};
use crate::place::Pools;
use crate::server::Server;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

use super::{Serving, by_session};

/// The numbers of threads and timers that a recovery has found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Due threads that were handed over.
    pub threads: usize,
    /// Timers that expire soon and were dispatched.
    pub timers: usize,
}

impl Serving {
    /// See [`Engine::recover`](crate::Engine::recover).
    pub fn recover(&self, horizon: Timestamp) -> Result<Recovered, StorageError> {
        let Some(pools) = self.started_pools().cloned() else {
            return Err(StorageError::Permanent("no processes are started for threads".into()));
        };
        self.begin_work();
        let recovered = self.recover_from(&pools, horizon);
        self.note_rest();
        recovered
    }

    fn recover_from(&self, pools: &Pools, horizon: Timestamp) -> Result<Recovered, StorageError> {
        // Before threads are taken, because this makes some threads due.
        self.note_gates();
        self.finish_all_abandoned()?;
        self.tend_gates()?;
        let threads = self.hand_over_due(pools)?;
        let upcoming = self.leases()?.upcoming(pools, self.steady_now(), horizon, TIMERS_DISPATCHED_MAX)?;
        let timers = upcoming.len();
        for (id, upcoming) in by_session(upcoming.into_iter().map(|upcoming| (upcoming.session.clone(), upcoming))) {
            let hint = |Upcoming { thread, due, place, .. }| Hint { place, ..Hint::at(thread, due) };
            self.dispatch(&id, &upcoming.into_iter().map(hint).collect::<Vec<Hint>>());
        }
        Ok(Recovered { threads, timers })
    }

    fn hand_over_due(&self, pools: &Pools) -> Result<usize, StorageError> {
        let mut count = 0;
        loop {
            let stamp = Stamps::unique(&*self.ports.surroundings).next();
            let taken = self.leases()?.take(None, pools, self.terms(), stamp, RECOVERED_AT_A_TIME)?;
            if taken.is_empty() {
                return Ok(count);
            }
            count += taken.len();
            let hint = |Taken { thread, demand, held, left, .. }| Hint {
                place: demand.place,
                held: held.map(|_| stamp),
                left,
                ..Hint::now(thread)
            };
            let taken = by_session(taken.into_iter().map(|taken| (taken.session.clone(), taken)));
            let hints = taken.into_iter().map(|(id, taken)| (id, taken.into_iter().map(hint).collect()));
            for (id, hints) in hints.collect::<Vec<(SessionId, Vec<Hint>)>>() {
                self.dispatch(&id, &hints);
            }
        }
    }
}
