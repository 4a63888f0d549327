//! The storage port on the simulated disk, as seen by one process.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Shared;
use super::disk::{Change, due_of};
use super::late::Late;
use super::universe::Holding;
use super::world::{Health, Number, World};
use crate::codec;
use crate::commit::Outcome;
use crate::encoded::Encoded;
use crate::id::{SessionId, Stamp, ThreadId};
use crate::record::{Due, Key};
use crate::rows::{
    AllRows, Listing, Lookup, PartName, Row, RowChange, RowRange, RowStorage, RowTenure, SessionEntry, SessionRows,
};
use crate::servers::{Agenda, Claimed, Servers, Unattended, Woken};
use crate::space::{Space, SpaceCommit, SpaceKey, SpaceRecord};
use crate::storage::{Filter, Storage, StorageError};
use crate::surroundings::Timestamp;

/// The disk, as accessed by a process.
pub(super) struct DiskStorage {
    pub universe: Shared,
    pub number: Number,
}

struct DiskSession {
    universe: Shared,
    number: Number,
    id: SessionId,
    /// The next thread number, if numbers are reserved in memory.
    next_thread: OnceLock<AtomicU64>,
}

impl DiskStorage {
    /// The disk as a storage of records.
    pub fn of(universe: Shared, number: Number) -> Arc<dyn Storage> {
        Arc::new(Encoded::new(Arc::new(DiskStorage { universe, number })))
    }
}

impl Space for DiskStorage {
    fn read(&self, keys: &[SpaceKey]) -> Result<Vec<Option<SpaceRecord>>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            keys.iter().map(|key| world.disk.space.get(key).cloned()).collect()
        })
    }

    fn scan(&self, range: Range<SpaceKey>, limit: usize) -> Result<Vec<(SpaceKey, SpaceRecord)>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let within = world.disk.space.range(range);
            within.take(limit).map(|(key, record)| (key.clone(), record.clone())).collect()
        })
    }

    fn commit(&self, commit: &SpaceCommit) -> Result<Outcome, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let cases = world.disturbances.unknown;
            let is_lost = world.happens(cases);
            if is_lost && world.chance.per_mille(500) {
                world.count.unknown += 1;
                world.may_come_late(|_| Late::OfSpace(commit.clone()));
                return Outcome::Unknown;
            }
            let outcome = world.disk.commit_to_space(commit);
            world.tell(|| {
                let put: Vec<String> = commit.put.iter().map(|(key, _)| key.escape_ascii().to_string()).collect();
                let delete: Vec<String> = commit.delete.iter().map(|key| key.escape_ascii().to_string()).collect();
                format!(
                    "{} commits to the space: {outcome:?}, lost {is_lost}, put {put:?} delete {delete:?}",
                    self.number
                )
            });
            world.count.conflicts += u64::from(outcome == Outcome::Conflict);
            if is_lost && outcome == Outcome::Done {
                world.count.unknown += 1;
                return Outcome::Unknown;
            }
            outcome
        })
    }
}

