//! Commits whose answers were lost, and that are carried out some requests later, if what they expect is there then.

use super::disk::{Change, Disk};
use super::world::World;
use crate::commit::Outcome;
use crate::record::Key;
use crate::space::SpaceCommit;

/// What is still to be carried out.
#[derive(Debug)]
pub(super) enum Late {
    OfSession(Box<Change>),
    OfSpace(SpaceCommit),
}

/// When that is.
#[derive(Debug)]
pub(super) struct OnItsWay {
    /// After so many requests.
    at: u64,
    late: Late,
}

impl World {
    /// A commit's answer is lost before it happened: it may happen later.
    pub fn may_come_late(&mut self, late: impl FnOnce(&Disk) -> Late) {
        let at_most = self.disturbances.late;
        if at_most > 0 && self.chance.per_mille(500) {
            let at = self.count.requests + 1 + self.chance.below(at_most);
            let late = late(&self.disk);
            self.late.push(OnItsWay { at, late });
        }
    }

    /// Carries out what has come by now. Whose process has died meanwhile makes no difference.
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

    /// Whether a change, which is no thread's step, cancels threads of a session in which nothing is to be cancelled any more: they
    /// may have been retried since.
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
