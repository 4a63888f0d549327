//! A cache of threads as last written, so that their writer need not decode them. A cached version is used only if it
//! is still the one in the storage.
//!
//! All sessions of a process share a budget. A thread stays in the cache until it is read, so threads with long waits
//! would fill it; only these are evicted. Plain LRU would evict recent threads too: if many take turns, each would evict
//! the one needed next.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::codec;
use crate::commit::{Commit, Renewal};
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{Key, Live, Record, Status, Versioned};

/// The maximum number of bytes of all cached threads in the storage, plus [`THREAD_BYTES`] for each.
const BYTES_MAX: usize = 64 << 20;

/// The maximum number of bytes of the pickles they reference. A shared pickle is counted for each thread.
const PICKLE_BYTES_MAX: usize = 256 << 20;

/// The memory of a thread in addition to its bytes in the storage.
const THREAD_BYTES: usize = 1_000;

/// A cached thread may be evicted after this time.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The cached threads of all sessions of a process.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

/// The cached threads of a session, which are dropped with it.
pub(super) struct KeptThreads {
    cache: Arc<Cache>,
    session: u64,
}

#[derive(Default)]
struct State {
    sessions: HashMap<u64, Threads>,
    /// The numbers of sessions and threads ever seen.
    session_count: u64,
    thread_count: u64,
    /// The number of cached threads, and their sizes.
    threads: usize,
    bytes: usize,
    pickles: usize,
    /// The threads in the order of insertion, including some that are no longer cached.
    order: VecDeque<Place>,
}

/// The threads of a session.
#[derive(Default)]
struct Threads {
    kept: HashMap<ThreadId, Kept>,
    /// The threads held by a worker, with their freshness; see [`Kept::is_fresh`].
    in_hand: HashMap<ThreadId, bool>,
}

/// The place of a cached thread, valid as long as its number matches.
struct Place {
    session: u64,
    thread: ThreadId,
    number: u64,
    since: Instant,
}

/// The bytes of a thread in the storage, and of the pickles it references.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThreadSize {
    pub bytes: usize,
    pub pickles: usize,
}

struct Kept {
    stamp: Stamp,
    live: Box<Live>,
    size: ThreadSize,
    number: u64,
    /// The thread was started by this process, and no other writes are known to its mailbox or its Future. If there are
    /// any, its next commit or the next sweep notices. Never true for a thread that waits for a Future.
    is_fresh: bool,
}

impl KeptThreads {
    /// An empty set.
    pub fn new(cache: Arc<Cache>) -> KeptThreads {
        let mut state = cache.lock();
        state.session_count += 1;
        let session = state.session_count;
        drop(state);
        KeptThreads { cache, session }
    }

    /// A thread this process has just started, without reading the storage: the other keys, which must be its own
    /// mailbox and Future, cannot have records yet. Only valid for the process that runs all threads of the session,
    /// because another process may have run this one.
    pub fn take_fresh(&self, keys: &[Key]) -> Option<Versioned> {
        let [Key::Live(thread), others @ ..] = keys else { return None };
        let is_its_own = |key: &Key| match key {
            Key::Ready(other) | Key::Future(FutureId::Thread(other)) => other == thread,
            _ => false,
        };
        let mut state = self.cache.lock();
        let is_fresh = state.sessions.get(&self.session)?.kept.get(thread).is_some_and(|kept| kept.is_fresh);
        if !is_fresh || !others.iter().all(is_its_own) {
            return None;
        }
        let Kept { stamp, live, .. } = state.take(self.session, *thread)?;
        state.sessions.entry(self.session).or_default().in_hand.insert(*thread, true);
        Some(Versioned { stamp, record: Record::Live(*thread, live) })
    }