impl SessionRows for DiskSession {
    fn read(&self, keys: &[Lookup<'_>]) -> Result<Vec<Option<Row>>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            keys.iter().map(|lookup| world.disk.row(&self.id, lookup.key).cloned()).collect()
        })
    }

    fn scan(&self, range: &RowRange, limit: usize) -> Result<Vec<(Key, Row)>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let cases = world.disturbances.weak_scan;
            let is_weak = world.happens(cases);
            let World { disk, chance, .. } = world;
            let weakly = is_weak.then_some(chance);
            let (rows, was_weak) = disk.scan(&self.id, range, limit, weakly);
            world.count.weak_scans += u64::from(was_weak);
            world.tell(|| format!("{} scans {range:?}: {}, a part {was_weak}", self.number, rows.len()));
            rows
        })
    }

    fn commit(&self, rows: RowChange) -> Result<Outcome, StorageError> {
        let stamp = rows.stamp;
        let answer = self.universe.request(self.number, Holding::Nothing, |world| {
            let server = world.disk.sessions.get(&self.id).and_then(|kept| kept.server);
            // Where threads are leased, the owner of the session is unknown at a commit.
            if rows.by_server && !world.disturbances.has_leases && server.is_some_and(|server| server != self.number) {
                return Err(StorageError::TakenOver);
            }
            let change = Change { session: self.id.clone(), by: self.number, rows };
            let cases = world.disturbances.unknown;
            let is_lost = world.happens(cases);
            if is_lost && world.chance.per_mille(500) {
                world.count.unknown += 1;
                world.tell(|| format!("{} commits, does not: unknown", self.number));
                world.may_come_late(|_| Late::OfSession(Box::new(change)));
                return Ok(Outcome::Unknown);
            }
            let summary = if world.is_told { summary(&change) } else { String::new() };
            let outcome = world.disk.make(change);
            world.tell(|| format!("{} commits in {summary}: {outcome:?}, lost {is_lost}", self.number));
            world.count.conflicts += u64::from(outcome == Outcome::Conflict);
            if is_lost && outcome == Outcome::Done {
                world.count.unknown += 1;
                return Ok(Outcome::Unknown);
            }
            Ok(outcome)
        });
        self.universe.world().disk.in_flight.retain(|commit| commit.stamp != stamp);
        answer?
    }

    fn reserve(&self, count: u64) -> Result<u64, StorageError> {
        if let Some(next) = self.next_thread.get() {
            return Ok(next.fetch_add(count, Ordering::Relaxed));
        }
        self.universe.request(self.number, Holding::Locks, |world| {
            let known = world.disk.count_threads(&self.id);
            if world.disturbances.has_leases || world.disk.is_leased {
                // A process may only read the number while the session is still being imported.
                let first = world.disk.next_threads.get(&self.id).copied().unwrap_or(0).max(known);
                if count > 0 {
                    world.disk.next_threads.insert(self.id.clone(), first + count);
                }
                return first;
            }
            self.next_thread.get_or_init(|| AtomicU64::new(known)).fetch_add(count, Ordering::Relaxed)
        })
    }

    fn numbers_reserved_max(&self) -> u64 {
        let world = self.universe.world();
        if world.disturbances.has_leases || world.disk.is_leased { 4 } else { 1 }
    }

    fn rows_read_together(&self) -> usize {
        if self.universe.world().disk.is_leased { 3 } else { 1 }
    }

    fn parts(&self, names: &[PartName]) -> Result<Vec<Option<Vec<u8>>>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            names.iter().map(|name| world.disk.part(&self.id, name)).collect()
        })
    }

    fn history(&self, after: u64, limit: usize) -> Result<Vec<(u64, String)>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let log = world.disk.sessions.get(&self.id).map(|kept| &kept.log[..]).unwrap_or_default();
            let pages = (1..).zip(log).skip_while(|(position, _)| *position <= after);
            pages.take(limit).map(|(position, page)| (position, page.clone())).collect()
        })
    }

    fn all(&self) -> Result<AllRows, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| world.disk.all(&self.id))
    }
}

/// A summary of a commit for the log.
fn summary(Change { session, rows, .. }: &Change) -> String {
    let text_of_row = |(key, row): &(Key, Row)| match key {
        Key::Session => row.listing.as_ref().map(|listing| listing.state.to_string()).unwrap_or_default(),
        Key::Live(thread) => {
            let status = codec::live_from_summary(&row.summary).map(|live| live.status);
            format!("live {thread} {status:?}")
        }
        Key::Future(future) => future.to_string(),
        other => format!("{other:?}"),
    };
    let put: Vec<String> = rows.written().map(text_of_row).collect();
    let entries = rows.history.iter().filter_map(|page| codec::log_from_text(page).ok()).flatten();
    let log: Vec<String> = entries.map(|entry| format!("{}: {}", entry.thread, entry.event)).collect();
    format!("{} put {put:?} delete {:?} log {log:?}", &session.as_str()[32..], rows.delete)
}

impl RowStorage for DiskStorage {
    fn name(&self) -> String {
        "the disk".to_owned()
    }

    fn session(&self, id: &SessionId) -> Result<Arc<dyn SessionRows>, StorageError> {
        let (universe, id) = (self.universe.clone(), id.clone());
        Ok(Arc::new(DiskSession { universe, number: self.number, id, next_thread: OnceLock::new() }))
    }

    fn space(&self) -> &dyn Space {
        self
    }

