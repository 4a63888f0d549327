//! Leases on top of a storage that can list due rows: taking threads, renewing and giving back held ones, and finding
//! what was left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Encoded;
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{HeldThread, Leases, Left, Taken, Terms};
use crate::place::Pools;
use crate::record::{Due, Key, SessionState};
use crate::rows::{DueKind, DueNumber, DueRow, DueRows, Lookup, Row, RowRange, RowTenure, SessionRows, SetDue};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// A due thread.
#[derive(Debug)]
struct Found {
    /// The versions of its record and its mailbox, if these are due.
    live: Option<Stamp>,
    ready: Option<Stamp>,
    left: Left,
    /// What its record demands if that is due, and else its mailbox.
    demand: Demand,
}

impl Found {
    /// Whether only its mailbox was found, which any process may take.
    fn is_cancelled(&self) -> bool {
        self.live.is_none() && self.demand.place.is_anywhere()
    }

    /// Adds its record if that is due, which may be in a pool that nobody serves.
    fn add_record(&mut self, rows: &dyn SessionRows, thread: ThreadId, until: DueNumber) -> Result<(), StorageError> {
        let key = Key::Live(thread);
        let found = rows.read(&[Lookup { key: &key, known: None }])?.pop().flatten();
        if let Some(row) = found
            && let Some(due) = row.due.filter(|due| (DueNumber::AT_TAKEOVER..=until).contains(due))
        {
            (self.live, self.demand) = (Some(row.stamp), Demand { priority: row.priority, place: row.place });
            self.left = due.due().map_or(Left::Free, Left::of);
        }
        Ok(())
    }
}

/// The status of a session, which decides about its due threads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    Runs,
    /// It is being moved, and may run again.
    InTransit,
    Over,
}

impl Encoded {
    fn due_rows(&self) -> Result<&dyn DueRows, StorageError> {
        match self.rows().tenure() {
            RowTenure::Due(rows) => Ok(rows),
            _ => Err(StorageError::Permanent("its threads are not leased".into())),
        }
    }

    fn standing(&self, id: &SessionId) -> Result<Standing, StorageError> {
        let row = self.rows().summary(id)?;
        Ok(match row.as_ref().and_then(state_of) {
            Some(SessionState::Running) => Standing::Runs,
            Some(state) if state.is_in_transit() => Standing::InTransit,
            _ => Standing::Over,
        })
    }

    /// Whether a process holds this session or any thread of it.
    fn is_held(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        let Some(own) = self.rows().summary(id)? else { return Ok(false) };
        match state_of(&own) {
            Some(SessionState::Running) => self.has_held_threads(id, now),
            _ => Ok(is_leased(&own, now)),
        }
    }
}

fn state_of(own: &Row) -> Option<SessionState> {
    let listing = own.listing.as_ref()?;
    SessionState::ALL.into_iter().find(|state| state.name() == listing.state)
}

fn is_leased(row: &Row, now: Timestamp) -> bool {
    matches!(row.due.map(|due| due.due()), Some(Ok(Due::Leased(until))) if until > now)
}

impl Leases for Encoded {
    fn lease(&self) -> Duration {
        self.due_rows().map_or(Duration::MAX, |rows| rows.lease())
    }

