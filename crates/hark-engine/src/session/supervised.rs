//! A session as its supervisor's invoker knows it.

use std::sync::Arc;

use tracing::warn;

use super::{Session, lock};
use crate::assignment::Assignment;
use crate::id::{SessionId, ThreadId};
use crate::record::SessionState;
use crate::remote::{Supervised, Told};

impl Session {
    /// A process has ended that had one of its threads. What that has done is in the storage, and nobody else tells of it: the session may
    /// be over, and what the process has left may be due soon.
    fn note_left(&self) {
        if let Err(error) = self.look_closed() {
            self.fail_storage(&error);
        }
        if let Some(server) = &self.server {
            server.note_due(self.steady_now());
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
        // It may have been lost between a commit and what follows from that.
        self.add_activity(1);
        let taken = self.server.as_ref().map_or(Ok(()), |server| server.take_up_lost(&self.id));
        if let Err(error) = taken {
            self.fail_storage(&error);
        }
    }

    fn take_lost(&self, threads: &[ThreadId]) -> Vec<ThreadId> {
        threads.iter().copied().filter(|thread| self.in_hand.take_loss(*thread)).collect()
    }

    fn assign(&self, threads: &[ThreadId]) -> Vec<Assignment> {
        let assignment = |thread: &ThreadId| {
            let (held, left) = self.in_hand.hand_over(*thread);
            Assignment { session: self.id.clone(), thread: *thread, held, left }
        };
        threads.iter().map(assignment).collect()
    }

    fn hear(self: Arc<Self>, told: Told) {
        match told {
            Told::Invoke(threads) => {
                self.add_activity(threads.len() as u64);
                self.invoke(&threads);
            }
            Told::Settled(_, count) => {
                if self.is_leased() {
                    self.note_left();
                }
                self.remove_activity(count);
            }
            Told::Due(thread, until) => {
                if self.note_due(thread, until) {
                    self.add_activity(1);
                    self.invoke(&[thread]);
                }
            }
            Told::Early(until) => self.note_early(until),
            Told::Interrupted => self.note_interrupted(),
            Told::Printed(mut items) => self.show(&mut lock(&self.output), &mut items),
            Told::Failed(error) => self.fail_storage(&error),
            Told::Ended => match self.look_closed() {
                // Then it was broken, and someone has retried it since.
                Ok(_) if !self.is_over() => self.set_ended(SessionState::Broken),
                Ok(_) => {}
                Err(error) => self.fail_storage(&error),
            },
        }
    }
}