    fn tenure(&self) -> RowTenure<'_> {
        if self.universe.world().disk.is_leased { RowTenure::Leases(self) } else { RowTenure::Servers(self) }
    }

    fn is_alone(&self) -> bool {
        !self.universe.world().disk.is_leased
    }

    fn put_program(&self, hash: &str, program: &[u8]) -> Result<(), StorageError> {
        self.universe.request(self.number, Holding::Locks, |world| {
            world.disk.programs.insert(hash.to_owned(), program.to_vec());
        })
    }

    fn program(&self, hash: &str) -> Result<Option<Vec<u8>>, StorageError> {
        self.universe.request(self.number, Holding::Locks, |world| world.disk.programs.get(hash).cloned())
    }

    fn summary(&self, id: &SessionId) -> Result<Option<Row>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| world.disk.row(id, &Key::Session).cloned())
    }

    fn sessions(&self, filter: &Filter) -> Result<Vec<SessionEntry>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let entries = world.sessions().into_iter().rev().filter_map(|id| {
                let row = world.disk.row(&id, &Key::Session)?.clone();
                let Listing { state, ended } = row.listing.as_ref()?;
                let is_wanted = filter.state.is_none_or(|wanted| wanted.name() == *state)
                    && filter
                        .ended_outside
                        .is_none_or(|(before, after)| ended.is_some_and(|ended| ended <= before || ended > after));
                let (is_served, threads) = (world.is_served(&id), world.disk.count_threads(&id));
                is_wanted.then_some(SessionEntry { id, row: Ok(row), threads, is_served })
            });
            entries.take(filter.limit.unwrap_or(usize::MAX)).collect()
        })
    }

    /// Ends after one sweep of the agenda.
    fn wait_for_news(&self, _at_most: Duration) -> bool {
        self.universe.stop_attending(self.number);
        true
    }

    fn ring(&self) {}

    fn announce(&self) {}

    fn remove(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let is_as_judged = world.disk.is_unchanged(id, expected);
            if is_as_judged {
                world.disk.remove(id);
            }
            is_as_judged
        })
    }

    fn clear(&self, id: &SessionId, expected: Stamp) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let is_as_judged = world.disk.is_unchanged(id, expected);
            if is_as_judged {
                world.disk.clear(id);
            }
            is_as_judged
        })
    }
}

impl Servers for DiskStorage {
    fn hold(&self, id: &SessionId) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let me = self.number;
            let is_over = world.disk.state(id).is_some_and(|state| state.is_over());
            if !is_over && world.disk.is_leased && world.serves_by_thread(id, Some(me)) {
                return false;
            }
            let Some(server) = world.disk.sessions.get(id).map(|kept| kept.server) else { return false };
            if !is_over && server != Some(me) && !world.is_lost(server) {
                return false;
            }
            world.change_server(id, me);
            true
        })
    }

    fn is_served_elsewhere(&self, id: &SessionId) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            if world.disk.is_leased {
                return world.serves_by_thread(id, Some(self.number));
            }
            let is_mine = world.disk.sessions.get(id).is_some_and(|kept| kept.server == Some(self.number));
            !is_mine && world.is_served(id)
        })
    }

    fn was_taken_over(&self, id: &SessionId) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let server = world.disk.sessions.get(id).and_then(|kept| kept.server);
            !world.disk.is_leased && server.is_some_and(|server| server != self.number)
        })
    }

    fn is_served(&self, id: &SessionId) -> Result<bool, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| world.is_served(id))
    }

    fn claim(&self, only: Option<&SessionId>) -> Result<Vec<Claimed>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| world.claim(self.number, only))
    }

    fn release(&self, only: Option<&SessionId>) -> Result<(), StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            for (id, kept) in &mut world.disk.sessions {
                if kept.server == Some(self.number) && only.is_none_or(|only| only == id) {
                    kept.server = None;
                }
            }
        })
    }

    fn unattended(&self, session: &SessionId, now: Timestamp) -> Result<Unattended, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let mut interrupted = world.disk.threads_due(session, |due| due == Due::AtTakeover);
            interrupted.extend(world.disk.threads_woken(session).into_iter().map(|(thread, _)| thread));
            let due = world.disk.threads_due(session, |due| due <= Due::At(now));
            Unattended { interrupted: interrupted.into_iter().collect(), due: due.into_iter().collect() }
        })
    }

    fn due(&self, after: Timestamp, now: Timestamp, horizon: Timestamp) -> Result<Agenda, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| world.agenda(self.number, after, now, horizon))
    }

    fn woken(&self) -> Result<Vec<Woken>, StorageError> {
        self.universe.request(self.number, Holding::Nothing, |world| {
            let is_mine =
                |id: &SessionId| world.disk.sessions.get(id).is_some_and(|kept| kept.server == Some(self.number));
            let mine = world.sessions().into_iter().filter(is_mine);
            let woken = mine.flat_map(|session| {
                let woken = world.disk.threads_woken(&session).into_iter();
                woken.map(move |(thread, stamp)| Woken { session: session.clone(), thread, stamp })
            });
            woken.collect()
        })
    }
}

