//! Steps of several threads, committed together.
//!
//! A worker that is given several threads of a durable session gives each its turn, and then commits all their steps in
//! one request, so that it waits once. The effect is the same as if several workers had committed at the same time:
//! each step succeeds or fails by itself, and a step that conflicts with another one of the batch is decided again.

use std::mem;

use super::{Begun, Concluded, Decided, Pace, Worker};
use crate::commit::{Commit, Outcome};
use crate::limits::BATCH_TIME_MAX;
use crate::session::Session;
use crate::step::{Ending, Plan};
use crate::storage::StorageError;
use crate::surroundings::Timestamp;

/// Steps that wait for their commits.
#[derive(Default)]
pub(super) struct Batch {
    steps: Vec<Step>,
    /// Whether steps are batched. A single step is committed at once.
    pub is_open: bool,
    /// Its steps are committed, and the actions after the commits are under way.
    pub is_concluding: bool,
    /// One of its threads has stopped, which may have been the last one of the session.
    pub looks_for_end: bool,
}

/// A step, and what else the worker must know of its turn.
struct Step {
    decided: Decided,
    commit: Commit,
    plan: Plan,
    call: Option<Box<Begun>>,
    shown: usize,
    awaits: u32,
    since: Timestamp,
    /// The number of the supervisor's hints that it settles.
    hints: u64,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether its first step has waited for long enough.
    pub fn is_due(&self, session: &Session) -> bool {
        self.steps.first().is_some_and(|first| session.steady_now().since(first.since) >= BATCH_TIME_MAX)
    }

    /// Whether the last thread has used all of its fuel.
    pub fn ends_with_long_turn(&self) -> bool {
        self.steps.last().is_some_and(|step| matches!(step.decided.ending, Ending::Yielded))
    }

    /// Sets the number of hints that the last step settles.
    pub fn note_hints(&mut self, hints: u64) {
        if let Some(step) = self.steps.last_mut() {
            step.hints = hints;
        }
    }
}

impl Worker<'_> {
    /// Adds a step to the batch.
    pub(super) fn put_in_batch(&mut self, decided: Decided, since: Timestamp) -> Pace {
        let next = Commit::of_server(self.commit.stamp);
        self.batch.steps.push(Step {
            decided,
            commit: mem::replace(&mut self.commit, next),
            plan: mem::take(&mut self.plan),
            call: self.call.take(),
            shown: self.shown,
            awaits: self.awaits,
            since,
            hints: 0,
        });
        Pace::Batched
    }

    /// Commits the steps of the batch, and carries out the actions after the commits.
    pub(super) fn commit_batch(&mut self) {
        // A step that is decided again is committed at once.
        self.batch.is_open = false;
        let mut steps = mem::take(&mut self.batch.steps);
        if steps.is_empty() {
            return;
        }
        let mut commits: Vec<(&mut Commit, usize)> =
            steps.iter_mut().map(|step| (&mut step.commit, step.shown)).collect();
        self.slot.step_aside();
        let outcomes = self.session.commit_all(&mut commits);
        self.slot.step_back();
        // One check is enough, after all commits. A supervisor considers the hints settled before that, and would not
        // notice if this process were lost in between.
        self.batch.is_concluding = !self.session.is_supervised();
        for (step, outcome) in steps.into_iter().zip(outcomes) {
            let (thread, hints) = (step.decided.loaded.thread, step.hints);
            let mut pace = self.end_step(step, outcome);
            if !matches!(pace, Ok(Pace::Paused)) {
                self.end_turn(thread, hints, &pace);
            }
            if let Ok(Pace::Called(begun)) = pace {
                self.session.call(begun.call, begun.place);
                pace = Ok(Pace::Short);
            }
            if let Err(error) = pace {
                self.session.fail_storage(&error);
            }
        }
        self.batch.is_concluding = false;
        if mem::take(&mut self.batch.looks_for_end)
            && let Err(error) = self.session.look_for_end(&mut self.stamps)
        {
            self.session.fail_storage(&error);
        }
    }

    fn end_step(&mut self, step: Step, outcome: Result<Outcome, StorageError>) -> Result<Pace, StorageError> {
        let Step { mut decided, commit, plan, call, shown, awaits, since, .. } = step;
        (self.commit, self.plan, self.call, self.shown, self.awaits) = (commit, plan, call, shown, awaits);
        let outcome = match outcome? {
            Outcome::Unknown => self.settle_unknown(&mut decided.loaded)?,
            outcome => outcome,
        };
        match self.conclude(decided, outcome)? {
            Concluded::Over(pace) => Ok(pace),
            Concluded::Again(loaded, live, next) => self.go_on(loaded, live, next, since),
        }
    }
}