    /// Takes a thread with its version. The rest must be read from the storage.
    pub fn take(&self, thread: ThreadId) -> Option<(Stamp, Box<Live>)> {
        let mut state = self.cache.lock();
        state.sessions.get_mut(&self.session)?.in_hand.remove(&thread);
        state.take(self.session, thread).map(|kept| (kept.stamp, kept.live))
    }

    /// The summary of a thread cached in this version, with new progress.
    pub fn summary_with(&self, thread: ThreadId, version: Stamp, progress: &str) -> Option<String> {
        let state = self.cache.lock();
        let kept = state.sessions.get(&self.session)?.kept.get(&thread)?;
        (kept.stamp == version).then(|| codec::live_summary_with(&kept.live, Some(progress)))
    }

    /// Other processes have written to the mailboxes of these threads.
    pub fn note_woken(&self, woken: &[ThreadId]) {
        if let Some(threads) = self.cache.lock().sessions.get_mut(&self.session) {
            woken.iter().for_each(|thread| threads.note_written(*thread));
        }
    }

    /// A commit has failed with a conflict, or its outcome is unknown: the storage may contain unknown changes of its
    /// threads.
    pub fn note_doubtful(&self, commit: &Commit) {
        let mut state = self.cache.lock();
        let Some(threads) = state.sessions.get_mut(&self.session) else { return };
        for (key, _) in &commit.expect {
            if let Key::Live(thread) | Key::Ready(thread) | Key::Future(FutureId::Thread(thread)) = key {
                threads.note_written(*thread);
            }
        }
        for record in commit.fresh.iter().chain(&commit.put) {
            if let Record::Live(thread, _) | Record::Ready(thread, _) | Record::Future(FutureId::Thread(thread), _) =
                record
            {
                threads.note_written(*thread);
            }
        }
    }

    /// Caches the threads of a completed commit. `sizes` are their sizes in the storage: first of the fresh ones, then
    /// of the put ones.
    pub fn keep(&self, commit: &mut Commit, sizes: &[ThreadSize]) {
        let (stamp, since) = (commit.stamp, Instant::now());
        let begins = commit.expect.contains(&(Key::Session, None));
        let mut sizes = sizes.iter().copied();
        // Dropped without holding the lock, because a thread may be large.
        let mut dropped = Vec::new();
        let mut state = self.cache.lock();
        let fresh = commit.fresh.drain(..).map(|record| (record, true));
        for (record, is_new) in fresh.chain(commit.put.drain(..).map(|record| (record, false))) {
            match record {
                Record::Live(thread, live) => {
                    let mut size = sizes.next().unwrap_or_default();
                    size.bytes += THREAD_BYTES;
                    let threads = state.sessions.entry(self.session).or_default();
                    let was_fresh = threads.in_hand.remove(&thread).unwrap_or(is_new || begins);
                    let waits = matches!(
                        live.status,
                        Status::Waiting(_) | Status::Awaiting(_) | Status::Following(_) | Status::Queued(_)
                    );
                    let is_fresh = was_fresh && !waits;
                    let kept = Kept { stamp, live, size, number: 0, is_fresh };
                    state.put(self.session, thread, kept, since, &mut dropped);
                }
                Record::Ready(thread, _) | Record::Future(FutureId::Thread(thread), _) => {
                    if let Some(threads) = state.sessions.get_mut(&self.session) {
                        threads.note_written(thread);
                    }
                }
                _ => {}
            }
        }
        for key in commit.delete.drain(..) {
            if let Key::Live(thread) = key {
                dropped.extend(state.take(self.session, thread));
                if let Some(threads) = state.sessions.get_mut(&self.session) {
                    threads.in_hand.remove(&thread);
                }
            }
        }
        if let Some(Renewal { thread, progress }) = commit.renew.take() {
            let threads = state.sessions.get_mut(&self.session);
            if let Some(kept) = threads.and_then(|threads| threads.kept.get_mut(&thread))
                && commit.expect.contains(&(Key::Live(thread), Some(kept.stamp)))
            {
                kept.stamp = stamp;
                if progress.is_some() {
                    kept.live.progress = progress;
                }
            }
        }
        drop(state);
        commit.expect.clear();
    }
}

