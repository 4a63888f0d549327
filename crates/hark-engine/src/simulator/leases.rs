//! Leased threads on the simulated disk.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use super::disk::{due_of, record_of};
use super::storage::DiskStorage;
use super::universe::{Holding, LEASE};
use super::world::{Health, Number, World};
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{HeldThread, KnownSession, Leases, Left, Taken, Terms};
use crate::place::Pools;
use crate::record::{Due, Key, SessionState};
use crate::rows::Row;
use crate::servers::Servers;
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

impl Leases for DiskStorage {
    fn lease(&self) -> Duration {
        LEASE
    }

    fn take(
        &self,
        only: Option<&SessionId>,
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let mut taken = world.take(self.number, (only, pools), terms, stamp, most);
            world.loses_answer()?;
            world.add_extra_hints(&mut taken);
            Ok(taken)
        })?
    }

    fn next_due(&self, pools: &Pools, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        self.universe
            .request(self.number, Holding::Nothing, |world| world.next_due(pools, now).filter(|due| *due < horizon))
    }

    fn renew(&self, held: &[HeldThread], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let renewed = held.iter().map(|held| world.set_due(held, Due::Leased(until))).collect();
            world.loses_answer().map(|()| renewed)
        })?
    }

    fn give_back(&self, held: &[HeldThread], left: Left, now: Timestamp) -> Result<(), StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            for held in held {
                world.set_due(held, left.due(now));
            }
            world.loses_answer()
        })?
    }

    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            world.adopt();
            let is_abandoned = |id: &SessionId| {
                let Some(state) = world.disk.state(id).filter(|state| !state.is_over()) else { return false };
                let Some(kept) = world.disk.sessions.get(id).filter(|kept| kept.server.is_none()) else { return false };
                if state != SessionState::Running {
                    return true;
                }
                let is_half_way = world.disk.record(id).is_some_and(|(_, record)| record.is_half_way());
                let is_left = kept.rows.iter().any(|(key, row)| {
                    matches!(key, Key::Todo(_) | Key::Cascade(_)) && due_of(row).is_some_and(|due| due <= Due::At(now))
                });
                is_half_way || is_left || !kept.rows.keys().any(|key| matches!(key, Key::Live(_)))
            };
            world.sessions().into_iter().filter(is_abandoned).collect()
        })
    }

    fn hold(&self, id: &SessionId, _: Timestamp) -> Result<bool, StorageError> {
        Servers::hold(self, id)
    }

    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        Servers::release(self, only)
    }

    fn is_served_elsewhere(&self, id: &SessionId, _: Timestamp) -> Result<bool, StorageError> {
        Servers::is_served_elsewhere(self, id)
    }
}

/// A due thread.
struct Found {
    due: Timestamp,
    demand: Demand,
    held: Option<Stamp>,
    left: Left,
}

/// When a row of a thread is due, for any reason.
fn time_of(row: &Row) -> Option<Timestamp> {
    match due_of(row)? {
        Due::At(due) | Due::Leased(due) | Due::Withdrawn(due) => Some(due),
        Due::AtTakeover => None,
    }
}

