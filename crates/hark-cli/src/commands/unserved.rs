//! Finds pools that threads need to continue and that no live process serves, and warns of each once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hark_backends::System;
use hark_engine::outside::Outside;
use hark_engine::storage::Range;
use hark_engine::{
    Key, Live, Pool, Record, SessionId, SessionStorage, Storage, StorageError, Surroundings, Tenure, ThreadId,
};
use hark_machine::Program;

use super::progress::SESSIONS_MAX;
use crate::output;
use crate::place::Place;

/// The time before the first look, and the minimum time between two. By then a worker that was just started has
/// announced itself.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Looks take at most one part in this many of the time.
const COST_SHARE: u32 = 50;

/// At most this many threads of a session are looked at.
const THREADS_MAX: usize = 10_000;

/// A session whose program names pools.
pub struct Pooled {
    id: SessionId,
    records: Arc<dyn SessionStorage>,
}

impl Pooled {
    /// A session of this program, if its threads may need a process of some pool.
    pub fn new(storage: &dyn Storage, id: &SessionId, program: &Arc<Program>) -> Option<Pooled> {
        if !program.has_places() || !matches!(storage.tenure(), Tenure::Leases(_)) {
            return None;
        }
        // A session that cannot be opened fails where it is run.
        Some(Pooled { id: id.clone(), records: storage.session(id, program).ok()? })
    }

    /// Of these sessions, the first ones whose threads may need a process of some pool.
    pub fn among(storage: &dyn Storage, sessions: &[SessionId]) -> Vec<Pooled> {
        let opened = sessions.iter().take(SESSIONS_MAX).filter_map(|id| {
            let session = Outside::open(storage, &System, id).ok()?;
            Pooled::new(storage, id, session.program())
        });
        opened.collect()
    }

    /// The pools, other than these, that its threads need now and that no other live process serves for it. None if the
    /// storage does not know the live processes.
    fn unserved(&self, storage: &dyn Storage, own: &[Pool]) -> Result<BTreeSet<Pool>, StorageError> {
        let Tenure::Leases(leases) = storage.tenure() else { return Ok(BTreeSet::new()) };
        let Some(others) = leases.announced_by_others()? else { return Ok(BTreeSet::new()) };
        let mut threads: BTreeMap<Pool, Vec<(ThreadId, Box<Live>)>> = BTreeMap::new();
        for record in self.records.scan(Range::Live(ThreadId(0)), THREADS_MAX)? {
            let Record::Live(thread, live) = record else { continue };
            let place = &live.demand.place;
            let is_served = own.contains(&place.pool()) || others.iter().any(|other| other.serves(&self.id, place));
            if !is_served && !place.is_anywhere() {
                threads.entry(place.pool()).or_default().push((thread, live));
            }
        }
        let mut pools = BTreeSet::new();
        for (pool, threads) in threads {
            if self.any_can_go_on(&threads)? {
                pools.insert(pool);
            }
        }
        Ok(pools)
    }

    /// Whether one of these threads waits only for a process of its pool.
    fn any_can_go_on(&self, threads: &[(ThreadId, Box<Live>)]) -> Result<bool, StorageError> {
        let now = System.steady_now();
        let is_due = |live: &Live| live.status.is_in_hand() || live.status.time().is_some_and(|time| time <= now);
        if threads.iter().any(|(_, live)| is_due(live)) {
            return Ok(true);
        }
        let mailboxes: Vec<Key> = threads.iter().map(|(thread, _)| Key::Ready(*thread)).collect();
        let mut found = Vec::with_capacity(mailboxes.len());
        self.records.read(&mailboxes, &mut found)?;
        // A cancelled thread waits for no pool.
        let is_woken = |record: &Record| matches!(record, Record::Ready(_, demand) if !demand.place.is_anywhere());
        Ok(found.iter().flatten().any(|found| is_woken(&found.record)))
    }
}

/// The note for a pool: "no worker serves pool `gpu`; start one with `hark worker --pool gpu`".
fn note(pool: &Pool, place: &Place) -> String {
    let start = place.command(&format!("worker --pool {pool}"));
    format!("no worker serves pool `{pool}`; start one with `{start}`")
}

/// Notes for the pools that these sessions need now and that no live process serves.
pub fn notes(storage: &dyn Storage, sessions: &[SessionId], place: &Place) -> Vec<String> {
    // Functions do not announce themselves, and run threads of every pool.
    if place.is_run_by_functions() {
        return Vec::new();
    }
    let pooled = Pooled::among(storage, sessions);
    let unserved = pooled.iter().flat_map(|session| session.unserved(storage, &[]).unwrap_or_default());
    let pools: BTreeSet<Pool> = unserved.collect();
    pools.iter().map(|pool| note(pool, place)).collect()
}

/// Warns once of each pool that sessions of this process need and that no worker serves. Dropping it ends the warnings.
pub struct Watch {
    stop: Option<Sender<()>>,
    looks: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the sessions that `sessions` opens, of which this process runs the threads in the default pool.
    pub fn start(
        storage: Arc<dyn Storage>,
        place: Place,
        sessions: impl FnOnce(&dyn Storage) -> Vec<Pooled> + Send + 'static,
    ) -> Watch {
        let (stop, stopped) = mpsc::channel::<()>();
        let look = move || {
            let sessions = sessions(&*storage);
            let (mut wait, mut told) = (LOOK_INTERVAL, BTreeSet::new());
            while !sessions.is_empty() && stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let begun = Instant::now();
                for session in &sessions {
                    // A storage error is reported by the session itself.
                    for pool in session.unserved(&*storage, &[Pool::default()]).unwrap_or_default() {
                        if told.insert(pool.clone()) {
                            output::tell(&format!("{}\n", note(&pool, &place)));
                        }
                    }
                }
                wait = LOOK_INTERVAL.max(begun.elapsed() * COST_SHARE);
            }
        };
        // If no thread is available, nothing is said.
        let looks = thread::Builder::new().name("pools".to_owned()).spawn(look).ok();
        Watch { stop: Some(stop), looks }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(looks) = self.looks.take() {
            // The panic hook has reported a panic.
            let _ = looks.join();
        }
    }
}