impl Drop for KeptThreads {
    fn drop(&mut self) {
        let mut state = self.cache.lock();
        let threads = state.sessions.remove(&self.session).unwrap_or_default();
        state.threads -= threads.kept.len();
        threads.kept.values().for_each(|kept| state.remove_size(kept.size));
        drop(state);
        drop(threads);
    }
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Threads {
    /// The storage contains something about this thread that its own steps have not written.
    fn note_written(&mut self, thread: ThreadId) {
        self.in_hand.entry(thread).and_modify(|is_fresh| *is_fresh = false);
        self.kept.entry(thread).and_modify(|kept| kept.is_fresh = false);
    }
}

impl State {
    fn take(&mut self, session: u64, thread: ThreadId) -> Option<Kept> {
        let Entry::Occupied(entry) = self.sessions.get_mut(&session)?.kept.entry(thread) else { return None };
        let kept = entry.remove();
        self.threads -= 1;
        self.remove_size(kept.size);
        Some(kept)
    }

    fn remove_size(&mut self, size: ThreadSize) {
        self.bytes -= size.bytes;
        self.pickles -= size.pickles;
    }

    fn put(&mut self, session: u64, thread: ThreadId, kept: Kept, since: Instant, dropped: &mut Vec<Kept>) {
        dropped.extend(self.take(session, thread));
        while self.bytes + kept.size.bytes > BYTES_MAX || self.pickles + kept.size.pickles > PICKLE_BYTES_MAX {
            let Some(oldest) = self.take_waiting(since) else {
                dropped.push(kept);
                return;
            };
            dropped.push(oldest);
        }
        self.thread_count += 1;
        let number = self.thread_count;
        self.threads += 1;
        self.bytes += kept.size.bytes;
        self.pickles += kept.size.pickles;
        self.order.push_back(Place { session, thread, number, since });
        self.sessions.entry(session).or_default().kept.insert(thread, Kept { number, ..kept });
        if self.order.len() > 2 * self.threads + 64 {
            let sessions = &self.sessions;
            self.order.retain(|place| is_there(sessions, place));
        }
    }

