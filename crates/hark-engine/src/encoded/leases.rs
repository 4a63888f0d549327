//! Leases on top of a storage that can list due rows: taking threads, renewing and giving back held ones, and finding
//! what was left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Encoded;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{HeldThread, Leases, Left, Taken, Terms};
use crate::record::{Due, Key, SessionState};
use crate::rows::{DueKind, DueNumber, DueRow, DueRows, Row, RowRange, RowTenure, SetDue};
use crate::storage::{Filter, StorageError};
use crate::surroundings::Timestamp;

/// A due thread.
#[derive(Debug)]
struct Found {
    /// The versions of its record and its mailbox, if these are due.
    live: Option<Stamp>,
    ready: Option<Stamp>,
    left: Left,
    /// The priority of its record if that is due, and else of its mailbox.
    priority: i32,
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
            Some(SessionState::Running) => {
                let threads = self.rows().session(id)?.scan(&RowRange::Live(ThreadId(0)), usize::MAX)?;
                Ok(threads.iter().any(|(_, row)| is_leased(row, now)))
            }
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
        terms: Terms,
        stamp: Stamp,
        most: usize,
    ) -> Result<Vec<Taken>, StorageError> {
        let rows = self.due_rows()?;
        let until = DueNumber::last_at(terms.now);
        // A thread and its mailbox are two rows, but one thread.
        let due = rows.due(DueKind::Threads, only, DueNumber::AT_TAKEOVER, until, most.saturating_mul(2))?;
        let mut found: BTreeMap<(SessionId, ThreadId), Found> = BTreeMap::new();
        for DueRow { session, key, row } in due {
            let (Key::Live(thread) | Key::Ready(thread)) = key else { continue };
            let place = (session, thread);
            if found.len() == most && !found.contains_key(&place) {
                continue;
            }
            let left = row.due.and_then(|due| due.due().ok()).map_or(Left::Free, Left::of);
            let one = found.entry(place).or_insert(Found { live: None, ready: None, left, priority: row.priority });
            // Use the one of the two that says that something was left.
            if one.left == Left::Free || left == Left::Lost {
                one.left = left;
            }
            match key {
                Key::Live(_) => (one.live, one.priority) = (Some(row.stamp), row.priority),
                _ => one.ready = Some(row.stamp),
            }
        }
        let mut standings: BTreeMap<SessionId, Standing> = BTreeMap::new();
        let mut changes = Vec::new();
        for ((session, thread), Found { live, ready, .. }) in &found {
            let standing = match standings.get(session) {
                Some(standing) => *standing,
                None => {
                    let standing = self.standing(session)?;
                    standings.insert(session.clone(), standing);
                    standing
                }
            };
            let (due, stamp) = match standing {
                Standing::Runs => (Some(Due::Leased(terms.until)), Some(stamp)),
                Standing::InTransit => (Some(Due::At(terms.until)), None),
                // Remnants of a finished session must not be found again.
                Standing::Over => (None, None),
            };
            let mut change = |key, expected: &Option<Stamp>, stamp| {
                if let Some(expected) = *expected {
                    let (session, due) = (session.clone(), due.map(Into::into));
                    changes.push(SetDue { session, key, expected, stamp, due });
                }
            };
            change(Key::Live(*thread), live, stamp);
            change(Key::Ready(*thread), ready, None);
        }
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let done = rows.set_due(&changes)?;
        let mut taken: Vec<Taken> = Vec::with_capacity(found.len());
        for (SetDue { session, key, expected, .. }, _) in changes.into_iter().zip(done).filter(|(_, is_done)| *is_done)
        {
            if standings.get(&session) != Some(&Standing::Runs) {
                continue;
            }
            let (thread, held) = match key {
                Key::Live(thread) => (thread, Some(expected)),
                Key::Ready(thread) => (thread, None),
                _ => continue,
            };
            match taken.last_mut() {
                Some(last) if last.session == session && last.thread == thread => last.held = last.held.or(held),
                _ => {
                    let found = found.get(&(session.clone(), thread));
                    let (left, priority) = found.map_or((Left::Free, 0), |found| (found.left, found.priority));
                    taken.push(Taken { session, thread, priority, held, left });
                }
            }
        }
        Ok(taken)
    }

    fn next_due(&self, now: Timestamp, horizon: Timestamp) -> Result<Option<Timestamp>, StorageError> {
        let (after, before) = (DueNumber::last_at(now), DueNumber::from(Due::At(horizon)));
        Ok(self.due_rows()?.next_due(after, before)?.map(DueNumber::time))
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
            for entry in self.rows().sessions(&Filter { state: Some(state), ..Filter::default() })? {
                // A damaged summary is reported when the session is opened.
                let Ok(row) = entry.row else { continue };
                let is_abandoned = if state == SessionState::Running {
                    let is_half_way = self.decode(&entry.id, &row).is_ok_and(|record| record.is_half_way());
                    let has_threads = || -> Result<bool, StorageError> {
                        Ok(!self.rows().session(&entry.id)?.scan(&RowRange::Live(ThreadId(0)), 1)?.is_empty())
                    };
                    is_half_way || left.contains(&entry.id) || !has_threads()?
                } else {
                    !is_leased(&row, now)
                };
                if is_abandoned {
                    abandoned.push(entry.id);
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
