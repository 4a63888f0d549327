//! Decides by place which processes may run the threads that a commit makes runnable.

use std::collections::BTreeMap;

use crate::commit::Commit;
use crate::id::ThreadId;
use crate::place::{Place, Pools};
use crate::record::Record;
use crate::size::Sizes;

/// The places of the threads that a commit writes and wakes, and the pools of the process that makes it.
#[derive(Debug)]
pub struct Destinations<'a> {
    pools: &'a Pools,
    /// The sizes of processes, if there are several.
    sizes: Option<&'a Sizes>,
    /// The pools where each hint starts a process.
    started: Option<&'a Pools>,
    /// The places that are not the default.
    places: BTreeMap<ThreadId, Place>,
}

impl<'a> Destinations<'a> {
    /// For a program without places: all its threads are in the default one.
    pub fn without_places(pools: &'a Pools) -> Destinations<'a> {
        Destinations { pools, sizes: None, started: None, places: BTreeMap::new() }
    }

    /// The same where each hint for a thread of some pools starts a process.
    pub fn with_started(self, started: Option<&'a Pools>) -> Destinations<'a> {
        Destinations { started, ..self }
    }

    /// The same for a process of one size, where there are several.
    pub fn with_sizes(self, sizes: Option<&'a Sizes>) -> Destinations<'a> {
        Destinations { sizes, ..self }
    }

    /// Whether each thread that is left to others in this place gets a process of its own, to which its lease can be
    /// handed over. A cancelled thread, which any process may run, must be taken together with its record.
    pub fn hands_over(&self, place: &Place) -> bool {
        !place.is_anywhere() && self.started.is_some_and(|pools| pools.serve(place))
    }

    /// For the threads of this commit.
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
        Destinations { pools, sizes: None, started: None, places }
    }

    /// Where a thread runs.
    pub fn place(&self, thread: ThreadId) -> Place {
        self.places.get(&thread).cloned().unwrap_or_default()
    }

    /// Whether this process may continue with a thread. A cancelled thread, which any process may run, must be taken,
    /// because that also takes its record, whatever its place.
    pub fn may_keep(&self, thread: ThreadId) -> bool {
        let place = self.place(thread);
        !place.is_anywhere() && self.pools.serve(&place) && self.sizes.is_none_or(|sizes| sizes.fit(&place))
    }
}