    /// Takes the oldest thread, if it has been cached for long.
    fn take_waiting(&mut self, now: Instant) -> Option<Kept> {
        loop {
            let place = self.order.front()?;
            if is_there(&self.sessions, place) && now.saturating_duration_since(place.since) < WAIT_MAX {
                return None;
            }
            let place = self.order.pop_front()?;
            if is_there(&self.sessions, &place) {
                return self.take(place.session, place.thread);
            }
        }
    }
}

fn is_there(sessions: &HashMap<u64, Threads>, place: &Place) -> bool {
    let kept = sessions.get(&place.session).and_then(|threads| threads.kept.get(&place.thread));
    kept.is_some_and(|kept| kept.number == place.number)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use hark_machine::{Awaited, Thread, Value};

    use super::*;
    use crate::demand::Demand;
    use crate::record::FutureRecord;
    use crate::surroundings::Timestamp;

    /// Caches a thread of this size.
    fn keep(session: &KeptThreads, thread: u64, bytes: usize) {
        let mut commit = Commit::new(Stamp(NonZeroU64::MIN));
        commit.put.push(Record::Live(ThreadId(thread), Live::new(Thread::new(Value::Null, Vec::new()))));
        session.keep(&mut commit, &[ThreadSize { bytes, pickles: 0 }]);
    }

    fn has(session: &KeptThreads, thread: u64) -> bool {
        session
            .cache
            .lock()
            .sessions
            .get(&session.session)
            .is_some_and(|threads| threads.kept.contains_key(&ThreadId(thread)))
    }

    #[test]
    fn sessions_share_one_budget() {
        let cache = Arc::<Cache>::default();
        let (one, other) = (KeptThreads::new(cache.clone()), KeptThreads::new(cache.clone()));
        keep(&one, 0, BYTES_MAX - 2 * THREAD_BYTES);
        keep(&other, 0, 0);
        keep(&other, 1, 0);
        assert!(has(&one, 0) && has(&other, 0) && !has(&other, 1));
        drop(one);
        keep(&other, 1, BYTES_MAX / 2);
        assert!(has(&other, 1));
        assert_eq!(cache.lock().bytes, BYTES_MAX / 2 + 2 * THREAD_BYTES);
    }

    #[test]
    fn who_waits_for_long_makes_room() {
        let cache = Arc::<Cache>::default();
        let (one, other) = (KeptThreads::new(cache.clone()), KeptThreads::new(cache.clone()));
        keep(&one, 0, BYTES_MAX / 2);
        keep(&one, 1, BYTES_MAX / 4);
        let begun = Instant::now().checked_sub(WAIT_MAX).expect("the machine has run for a second");
        cache.lock().order[0].since = begun;
        keep(&other, 0, BYTES_MAX / 2);
        assert!(!has(&one, 0) && has(&one, 1) && has(&other, 0));
    }

    /// A thread is continued from memory until this process writes to its mailbox or Future.
    #[test]
    fn a_thread_is_fresh_until_others_write_of_it() {
        let session = KeptThreads::new(Arc::default());
        let thread = ThreadId(7);
        let keys = [Key::Live(thread), Key::Ready(thread), Key::Future(thread.into())];
        let live = |status| {
            let mut live = Live::new(Thread::new(Value::Null, Vec::new()));
            live.status = status;
            Record::Live(thread, live)
        };
        let keep = |fresh, put| {
            let mut commit = Commit { fresh, put, ..Commit::new(Stamp(NonZeroU64::MIN)) };
            session.keep(&mut commit, &[ThreadSize { bytes: 10, pickles: 0 }; 2]);
        };
        let takes = || session.take_fresh(&keys).is_some();
        keep(vec![live(Status::Runnable)], vec![]);
        assert!(takes());
        keep(vec![], vec![live(Status::Sleeping(Timestamp(5)))]);
        assert!(takes(), "it has slept");
        keep(vec![], vec![Record::Future(thread.into(), FutureRecord::AwaitedBy(ThreadId(0)))]);
        keep(vec![], vec![live(Status::Sleeping(Timestamp(6)))]);
        assert!(!takes(), "someone waits for it since it was taken");
        assert!(session.take(thread).is_some());
        keep(vec![live(Status::Runnable)], vec![]);
        keep(vec![], vec![Record::Ready(thread, Demand::default())]);
        assert!(!takes(), "it was woken");
        keep(vec![live(Status::Runnable)], vec![live(Status::Calling(1))]);
        session.note_woken(&[thread]);
        assert!(!takes(), "another process has woken it");
        assert!(session.take(thread).is_some());
        keep(vec![live(Status::Waiting(Awaited::Thread(3)))], vec![]);
        assert!(!takes(), "it waits for what others may do");
        keep(vec![live(Status::Calling(1))], vec![]);
        let expect = vec![(Key::Live(thread), Some(Stamp(NonZeroU64::MIN)))];
        session.note_doubtful(&Commit { expect, ..Commit::new(Stamp(NonZeroU64::MAX)) });
        assert!(!takes(), "a commit has written it whose answer was lost");
    }

    #[test]
    fn the_order_is_not_longer_than_what_is_kept() {
        let cache = Arc::<Cache>::default();
        let one = KeptThreads::new(cache.clone());
        for _ in 0..10_000 {
            keep(&one, 7, 10);
            assert!(one.take(ThreadId(7)).is_some());
        }
        let state = cache.lock();
        assert!(state.order.len() <= 100);
        assert_eq!((state.threads, state.bytes), (0, 0));
    }
}
