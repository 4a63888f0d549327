//! Where threads continue after a step, and in which order.

use std::cmp::Reverse;

use hark_bytecode::ForeignIndex;

use super::Worker;
use crate::demand::Demand;
use crate::dispatch::Hint;
use crate::id::ThreadId;
use crate::place::Place;
use crate::record::{Live, State};
use crate::session::Session;
use crate::step::{Destinations, Ending, Loaded};

impl<'a> Worker<'a> {
    /// Notes a thread's demand after a step with this ending. During a call the place is the call's. A cancelled thread
    /// may clean up in any process, because its pool may no longer be served.
    pub(super) fn note_demand(&self, live: &mut Live, ending: &Ending) {
        let program = self.session.program();
        if let State::Present(state) = &live.state {
            live.demand.priority = state.priority(program).unwrap_or(0);
        }
        if self.session.has_places() && !matches!(ending, Ending::Calls(_) | Ending::Moves(_) | Ending::Stays) {
            live.demand.place = if live.stops.is_some() { live.cancelled().place } else { live.home.clone() };
        }
    }

    /// Notes where a thread makes a call. Returns whether this process makes the call; otherwise the thread moves
    /// first.
    pub(super) fn enter_place_of(&self, foreign: ForeignIndex, live: &mut Live) -> bool {
        if !self.session.has_places() {
            return true;
        }
        live.demand.place = live.home.of_call(foreign, self.session.program(), self.session.sizes());
        self.session.serves(&live.demand.place)
    }

    /// Sorts the threads that a step has started or woken, the highest priority first.
    pub(super) fn order_invoked(&mut self) {
        let demands = &self.session.demands;
        demands.note(&self.commit);
        if self.session.program().has_priorities() {
            self.plan.invoke.sort_by_key(|thread| Reverse(demands.priority(*thread)));
        }
    }

    /// Where the threads of this commit run, and which of them this process may keep.
    pub(super) fn destinations(&self) -> Destinations<'a> {
        let session: &'a Session = self.session;
        let pools = &session.options().pools;
        let destinations = if self.session.has_places() {
            Destinations::of(&self.commit, pools)
        } else {
            Destinations::without_places(pools)
        };
        destinations.with_started(session.started_pools()).with_sizes(session.sizes())
    }

    /// Whether this process is too small for a thread that has something to do now. That happens because a process that
    /// wakes a thread may not know the thread's place, and the queue that delays hints ignores it.
    pub(super) fn is_too_large(&self, loaded: &Loaded, live: &Live) -> bool {
        let place = &live.demand.place;
        let is_over = |until| until <= self.session.steady_now();
        let is_started = || self.session.started_pools().is_some_and(|pools| pools.serve(place));
        let can_go_on =
            || live.status.is_in_hand() || loaded.ready.is_some() || live.status.time().is_some_and(is_over);
        self.session.sizes().is_some_and(|sizes| !sizes.fit(place)) && is_started() && can_go_on()
    }

    /// Hands a thread on, without a commit, to a process that is large enough.
    pub(super) fn hand_on(&self, thread: ThreadId, live: &Live) {
        let (held, left) = self.session.in_hand.hand_over(thread);
        self.session.dispatch(&[Hint { place: live.demand.place.clone(), held, left, ..Hint::now(thread) }]);
    }

    /// The demand in the mailbox of a thread that a step cancels. Any process may serve it.
    pub(super) fn demand_of_cancelled(&self, thread: ThreadId) -> Demand {
        let priority = self.session.demands.priority(thread);
        let place = if self.session.has_places() { Place::anywhere() } else { Place::default() };
        Demand { priority, place }
    }
}
