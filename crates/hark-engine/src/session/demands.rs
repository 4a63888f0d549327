//! The demands of a session's threads: their priorities, and the places where they run, from `#[priority]`, `#[pool]`
//! and `#[memory]`.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::commit::Commit;
use crate::demand::Demand;
use crate::id::ThreadId;
use crate::leases::Taken;
use crate::record::{Key, Live, Record};

/// The demands of the threads that this process has written, woken or taken, unless they are the default: invokers only
/// know the numbers of threads.
#[derive(Default)]
pub(crate) struct Demands(Mutex<HashMap<ThreadId, Demand>>);

impl Demands {
    /// Takes note of the threads that this commit, which is about to be made, writes, wakes and removes.
    pub fn note(&self, commit: &Commit) {
        let mut all = self.lock();
        for key in &commit.delete {
            if let Key::Live(thread) = key {
                all.remove(thread);
            }
        }
        for record in commit.fresh.iter().chain(&commit.put) {
            match record {
                Record::Live(thread, live) if live.demand.is_default() => drop(all.remove(thread)),
                Record::Live(thread, live) => drop(all.insert(*thread, live.demand.clone())),
                // The process that wakes a thread may not know the thread's demand.
                Record::Ready(thread, demand) if tells(demand) => drop(all.insert(*thread, demand.clone())),
                _ => {}
            }
        }
    }

    /// Notes the demand of a thread that was loaded.
    pub fn note_loaded(&self, thread: ThreadId, live: &Live) {
        let demand = Demand { priority: live.demand.priority, place: live.home.clone() };
        if !demand.is_default() {
            self.lock().insert(thread, demand);
        }
    }

    /// Takes note of threads that this process has taken.
    pub fn note_taken(&self, taken: &[Taken]) {
        let some = taken.iter().filter(|taken| tells(&taken.demand));
        self.lock().extend(some.map(|taken| (taken.thread, taken.demand.clone())));
    }

    /// A thread's demand; the default if it is not known.
    pub fn of(&self, thread: ThreadId) -> Demand {
        self.lock().get(&thread).cloned().unwrap_or_default()
    }

    /// The priority of a thread.
    pub fn priority(&self, thread: ThreadId) -> i32 {
        self.lock().get(&thread).map_or(0, |demand| demand.priority)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ThreadId, Demand>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this is the thread's own demand, and not only that of its cancellation.
fn tells(demand: &Demand) -> bool {
    !demand.is_default() && !demand.place.is_anywhere()
}
