//! Tells a journal when the served sessions start, resume, are retried and end.
//!
//! A session is opened and dropped many times while it waits, and an end from outside may be noticed in several ways.
//! So the ends that matter later are remembered: a broken session that runs again was retried, and a cancellation is
//! logged only once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use super::lock;
use crate::id::SessionId;
use crate::journal::{Journal, Milestone};
use crate::limits::REMEMBERED_ENDS_MAX;
use crate::record::About;
use crate::report::{Report, Status};

/// The journal, if the engine has one, and the ends to remember.
#[derive(Default)]
pub(super) struct Milestones {
    journal: OnceLock<Arc<dyn Journal>>,
    ends: Mutex<Ends>,
}

impl Milestones {
    /// Sets the journal, once.
    pub fn set_journal(&self, journal: Arc<dyn Journal>) {
        let _ = self.journal.set(journal);
    }

    /// Whether anything is logged.
    pub fn are_logged(&self) -> bool {
        self.journal.get().is_some()
    }

    /// Logs the start of a session, or its continuation by this process.
    pub fn note_taken(&self, session: &SessionId, about: &About, milestone: &Milestone<'_>) {
        if let Some(journal) = self.journal.get() {
            journal.note(session, about, milestone);
        }
    }

    /// Threads of a session run. If it broke here before, it was retried, which is logged; returns whether it was.
    pub fn note_running(&self, session: &SessionId, about: &About) -> bool {
        let Some(journal) = self.journal.get() else { return false };
        let was_broken = lock(&self.ends).forget_broken(session);
        if was_broken {
            journal.note(session, about, &Milestone::Retried);
        }
        was_broken
    }

    /// A session has ended.
    pub fn note_ended(&self, session: &SessionId, about: &About, report: &Report) {
        let Some(journal) = self.journal.get() else { return };
        if lock(&self.ends).remember(session, report.status) {
            journal.note(session, about, &Milestone::Ended(report));
        }
    }
}

/// The last sessions that broke or were cancelled.
#[derive(Default)]
struct Ends {
    statuses: HashMap<SessionId, Status>,
    /// From the oldest to the latest end. May also contain sessions that were retried since.
    order: VecDeque<SessionId>,
}

impl Ends {
    /// Returns whether this end is new. A session breaks anew after each retry, but is cancelled only once.
    fn remember(&mut self, session: &SessionId, status: Status) -> bool {
        if !matches!(status, Status::Broken | Status::Cancelled) {
            return true;
        }
        if self.order.len() >= REMEMBERED_ENDS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.statuses.remove(&oldest);
        }
        let before = self.statuses.insert(session.clone(), status);
        if before.is_none() {
            self.order.push_back(session.clone());
        }
        status == Status::Broken || before != Some(Status::Cancelled)
    }

    fn forget_broken(&mut self, session: &SessionId) -> bool {
        let was_broken = self.statuses.get(session) == Some(&Status::Broken);
        if was_broken {
            self.statuses.remove(session);
        }
        was_broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ends_are_remembered() {
        let id = |number: usize| SessionId::from_text(&format!("session-{number}"));
        let mut ends = Ends::default();
        assert!(ends.remember(&id(0), Status::Cancelled));
        assert!(!ends.remember(&id(0), Status::Cancelled));
        (1..=REMEMBERED_ENDS_MAX).for_each(|number| assert!(ends.remember(&id(number), Status::Broken)));
        assert_eq!((ends.statuses.len(), ends.order.len()), (REMEMBERED_ENDS_MAX, REMEMBERED_ENDS_MAX));
        assert!(ends.remember(&id(0), Status::Cancelled), "it was forgotten");
        assert!(ends.forget_broken(&id(REMEMBERED_ENDS_MAX)));
        assert!(!ends.forget_broken(&id(REMEMBERED_ENDS_MAX)));
    }
}