impl World {
    fn take(
        &mut self,
        me: Number,
        (only, pools): (Option<&SessionId>, &Pools),
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Vec<Taken> {
        let mut found: BTreeMap<(SessionId, ThreadId), Found> = BTreeMap::new();
        for (id, kept) in &self.disk.sessions {
            let runs = self.disk.state(id) == Some(SessionState::Running) && kept.server.is_none();
            let is_new = kept.start_of_new_thread().is_some();
            if !(runs || is_new) || only.is_some_and(|only| only != id) {
                continue;
            }
            // Whoever takes a new thread does not look at the session.
            for (key, row) in kept.rows.iter().filter(|(key, _)| runs || **key == Key::Live(ThreadId(0))) {
                let (thread, held) = match key {
                    Key::Live(thread) => (*thread, Some(row.stamp)),
                    Key::Ready(thread) => (*thread, None),
                    _ => continue,
                };
                let mailbox = kept.rows.get(&Key::Ready(thread));
                let is_cancelled = mailbox.is_some_and(|mailbox| {
                    mailbox.place.is_anywhere() && time_of(mailbox).is_some_and(|due| due <= terms.now)
                });
                let Some(due) = time_of(row).filter(|due| *due <= terms.now) else { continue };
                if !pools.serve(&row.place) && !is_cancelled {
                    continue;
                }
                let left = due_of(row).map_or(Left::Free, Left::of);
                let demand = Demand { priority: row.priority, place: row.place.clone() };
                let found = found.entry((id.clone(), thread));
                // A thread's record comes before its mailbox, so its own demand and version are used.
                let one = found.or_insert(Found { due, demand, held, left });
                one.due = one.due.min(due);
                if one.left == Left::Free || left == Left::Lost {
                    one.left = left;
                }
            }
        }
        let mut found: Vec<_> = found.into_iter().collect();
        found.sort_by_key(|(_, found)| (Reverse(found.demand.priority), found.due));
        found.truncate(most);
        let mut taken: Vec<Taken> = found
            .into_iter()
            .map(|((session, thread), Found { demand, held, left, .. })| Taken {
                session,
                thread,
                demand,
                held,
                left,
                known: KnownSession::Nothing,
            })
            .collect();
        for Taken { session, thread, held, left, known, .. } in &mut taken {
            self.count.lapses += u64::from(*left == Left::Lost);
            let Some(kept) = self.disk.sessions.get_mut(session) else { continue };
            let start = kept.start_of_new_thread().filter(|_| *thread == ThreadId(0) && *left == Left::Free).cloned();
            if let Some(row) = kept.rows.get_mut(&Key::Ready(*thread)) {
                row.due = Some(Due::Leased(terms.until).into());
            }
            if let Some(row) = kept.rows.get_mut(&Key::Live(*thread)).filter(|_| held.is_some()) {
                row.due = Some(Due::Leased(terms.until).into());
                row.stamp = stamp;
                if let Some(start) = start {
                    let record = (start.stamp, record_of(&start));
                    *known = KnownSession::New { record, thread: row.clone() };
                }
            }
        }
        if !taken.is_empty() {
            let shown =
                || taken.iter().map(|taken| (taken.thread, taken.held.is_some(), taken.left)).collect::<Vec<_>>();
            self.tell(|| format!("{me} takes {:?}", shown()));
        }
        taken
    }

    /// Releases the sessions that a dead process was exporting or importing.
    fn adopt(&mut self) {
        for id in self.sessions() {
            let is_over = self.disk.state(&id).is_none_or(|state| state.is_over());
            let server = self.disk.sessions.get(&id).and_then(|kept| kept.server);
            if !is_over
                && self.is_lost(server)
                && let Some(kept) = self.disk.sessions.get_mut(&id)
            {
                kept.server = None;
            }
        }
    }

    /// May lose the answer of the last operation.
    fn loses_answer(&mut self) -> Result<(), StorageError> {
        let cases = self.disturbances.unknown;
        if self.happens(cases) {
            self.count.unknown += 1;
            self.tell(|| "whose answer is lost".to_owned());
            return Err(StorageError::Transient("its answer was lost".into()));
        }
        Ok(())
    }

    /// Adds spurious threads to the taken ones: their turns must change nothing.
    fn add_extra_hints(&mut self, taken: &mut Vec<Taken>) {
        let cases = self.disturbances.extra_hint;
        for session in self.sessions() {
            let threads = self.disk.count_threads(&session).max(1);
            while self.disk.state(&session) == Some(SessionState::Running) && self.happens(cases) {
                self.count.extra_hints += 1;
                let thread = ThreadId(self.chance.below(threads));
                taken.push(Taken {
                    session: session.clone(),
                    thread,
                    demand: Demand::default(),
                    held: None,
                    left: Left::Free,
                    known: KnownSession::Nothing,
                });
            }
        }
    }

    /// Changes when a thread is due, if its record has this version. Returns whether it has.
    fn set_due(&mut self, held: &HeldThread, due: Due) -> bool {
        let kept = self.disk.sessions.get_mut(&held.session);
        let row = kept.and_then(|kept| kept.rows.get_mut(&Key::Live(held.thread)));
        let row = row.filter(|row| row.stamp == held.stamp);
        let is_held = row.is_some();
        if let Some(row) = row {
            row.due = Some(due.into());
        }
        is_held
    }

    /// Whether another live server may run threads of this session.
    pub(super) fn serves_by_thread(&self, id: &SessionId, but: Option<Number>) -> bool {
        if self.disk.state(id) != Some(SessionState::Running) {
            let server = self.disk.sessions.get(id).and_then(|kept| kept.server);
            return server.is_some() && server != but && !self.is_lost(server);
        }
        self.processes
            .iter()
            .any(|(number, process)| process.serves && process.health == Health::Alive && Some(*number) != but)
    }
}
