//! Leases on top of a storage that can list due rows: taking threads, renewing and giving back held ones, and finding
//! what was left.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use super::Encoded;
use crate::demand::Demand;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::leases::{HeldThread, KnownSession, Leases, Left, Taken, Terms, Upcoming};
use crate::place::Pools;
use crate::record::{Due, Key, SessionRecord, SessionState};
use crate::rows::{
    DueKind, DueNumber, DueRow, DueRows, Lookup, Row, RowRange, RowTenure, SessionRows, SetDue, StartRows, Taking,
};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// A due thread.
#[derive(Debug)]
struct Found {
    /// The versions of its record and its mailbox, if these are due.
    live: Option<Stamp>,
    ready: Option<Stamp>,
    left: Left,
    /// The demand in its record if the record is due, otherwise in its mailbox.
    demand: Demand,
}

impl Found {
    /// Whether only its mailbox was found, which any process may take.
    fn is_cancelled(&self) -> bool {
        self.live.is_none() && self.demand.place.is_anywhere()
    }

    /// Adds the thread's record if that is due: its pool may be one that no process serves.
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

    /// The status of a session whose threads were just taken, and its record.
    fn standing(&self, id: &SessionId) -> Result<(Standing, KnownSession), StorageError> {
        let row = self.rows().summary(id)?;
        let standing = match row.as_ref().and_then(state_of) {
            Some(SessionState::Running) => Standing::Runs,
            Some(state) if state.is_in_transit() => Standing::InTransit,
            _ => Standing::Over,
        };
        // A damaged record is reported when the session is opened.
        let record = row.and_then(|row| Some((row.stamp, self.decode(id, &row).ok()?)));
        Ok((standing, record.map_or(KnownSession::Nothing, KnownSession::Read)))
    }

    /// The session of a taken thread, if the thread is new.
    ///
    /// The session may have ended or moved since its start, or may be doing so now. But then its record has another version, which
    /// the thread's first step expects.
    fn new_session(&self, change: &SetDue, found: &Found, start: StartRows) -> Option<KnownSession> {
        let StartRows { session: own, thread } = start;
        let is_untouched = own.stamp == change.expected && found.ready.is_none() && found.left == Left::Free;
        if !is_untouched || change.key != Key::Live(ThreadId(0)) {
            return None;
        }
        let record = self.decode(&change.session, &own).ok()?;
        let is_running = record.state == SessionState::Running && !record.is_half_way();
        is_running.then_some(KnownSession::New { record: (own.stamp, record), thread })
    }

