//! Which process runs the threads that a commit makes runnable, as far as their places tell.

use std::collections::BTreeMap;

use crate::commit::Commit;
use crate::id::ThreadId;
use crate::place::{Place, Pools};
use crate::record::Record;

/// The places of the threads that a commit writes and wakes, and the pools of the process that makes it.
#[derive(Debug)]
pub struct Destinations<'a> {
    pools: &'a Pools,
    /// Those that are not the default.
    places: BTreeMap<ThreadId, Place>,
}

impl<'a> Destinations<'a> {
    /// Of a program without places, all threads of which are in the default one.
    pub fn without_places(pools: &'a Pools) -> Destinations<'a> {
        Destinations { pools, places: BTreeMap::new() }
    }

    /// Of the threads of this commit.
    pub fn of(commit: &Commit, pools: &'a Pools) -> Destinations<'a> {
        let mut places = BTreeMap::new();
        for record in commit.fresh.iter().chain(&commit.put) {
            let (thread, place) = match record {
                Record::Live(thread, live) => (thread, &live.demand.place),
                Record::Ready(thread, demand) => (thread, &demand.place),
                _ => continue,
            };
            if !place.is_default() {
                places.insert(*thread, place.clone());
            }
        }
        Destinations { pools, places }
    }

    /// Where a thread runs.
    pub fn place(&self, thread: ThreadId) -> Place {
        self.places.get(&thread).cloned().unwrap_or_default()
    }

    /// Whether this process may continue with a thread. One that any process may cancel is left to be taken: that also takes
    /// its record, wherever the thread would run.
    pub fn may_keep(&self, thread: ThreadId) -> bool {
        let place = self.places.get(&thread);
        place.map_or_else(|| self.pools.have_default(), |place| !place.is_anywhere() && self.pools.serve(place))
    }
}
