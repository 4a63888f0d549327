//! Threads as they were written last, so that whoever has written one need not decode it. A version that is not the
//! storage's is never used.
//!
//! All sessions of a process share one budget. A thread stays until it is read, so that those that wait for long would come
//! to fill it: they make room for others. Threads that wait for their turns do not, as of many that come in a row each
//! would drive out the one that is needed next.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::codec;
use crate::commit::{Commit, Renewal};
use crate::id::{FutureId, Stamp, ThreadId};
use crate::record::{Key, Live, Record, Status, Versioned};

/// The most bytes that the kept threads of a process have in the storage, with [`THREAD_BYTES`] for each.
const BYTES_MAX: usize = 64 << 20;

/// The most bytes of the pickles that they name. What several name is counted for each.
const PICKLE_BYTES_MAX: usize = 256 << 20;

/// What a thread takes in memory beside what it has in the storage.
const THREAD_BYTES: usize = 1_000;

/// A thread that was kept for so long makes room for others.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// The kept threads of all sessions of a process.
#[derive(Default)]
pub(super) struct Cache(Mutex<State>);

/// The kept threads of one session, which are dropped with it.
pub(super) struct KeptThreads {
    cache: Arc<Cache>,
    session: u64,
}

#[derive(Default)]
struct State {
    sessions: HashMap<u64, Threads>,
    /// How many sessions, and how many threads, there ever were.
    session_count: u64,
    thread_count: u64,
    /// How many threads there are, and what they take.
    threads: usize,
    bytes: usize,
    pickles: usize,
    /// All of them in the order in which they came, and some that are there no more.
    order: VecDeque<Place>,
}

/// The threads of a session.
#[derive(Default)]
struct Threads {
    kept: HashMap<ThreadId, Kept>,
    /// Those that a worker has, which knows of them what [`Kept::is_fresh`] says; whether that still holds.
    in_hand: HashMap<ThreadId, bool>,
}

/// Where a thread is kept, if it still is that one.
struct Place {
    session: u64,
    thread: ThreadId,
    number: u64,
    since: Instant,
}

/// How many bytes of a thread there are in the storage, and of the pickles that it names.
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
    /// It was started from here, and nothing is known to have been written since of what wakes it or waits for it. If others
    /// have done so, its step finds out when it is committed, or the next look at the agenda tells. Of one that waits for a
    /// Future nothing like it is known.
    is_fresh: bool,
}

impl KeptThreads {
    /// None yet.
    pub fn new(cache: Arc<Cache>) -> KeptThreads {
        let mut state = cache.lock();
        state.session_count += 1;
        let session = state.session_count;
        drop(state);
        KeptThreads { cache, session }
    }

    /// What a step of a thread begins with that was started from here: without a look at the storage, it is known that the
    /// others of these keys, which are its own, have no records. Only for whoever runs all threads of the session: another
    /// one may have run this.
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

    /// A thread, and the version that it is. What else there is of it is read from the storage.
    pub fn take(&self, thread: ThreadId) -> Option<(Stamp, Box<Live>)> {
        let mut state = self.cache.lock();
        state.sessions.get_mut(&self.session)?.in_hand.remove(&thread);
        state.take(self.session, thread).map(|kept| (kept.stamp, kept.live))
    }

    /// The summary of a thread that is kept in this version, with this progress.
    pub fn summary_with(&self, thread: ThreadId, version: Stamp, progress: &str) -> Option<String> {
        let state = self.cache.lock();
        let kept = state.sessions.get(&self.session)?.kept.get(&thread)?;
        (kept.stamp == version).then(|| codec::live_summary_with(&kept.live, Some(progress)))
    }

    /// Others have written into the mailboxes of these threads.
    pub fn note_woken(&self, woken: &[ThreadId]) {
        if let Some(threads) = self.cache.lock().sessions.get_mut(&self.session) {
            woken.iter().for_each(|thread| threads.note_written(*thread));
        }
    }

    /// A commit is in conflict, or it is not known what became of it: of the threads that it is about there may be something in the
    /// storage that nobody here knows.
    pub fn note_doubtful(&self, commit: &Commit) {
        let mut state = self.cache.lock();
        let Some(threads) = state.sessions.get_mut(&self.session) else { return };
        for (key, _) in &commit.expect {
            if let Key::Live(thread) | Key::Ready(thread) | Key::Future(FutureId::Thread(thread)) = key {
                threads.note_written(*thread);
            }
        }
        for record in commit.fresh.iter().chain(&commit.put) {
            if let Record::Live(thread, _) | Record::Ready(thread) | Record::Future(FutureId::Thread(thread), _) =
                record
            {
                threads.note_written(*thread);
            }
        }
    }

    /// Keeps the threads of a commit that is done. These are their lengths in the storage: of the fresh ones, then of those
    /// that it put.
    pub fn keep(&self, commit: &mut Commit, sizes: &[ThreadSize]) {
        let (stamp, since) = (commit.stamp, Instant::now());
        let begins = commit.expect.contains(&(Key::Session, None));
        let mut sizes = sizes.iter().copied();
        // Dropped without the lock: a thread may be large.
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
                Record::Ready(thread) | Record::Future(FutureId::Thread(thread), _) => {
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
    /// There is something of this thread in the storage that its own steps have not written.
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

    /// The thread that was kept for the longest time, if that is long.
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
    use crate::record::FutureRecord;
    use crate::surroundings::Timestamp;

    /// Keeps this thread, which has so many bytes in the storage.
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

    /// A thread goes on from memory until something is written from here of what wakes it or waits for it.
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
        keep(vec![], vec![Record::Ready(thread)]);
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
