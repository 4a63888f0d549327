//! Commits whose answers were lost, and that happen some requests later, if their expectations hold then.

use super::disk::{Change, Disk};
use super::world::World;
use crate::commit::Outcome;
use crate::record::Key;
use crate::space::SpaceCommit;

/// A delayed commit.
#[derive(Debug)]
pub(super) enum Late {
    OfSession(Box<Change>),
    OfSpace(SpaceCommit),
}

/// A delayed commit and its time.
#[derive(Debug)]
pub(super) struct OnItsWay {
    /// The number of requests after which it happens.
    at: u64,
    late: Late,
}

impl World {
    /// Records that the answer of a commit was lost before it happened, so that it may happen later.
    pub fn may_come_late(&mut self, late: impl FnOnce(&Disk) -> Late) {
        let at_most = self.disturbances.late;
        if at_most > 0 && self.chance.per_mille(500) {
            let at = self.count.requests + 1 + self.chance.below(at_most);
            let late = late(&self.disk);
            self.late.push(OnItsWay { at, late });
        }
    }

    /// Makes the commits that are due. It does not matter whether their processes have died meanwhile.
    pub fn carry_out_late(&mut self) {
        let now = self.count.requests;
        for OnItsWay { late, .. } in self.late.extract_if(.., |late| late.at <= now).collect::<Vec<_>>() {
            let outcome = match late {
                Late::OfSession(change) => {
                    self.tell(|| format!("a late commit comes: {change:?}"));
                    let is_stray = self.is_stray_cancellation(&change);
                    let outcome = self.disk.make_late(*change);
                    if is_stray && outcome == Outcome::Done {
                        self.faults.push("threads are cancelled by a commit that comes late".to_owned());
                    }
                    outcome
                }
                Late::OfSpace(commit) => self.disk.commit_to_space(&commit),
            };
            self.count.late += u64::from(outcome == Outcome::Done);
            self.tell(|| format!("which is late: {outcome:?}"));
        }
    }

    /// Whether a change, which is not a step, cancels threads of a session without a pending cancellation: the threads
    /// may have been retried meanwhile.
    fn is_stray_cancellation(&self, change: &Change) -> bool {
        let mut keys = change.rows.written().map(|(key, _)| key).chain(&change.rows.delete);
        let is_step = keys.any(|key| matches!(key, Key::Live(_) | Key::Session));
        let cancels = change.rows.written().any(|(key, _)| matches!(key, Key::Cancel(_)));
        let kept = self.disk.sessions.get(&change.session);
        let is_cascading = kept.is_some_and(|kept| kept.rows.keys().any(|key| matches!(key, Key::Cascade(_))));
        let record = self.disk.record(&change.session);
        let is_cancelling = record.is_some_and(|(_, record)| record.cancelling.is_some());
        cancels && !is_step && !is_cascading && !is_cancelling
    }
}