impl World {
    /// The running sessions whose server is lost. A session that was taken from a wrongly suspected server is returned
    /// once more when that can no longer write, because its last writes were unknown before.
    fn claim(&mut self, me: Number, only: Option<&SessionId>) -> Vec<Claimed> {
        if self.health(me) != Health::Alive {
            return Vec::new();
        }
        let mut claimed = Vec::new();
        for id in self.sessions() {
            if only.is_some_and(|only| *only != id) || self.disk.state(&id).is_none_or(|state| state.is_over()) {
                continue;
            }
            let Some(kept) = self.disk.sessions.get(&id) else { continue };
            let (server, former) = (kept.server, kept.former.clone());
            let is_taken = server != Some(me) && self.is_lost(server);
            let gone = |former: &Number| self.health(*former) == Health::Dead;
            let is_looked_at_again = server == Some(me) && former.iter().any(gone);
            let still: std::collections::BTreeSet<Number> = former.iter().copied().filter(|each| !gone(each)).collect();
            if is_taken || is_looked_at_again {
                self.tell(|| format!("{me} claims a session of {server:?}"));
                if let Some(kept) = self.disk.sessions.get_mut(&id) {
                    kept.former = still;
                }
                self.change_server(&id, me);
                claimed.push(Claimed { session: id, was_lost: server.is_some() });
            }
        }
        claimed
    }

    /// Gives a session to a server. A previous server that may still write is recorded.
    fn change_server(&mut self, id: &SessionId, me: Number) {
        let former = self.disk.sessions.get(id).and_then(|kept| kept.server);
        let former = former.filter(|former| *former != me && self.health(*former) == Health::Suspected);
        if let Some(kept) = self.disk.sessions.get_mut(id) {
            kept.server = Some(me);
            kept.former.extend(former);
        }
    }

    fn is_served(&self, id: &SessionId) -> bool {
        let is_over = self.disk.state(id).is_none_or(|state| state.is_over());
        if self.disk.is_leased {
            return !is_over && self.serves_by_thread(id, None);
        }
        !is_over && self.disk.sessions.get(id).is_some_and(|kept| !self.is_lost(kept.server))
    }

    fn agenda(&mut self, me: Number, after: Timestamp, now: Timestamp, horizon: Timestamp) -> Agenda {
        let mut agenda = Agenda::default();
        for id in self.sessions() {
            let Some(kept) = self.disk.sessions.get(&id).filter(|kept| kept.server == Some(me)) else { continue };
            let is_over = self.disk.state(&id).is_none_or(|state| state.is_over());
            // A session that has just begun may still be handed to another server, and nothing can be due in it yet.
            let has_begun = kept.log.len() > 1;
            let times = kept.rows.values().filter_map(|row| match due_of(row) {
                Some(Due::At(time)) if time > now && time < horizon => Some(time),
                _ => None,
            });
            agenda.next = times.chain(agenda.next).min();
            let threads = self.disk.count_threads(&id).max(1);
            let is_due = |due: Due| !is_over && matches!(due, Due::At(time) if time > after && time <= now);
            let due = self.disk.threads_due(&id, is_due);
            agenda.now.extend(due.into_iter().map(|thread| (id.clone(), thread)));
            let cases = self.disturbances.extra_hint;
            while has_begun && !is_over && self.happens(cases) {
                self.count.extra_hints += 1;
                let thread = ThreadId(self.chance.below(threads));
                agenda.now.push((id.clone(), thread));
            }
        }
        agenda
    }
}
