//! A session as the invoker of a supervisor sees it.

use std::sync::Arc;

use tracing::warn;

use super::Session;
use crate::assignment::{Assignment, AssignmentEnd};
use crate::dispatch::Hint;
use crate::id::{SessionId, ThreadId};
use crate::record::SessionState;
use crate::remote::{Supervised, WorkerReport};
use crate::surroundings::Timestamp;

impl Session {
    /// A process is done with an assigned thread. There is no report of the end if the process was lost. The thread's
    /// results are in the storage.
    fn note_left(&self, end: Option<AssignmentEnd>) {
        if end.is_none_or(|end| end.has_changed_session)
            && let Err(error) = self.look_ended_here(end.is_some())
        {
            self.fail_storage(&error);
        }
        let Some(server) = &self.server else { return };
        let Some(end) = end else {
            server.note_end_unknown();
            // Threads that it has left may be due already.
            server.note_due(Timestamp(0));
            return;
        };
        if let Some(due) = end.due {
            server.note_due(due);
        }
    }
}

impl Supervised for Session {
    fn id(&self) -> &SessionId {
        &self.id
    }

    fn lose_worker(self: Arc<Self>, threads: &[ThreadId]) {
        warn!(session = %self.id, threads = threads.len(), "the worker process was lost that had threads");
        self.in_hand.note_lost(threads);
        // It may have been lost between a commit and the actions that follow.
        self.add_work(1);
        let shown = self.show_unreported(threads);
        let taken = shown.and_then(|()| self.server.as_ref().map_or(Ok(()), |server| server.take_up_lost(&self.id)));
        if let Err(error) = taken {
            self.fail_storage(&error);
        }
    }

    fn assign(&self, threads: &[ThreadId]) -> Vec<Assignment> {
        let assignment = |thread: &ThreadId| {
            let (held, left) = self.in_hand.hand_over(*thread);
            Assignment { session: self.id.clone(), thread: *thread, held, left }
        };
        threads.iter().map(assignment).collect()
    }

    fn take_hints(self: Arc<Self>, hints: &[Hint]) {
        let is_now = |hint: &Hint| hint.not_before.is_none_or(|until| self.note_due(hint.thread, until));
        let now: Vec<ThreadId> = hints.iter().filter(|hint| is_now(hint)).map(|hint| hint.thread).collect();
        if !now.is_empty() {
            self.add_work(now.len() as u64);
            self.invoke(&now);
        }
    }

    fn take_report(self: Arc<Self>, report: WorkerReport) {
        match report {
            WorkerReport::Settled(_, count) => {
                if self.is_leased() {
                    self.note_left(None);
                }
                self.finish_work(count);
            }
            WorkerReport::Returned(end, after) => {
                if let Some(server) = &self.server {
                    server.note_step(after);
                }
                self.note_left(end);
                self.finish_work(1);
            }
            WorkerReport::Interrupted => self.note_interrupted(),
            WorkerReport::Printed(items) => self.show_reported(items),
            WorkerReport::Failed(error) => self.fail_storage(&error),
            WorkerReport::Ended => match self.look_closed() {
                // It broke, and has been retried since.
                Ok(_) if !self.is_over() => self.set_ended(SessionState::Broken),
                Ok(_) => {}
                Err(error) => self.fail_storage(&error),
            },
        }
    }
}