    /// Takes at most this many of the threads that have these due rows.
    fn take_due(&self, due: Vec<DueRow>, terms: Terms, stamp: Stamp, most: usize) -> Result<Vec<Taken>, StorageError> {
        let (rows, until) = (self.due_rows()?, DueNumber::last_at(terms.now));
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
        let (mut changes, mut places) = (Vec::with_capacity(found.len()), Vec::with_capacity(found.len()));
        for ((session, thread), Found { live, ready, .. }) in &found {
            let mut change = |key, expected: &Option<Stamp>, stamp| {
                if let Some(expected) = *expected {
                    let due = Some(Due::Leased(terms.until).into());
                    changes.push(SetDue { session: session.clone(), key, expected, stamp, due });
                    places.push((session.clone(), *thread));
                }
            };
            change(Key::Live(*thread), live, Some(stamp));
            change(Key::Ready(*thread), ready, None);
        }
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let done = rows.take(&changes)?;
        // Only now: either this process finds that a session is being moved, or the mover finds that its thread is held.
        let mut standings: BTreeMap<SessionId, (Standing, KnownSession)> = BTreeMap::new();
        let (mut taken, mut not_taken): (Vec<Taken>, Vec<SetDue>) = (Vec::with_capacity(found.len()), Vec::new());
        for ((change, place), taking) in changes.into_iter().zip(places).zip(done) {
            let Taking::Done(start) = taking else { continue };
            let Some(of_thread) = found.get(&place) else { continue };
            let mut note = |known: &KnownSession| note_taken(&mut taken, place.1, &change, of_thread, known);
            if let Some(new) = start.and_then(|start| self.new_session(&change, of_thread, *start)) {
                note(&new);
                continue;
            }
            let (standing, known) = match standings.entry(change.session.clone()) {
                Entry::Occupied(seen) => seen.into_mut(),
                Entry::Vacant(unseen) => {
                    let seen = self.standing(unseen.key())?;
                    unseen.insert(seen)
                }
            };
            let again = match standing {
                Standing::Runs => {
                    note(known);
                    continue;
                }
                Standing::InTransit => Some(Due::At(terms.until).into()),
                // Remnants of a session that is over must not be found again.
                Standing::Over => {
                    if change.key == Key::Ready(ThreadId(0)) {
                        // A command has ended the session, and has woken this thread so that a process notices.
                        note(known);
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
        let (rows, until) = (self.due_rows()?, DueNumber::last_at(terms.now));
        // A thread and its mailbox are two rows, but one thread.
        let due = rows.due(DueKind::Threads(pools), only, DueNumber::AT_TAKEOVER, until, most.saturating_mul(2))?;
        self.take_due(due, terms, stamp, most)
    }

    fn take_hinted(
        &self,
        id: &SessionId,
        threads: &[ThreadId],
        pools: &Pools,
        terms: Terms,
        stamp: Stamp,
    ) -> Result<Vec<Taken>, StorageError> {
        let keys: Vec<Key> = threads.iter().flat_map(|thread| [Key::Live(*thread), Key::Ready(*thread)]).collect();
        let lookups: Vec<Lookup<'_>> = keys.iter().map(|key| Lookup { key, known: None }).collect();
        let found = self.rows().session(id)?.read(&lookups)?;
        let is_due = |row: &Row| {
            let is_time = |due: DueNumber| (DueNumber::AT_TAKEOVER..=DueNumber::last_at(terms.now)).contains(&due);
            row.due.is_some_and(is_time) && (row.place.is_anywhere() || pools.serve(&row.place))
        };
        let due = keys.into_iter().zip(found).filter_map(|(key, row)| {
            let row = row.filter(is_due)?;
            Some(DueRow { session: id.clone(), key, row })
        });
        self.take_due(due.collect(), terms, stamp, threads.len())
    }

    fn upcoming(
        &self,
        pools: &Pools,
        now: Timestamp,
        horizon: Timestamp,
        most: usize,
    ) -> Result<Vec<Upcoming>, StorageError> {
        let (after, until) = (DueNumber::last_at(now), DueNumber::last_at(horizon));
        let due = self.due_rows()?.due(DueKind::Threads(pools), None, after, until, most)?;
        let upcoming = due.into_iter().filter_map(|DueRow { session, key, row }| match (key, row.due?.due()) {
            // Leases that are not renewed are found once they have run out.
            (Key::Live(thread) | Key::Ready(thread), Ok(Due::At(due) | Due::Withdrawn(due))) => {
                Some(Upcoming { session, thread, due, place: row.place })
            }
            _ => None,
        });
        Ok(upcoming.collect())
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
                    let record = self.decode(&id, &row);
                    let is_half_way = record.as_ref().is_ok_and(SessionRecord::is_half_way);
                    // Its first thread is there until the record says otherwise, so most sessions need no further look.
                    let may_be_empty = record.is_ok_and(|record| record.first_stopped);
                    is_half_way
                        || left.contains(&id)
                        || may_be_empty && !has_threads(self.rows().session(&id)?.as_ref())?
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

    fn move_lease(&self) -> Option<Duration> {
        Some(self.lease())
    }

    fn renew_move(&self, id: &SessionId, marked: Stamp, until: Timestamp) -> Result<bool, StorageError> {
        let due = Some(Due::Leased(until).into());
        let renewal = SetDue { session: id.clone(), key: Key::Session, expected: marked, stamp: None, due };
        Ok(self.due_rows()?.set_due(&[renewal])? == [true])
    }

    fn moves_until(&self, id: &SessionId) -> Result<Option<Timestamp>, StorageError> {
        let due = self.rows().summary(id)?.and_then(|own| own.due);
        Ok(due
            .and_then(|due| due.due().ok())
            .and_then(|due| if let Due::Leased(until) = due { Some(until) } else { None }))
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

/// Whether a session has threads that have not stopped.
fn has_threads(rows: &dyn SessionRows) -> Result<bool, StorageError> {
    Ok(!rows.scan(&RowRange::Live(ThreadId(0)), 1)?.is_empty())
}

/// Adds a thread whose record or mailbox was changed in this way. The two follow each other.
fn note_taken(taken: &mut Vec<Taken>, thread: ThreadId, change: &SetDue, found: &Found, known: &KnownSession) {
    let held = matches!(change.key, Key::Live(_)).then_some(change.expected);
    match taken.last_mut() {
        Some(last) if last.session == change.session && last.thread == thread => last.held = last.held.or(held),
        _ => {
            let (session, demand, left) = (change.session.clone(), found.demand.clone(), found.left);
            taken.push(Taken { session, thread, demand, held, left, known: known.clone() });
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