    fn take(
        &self,
        only: Option<&SessionId>,
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError> {
        let rows = self.due_rows()?;
        let until = DueNumber::last_at(terms.now);
        // A thread and its mailbox are two rows, but one thread.
        let due = rows.due(DueKind::Threads(pools), only, DueNumber::AT_TAKEOVER, until, most.saturating_mul(2))?;
        let mut found: BTreeMap<(SessionId, ThreadId), Found> = BTreeMap::new();
        for DueRow { session, key, row } in due {
            let (Key::Live(thread) | Key::Ready(thread)) = key else { continue };
            let place = (session, thread);
            if found.len() == most && !found.contains_key(&place) {
                continue;
            }
            let left = row.due.and_then(|due| due.due().ok()).map_or(Left::Free, Left::of);
            let demand = Demand { priority: row.priority, place: row.place };
            let one =
                found.entry(place).or_insert_with(|| Found { live: None, ready: None, left, demand: demand.clone() });
            // Use the one of the two that says that something was left.
            if one.left == Left::Free || left == Left::Lost {
                one.left = left;
            }
            match key {
                Key::Live(_) => (one.live, one.demand) = (Some(row.stamp), demand),
                _ => one.ready = Some(row.stamp),
            }
        }
        for ((session, thread), found) in found.iter_mut().filter(|(_, found)| found.is_cancelled()) {
            found.add_record(self.rows().session(session)?.as_ref(), *thread, until)?;
        }
        let mut changes = Vec::with_capacity(found.len());
        for ((session, thread), Found { live, ready, .. }) in &found {
            let mut change = |key, expected: &Option<Stamp>, stamp| {
                if let Some(expected) = *expected {
                    let due = Some(Due::Leased(terms.until).into());
                    changes.push(SetDue { session: session.clone(), key, expected, stamp, due });
                }
            };
            change(Key::Live(*thread), live, Some(stamp));
            change(Key::Ready(*thread), ready, None);
        }
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let done = rows.set_due(&changes)?;
        // Only now: either this process finds that a session is being moved, or the mover finds that its thread is held.
        let mut standings: BTreeMap<SessionId, Standing> = BTreeMap::new();
        let (mut taken, mut not_taken): (Vec<Taken>, Vec<SetDue>) = (Vec::with_capacity(found.len()), Vec::new());
        for (change, _) in changes.into_iter().zip(done).filter(|(_, is_done)| *is_done) {
            let standing = match standings.get(&change.session) {
                Some(standing) => *standing,
                None => {
                    let standing = self.standing(&change.session)?;
                    standings.insert(change.session.clone(), standing);
                    standing
                }
            };
            let again = match standing {
                Standing::Runs => {
                    note_taken(&mut taken, &change, &found);
                    continue;
                }
                Standing::InTransit => Some(Due::At(terms.until).into()),
                // Remnants of a session that is over must not be found again.
                Standing::Over => {
                    if change.key == Key::Ready(ThreadId(0)) {
                        // A command has ended the session, and has woken this thread so that a process notices.
                        note_taken(&mut taken, &change, &found);
                    }
                    None
                }
            };
            let expected = change.stamp.unwrap_or(change.expected);
            not_taken.push(SetDue { expected, stamp: None, due: again, ..change });
        }
        if !not_taken.is_empty() {
            rows.set_due(&not_taken)?;
        }
        Ok(taken)
    }

    fn next_due(&self, pools: &Pools, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        let (after, before) = (DueNumber::last_at(now), DueNumber::from(Due::At(horizon)));
        Ok(self.due_rows()?.next_due(pools, after, before)?.map(DueNumber::time))
    }

    fn renew(&self, held: &[HeldThread], until: Timestamp) -> Result<Vec<bool>, StorageError> {
        self.due_rows()?.set_due(&changes_of(held, Due::Leased(until)))
    }

    fn give_back(&self, held: &[HeldThread], left: Left, now: Timestamp) -> Result<(), StorageError> {
        self.due_rows()?.set_due(&changes_of(held, left.due(now))).map(drop)
    }

    fn abandoned(&self, now: Timestamp) -> Result<Vec<SessionId>, StorageError> {
        let until = DueNumber::last_at(now);
        let left = self.due_rows()?.due(DueKind::Leftovers, None, DueNumber::AT_TAKEOVER, until, usize::MAX)?;
        let left: BTreeSet<SessionId> = left.into_iter().map(|left| left.session).collect();
        let mut abandoned = Vec::new();
        for state in [SessionState::Running, SessionState::Moving, SessionState::Importing] {
            for (id, row) in self.rows().in_state(state)? {
                // A damaged summary is reported when the session is opened.
                let Ok(row) = row else { continue };
                let is_abandoned = if state == SessionState::Running {
                    let is_half_way = self.decode(&id, &row).is_ok_and(|record| record.is_half_way());
                    is_half_way || left.contains(&id) || !has_threads(self.rows().session(&id)?.as_ref())?
                } else {
                    !is_leased(&row, now)
                };
                if is_abandoned {
                    abandoned.push(id);
                }
            }
        }
        Ok(abandoned)
    }

    fn hold(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        Ok(self.rows().summary(id)?.is_some() && !self.is_held(id, now)?)
    }

    /// The record that ends a move releases the session.
    fn release(&self, _: Option<&SessionId>) -> Result<(), StorageError> {
        Ok(())
    }

    fn is_served_elsewhere(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        self.is_held(id, now)
    }

    fn has_held_threads(&self, id: &SessionId, now: Timestamp) -> Result<bool, StorageError> {
        let rows = self.rows().session(id)?;
        let threads = rows.scan(&RowRange::Live(ThreadId(0)), usize::MAX)?;
        if threads.iter().any(|(_, row)| is_leased(row, now)) {
            return Ok(true);
        }
        // Whoever has taken only a thread's mailbox is about to take its next step.
        let mailbox = |key: &Key| if let Key::Live(thread) = key { Some(Key::Ready(*thread)) } else { None };
        let mailboxes: Vec<Key> = threads.iter().filter_map(|(key, _)| mailbox(key)).collect();
        let lookups: Vec<Lookup<'_>> = mailboxes.iter().map(|key| Lookup { key, known: None }).collect();
        Ok(rows.read(&lookups)?.iter().flatten().any(|row| is_leased(row, now)))
    }
}

/// Whether a session has threads that have not stopped. Mostly the first one is among them, which costs less than a scan.
fn has_threads(rows: &dyn SessionRows) -> Result<bool, StorageError> {
    let first = Key::Live(ThreadId(0));
    let found = rows.read(&[Lookup { key: &first, known: None }])?;
    Ok(found.iter().any(Option::is_some) || !rows.scan(&RowRange::Live(ThreadId(0)), 1)?.is_empty())
}

/// Adds a thread whose record or mailbox was changed in this way. The two follow each other.
fn note_taken(taken: &mut Vec<Taken>, change: &SetDue, found: &BTreeMap<(SessionId, ThreadId), Found>) {
    let (thread, held) = match change.key {
        Key::Live(thread) => (thread, Some(change.expected)),
        Key::Ready(thread) => (thread, None),
        _ => return,
    };
    match taken.last_mut() {
        Some(last) if last.session == change.session && last.thread == thread => last.held = last.held.or(held),
        _ => {
            let session = change.session.clone();
            let Some(Found { left, demand, .. }) = found.get(&(session.clone(), thread)) else { return };
            taken.push(Taken { session, thread, demand: demand.clone(), held, left: *left });
        }
    }
}

fn changes_of(held: &[HeldThread], due: Due) -> Vec<SetDue> {
    let change = |held: &HeldThread| SetDue {
        session: held.session.clone(),
        key: Key::Live(held.thread),
        expected: held.stamp,
        stamp: None,
        due: Some(due.into()),
    };
    held.iter().map(change).collect()
}
