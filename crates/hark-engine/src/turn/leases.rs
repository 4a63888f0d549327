//! A turn where threads are leased: whether this process still has the thread, and which other threads it keeps.

use super::Worker;
use crate::id::ThreadId;
use crate::place::Pools;
use crate::record::{Key, Live, Status};
use crate::step::{Destinations, Loaded};
use crate::storage::StorageError;

impl Worker<'_> {
    /// A call made by this process is no longer wanted if the version of the thread's record has changed since: another
    /// process has made it again, and the session may have been retried.
    pub(super) fn give_up_old_call(&mut self, loaded: &Loaded, live: &Live) -> Result<(), StorageError> {
        let Status::Calling(number) = live.status else { return Ok(()) };
        let Some(stamp) = self.session.in_hand.call_version(loaded.thread, number) else { return Ok(()) };
        if loaded.live == Some(stamp) {
            return Ok(());
        }
        // A piece of its output may have been written since the thread was loaded.
        let [found] = self.read([Key::Live(loaded.thread)])?;
        let is_as_before = self.session.in_hand.call_version(loaded.thread, number) == Some(stamp);
        if is_as_before && found.is_none_or(|found| found.stamp != stamp) {
            self.session.lose_hold(loaded.thread, stamp);
        }
        Ok(())
    }

    /// Whether another process holds a thread. Then that process deals with the hint.
    pub(super) fn is_anothers(&mut self, loaded: &Loaded, live: &Live) -> bool {
        let thread = loaded.thread;
        let is_called_here =
            matches!(live.status, Status::Calling(number) if self.session.in_hand.is_own_call(thread, number));
        let is_ours = loaded.live.is_none()
            || !live.status.is_in_hand()
            || is_called_here
            || self.session.in_hand.holds(thread, loaded.live);
        if let Status::Calling(number) = live.status
            && !is_ours
        {
            // The result of this process's earlier work on it is obsolete.
            let _ = self.session.in_hand.take_call(thread, number);
        }
        if !is_ours {
            self.session.note_unheld(thread);
        }
        !is_ours
    }

    /// Decides which threads made runnable by this commit stay with this process. The others are offered to other
    /// processes: all but the thread itself if there is a supervisor; where threads are leased, those for which there
    /// is no room, or whose places this process does not serve.
    pub(super) fn share(&mut self, own: Option<ThreadId>) {
        if self.session.has_demands() {
            self.order_invoked();
        }
        if self.session.is_supervised() {
            return self.plan.offer_all_but(own);
        }
        let Some(terms) = self.session.terms() else { return };
        self.commit.terms = Some(terms);
        let room = if self.plan.invoke.is_empty() { 0 } else { self.session.room() };
        let own = own.filter(|_| self.plan.call || self.counts_loss || !self.session.is_winding_down());
        // The thread whose loss is counted runs right after it.
        let destinations =
            if self.counts_loss { Destinations::without_places(&Pools::All) } else { self.destinations() };
        self.plan.share(own, room, &destinations, &mut self.commit);
    }
}
